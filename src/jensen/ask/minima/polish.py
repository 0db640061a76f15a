"""Second-order steps in float64 for a whole stack, down to where rounding is all that is left of the gradient.

Towards a minimum: Newton's method in a trust region, which leaves saddles downhill. Towards any critical point: Newton-MR
(Roosta, Liu, Xu and Mahoney 2019), which lowers the gradient's norm and so finds saddles, and stops where that norm has a
minimum that is not zero ("gradient-flat": Frye et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from jensen.ask.minima.newton_cg import cg_step, minres_step
from jensen.ask.minima.region import trust_step
from jensen.linalg.population import Population

EPS = torch.finfo(torch.float64).eps
DENSE = 256  # parameters up to which Hessians are formed
First = tuple[Tensor, Tensor, tuple[Tensor, Tensor]]  # J, its gradient, and what rounding of the point does to both
START = 0.1  # of the point's length: the first radius
MOST = 0.5  # and the largest: a tail is not to be passed in one step
BENT = 100.0  # times the gradient by the point's length: curvature that is no larger may be the distance's own
MOVES = 3  # of the point by rounding, which show what rounding does to J
BACKTRACKS = 40
WINDOW = 8  # steps that are looked back on


@dataclass
class Local:
    """What second order sees of k points.

    Attributes:
        values, slopes: J (k,) and its gradient (k, n); the part of it inside the basis, where one was given.
        noise: What rounding the point itself does to J, (k,), and to the gradient's norm, (k,).
        low, vectors: Eigenvalues (k, m), increasing, and their vectors in columns, (k, n, m).
        rounding: How far rounding may put an eigenvalue off, (k,).
    """

    values: Tensor
    slopes: Tensor
    noise: tuple[Tensor, Tensor]
    low: Tensor
    vectors: Tensor
    rounding: Tensor

    @cached_property
    def parts(self) -> Tensor:
        """The gradient in the eigenvectors' coordinates, without what may be rounding."""
        parts = torch.einsum("kij,ki->kj", self.vectors, self.slopes)
        return torch.where(parts.abs() > self.noise[1][:, None], parts, 0.0)


@dataclass
class Path:
    """How the polishing of k points went.

    Attributes:
        points: (k, n), where it ended.
        trail: The points before each of the last steps, (k, WINDOW, n), the latest last.
        lengths, slopes, values: Of those steps: the length, the gradient's norm and J after it, (k, WINDOW); NaN for none.
        radius: Of the trust region, (k,).
        taken: Steps, (k,).
        done: Whether rounding is all that is left, or no step is to be had; else the steps were used up.
        floor: J below which rounding soon hides everything, (k,); ``low`` tells which copies have passed it.
        drift: Which copies were found to go to infinity, (k,); ``ahead`` is J further out, (k, places).
    """

    points: Tensor
    trail: Tensor
    lengths: Tensor
    slopes: Tensor
    values: Tensor
    radius: Tensor
    taken: Tensor
    done: Tensor
    floor: Tensor
    low: Tensor
    drift: Tensor
    ahead: Tensor

    def row(self, i: int) -> Path:
        """One of them."""
        return Path(**{f.name: getattr(self, f.name)[i : i + 1] for f in fields(self)})

    def add(self, rows: Tensor, good: Tensor, trial: Tensor, figures: tuple[Tensor, ...]) -> None:
        """Take the steps that were good, of some of the copies."""
        moved = rows[good]
        self.trail[moved] = torch.cat([self.trail[moved, 1:], self.points[moved][:, None]], 1)
        self.points[moved] = trial[good]
        for ring, new in zip((self.lengths, self.slopes, self.values), figures, strict=True):
            ring[moved] = torch.cat([ring[moved, 1:], new[good][:, None]], 1)
        self.taken[moved] += 1


def begin(start: Tensor, first: float = START) -> Path:
    """A path that has not left its start; ``first`` is the first radius in lengths of the point."""
    k = len(start)
    empty = start.new_full((k, WINDOW), torch.nan)
    trail = start[:, None].repeat(1, WINDOW, 1)
    radius, floor = first * scale_of(start), start.new_full((k,), -torch.inf)
    taken = torch.zeros(k, dtype=torch.int64, device=start.device)
    done, low, drift = (torch.zeros(k, dtype=torch.bool, device=start.device) for _ in range(3))
    return Path(
        start.clone(), trail, empty, empty.clone(), empty.clone(), radius, taken, done, floor, low, drift,
        start.new_full((k, 1), torch.nan),
    )  # fmt: skip


