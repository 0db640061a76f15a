"""Sliding windows laid out as columns, and columns added back into an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from jensen.atoms.registry import Atom, register
from jensen.atoms.shared import ZERO, Facts, Shapes, ints, no_values, operand, partial, take, windows
from jensen.kernel import balls
from jensen.kernel.facts import Fact, meet

Shape = tuple[int, ...]


def _index(size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> list[np.ndarray]:
    steps = zip(ints(size, 2), ints(kernel, 2), ints(dilation, 2), ints(padding, 2), ints(stride, 2), strict=True)
    out = []
    for n, k, d, p, s in steps:
        count = (n + 2 * p - d * (k - 1) - 1) // s + 1 if min(k, d, s) > 0 else 0
        if count < 1:
            raise ValueError("the window is larger than the padded input")
        out.append(windows(n, count, k, s, p, d))
    return out


def _unfold_shape(x: Shape, *how: Any) -> Shape:
    if len(x) not in (3, 4):
        raise ValueError(f"an image of shape {x}")
    a, b = _index(x[-2:], *how)
    return (*x[:-3], x[-3] * a.shape[1] * b.shape[1], a.shape[0] * b.shape[0])


def _unfold(x: np.ndarray, *how: Any) -> np.ndarray:
    a, b = _index(x.shape[-2:], *how)
    batch = balls.real(x if x.ndim == 4 else x[None])
    columns = take(take(batch, a, 2, arb(0)), b, 4, arb(0))  # (N, C, out, k, out, k)
    return columns.transpose(0, 1, 3, 5, 2, 4).reshape(_unfold_shape(x.shape, *how))


def _unfold_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    f = out[operand(args)]
    return meet(f, ZERO) if any(ints(args[3], 2)) else f


def _fold_shape(x: Shape, size: Any, *how: Any) -> Shape:
    a, b = _index(size, *how)
    area = a.shape[1] * b.shape[1]
    if len(x) not in (2, 3) or x[-1] != a.shape[0] * b.shape[0] or x[-2] % area:
        raise ValueError(f"columns of shape {x} for an image of size {size}")
    return (*x[:-2], x[-2] // area, *ints(size, 2))


def _fold(x: np.ndarray, size: Any, *how: Any) -> np.ndarray:
    a, b = _index(size, *how)
    shape = _fold_shape(x.shape, size, *how)
    columns = balls.real(x).reshape(-1, shape[-3], a.shape[1], b.shape[1], a.shape[0], b.shape[0])
    out = balls.as_objects(arb(0), (columns.shape[0], *shape[-3:]))
    for k in range(a.shape[1]):
        for m in range(b.shape[1]):
            rows, cols = np.flatnonzero(a[:, k] >= 0), np.flatnonzero(b[:, m] >= 0)
            if len(rows) and len(cols):
                to = np.ix_(np.arange(out.shape[0]), np.arange(out.shape[1]), a[rows, k], b[cols, m])
                out[to] = out[to] + columns[:, :, k, m][:, :, rows[:, None], cols]
    return out.reshape(shape)


def _fold_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    return partial(out[operand(args)], int(np.prod(ints(args[2], 2))))


register(Atom("aten.im2col.default", _unfold_shape, _unfold_facts, _unfold))
register(Atom("aten.col2im.default", _fold_shape, _fold_facts, _fold))
