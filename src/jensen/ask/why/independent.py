"""The second derivative of a cost along a direction, without jensen's program: what the ledger is checked against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from jensen.ask.curvature import reference
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import run

Theta = Mapping[str, Tensor]
Value = Callable[[Theta], Tensor]

EXACT = 1e-8  # of the sum of |shares|, in float64
SINGLE = 1e-3  # where the cost itself is computed in a smaller type
ROUNDING = 16 * torch.finfo(torch.float64).eps
REACHES = (1e-4, 1e-6, 1e-7)  # of the finite differences, in units of the parameters' size: kinks ask for short ones
CLOSE = 1e-5  # how closely finite differences of the gradient must agree, ...
NOISE = 1e-8  # ... or up to this part of the gradient's slope


@dataclass(frozen=True)
class Check:
    """What the comparison found.

    Attributes:
        distance: Between the sum of the shares and the independent second derivative.
        notes: What must be said.
        flat: Whether nothing but rounding is there: the two differ, and both are rounding errors of J.
    """

    distance: float
    notes: tuple[str, ...] = ()
    flat: bool = False


class Disagreement(Misuse):
    """Shares that do not sum to what they split: one of the two is wrong."""


def confirm(cost: Cost, theta: Theta, direction: Theta, problem: Problem, total: float, size: float) -> Check:
    """How far a ledger's total is from d'Hd by reverse over reverse of the cost itself, one chunk at a time.

    Where torch has no second derivative of the cost, or one that does not agree, finite differences of the cost's
    gradient decide, with reverse over reverse of the whole captured program, which the trace has replayed against the
    cost, for the digits: torch's own second derivative of weight_norm is wrong (2.13), and it has none of cdist,
    embedding bags or hardsigmoid.

    Args:
        cost: The cost.
        theta: The point.
        direction: Blocks that move.
        problem: The cost's programs.
        total: The sum of the shares.
        size: The sum of their absolute values.

    Returns:
        The distance, at most ``size`` times 1e-8 (1e-3 where the cost computes in a smaller type than float64) unless
        there is nothing but rounding, and what must be said.

    Raises:
        Disagreement: Where the total is confirmed by nothing.
    """
    slack = (EXACT if cost.dtype == torch.float64 else SINGLE) * size
    own: float | None = None
    try:
        own = sum(float(w) * _twice(f, theta, direction) for f, w in _parts(cost))
        if abs(total - own) <= slack:
            return Check(abs(total - own))
        if _rounding(cost, theta, size, own):
            return Check(
                abs(total - own), ("along this direction J has no curvature but rounding: the shares are zero",), True
            )
        said = f"torch's own second derivative of this cost along the direction is {own!r}"
    except (NotImplementedError, RuntimeError) as e:
        said = f"torch has no second derivative of this cost ({' '.join(str(e).split())[:100]})"
    return _by_the_program(cost, theta, direction, problem, total, slack, own is None, said)


def _by_the_program(
    cost: Cost, theta: Theta, direction: Theta, problem: Problem, total: float, slack: float, missing: bool, said: str
) -> Check:
    """The same against the program as a whole and differences of the cost's gradient."""
    whole = sum(float(t.weight) * _twice(partial(run, t.program, t.tensors), theta, direction) for t in problem.terms)
    if abs(total - whole) > slack:
        raise Disagreement(
            f"the shares sum to {total!r}, but reverse over reverse of the captured program to {whole!r}; {said}"
        )
    slopes = [_difference(cost, theta, direction, r) for r in REACHES]
    slope = min(slopes, key=lambda s: abs(s.value - total))
    if abs(slope.value - total) <= CLOSE * max(abs(slope.value), abs(total)) + slope.noise:
        by = f"finite differences of its gradient ({slope.value:.6g}) and reverse over reverse of the captured program"
        return Check(abs(total - whole), (f"{said}; {by} confirm the shares",))
    if missing and _kinked(slopes):
        text = (
            f"{said}, and the gradient jumps along the direction at this point (a kink), so that finite differences have "
            f"no say; reverse over reverse of the captured program confirms the shares"
        )
        return Check(abs(total - whole), (text,))
    raise Disagreement(
        f"the shares sum to {total!r}, but {said}; finite differences of its gradient give {slope.value!r}"
    )


def _kinked(slopes: list[Difference]) -> bool:
    """Whether the difference quotients of the gradient grow without bound as their reach shrinks."""
    sizes = [abs(s.value) for s in slopes]
    return sizes[0] > 0 and all(b > 5 * a for a, b in pairwise(sizes))


def _rounding(cost: Cost, theta: Theta, size: float, value: float) -> bool:
    """Whether there is no curvature but what rounding leaves of it."""
    with torch.no_grad():
        return max(size, abs(value)) <= ROUNDING * abs(float(cost(theta)))


def _parts(cost: Cost) -> list[tuple[Value, float]]:
    """The cost's parts as functions of the blocks, with their weights."""

    def value(k: int, chunk: object) -> Value:
        return lambda theta: cost.part_value(
            {**cost.fixed, **{n: t.to(cost.dtype) for n, t in theta.items()}},
            k,
            chunk,  # type: ignore[arg-type]
        )

    return [(value(k, chunk), float(w)) for k, (chunk, w) in enumerate(cost.parts())]


def _gradient(f: Value, theta: Theta) -> tuple[list[Tensor], list[Tensor]]:
    """Copies of the blocks, and the gradient in them; zeros where there is none."""
    leaves = {n: t.detach().clone().requires_grad_() for n, t in theta.items()}
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
        value = f(leaves)
        points = list(leaves.values())
        if not value.requires_grad:
            return points, [torch.zeros_like(p) for p in points]
        found = torch.autograd.grad(value, points, allow_unused=True)
    return points, [torch.zeros_like(p) if g is None else g for g, p in zip(found, points, strict=True)]


def _twice(f: Value, theta: Theta, direction: Theta) -> float:
    """The second derivative by reverse over reverse."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        found = reference.twice(lambda t: f({**theta, **t}), dict(theta), tuple(direction), dict(direction))
    return sum(float((found[n] * d).sum()) for n, d in direction.items())


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
            total += w * sum(
                float((g * direction[n]).sum()) for n, g in zip(at, gradient, strict=True) if n in direction
            )
        return total

    s = {k: slope(k * reach) for k in (-2, -1, 1, 2)}
    value = (8 * (s[1] - s[-1]) - (s[2] - s[-2])) / (12 * reach)
    return Difference(value, NOISE * max(abs(v) for v in s.values()))
