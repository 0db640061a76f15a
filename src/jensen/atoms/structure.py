"""Operations that only move, copy or drop elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.atoms.registry import structural


def _permute(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    return x.transpose(dims)


def _transpose(x: np.ndarray, a: int, b: int) -> np.ndarray:
    return np.swapaxes(x, a, b) if x.ndim else x


def _slice(x: np.ndarray, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> np.ndarray:
    n = x.shape[dim]
    index: list[Any] = [slice(None)] * x.ndim
    index[dim] = slice(start, None if end is not None and end > n else end, step)
    return x[tuple(index)]


def _expand(x: np.ndarray, size: tuple[int, ...], implicit: bool = False) -> np.ndarray:
    lead = len(size) - x.ndim
    shape = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(size))
    return np.broadcast_to(x, shape)


def _squeeze(x: np.ndarray, dims: Any = None) -> np.ndarray:
    if dims is None:
        return x.reshape(tuple(n for n in x.shape if n != 1))
    dims = (dims,) if isinstance(dims, int) else dims
    drop = {d % x.ndim for d in dims if x.ndim and x.shape[d] == 1}
    return x.reshape(tuple(n for i, n in enumerate(x.shape) if i not in drop))


def _select(x: np.ndarray, dim: int, index: int) -> np.ndarray:
    if not -x.ndim <= dim < x.ndim or not -x.shape[dim] <= index < x.shape[dim]:
        raise ValueError(f"element {index} along axis {dim} of shape {x.shape}")
    return x[(slice(None),) * (dim % x.ndim) + (index, ...)]


def _repeat(x: np.ndarray, reps: tuple[int, ...]) -> np.ndarray:
    """As a view where the values are never looked at, which is how shapes are inferred."""
    if any(type(n) is not int or n < 0 for n in reps) or len(reps) < x.ndim:
        raise ValueError(f"{reps} repetitions of shape {x.shape}")
    lead = (1,) * (len(reps) - x.ndim) + x.shape
    pairs = [k for n, m in zip(reps, lead, strict=True) for k in (n, m)]
    apart = x.reshape([k for m in lead for k in (1, m)])
    return np.broadcast_to(apart, pairs).reshape([n * m for n, m in zip(reps, lead, strict=True)])


def _roll(x: np.ndarray, shifts: Any, dims: Any = ()) -> np.ndarray:
    if not any(x.strides):  # all elements are one, as where shapes are inferred: nothing moves
        np.roll(np.empty((1,) * x.ndim), *_rolled(shifts, dims))
        return x
    return np.roll(x, *_rolled(shifts, dims))


def _rolled(shifts: Any, dims: Any) -> tuple[Any, Any]:
    """numpy's arguments; without axes, torch rolls the flattened values."""
    return (tuple(shifts), tuple(dims)) if len(dims) else (int(shifts[0]), None)


structural("aten.view.default", lambda x, size: x.reshape(size))
structural("aten.permute.default", _permute)
structural("aten.transpose.int", _transpose)
structural("aten.slice.Tensor", _slice)
structural("aten.expand.default", _expand)
structural("aten.unsqueeze.default", lambda x, dim: np.expand_dims(x, dim))
structural("aten.squeeze.dims", _squeeze)
structural("aten.select.int", _select)
structural("aten.flip.default", lambda x, dims: np.flip(x, dims))
structural("aten.roll.default", _roll)
structural("aten.repeat.default", _repeat)
structural("aten.diagonal.default", lambda x, offset=0, a=0, b=1: np.diagonal(x, offset, a, b))


def _windows(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    """Windows of an axis: their places stay there, their elements become the last axis."""
    if not x.ndim:
        return x.reshape(1)[:size]
    return np.lib.stride_tricks.sliding_window_view(x, size, dim)[
        (slice(None),) * (dim % x.ndim) + (slice(None, None, step),)
    ]


structural("aten.unfold.default", _windows)
