"""Kinks at points: changes of J over a tiny distance that its gradient and Hessian do not explain."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.ask.minima.polish import EPS, Local, scale_of
from jensen.linalg.population import Population

STEP, DIRECTIONS = 1e-6, 3


def kinks(population: Population, points: Tensor, local: Local) -> Tensor:
    """Curvature that the Hessian does not explain, (k,); 0 where J looks smooth.

    What is left of J beyond second order shrinks by eight and more when a step is halved if J is smooth, but by two where
    the slope jumps at the point and by four where the curvature does.
    """
    h = STEP * scale_of(points)
    norm = local.low.abs().amax(1)
    numbers = torch.Generator().manual_seed(0)
    worst = torch.zeros_like(h)
    for _ in range(DIRECTIONS):
        v = torch.randn(points.shape[1], generator=numbers, dtype=torch.float64).to(points.device)
        v = v / v.norm()
        bent = (torch.einsum("kij,i->kj", local.vectors, v) ** 2 * local.low).sum(1)
        slope = local.slopes @ v
        for sign in (1.0, -1.0):
            whole, top = _left(population, points, local, v, sign * h, slope, bent)
            half, other = _left(population, points, local, v, sign * h / 2, slope, bent)
            noise = 64 * EPS * torch.stack([local.values.abs(), top, other]).amax(0) + 8 * local.noise[0]
            found = (whole.abs() > 0.1 * h**2 * norm + noise) & (half.abs() > whole.abs() / 5.5)
            worst = torch.where(found, torch.maximum(worst, whole.abs() / h**2), worst)
    return worst


def _left(
    population: Population, points: Tensor, local: Local, v: Tensor, s: Tensor, slope: Tensor, bent: Tensor
) -> tuple[Tensor, Tensor]:
    there = population.values(points + s[:, None] * v)
    return there - local.values - s * slope - s**2 / 2 * bent, there.abs()
