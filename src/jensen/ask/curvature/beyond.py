"""What the Hessian at a point cannot see: kinks of J there, and J falling along directions without curvature."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.ask.curvature.nearby import Point
from jensen.ask.curvature.slopes import ROUNDING, Changes, after

RANDOM = 4  # directions, besides eigenvectors
FINER = 8  # the smaller of two steps, as a part of the larger
FAR = 1e-2  # how far J is followed along flat directions, relative to the point's length
PLACES = 6  # on each side where a jump is looked for
APART = 8.0  # times the values' spread: a jump
FOLLOWED = 8  # flat directions that are followed, and as many mixtures of them


def kink(point: Point, norm: float, soft: Tensor, least: float) -> float:
    """Curvature that the Hessian does not explain, at a tiny distance; 0 where J looks smooth, at a crease along it.

    The change of the gradient over a step, divided by the step, less the product with the Hessian, shrinks with the step if
    J is smooth. It stays where the curvature jumps at the point, and grows where the slope does (both happen where a ReLU's
    input is exactly zero). What is less than a tenth of the smallest eigenvalue cannot change a sign and is not counted, nor
    is what rounding could be.

    Args:
        point: Where.
        norm: The spectral norm of the Hessian.
        soft: Eigenvectors (n, k) along which to look, besides random directions.
        least: The smaller modulus of the outermost eigenvalues, and at least the band; at a saddle others can be smaller.
    """
    inner, eps = point.operator.inner, torch.finfo(point.cost.dtype).eps
    step = eps**0.375
    rounding = 10 * FINER / step * (ROUNDING * eps * norm + point.noise / point.length)
    enough = max(rounding, min(1e-3 * norm, 0.1 * least))
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(inner.n, RANDOM, generator=generator, dtype=torch.float64)
    v = torch.cat([v / v.norm(dim=0), soft.to("cpu", v.dtype)], 1)
    along = point.crease.along if point.crease else lambda t: t
    v = along(v)
    bent = (point.operator @ v.to(inner.device, inner.dtype)).to("cpu", v.dtype)
    here = after(point, torch.zeros(inner.n, dtype=v.dtype))[1]
    worst = 0.0
    for j in range(v.shape[1]):
        for h in (step * point.length, -step * point.length):
            far, near = (along(after(point, s * v[:, j])[1] - here) / s - bent[:, j] for s in (h, h / FINER))
            size, finer = float(far.norm()), float(near.norm())
            if finer > enough and finer > 0.4 * size:
                worst = max(worst, finer)
    return worst


def jump(point: Point) -> float:
    """By how much the value of J jumps at the point, along random directions; 0 where it does not, or by rounding.

    Where J is continuous, what is left beside the point beyond second order is rounding, which differs from place to place.
    A jump is the same everywhere on its side.
    """
    inner, step = point.operator.inner, torch.finfo(point.cost.dtype).eps ** 0.375 * point.length
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(inner.n, RANDOM, generator=generator, dtype=torch.float64)
    v = v / v.norm(dim=0)
    bent = (v * (point.operator @ v.to(inner.device, inner.dtype)).to("cpu", v.dtype)).sum(0)
    slopes = point.gradient.to("cpu", v.dtype) @ v
    seen, worst = Changes(point), 0.0
    for j in range(RANDOM):
        for sign in (1.0, -1.0):
            places = [sign * step * (1.0 - 0.1 * i) for i in range(PLACES)]
            changes, noises = zip(*(seen.after(t * v[:, j]) for t in places), strict=True)
            rests = [
                c - t * float(slopes[j]) - t * t / 2 * float(bent[j]) for c, t in zip(changes, places, strict=True)
            ]
            least = min(abs(r) for r in rests)
            if least > max(noises) + APART * (max(rests) - min(rests)):
                worst = max(worst, least)
    return worst


def fall(point: Point, flat: Tensor, sign: float) -> float:
    """How far sign * J falls beyond second order along directions without curvature; 0 where it does not, or by rounding.

    Along the tangent of an orbit of minima J rises by fourth order, for the orbit curves away from it. So J that falls shows
    a direction that no symmetry explains, or no minimum.

    Args:
        point: Where.
        flat: Orthonormal directions (n, k) in the band.
        sign: 1 to ask about a minimum, -1 about a maximum.
    """
    flat = flat[:, :FOLLOWED].to("cpu", torch.float64)
    mixed = torch.randn(flat.shape[1], FOLLOWED, generator=torch.Generator().manual_seed(0), dtype=flat.dtype)
    v = torch.cat([flat, flat @ (mixed / mixed.norm(dim=0))], 1)
    inner = point.operator.inner
    bent = (v * (point.operator @ v.to(inner.device, inner.dtype)).to("cpu", v.dtype)).sum(0)
    slopes = point.gradient.to("cpu", v.dtype) @ v
    seen, worst = Changes(point), 0.0
    for j in range(v.shape[1]):
        for s in (FAR * point.length, -FAR * point.length):
            changes, noises = zip(*(seen.after(t * v[:, j]) for t in (s, s / 2, s / 4)), strict=True)
            steps, noise = zip(changes, (s, s / 2, s / 4), strict=True), noises[0]
            rests = [sign * (d - t * float(slopes[j]) - t * t / 2 * float(bent[j])) for d, t in steps]
            if sign * changes[0] < -noise and _of_higher_order(rests, noise):
                worst = max(worst, -sign * changes[0])
    return worst


def _of_higher_order(rests: list[float], noise: float) -> bool:
    """Whether what is left beyond second order falls like a power of the distance from the third on, and is no rounding.

    The smallest step has to follow from the larger ones, as far as rounding lets it be seen. Of third and fourth order,
    which may be mixed, it does so roughly; higher orders shrink so fast that rounding could look alike, and are held to more.
    """
    whole, half, quarter = rests
    if not (whole < -noise and abs(whole) > 5.5 * abs(half)):
        return False
    low = abs(whole) < 40 * abs(half)
    if not (low or half < -noise):
        return False
    follows = half * half / whole
    return abs(quarter - follows) <= (1.2 if low else 0.5) * abs(follows) + noise
