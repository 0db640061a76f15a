"""How many eigenvalues of each point's Hessian are negative, not told from zero, and positive.

No eigenvalue is trusted further than the point is: rounding of the Hessian, its change over the Newton step that is left, and
its change over the way by which rounding of the gradient leaves the critical point uncertain, all count as error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.minima.polish import Local, scale_of
from jensen.linalg.population import Population

SHARP = 16  # times the rounding: what is smaller is not told from zero
SMALL = 1e-4  # of the spectral norm: smaller eigenvalues are looked at along their own vectors
SURE = 1e-9  # of the point's length: where the point is known as well as this, no look is needed


@dataclass(frozen=True)
class Counts:
    """For k points.

    Attributes:
        negative, null, positive: Which eigenvalues are, (k, n).
        newton: The length of the Newton step that is left, (k,).
        slope: The gradient along null eigenvectors that is more than rounding, (k,).
        band: Below this an eigenvalue is not told from zero, (k,); some above it are blurred too.
        norm: The spectral norm, (k,).
    """

    negative: Tensor
    null: Tensor
    positive: Tensor
    newton: Tensor
    slope: Tensor
    band: Tensor
    norm: Tensor


def count(population: Population, points: Tensor, local: Local) -> Counts:
    """Of k points with their local views."""
    norm = local.low.abs().amax(1)
    sharp = SHARP * local.rounding
    parts, outside = local.parts, local.low.abs() > sharp[:, None]
    step = torch.where(outside, -parts / torch.where(outside, local.low, 1.0), 0.0)
    newton = step.norm(dim=1)
    change = _change(population, points, local, step)
    band = torch.maximum(sharp, 2 * change)
    blurred = _blurred(population, points, local, band)
    null = (local.low.abs() <= band[:, None]) | blurred
    slope = torch.where(null, parts, 0.0).norm(dim=1)
    return Counts((local.low < 0) & ~null, null, (local.low > 0) & ~null, newton, slope, band, norm)


def _change(population: Population, points: Tensor, local: Local, step: Tensor) -> Tensor:
    """How much the Hessian changes over a step, in the spectral norm; the step is cut at a tenth of the point's length."""
    reach = (0.1 * scale_of(points) / step.norm(dim=1).clamp(min=1e-300)).clamp(max=1.0)
    move = torch.einsum("kij,kj->ki", local.vectors, reach[:, None] * step)
    out = torch.zeros_like(reach)
    rows = torch.nonzero((points + move != points).any(1))[:, 0]
    if len(rows):
        there = population.hessians(points[rows] + move[rows])
        here = torch.einsum("kij,kj,klj->kil", local.vectors[rows], local.low[rows], local.vectors[rows])
        gap = torch.nan_to_num((there + there.mT) / 2 - here)
        out[rows] = torch.linalg.eigvalsh(gap).abs().amax(1)
    return out


def _blurred(population: Population, points: Tensor, local: Local, band: Tensor) -> Tensor:
    """Small eigenvalues that change by half of themselves within the distance at which the critical point may lie."""
    out = torch.zeros_like(local.low, dtype=torch.bool)
    size, scale = local.low.abs(), scale_of(points)
    away = 2 * local.noise[1][:, None] / size.clamp(min=1e-300)
    asked = (size > band[:, None]) & (size < SMALL * size.amax(1, keepdim=True)) & (away > SURE * scale[:, None])
    for j in torch.nonzero(asked.any(0))[:, 0].tolist():
        rows = torch.nonzero(asked[:, j])[:, 0]
        v = local.vectors[rows, :, j]
        for sign in (1.0, -1.0):
            reach = (sign * torch.minimum(away[rows, j], 0.1 * scale[rows]))[:, None]
            bent = (population.products(points[rows] + reach * v, v) * v).sum(1)
            out[rows, j] |= ~((bent - local.low[rows, j]).abs() < 0.5 * size[rows, j])
    return out
