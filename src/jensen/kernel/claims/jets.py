"""Second-order interval jets: ranges of a value, its gradient and its Hessian over a small box.

Ranges are closed float intervals rounded outward. A convex kink (relu, abs, max) contributes a second derivative in
[0, infinity): along any line the slope jumps upward there, and the chain rule carries that sign like any other.
"""

from __future__ import annotations

from fractions import Fraction
from math import frexp, inf, nextafter
from typing import Any

from jensen.kernel import ranges
from jensen.kernel.errors import Narrow
from jensen.kernel.ranges import Range

ZERO: Range = (0.0, 0.0, False, False)


def mul(a: Range, b: Range) -> Range:
    return a if a == ZERO else b if b == ZERO else ranges.mul(a, b)


def add(a: Range, b: Range) -> Range:
    return a if b == ZERO else b if a == ZERO else ranges.add(a, b)


def square(a: Range) -> Range:
    """All x * x."""
    low = 0.0 if a[0] <= 0.0 <= a[1] else min(ranges.mul_down(a[0], a[0]), ranges.mul_down(a[1], a[1]))
    return ranges.make(low, max(ranges.mul_up(a[0], a[0]), ranges.mul_up(a[1], a[1])))


class Jet:
    """A value's range, gradient ranges, and Hessian ranges (upper triangle, row by row)."""

    __slots__ = ("gradient", "hessian", "value")

    def __init__(self, value: Range, gradient: tuple[Range, ...], hessian: tuple[Range, ...]):
        self.value, self.gradient, self.hessian = value, gradient, hessian

    def __add__(self, other: Jet) -> Jet:
        return Jet(
            ranges.add(self.value, other.value),
            tuple(map(add, self.gradient, other.gradient)),
            tuple(map(add, self.hessian, other.hessian)),
        )

    def __neg__(self) -> Jet:
        return Jet(ranges.neg(self.value), tuple(map(ranges.neg, self.gradient)), tuple(map(ranges.neg, self.hessian)))

    def __sub__(self, other: Jet) -> Jet:
        return self + (-other)

    def __mul__(self, other: Jet) -> Jet:
        if other is self:
            return self.chain(square(self.value), ranges.scale(self.value, 2.0), (2.0, 2.0, False, False))
        f, g = self.gradient, other.gradient
        gradient = tuple(add(mul(self.value, q), mul(other.value, p)) for p, q in zip(f, g, strict=True))
        hessian, k = [], 0
        for i in range(len(f)):
            for j in range(i, len(f)):
                cross = add(mul(f[i], g[j]), mul(f[j], g[i]))
                hessian.append(add(cross, add(mul(self.value, other.hessian[k]), mul(other.value, self.hessian[k]))))
                k += 1
        return Jet(ranges.mul(self.value, other.value), gradient, tuple(hessian))

    def __truediv__(self, other: Jet) -> Jet:
        r = other.value
        if r[1] < 0.0:
            return -(self / -other)
        if 0.0 < r[0] == r[1] < inf and all(d == ZERO for d in other.gradient + other.hessian):
            parts = (tuple(over(d, r[0]) for d in ranges_) for ranges_ in (self.gradient, self.hessian))
            return Jet(over(self.value, r[0]), *parts)
        if not r[0] > 0.0:
            raise Narrow(
                "division", "a divisor away from zero", "the divisor's range on a piece of the box touches zero"
            )
        inverse = _inverse(r)
        second = square(inverse)
        third = ranges.scale(ranges.mul(second, inverse), 2.0)
        return self * other.chain(inverse, ranges.neg(second), third)

    def chain(self, value: Range, first: Range, second: Range) -> Jet:
        """f of this jet, given the ranges of f, f' and f'' on this value's range."""
        g = self.gradient
        hessian, k = [], 0
        for i in range(len(g)):
            for j in range(i, len(g)):
                product = square(g[i]) if i == j else mul(g[i], g[j])
                hessian.append(add(mul(second, product), mul(first, self.hessian[k])))
                k += 1
        return Jet(value, tuple(mul(first, p) for p in g), tuple(hessian))


def constant(r: Range, n: int) -> Jet:
    return Jet(r, (ZERO,) * n, (ZERO,) * (n * (n + 1) // 2))


def variable(r: Range, k: int, n: int) -> Jet:
    one = (1.0, 1.0, False, False)
    return Jet(r, tuple(one if i == k else ZERO for i in range(n)), (ZERO,) * (n * (n + 1) // 2))


def bent(hessian: tuple[Range, ...], gradient: tuple[Range, ...], c: Range) -> tuple[Range, ...]:
    """H + c g g' (upper triangle, row by row)."""
    out, k, n = [], 0, len(gradient)
    for i in range(n):
        for j in range(i, n):
            product = square(gradient[i]) if i == j else mul(gradient[i], gradient[j])
            out.append(add(hessian[k], mul(c, product)))
            k += 1
    return tuple(out)


def semidefinite(hessian: tuple[Range, ...], n: int) -> bool:
    """Whether every symmetric matrix in these ranges is positive semidefinite: interval elimination."""
    a: dict[tuple[int, int], Any] = {}
    k = 0
    for i in range(n):
        for j in range(i, n):
            a[i, j] = hessian[k]
            k += 1
    for k in range(n):
        pivot = a[k, k]
        row = [a[k, j] for j in range(k + 1, n)]
        if not pivot[0] >= 0.0:
            return False
        if all(r[0] == r[1] == 0.0 for r in row):
            continue
        if not pivot[0] > 0.0:
            return False
        inverse = _inverse(pivot)
        for i in range(k + 1, n):
            for j in range(i, n):
                product = square(a[k, i]) if i == j else ranges.mul(a[k, i], a[k, j])
                a[i, j] = ranges.add(a[i, j], ranges.neg(ranges.mul(product, inverse)))
    return True


def over(r: Range, c: float) -> Range:
    """All x / c for a finite c > 0; a quotient that is a float stays exact."""
    if frexp(c)[0] == 0.5 and c > 1e-300:
        return ranges.scale(r, 1.0 / c)
    ends = [x / c for x in r[:2]]
    exact = [abs(q) == inf or Fraction(q) * Fraction(c) == Fraction(x) for q, x in zip(ends, r[:2], strict=True)]
    low = ends[0] if exact[0] and ends[0] != inf else nextafter(ends[0], -inf)
    return ranges.make(low, ends[1] if exact[1] and ends[1] != -inf else nextafter(ends[1], inf), r[2], r[3])


def _inverse(r: Range) -> Range:
    """1 / x for x > 0."""
    low = 0.0 if r[1] == inf else nextafter(1.0 / r[1], 0.0)
    return ranges.make(low, nextafter(1.0 / r[0], inf))