def look(population: Population, points: Tensor, basis: Tensor | None = None) -> Local:
    """Value, gradient and Hessian, and what rounding does to each; inside orthonormal columns (k, n, m) if they are given."""
    values, slopes, noise = first(population, points, basis)
    matrix = population.hessians(points)
    skew = (matrix - matrix.mT).flatten(1).norm(dim=1)
    rounding = 2 * skew + 32 * EPS * matrix.abs().sum(2).amax(1)
    symmetric = torch.nan_to_num((matrix + matrix.mT) / 2, posinf=0.0, neginf=0.0)
    if basis is None:
        low, vectors = torch.linalg.eigh(symmetric)
    else:
        low, vectors = torch.linalg.eigh(basis.mT @ symmetric @ basis)
        vectors = basis @ vectors
    return Local(values, slopes, noise, low, vectors, rounding)


def first(population: Population, points: Tensor, basis: Tensor | None = None) -> First:
    """Value and gradient, and what rounding of the point does to both."""
    values, slopes = population.gradients(points)
    slopes = inside(slopes, basis)
    dim, rough = 4 * EPS * values.abs(), EPS * _peak(slopes)
    numbers = torch.Generator().manual_seed(1)
    for _ in range(MOVES):
        signs = torch.randn(points.shape[1], generator=numbers, dtype=torch.float64).sign().to(points.device)
        other, turned = population.gradients(points * (1 + 2 * EPS * signs))
        dim = torch.maximum(dim, 2 * (other - values).abs())
        rough = torch.maximum(rough, 2 * (inside(turned, basis) - slopes).norm(dim=1))
    return values, slopes, (dim, rough)


def inside(slopes: Tensor, basis: Tensor | None) -> Tensor:
    """The part of some gradients (k, n) in the span of orthonormal columns (k, n, m)."""
    return slopes if basis is None else torch.einsum("kij,klj,kl->ki", basis, basis, slopes)


def _peak(slopes: Tensor) -> Tensor:
    return slopes.abs().amax(1)


def scale_of(points: Tensor) -> Tensor:
    """The length that steps are compared with, (k,)."""
    return points.norm(dim=1).clamp(min=1.0)


def downhill(
    population: Population, start: Tensor, steps: int, basis: Tensor | None = None, first: float = START
) -> Path:
    """Newton's method in a trust region from each start; inside orthonormal columns (k, n, m) if they are given."""
    path = begin(start, first)
    further(population, path, steps, basis)
    return path


def further(population: Population, path: Path, steps: int, basis: Tensor | None = None) -> None:
    """So many steps more of the copies that are not done; one that passes its floor waits there for once."""
    wait = torch.zeros_like(path.done)
    for _ in range(steps):
        rows = torch.nonzero(~path.done & ~wait)[:, 0]
        if not len(rows):
            break
        points, radius = path.points[rows], path.radius[rows]
        t = _tried(population, points, radius, None if basis is None else basis[rows])
        path.add(rows, t.good, points + t.way, (t.length, t.slopes.norm(dim=1), t.values))
        path.done[rows] = (t.length == 0) | (~t.good & t.blind) | (t.length <= 4 * EPS * scale_of(points))
        passed = t.good & (t.values <= path.floor[rows]) & ~path.low[rows]
        wait[rows], path.low[rows] = passed, passed | path.low[rows]
        longer = (t.ratio > 0.75) & (t.length > 0.9 * radius)
        kept = t.good & ((t.ratio >= 0.25) | t.blind)
        wider = torch.minimum(2 * radius, torch.maximum(radius, MOST * scale_of(points)))
        path.radius[rows] = torch.where(kept, torch.where(longer, wider, radius), t.length / 4)


@dataclass
class Tried:
    """A step (k, n), J and its gradient after it, whether it is taken, its fall against what it promised.

    ``blind`` tells where J cannot show the difference, and the gradient decides.
    """

    way: Tensor
    values: Tensor
    slopes: Tensor
    good: Tensor
    ratio: Tensor
    blind: Tensor

    @property
    def length(self) -> Tensor:
        return self.way.norm(dim=1)


def _tried(population: Population, points: Tensor, radius: Tensor, within: Tensor | None) -> Tried:
    """A step of each copy: from the Hessian, or from products with it."""
    if within is None and population.n > DENSE:
        values, slopes, noise = first(population, points)
        real = (slopes.norm(dim=1) > noise[1])[:, None]
        way, promised = cg_step(population, points, torch.where(real, slopes, 0.0), radius)
        return _after(population, points, (values, slopes, noise), way, promised, within)
    local = look(population, points, within)
    before = local.values, local.slopes, local.noise
    step, promised = _trust(local, radius)
    way = torch.einsum("kij,kj->ki", local.vectors, step)
    t = _after(population, points, before, way, promised, within)
    again = t.blind & ~t.good
    if bool(again.any()):  # once more, without directions whose curvature the distance itself could have made
        size = local.slopes.norm(dim=1)
        stiff = local.low.abs() > (BENT * size / scale_of(points))[:, None].clamp(min=1e-300)
        step = torch.where(stiff, -local.parts / local.low, 0.0)
        other = torch.where(again[:, None], torch.einsum("kij,kj->ki", local.vectors, step), way)
        t = _after(population, points, before, other, promised, within)
    return t


