"""Freeze some blocks: the maximal sets in which the cost is convex as it stands."""

from __future__ import annotations

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function
from jensen.ask.remedies.ground import Ground, Names, Sets, count, proof
from jensen.ask.remedies.surgery import fixed
from jensen.ask.remedies.words import frozen_price, keep, share, varying
from jensen.kernel.check import Claim

MOST = 3  # sets that are offered
SMALL = 24  # blocks, for the search with the others where they are


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that freeze, and why there is none."""
    found = [r for names in ground.maximal[:MOST] if (r := _everywhere(ground, names))]
    found += _where_they_are(ground)
    more = len(ground.maximal) - MOST
    return found, f"{more} smaller or equal sets are not listed" if more > 0 else "it is convex in no set of blocks alone"


def _everywhere(ground: Ground, names: Names) -> Remedy | None:
    finding = proof(ground.problem, Claim("convex", names, ground.within))
    if finding is None:
        return None
    frozen = tuple(n for n in ground.names if n not in names)
    return Remedy(
        "freeze", _sentence(names, ground, True), frozen_price(ground.problem, frozen), share(ground.problem, frozen),
        names, keep(names, is_function(ground.cost)), finding, frozen,
        {}, ground.cost,
    )  # fmt: skip


def _sentence(names: Names, ground: Ground, anything: bool) -> str:
    text = varying(names, ground.problem, anything)
    return text[0].upper() + text[1:]


class Here(Sets):
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
            self.known[key] = not key or (problem is not None and Sets(problem, part).proved(tuple(problem.blocks)))
        return self.known[key]


def _where_they_are(ground: Ground) -> list[Remedy]:
    """Sets in which J is convex with the other blocks at their current values."""
    if len(ground.names) > SMALL or ground.late():
        return []
    lattice = Here(ground)
    lattice.explore()
    sets = sorted(lattice.maximal, key=lambda s: -count(ground.problem, s))
    found = [_here(ground, names) for names in sets if not ground.known(names)]
    return [r for r in found[:MOST] if r is not None]


def _here(ground: Ground, names: Names) -> Remedy | None:
    from jensen.trace import trace

    cost = ground.cost.restrict(names)
    problem = trace(cost).problem
    finding = proof(problem, Claim("convex", names, {n: b for n, b in ground.within.items() if n in names}))
    if finding is None:
        return None
    frozen = tuple(n for n in ground.names if n not in names)
    names_text = ", ".join(f'"{n}"' for n in names)
    return Remedy(
        "freeze", _sentence(names, ground, False), frozen_price(ground.problem, frozen, False),
        share(ground.problem, frozen), names, f"cost = cost.restrict([{names_text}])", finding, frozen, {}, cost,
    )  # fmt: skip


