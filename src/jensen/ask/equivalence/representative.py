"""A representative of a point's orbit: its normal form, units in the order of their colours, signs from the strongest entries.

The same that ``equivalent`` does with two points, with one: what it compares there tells the order here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.equivalence.canonical import Normal, followed, normal, unshifted
from jensen.ask.equivalence.chains import chain, straightened
from jensen.ask.equivalence.formal import formal
from jensen.ask.equivalence.layout import Placed, placed
from jensen.ask.equivalence.match import ordered
from jensen.ask.equivalence.polish import distance
from jensen.ask.equivalence.signs import solved
from jensen.ask.symmetry.group import Factor, Step

Theta = dict[str, Tensor]
CLOSE = 1e-9  # of colours
REACHED = 1e-6  # of a normal form by the moves there: the others end in the closure of the orbit
POWER = 0.7  # of an entry's magnitude in its vote: balanced sites have equal squares, and votes of opposite signs would cancel


@dataclass(frozen=True, eq=False)
class Representative:
    """What stands for an orbit.

    Attributes:
        coordinates: The point, in the coordinates in which the factors act; float64.
        steps: The permutations and signs on the way there, in the order in which they apply.
        reached: Whether it is on the orbit; else it is in its closure.
    """

    coordinates: Theta
    steps: list[Step]
    reached: bool


def representative(factors: Sequence[Factor], coordinates: Mapping[str, Tensor]) -> Representative:
    """The point that stands for the orbit of a point, which is given in the coordinates in which the factors act."""
    start = {n: coordinates[n].double() for n in sorted(coordinates)}  # the order of blocks decides which is which
    form = formal(factors)
    origin = form.to(unshifted(factors, start)[0])
    found = normal(form.plain, origin)
    places = placed(form.plain, {n: tuple(t.shape) for n, t in origin.items()})
    x, steps = ordered(places, found.coordinates, CLOSE)
    for f, signs in zip(places, _signs(places, x), strict=True):
        if bool((signs < 0).any()):
            step = Step(f.factor, f.element(signs))
            x = f.factor.act(step.element, x)
            steps.append(step)
    x, reached = _straight(form.plain, _lost(form.plain, origin, found), origin, x, [*found.steps, *steps])
    return Representative(form.back(x), form.real(steps), reached)


def _straight(
    plain: Sequence[Factor], lost: Sequence[Factor], origin: Theta, x: Theta, steps: Sequence[Step]
) -> tuple[Theta, bool]:
    """The point with those matrices that lead out of the orbit in their own normal form, and whether it is on the orbit then.

    All other steps are kept: they settle the ends of a chain, and leave it alone inside.
    """
    out, left = dict(x), list(lost)
    for f in lost:
        row = chain(f, plain, origin) if f in left else None
        if row is not None:
            straight = straightened(row, followed([s for s in steps if s.factor not in row.factors], origin))
            out |= straight or {}
            left = left if straight is None else [g for g in left if g not in row.factors]
    return out, not left


def _lost(plain: Sequence[Factor], x: Theta, found: Normal) -> list[Factor]:
    """The matrix factors that move a block whose normal form no move reaches."""
    matrices = [f for f in plain if f.kind == "linear"]
    reached = followed(found.steps, x) if matrices else {}
    far = {n for n, t in reached.items() if distance({n: t}, {n: found.coordinates[n]}) > REACHED}
    return [f for f in matrices if any(s.block in far for s in f.sites)]


def _signs(factors: Sequence[Placed], x: Mapping[str, Tensor]) -> list[Tensor]:
    """For each factor the signs that make the strongest entries positive, blocks weighted unlike."""
    weights = 0.5 + torch.rand(len(x), generator=torch.Generator().manual_seed(30), dtype=torch.float64)
    votes = {n: w * t.abs() ** POWER for w, (n, t) in zip(weights, x.items(), strict=True)}
    return solved(factors, x, votes)
