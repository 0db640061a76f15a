"""Losses."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from jensen.lower.table import along, lower, substitute

aten = torch.ops.aten


def reduce(x: Tensor, reduction: int) -> Tensor:
    return x if reduction == 0 else x.mean() if reduction == 1 else x.sum()


@lower(aten.mse_loss.default)
def mse_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return reduce((x - y).pow(2), reduction)


@lower(aten.l1_loss.default)
def l1_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return reduce((x - y).abs(), reduction)


@lower(aten.binary_cross_entropy.default)
def binary_cross_entropy(x: Tensor, y: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    log_p, log_q = torch.ops.jensen.clamped_log(x, -100.0), torch.ops.jensen.clamped_log(1 - x, -100.0)
    out = -(y * log_p + (1 - y) * log_q)
    return reduce(out if weight is None else weight * out, reduction)


@lower(aten.binary_cross_entropy_with_logits.default)
def binary_cross_entropy_with_logits(
    x: Tensor, y: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    slope = 1 if pos_weight is None else (pos_weight - 1) * y + 1
    out = (1 - y) * x - slope * F.logsigmoid(x)
    return reduce(out if weight is None else weight * out, reduction)


@lower(aten.soft_margin_loss.default)
def soft_margin_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return reduce(-F.logsigmoid(y * x), reduction)


@lower(aten.cross_entropy_loss.default)
def cross_entropy_loss(
    x: Tensor,
    y: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    axis = 0 if x.dim() == 1 else 1
    log_p = x.log_softmax(axis)
    if y.is_floating_point():
        target = y if label_smoothing == 0.0 else y * (1 - label_smoothing) + label_smoothing / x.shape[axis]
        if weight is not None:
            target = target * along(weight, x.dim(), axis)
        out = -(log_p * target).sum(axis)
        rows = x.numel() // x.shape[axis]
        return out if reduction == 0 else out.sum() / rows if reduction == 1 else out.sum()
    hit = nll(log_p, y, weight, reduction, ignore_index, axis)
    if label_smoothing == 0.0:
        return hit
    keep = (y != ignore_index).to(x.dtype).unsqueeze(axis)
    w = keep if weight is None else keep * along(weight, x.dim(), axis)
    smooth = -(log_p * w).sum(axis)
    if reduction == 1:
        smooth = smooth.sum() / _selected(y, weight, ignore_index, x.dtype).sum()
    elif reduction == 2:
        smooth = smooth.sum()
    return (1 - label_smoothing) * hit + smooth * (label_smoothing / x.shape[axis])


def _selected(y: Tensor, weight: Tensor | None, ignore_index: int, dtype: torch.dtype) -> Tensor:
    """Each target's weight; zero where it is ignored."""
    keep = y != ignore_index
    if weight is None:
        return keep.to(dtype)
    safe = torch.where(keep, y, torch.zeros_like(y))
    return torch.where(keep, weight[safe], torch.zeros((), dtype=weight.dtype))


def nll(log_p: Tensor, y: Tensor, weight: Tensor | None, reduction: int, ignore_index: int, axis: int) -> Tensor:
    keep = y != ignore_index
    safe = torch.where(keep, y, torch.zeros_like(y))
    picked = log_p.gather(axis, safe.unsqueeze(axis)).squeeze(axis)
    w = _selected(y, weight, ignore_index, log_p.dtype)
    out = -(picked * w)
    return out if reduction == 0 else out.sum() / w.sum() if reduction == 1 else out.sum()


@lower(aten.nll_loss_nd.default, aten.nll_loss.default, aten.nll_loss2d.default)
def nll_loss(
    x: Tensor, y: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100
) -> Tensor:
    return nll(x, y, weight, reduction, ignore_index, 0 if x.dim() == 1 else 1)


@lower(aten.kl_div.default)
def kl_div(x: Tensor, y: Tensor, reduction: int = 1, log_target: bool = False) -> Tensor:
    out = y.exp() * (y - x) if log_target else torch.special.xlogy(y, y) - y * x
    return reduce(out, reduction)


@lower(aten.huber_loss.default)
def huber_loss(x: Tensor, y: Tensor, reduction: int = 1, delta: float = 1.0) -> Tensor:
    return reduce(torch.ops.jensen.huber(x - y, delta), reduction)


@lower(aten.smooth_l1_loss.default)
def smooth_l1_loss(x: Tensor, y: Tensor, reduction: int = 1, beta: float = 1.0) -> Tensor:
    return reduce(torch.ops.jensen.smooth_l1(x - y, beta), reduction)


@lower(aten.poisson_nll_loss.default)
def poisson_nll_loss(x: Tensor, y: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    out = x.exp() - y * x if log_input else x - y * (x + eps).log()
    if full:  # Stirling's approximation of log y!, where y > 1
        safe = torch.where(y > 1, y, torch.ones_like(y))
        out = out + (y > 1).to(y.dtype) * (safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log())
    return reduce(out, reduction)


@substitute
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """torch's, without its check that no variance is negative, which torch.export cannot follow.

    That check stays as the domain of the operation that bounds the variance from below.
    """
    var = var if isinstance(var, Tensor) else var * torch.ones_like(input)
    if var.size() != input.size() and input.size()[:-1] == var.size():
        var = var.unsqueeze(-1)
    bounded: Tensor = torch.ops.jensen.variance(var, eps)
    out = 0.5 * (bounded.log() + (input - target).pow(2) / bounded)
    out = out + 0.5 * math.log(2 * math.pi) if full else out
    return out.mean() if reduction == "mean" else out.sum() if reduction == "sum" else out
