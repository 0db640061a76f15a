"""What J does on the sides of a kink at the point: whether it falls along some direction, or is shown to rise on each side."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from jensen.ask.curvature import nearby
from jensen.ask.curvature.kinks import MIXED, Kinks, kinks
from jensen.ask.curvature.nearby import Near, Point
from jensen.ask.curvature.slopes import after, value_after

STEPS = (1e-2, 1e-3, 1e-4, 1e-6)  # relative to the point's length; each is compared with a smaller one
FINER = 8
SQUARE = 100.0  # more than the square of that: a fall of higher order is none at the point
SIDES = 4  # independent kinks whose sides are all visited, two to this power
ALIKE = 1e-9  # of a unit vector: slopes that differ less are one kink
INSIDE = 1e-5  # how far from the point J's second order on a side is taken, relative to the point's length
STRAIGHT = 1e-2  # of a distance, by which it may differ from its slope's
PART = 0.5  # of the smallest eigenvalue, by which the sides may differ in a minimum


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


def sides(point: Point, near: Near, sign: float, least: float, strict: bool) -> Sides:
    """The kinks at a point that second order takes for a minimum (sign 1) or a maximum (sign -1).

    Args:
        point: Where.
        near: How far the critical point may be, eigenvectors to look along besides the kinks' own directions, and by how
            much J bends at sampled ones.
        sign: 1 at a minimum, -1 at a maximum.
        least: The smallest modulus of an eigenvalue.
        strict: Whether no eigenvalue is zero.
    """
    found = kinks(point, near.step, cubic=not strict)
    if not found:
        return Sides()
    fall = next((f for v in _directions(found, near.soft).T if (f := falls(point, v, sign)) > 0), 0.0)
    may = fall == 0.0 and strict and near.kink <= PART * least
    return Sides(found, fall, may and _harmless(point, found, least))


def _directions(found: Kinks, soft: Tensor | None) -> Tensor:
    """Unit vectors (n, k): across each kink, into random cones between them, and eigenvectors."""
    across = torch.cat([t for t in (found.slopes, found.sums) if t is not None], 1)
    across = across / across.norm(dim=0)
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(across.shape[1], MIXED, generator=generator, dtype=across.dtype)
    signs = torch.randn(across.shape[1], MIXED, generator=generator, dtype=across.dtype)
    random = torch.randn(across.shape[0], MIXED // 2, generator=generator, dtype=across.dtype)
    eigen = random[:, :0] if soft is None else soft.to("cpu", across.dtype)
    all_ = torch.cat([across, across @ weights, across @ signs, random, eigen], 1)
    sizes = all_.norm(dim=0)
    return all_[:, sizes > 0] / sizes[sizes > 0]


def falls(point: Point, v: Tensor, sign: float) -> float:
    """By how much sign * J falls along v or -v, as fast as the square of the distance or slower; 0 where it does not.

    The fall is of values, at two distances, beyond rounding and beyond the point's slope.
    """
    zero = torch.zeros_like(v)
    here, slope = value_after(point, zero), float(point.gradient.to("cpu", v.dtype) @ v)
    unit = 64 * torch.finfo(point.cost.dtype).eps
    for s in (sign_ * size * point.length for size in STEPS for sign_ in (1.0, -1.0)):
        drops = []
        for t in (s, s / FINER):
            change = value_after(point, t * v) - here
            drop = min(-sign * change, -sign * (change - t * slope))
            if drop <= unit * max(abs(here), abs(here + change)):
                break
            drops.append(drop)
        if len(drops) == 2 and drops[0] < SQUARE * drops[1]:
            return drops[0]
    return 0.0


def _harmless(point: Point, found: Kinks, least: float) -> bool:
    """Whether J is as curved as its Hessian says, but for a part of the smallest eigenvalue, on every side of its kinks.

    With a few kinks in independent directions each combination of sides is a cone that can be entered; in each J is smooth.
    """
    if not found.plain or found.slopes is None or found.distances is None:
        return False
    normals = _apart(found.slopes / found.slopes.norm(dim=0))
    if normals.shape[1] > SIDES or float(torch.linalg.svdvals(normals).min()) < 1e-3:
        return False
    inward = torch.linalg.pinv(normals.T)
    cones = (torch.tensor(signs, dtype=normals.dtype) for signs in product((1.0, -1.0), repeat=normals.shape[1]))
    moves = (v * (INSIDE * point.length / v.norm()) for v in (inward @ signs for signs in cones))
    return all(_straight(found, move) and _alike(point, move, least) for move in moves)


def _apart(normals: Tensor) -> Tensor:
    """Without those that are parallel to an earlier one."""
    kept: list[Tensor] = []
    for v in normals.T:
        if all(min(float((v - w).norm()), float((v + w).norm())) > ALIKE for w in kept):
            kept.append(v)
    return torch.stack(kept, 1)


def _straight(found: Kinks, move: Tensor) -> bool:
    """Whether the distances from the kinks change as their slopes say: a kink behind another one bends."""
    if found.slopes is None or found.distances is None:
        return False
    want = move @ found.slopes
    return bool(((found.distances(move) - want).abs() <= STRAIGHT * want.abs()).all())


def _alike(point: Point, move: Tensor, least: float) -> bool:
    """Whether value, gradient and Hessian on the side where a move leads are those at the point, up to a part of ``least``."""
    size, enough = float(move.norm()), PART * least
    if nearby.changed(point, move) > enough:
        return False
    inner = point.operator.inner
    bent = (point.operator @ move.to(inner.device, inner.dtype)).to("cpu", move.dtype)
    here, gradient = after(point, torch.zeros_like(move))
    there, turned = after(point, move)
    noise = 64 * torch.finfo(point.cost.dtype).eps * max(abs(here), abs(there))
    if float((turned - gradient - bent).norm()) > enough * size:
        return False
    return abs(there - here - float(gradient @ move) - float(move @ bent) / 2) <= enough * size * size + noise
