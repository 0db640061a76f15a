"""What every kind of remedy starts from: the cost as it stands, and the proofs that are tried on a changed one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jensen.ask.blocks import Lattice
from jensen.ask.convexity import PROOFS
from jensen.ask.diagram import steps
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function
from jensen.ask.remedies.edit import Edit, Names, count, remedy
from jensen.atoms import registry
from jensen.certificate import Certificate
from jensen.cost import Cost
from jensen.finding import Finding, Verdict
from jensen.kernel import check as kernel
from jensen.kernel.check import Box, Claim
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

REASONS = {"rules": "by the composition rules", **PROOFS}
METHODS = ("rules", "quadratic")


@dataclass(frozen=True)
class Ground:
    """The cost as it stands.

    Attributes:
        cost: The cost.
        problem: Its programs.
        maximal: The sets of blocks in which it is proved convex for every value of the others.
        within: The box that is asked about; empty for everywhere.
        start, stop: When the search began, and when to stop (``time.perf_counter``).
        done: What has been changed already.
    """

    cost: Cost
    problem: Problem
    maximal: tuple[Names, ...]
    within: Box
    start: float
    stop: float
    done: Edit = Edit()  # noqa: RUF009

    @property
    def names(self) -> Names:
        return tuple(self.problem.blocks)

    @property
    def function(self) -> bool:
        """Whether the cost was made with ``Cost.of``."""
        return is_function(self.cost)

    def late(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() > self.stop

    def part(self, share: float) -> Ground:
        """The same, with a share of the time for all kinds."""
        return replace(self, stop=min(self.stop, time.perf_counter() + share * (self.stop - self.start)))

    def known(self, names: Iterable[str]) -> bool:
        """Whether the cost as it stands is proved convex in these blocks."""
        return any(set(names) <= set(s) for s in self.maximal)

    def inside(self, problem: Problem) -> Box:
        """The asked box, for the blocks that a changed problem still has."""
        return {n: b for n, b in self.within.items() if n in problem.blocks}

    def news(self, problem: Problem, ideal: bool = False) -> Names | None:
        """The largest set in which the changed problem is proved convex and the cost as it stands is not."""
        return next((s for s in maximal(problem, self.inside(problem), ideal) if not self.known(s)), None)

    def offer(
        self,
        edit: Edit,
        problem: Problem,
        blocks: Names,
        *,
        cost: Cost | None = None,
        within: Box | None = None,
        ideal: bool = False,
        methods: Sequence[str] = METHODS,
        asks: bool = False,
    ) -> Remedy | None:
        """The remedy, where the kernel accepts a proof about the changed problem."""
        box = self.inside(problem) if within is None else within
        finding = proof(problem, Claim("convex", blocks, box, ideal), methods)
        if finding is None:
            return None
        whole = self.done.then(edit)
        return remedy(whole, problem, finding, function=self.function, cost=cost, asks=asks)


def proof(problem: Problem, claim: Claim, methods: Sequence[str] = METHODS) -> Finding | None:
    """A finding with the kernel's certificate, by the first method that it accepts."""
    start = time.perf_counter()
    for method in methods:
        evidence = {"method": method}
        try:
            accepted = kernel.check(problem, claim, evidence, registry())
        except Rejected:
            continue
        certificate = Certificate(problem, claim, evidence)
        seconds = time.perf_counter() - start
        drawn = steps(problem, claim, None)
        return Finding(
            Verdict.PROVED, accepted.statement, REASONS[method], claim.kind, claim.blocks, evidence,
            seconds, drawn, certificate,
        )  # fmt: skip
    return None


def maximal(problem: Problem, within: Mapping[str, Any], ideal: bool = False) -> tuple[Names, ...]:
    """The maximal sets of blocks in which there is a proof, those with most parameters first."""
    lattice = Lattice(problem, within, ideal)
    lattice.explore()
    return tuple(sorted(lattice.maximal, key=lambda s: -count(problem, s)))
