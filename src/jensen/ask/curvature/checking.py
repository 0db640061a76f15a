"""A map is checked against the cost itself before its first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.curvature import reference
from jensen.ask.curvature.pieces import Point
from jensen.linalg.flat import Flat

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-3}
TF32_TOLERANCE = 5e-2


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

    Where the two differ by more than the tolerance, the reference's own sensitivity to rounding is counted: next to
    cancellation it is all there is.
    """
    generator = torch.Generator().manual_seed(9 + k)
    v = torch.randn(flat.n, generator=generator, dtype=torch.float64).to(point.device, point.dtype)
    got = apply(v).cpu().double()
    try:
        want = _reference(point, flat, k, v, 0.0)
    except (RuntimeError, NotImplementedError):  # no second derivative in torch
        want, name = _differences(point, flat, k, v), "finite differences of the cost's gradient"
        tolerance = max(tolerance, 1e-5)
    else:
        name = "double backward of the cost"
    error, size = float((got - want).norm()), float(want.norm())
    if error > tolerance * size and name.startswith("double"):
        size = max(size, _noise(point, flat, k, v, want) / tolerance)
    relative = error / size if size > 0 else (0.0 if error == 0 else float("inf"))
    return Check(k, relative, tolerance, name)


def _reference(point: Point, flat: Flat, k: int, v: Tensor, shift: float) -> Tensor:
    theta = {n: t.detach().cpu().double() * (1 + shift) for n, t in point.theta.items()}
    out = reference.product(point.cost, theta, k, point.asked, flat.split(v.cpu().double()), point.part)
    return flat.join(out).double()


def _noise(point: Point, flat: Flat, k: int, v: Tensor, want: Tensor) -> float:
    """By how much the reference moves when the parameters move by rounding errors of the cost's type."""
    unit = 64 * torch.finfo(point.dtype).eps
    moved = [_reference(point, flat, k, v, s * unit) for s in (-1.0, 1.0)]
    return max(float((m - want).norm()) for m in moved)


def _differences(point: Point, flat: Flat, k: int, v: Tensor) -> Tensor:
    """Central differences of the cost's gradient, with one Richardson step."""
    if point.part != "hessian":
        raise NotImplementedError
    v64 = v.cpu().double()
    theta = {n: t.detach().cpu().double() for n, t in point.theta.items()}
    at = flat.join({n: theta[n] for n in point.asked})
    chunk = point.cost.parts()[k][0]

    def slope(h: float) -> Tensor:
        moved = flat.split(at + h * v64)
        leaves = {n: t.to(point.cost.dtype).requires_grad_() for n, t in moved.items()}
        with torch.enable_grad():
            value = point.cost.part_value({**point.cost.fixed, **theta, **leaves}, k, chunk)
            grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return flat.join(dict(zip(leaves, grads, strict=True))).double()

    h = 1e-4 * float(at.norm() + 1) / float(v64.norm())
    one, two = (slope(h) - slope(-h)) / (2 * h), (slope(2 * h) - slope(-2 * h)) / (4 * h)
    return (4 * one - two) / 3
