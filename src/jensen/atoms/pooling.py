"""Pooling: the largest or the mean of windows. Windows are products of windows along axes, so pooling goes axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from jensen.atoms.registry import Atom, acts, register
from jensen.atoms.shared import ZERO, Facts, Shapes, extreme, ints, no_values, operand, partial, take, windows
from jensen.kernel import balls, compose
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, constant, fact, meet

Shape = tuple[int, ...]


def _size(n: int, k: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """torch's output length: the last window of ceil mode must start in the input or its left padding."""
    if min(n, k, stride, dilation) < 1 or not 0 <= 2 * padding <= dilation * (k - 1) + 1:
        raise ValueError("a pooling window of this size")
    room = n + 2 * padding - dilation * (k - 1) - 1
    out = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (out - 1) * stride >= n + padding:
        out -= 1
    if out < 1:
        raise ValueError("the window is larger than the padded input")
    return out


def _axes(nd: int, x: Shape) -> range:
    if len(x) not in (nd + 1, nd + 2):
        raise ValueError(f"pooling in {nd} dimensions of shape {x}")
    return range(len(x) - nd, len(x))


def _fill_gaps(index: np.ndarray) -> np.ndarray:
    """Padding replaced by another element of the same window, which changes no maximum."""
    if (index.max(axis=1) < 0).any():
        raise ValueError("a window holds nothing but padding")
    return np.where(index < 0, index.max(axis=1, keepdims=True), index)


