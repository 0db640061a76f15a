"""Second-order terms of the softmax family in closed form: as variances, which rounding cannot make negative.

With p the softmax of a row and c the tangent less its mean under p, D^2 logsumexp = sum p c^2, the variance; log_softmax
is the identity less logsumexp; and D^2 softmax = p (c^2 - variance).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _centred(p: Tensor, t: Tensor, dims: Any) -> Tensor:
    return t - (p * t).sum(dims, keepdim=True)


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum())


def logsumexp(adjoint: Tensor, y: Tensor, t: Tensor, x: Tensor, dims: Any, keepdim: bool = False) -> float:
    if not keepdim:
        axes = sorted(d % x.dim() for d in dims) if x.dim() else []
        for d in axes:
            y, adjoint = y.unsqueeze(d), adjoint.unsqueeze(d)
    p = torch.exp(x - y)
    c = _centred(p, t, dims)
    return _dot(adjoint, (p * c * c).sum(dims, keepdim=True))


def log_softmax(adjoint: Tensor, y: Tensor, t: Tensor, x: Tensor, dim: int) -> float:
    p = torch.exp(y)
    c = _centred(p, t, dim)
    return _dot(-adjoint.sum(dim), (p * c * c).sum(dim))


def softmax(adjoint: Tensor, y: Tensor, t: Tensor, *rest: Any) -> float:
    dim = rest[-1]
    c = _centred(y, t, dim)
    square = c * c
    return _dot(adjoint, y * (square - (y * square).sum(dim, keepdim=True)))


# operation -> (adjoint, its value, its input's tangent, its arguments) -> < adjoint, D^2 f [tangent, tangent] >
ROWS: dict[str, Callable[..., float]] = {
    "aten.logsumexp.default": logsumexp,
    "aten.log_softmax.int": log_softmax,
    "aten.softmax.int": softmax,
    "jensen.masked_softmax": softmax,
}
