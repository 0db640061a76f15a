"""Ends at infinity: the parameters grow, J strictly falls, and no critical point is found; measured, never proved.

Near a critical point Newton's steps shrink: quadratically where the Hessian is regular, by (m - 2) / (m - 1) where J grows
like |x|^m. Where J falls towards a limit that it never reaches they do not: they stay as long as they are for exponential
tails and grow for algebraic ones. That is what is looked for; then J is followed further out along the same way, and has to
go on falling there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.ask.minima.polish import WINDOW, Path, downhill, first, scale_of
from jensen.linalg.population import Population

SHRINK = 0.93  # a factor by which steps to a critical point shrink at least (|x|^14 has 0.923)
AHEAD = (1.0, 8.0, 64.0, 512.0)  # how far out, in lengths of the way come last
RELAX = 15  # steps across the way
FLATTER = 0.5  # from place to place the slope falls at least by this factor (1 / x has 1/64)
GROWTH = 10.0  # of the parameters, where no step was the last
BEYOND = 1e8  # and so far that nothing else can be said


def drifting(path: Path, start: Tensor, noise: Tensor) -> Tensor:
    """Which copies moved on in steps that did not shrink while gradient and J fell (but for its rounding), (k,)."""
    half = WINDOW // 2
    full = path.taken >= WINDOW
    early, late = path.lengths[:, :half].median(1).values, path.lengths[:, half:].median(1).values
    steady = late >= SHRINK**half * early
    gradual = path.slopes[:, -1] >= 1e-3 * path.slopes[:, -2]
    flatter = path.slopes[:, half:].median(1).values < path.slopes[:, :half].median(1).values
    falling = _falling(path, noise)
    far = (path.points - path.trail[:, 0]).norm(dim=1) >= 0.3 * path.lengths.sum(1)  # and not to and fro
    grown = scale_of(path.points) >= GROWTH * scale_of(start)
    return full & steady & falling & far & (gradual & flatter | ~path.done & grown)


def _falling(path: Path, noise: Tensor) -> Tensor:
    return path.values[:, -1] <= path.values[:, 0] + noise


def ahead(population: Population, path: Path, start: Tensor) -> tuple[Tensor, Tensor]:
    """Which copies drift to infinity, (k,), and J further out, (k, places); NaN where it was not looked at."""
    _, _, (dim, rough) = first(population, path.points)
    noise = 8 * dim, rough
    drift = drifting(path, start, noise[0])
    out = torch.full((len(drift), len(AHEAD)), torch.nan, dtype=torch.float64, device=drift.device)
    rows = torch.nonzero(drift)[:, 0]
    if len(rows):
        drift[rows], out[rows] = goes_on(population, path, rows, noise)
    drift |= _falling(path, noise[0]) & (scale_of(path.points) >= BEYOND * scale_of(start))
    return drift, out


def goes_on(population: Population, path: Path, rows: Tensor, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Whether J goes on falling further out, ever less, for some copies; and J there, (rows, places).

    At each place J is minimised across the way, so that a curved valley is followed too. It may not rise, and its slope has
    to halve at least from place to place: before a minimum far away it would not.
    """
    points = path.points[rows]
    way = points - path.trail[rows, 0]
    length = way.norm(dim=1, keepdim=True)
    unit = way / length.clamp(min=1e-300)
    across = _complement(unit)
    value, slopes = population.gradients(points)
    slope, size = -(slopes * unit).sum(1), slopes.norm(dim=1)
    good = torch.isfinite(value) & (slope > 0)
    reach = torch.maximum(length, scale_of(points)[:, None] / 4)
    far = torch.cat([points + factor * reach * unit for factor in AHEAD])
    if across.shape[2]:
        far = downhill(population, far, RELAX, across.repeat(len(AHEAD), 1, 1)).points
    values, there = (t.reshape(len(AHEAD), len(rows), *t.shape[1:]) for t in population.gradients(far))
    before, last = value, slope
    for v, g in zip(values, there, strict=True):
        now = -(g * unit).sum(1)
        good &= (v <= before + noise[0][rows]) & (now >= -noise[1][rows] - 1e-9 * slope)
        good &= (now <= torch.maximum(FLATTER * last, 4 * noise[1][rows])) & (g.norm(dim=1) <= size)
        before, last = v, now
    return good, values.T


def _complement(unit: Tensor) -> Tensor:
    """Orthonormal columns (k, n, n - 1) across unit vectors (k, n)."""
    full = torch.cat([unit[:, :, None], torch.eye(unit.shape[1], dtype=unit.dtype, device=unit.device).expand(
        len(unit), -1, -1)], 2)  # fmt: skip
    return torch.linalg.qr(full).Q[:, :, 1:]
