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
    out = np.take(x, index, axis=dim)
    return out if isinstance(out, np.ndarray) else _scalar(out, x.dtype)


def _scalar(value: Any, dtype: Any) -> np.ndarray:
    out = np.empty((), dtype=dtype)
    out[()] = value
    return out


structural("aten.view.default", lambda x, size: x.reshape(size))
structural("aten.permute.default", _permute)
structural("aten.transpose.int", _transpose)
structural("aten.slice.Tensor", _slice)
structural("aten.expand.default", _expand)
structural("aten.unsqueeze.default", lambda x, dim: np.expand_dims(x, dim))
structural("aten.squeeze.dims", _squeeze)
structural("aten.select.int", _select)
structural("aten.flip.default", lambda x, dims: np.flip(x, dims))
structural(
    "aten.roll.default",
    lambda x, shifts, dims=(): np.roll(
        x, tuple(shifts) if len(dims) else int(shifts[0]), tuple(dims) if len(dims) else None
    ),
)
structural("aten.repeat.default", lambda x, reps: np.tile(x, reps))
structural("aten.diagonal.default", lambda x, offset=0, a=0, b=1: np.diagonal(x, offset, a, b))


def _windows(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    """Windows of an axis: their places stay there, their elements become the last axis."""
    if not x.ndim:
        return x.reshape(1)[:size]
    return np.lib.stride_tricks.sliding_window_view(x, size, dim)[
        (slice(None),) * (dim % x.ndim) + (slice(None, None, step),)
    ]


structural("aten.unfold.default", _windows)
