"""Facts: what is known of one value of a program, as a function of the asked blocks.

Besides convex, concave and their quasi- forms, a fact carries two *power-mean indices* for values that are not
negative. A function f >= 0 is a-convex when f(t x + (1-t) y) <= M_a(f(x), f(y)), the power mean of order a with weights
t and 1-t, and a-concave when it is at least that. So 1-convex is convex, 0-convex is log-convex, infinity-convex is
quasiconvex; 1-concave is concave, 0-concave log-concave, minus infinity quasiconcave. Power means rise with order:
a smaller index of convexity says more, and so does a larger index of concavity.

Hölder's inequality gives products, Minkowski's sums, and powers divide the index (Avriel, Diewert, Schaible and Zang,
"Generalized Concavity", 1988; Brascamp and Lieb, 1976): sqrt(1 + x^2), x^2 / y, exp(x) / y, sqrt(x y) and the quotient
of a non-negative convex by a positive concave function all follow from the same three lines.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import NamedTuple

from jensen.kernel import ranges
from jensen.kernel.ranges import Range

CONVEX, CONCAVE, QUASICONVEX, QUASICONCAVE, CONSTANT = 1, 2, 4, 8, 16
AFFINE = CONVEX | CONCAVE | QUASICONVEX | QUASICONCAVE
ALL = AFFINE | CONSTANT

Index = int | float | Fraction


class Fact(NamedTuple):
    """Curvature bits, index of convexity, index of concavity, range; one for all elements of a tensor."""

    bits: int
    vex: Index
    cave: Index
    range: Range


UNDEFINED = Fact(0, inf, -inf, ranges.REALS)  # compared by identity: the value may not be a real number


def constant(r: Range) -> Fact:
    return Fact(ALL, -inf, inf, r) if r[0] >= 0.0 else Fact(ALL, inf, -inf, r)


def variable(r: Range) -> Fact:
    """An asked block."""
    return fact(AFFINE, r)


def fact(bits: int, r: Range, vex: Index = inf, cave: Index = -inf) -> Fact:
    """A fact with everything that follows from it."""
    if bits & CONSTANT:
        return constant(r)
    if r[0] >= 0.0:
        if bits & CONVEX and vex > 1:
            vex = 1
        if bits & CONCAVE and cave < 1:
            cave = 1
        if vex <= 1:
            bits |= CONVEX
        if cave >= 1:
            bits |= CONCAVE
        if cave > -inf:
            bits |= QUASICONCAVE
        if vex < inf:
            bits |= QUASICONVEX
    else:
        vex, cave = inf, -inf
    if bits & CONVEX:
        bits |= QUASICONVEX
    if bits & CONCAVE:
        bits |= QUASICONCAVE
    return Fact(bits, vex, cave, r)


def swap(bits: int) -> int:
    """The bits of -f."""
    return (bits & CONSTANT) | ((bits & 5) << 1) | ((bits & 10) >> 1)


def negate(f: Fact) -> Fact:
    if f is UNDEFINED:
        return f
    return fact(swap(f.bits), ranges.neg(f.range))


def _tame(a: Index) -> Index:
    """Keep indices small: whole ones as ints; a fraction that has grown huge is given up."""
    if isinstance(a, Fraction):
        if a.denominator == 1:
            return a.numerator
        if a.denominator.bit_length() > 2000 or a.numerator.bit_length() > 2000:
            return inf
    return a


def product_index(a: Index, b: Index) -> Index:
    """Index of convexity of a product: Hölder, 1/c = 1/a + 1/b, where it holds; infinity means at most quasiconvex.

    For two indices of one sign it holds when both are at most 0; for opposite signs when their sum is negative; at sum
    zero the product is quasiconvex. The index of concavity is the mirror image: -product_index(-a, -b).
    """
    if a == -inf:
        return b
    if b == -inf:
        return a
    if a <= 0 and b <= 0:
        return 0 if a == 0 or b == 0 else _tame(Fraction(a) * Fraction(b) / (Fraction(a) + Fraction(b)))
    if a == inf or b == inf or (a >= 0 and b >= 0) or a + b >= 0:
        return inf
    return _tame(Fraction(a) * Fraction(b) / (Fraction(a) + Fraction(b)))


def product_is_quasiconvex(a: Index, b: Index) -> bool:
    """Whether indices of convexity a and b make the product quasiconvex."""
    if a == inf or b == inf:
        return a == -inf and b == -inf
    if (a <= 0 and b <= 0) or -inf in (a, b):
        return True
    return (a < 0 or b < 0) and a + b <= 0


def vex_over(a: Index, p: float) -> Index:
    """Index of convexity a / p, for a finite non-zero p."""
    if a in (inf, -inf):
        return a if p > 0 else -a
    return _tame(Fraction(a) / Fraction(p))


def cave_over(a: Index, p: float) -> Index:
    """Index of concavity a / p, for a finite non-zero p."""
    return -vex_over(-a, p)


def meet(f: Fact, g: Fact) -> Fact:
    """What is known of a value that is one or the other, element by element."""
    if f is UNDEFINED or g is UNDEFINED:
        return UNDEFINED
    bits = f.bits & g.bits
    r = ranges.union(f.range, g.range)
    if bits & CONSTANT:
        return constant(r)
    return fact(bits, r, max(f.vex, g.vex), min(f.cave, g.cave))
