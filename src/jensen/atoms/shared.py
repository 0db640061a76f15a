"""What the atoms of tensor operations share: checked operands, facts of sums and extremes, index windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jensen.kernel import compose, ranges
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import (
    CONCAVE,
    CONSTANT,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    Fact,
    constant,
    fact,
    meet,
)
from jensen.kernel.program import Ref, refs
from jensen.kernel.ranges import Range

Facts = Sequence[Fact]
Shapes = Sequence[tuple[int, ...]]

ZERO = constant((0.0, 0.0, False, False))


def operand(args: Sequence[Any], k: int = 0) -> int:
    """The node that argument k names."""
    if k >= len(args) or type(args[k]) is not Ref:
        raise Unmodelled("argument", "tensor arguments are values", f"argument {k} is not a value of the program")
    return args[k].index


def no_values(attributes: Sequence[Any]) -> None:
    """Refuse values of the program where numbers are wanted."""
    if any(True for _ in refs(tuple(attributes))):
        raise Unmodelled("argument", "attributes are constants", "an attribute is a value of the program")


def index_is_safe(f: Fact, n: int) -> bool:
    """Whether a value is constant and, as integers, an index into an axis of length n."""
    return bool(f.bits & CONSTANT) and -n <= f.range[0] and f.range[1] <= n - 1


def integers(index: Any, n: int) -> np.ndarray:
    """A constant integer array as indices into an axis of length n, negative ones counted from the end."""
    a = np.asarray(index)
    if a.dtype.kind not in "iu":
        raise ValueError("indices must be constant integers")
    a = a.astype(np.int64)
    if a.size and (a.min() < -n or a.max() >= n):
        raise ValueError(f"an index is outside an axis of length {n}")
    return np.where(a < 0, a + n, a)


def axis_of(dim: Any, ndim: int) -> int:
    """One axis as a non-negative integer; a scalar has the axis 0."""
    if type(dim) is not int or not -max(ndim, 1) <= dim < max(ndim, 1):
        raise ValueError(f"axis {dim!r} of a tensor with {ndim} axes")
    return dim % max(ndim, 1)


def extreme(f: Fact, n: int, up: bool) -> Fact:
    """The largest (smallest) of n >= 1 values that all have this fact: max keeps convex, min keeps concave."""
    if n == 1 or f is UNDEFINED or f.bits & CONSTANT:
        return f
    if up:
        return fact(f.bits & (CONVEX | QUASICONVEX), f.range, vex=f.vex)
    return fact(f.bits & (CONCAVE | QUASICONCAVE), f.range, cave=f.cave)


def partial(f: Fact, n: int) -> Fact:
    """A sum of some number, from 0 to n, of values that all have this fact."""
    if n == 0:
        return ZERO
    s = meet(compose.total(f, n), ZERO)
    r = ranges.union(ranges.union(f.range, s.range), ZERO.range)
    return s._replace(range=r) if r == s.range else _with_range(s, r)


def _with_range(f: Fact, r: Range) -> Fact:
    return constant(r) if f.bits & CONSTANT else fact(f.bits, r, f.vex, f.cave)


def ints(value: Any, n: int, default: int = 0) -> tuple[int, ...]:
    """A number or a list of one or n integers as n integers; an empty list means the default."""
    items = (value,) if isinstance(value, int) else tuple(value)
    if not items:
        items = (default,)
    if any(type(v) is not int for v in items) or len(items) not in (1, n):
        raise ValueError(f"{value!r} are not {n} integers")
    return items * n if len(items) == 1 else items


def windows(n: int, out: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """Indices (out, kernel) that a sliding window reads on an axis of length n; -1 where it reads padding."""
    if min(kernel, stride, dilation) < 1 or padding < 0 or out < 0:
        raise ValueError("a window needs a positive size, stride and dilation, and padding that is not negative")
    at = np.arange(out)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    return np.where((at >= 0) & (at < n), at, -1)


def take(x: np.ndarray, index: np.ndarray, axis: int, fill: Any = None) -> np.ndarray:
    """x indexed along an axis by an integer array, whose axes replace it; -1 reads ``fill``."""
    if fill is not None and (index < 0).any():
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        extra = np.empty(shape, dtype=x.dtype)
        extra[...] = fill
        x = np.concatenate([x, extra], axis=axis)
    return np.take(x, index, axis=axis)
