"""A representative of a point's orbit: its normal form, units in the order of their colours, signs from the strongest entries.

The same that ``equivalent`` does with two points, with one: what it compares there tells the order here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jensen.ask.equivalence.canonical import normal, unshifted
from jensen.ask.equivalence.formal import formal
from jensen.ask.equivalence.layout import Placed, placed
from jensen.ask.equivalence.match import ordered
from jensen.ask.equivalence.signs import solved
from jensen.ask.symmetry.group import Factor, Step

Theta = dict[str, Tensor]
CLOSE = 1e-9  # of colours
POWER = 0.7  # of an entry's magnitude in its vote: balanced sites have equal squares, and votes of opposite signs would cancel


def representative(factors: Sequence[Factor], coordinates: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """The point that stands for the orbit, in the coordinates in which the factors act, float64; and how units moved to it.

    The steps told are the permutations and signs, in the order in which they apply.
    """
    start = {n: coordinates[n].double() for n in sorted(coordinates)}  # the order of blocks decides which is which
    form = formal(factors)
    x = normal(form.plain, form.to(unshifted(factors, start)[0])).coordinates
    places = placed(form.plain, {n: tuple(t.shape) for n, t in x.items()})
    x, steps = ordered(places, x, CLOSE)
    for f, signs in zip(places, _signs(places, x), strict=True):
        if bool((signs < 0).any()):
            step = Step(f.factor, f.element(signs))
            x = f.factor.act(step.element, x)
            steps.append(step)
    return form.back(x), form.real(steps)


def _signs(factors: Sequence[Placed], x: Mapping[str, Tensor]) -> list[Tensor]:
    """For each factor the signs that make the strongest entries positive, blocks weighted unlike."""
    weights = 0.5 + torch.rand(len(x), generator=torch.Generator().manual_seed(30), dtype=torch.float64)
    votes = {n: w * t.abs() ** POWER for w, (n, t) in zip(weights, x.items(), strict=True)}
    return solved(factors, x, votes)
