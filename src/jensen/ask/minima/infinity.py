"""Ends at infinity: the parameters grow, J strictly falls, and no critical point is found; measured, never proved.

Near a critical point Newton's steps shrink: quadratically where the Hessian is regular, by (m - 2) / (m - 1) where J grows
like |x|^m. Where J falls towards a limit that it never reaches they do not: they stay as long as they are for exponential
tails and grow for algebraic ones. That is what is looked for; then J is followed further out along the same way, and has to
go on falling there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.ask.minima.polish import DENSE, WINDOW, Path, downhill, first, scale_of
from jensen.linalg.population import Population

SHRINK = 0.93  # a factor by which steps to a critical point shrink at least (|x|^14 has 0.923)
QUICK = 0.3  # where J is nearly as low as it can be: steps to a regular minimum shrink more
AHEAD = (1.0, 3.0, 10.0)  # how far out, in lengths of the way come last
RELAX = 15  # steps across the way
FLATTER = 0.75  # from place to place the slope falls at least by this factor
ACROSS = 1e-10  # of the gradient: what is left of the slope along the way where J was minimised across it
GROWTH = 10.0  # of the parameters, where no step was the last
BEYOND = 1e8  # and so far that nothing else can be said


def drifting(path: Path, start: Tensor, noise: Tensor) -> Tensor:
    """Which copies moved on in steps that did not shrink while gradient and J fell (but for its rounding), (k,)."""
    half = WINDOW // 2
    early, late = path.lengths[:, :half].median(1).values, path.lengths[:, half:].median(1).values
    steady = late >= SHRINK**half * early
    gradual = path.slopes[:, -1] >= 1e-3 * path.slopes[:, -2]
    flatter = path.slopes[:, half:].median(1).values < path.slopes[:, :half].median(1).values
    far = (path.points - path.trail[:, 0]).norm(dim=1) >= 0.3 * path.lengths.sum(1)  # and not to and fro
    grown = scale_of(path.points) >= GROWTH * scale_of(start)
    long_ = (path.taken >= WINDOW) & steady & far & (gradual & flatter | ~path.done & grown)
    last = path.lengths[:, -3:]
    quick = path.low & (path.taken >= 3) & (last[:, 1:] >= QUICK * last[:, :-1]).all(1)  # no time for a long look
    return _falling(path, noise) & (long_ | quick)


def _falling(path: Path, noise: Tensor) -> Tensor:
    first_ = torch.nan_to_num(path.values, nan=torch.inf).amax(1).where(path.taken < WINDOW, path.values[:, 0])
    return path.values[:, -1] <= first_ + noise


def watch(population: Population, path: Path, start: Tensor) -> None:
    """Mark the copies that drift to infinity, with J further out; they are done."""
    _, _, (dim, rough) = first(population, path.points)
    noise = 8 * dim, rough
    drift = drifting(path, start, noise[0]) & ~path.drift
    if path.ahead.shape[1] != len(AHEAD):
        path.ahead = path.points.new_full((len(drift), len(AHEAD)), torch.nan)
    for origin in (path.trail[:, 0], start, torch.zeros_like(start)):  # the way of late, all the way, straight out
        rows = torch.nonzero(drift & ~path.drift)[:, 0]
        if len(rows):
            good, seen = goes_on(
                population, path.points[rows], path.points[rows] - origin[rows], (noise[0][rows], noise[1][rows])
            )
            path.ahead[rows] = torch.where(good[:, None], seen, path.ahead[rows])
            path.drift[rows] = good
    path.drift |= _falling(path, noise[0]) & (scale_of(path.points) >= BEYOND * scale_of(start))
    path.done |= path.drift


def goes_on(population: Population, points: Tensor, way: Tensor, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Whether J goes on falling further out along a way (k, n), ever less; and J there, (k, places).

    At each place J is minimised across the way, so that a curved valley is followed too. It may not rise, and its slope has
    to fall by a factor from place to place: on the way to a minimum it would not, or change its sign behind it.
    """
    length = way.norm(dim=1, keepdim=True)
    unit = way / length.clamp(min=1e-300)
    across = _complement(unit) if population.n <= DENSE else unit.new_zeros(len(unit), population.n, 0)
    reach = torch.maximum(length, scale_of(points)[:, None] / 4)
    far = torch.cat([points + factor * reach * unit for factor in (0.0, *AHEAD)])
    if across.shape[2]:
        far = downhill(population, far, RELAX, across.repeat(1 + len(AHEAD), 1, 1)).points
    values, there = (t.reshape(1 + len(AHEAD), len(points), *t.shape[1:]) for t in population.gradients(far))
    slopes, sizes = -(there * unit).sum(2), there.norm(dim=2)
    _, here = population.gradients(points)
    _, _, (_, rough) = first(population, far[: len(points)])
    good = torch.isfinite(values).all(0)
    good &= slopes[0] > torch.maximum(8 * rough, ACROSS * here.norm(dim=1))  # else a critical point is across the way
    for j in range(1, len(values)):
        good &= (values[j] <= values[j - 1] + noise[0]) & (slopes[j] >= -noise[1] - 1e-9 * slopes[0])
        good &= slopes[j] <= torch.maximum(FLATTER * slopes[j - 1], 4 * noise[1])
        good &= sizes[j] <= torch.maximum(sizes[0], 4 * noise[1])
    return good, values[1:].T


def _complement(unit: Tensor) -> Tensor:
    """Orthonormal columns (k, n, n - 1) across unit vectors (k, n)."""
    full = torch.cat([unit[:, :, None], torch.eye(unit.shape[1], dtype=unit.dtype, device=unit.device).expand(
        len(unit), -1, -1)], 2)  # fmt: skip
    return torch.linalg.qr(full).Q[:, :, 1:]
