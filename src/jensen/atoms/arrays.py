"""Operations on arrays of balls that several atoms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, arb_mat

from jensen.kernel.balls import as_objects, real
from jensen.kernel.errors import Rejected


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product of two matrices of balls."""
    (n, k), m = a.shape, b.shape[1]
    if n == 0 or m == 0 or k == 0:
        return as_objects(arb(0), (n, m))
    left = arb_mat(n, k, real(a).ravel().tolist())
    right = arb_mat(k, m, real(b).ravel().tolist())
    out = np.empty(n * m, dtype=object)
    out[:] = (left * right).entries()
    return out.reshape(n, m)


def total(a: np.ndarray, axes: tuple[int, ...], keepdim: bool = False) -> np.ndarray:
    """Sum over axes; a scalar has none."""
    a = real(a)
    axes = axes if a.ndim else ()
    shape = tuple(np.empty(a.shape, dtype=np.bool_).sum(axis=axes, keepdims=keepdim).shape)
    return as_objects(np.add.reduce(a, axis=axes, keepdims=keepdim, initial=arb(0)), shape)


def reduce_pairs(f: Callable[[Any, Any], Any], a: np.ndarray, axes: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """Fold a two-argument function over axes, which must not be empty."""
    a = real(a)
    axes = axes if a.ndim else ()
    rest = [i for i in range(a.ndim) if i not in axes]
    flat = a.transpose(*rest, *axes).reshape(*[a.shape[i] for i in rest], -1)
    ufunc = np.frompyfunc(f, 2, 1)
    out = flat[..., 0]
    for k in range(1, flat.shape[-1]):
        out = ufunc(out, flat[..., k])
    shape = tuple(1 if i in axes else n for i, n in enumerate(a.shape) if keepdim or i not in axes)
    return as_objects(out, tuple(a.shape[i] for i in rest)).reshape(shape)


def sign_of(x: Any) -> int:
    """The certain sign of a ball; refused where it is not certain."""
    if x > 0:
        return 1
    if x < 0:
        return -1
    if x == 0:
        return 0
    raise Rejected(
        "comparison", "a certain comparison", "a value is too close to a threshold to tell on which side it is"
    )


def piecewise(x: Any, at: float, below: Callable[[Any], Any], above: Callable[[Any], Any]) -> Any:
    """below(x) where x <= at, above(x) where x > at; their hull where that is not certain."""
    if x <= at:
        return below(x)
    if x > at:
        return above(x)
    return below(x).union(above(x))
