"""Layers: normalisations."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.lower.table import along, lower

aten = torch.ops.aten


def _normalise(x: Tensor, axes: list[int], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * (centred.pow(2).mean(axes, keepdim=True) + eps).rsqrt()


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@lower(aten.layer_norm.default)
def layer_norm(
    x: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Tensor:
    return _affine(_normalise(x, list(range(-len(shape), 0)), eps), weight, bias)


@lower(aten.rms_norm.default)
def rms_norm(x: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _affine(x * (x.pow(2).mean(list(range(-len(shape), 0)), keepdim=True) + eps).rsqrt(), weight, None)


@lower(aten.group_norm.default)
def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Tensor:
    y = _normalise(x.reshape(x.shape[0], groups, -1), [-1], eps).reshape(x.shape)
    return _affine(y, *(None if t is None else along(t, x.dim(), 1) for t in (weight, bias)))


@lower(aten.instance_norm.default)
def instance_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    use_input_stats: bool, momentum: float, eps: float, cudnn: bool,
) -> Tensor:  # fmt: skip
    if not use_input_stats and running_mean is not None and running_var is not None:
        return _running(x, weight, bias, running_mean, running_var, eps)
    y = _normalise(x, list(range(2, x.dim())), eps)
    return _affine(y, *(None if t is None else along(t, x.dim(), 1) for t in (weight, bias)))


def _running(x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    mean, scale = along(mean, x.dim(), 1), along((var + eps).rsqrt(), x.dim(), 1)
    return _affine((x - mean) * scale, *(None if t is None else along(t, x.dim(), 1) for t in (weight, bias)))


@lower(aten._native_batch_norm_legit_no_training.default)
def batch_norm_eval(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _running(x, weight, bias, mean, var, eps), x.new_zeros(0), x.new_zeros(0)


@lower(aten._native_batch_norm_legit_functional.default)
def batch_norm_train(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, ...]:
    y = _normalise(x, [0, *range(2, x.dim())], eps)
    y = _affine(y, *(None if t is None else along(t, x.dim(), 1) for t in (weight, bias)))
    return y, x.new_zeros(0), x.new_zeros(0), mean, var


@lower(aten._native_batch_norm_legit.no_stats)
def batch_norm_data(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float
) -> tuple[Tensor, ...]:
    y = _normalise(x, [0, *range(2, x.dim())], eps)
    y = _affine(y, *(None if t is None else along(t, x.dim(), 1) for t in (weight, bias)))
    return y, x.new_zeros(0), x.new_zeros(0)
