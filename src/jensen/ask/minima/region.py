"""Steps of second order for a whole stack, from eigenvalues: what a trust region of some radius allows.

The minimiser of g'p + p'Hp/2 over |p| <= radius is p = -(H + mu I)^-1 g for the smallest mu >= 0 that makes H + mu I positive
semidefinite and p short enough; where g has no part along the lowest eigenvectors, a multiple of one is added (the hard
case; More and Sorensen 1983, "Computing a trust region step").
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 40
CLOSE = 1e-2  # the step's length need not be nearer to the radius


def trust_step(low: Tensor, slopes: Tensor, radius: Tensor) -> Tensor:
    """Steps in the eigenvectors' coordinates.

    Args:
        low: Eigenvalues (k, n), increasing.
        slopes: The gradient in the eigenvectors' coordinates, (k, n).
        radius: (k,), positive.
    """
    least = low[:, 0]
    floor = (-least).clamp(min=0.0)
    free = _shifted(low, slopes, torch.zeros_like(floor))
    inside = (least >= 0) & (free.norm(dim=1) <= radius)
    edge = _shifted(low, slopes, floor)
    hard = ~inside & (edge.norm(dim=1) < radius)
    short = (radius**2 - edge.norm(dim=1).clamp(max=torch.inf) ** 2).clamp(min=0.0).sqrt()
    down = torch.where(slopes[:, 0] > 0, -1.0, 1.0) * short
    edge = edge.clone()
    edge[:, 0] = torch.where(hard & (least < 0), edge[:, 0] + down, edge[:, 0])
    step = torch.where(inside[:, None], free, edge)
    rows = torch.nonzero(~inside & ~hard)[:, 0]
    if len(rows):
        mu = _multiplier(low[rows], slopes[rows], radius[rows], floor[rows])
        step[rows] = _shifted(low[rows], slopes[rows], mu)
    return torch.nan_to_num(step)


def _shifted(low: Tensor, slopes: Tensor, mu: Tensor) -> Tensor:
    """-(H + mu)^-1 g; a part without slope stays, whatever its eigenvalue is."""
    down = low + mu[:, None]
    return torch.where(slopes == 0, 0.0, -slopes / down.clamp(min=torch.finfo(low.dtype).tiny))


def _multiplier(low: Tensor, slopes: Tensor, radius: Tensor, floor: Tensor) -> Tensor:
    """The mu at which the step has nearly the radius' length: Newton's method on 1/length, kept between two bounds."""
    lower, upper = floor, floor + slopes.norm(dim=1) / radius + torch.finfo(low.dtype).tiny
    mu = upper
    for _ in range(ROUNDS):
        step = _shifted(low, slopes, mu)
        length = step.norm(dim=1)
        long_ = length > radius
        lower, upper = torch.where(long_, mu, lower), torch.where(long_, upper, mu)
        if bool(((length - radius).abs() <= CLOSE * radius).all()):
            break
        bend = (step**2 / (low + mu[:, None]).clamp(min=torch.finfo(low.dtype).tiny)).sum(1)
        new = mu + length**2 / bend * (length - radius) / radius
        mu = torch.where((new > lower) & (new < upper), new, (lower + upper) / 2)
    return mu
