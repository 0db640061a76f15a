"""What J does to first order at kinks that lie exactly at a point, where torch's gradient is one of many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature.crease import Crease, levelled
from jensen.ask.curvature.kinks import Kinks, independent, kinks, straight
from jensen.ask.curvature.nearby import RESOLVED, Point, norm_of
from jensen.ask.curvature.slopes import Changes, after
from jensen.linalg.ends import Wanted, ends
from jensen.linalg.operators import Deflated, Dense

MOST = 256  # kinks whose slopes are taken
ROOM = 2**28  # bytes for them
EDGE = 1e-3  # of a kink's height, by which its share has to stay away from one; and more than slopes can be off
PARTS = tuple(
    2.0**-k for k in (31, 25, 19, 13, 7, 1)
)  # of the way along the gradient to where it would vanish, at which J is seen
TOLD = 0.25  # of the gradient's slope, by which J has to fall along it
SEEN = 8  # random directions along which the slopes are compared with J
ALONG = 0.03  # how far kinks are followed along the crease; and so much of the point's length
BENT = 1e-6  # of the Hessian, by which they may bend away


@dataclass(frozen=True)
class Unsettled:
    """Kinks or jumps at the point, of which nothing is known to first order; None where they cannot be read."""

    found: Kinks | None


Edge = Crease | Unsettled


def follows(point: Point, norm: float) -> bool:
    """Whether J rises and falls along its gradient as that says, at the least distance at which rounding lets it be seen."""
    g = point.gradient.to("cpu", torch.float64)
    size = norm_of(g)
    v, first = g / size, min(size / norm, point.length) if norm > 0 else point.length
    seen, least = Changes(point), RESOLVED * torch.finfo(point.cost.dtype).eps * point.length

    def told(t: float) -> bool | None:
        change, noise = seen.after(t * v)
        if abs(t) * size <= 4 * noise:
            return None
        return change * t > 0 and abs(change) > max(TOLD * abs(t) * size, noise)

    steps = [t for t in (first * part for part in PARTS) if t > least]
    ways = ((told(sign * t) for t in steps) for sign in (1.0, -1.0))
    return all(next((one for one in way if one is not None), False) for way in ways)


def edge(point: Point, norm: float) -> Edge | None:
    """What J does to first order at the kinks at a point; None where there are none, or where a slope is left all the same.

    With their unit normals a_j independent, J(theta + d) = J + g d + sum_j c_j |a_j d|. Gradients in two opposite cones give
    g as their mean and the c_j from their difference; another pair of cones, and J along random directions, have to agree.
    """
    most = max(min(MOST, ROOM // (8 * point.operator.n)), 1)
    try:
        found = kinks(point, 0.0, cubic=False, most=most)
    except (RuntimeError, NotImplementedError, IndexError):
        return Unsettled(None)
    if not found:
        return None
    normals = independent(found)
    if normals is None:
        return Unsettled(found)
    first, second = (_across(point, found, normals, seed) for seed in (0, 1))
    close = torch.finfo(point.cost.dtype).eps ** 0.375
    if first is None or second is None:
        return Unsettled(found)
    size = max(norm_of(first[0]), norm_of(first[1]))
    if any(norm_of(a - b) > close * size for a, b in zip(first, second, strict=True)):
        return Unsettled(found)
    if not _agrees(point, normals, *first, close * size):
        return Unsettled(found)
    return _judged(point, found, normals, *first, norm, close, size)


def _across(point: Point, found: Kinks, normals: Tensor, seed: int) -> tuple[Tensor, Tensor] | None:
    """g (n,) and the heights c (m,), from gradients on both sides of all kinks; None where they are not of that form."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.where(torch.rand(normals.shape[1], generator=generator) < 0.5, -1.0, 1.0).to(normals.dtype)
    v = torch.linalg.pinv(normals.T) @ signs
    eps = torch.finfo(point.cost.dtype).eps
    move = v * (eps**0.375 * point.length / v.norm())
    if not all(straight(found, s * move) for s in (1.0, -1.0)):
        return None

    def gradient(sign: float) -> Tensor:
        """At the point itself, seen from one side: the part that grows with the distance is taken out."""
        return 2 * after(point, sign / 2 * move)[1] - after(point, sign * move)[1]

    plus, minus = gradient(1.0), gradient(-1.0)
    mean, jump = (plus + minus) / 2, (plus - minus) / 2
    parts = torch.linalg.pinv(normals) @ jump
    if norm_of(jump - normals @ parts) > eps**0.375 * max(norm_of(mean), norm_of(jump)):
        return None
    return mean, parts * signs


