"""The table of rewritings, and operations that exist in programs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LOWER: dict[Any, Callable[..., Any]] = {}
_LIBRARY = torch.library.Library("jensen", "DEF")


def symbol(schema: str, meta: Callable[..., Any]) -> None:
    """An operation that exists in programs only; jensen's torch reading gives its value."""
    name = schema.split("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, meta, "CompositeExplicitAutograd")


def _like(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x)


symbol("clamped_log(Tensor x, float low) -> Tensor", _like)
symbol("masked_softmax(Tensor x, Tensor mask, int dim) -> Tensor", _like)


def lower(*ops: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        for op in ops:
            LOWER[op] = f
        return f

    return add


def along(weight: Tensor, ndim: int, axis: int) -> Tensor:
    """A vector laid along one axis."""
    return weight.view([-1 if i == axis else 1 for i in range(ndim)])