def _windows(nd: int, x: Shape, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> list[np.ndarray]:
    k = ints(kernel, nd, 1)
    s = k if stride is None or (not isinstance(stride, int) and len(stride) == 0) else ints(stride, nd, 1)
    p, d = ints(padding, nd), ints(dilation, nd, 1)
    lengths = [x[a] for a in _axes(nd, x)]
    return [windows(n, _size(n, k[j], s[j], p[j], d[j], ceil), k[j], s[j], p[j], d[j]) for j, n in enumerate(lengths)]


def _largest(x: np.ndarray, index: list[np.ndarray]) -> np.ndarray:
    x = balls.real(x)
    for axis, at in zip(range(x.ndim - len(index), x.ndim), index, strict=True):
        at = _fill_gaps(at)
        y = take(x, at[:, 0], axis)
        for k in range(1, at.shape[1]):
            y = balls.elementwise(lambda u, v: u.max(v), y, take(x, at[:, k], axis))
        x = y
    return x


def _sums(x: np.ndarray, index: list[np.ndarray]) -> np.ndarray:
    x = balls.real(x)
    for axis, at in zip(range(x.ndim - len(index), x.ndim), index, strict=True):
        y = take(x, at[:, 0], axis, arb(0))
        for k in range(1, at.shape[1]):
            y = balls.elementwise(lambda u, v: u + v, y, take(x, at[:, k], axis, arb(0)))
        x = y
    return x


def _pooled(x: Shape, index: list[np.ndarray]) -> Shape:
    return (*x[: len(x) - len(index)], *(a.shape[0] for a in index))


def _max_pool(nd: int) -> None:
    def at(
        x: Shape, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False
    ) -> list[np.ndarray]:
        return [_fill_gaps(a) for a in _windows(nd, x, kernel, stride, padding, dilation, bool(ceil))]

    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        no_values(args[1:])
        return extreme(out[operand(args)], 2, True)

    register(
        Atom(
            f"aten.max_pool{nd}d.default",
            lambda x, *rest: _pooled(x, at(x, *rest)),
            facts,
            lambda x, *rest: _largest(x, at(x.shape, *rest)),
        )
    )


def _adaptive(nd: int, x: Shape, size: Any) -> list[np.ndarray]:
    """Windows from floor(i n / m) to ceil((i + 1) n / m), filled up with -1."""
    out = []
    for n, m in zip((x[a] for a in _axes(nd, x)), ints(size, nd), strict=True):
        if n < 1 or m < 1:
            raise ValueError("adaptive pooling of nothing")
        spans = [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        longest = max(len(s) for s in spans)
        out.append(np.array([[*s, *[-1] * (longest - len(s))] for s in spans]))
    return out


def average(f: Fact, padded: bool) -> Fact:
    """A mean of values that have this fact; ``padded``: and of zeros."""
    if f is UNDEFINED:
        return f
    r = meet(f, ZERO).range if padded else f.range
    if f.bits & CONSTANT:
        return constant(r)
    g = compose.total(f, 2)  # the curvature of a sum, the range of one
    return fact(g.bits, r, g.vex, g.cave)


def _adaptive_pools(nd: int) -> None:
    def mean(x: np.ndarray, size: Any) -> np.ndarray:
        index = _adaptive(nd, x.shape, size)
        return _divide(_sums(x, index), [(a >= 0).sum(axis=1) for a in index])

    def facts(rule: Callable[[Fact], Fact]) -> Callable[..., Fact]:
        def read(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
            no_values(args[1:])
            return rule(out[operand(args)])

        return read

    def shape(x: Shape, size: Any) -> Shape:
        return _pooled(x, _adaptive(nd, x, size))

    register(Atom(f"aten.adaptive_avg_pool{nd}d.default", shape, facts(lambda f: average(f, False)), mean))
    register(
        Atom(
            f"jensen.adaptive_max_pool{nd}d",
            shape,
            facts(lambda f: extreme(f, 2, True)),
            lambda x, size: _largest(x, _adaptive(nd, x.shape, size)),
        )
    )


def _divide(x: np.ndarray, counts: list[np.ndarray]) -> np.ndarray:
    """Each output divided by the product of its windows' counts."""
    for j, c in enumerate(reversed(counts)):
        x = balls.elementwise(lambda v, n: v / n, x, c.reshape(-1, *[1] * j))
    return x


def _counts(n: int, k: int, stride: int, padding: int, out: int, include: bool) -> np.ndarray:
    """torch's divisor along one axis: elements, with padding on both sides or without, but never beyond."""
    start = np.arange(out) * stride - padding
    stop = np.minimum(start + k, n + padding)
    return stop - start if include else np.minimum(stop, n) - np.maximum(start, 0)


def _avg_pool(nd: int) -> None:
    def at(
        x: Shape, kernel: Any, stride: Any = (), padding: Any = 0, ceil: bool = False, *rest: Any
    ) -> list[np.ndarray]:
        if len(rest) > 1 and rest[1] is not None and (type(rest[1]) is not int or rest[1] == 0):
            raise ValueError("a divisor that is not a non-zero integer")
        return _windows(nd, x, kernel, stride, padding, 1, bool(ceil))

    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        no_values(args[1:])
        f = out[operand(args)]
        padded = len(args) > 3 and any(ints(args[3], nd))
        if len(args) > 6 and args[6] is not None:
            n = int(np.prod(ints(args[1], nd, 1)))
            return compose.times_constant(_inverse(args[6]), partial(f, n))
        return average(f, padded)

    def enclose(
        x: Any,
        kernel: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil: bool = False,
        include: bool = True,
        by: Any = None,
    ) -> Any:
        index = at(x.shape, kernel, stride, padding, ceil, include, by)
        y = _sums(x, index)
        if by is not None:
            return balls.elementwise(lambda v: v / by, y)
        k = ints(kernel, nd, 1)
        s = k if stride is None or (not isinstance(stride, int) and len(stride) == 0) else ints(stride, nd, 1)
        sizes = zip((x.shape[a] for a in _axes(nd, x.shape)), k, s, ints(padding, nd), y.shape[-nd:], strict=True)
        return _divide(y, [_counts(*z, bool(include)) for z in sizes])

    register(Atom(f"aten.avg_pool{nd}d.default", lambda x, *rest: _pooled(x, at(x, *rest)), facts, enclose))


def _inverse(n: int) -> Fact:
    lo, hi = sorted((np.nextafter(1.0 / n, -np.inf), np.nextafter(1.0 / n, np.inf)))
    return constant((float(lo), float(hi), False, False))


def _last(nd: int) -> Callable[..., tuple[int, ...]]:
    return lambda shape, *how: tuple(_axes(nd, shape))


for _nd in (1, 2, 3):
    for _op in (f"aten.avg_pool{_nd}d.default", f"aten.adaptive_avg_pool{_nd}d.default"):
        acts(_op, "window", "sum", _last(_nd), "through" if "adaptive" in _op else "")
    for _op in (f"aten.max_pool{_nd}d.default", f"jensen.adaptive_max_pool{_nd}d"):
        acts(_op, "window", "largest", _last(_nd), "through")
    _max_pool(_nd)
    _avg_pool(_nd)
    _adaptive_pools(_nd)