def _after(
    population: Population, points: Tensor, before: First, way: Tensor, promised: Tensor, within: Tensor | None
) -> Tried:
    """Steps that lower J as promised are taken; where J is all rounding, those that lower the gradient."""
    values, slopes = population.gradients(points + way)
    slopes = inside(slopes, within)
    fall, noise = before[0] - values, before[2][0]
    ratio = torch.where(promised > 0, fall / promised.clamp(min=torch.finfo(values.dtype).tiny), 0.0)
    blind = promised <= 8 * noise
    better = (slopes.norm(dim=1) < 0.9 * before[1].norm(dim=1)) & (fall >= -8 * noise)
    good = torch.where(blind, better, ratio > 0.1) & torch.isfinite(values) & torch.isfinite(slopes).all(1)
    return Tried(way, values, slopes, good, torch.where(blind & good, 0.5, ratio), blind)


def _trust(local: Local, radius: Tensor) -> tuple[Tensor, Tensor]:
    """The step in the eigenvectors' coordinates, and what it promises to lower J by."""
    band = local.rounding[:, None]
    low = torch.where(local.low.abs() <= band, local.low.abs(), local.low)
    order = low.argsort(1)
    back = order.argsort(1)
    parts = local.parts
    step = trust_step(low.gather(1, order), parts.gather(1, order), radius).gather(1, back)
    return step, -(parts * step + low * step**2 / 2).sum(1)


def critical(population: Population, start: Tensor, steps: int) -> Path:
    """Newton-MR in a trust region from each start: steps are halved until the gradient's norm falls enough.

    Without the region eigenvalues near zero, as along symmetries, make steps so long that nothing is left of their promise.
    """
    path = begin(start)
    rows = torch.arange(len(start), device=start.device)
    for _ in range(steps):
        if not len(rows):
            break
        points, radius = path.points[rows], path.radius[rows]
        way, size, promised = _least(population, points, radius)
        trial, figures, good = _halved(population, points, way, size, promised)
        ended = ~good | (way.norm(dim=1) <= 4 * EPS * scale_of(points))
        path.add(rows, good, trial, figures)
        path.done[rows[ended]] = True
        longer = (figures[0] >= 0.9 * radius) & (size**2 - figures[1] ** 2 >= 0.5 * promised)
        wider = torch.minimum(2 * radius, torch.maximum(radius, MOST * scale_of(points)))
        shorter = torch.where(figures[0] < way.norm(dim=1), 2 * figures[0], radius)
        path.radius[rows] = torch.where(longer, wider, shorter)
        rows = rows[~ended]
    return path


def _least(population: Population, points: Tensor, radius: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The step within the radius that makes the linear model of the gradient smallest, its norm, and by what its square would fall.

    As far as the radius does not matter it is the shortest one.
    """
    if population.n > DENSE:
        _, slopes, noise = first(population, points)
        size = slopes.norm(dim=1)
        real = (size > noise[1])[:, None]
        way, fall = minres_step(population, points, torch.where(real, slopes, 0.0))
    else:
        local = look(population, points)
        kept = local.low.abs() > local.rounding[:, None]
        low = torch.where(kept, local.low, 0.0)
        square, slopes = low**2, torch.where(kept, low * local.parts, 0.0)
        order = square.argsort(1)
        step = trust_step(square.gather(1, order), slopes.gather(1, order), radius).gather(1, order.argsort(1))
        way, size = torch.einsum("kij,kj->ki", local.vectors, step), local.slopes.norm(dim=1)
        return way, size, -(2 * slopes * step + square * step**2).sum(1)
    reach = (radius / way.norm(dim=1).clamp(min=1e-300)).clamp(max=1.0)
    return reach[:, None] * way, size, reach * fall


def _halved(
    population: Population, points: Tensor, way: Tensor, size: Tensor, promised: Tensor
) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
    """The longest of 1, 1/2, ... steps that lowers the squared norm of the gradient by a part of what it promises."""
    trial, reach = points.clone(), torch.ones_like(size)
    values, norms = torch.full_like(size, torch.nan), torch.full_like(size, torch.nan)
    good = torch.zeros_like(size, dtype=torch.bool)
    for _ in range(BACKTRACKS):
        open_ = torch.nonzero(~good)[:, 0]
        if not len(open_):
            break
        there = points[open_] + reach[open_, None] * way[open_]
        v, g = population.gradients(there)
        n = g.norm(dim=1)
        ok = n**2 <= size[open_] ** 2 - 1e-4 * reach[open_] * promised[open_]
        ok &= (n < size[open_]) & torch.isfinite(v)
        chosen = open_[ok]
        trial[chosen], values[chosen], norms[chosen], good[chosen] = there[ok], v[ok], n[ok], True
        reach[open_[~ok]] *= 0.5
    return trial, ((trial - points).norm(dim=1), norms, values), good
