"""Why is the cost not convex? The ledger of its curvature, of a chord, and the mechanisms."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from jensen.ask.convexity import check
from jensen.ask.diagram import bare
from jensen.ask.why import directions
from jensen.ask.why.answer import Eigenspace, Finite, Ledger, Mechanism, Share, Why
from jensen.ask.why.directions import COUNTEREXAMPLE, GIVEN, LOWEST, NOT_NEGATIVE
from jensen.ask.why.finite import finite as split_chord
from jensen.ask.why.independent import Disagreement
from jensen.ask.why.ledger import differentiable, mean_of
from jensen.ask.why.ledger import ledger as split
from jensen.cost import Cost
from jensen.errors import Misuse, spendable
from jensen.finding import Finding, Verdict
from jensen.trace import trace

__all__ = ["Eigenspace", "Finite", "Ledger", "Mechanism", "Share", "Why", "why"]

BUDGET = 10.0


def why(
    cost: Cost,
    direction: Any = None,
    at: Mapping[str, Any] | None = None,
    chord: Any = None,
    budget: float = BUDGET,
    mechanisms: bool = True,
    finding: Finding | None = None,
) -> Why:
    """The second derivative of J along a direction, and a chord's violation, split exactly over the operations.

    Without a direction or a chord the counterexample to convexity (searched for, or that of ``finding``) gives both, and
    Lanczos looks for the most negative curvature at the point; the answer tells the lower of the two directions first,
    and a summary over all directions of negative curvature that were found.

    Args:
        cost: The cost; ``cost.restrict(...)`` asks about some of its blocks.
        direction: Block -> tensor (zero where left out), or a flat vector in the blocks' order; only this one is looked
            along.
        at: The point, block -> tensor; the current parameters where left out.
        chord: A pair of points, each block -> tensor, whose violation J(a) + J(b) - 2 J(m) to split.
        budget: Seconds for the search for a counterexample, and for that of negative curvature.
        mechanisms: Whether to ask which mechanism breaks convexity by itself.
        finding: What ``jensen.check(cost)`` has answered, to save asking again.

    Raises:
        Misuse: For a question that cannot be asked like this; where torch's gradient of the cost is not the derivative of
            its value; or where shares do not sum to what they split, which is never passed over.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    spendable(budget)
    start = time.perf_counter()
    differentiable(cost)
    theta = {**cost.theta, **directions.point(cost, at or {}, "point 'at'")}
    asked = Asked(cost, theta)
    if direction is not None:
        asked.along(directions.unit(cost, direction), GIVEN)
    if chord is not None:
        asked.chord(directions.ends(cost, chord), direction is None)
    if direction is None and chord is None:
        asked.search(finding, budget)
    return asked.answer(_mechanisms(cost, at and theta, budget) if mechanisms else (), start)


def _mechanisms(cost: Cost, at: Mapping[str, Tensor] | None, budget: float) -> tuple[Mechanism, ...]:
    """What each mechanism does alone."""
    from jensen.ask.why.mechanisms import mechanisms

    return mechanisms(cost, at or None, budget=budget)


@dataclass
class Asked:
    """One question on its way to an answer."""

    cost: Cost
    theta: dict[str, Tensor]
    ledgers: list[Ledger] = field(default_factory=list)
    finite: Finite | None = None
    eigenspace: Eigenspace | None = None
    notes: list[str] = field(default_factory=list)

    def answer(self, alone: tuple[Mechanism, ...], start: float) -> Why:
        """The lowest direction first."""
        first = min(self.ledgers, key=lambda x: x.curvature)
        return Why(
            first.direction, first.curvature, first.shares, alone, first.loss_part, first.network_part,
            first.penalty_part, first.defect, first.source, self.finite, self.eigenspace, time.perf_counter() - start,
            tuple(self.ledgers), (*self.notes, *dict.fromkeys(n for x in self.ledgers for n in x.notes)),
            bare(trace(self.cost).problem.terms[0].program),
        )  # fmt: skip

    def along(self, direction: dict[str, Tensor], source: str) -> Ledger:
        found = split(self.cost, direction, self.theta, source)
        self.ledgers.append(found)
        return found

    def chord(self, ends: tuple[dict[str, Tensor], dict[str, Tensor]], direction: bool) -> None:
        """The finite ledger of the user's chord, and the ledger along it where no other direction is asked for."""
        self.finite = split_chord(self.cost, *ends)
        if direction:
            self.along(directions.unit(self.cost, {n: ends[1][n] - t for n, t in ends[0].items()}), GIVEN)

    def search(self, finding: Finding | None, budget: float) -> None:
        """The counterexample's direction, and those of negative curvature."""
        finding = check(self.cost, budget=budget) if finding is None else finding
        found = directions.chord_of(finding)
        if found is not None:
            self._counterexample(directions.ends(self.cost, found))
        elif finding.verdict == Verdict.PROVED:
            self.notes.append(f"nothing breaks it: {finding.statement}")
        else:
            self.notes.append(f"no counterexample: {finding.reason}")
        self._lowest(budget)

    def _counterexample(self, ends: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
        self.along(directions.unit(self.cost, {n: ends[1][n] - t for n, t in ends[0].items()}), COUNTEREXAMPLE)
        try:
            self.finite = split_chord(self.cost, *ends)
        except Disagreement:
            raise
        except Misuse as e:
            self.notes.append(f"no finite ledger of the counterexample: {e}")

    def _lowest(self, budget: float) -> None:
        try:
            vectors, pairs = directions.lowest(self.cost, self.theta, budget)
        except Misuse as e:
            if not self.ledgers:
                raise
            self.notes.append(f"no search for negative curvature at the point: {e}")
            return
        lowest = split(self.cost, vectors[0], self.theta, LOWEST)
        negative = float(pairs.values[0]) < 0 and lowest.curvature < 0
        self.ledgers.append(lowest if negative else replace(lowest, source=NOT_NEGATIVE))
        if not negative:
            self.notes.append("no direction of negative curvature was found at the point")
            return
        books = [self.ledgers[-1], *(split(self.cost, v, self.theta, LOWEST) for v in vectors[1:])]
        found = [(b, float(r)) for b, r in zip(books, pairs.residuals, strict=True) if b.curvature < 0]
        if found:
            values, residuals = tuple(b.curvature for b, _ in found), tuple(r for _, r in found)
            self.eigenspace = Eigenspace(values, residuals, mean_of([b for b, _ in found]))
