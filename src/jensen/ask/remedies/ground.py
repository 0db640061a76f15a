"""What every kind of remedy starts from: the cost as it stands, and the proofs that are tried on a changed one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from jensen.ask import refute
from jensen.ask.blocks import Lattice
from jensen.ask.convexity import PROOFS
from jensen.ask.diagram import steps
from jensen.atoms import registry
from jensen.certificate import Certificate
from jensen.cost import Cost
from jensen.finding import Finding, Verdict
from jensen.kernel import check as kernel
from jensen.kernel.check import Box, Claim
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

Names = tuple[str, ...]

REASONS = {"rules": "by the composition rules", **PROOFS}


@dataclass(frozen=True)
class Ground:
    """The cost as it stands.

    Attributes:
        cost: The cost.
        problem: Its programs.
        maximal: The sets of blocks in which it is proved convex for every value of the others.
        within: The box that is asked about; empty for everywhere.
        start, stop: When the search began, and when to stop (``time.perf_counter``).
    """

    cost: Cost
    problem: Problem
    maximal: tuple[Names, ...]
    within: Box
    start: float
    stop: float

    @property
    def names(self) -> Names:
        return tuple(self.problem.blocks)

    def late(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() > self.stop

    def known(self, names: Iterable[str]) -> bool:
        """Whether the cost as it stands is proved convex in these blocks."""
        return any(set(names) <= set(s) for s in self.maximal)


def count(problem: Problem, names: Iterable[str]) -> int:
    """How many numbers the blocks hold."""
    return sum(prod(problem.blocks[n]) for n in names)


def proof(problem: Problem, claim: Claim, methods: Sequence[str] = ("rules", "quadratic")) -> Finding | None:
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


class Sets(Lattice):
    """Which sets of blocks have a proof, within a box, or in the ideal reading."""

    def __init__(self, problem: Problem, within: Mapping[str, Any], ideal: bool = False):
        super().__init__(problem, tuple(problem.blocks))
        self.within = {n: within[n] for n in within if n in problem.blocks}
        self.ideal = ideal

    def proved(self, names: Names) -> bool:
        """Whether there is a proof for this set."""
        key = frozenset(names)
        if not key:
            return True
        if key not in self.known:
            claim = self.claim(names)
            by_rules = refute.provable(self.problem, claim, claim.blocks)
            self.known[key] = by_rules or (self.small and not self.ideal and self._quadratic(claim))
        return self.known[key]

    def claim(self, names: Iterable[str]) -> Claim:
        """That the cost is convex in these blocks."""
        kept = set(names)
        return Claim("convex", tuple(n for n in self.names if n in kept), self.within, self.ideal)


def maximal(problem: Problem, within: Mapping[str, Any], ideal: bool = False) -> tuple[Names, ...]:
    """The maximal sets of blocks in which there is a proof, those with most parameters first."""
    lattice = Sets(problem, within, ideal)
    lattice.explore()
    return tuple(sorted(lattice.maximal, key=lambda s: -count(problem, s)))


def news(ground: Ground, sets: Iterable[Names]) -> Names | None:
    """The first set that has no proof as the cost stands."""
    return next((s for s in sets if not ground.known(s)), None)
