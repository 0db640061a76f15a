"""Arrays of Arb balls: numpy object arrays, exact conversions, and the few array operations that atoms share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf, nextafter
from typing import Any

import numpy as np
from flint import arb, ctx

PRECISION = 106
LIMIT = 106 * 16

# numpy calls the balls' own operators faster than it calls a Python function
UFUNCS: dict[Any, Any] = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.mul: np.multiply,
    operator.neg: np.negative,
}

_to_ball = np.frompyfunc(arb, 1, 1)


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Arb's working precision, put back afterwards."""
    old = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = old


def from_array(a: np.ndarray) -> np.ndarray:
    """Exact balls of floats; integers and booleans stay as they are."""
    if a.dtype == object or a.dtype.kind in "iub":
        return a
    return as_objects(_to_ball(a.astype(np.float64)), a.shape)


def as_objects(a: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An object array, also where numpy hands back a bare scalar."""
    out = np.empty(shape, dtype=object)
    out[...] = a
    return out


def elementwise(f: Callable[..., Any], *args: Any) -> np.ndarray:
    """f applied to balls, element by element, with broadcasting."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in args))
    ufunc = UFUNCS.get(f) or np.frompyfunc(f, len(args), 1)
    return as_objects(ufunc(*(real(a) for a in args)), shape)


def real(a: Any) -> Any:
    """Numbers and integer arrays as balls; ball arrays unchanged."""
    if isinstance(a, np.ndarray):
        if a.dtype == object or a.dtype.kind == "f":
            return from_array(a)
        return as_objects(np.frompyfunc(lambda x: arb(int(x)), 1, 1)(a), a.shape)
    if isinstance(a, (bool, int, float, np.integer, np.floating)):
        return arb(int(a) if isinstance(a, (bool, int, np.integer)) else float(a))
    return a


def to_floats(ball: arb) -> tuple[float, float]:
    """Floats below and above everything in a ball."""
    if not ball.is_finite():
        return -inf, inf
    lo, hi = float(ball.lower()), float(ball.upper())
    if not arb(lo) <= ball:
        lo = nextafter(lo, -inf)
    if not arb(hi) >= ball:
        hi = nextafter(hi, inf)
    return lo, hi
