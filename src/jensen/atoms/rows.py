"""Elementwise functions of one variable: one row of claims each, and what follows for their arguments' facts."""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from flint import arb, ctx

from jensen.kernel import ranges
from jensen.kernel.balls import to_floats
from jensen.kernel.compose import QUASI
from jensen.kernel.facts import (
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
    swap,
    vex_over,
)
from jensen.kernel.ranges import REALS, Range


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
        if (r[1] <= a or r[0] >= b) and not (r[0] == r[1] and a <= r[0] <= b):
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
