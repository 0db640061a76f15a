"""Composite torch operations rewritten in operations that atoms know, as torch code (applied by torch.export).

Nothing here is trusted: every traced program is replayed against the cost. The forms are chosen so that composition
rules see what is convex in them; constants of the implementation stay visible as operations of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten
LOWER: dict[Any, Callable[..., Any]] = {}
_LIBRARY = torch.library.Library("jensen", "DEF")


def _symbol(schema: str, meta: Callable[..., Any]) -> None:
    """An operation that exists in programs only; jensen's torch reading gives its value."""
    name = schema.split("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, meta, "CompositeExplicitAutograd")


def _like(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x)


_symbol("clamped_log(Tensor x, float low) -> Tensor", _like)
_symbol("masked_softmax(Tensor x, Tensor mask, int dim) -> Tensor", _like)


def lower(*ops: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        for op in ops:
            LOWER[op] = f
        return f

    return add


def _reduce(x: Tensor, reduction: int) -> Tensor:
    return x if reduction == 0 else x.mean() if reduction == 1 else x.sum()


@lower(aten.mse_loss.default)
def mse_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return _reduce((x - y).pow(2), reduction)


@lower(aten.l1_loss.default)
def l1_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return _reduce((x - y).abs(), reduction)


@lower(aten.binary_cross_entropy.default)
def binary_cross_entropy(x: Tensor, y: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    log_p, log_q = torch.ops.jensen.clamped_log(x, -100.0), torch.ops.jensen.clamped_log(1 - x, -100.0)
    out = -(y * log_p + (1 - y) * log_q)
    return _reduce(out if weight is None else weight * out, reduction)


@lower(aten.binary_cross_entropy_with_logits.default)
def binary_cross_entropy_with_logits(
    x: Tensor, y: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    slope = 1 if pos_weight is None else (pos_weight - 1) * y + 1
    out = (1 - y) * x - slope * F.logsigmoid(x)
    return _reduce(out if weight is None else weight * out, reduction)


@lower(aten.soft_margin_loss.default)
def soft_margin_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    return _reduce(-F.logsigmoid(y * x), reduction)


@lower(aten.cross_entropy_loss.default)
def cross_entropy_loss(
    x: Tensor, y: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    axis = 0 if x.dim() == 1 else 1
    log_p = x.log_softmax(axis)
    if y.is_floating_point():
        target = y if label_smoothing == 0.0 else y * (1 - label_smoothing) + label_smoothing / x.shape[axis]
        if weight is not None:
            target = target * _along(weight, x.dim(), axis)
        out = -(log_p * target).sum(axis)
        rows = x.numel() // x.shape[axis]
        return out if reduction == 0 else out.sum() / rows if reduction == 1 else out.sum()
    hit = nll(log_p, y, weight, reduction, ignore_index, axis)
    if label_smoothing == 0.0:
        return hit
    keep = (y != ignore_index).to(x.dtype).unsqueeze(axis)
    w = keep if weight is None else keep * _along(weight, x.dim(), axis)
    smooth = -(log_p * w).sum(axis)
    if reduction == 1:
        smooth = smooth.sum() / _selected(y, weight, ignore_index, x.dtype).sum()
    elif reduction == 2:
        smooth = smooth.sum()
    return (1 - label_smoothing) * hit + smooth * (label_smoothing / x.shape[axis])


def _along(weight: Tensor, ndim: int, axis: int) -> Tensor:
    return weight.view([-1 if i == axis else 1 for i in range(ndim)])


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
def nll_loss(x: Tensor, y: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100) -> Tensor:
    return nll(x, y, weight, reduction, ignore_index, 0 if x.dim() == 1 else 1)


@lower(aten.kl_div.default)
def kl_div(x: Tensor, y: Tensor, reduction: int = 1, log_target: bool = False) -> Tensor:
    out = y.exp() * (y - x) if log_target else torch.special.xlogy(y, y) - y * x
    return _reduce(out, reduction)


@lower(aten.scaled_dot_product_attention.default)
def attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    if enable_gqa:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
        v = v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q.matmul(k.transpose(-2, -1)) * factor
    mask = None
    if is_causal:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    elif attn_mask is not None and attn_mask.dtype == torch.bool:
        mask = attn_mask
    elif attn_mask is not None:
        return torch.softmax(scores + attn_mask, -1).matmul(v)
    if mask is None:
        return torch.softmax(scores, -1).matmul(v)
    return torch.ops.jensen.masked_softmax(scores, mask, -1).matmul(v)


def _normalise(x: Tensor, axes: list[int], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.pow(2).mean(axes, keepdim=True) + eps).rsqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@lower(aten.layer_norm.default)
def layer_norm(
    x: Tensor, shape: list[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, cudnn: bool = True
) -> Tensor:
    return _affine(_normalise(x, list(range(-len(shape), 0)), eps), weight, bias)


@lower(aten.rms_norm.default)
def rms_norm(x: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _affine(x * (x.pow(2).mean(list(range(-len(shape), 0)), keepdim=True) + eps).rsqrt(), weight, None)


@lower(aten.group_norm.default)
def group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, cudnn: bool = True
) -> Tensor:
    y = _normalise(x.reshape(x.shape[0], groups, -1), [-1], eps).reshape(x.shape)
    return _affine(y, *(None if t is None else _along(t, x.dim(), 1) for t in (weight, bias)))


@lower(aten.instance_norm.default)
def instance_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    use_input_stats: bool, momentum: float, eps: float, cudnn: bool,
) -> Tensor:  # fmt: skip
    if not use_input_stats and running_mean is not None and running_var is not None:
        return _running(x, weight, bias, running_mean, running_var, eps)
    y = _normalise(x, list(range(2, x.dim())), eps)
    return _affine(y, *(None if t is None else _along(t, x.dim(), 1) for t in (weight, bias)))


def _running(x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    mean, scale = _along(mean, x.dim(), 1), _along((var + eps).rsqrt(), x.dim(), 1)
    return _affine((x - mean) * scale, *(None if t is None else _along(t, x.dim(), 1) for t in (weight, bias)))


@lower(aten._native_batch_norm_legit_no_training.default)
def batch_norm_eval(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _running(x, weight, bias, mean, var, eps), x.new_zeros(0), x.new_zeros(0)


@lower(aten._native_batch_norm_legit_functional.default)
def batch_norm_train(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, training: bool, momentum: float, eps: float
) -> tuple[Tensor, ...]:
    y = _normalise(x, [0, *range(2, x.dim())], eps)
    y = _affine(y, *(None if t is None else _along(t, x.dim(), 1) for t in (weight, bias)))
    return y, x.new_zeros(0), x.new_zeros(0), mean, var
