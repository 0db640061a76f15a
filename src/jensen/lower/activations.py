"""Activations that torch writes in terms of simpler ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.lower.table import along, lower, substitute

aten = torch.ops.aten


@lower(aten.prelu.default, aten._prelu_kernel.default)
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """w x + (1 - w) relu(x): affine in the slopes, convex in x for slopes up to one."""
    w = along(weight, x.dim(), 1) if weight.dim() == 1 and x.dim() > 1 else weight
    return w * x + (1 - w) * F.relu(x)


@lower(aten.rrelu.default)
def rrelu(
    x: Tensor,
    lower: float = 0.125,
    upper: float = 1 / 3,
    training: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """With random slopes it is no cost; without, the slope is the middle one."""
    if training:
        raise ValueError("rrelu in training draws random slopes; call model.eval()")
    return F.leaky_relu(x, (lower + upper) / 2)


@substitute
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.ops.jensen.softshrink(input, lambd)


@substitute
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.ops.jensen.hardshrink(input, lambd)
