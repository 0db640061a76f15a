"""J and its gradient by one backward pass of the cost itself, and how much of what is seen is rounding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from jensen.ask.curvature.nearby import Point
from jensen.cost import Cost

ROUNDING = 64  # units in the last place, by which J may be off


def rounding(point: Point, *values: float) -> float:
    """By how much rounding may change the difference of such values of J."""
    return ROUNDING * torch.finfo(point.cost.dtype).eps * max(abs(v) for v in values)


class Changes:
    """What J changes by between a point and others."""

    def __init__(self, point: Point):
        self.point = point

    @cached_property
    def here(self) -> float:
        """J at the point, as it is at the others: on the CPU, in the cost's type."""
        return value_after(self.point, torch.zeros(self.point.operator.n, dtype=torch.float64))

    def after(self, move: Tensor) -> tuple[float, float]:
        """The change after a flat move (n,), and how much of it may be rounding."""
        there = value_after(self.point, move)
        return there - self.here, rounding(self.point, self.here, there)


def value_and_gradient(cost: Cost, theta: Mapping[str, Tensor], names: Iterable[str]) -> tuple[Tensor, list[Tensor]]:
    """J at values of all blocks, and its gradient in some of them, each of its block's shape; zeros where it has no part."""
    leaves = {n: theta[n].detach().to("cpu", cost.dtype).clone().requires_grad_() for n in names}
    with torch.enable_grad():
        value = cost({**theta, **leaves})
        asked = list(leaves.values())
        if not value.requires_grad:
            return value, [torch.zeros_like(t) for t in asked]
        return value.detach(), list(torch.autograd.grad(value, asked, allow_unused=True, materialize_grads=True))


def after(point: Point, move: Tensor) -> tuple[float, Tensor]:
    """J and its gradient in the asked blocks after a flat move (n,), in float64 on the CPU; of all processes' data."""
    inner = point.operator.inner
    value, grads = value_and_gradient(point.cost, _moved(point, move), inner.flat.shapes)
    found = inner.shard.whole(torch.cat([t.reshape(-1) for t in (value, *grads)]).double())
    return float(found[0]), found[1:]


def value_after(point: Point, move: Tensor) -> float:
    """J after a flat move (n,), of all processes' data."""
    with torch.no_grad():
        return float(point.operator.inner.shard.whole(point.cost(_moved(point, move)).double()))


def _moved(point: Point, move: Tensor) -> dict[str, Tensor]:
    moves = point.operator.inner.unflatten(move)
    return {**point.at, **{n: (point.at[n].cpu().double() + m).to(point.cost.dtype) for n, m in moves.items()}}
