"""Groups with few elements: all of them are gone through, so that whether two points are one is always decided.

Translations of a whole block may come with them, and whole turns: where J has period 2 pi in every entry of a block, as
energies of oscillators and spins have, points that differ by turns are one state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor

from jensen.ask.symmetry.absorbed import corrected
from jensen.cost import Cost
from jensen.linalg.population import Population
from jensen.parts import FunctionPart
from jensen.trace import trace

MOST = 5_000  # elements
KINDS = ("permutation", "sign", "flip")
TURN = 2 * math.pi
TURNS = (1, -2, 5, -20, 60)  # so many at once are tried: J may be another formula far out
PARAMETERS = 200  # up to which turns are looked for
SAME = 1e-9  # of the gradient's largest entry: what is left of a difference after a turn

Theta = Mapping[str, Tensor]


def small(found: Any) -> bool:
    """Whether an answer of ``jensen.symmetries`` has few elements that can be listed, but for translations of whole blocks."""
    known = all(
        f.kind in KINDS or (f.kind == "translation" and f.size == 1 and len(f.sites) == 1) for f in found.factors
    )
    return known and not corrected(found) and found.order <= MOST


def apart(found: Any, a: Theta, b: Theta, turns: Sequence[str] = ()) -> float:
    """The least distance of b to a copy of a.

    Args:
        found: A small group.
        a, b: Points.
        turns: Blocks in which whole turns do not count.
    """
    moved = [f for f in found.factors if f.kind == "translation"]
    return min(_left({n: t - copy[n] for n, t in b.items()}, moved, turns) for copy in copies(found, a))


def _left(gap: dict[str, Tensor], moved: Sequence[Any], turns: Sequence[str]) -> float:
    """The length of a difference, without translations and turns."""
    for f in moved:
        site = f.sites[0]
        rows = site.rows(gap[site.block])
        gap[site.block] = site.put(
            gap[site.block], rows - (rows[:, :1] if site.block in turns else rows.mean(1)[:, None])
        )
    for name in turns:
        gap[name] = gap[name] - TURN * (gap[name] / TURN).round()
    return float(_flat(gap).norm())


def fixing(found: Any, theta: Theta, near: float, turns: Sequence[str] = ()) -> int:
    """How many of the listed elements leave a point where it is, but for a translation."""
    moved = [f for f in found.factors if f.kind == "translation"]
    return sum(_left({n: t - copy[n] for n, t in theta.items()}, moved, turns) <= near for copy in copies(found, theta))


def copies(found: Any, theta: Theta) -> Iterator[Theta]:
    """The point moved by every listed element of the group."""
    listed = [f for f in found.factors if f.kind in KINDS]
    for elements in product(*(_elements(f.kind, f.size) for f in listed)):
        yield found.move(list(zip(listed, elements, strict=True))).act(theta)


@lru_cache(maxsize=32)
def _elements(kind: str, n: int) -> tuple[Tensor, ...]:
    if kind == "permutation":
        return tuple(torch.tensor(p) for p in permutations(range(n)))
    return tuple(torch.tensor(s, dtype=torch.float64) for s in product((1.0, -1.0), repeat=n))


def _flat(theta: Theta) -> Tensor:
    return torch.cat([t.reshape(-1) for t in theta.values()])


def turning(cost: Cost) -> tuple[str, ...]:
    """The blocks of a function in every entry of which J has period 2 pi, as its values and derivatives at random points show."""
    n = sum(math.prod(s) for s in cost.blocks.values())
    if not isinstance(cost._private, FunctionPart) or n > PARAMETERS:
        return ()
    many = Population(trace(cost).problem)
    here = torch.randn(3, n, generator=torch.Generator().manual_seed(13), dtype=torch.float64)
    values, slopes = many.gradients(here)
    size = SAME * slopes.abs().amax(1)
    good = torch.ones(3, n, dtype=torch.bool)
    for turns in TURNS if many.switches else TURNS[:1]:
        there = here[:, None] + turns * TURN * torch.eye(n, dtype=torch.float64)
        turned, other = many.gradients(there.reshape(-1, n))
        good &= ((other.reshape(3, n, n) - slopes[:, None]).abs() <= size[:, None, None]).all(2)
        good &= (turned.reshape(3, n) - values[:, None]).abs() <= SAME * values.abs()[:, None]
    kept = {name: bool(t.all()) for name, t in many.blocks(good.all(0)[None].double()).items()}
    return tuple(name for name, yes in kept.items() if yes)
