"""The composition rule, once: how a function's curvature and monotonicity act on what is known of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, reduce
from math import inf, nextafter
from typing import Any, NamedTuple

from flint import arb, ctx

from jensen.kernel import ranges
from jensen.kernel.facts import (
    AFFINE,
    CONCAVE,
    CONSTANT,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    Fact,
    Index,
    cave_over,
    constant,
    fact,
    negate,
    product_index,
    product_is_quasiconvex,
    swap,
    vex_over,
)
from jensen.kernel.ranges import REALS, Range

QUASI = QUASICONVEX | QUASICONCAVE


class Row(NamedTuple):
    """An elementwise function of one real variable.

    Attributes:
        ball: The function on an Arb ball.
        mono: Pieces ``(a, b, d)`` that cover the domain in order: d = +1 non-decreasing, -1 non-increasing, doubled
            where strict; 0 constant; None on a narrow piece around a turning point that is no float, where the ball
            of the whole piece bounds the values. On two pieces side by side the function is continuous.
        vex: Claims ``(a, b, i)``: i-convex on [a, b] (1: convex, infinity: quasiconvex; below 1 the values there
            are non-negative).
        cave: Claims ``(a, b, i)``: i-concave on [a, b] (1: concave, minus infinity: quasiconcave).
        domain: Where the function is defined.
        limits: Its limits at the ends of the domain, where the ends are open or infinite.
        bounds: A range that contains all its values.
        slopes: Optional: first and second derivative as functions on intervals, for proofs on boxes.
    """

    ball: Any
    mono: tuple[tuple[float, float, int | None], ...]
    vex: tuple[tuple[float, float, Index], ...] = ()
    cave: tuple[tuple[float, float, Index], ...] = ()
    domain: Range = REALS
    limits: tuple[float, float] = (-inf, inf)
    bounds: Range = REALS
    slopes: Any = None


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


@lru_cache(maxsize=100_000)
def _at(row: Row, x: float) -> tuple[float, float]:
    old = ctx.prec
    ctx.prec = 106
    try:
        return to_floats(row.ball(arb(x)))
    finally:
        ctx.prec = old


@lru_cache(maxsize=10_000)
def _across(row: Row, a: float, b: float) -> tuple[float, float]:
    """Bounds of the values on a narrow piece."""
    old = ctx.prec
    ctx.prec = 106
    try:
        return to_floats(row.ball(arb(a).union(arb(b))))
    finally:
        ctx.prec = old


def _end(row: Row, x: float, is_open: bool, strict: bool) -> tuple[float, float, bool]:
    """Bounds of the value at one end of a piece, and whether the end is never attained."""
    if x == row.domain[0] and row.domain[2]:
        return row.limits[0], row.limits[0], strict
    if x == row.domain[1] and row.domain[3]:
        return row.limits[1], row.limits[1], strict
    lo, hi = _at(row, x)
    return lo, hi, is_open and strict


def image(row: Row, r: Range) -> Range:
    """The values of the function on a range inside its domain."""
    out: Range | None = None
    for a, b, d in row.mono:
        if r[1] < a or r[0] > b:
            continue
        if d is None:
            piece = ranges.make(*_across(row, a, b))
            out = piece if out is None else ranges.union(out, piece)
            continue
        left = (r[0], r[2]) if r[0] >= a else (a, False)
        right = (r[1], r[3]) if r[1] <= b else (b, False)
        strict = d in (2, -2)
        p, q = _end(row, *left, strict), _end(row, *right, strict)
        if d < 0:
            p, q = q, p
        piece = ranges.make(p[0], q[1], p[2], q[2])
        out = piece if out is None else ranges.union(out, piece)
    return row.bounds if out is None else ranges.intersect(out, row.bounds)


def direction(row: Row, r: Range) -> tuple[bool, bool]:
    """Whether the function is non-decreasing, and non-increasing, on a range."""
    up = down = True
    for a, b, d in row.mono:
        if r[1] <= a or r[0] >= b:
            if not (r[0] == r[1] and a <= r[0] <= b):
                continue
        up, down = up and d is not None and d >= 0, down and d is not None and d <= 0
    return up, down


def unary(row: Row, g: Fact) -> Fact:
    """f(g) for an elementwise f."""
    r = g.range
    if g is UNDEFINED or not ranges.within_domain(r, row.domain):
        return UNDEFINED
    values = image(row, r)
    if g.bits & CONSTANT:
        return constant(values)
    up, down = direction(row, r)
    gb = g.bits
    affine = gb & CONVEX and gb & CONCAVE
    bits = 0
    if up:
        bits = gb & QUASI
    elif down:
        bits = swap(gb) & QUASI
    vex: Index = inf
    cave: Index = -inf
    if affine or (up and gb & CONVEX) or (down and gb & CONCAVE):
        for a, b, i in row.vex:
            if a <= r[0] and r[1] <= b:
                bits |= QUASICONVEX | (CONVEX if i <= 1 else 0)
                vex = min(vex, i)
    if affine or (up and gb & CONCAVE) or (down and gb & CONVEX):
        for a, b, i in row.cave:
            if a <= r[0] and r[1] <= b:
                bits |= QUASICONCAVE | (CONCAVE if i >= 1 else 0)
                cave = max(cave, i)
    return fact(bits, values, vex, cave)


def power(row: Row, g: Fact, p: float) -> Fact:
    """g ** p: the row's rule, and division of the indices by p where g is non-negative."""
    f = unary(row, g)
    if f is UNDEFINED or f.bits & CONSTANT or g.range[0] < 0.0 or p == 0.0:
        return f
    low, high = (g.vex, g.cave) if p > 0 else (g.cave, g.vex)
    return fact(f.bits, f.range, min(f.vex, vex_over(low, p)), max(f.cave, cave_over(high, p)))


