"""The torch reading of tensor operations that exist in programs only."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _masked_softmax(x: Tensor, mask: Tensor, dim: int) -> Tensor:
    return torch.ops.aten._safe_softmax.default(x.masked_fill(~mask, -torch.inf), dim)


def _adaptive_max(nd: int) -> Callable[..., Tensor]:
    pool = getattr(torch.nn.functional, f"adaptive_max_pool{nd}d")
    return lambda x, size: pool(x, size)


def _places(index: Any) -> Any:
    """Positions as whole numbers: what was counted or chosen from numbers may be in floats."""
    return index.long() if isinstance(index, Tensor) and index.is_floating_point() else index


def _index(x: Tensor, index: Any) -> Tensor:
    return torch.ops.aten.index.Tensor(x, [_places(i) for i in index])


def _scatter(x: Tensor, dim: int, index: Tensor, source: Any, add: bool = False) -> Tensor:
    if not isinstance(source, Tensor):
        source = torch.full(index.shape, source, dtype=x.dtype)
    return x.scatter_add(dim, _places(index), source) if add else x.scatter(dim, _places(index), source)


PLACES: dict[str, Callable[..., Tensor]] = {
    "slice": torch.slice_scatter,
    "select": torch.select_scatter,
    "diagonal": torch.diagonal_scatter,
}


def _place(x: Tensor, source: Any, kind: str, *where: Any) -> Tensor:
    return PLACES[kind](x, source, *where)


def _take(x: Tensor, dim: int, index: tuple[int, ...]) -> Tensor:
    return x.index_select(dim, torch.tensor(index, dtype=torch.int64))


def _resample(x: Tensor, axis: int, out: int, corners: bool, scale: float | None = None) -> Tensor:
    eye = torch.eye(x.shape[axis], dtype=x.dtype).unsqueeze(0)
    weights = torch.ops.aten.upsample_linear1d.default(eye, [out], corners, scale)[0]
    return (x.movedim(axis, -1) @ weights).movedim(-1, axis)


def _index_put(x: Tensor, index: Any, values: Tensor, add: bool = False) -> Tensor:
    return torch.ops.aten.index_put.default(x, [_places(i) for i in index], values, add)


READINGS: dict[str, Callable[..., Any]] = {
    "aten.view.default": lambda x, size: x.reshape(size),
    "jensen.real": lambda x: x if x.is_floating_point() else x.double(),
    "jensen.cast": lambda x, dtype: x.to(getattr(torch, dtype)),
    "python.getitem": operator.getitem,
    "jensen.masked_softmax": _masked_softmax,
    "jensen.cummax": lambda x, dim: torch.cummax(x, dim).values,
    "jensen.cummin": lambda x, dim: torch.cummin(x, dim).values,
    "jensen.sorted": lambda x, k, dim, largest: torch.topk(x, k, dim, largest).values,
    "jensen.scatter": _scatter,
    "jensen.place": _place,
    "jensen.take": _take,
    "jensen.resample": _resample,
    "aten.index_put.default": _index_put,
    "aten.index.Tensor": _index,
    "aten.gather.default": lambda x, dim, index: x.gather(dim, _places(index)),
    "aten.index_select.default": lambda x, dim, index: x.index_select(dim, _places(index)),
    "aten.embedding.default": lambda table, index: torch.ops.aten.embedding.default(table, _places(index)),
    "aten.cat.default": lambda parts, dim=0: torch.cat(list(parts), dim),
    "aten.stack.default": lambda parts, dim=0: torch.stack(list(parts), dim),
    "aten.where.self": lambda c, x, y: torch.where(c, x, y),
}
READINGS |= {f"jensen.adaptive_max_pool{nd}d": _adaptive_max(nd) for nd in (1, 2, 3)}
