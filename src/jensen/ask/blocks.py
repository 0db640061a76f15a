"""In which sets of blocks is the cost convex, and which conflicts forbid the others?

Convexity in a set is inherited by its subsets, so the answer is an antichain of maximal sets; dually, the minimal sets
in which it fails. Both are found together: grow a candidate that avoids all known conflicts; where there is a proof it
is maximal; where there is none, cut it to a minimal conflict (Fredman and Khachiyan's duality; Gunopulos et al. 2003,
"Dualize and Advance"). Conflicts need not be pairs, and there can be exponentially many maximal sets.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from jensen.ask import refute
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse, spendable
from jensen.finding import shown
from jensen.kernel import check as kernel
from jensen.kernel.check import Box, Claim
from jensen.kernel.claims import rules
from jensen.kernel.claims.explain import explain
from jensen.kernel.errors import Rejected, Unmodelled
from jensen.kernel.program import Problem
from jensen.trace import Uncaptured, trace

MAXIMAL = 64
TRANSVERSALS = 4096
QUADRATIC = 64

Names = tuple[str, ...]


@dataclass(frozen=True)
class Conflict:
    """A minimal set of blocks in which the cost is not convex, and the operation that makes it so."""

    blocks: Names
    node: str
    module: str
    why: str


@shown
@dataclass(frozen=True)
class Blocks:
    """The answer.

    Attributes:
        maximal: Sets of blocks in which J is proved convex for every value of the others; none can be enlarged
            within what is proved. At most 64.
        conflicts: Minimal sets in which J is refuted to be convex, each by a chord that the kernel accepted.
        unknown: Minimal sets without proof or refutation.
        complete: Whether every set of blocks lies in a maximal one or contains a conflict.
        seconds: How long it took.
    """

    maximal: tuple[Names, ...]
    conflicts: tuple[Conflict, ...]
    unknown: tuple[Names, ...]
    complete: bool
    seconds: float
    names: Names = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "maximal": [list(s) for s in self.maximal],
            "conflicts": [
                {"blocks": list(c.blocks), "node": c.node, "module": c.module, "why": c.why} for c in self.conflicts
            ],
            "unknown": [list(s) for s in self.unknown],
            "complete": self.complete,
            "seconds": self.seconds,
        }


def blocks(cost: Cost, budget: float = 60.0) -> Blocks:
    """The maximal sets of blocks in which J is convex for every value of the others, and the minimal conflicts.

    Args:
        cost: The cost.
        budget: Seconds for the counterexamples; what is not settled in that time is listed as unknown.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    spendable(budget)
    start = time.perf_counter()
    try:
        problem = trace(cost).problem
    except Uncaptured:  # nothing can be said
        return Blocks((), (), tuple((n,) for n in cost.blocks), False, time.perf_counter() - start, tuple(cost.blocks))
    lattice = Lattice(problem)
    lattice.explore()
    conflicts, unknown = [], []
    stop = time.perf_counter() + budget
    for k, names in enumerate(sorted(lattice.conflicts, key=lambda s: (len(s), [lattice.order[n] for n in s]))):
        left = max(stop - time.perf_counter(), 0.0)
        share = max(left / (len(lattice.conflicts) - k) * 3, 0.05)
        claim = Claim("convex", names, {})
        found = (
            refute.refute(cost, problem, claim, min(share, left), picture=False) if left > 0 else refute.Refutation()
        )
        if found.accepted is None:
            unknown.append(names)
        else:
            conflicts.append(lattice.conflict(names))
    maximal = sorted(lattice.maximal, key=lambda s: [lattice.order[n] for n in s])
    complete = lattice.exhausted and not unknown
    return Blocks(
        tuple(maximal), tuple(conflicts), tuple(unknown), complete, time.perf_counter() - start, tuple(cost.blocks)
    )


class Lattice:
    """Which sets of blocks have a proof, within a box, or in the ideal reading."""

    def __init__(self, problem: Problem, within: Box | None = None, ideal: bool = False):
        self.problem, self.names, self.ideal = problem, (names := tuple(problem.blocks)), ideal
        self.within = {n: box for n, box in (within or {}).items() if n in problem.blocks}
        self.order = {n: i for i, n in enumerate(names)}
        self.known: dict[frozenset[str], bool] = {}
        self.conflicts: list[Names] = []
        self.maximal: list[Names] = []
        self.exhausted = True
        self.small = sum(int(_size(s)) for s in problem.blocks.values()) <= QUADRATIC

    def proved(self, names: Names) -> bool:
        """Whether there is a proof for this set."""
        key = frozenset(names)
        if not key:
            return True
        if key not in self.known:
            claim = Claim("convex", tuple(n for n in self.names if n in key), self.within, self.ideal)
            by_rules = refute.provable(self.problem, claim, claim.blocks)
            self.known[key] = by_rules or (self.small and not self.ideal and self._quadratic(claim))
        return self.known[key]

    def _quadratic(self, claim: Claim) -> bool:
        try:
            kernel.check(self.problem, claim, {"method": "quadratic"}, registry())
        except Rejected:
            return False
        return True

    def explore(self) -> None:
        """Find all maximal sets and minimal conflicts, or as many as the limits allow."""
        for n in self.names:
            if not self.proved((n,)):
                self.conflicts.append((n,))
        free = [n for n in self.names if self.proved((n,))]
        hitting: list[frozenset[str]] = [frozenset()]
        done: set[frozenset[str]] = set()
        while True:
            candidate = next((h for h in hitting if h not in done), None)
            if candidate is None:
                return
            rest = tuple(n for n in free if n not in candidate)
            if self.proved(rest):
                done.add(candidate)
                if rest:
                    self.maximal.append(rest)
                if len(self.maximal) >= MAXIMAL:
                    self.exhausted = all(h in done for h in hitting)
                    return
                continue
            conflict = self.cut(rest)
            self.conflicts.append(conflict)
            hitting = _hit(hitting, frozenset(conflict))
            if len(hitting) > TRANSVERSALS:
                self.exhausted = False
                hitting = hitting[:TRANSVERSALS]

    def cut(self, names: Names) -> Names:
        """A minimal subset without proof, by halving (Junker 2004, QuickXplain)."""

        def needed(background: Names, last: bool, rest: Names) -> Names:
            if last and not self.proved(background):
                return ()
            if len(rest) == 1:
                return rest
            half = len(rest) // 2
            left, right = rest[:half], rest[half:]
            second = needed(background + left, True, right)
            first = needed(background + second, bool(second), left)
            return first + second

        found = needed((), False, names)
        return tuple(n for n in self.names if n in found)

    def conflict(self, names: Names) -> Conflict:
        """A refuted set with the operation to blame."""
        claim = Claim("convex", names, {})
        for k, term in enumerate(self.problem.terms):
            try:
                if rules.shows(rules.term_fact(self.problem, k, claim, registry()), "convex"):
                    continue
                no = explain(self.problem, k, claim, registry())
            except Unmodelled as e:
                no = e
            module = next((n.module for n in term.program.nodes if n.name == no.node), "")
            return Conflict(names, no.node, module, no.why)
        return Conflict(names, "sum of chunks", "", "the sum over the chunks loses it")


def _hit(hitting: list[frozenset[str]], conflict: frozenset[str]) -> list[frozenset[str]]:
    """Minimal transversals after one more set to hit (Berge)."""
    good = [h for h in hitting if h & conflict]
    new = {h | {n} for h in hitting if not h & conflict for n in conflict}
    return good + sorted((h for h in new if not any(g <= h for g in good)), key=sorted)


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for k in shape:
        n *= k
    return n
