"""Preconditioned conjugate gradients for a step of Newton's method, on the normal equations of a linear map."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

INNER = 80  # iterations


def conjugate(
    g: Sequence[Tensor],
    forward: Callable[[Sequence[Tensor]], Mapping[str, Tensor]],
    backward: Callable[[Mapping[str, Tensor]], list[Tensor]],
    ease: Callable[[Sequence[Tensor]], list[Tensor]],
    moment: float,
) -> list[Tensor]:
    """The solution of backward(forward(xi)) = g, nearer the smaller the moment is."""
    xi = [t * 0 for t in g]
    z = ease(g)
    q, rho = z, dot(g, z)
    first = rho
    for _ in range(INNER):
        if not rho > 1e-8 * min(moment, 1.0) * first:
            break
        pushed = forward(q)
        size = sum(float(t.square().sum()) for t in pushed.values())
        if size == 0:
            break
        alpha = rho / size
        xi = [i + alpha * j for i, j in zip(xi, q, strict=True)]
        g = [i - alpha * j for i, j in zip(g, backward(pushed), strict=True)]
        z = ease(g)
        new = dot(g, z)
        q = [i + new / rho * j for i, j in zip(z, q, strict=True)]
        rho = new
    return xi


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The inner product of two lists of tensors."""
    return sum(float((i * j).sum()) for i, j in zip(a, b, strict=True))
