"""A point and what lies near it: the critical point to which a Newton step leads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.curvature.counts import nonempty
from jensen.ask.curvature.crease import Along, Crease
from jensen.ask.curvature.operator import hessian
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg import krylov
from jensen.linalg.operators import Counted

RESOLVED = 1024.0  # times the parameters' rounding, so that a step is seen
BETWEEN = 0.382  # of a step: no simple part of it, with which a swing could be in time
UNSEEN = 1e-12  # of J: what changes by less over the point's whole length may be rounding
LOST = 64  # times a gradient that is rounding, for its derivative's rounding
FAR = 0.1  # a Newton step longer than this leads to no critical point nearby


@dataclass(frozen=True)
class Point:
    """Where, and the operator and the gradient there; at a crease those along it."""

    cost: Cost
    at: dict[str, Tensor]
    of: Any
    operator: Counted
    gradient: Tensor
    value: float
    length: float
    allowed: float
    expected: int = 0  # zero modes that symmetry explains
    crease: Crease | None = None
    noise: float = 0.0  # what rounding makes of the gradient, where that is all of it
    matrix: Tensor | None = field(default=None, repr=False)  # the Hessian, whole, where it has been formed


@dataclass(frozen=True)
class Near:
    """How the critical point nearby looks to second order.

    Attributes:
        step: The length of the Newton step over the directions outside the band.
        slope: The norm of the gradient inside the band, which no step removes.
        change: How much the Hessian changes over that step, in the spectral norm.
        critical: Whether the gradient is small enough to ask.
        kink: Curvature that the Hessian does not explain, where J has a kink at the point; 0 for none.
        fall: By how much J falls (rises, at a maximum) along directions in the band that symmetry was said to explain.
        jump: By how much J jumps along sampled directions, looked for where not all operations can be read; 0 for none.
        sides: What lies exactly at a kink, where second order speaks for a minimum or a maximum.
        proven: Whether values of J show a saddle: it falls along some eigenvector and rises along another.
        move: The step itself; None where it leads to no critical point.
        distance: How far Newton's method has gone from the asked point to the one that was counted at.
        soft: Eigenvectors (n, k) at both ends of the spectrum.
        flat: Directions (n, k) in the band, where they have to be looked at.
        blurred: Whether the change over the step, and not rounding, makes the band as wide as it is.
        edge: What J does to first order at kinks here, where torch's gradient and second order cannot say.
    """

    step: float = 0.0
    slope: float = 0.0
    change: float = 0.0
    critical: bool = True
    kink: float = 0.0
    fall: float = 0.0
    jump: float = 0.0
    sides: Any = None
    proven: bool = False
    move: Tensor | None = field(default=None, repr=False)
    distance: float = 0.0
    soft: Tensor | None = field(default=None, repr=False)
    flat: Tensor | None = field(default=None, repr=False)
    blurred: bool = False
    edge: Any = None


def point(cost: Cost, at: Any, of: Any, allowed: float) -> Point:
    operator = hessian(cost, at, of)
    nonempty(operator.n)
    theta = {**cost.theta, **{n: t.detach() for n, t in (at or {}).items()}}
    moving = [theta[n].double() for n in cost.match(of)]
    length = max(1.0, math.sqrt(sum(float((t * t).sum()) for t in moving)))
    gradient = operator.gradient.detach()
    if not bool(torch.isfinite(gradient).all()):
        raise Misuse("the gradient is not finite here: J is not differentiable at this point; ask at another one")
    return Point(cost, theta, of, Counted(operator), gradient, float(operator.value), length, allowed)


def settled(point: Point, norm: float) -> Point:
    """The same point, its gradient zero where it is rounding and no slope: J may not depend on the asked blocks at all.

    It is rounding where the parameters' own rounding errors change it as much as it is long.
    """
    size = norm_of(point.gradient)
    if point.crease or size <= point.allowed * norm * point.length or size * point.length > UNSEEN * abs(point.value):
        return point
    unit = 64 * torch.finfo(point.operator.dtype).eps
    moved = [{n: t.detach() * (1 + s * unit) for n, t in point.at.items()} for s in (-1.0, 1.0)]
    there = [hessian(point.cost, at, point.of).gradient.detach() - point.gradient for at in moved]
    noise = max(map(norm_of, there))
    return replace(point, gradient=torch.zeros_like(point.gradient), noise=noise) if size < 4 * noise else point


def rounded(point: Point) -> float:
    """What rounding may leave of second derivatives, where it is all of the gradient."""
    return LOST * point.noise / point.length


def at_crease(start: Point, crease: Crease) -> Point:
    """The same point, where second order is asked about along a crease."""
    operator = Along(start.operator.inner, crease)
    operator.products = start.operator.products
    return replace(start, operator=operator, gradient=crease.along(start.gradient), crease=crease)


def norm_of(t: Tensor) -> float:
    """The Euclidean norm, also of numbers whose squares underflow."""
    top = float(t.abs().max()) if t.numel() else 0.0
    return top * float((t / top).norm()) if top > 0 else 0.0


def near(point: Point, operator: Any, norm: float, band: float, steps: int = 60) -> Near:
    """The Newton step from Lanczos started at the gradient, on Ritz values outside the band, and what it changes."""
    g = point.gradient.to(device=operator.device, dtype=operator.dtype)
    size = norm_of(g)
    if size > point.allowed * norm * point.length:
        return Near(critical=False)
    if size == 0.0:
        return Near()
    space = krylov.begin(g[:, None])
    while space.size < steps and len(space.pending):
        space = krylov.grow(space, operator)
    values, vectors = krylov.ritz(space)
    parts = vectors[0] * size
    outside = np.abs(values) > band
    step = np.where(outside, -parts / np.where(outside, values, 1.0), 0.0)
    slope = float(np.linalg.norm(parts[~outside]))
    length = float(np.linalg.norm(step))
    if not 0 < length <= FAR * point.length:
        return Near(length, slope)
    move = krylov.vectors_of(space, (vectors @ step)[:, None])[:, 0]
    return Near(length, slope, changed(point, move, norm), move=move)


def after(start: Point, move: Tensor) -> Point:
    """The point after a step, with the products spent so far."""
    inner = start.operator.inner
    move = inner.shard.first(move.to(inner.dtype))
    moved = {n: start.at[n].double() + t.to("cpu", torch.float64) for n, t in inner.unflatten(move).items()}
    there = hessian(start.cost, {**start.at, **moved}, start.of)
    operator, gradient = Counted(there), there.gradient.detach()
    operator.products = start.operator.products
    new = replace(
        start, at={**start.at, **moved}, operator=operator, gradient=gradient, value=float(there.value), matrix=None
    )
    return new if start.crease is None else at_crease(new, start.crease)


def changed(point: Point, step: Tensor, norm: float) -> float:
    """The spectral norm of H(theta + step) - H(theta), from below.

    A step that rounding of the parameters swallows, or nearly, is made longer, and the change taken in proportion. Where the
    gradient changes by more than the Hessian at both ends can explain, H swings between them, and is looked at there too.
    """
    names = point.operator.inner.flat.shapes
    rounding = torch.finfo(point.cost.dtype).eps * norm_of(torch.cat([point.at[n].double().reshape(-1) for n in names]))
    longer = max(1.0, RESOLVED * rounding / norm_of(step))
    there = after(point, longer * step)
    change = float(np.abs(changes(point, there)).max()) / longer
    bent = (point.operator @ step[:, None])[:, 0]
    left = norm_of(there.gradient - point.gradient - longer * bent) / longer
    noise = 64 * torch.finfo(point.cost.dtype).eps * norm * point.length
    swings = torch.tensor([float(left > noise + 2 * change * norm_of(step))], dtype=step.dtype, device=step.device)
    if point.operator.inner.shard.first(swings)[0] > 0:  # all processes go on alike
        change = max(change, float(np.abs(changes(point, after(point, BETWEEN * step))).max()))
    return change


def changes(point: Point, there: Point, steps: int = 8) -> np.ndarray:
    """Ritz values of the Hessian there less that at the point, by Lanczos."""
    inner, other = point.operator.inner, there.operator
    start = torch.randn(inner.n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    space = krylov.begin(start.to(device=inner.device, dtype=inner.dtype))
    while space.size < steps and len(space.pending):
        block = krylov.entering(space, 1)
        space = krylov.absorb(space, (other @ block) - (point.operator @ block))
    return krylov.ritz(space)[0]
