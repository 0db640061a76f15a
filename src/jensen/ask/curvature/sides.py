"""What J does on the sides of a kink at the point: whether it falls along some direction, or is shown to rise on each side."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import torch
from torch import Tensor

from jensen.ask.curvature import nearby
from jensen.ask.curvature.kinks import MIXED, MOST, Kinks, independent, kinks, straight
from jensen.ask.curvature.nearby import Near, Point
from jensen.ask.curvature.slopes import Changes, after, rounding

STEPS = (1e-2, 1e-3, 1e-4, 1e-6)  # relative to the point's length; each is compared with a smaller one
FINER = 8
LEAST = 36  # a power of a half, from which on J is followed out to where it changes
SQUARE = 100.0  # more than the square of that: a fall of higher order is none at the point
SIDES = 4  # independent kinks whose sides are all visited, two to this power
INSIDE = 1e-5  # how far from the point J's second order on a side is taken, relative to the point's length
PART = 0.5  # of the smallest eigenvalue, by which J may be less curved on a side of a minimum


@dataclass(frozen=True)
class Sides:
    """Kinks at the point, and what was seen of their sides.

    Attributes:
        found: The kinks.
        fall: By how much J falls (rises, at a maximum) along a direction, at two distances; 0 where none was seen to.
        harmless: Whether J is shown to have its minimum's (maximum's) curvature on every side.
    """

    found: Kinks = field(default_factory=Kinks)
    fall: float = 0.0
    harmless: bool = False


def sides(point: Point, near: Near, sign: float, least: float, strict: bool) -> Sides | None:
    """The kinks at a point that second order takes for a minimum (sign 1) or a maximum (sign -1).

    Args:
        point: Where.
        near: How far the critical point may be, eigenvectors to look along besides the kinks' own directions, and by how
            much J bends at sampled ones.
        sign: 1 at a minimum, -1 at a maximum.
        least: The smallest modulus of an eigenvalue.
        strict: Whether no eigenvalue is zero.

    Returns:
        None where the operations cannot be read beside the point, as where shapes depend on values.
    """
    try:
        found = kinks(point, near.step, cubic=not strict)
    except (RuntimeError, NotImplementedError, IndexError):
        return None
    if not found:
        return Sides(found)
    fall = _fall(point, _directions(found, near.soft), sign)
    harmless = fall == 0.0 and strict and _harmless(point, found, near.soft, sign, least)
    return Sides(found, fall, harmless)


def across(point: Point, soft: Tensor | None, sign: float) -> Sides:
    """The kinks of a crease that J climbs (descends, with sign -1), and whether values of J say otherwise."""
    found: Kinks = point.crease.found if point.crease else Kinks()
    some = replace(found, slopes=None if found.slopes is None else found.slopes[:, :MOST])
    fall = _fall(point, _directions(some, soft), sign)
    return Sides(found, fall, fall == 0.0)


def _directions(found: Kinks, soft: Tensor | None) -> Tensor:
    """Unit vectors (n, k): across each kink, into random cones between them, and eigenvectors."""
    over = torch.cat([t for t in (found.slopes, found.sums) if t is not None], 1)
    over = over / over.norm(dim=0)
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(over.shape[1], MIXED, generator=generator, dtype=over.dtype)
    signs = torch.randn(over.shape[1], MIXED, generator=generator, dtype=over.dtype)
    all_ = torch.cat([over, over @ weights, over @ signs, _sampled(over, soft)], 1)
    sizes = all_.norm(dim=0)
    return all_[:, sizes > 0] / sizes[sizes > 0]


def _fall(point: Point, directions: Tensor, sign: float) -> float:
    """The first fall along some direction; 0 where there is none."""
    seen = Changes(point)
    return next((f for v in directions.T if (f := falls(seen, v, sign)) > 0), 0.0)


def falls(seen: Changes, v: Tensor, sign: float) -> float:
    """By how much sign * J falls along v or -v, as fast as the square of the distance or slower; 0 where it does not.

    The fall is of values, at two distances, beyond rounding and beyond the point's slope.
    """
    point, slope = seen.point, float(seen.point.gradient.to("cpu", v.dtype) @ v)
    for s in (sign_ * size * point.length for size in STEPS for sign_ in (1.0, -1.0)):
        drops = []
        for t in (s, s / FINER):
            change, noise = seen.after(t * v)
            drop = min(-sign * change, -sign * (change - t * slope))
            if drop <= noise:
                break
            drops.append(drop)
        if len(drops) == 2 and drops[0] < SQUARE * drops[1]:
            return drops[0]
    return 0.0


def leaves(seen: Changes, v: Tensor, sign: float) -> bool:
    """Whether sign * J falls along v or -v from the least distance on at which it can be seen to change: not only far out."""
    point, slope = seen.point, float(seen.point.gradient.to("cpu", v.dtype) @ v)
    for way in (1.0, -1.0):
        for t in (way * 2.0**-k * point.length for k in range(LEAST, 6, -2)):
            change, noise = seen.after(t * v)
            if abs(change) > noise:
                if min(-sign * change, -sign * (change - t * slope)) > noise:
                    return True
                break
    return False


def _harmless(point: Point, found: Kinks, soft: Tensor | None, sign: float, least: float) -> bool:
    """Whether J is curved as its Hessian says, but for a part of the smallest eigenvalue, on every side of its kinks.

    With a few kinks in independent directions each combination of sides is a cone that can be entered; in each J is smooth.
    Random directions and eigenvectors are looked along as well, for kinks of operations that are not known.
    """
    normals = independent(found)
    if normals is None or normals.shape[1] > SIDES:
        return False
    inward = torch.linalg.pinv(normals.T)
    cones = (torch.tensor(signs, dtype=normals.dtype) for signs in product((1.0, -1.0), repeat=normals.shape[1]))
    size = INSIDE * point.length
    moves = [v * (size / v.norm()) for v in (inward @ signs for signs in cones)]
    if not all(straight(found, move) and _curved(point, move, sign, least) for move in moves):
        return False
    return all(_curved(point, s * size * v, sign, least) for v in _sampled(normals, soft).T for s in (1.0, -1.0))


def _sampled(like: Tensor, soft: Tensor | None) -> Tensor:
    """Random unit vectors (n, k), and eigenvectors."""
    random = torch.randn(like.shape[0], MIXED // 2, generator=torch.Generator().manual_seed(4), dtype=like.dtype)
    random = random / random.norm(dim=0)
    return random if soft is None else torch.cat([random, soft.to("cpu", like.dtype)], 1)


def _curved(point: Point, move: Tensor, sign: float, least: float) -> bool:
    """Whether J is smooth up to second order on the side where a move leads, and curved there but a part of ``least`` less."""
    there, size, enough = nearby.after(point, move), float(move.norm()), PART * least
    if float((sign * nearby.changes(point, there)).min()) < -enough:
        return False
    inner = point.operator.inner
    bent = (there.operator @ move.to(inner.device, inner.dtype)).to("cpu", move.dtype)
    here, gradient = after(point, torch.zeros_like(move))
    value, turned = after(point, move)
    if float((turned - gradient - bent).norm()) > enough * size:
        return False
    return abs(value - here - float(gradient @ move) - float(move @ bent) / 2) <= enough * size * size + rounding(
        point, here, value
    )
