"""Variances, distances and products of several tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.lower.table import lower

aten = torch.ops.aten


def _axes(x: Tensor, dim: list[int] | None) -> list[int]:
    return list(range(x.dim())) if not dim else list(dim)


def _variance(x: Tensor, dim: list[int] | None, correction: float | None, keepdim: bool) -> tuple[Tensor, Tensor]:
    axes = _axes(x, dim)
    n = 1
    for a in axes:
        n *= x.shape[a] if x.dim() else 1
    mean = x.mean(axes, keepdim=True)
    rest = max(n - (1 if correction is None else correction), 0)
    return (x - mean).pow(2).sum(axes, keepdim=keepdim) / rest, mean if keepdim else mean.squeeze(axes)


@lower(aten.var.correction)
def var(x: Tensor, dim: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, correction, keepdim)[0]


@lower(aten.std.correction)
def std(x: Tensor, dim: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, correction, keepdim)[0].sqrt()


@lower(aten.var_mean.correction)
def var_mean(
    x: Tensor, dim: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    return _variance(x, dim, correction, keepdim)


@lower(aten.std_mean.correction)
def std_mean(
    x: Tensor, dim: list[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    variance, mean = _variance(x, dim, correction, keepdim)
    return variance.sqrt(), mean


@lower(aten.var.default)
def var_all(x: Tensor, unbiased: bool = True) -> Tensor:
    return _variance(x, None, float(unbiased), False)[0]


@lower(aten.std.default)
def std_all(x: Tensor, unbiased: bool = True) -> Tensor:
    return _variance(x, None, float(unbiased), False)[0].sqrt()


@lower(aten.var.dim)
def var_dim(x: Tensor, dim: list[int] | None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, float(unbiased), keepdim)[0]


@lower(aten.std.dim)
def std_dim(x: Tensor, dim: list[int] | None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, float(unbiased), keepdim)[0].sqrt()


@lower(aten.cdist.default)
def cdist(x: Tensor, y: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    return torch.linalg.vector_norm(x.unsqueeze(-2) - y.unsqueeze(-3), p, -1)


@lower(aten._cdist_forward.default, aten._euclidean_dist.default)
def cdist_forward(x: Tensor, y: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    return cdist(x, y, p)


@lower(aten.dist.default)
def dist(x: Tensor, y: Tensor, p: float = 2) -> Tensor:
    return torch.linalg.vector_norm(x - y, p)


@lower(aten.trace.default)
def trace(x: Tensor) -> Tensor:
    return x.diagonal().sum()


@lower(aten.bilinear.default)
def bilinear(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    outputs, left, right = weight.shape
    half = x.matmul(weight.permute(1, 0, 2).reshape(left, outputs * right))
    out = (half.reshape(*x.shape[:-1], outputs, right) * y.unsqueeze(-2)).sum(-1)
    return out if bias is None else out + bias


@lower(aten.lerp.Scalar, aten.lerp.Tensor)
def lerp(x: Tensor, y: Tensor, weight: Tensor | float) -> Tensor:
    return x + weight * (y - x)


@lower(aten._weight_norm_interface.default, aten._weight_norm.default)
def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    axes = [a for a in range(v.dim()) if a != dim % v.dim()] if dim != -1 else list(range(v.dim()))
    return v * (g / torch.linalg.vector_norm(v, 2, axes, keepdim=True))


@lower(aten.embedding_bag.padding_idx, aten._embedding_bag.default, aten._embedding_bag_forward_only.default)
def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    if mode == 2 or (padding_idx is not None and padding_idx >= 0):
        raise NotImplementedError("embedding bags of maxima, or with padding, have no model; use embedding and amax")
    starts = offsets[:-1] if include_last_offset else offsets
    bag = (torch.arange(indices.shape[0]).unsqueeze(1) >= starts).sum(1) - 1
    rows = weight.index_select(0, indices)
    rows = rows if per_sample_weights is None else rows * per_sample_weights.unsqueeze(1)
    out = weight.new_zeros(starts.shape[0], weight.shape[1]).index_add(0, bag, rows)
    if mode == 1:
        counts = (bag.unsqueeze(0) == torch.arange(starts.shape[0]).unsqueeze(1)).sum(1)
        out = out / torch.where(counts > 0, counts, 1).to(out.dtype).unsqueeze(1)
    return out, bag, bag, bag
