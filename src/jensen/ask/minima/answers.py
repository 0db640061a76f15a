"""What ``minima`` answers, as frozen data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from jensen.ask.curvature.answers import Estimate, Record
from jensen.ask.minima.spread import Spread
from jensen.finding import shown

FAILURES = ("not critical", "not converged")  # of the optimiser: no statement about the cost


@dataclass(frozen=True)
class Distinct(Record):
    """Ends that are the same point up to the symmetry group, or that are counted as one.

    Attributes:
        kind: minimum, saddle, maximum, degenerate, not critical, at infinity, not converged.
        value: The lowest J among them.
        index: Negative eigenvalues of the Hessian there.
        share: Of all runs of its width.
        interval: Wilson's 95 % interval of the share.
        orbit: How many copies of the point the symmetry group makes (of the connected pieces of its orbit, where the group
            is continuous); None where that is not known.
        how: Finer than kind: strict, symmetry, global, flat, ...
        runs: How many runs ended here.
        width: Of a family; None for a single cost.
        test: The mean test loss of these runs; None without test data.
        counted: "modulo symmetry", "as points" (no symmetry is known), "by value" (ends that are not isolated), or
            "together" (failures, and runs that go to infinity).
        theta: The point of the first of these runs, where it is one.
    """

    kind: str
    value: float
    index: int
    share: float
    interval: tuple[float, float]
    orbit: int | None
    how: str = ""
    runs: int = 0
    width: int | None = None
    test: float | None = None
    counted: str = "modulo symmetry"
    theta: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)

    def keys(self) -> Iterator[str]:
        """Names of the fields that are plain data: all but the point."""
        return (f.name for f in fields(self) if f.name != "theta")


@dataclass(frozen=True)
class Run(Record):
    """One run: where it ended.

    Attributes:
        run: Its number.
        width: Of a family.
        kind, how, value, index, gradient_norm: As of the end.
        trained: J where the training stopped, before it was polished.
        train: The loss there without the penalty.
        test: The test loss; None without test data.
        steps, settled: Of the training; the first step whose gradient's norm was at most epsilon.
        place: Which of ``Minima.ends`` it is.
    """

    run: int
    width: int | None
    kind: str
    how: str
    value: float
    index: int
    gradient_norm: float
    trained: float
    train: float
    test: float | None
    steps: int
    settled: int | None
    place: int


@dataclass(frozen=True)
class Share(Record):
    """A share of runs with Wilson's 95 % interval."""

    count: int
    of: int
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Bad(Record):
    """Minima far above the best.

    Attributes:
        count, of, share, interval: Of the runs that ended in a minimum, those above; failures are in neither number.
        above: The value from which a minimum is bad: ``reference`` plus the threshold.
        reference: The best value known, or the certified optimum.
        certified: Whether the reference was given as the optimum.
    """

    count: int
    of: int
    share: float
    interval: tuple[float, float]
    above: float
    reference: float
    certified: bool


@dataclass(frozen=True)
class Width(Record):
    """One cost of a family, or the only one.

    Attributes:
        width: None for a single cost.
        parameters: How many.
        runs: How many.
        counts: Runs of each kind.
        distinct: Different isolated minima found: the least and the greatest number, where pairs were undecided.
        missing: The chance that the next run ends in a class not seen yet (Good-Turing), with its 95 % interval; None where
            ends are not isolated.
        best: The lowest value of any run.
        train, test: Their spread over all runs that ended somewhere finite; test is None without test data.
        correlation: Of train and test loss over these runs, with its 95 % interval.
        bad: The share of bad ends.
        failed: The share of runs in which the optimiser failed.
        stationary: The share of runs that met a gradient norm of epsilon.
        steps: Their steps to it.
        modulo: The symmetry group in words, or why points were compared as they are.
        notes: What else is to be said.
    """

    width: int | None
    parameters: int
    runs: int
    counts: Mapping[str, int]
    distinct: tuple[int, int]
    missing: Estimate | None
    best: float
    train: Spread | None
    test: Spread | None
    correlation: Estimate | None
    bad: Bad
    failed: Share
    stationary: Share
    steps: Spread | None
    modulo: str
    notes: tuple[str, ...] = ()


@shown
@dataclass(frozen=True)
class Minima(Record):
    """A census: where many trainings end.

    Attributes:
        runs: How many, over all widths.
        counts: Runs of each kind, over all widths.
        ends: The distinct ends, by width and value, each ``{kind, value, index, share, interval, orbit, ...}``.
        widths: One summary a width; one in all for a single cost.
        points: Every run.
        statement: What was found, in a sentence.
        epsilon: The gradient's norm that counts as stationary.
        asked: How the runs were made.
        seconds: How long it took, now.
        resumed: How many runs were in the journal before.
    """

    runs: int
    counts: Mapping[str, int]
    ends: tuple[Distinct, ...]
    widths: tuple[Width, ...]
    points: tuple[Run, ...] = field(repr=False)
    statement: str
    epsilon: float
    asked: Mapping[str, Any] = field(repr=False)
    seconds: float = 0.0
    resumed: int = 0
