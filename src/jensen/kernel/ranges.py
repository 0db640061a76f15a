"""Ranges of real values as pairs of float end points, rounded outward.

A range is ``(lo, hi, lo_open, hi_open)``; infinite ends are always open. Every operation returns a range that contains
all exact results; an end that is exact stays exact (``1 - 1`` is 0, not -5e-324), so signs are never lost to rounding.
"""

from __future__ import annotations

from fractions import Fraction
from math import frexp, inf, nextafter
from sys import float_info

Range = tuple[float, float, bool, bool]

REALS: Range = (-inf, inf, True, True)
_MAX = float_info.max
_TINY = 2.0**-960


def make(lo: float, hi: float, lo_open: bool = False, hi_open: bool = False) -> Range:
    """A range; infinite ends become open."""
    return (lo, hi, lo_open or lo == -inf, hi_open or hi == inf)


def of_fraction(q: Fraction) -> Range:
    """The smallest convenient range around a fraction."""
    x = float(q)
    return (x, x, False, False) if x == q else (nextafter(x, -inf), nextafter(x, inf), False, False)


def add_down(a: float, b: float) -> float:
    """Largest convenient float that is at most a + b."""
    s = a + b
    if s - s != 0.0:
        return -inf if s != inf or a == -inf or b == -inf else (inf if inf in (a, b) else _MAX)
    t = s - a
    return nextafter(s, -inf) if (a - (s - t)) + (b - t) < 0.0 else s


def add_up(a: float, b: float) -> float:
    """Smallest convenient float that is at least a + b."""
    return -add_down(-a, -b)


def _exact_product(a: float, b: float, p: float) -> bool:
    if a == 0.0 or b == 0.0:
        return True
    if abs(p) < _TINY or abs(p) > _MAX:
        return False
    if abs(frexp(a)[0]) == 0.5 or abs(frexp(b)[0]) == 0.5:
        return True
    return abs(p) < 2.0**53 and a.is_integer() and b.is_integer()


def mul_down(a: float, b: float) -> float:
    """A float that is at most a * b (0 times infinity is 0), of the same sign or zero."""
    if a == 0.0 or b == 0.0:
        return 0.0
    p = a * b
    if a in (inf, -inf) or b in (inf, -inf):
        return p
    if p == inf:
        return _MAX
    if p == -inf or _exact_product(a, b, p):
        return p
    low = nextafter(p, -inf)
    return max(low, 0.0) if (a > 0.0) == (b > 0.0) else low


def mul_up(a: float, b: float) -> float:
    """A float that is at least a * b (0 times infinity is 0), of the same sign or zero."""
    return -mul_down(-a, b)


def add(r: Range, s: Range) -> Range:
    return (add_down(r[0], s[0]), add_up(r[1], s[1]), r[2] or s[2], r[3] or s[3])


def neg(r: Range) -> Range:
    return (-r[1], -r[0], r[3], r[2])


def scale(r: Range, c: float) -> Range:
    """All c * x."""
    if c == 0.0:
        return (0.0, 0.0, False, False)
    if c < 0.0:
        return scale(neg(r), -c)
    return make(mul_down(r[0], c), mul_up(r[1], c), r[2], r[3])


def _ends(r: Range) -> tuple[tuple[float, bool], tuple[float, bool]]:
    return (r[0], r[2]), (r[1], r[3])


def _corner(p: tuple[float, bool], q: tuple[float, bool]) -> tuple[float, float, bool]:
    (a, a_open), (b, b_open) = p, q
    is_open = a_open or b_open
    if (a == 0.0 and not a_open) or (b == 0.0 and not b_open):
        is_open = False
    return mul_down(a, b), mul_up(a, b), is_open


def mul(r: Range, s: Range) -> Range:
    """All x * y for x in r and y in s, chosen independently."""
    if r[0] == r[1]:
        return scale(s, r[0])
    if s[0] == s[1]:
        return scale(r, s[0])
    corners = [_corner(p, q) for p in _ends(r) for q in _ends(s)]
    lo = min(c[0] for c in corners)
    hi = max(c[1] for c in corners)
    lo_open = all(c[2] for c in corners if c[0] == lo)
    hi_open = all(c[2] for c in corners if c[1] == hi)
    if lo == 0.0 == min(r[0], s[0]) and contains_zero(r, s):
        lo_open = False
    if hi == 0.0 and contains_zero(r, s):
        hi_open = False
    return make(lo, hi, lo_open, hi_open)


def contains_zero(*ranges: Range) -> bool:
    """Whether 0 lies in one of the ranges."""
    return any(
        (r[0] < 0.0 or (r[0] == 0.0 and not r[2])) and (r[1] > 0.0 or (r[1] == 0.0 and not r[3])) for r in ranges
    )


def _low(x: float, is_open: bool, y: float, y_open: bool) -> tuple[float, bool]:
    return (x, is_open and y_open) if x == y else ((x, is_open) if x < y else (y, y_open))


def union(r: Range, s: Range) -> Range:
    """The smallest range that contains both."""
    lo, lo_open = _low(r[0], r[2], s[0], s[2])
    hi, hi_open = _low(-r[1], r[3], -s[1], s[3])
    return (lo, -hi, lo_open, hi_open)


def intersect(r: Range, s: Range) -> Range:
    """The part of r that lies in s (both hold of the same value)."""
    lo, lo_open = max((r[0], r[2]), (s[0], s[2]))
    hi, hi_open = max((-r[1], r[3]), (-s[1], s[3]))
    return (lo, -hi, lo_open, hi_open)


def maximum(r: Range, s: Range) -> Range:
    """All max(x, y)."""
    lo, lo_open = max((r[0], r[2]), (s[0], s[2]))
    hi, hi_open = _low(-r[1], r[3], -s[1], s[3])
    return (lo, -hi, lo_open, hi_open)


def within_domain(r: Range, domain: Range) -> bool:
    """Whether every value of r lies in the domain, open ends respected."""
    if r[0] < domain[0] or r[1] > domain[1]:
        return False
    low_ok = r[0] > domain[0] or not domain[2] or r[2]
    return low_ok and (r[1] < domain[1] or not domain[3] or r[3])


def show(r: Range) -> str:
    """As a mathematician writes it: ``(0, 1]``."""
    return f"{'(' if r[2] else '['}{number(r[0])}, {number(r[1])}{')' if r[3] else ']'}"


def number(x: float) -> str:
    """A number in as many digits as tell it from all others."""
    short = f"{x:.6g}"
    return short if float(short) == x else repr(x)
