"""Torch readings of functions that torch has under another signature, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F


def _huber(d: torch.Tensor, delta: float = 1.0) -> torch.Tensor:
    return F.huber_loss(d, torch.zeros_like(d), reduction="none", delta=delta)


def _smooth_l1(d: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    return F.smooth_l1_loss(d, torch.zeros_like(d), reduction="none", beta=beta)


def _softplus(x: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    return -F.logsigmoid(-beta * x) / beta


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "jensen.softplus": _softplus,
    "jensen.softshrink": F.softshrink,
    "jensen.hardshrink": F.hardshrink,
    "jensen.variance": lambda x, eps: x.clamp(min=eps),
    "jensen.softsign": F.softsign,
    "jensen.tanhshrink": F.tanhshrink,
    "jensen.huber": _huber,
    "jensen.smooth_l1": _smooth_l1,
    "jensen.xlogx": lambda x: x * torch.log(x),
    "jensen.log1mexp": lambda x: torch.log(-torch.expm1(-x)),
    "jensen.positive_rel_entr": lambda x, y: x * (torch.log(x) - torch.log(y)),
    "jensen.rel_entr": lambda x, y: x * torch.log(x / y),
    "aten.hardsigmoid.default": lambda x: (x + 3).clamp(0, 6) / 6,  # torch differentiates its own once only
    "aten.gelu.default": lambda x, approximate="none": F.gelu(x, approximate=approximate),
}
