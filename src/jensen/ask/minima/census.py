"""Are the minima equal, are they minima at all, and does the chance of a bad one fall with width? A census."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from jensen.ask.minima import summing
from jensen.ask.minima.answers import Minima
from jensen.ask.minima.counting import group_of
from jensen.ask.minima.families import Subject, subjects
from jensen.ask.minima.progress import Progress
from jensen.ask.minima.spec import Spec, spec
from jensen.ask.minima.units import Planned, ended, planned, units
from jensen.errors import Misuse
from jensen.run.engines import engine_of
from jensen.run.journal import Journal
from jensen.run.work import Kept, work

Watch = Callable[[dict[str, Any]], None]


def minima(
    cost: Any,
    runs: int = 100,
    widths: Iterable[int] | None = None,
    *,
    engine: Any = None,
    journal: str | os.PathLike[str] | Journal | None = None,
    test: Any = None,
    bad: float | None = None,
    optimum: Any = None,
    progress: Watch | None = None,
    **options: Any,
) -> Minima:
    """Train many times, say what each end is, and count the different ones modulo the cost's symmetry group.

    Run i has the same random numbers in every census of one seed. A run that the optimiser failed in (not converged, not
    critical) says nothing of the cost, and is never a bad minimum. Intervals are at 95 %.

    Args:
        cost: A cost; or a function of a width that returns a cost, or ``(cost, test data)``.
        runs: How many, at each width.
        widths: For a function.
        engine: Where the runs are made: "local" (here), "processes", "processes:4", "ray", "ray:ADDRESS", "slurm", or an
            engine (:mod:`jensen.run.engines`).
        journal: Where finished units are kept: a path, or an open journal. A census that was cut short, or is asked
            again with more runs, goes on from there; several processes may share one.
        test: For a cost: ``(x_test, y_test)``, another cost with the same blocks, or a function of the blocks.
        bad: A minimum is bad where J lies more than this above the best known (or certified) value; by default a hundredth
            of the way from there to the median of J where runs start.
        optimum: A certified least value, or a function of the width that gives one: a number, or an object with ``lower``.
        progress: Called with figures whenever a unit finishes.
        options: How runs are made: ``optimiser``, ``step``, ``steps``, ``batch``, ``init``, ``polish``, ``seed``, ...
            (:class:`jensen.ask.minima.spec.Spec`).

    Raises:
        Misuse: For a question that cannot be asked like this, with the remedy.
        jensen.run.packing.UnitLost: Where a unit's worker died again and again; what had finished is in the journal.
    """
    begun = time.perf_counter()
    asked = spec(**options)
    _check(runs, bad)
    book = journal if journal is None or isinstance(journal, Journal) else Journal(journal)
    given = subjects(cost, widths, test)
    counted = Progress(progress)
    settled, kept = _made(given, runs, asked, engine, book, counted)
    found = [_summed(p, runs, kept, bad, _certified(optimum, p)) for p in settled]
    return summing.census(found, asked, time.perf_counter() - begun, counted.before)


def _made(
    given: list[Subject], runs: int, asked: Spec, engine: Any, book: Journal | None, counted: Progress
) -> tuple[list[Planned], dict[str, Kept]]:
    """All runs of all subjects, on an engine."""
    where, ours = engine_of(engine)
    try:
        threads = 1 if where.isolated else torch.get_num_threads()
        settled = [planned(one, asked, runs, book, threads) for one in given]
        everything = [u for p in settled for u in units(p, runs, where.isolated)]
        counted.units = len(everything)
        return settled, work(everything, where, book, counted.told)
    finally:
        if ours:
            where.close()


def _summed(
    one: Planned, runs: int, kept: Mapping[str, Kept], bad: float | None, optimum: float | None
) -> summing.Summed:
    ends = ended(one, runs, kept)
    return summing.width(one, ends, group_of(one.subject.cost, one.symmetry), bad, optimum)


def _check(runs: Any, bad: Any) -> None:
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        raise Misuse(f"runs={runs!r}: it is a whole number, 1 or more")
    if bad is not None and not float(bad) > 0:
        raise Misuse(f"bad={bad!r}: it is how far above the best a bad minimum lies, a positive number")


def _certified(optimum: Any, one: Planned) -> float | None:
    """The certified least value of a subject; None without one."""
    found: Any = optimum(one.subject.width) if callable(optimum) else optimum
    found = getattr(found, "lower", found)
    try:
        return None if found is None else float(found)
    except (TypeError, ValueError):
        raise Misuse(
            f"optimum={optimum!r}: give a number, an answer of jensen.optimum, or a function of the width"
        ) from None
