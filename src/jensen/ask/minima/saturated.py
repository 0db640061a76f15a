"""Slopes that are tiny but real: a unit that has saturated, whose parameters J has nearly stopped to depend on.

Beside other parts of the gradient such a slope looks like rounding; against the rounding of its own coordinates it does not. No
step of second order removes it nearby, and along it J goes on falling, less and less.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.ask.minima.polish import EPS, scale_of
from jensen.linalg.population import Population

REAL = 256.0  # times the rounding of a coordinate: its slope is no rounding
LONG = 1e-6  # of the point's length: a Newton step of this length removes nothing nearby
PLACES = (1.0, 2.0, 4.0, 8.0)


def asleep(population: Population, points: Tensor) -> Tensor:
    """Which points have such slopes, (k,)."""
    values, slopes, rough = _slopes(population, points)
    real = torch.isfinite(slopes) & (slopes.abs() > REAL * rough) & (rough > 0)
    size = slopes.abs().where(real, 0.0).amax(1, keepdim=True)
    way = torch.where(real, -slopes, 0.0) / size.clamp(min=1e-300)
    out = (size[:, 0] > 0) & real.any(1)
    rows = torch.nonzero(out)[:, 0]
    if not len(rows):
        return out
    unit = way[rows] / way[rows].norm(dim=1, keepdim=True)
    bent = (population.products(points[rows], unit) * unit).sum(1)
    slope = (slopes[rows] * unit).sum(1).abs()
    step = slope / bent.abs().clamp(min=1e-300)
    good = (step > LONG * scale_of(points[rows])) & (slope > 0)
    before, value = slope, values[rows]
    for place in PLACES:
        reach = place * torch.minimum(step, 10 * scale_of(points[rows]))
        there, g = population.gradients(points[rows] + reach[:, None] * unit)
        now = -(g * unit).sum(1)
        good &= (now >= 0) & (now < 0.9 * before) & (there <= value + 16 * EPS * value.abs())
        before = now
    out[rows] = good
    return out


def _slopes(population: Population, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """J (k,), its gradient (k, n), and the rounding of each coordinate as three moves of the point by rounding show it."""
    values, slopes = population.gradients(points)
    rough = 4 * EPS * slopes.abs()
    numbers = torch.Generator().manual_seed(2)
    for _ in range(3):
        signs = torch.randn(points.shape[1], generator=numbers, dtype=torch.float64).sign().to(points.device)
        _, other = population.gradients(points * (1 + 2 * EPS * signs))
        rough = torch.maximum(rough, (other - slopes).abs())
    return values, slopes, rough
