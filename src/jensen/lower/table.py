"""The table of rewritings, and operations that exist in programs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LOWER: dict[Any, Callable[..., Any]] = {}
SUBSTITUTES: dict[str, Callable[..., Any]] = {}  # torch.nn.functional's names, replaced while exporting
_LIBRARY = torch.library.Library("jensen", "DEF")


def symbol(schema: str, meta: Callable[..., Any]) -> None:
    """An operation that exists in programs only; jensen's torch reading gives its value."""
    name = schema.split("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, meta, "CompositeExplicitAutograd")


def _like(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x)


symbol("clamped_log(Tensor x, float low) -> Tensor", _like)
symbol("variance(Tensor x, float eps) -> Tensor", _like)
symbol("huber(Tensor x, float delta) -> Tensor", _like)
symbol("smooth_l1(Tensor x, float beta) -> Tensor", _like)
symbol("softshrink(Tensor x, float size) -> Tensor", _like)
symbol("hardshrink(Tensor x, float size) -> Tensor", _like)
symbol("masked_softmax(Tensor x, Tensor mask, int dim) -> Tensor", _like)


def lower(*ops: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(f: Callable[..., Any]) -> Callable[..., Any]:
        for op in ops:
            LOWER[op] = f
        return f

    return add


def substitute(f: Callable[..., Any]) -> Callable[..., Any]:
    """Use this function in place of torch.nn.functional's of the same name while exporting."""
    SUBSTITUTES[f.__name__] = f
    return f


def along(weight: Tensor, ndim: int, axis: int) -> Tensor:
    """A vector laid along one axis."""
    return weight.view([-1 if i == axis else 1 for i in range(ndim)])