def _agrees(point: Point, normals: Tensor, mean: Tensor, heights: Tensor, close: float) -> bool:
    """Whether J has these slopes along random directions."""
    v = torch.randn(len(mean), SEEN, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    v = v / v.norm(dim=0)
    want = v.T @ mean + (normals.T @ v).abs().T @ heights
    step, seen = torch.finfo(point.cost.dtype).eps ** 0.375 * point.length, Changes(point)
    for j in range(SEEN):
        (half, noise), (whole, more) = (seen.after(t * v[:, j]) for t in (step / 2, step))
        slope = (4 * half - whole) / step
        if abs(slope - float(want[j])) > 100 * close + 8 * max(noise, more) / step:
            return False
    return True


def _judged(
    point: Point, found: Kinks, normals: Tensor, mean: Tensor, heights: Tensor, norm: float, close: float, size: float
) -> Edge | None:
    pulls = -(torch.linalg.pinv(normals) @ mean)
    rest = mean + normals @ pulls
    margin, floor = max(EDGE, 4 * close), max(close * size, point.allowed * norm * point.length)
    if norm_of(rest) > floor or bool((pulls.abs() > (1 + margin) * heights.abs() + floor).any()):
        return None
    if bool((heights.abs() <= 2 * floor).any() or (pulls.abs() > (1 - margin) * heights.abs()).any()):
        return Unsettled(found)
    order = torch.argsort(-heights.sign(), stable=True)
    crease = Crease(found, _orthonormal(normals), heights[order], (pulls / heights)[order])
    crease = replace(crease, bent=_bent(point, crease))
    if crease.bent > BENT * norm or _crowded(point, found, close):
        return Unsettled(found)
    return levelled(crease, *_along(point, crease, norm), norm)


def _crowded(point: Point, found: Kinks, close: float) -> bool:
    """Whether there are more kinks as near to the point as its slopes were measured, or may be."""
    try:
        return kinks(point, close * point.length, cubic=False, most=1).counts != found.counts
    except (RuntimeError, NotImplementedError, IndexError):
        return True


def _bent(point: Point, crease: Crease) -> float:
    """By how much kinks that turn away from straight lines along the crease can change J's curvature there.

    A random direction among n has a share of about 1/n of what bends along a single one.
    """
    found: Kinks = crease.found
    if found.distances is None or found.slopes is None:
        return torch.inf
    n, worst = point.operator.n, 0.0
    v = crease.along(torch.randn(n, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    for move in (v / v.norm(dim=0)).T if crease.across.shape[1] < n else ():
        for step in {ALONG, ALONG * point.length}:
            apart = found.distances(step * move).abs() / found.slopes.norm(dim=0)
            worst = max(worst, float(apart.sum()) / step**2)
    return 4 * n * worst * float(crease.heights.abs().max())


def _orthonormal(normals: Tensor) -> Tensor:
    """Of the same span; the normals themselves where they are so already, for then their zeros stay exact."""
    m = normals.shape[1]
    return (
        normals if torch.equal(normals.T @ normals, torch.eye(m, dtype=normals.dtype)) else torch.linalg.qr(normals)[0]
    )


def _along(point: Point, crease: Crease, norm: float) -> tuple[Any, Any]:
    """The lowest and the highest eigenvalue of the Hessian along a crease, as (value, bound)."""
    operator = point.operator if point.matrix is None else Dense(point.matrix)
    if crease.across.shape[1] == operator.n:
        return (0.0, 0.0), (0.0, 0.0)
    across = crease.across.to(operator.device, operator.dtype)
    beyond = 2 * norm or 1.0
    low, _ = ends(Deflated(operator, across, beyond), Wanted(1, 0, 1e-6))
    high, _ = ends(Deflated(operator, across, -beyond), Wanted(0, 1, 1e-6))
    return (float(low.low[0]), float(low.low_bounds[0])), (float(high.high[0]), float(high.high_bounds[0]))
