"""Picking elements by constant integer indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jensen.atoms.registry import Atom, register
from jensen.kernel.facts import Fact


def _gather_shape(x: tuple[int, ...], dim: int, index: tuple[int, ...], *rest: Any) -> tuple[int, ...]:
    return index


def _gather(x: np.ndarray, dim: int, index: np.ndarray, *rest: Any) -> np.ndarray:
    if index.dtype.kind not in "iu" or (index < 0).any():
        raise ValueError("indices must be non-negative constants")
    return np.take_along_axis(x[tuple(slice(n) if i != dim % x.ndim else slice(None) for i, n in enumerate(index.shape))], index, dim)


def _first(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    return out[args[0].index]


register(Atom("aten.gather.default", _gather_shape, _first, _gather))
