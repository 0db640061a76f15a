"""What a watch saw: its records in the order of the steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from jensen.errors import Misuse
from jensen.finding import plain, shown
from jensen.run.journal import Journal

KIND = "watch"


@shown
@dataclass(frozen=True)
class Trajectory:
    """The curvature along a training run.

    Attributes:
        records: One dict a measurement, steps increasing, with the fields that ``docs/watch.md`` lists. Numbers that are
            not finite are floats here, and strings in ``to_dict()`` and in journals.
        run: The run's name in its journal.
    """

    records: tuple[dict[str, Any], ...]
    run: str = ""

    @classmethod
    def read(cls, journal: str | PathLike[str] | Journal, run: str | None = None) -> Trajectory:
        """From a journal: the named run, or the one that began last.

        Raises:
            Misuse: Where the journal holds no such run.
        """
        journal = journal if isinstance(journal, Journal) else Journal(journal)
        runs = held(journal)
        if not runs or (run is not None and run not in runs):
            others = f"; its runs are {', '.join(runs)}" if runs else ""
            raise Misuse(f"the journal {journal.path} holds no watched run{f' {run!r}' if run else ''}{others}")
        chosen = list(runs)[-1] if run is None else run
        return cls(in_order(_numbers(r) for r in runs[chosen]), chosen)

    @property
    def steps(self) -> list[int]:
        """The steps at which it was measured."""
        return [r["step"] for r in self.records]

    def series(self, name: str) -> list[float]:
        """One field over the steps, NaN where it was not measured; of a list of eigenvalues the outermost."""
        if self.records and not any(name in r for r in self.records):
            raise Misuse(f"{name!r} is no field of a record; the fields are {', '.join(self.records[0])}")
        return [_figure(r.get(name)) for r in self.records]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know, in sentences."""
        skipped = sum(r["skipped"] for r in self.records)
        failed = [f"step {r['step']}: {r['error']}" for r in self.records if r["error"]]
        words = sorted({r["index_words"] for r in self.records if r["index_words"]})
        cap = [f"{skipped} measurements were left out to keep within the share of training time"] if skipped else []
        return (*words, *cap, *failed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return plain({"run": self.run, "records": self.records, "notes": self.notes})


def held(journal: Journal) -> dict[str, list[dict[str, Any]]]:
    """The records of each watched run in a journal, by its name, in the order in which the runs began."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for r in journal.read():
        if r.get("kind") == KIND:
            runs.setdefault(r["run"], []).append(r)
    return runs


def in_order(records: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Records with increasing steps: a run that went back to a checkpoint takes over from there."""
    kept: list[dict[str, Any]] = []
    for r in records:
        resumed = r.get("resumed")
        while kept and (kept[-1]["step"] >= r["step"] or (resumed is not None and kept[-1]["step"] > resumed)):
            kept.pop()
        kept.append(dict(r))
    return tuple(kept)


def _figure(value: Any) -> float:
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if isinstance(value, Mapping):
        value = value.get("value")
    return float("nan") if value is None else float(value)


def _numbers(value: Any) -> Any:
    """The strings that stand for numbers that are not finite, as floats again."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return float(value) if value in ("nan", "inf", "-inf") else value