def logarithm(row: Row, g: Fact) -> Fact:
    """log g (times a positive constant): convex where g is log-convex, concave where it is log-concave."""
    f = unary(row, g)
    if f is UNDEFINED or f.bits & CONSTANT:
        return f
    bits = f.bits | (CONVEX if g.vex <= 0 else 0) | (CONCAVE if g.cave >= 0 else 0)
    return fact(bits, f.range, f.vex, f.cave)


def add(f: Fact, g: Fact) -> Fact:
    """f + g."""
    if f is UNDEFINED or g is UNDEFINED:
        return UNDEFINED
    r = ranges.add(f.range, g.range)
    bits = f.bits & g.bits
    if bits & CONSTANT:
        return constant(r)
    if f.bits & CONSTANT or g.bits & CONSTANT:
        bits = (f.bits | CONSTANT) & (g.bits | CONSTANT) & ~CONSTANT
    else:
        bits &= CONVEX | CONCAVE
    vex: Index = inf
    cave: Index = -inf
    if f.range[0] >= 0.0 and g.range[0] >= 0.0:
        vex, cave = max(f.vex, g.vex), min(f.cave, g.cave)
        vex, cave = (vex if vex <= 1 else inf), (cave if cave >= 1 else -inf)
    return fact(bits, r, vex, cave)


def total(f: Fact, n: int) -> Fact:
    """A sum of n values that all have this fact."""
    if n <= 1 or f is UNDEFINED:
        return f if n else constant((0.0, 0.0, False, False))
    r = ranges.scale(f.range, float(n))
    if f.bits & CONSTANT:
        return constant(r)
    vex, cave = (f.vex if f.vex <= 1 else inf), (f.cave if f.cave >= 1 else -inf)
    return fact(f.bits & (CONVEX | CONCAVE), r, vex, cave)


def times_constant(c: Fact, f: Fact) -> Fact:
    """c * f for a constant c of known range."""
    r = ranges.mul(c.range, f.range)
    if f.bits & CONSTANT:
        return constant(r)
    if c.range[0] >= 0.0:
        return fact(f.bits, r, f.vex, f.cave)
    if c.range[1] <= 0.0:
        g = negate(f)
        return fact(g.bits, r)
    both = f.bits if f.bits & AFFINE == AFFINE else 0
    if not both and f.bits & QUASI == QUASI:
        both = QUASI
    return fact(both, r)


