"""Products over axes, and sums, products and log-sum-exps so far."""

from __future__ import annotations

from math import inf, log, nextafter
from typing import Any

import numpy as np
from flint import arb

from jensen.atoms import arrays
from jensen.atoms.extrema import running
from jensen.atoms.registry import Atom, acts, along, axes_of, count, over, reduced, register
from jensen.atoms.shared import Facts, Shapes, axis_of, no_values, operand
from jensen.kernel import balls, compose, ranges
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, cave_over, constant, fact, vex_over
from jensen.kernel.ranges import REALS, Range

Shape = tuple[int, ...]
LONG = 4096


def _power_range(r: Range, n: int, so_far: bool) -> Range:
    """All products of n values of r (``so_far``: of 1 to n)."""
    if n > LONG:
        return ranges.make(0.0, inf) if r[0] >= 0.0 else REALS
    whole = p = r
    for _ in range(n - 1):
        p = ranges.mul(p, r)
        whole = ranges.union(whole, p)
    return whole if so_far else p


def product_of(f: Fact, n: int, so_far: bool = False) -> Fact:
    """A product of n values that all have this fact: Hölder divides the indices of non-negative ones by n."""
    if f is UNDEFINED or n == 1:
        return f
    if n == 0:
        return constant((1.0, 1.0, False, False))
    r = _power_range(f.range, n, so_far)
    if f.bits & CONSTANT:
        return constant(r)
    if f.range[0] < 0.0:
        return fact(0, r)
    vex = vex_over(f.vex, float(n)) if -inf < f.vex <= 0 else inf
    cave = cave_over(f.cave, float(n)) if 0 <= f.cave < inf else -inf
    return fact(0, r, vex, cave)


def _shape(x: Shape, dims: Any = None, keepdim: bool = False) -> Shape:
    return reduced(x, axes_of(dims, len(x)), keepdim)


def _product(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    shape = shapes[operand(args)]
    return product_of(out[operand(args)], count(shape, axes_of(args[1] if len(args) > 1 else None, len(shape))))


def _times(x: np.ndarray, dims: Any = None, keepdim: bool = False) -> np.ndarray:
    axes = axes_of(dims, x.ndim)
    if count(x.shape, axes) == 0:
        return balls.as_objects(arb(1), reduced(x.shape, axes, keepdim))
    return arrays.reduce_pairs(lambda a, b: a * b, x, axes, keepdim)


def _along(x: Shape, dim: int) -> Shape:
    axis_of(dim, len(x))
    return x


def _length(args: tuple[Any, ...], shapes: Shapes) -> int:
    no_values(args[1:])
    shape = shapes[operand(args)]
    return shape[axis_of(args[1], len(shape))] if shape else 1


def _cumsum(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    f, n = out[operand(args)], _length(args, shapes)
    if n <= 1:
        return f
    g = compose.total(f, n)
    r = ranges.union(f.range, g.range)
    return constant(r) if f.bits & CONSTANT else fact(g.bits, r, g.vex, g.cave)


def _cumprod(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    n = _length(args, shapes)
    return product_of(out[operand(args)], max(n, 1), True)


def _logcumsumexp(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    f, n = out[operand(args)], max(_length(args, shapes), 1)
    most = nextafter(nextafter(log(n), inf), inf)
    r = ranges.make(f.range[0], ranges.add_up(f.range[1], most), f.range[2], f.range[3])
    return compose.joint([f], r, vex=1, signs=(1,))


def _log_add(a: Any, b: Any) -> Any:
    top = a.max(b).mid()
    return top + ((a - top).exp() + (b - top).exp()).log()


register(Atom("aten.prod.dim_int", _shape, _product, _times))
acts("aten.prod.dim_int", "fold", "", over)
acts("aten.cumsum.default", "window", "sum", along)
acts("aten.cumprod.default", "window", "", along)
acts("aten.logcumsumexp.default", "window", "", along)
register(Atom("aten.cumsum.default", _along, _cumsum, lambda x, dim: running(x, dim, lambda a, b: a + b)))
register(Atom("aten.cumprod.default", _along, _cumprod, lambda x, dim: running(x, dim, lambda a, b: a * b)))
register(Atom("aten.logcumsumexp.default", _along, _logcumsumexp, lambda x, dim: running(x, dim, _log_add)))
