"""Which entries of a value a matrix acts on: vectors along one axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jensen.kernel.claims.invariance_moves import refuse, slim


class Acted(NamedTuple):
    """What is done to the lines of a value along one axis.

    Attributes:
        axis: The axis.
        code: Integers that broadcast to the value: -1 for an entry that stays; else twice its unit, and 1 more under the inverse
            transposed.
        slot: Integers likewise: entries of a line with the same slot are one vector, named by its first place.
        squared: Whether the entries are the squares of such entries.
    """

    axis: int
    code: np.ndarray
    slot: np.ndarray
    squared: bool = False


def lines(n: int, axes: Sequence[int], code: np.ndarray, key: Callable[[int], np.ndarray], squared: bool) -> Acted:
    """Vectors along one of these axes, by what names them on a line."""
    for axis in axes:
        found = _along(n, axis, code, key(axis), squared)
        if found is not None:
            return found
    raise refuse("whole vectors", "a vector that a matrix acts on is cut, or spread over several axes")


def _along(n: int, axis: int, code: np.ndarray, key: np.ndarray, squared: bool) -> Acted | None:
    """With slots by key; None where on some line a vector is not whole."""
    code, key = np.broadcast_arrays(code, key)
    wide = np.moveaxis(code, axis, -1)
    rows, keys = wide.reshape(-1, wide.shape[-1]), np.moveaxis(key, axis, -1).reshape(-1, wide.shape[-1])
    line, place = np.nonzero(rows >= 0)
    names = np.stack([line, keys[line, place], rows[line, place] % 2])
    _, first, back = np.unique(names, axis=1, return_index=True, return_inverse=True)
    back = back.reshape(-1)
    units = np.unique(back * n + rows[line, place] // 2)
    if len(units) != len(line) or len(units) != n * len(first):
        return None
    slots = np.full(rows.shape, -1)
    slots[line, place] = place[first][back]
    return Acted(axis, slim(code), slim(np.moveaxis(slots.reshape(wide.shape), -1, axis)), squared)


def alike(x: Acted, y: Acted, flip: int | bool) -> bool:
    """Whether the same vectors are acted on, by the same matrices (``flip``: by inverse transposed ones)."""
    codes = np.broadcast_arrays(x.code, np.where(y.code >= 0, y.code ^ int(flip), -1))
    return (
        (x.axis, x.squared) == (y.axis, y.squared)
        and np.array_equal(*codes)
        and np.array_equal(*np.broadcast_arrays(x.slot, y.slot))
    )
