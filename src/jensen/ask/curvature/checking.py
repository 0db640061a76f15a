"""A map is checked against the cost itself before its first use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jensen.ask.curvature import reference
from jensen.ask.curvature.pieces import Point
from jensen.linalg.flat import Flat

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3}
TF32_TOLERANCE = 5e-2
DIFFERENCES = 1e-5
STEPS = (1e-4, 1e-5, 1e-6)  # of the point's length: shorter ones step over fewer kinks, and show more of rounding
SIDES = {torch.float64: 1e-7, torch.float32: 1e-3}  # the same, for slopes on both sides of a kink
DIFFERENCED = "finite differences of the cost's gradient"


@dataclass(frozen=True)
class Check:
    """One comparison: the relative error of a product with a random vector, and against what."""

    term: int
    error: float
    tolerance: float
    reference: str

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance


def check(point: Point, flat: Flat, k: int, apply: Callable[[Tensor], Tensor], tolerance: float) -> Check:
    """Compare ``apply``, the k-th term's map on one flat vector, with the cost's double backward.

    Where the two differ by more than the tolerance, the reference's own sensitivity to rounding is counted (next to
    cancellation it is all there is), then finite differences are asked.
    """
    v = _random(flat, k).to(point.device, point.dtype)
    got = apply(v).cpu().double()
    try:
        want, size = _reference(point, flat, k, v, 0.0)
    except (RuntimeError, NotImplementedError):  # torch has no second derivative of some operation
        want, size = _differences(point, flat, k, v)
        return Check(k, _relative(got, want, size), max(tolerance, DIFFERENCES), DIFFERENCED)
    found = Check(k, _relative(got, want, size), tolerance, "double backward of the cost")
    if found.passed:
        return found
    if float((got - want).norm()) <= _noise(point, flat, k, v, want):
        return replace(found, error=tolerance)
    if float(torch.stack([got.norm(), want.norm()]).max()) <= _vanishing(point, k):
        return replace(found, error=0.0, reference=f"{found.reference}: both are zero but for rounding")
    return _third_opinion(found, point, flat, v, got, want)


def _third_opinion(found: Check, point: Point, flat: Flat, v: Tensor, got: Tensor, want: Tensor) -> Check:
    """torch's double backward is wrong for some operations (weight_norm): finite differences of gradients decide.

    They take the map's side only where they are nearer to it by far: a map that is off by little is not excused.
    """
    truth, size = _differences(point, flat, found.term, v)
    ours, theirs = _relative(got, truth, size), _relative(want, truth, size)
    theirs = theirs if math.isfinite(theirs) else math.inf
    return Check(found.term, ours, DIFFERENCES, DIFFERENCED) if ours <= min(1e-2 * theirs, DIFFERENCES) else found


def _relative(a: Tensor, b: Tensor, size: float) -> float:
    error = float((a - b).norm())
    return error / size if size > 0 else 0.0 if error == 0 else float("inf")


def _reference(point: Point, flat: Flat, k: int, v: Tensor, shift: float) -> tuple[Tensor, float]:
    theta = point.theta
    if shift:
        theta = {n: t.detach().cpu().double() * (1 + shift) for n, t in theta.items()}
    out, size = reference.product(point.cost, theta, k, point.asked, flat.split(v), point.part)
    return flat.join(out).double(), size


def _noise(point: Point, flat: Flat, k: int, v: Tensor, want: Tensor) -> float:
    """By how much the reference moves when the parameters move by rounding errors of the operator's type."""
    unit = 64 * torch.finfo(point.dtype).eps
    moved = [_reference(point, flat, k, v, s * unit)[0] for s in (-1.0, 1.0)]
    return max(float((m - want).norm()) for m in moved)


def _vanishing(point: Point, k: int) -> float:
    """What rounding may leave of a product that is zero: J may not depend on the asked blocks (a bias in front of batch norm).

    Terms cancel there that are as large as those of all blocks together. Nothing where torch cannot differentiate these twice.
    """
    whole = replace(point, asked=tuple(point.theta), part="hessian")
    flat = Flat({n: tuple(t.shape) for n, t in point.theta.items()})
    v = _random(flat, k).to(point.device, point.dtype)
    try:
        return 64 * torch.finfo(point.dtype).eps * _reference(whole, flat, k, v, 0.0)[1]
    except (RuntimeError, NotImplementedError):
        return 0.0


def _differences(point: Point, flat: Flat, k: int, v: Tensor) -> tuple[Tensor, float]:
    """Central differences of the cost's gradient, with one Richardson step; and their size.

    For the parts those of the model's output come in place of them or beside them: nothing is differentiated twice by torch but
    the loss.
    """
    v64, newton, newton_size = v.cpu().double(), torch.zeros(()), 0.0
    if point.part != "hessian":
        blocks = reference.newton_by_differences(point.cost, point.theta, k, point.asked, flat.split(v))
        newton, newton_size = flat.join(blocks).double(), reference.norm(blocks)
        if point.part == "gauss-newton":
            return newton, newton_size
    slope, reach = _slope(point, flat, k, v64), _reach(point, v64)
    found = [[_central(slope, share * reach)] for share in STEPS]
    (whole,) = reference.steadiest(found)
    return whole - newton, float(whole.norm()) + newton_size


def _central(slope: Callable[[float], Tensor], h: float) -> Tensor:
    one, two = (slope(h) - slope(-h)) / (2 * h), (slope(2 * h) - slope(-2 * h)) / (4 * h)
    return (4 * one - two) / 3


def kinked(point: Point, flat: Flat, k: int) -> bool:
    """Whether the slopes of the gradient on both sides of the point differ by something that does not shrink with the step.

    They are differences of the k-th part's own gradient: of a smooth cost, half the step halves the difference.
    """
    v = _random(flat, k)
    slope, h = _slope(point, flat, k, v), SIDES[point.cost.dtype] * _reach(point, v)
    here = slope(0.0)

    def sides(h: float) -> tuple[float, float]:
        ahead, behind = (slope(h) - here) / h, (here - slope(-h)) / h
        return float((ahead - behind).norm()), float(ahead.norm() + behind.norm())

    (fine, size), (coarse, _) = sides(h), sides(8 * h)
    return fine > 1e-4 * size and fine > 0.5 * coarse


def _random(flat: Flat, k: int) -> Tensor:
    return torch.randn(flat.n, generator=torch.Generator().manual_seed(9 + k), dtype=torch.float64)


def _slope(point: Point, flat: Flat, k: int, v: Tensor) -> Callable[[float], Tensor]:
    """The gradient of the k-th part of the cost, h times the vector away from the point."""
    theta = {n: t.detach().cpu().double() for n, t in point.theta.items()}
    at = flat.join({n: theta[n] for n in point.asked})
    chunk = point.cost.parts()[k][0]

    def slope(h: float) -> Tensor:
        leaves = {n: t.to(point.cost.dtype).requires_grad_() for n, t in flat.split(at + h * v).items()}
        with torch.enable_grad():
            value = point.cost.part_value({**point.cost.fixed, **theta, **leaves}, k, chunk)
            found = reference.grads(value, list(leaves.values()))
        return flat.join(dict(zip(leaves, found, strict=True))).double()

    return slope


def _reach(point: Point, v: Tensor) -> float:
    """The point's length and one, in lengths of the vector."""
    return (reference.norm({n: point.theta[n] for n in point.asked}) + 1) / float(v.norm())
