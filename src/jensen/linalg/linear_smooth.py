"""Gradients whose own derivative is right where torch's formulas split: at zero, and where a loss turns linear.

torch takes log sigmoid apart with exp(-|x|), which is smooth at zero although |x| is not: differentiated once more, the sign of
zero makes it flat there. At true kinks the side is taken that torch's double backward takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
MEAN = 1  # of torch's numbers for reductions


def log_sigmoid_backward(grad: Tensor, x: Tensor, buffer: Tensor) -> Tensor:
    """d/dx log sigmoid(x) = sigmoid(-x), one smooth piece."""
    return grad * torch.sigmoid(-x)


def elu_backward(grad: Tensor, alpha: float, scale: float, input_scale: float, is_result: bool, x: Tensor) -> Tensor:
    """At zero the left side's slope, which does not change there (torch's second derivative is zero)."""
    left = alpha * scale
    if is_result:
        below = input_scale * (torch.where(x < 0, x, 0.0) + left)
    else:
        below = left * input_scale * torch.exp(torch.where(x < 0, x, 0.0) * input_scale)
    return grad * torch.where(x <= 0, below, scale)


def huber_loss_backward(grad: Tensor, x: Tensor, target: Tensor, reduction: int, delta: float) -> Tensor:
    """Linear from delta on, delta included."""
    gap = x - target
    slope = torch.where(gap.abs() < delta, gap, gap.sign() * delta)
    return grad * (slope / gap.numel() if reduction == MEAN else slope)


OWN: dict[Any, Callable[..., Tensor]] = {
    aten.log_sigmoid_backward.default: log_sigmoid_backward,
    aten.elu_backward.default: elu_backward,
    aten.huber_loss_backward.default: huber_loss_backward,
}