def multiply(f: Fact, g: Fact) -> Fact:
    """f * g for different f and g."""
    if f is UNDEFINED or g is UNDEFINED:
        return UNDEFINED
    if f.bits & CONSTANT:
        return times_constant(f, g)
    if g.bits & CONSTANT:
        return times_constant(g, f)
    if f.range[1] <= 0.0 and f.range[0] < 0.0:
        return negate(multiply(negate(f), g))
    if g.range[1] <= 0.0 and g.range[0] < 0.0:
        return negate(multiply(f, negate(g)))
    r = ranges.mul(f.range, g.range)
    if f.range[0] < 0.0 or g.range[0] < 0.0:
        return fact(0, r)
    bits = QUASICONVEX if product_is_quasiconvex(f.vex, g.vex) else 0
    bits |= QUASICONCAVE if product_is_quasiconvex(-f.cave, -g.cave) else 0
    return fact(bits, r, product_index(f.vex, g.vex), -product_index(-f.cave, -g.cave))


def maximum(f: Fact, g: Fact) -> Fact:
    """max(f, g)."""
    if f is UNDEFINED or g is UNDEFINED:
        return UNDEFINED
    if f.range[0] >= g.range[1]:
        return f
    if g.range[0] >= f.range[1]:
        return g
    r = ranges.maximum(f.range, g.range)
    bits = f.bits & g.bits
    if bits & CONSTANT:
        return constant(r)
    bits = (f.bits & g.bits) & (CONVEX | QUASICONVEX)
    if f.bits & CONSTANT or g.bits & CONSTANT:
        bits |= f.bits & g.bits & QUASICONCAVE  # max with a constant is non-decreasing
    return fact(bits, r, max(f.vex, g.vex))


def minimum(f: Fact, g: Fact) -> Fact:
    """min(f, g)."""
    if f.range[1] <= g.range[0] and g is not UNDEFINED:
        return f
    if g.range[1] <= f.range[0] and f is not UNDEFINED:
        return g
    h = negate(maximum(negate(f), negate(g)))
    return h if h is UNDEFINED or h.bits & CONSTANT else fact(h.bits, h.range, inf, min(f.cave, g.cave))


def both(f: Fact, g: Fact) -> Fact:
    """What two valid facts of one value say together."""
    if f is UNDEFINED or g is UNDEFINED:
        return f if g is UNDEFINED else g
    r = ranges.intersect(f.range, g.range)
    return fact(f.bits | g.bits, r, min(f.vex, g.vex), max(f.cave, g.cave))


def every(facts: Iterable[Fact]) -> Fact:
    """The sum of several values."""
    return reduce(add, facts)


def joint(
    facts: Sequence[Fact], r: Range, vex: Index | None = None, cave: Index | None = None, signs: Sequence[int] = ()
) -> Fact:
    """f(g1, ..., gn) for an f that is jointly vex-convex (or cave-concave) and monotone as ``signs`` say.

    A sign is +1 where f is non-decreasing in that argument, -1 non-increasing, 0 neither (the argument must be affine).
    """
    if any(g is UNDEFINED for g in facts):
        return UNDEFINED
    if all(g.bits & CONSTANT for g in facts):
        return constant(r)
    signs = signs or [0] * len(facts)
    ok_vex = ok_cave = True
    for g, s in zip(facts, signs, strict=True):
        bits = g.bits if s >= 0 else swap(g.bits)
        affine = g.bits & CONVEX and g.bits & CONCAVE
        ok_vex = ok_vex and bool(affine or (s and bits & CONVEX))
        ok_cave = ok_cave and bool(affine or (s and bits & CONCAVE))
    bits = 0
    v: Index = inf
    c: Index = -inf
    if vex is not None and ok_vex:
        bits, v = QUASICONVEX | (CONVEX if vex <= 1 else 0), vex
    if cave is not None and ok_cave:
        bits, c = bits | QUASICONCAVE | (CONCAVE if cave >= 1 else 0), cave
    return fact(bits, r, v, c)
