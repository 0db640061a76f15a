"""Where one axis of a value goes when an operation moves entries; axes are counted from the last, so that they broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import Flow, constant_along, numbered

Shape = tuple[int, ...]


def of_ref(a: Any) -> int:
    """The node that an argument refers to; -1 for a number."""
    return getattr(a, "index", -1)


def on(shape: Shape, axis: int, n: int) -> bool:
    """Whether an axis is there and has n places."""
    return len(shape) >= -axis and shape[axis] == n


def after(flow: Flow, k: int, axis: int, n: int) -> int | None:
    """Where a move puts an axis of its input as a whole."""
    where = flow.move(
        k, numbered(flow.shape(flow.linked.inputs[k][0]), axis % len(flow.shape(flow.linked.inputs[k][0])))
    )
    return next((a for a in range(-where.ndim, 0) if where.shape[a] == n and _runs(where, a)), None)


def before(flow: Flow, k: int, axis: int) -> int | None:
    """Which axis of its input a move puts here as a whole."""
    shape = flow.shape(flow.linked.inputs[k][0])
    n = flow.shape(k)[axis]
    return next((a for a in range(-len(shape), 0) if shape[a] == n and after(flow, k, a, n) == axis), None)


def _runs(where: np.ndarray, axis: int) -> bool:
    """Whether an array is 0, 1, 2, ... along an axis, and constant along all others."""
    others = [a for a in range(-where.ndim, 0) if a != axis]
    line = np.moveaxis(where, axis, -1).reshape(-1, where.shape[axis])[0] if where.size else where
    return bool(where.size) and constant_along(where, others) and bool((line == np.arange(where.shape[axis])).all())


def block_axis(entries: np.ndarray, axis: int, shape: Shape) -> int | None:
    """The axis of a block whose places run along an axis of some of its entries, from the first to the last."""
    n = entries.shape[axis]
    first = entries.take([0], axis)
    along = np.arange(n).reshape([-1 if a == axis % entries.ndim else 1 for a in range(entries.ndim)])
    stride = 1
    for a in reversed(range(len(shape))):
        fits = shape[a] == n and entries.size and not ((first // stride) % n).any()
        if fits and bool((entries == first + stride * along).all()):
            return a
        stride *= shape[a]
    return None
