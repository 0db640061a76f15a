"""Derivatives of single elementwise operations: written down for the common smooth ones, asked of torch for the rest.

torch's forward mode runs a dozen operations for each derivative and writes in place; where a network takes a thousand steps, that
would be most of what is traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

# of the argument and the result; the second derivatives that torch takes at kinks (relu at 0) are these, too
SLOPES: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    aten.sigmoid.default: lambda x, y: (1 - y) * y,
    aten.tanh.default: lambda x, y: 1 - y * y,
    aten.exp.default: lambda x, y: y,
    aten.expm1.default: lambda x, y: y + 1,
    aten.log.default: lambda x, y: 1 / x,
    aten.log1p.default: lambda x, y: 1 / (x + 1),
    aten.sqrt.default: lambda x, y: 0.5 / y,
    aten.rsqrt.default: lambda x, y: -0.5 * (y * y * y),
    aten.reciprocal.default: lambda x, y: -(y * y),
    aten.sin.default: lambda x, y: torch.cos(x),
    aten.cos.default: lambda x, y: -torch.sin(x),
    aten.erf.default: lambda x, y: 2 / math.sqrt(math.pi) * torch.exp(-(x * x)),
    aten.relu.default: lambda x, y: torch.where(y <= 0, torch.zeros_like(y), torch.ones_like(y)),
}


def derivative(op: Any, args: tuple[Any, ...], i: int, out: Tensor) -> Tensor:
    """The partial derivative of an elementwise operation by its i-th argument, in the output's shape."""
    known = SLOPES.get(op)
    if known is not None:
        return known(args[0], out)
    x = args[i].expand(out.shape)

    def f(t: Tensor) -> Tensor:
        return op(*args[:i], t, *args[i + 1 :])

    try:
        return torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]
    except (NotImplementedError, RuntimeError):
        return torch.func.vjp(f, x)[1](torch.ones_like(out))[0]
