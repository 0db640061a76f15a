"""Norms of vectors: p-norms along axes.

Minkowski: for p >= 1 the p-norm of non-negative convex functions is convex; for p <= 1 that of non-negative concave ones
is concave. In general the p-norm keeps an index of convexity up to p, and one of concavity from p on.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
from flint import arb, fmpq

from jensen.atoms import arrays, rows
from jensen.atoms.powers import power_row
from jensen.atoms.registry import Atom, acts, axes_of, count, over, reduced, register
from jensen.atoms.rows import Row
from jensen.atoms.shared import Facts, Shapes, extreme, no_values, operand
from jensen.kernel import balls, ranges
from jensen.kernel.balls import to_floats
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import CONSTANT, Fact, constant, fact

Shape = tuple[int, ...]

MAGNITUDE = Row(
    abs,
    ((-inf, 0.0, -2), (0.0, inf, 2)),
    ((-inf, inf, 1),),
    ((-inf, 0.0, 1), (0.0, inf, 1)),
    limits=(inf, inf),
    bounds=(0.0, inf, False, True),
)


def _order(p: Any) -> float:
    if type(p) not in (int, float) or not p > 0:
        raise Unmodelled("norm", "a positive order", f"the norm of order {p!r} is not modelled")
    return float(p)


def _shape(x: Shape, p: Any = 2, dims: Any = None, keepdim: bool = False) -> Shape:
    axes = axes_of(dims, len(x))
    if _order(p) == inf and count(x, axes) == 0:
        raise ValueError("the largest of nothing")
    return reduced(x, axes, keepdim)


def _stretch(n: int, p: float) -> float:
    """At least n ** (1 / p)."""
    with balls.precision(balls.PRECISION):
        q = Fraction(1) / Fraction(p)
        if q > 64:
            return inf
        return to_floats(arb(n) ** arb(fmpq(q.numerator, q.denominator)))[1]


def _facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    p = _order(args[1] if len(args) > 1 else 2)
    shape = shapes[operand(args)]
    n = count(shape, axes_of(args[2] if len(args) > 2 else None, len(shape)))
    g = rows.unary(MAGNITUDE, out[operand(args)])
    if n <= 1:
        return g if n else constant((0.0, 0.0, False, False))
    if p == inf:
        return extreme(g, n, True)
    r = ranges.make(g.range[0], ranges.mul_up(g.range[1], _stretch(n, p)), g.range[2], g.range[3])
    if g.bits & CONSTANT:
        return constant(r)
    return fact(0, r, g.vex if g.vex <= p else inf, g.cave if g.cave >= p else -inf)


def _root(x: Any, p: float) -> Any:
    """x ** (1 / p) of a ball that encloses a value that is not negative."""
    if x == 0:
        return arb(0)
    if not x > 0:
        top = x.upper()
        return arb(0).union(_root(top, p)) if top > 0 else arb.nan()
    return x.sqrt() if p == 2.0 else x ** (1 / arb(fmpq(*Fraction(p).as_integer_ratio())))


def _norm(x: np.ndarray, p: Any = 2, dims: Any = None, keepdim: bool = False) -> np.ndarray:
    p, axes = _order(p), axes_of(dims, x.ndim)
    if p == inf:
        return arrays.reduce_pairs(lambda a, b: a.max(b), balls.elementwise(abs, x), axes, keepdim)
    if p == 1.0:
        return arrays.total(balls.elementwise(abs, x), axes, keepdim)
    power = power_row(p).ball
    terms = balls.elementwise(lambda v: v * v if p == 2.0 else _power(abs(v), power, p), x)
    return balls.elementwise(lambda v: _root(v, p), arrays.total(terms, axes, keepdim))


def _power(x: Any, ball: Any, p: float) -> Any:
    if x > 0 or x == 0 or p == int(p):
        return ball(x)
    return arb(0).union(ball(x.upper()))


register(Atom("aten.linalg_vector_norm.default", _shape, _facts, _norm))
acts("aten.linalg_vector_norm.default", "fold", "size", lambda shape, p=2, dims=None, keepdim=False: over(shape, dims))
