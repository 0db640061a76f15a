"""Freeze some blocks: the maximal sets in which the cost is convex as it stands."""

from __future__ import annotations

from jensen.ask.blocks import Lattice
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.edit import Edit, Names, count, remedy
from jensen.ask.remedies.ground import Ground, proof
from jensen.ask.remedies.surgery import fixed
from jensen.kernel.check import Claim
from jensen.trace import trace

MOST = 3  # sets that are offered
SMALL = 24  # blocks, for the search with the others where they are


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that freeze, and why there is none."""
    edit = Edit("freeze")
    found = [r for s in ground.maximal[:MOST] if (r := ground.offer(edit, ground.problem, s, cost=ground.cost))]
    return found + _where_they_are(ground), "it is convex in no set of blocks alone"


class Here(Lattice):
    """Which sets of blocks have a proof while the others stay as they are."""

    def __init__(self, ground: Ground):
        super().__init__(ground.problem, ground.within)
        self.values = {n: t.numpy() for n, t in ground.cost.theta.items()}

    def proved(self, names: Names) -> bool:
        """Whether there is a proof for this set."""
        key = frozenset(names)
        if key not in self.known:
            problem = fixed(self.problem, {n: v for n, v in self.values.items() if n not in key}) if key else None
            part = {n: b for n, b in self.within.items() if n in key}
            self.known[key] = not key or (problem is not None and Lattice(problem, part).proved(tuple(problem.blocks)))
        return self.known[key]


def _where_they_are(ground: Ground) -> list[Remedy]:
    """Sets in which J is convex with the other blocks at their current values, and not at every value."""
    if len(ground.names) > SMALL or ground.late():
        return []
    lattice = Here(ground)
    lattice.explore()
    sets = sorted((s for s in lattice.maximal if not ground.known(s)), key=lambda s: -count(ground.problem, s))
    return [r for s in sets[:MOST] if (r := _here(ground, s)) is not None]


def _here(ground: Ground, names: Names) -> Remedy | None:
    cost = ground.cost.restrict(names)
    problem = trace(cost).problem
    finding = proof(problem, Claim("convex", names, ground.inside(problem)))
    if finding is None:
        return None
    return remedy(
        ground.done.then(Edit("freeze", values="the current values")),
        ground.problem,
        finding,
        function=ground.function,
        cost=cost,
        here=True,
    )
