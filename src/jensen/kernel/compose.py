"""The composition rule, once: how a function's curvature and monotonicity act on what is known of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

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
    constant,
    fact,
    negate,
    product_index,
    product_is_quasiconvex,
    swap,
)
from jensen.kernel.ranges import Range

QUASI = QUASICONVEX | QUASICONCAVE


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
