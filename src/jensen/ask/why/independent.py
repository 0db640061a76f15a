"""The second derivative of a cost along a direction, without jensen's program: what the ledger is checked against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import run

Theta = Mapping[str, Tensor]
Value = Callable[[Theta], Tensor]

REACHES = (1e-4, 1e-6, 1e-7)  # of the finite differences, in units of the parameters' size: kinks ask for short ones
CLOSE = 1e-5  # how closely finite differences of the gradient must agree, ...
NOISE = 1e-8  # ... or up to this part of the gradient's slope


def confirm(
    cost: Cost, theta: Theta, direction: Theta, problem: Problem, total: float, slack: float
) -> tuple[float, tuple[str, ...]]:
    """How far a ledger's total is from d'Hd by reverse over reverse of the cost itself, one chunk at a time.

    Where torch has no second derivative of the cost, or one that does not agree, finite differences of the cost's
    gradient decide, with reverse over reverse of the whole captured program, which the trace has replayed against the
    cost, for the digits: torch's own second derivative of weight_norm is wrong (2.13), and it has none of cdist,
    embedding bags or hardsigmoid.

    Returns:
        The distance, at most ``slack`` (that of the differences where there is nothing else), and what must be said.

    Raises:
        Misuse: Where the total is confirmed by nothing.
    """
    try:
        value = sum(float(w) * _twice(f, theta, direction) for f, w in _parts(cost))
        if abs(total - value) <= slack:
            return abs(total - value), ()
        own = f"torch's own second derivative of this cost along the direction is {value!r}"
    except (NotImplementedError, RuntimeError) as e:
        own = f"torch has no second derivative of this cost ({' '.join(str(e).split())[:100]})"
    slope = min((_difference(cost, theta, direction, r) for r in REACHES), key=lambda s: abs(s.value - total))
    gap = abs(slope.value - total)
    whole = _whole(problem, theta, direction)
    said = f"{own}; finite differences of its gradient give {slope.value:.6g}"
    if gap <= CLOSE * max(abs(slope.value), abs(total)) + slope.noise and (whole is None or abs(total - whole) <= slack):
        return (gap, (f"{said}, which confirms the shares to their precision only",)) if whole is None else (
            abs(total - whole),
            (f"{said}, and reverse over reverse of the captured program confirms the shares",),
        )
    raise Misuse(f"the shares sum to {total!r}, but {said}")


def _whole(problem: Problem, theta: Theta, direction: Theta) -> float | None:
    """d'Hd by reverse over reverse of the whole captured programs; None where torch has no second derivative."""
    total = 0.0
    try:
        for term in problem.terms:
            total += float(term.weight) * _twice(partial(run, term.program, term.tensors), theta, direction)
    except (NotImplementedError, RuntimeError):
        return None
    return total


def _parts(cost: Cost) -> list[tuple[Value, float]]:
    """The cost's parts as functions of the blocks, with their weights."""

    def value(k: int, chunk: object) -> Value:
        return lambda theta: cost.part_value(
            {**cost.fixed, **{n: t.to(cost.dtype) for n, t in theta.items()}},
            k,
            chunk,  # type: ignore[arg-type]
        )

    return [(value(k, chunk), float(w)) for k, (chunk, w) in enumerate(cost.parts())]


def _gradient(f: Value, theta: Theta, graph: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """Copies of the blocks, and the gradient in them; zeros where there is none."""
    leaves = {n: t.detach().clone().requires_grad_() for n, t in theta.items()}
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
        value = f(leaves)
        points = list(leaves.values())
        if not value.requires_grad:
            return points, [torch.zeros_like(p) for p in points]
        found = torch.autograd.grad(value, points, create_graph=graph, allow_unused=True)
    return points, [torch.zeros_like(p) if g is None else g for g, p in zip(found, points, strict=True)]


def _twice(f: Value, theta: Theta, direction: Theta) -> float:
    """The second derivative by reverse over reverse."""
    points, gradient = _gradient(f, theta, graph=True)
    moves = [direction.get(n) for n in theta]
    pairs = [(g, d) for g, d in zip(gradient, moves, strict=True) if d is not None and g.requires_grad]
    if not pairs:
        return 0.0
    back = torch.autograd.grad([g for g, _ in pairs], points, [d for _, d in pairs], allow_unused=True)
    return sum(float((h * d).sum()) for h, d in zip(back, moves, strict=True) if h is not None and d is not None)


@dataclass(frozen=True)
class Difference:
    """A second derivative by finite differences, and its rounding noise."""

    value: float
    noise: float


def _difference(cost: Cost, theta: Theta, direction: Theta, reach: float) -> Difference:
    """Differences of fourth order of the gradient's slope along the direction."""
    reach *= 1.0 + max(float(t.abs().max()) for t in theta.values() if t.numel())

    def slope(t: float) -> float:
        at = {n: p + t * direction[n] if n in direction else p for n, p in theta.items()}
        total = 0.0
        for f, w in _parts(cost):
            _, gradient = _gradient(f, at)
            total += w * sum(float((g * direction[n]).sum()) for n, g in zip(at, gradient, strict=True) if n in direction)
        return total

    s = {k: slope(k * reach) for k in (-2, -1, 1, 2)}
    value = (8 * (s[1] - s[-1]) - (s[2] - s[-2])) / (12 * reach)
    return Difference(value, NOISE * max(abs(v) for v in s.values()))
