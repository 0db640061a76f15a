"""Ranges contain every exact result: against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nextafter
from sys import float_info

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jensen.kernel import ranges

MAX = float_info.max
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, MAX, -MAX, 1.0, -1.0, 2.0**53, 2.0**-1022, 1e-160, 1e160, 0.1]),
)


@st.composite
def spans(draw):
    a, b = sorted((draw(FLOATS), draw(FLOATS)))
    lo, hi = (-inf if draw(st.booleans()) and draw(st.booleans()) else a), (inf if draw(st.integers(0, 3)) == 0 else b)
    return ranges.make(lo, hi, a < b and draw(st.booleans()), a < b and draw(st.booleans()))


def inner(r, weight: Fraction):
    """A rational in the range."""
    lo = Fraction(r[0]) if r[0] > -inf else Fraction(min(r[1], 0.0)) - 10**40
    hi = Fraction(r[1]) if r[1] < inf else Fraction(max(r[0], 0.0)) + 10**40
    at_end = weight in (0, 1) and ((weight == 0 and r[2]) or (weight == 1 and r[3]))
    w = Fraction(1, 10**30) if at_end and weight == 0 else 1 - Fraction(1, 10**30) if at_end else weight
    return lo + w * (hi - lo)


def holds(r, x: Fraction) -> bool:
    above = r[0] == -inf or x > Fraction(r[0]) or (x == Fraction(r[0]) and not r[2])
    return above and (r[1] == inf or x < Fraction(r[1]) or (x == Fraction(r[1]) and not r[3]))


WEIGHTS = st.sampled_from([Fraction(0), Fraction(1), Fraction(1, 2), Fraction(1, 3), Fraction(1, 10**20)])


@given(FLOATS, FLOATS)
@settings(max_examples=600, deadline=None)
def test_sums_and_products_are_rounded_outward(a, b):
    exact = Fraction(a) + Fraction(b)
    low, high = ranges.add_down(a, b), ranges.add_up(a, b)
    assert low == -inf or low <= exact
    assert high == inf or high >= exact
    exact = Fraction(a) * Fraction(b)
    low, high = ranges.mul_down(a, b), ranges.mul_up(a, b)
    assert low == -inf or low <= exact
    assert high == inf or high >= exact
    assert not (low < 0 < exact or high > 0 > exact)


@given(spans(), spans(), WEIGHTS, WEIGHTS)
@settings(max_examples=1000, deadline=None)
def test_operations_contain_all_results(r, s, v, w):
    x, y = inner(r, v), inner(s, w)
    assert holds(ranges.add(r, s), x + y)
    assert holds(ranges.mul(r, s), x * y)
    assert holds(ranges.neg(r), -x)
    assert holds(ranges.union(r, s), x)
    assert holds(ranges.union(r, s), y)
    assert holds(ranges.maximum(r, s), max(x, y))
    if holds(s, x):
        assert holds(ranges.intersect(r, s), x)


@given(spans(), FLOATS, WEIGHTS)
@settings(max_examples=500, deadline=None)
def test_scale(r, c, w):
    assert holds(ranges.scale(r, c), inner(r, w) * Fraction(c))


def test_exact_ends_stay_exact():
    assert ranges.add((1.0, 2.0, False, True), (-1.0, 0.5, False, False)) == (0.0, 2.5, False, True)
    assert ranges.mul_down(3.0, 7.0) == ranges.mul_up(3.0, 7.0) == 21.0
    assert ranges.mul_down(0.1, 0.5) == 0.05
    assert ranges.mul_down(0.1, 0.1) < Fraction(0.1) ** 2 < ranges.mul_up(0.1, 0.1)


def test_signs_are_never_lost():
    tiny = 5e-324
    assert ranges.mul((tiny, 1.0, False, False), (tiny, 1.0, False, False))[0] >= 0.0
    assert ranges.add_down(tiny, -tiny) == 0.0
    assert ranges.mul((0.0, inf, True, True), (0.0, 1.0, True, False)) == (0.0, inf, True, True)


@pytest.mark.parametrize(
    ("r", "domain", "inside"),
    [
        ((0.0, 1.0, True, False), (0.0, inf, True, True), True),
        ((0.0, 1.0, False, False), (0.0, inf, True, True), False),
        ((nextafter(0.0, -1.0), 1.0, True, False), (0.0, inf, True, True), False),
        ((-inf, inf, True, True), (-inf, inf, True, True), True),
        ((-1.0, 1.0, False, False), (-1.0, 1.0, False, False), True),
        ((-1.0, 1.0, False, False), (-1.0, 1.0, True, True), False),
        ((-1.0, 1.0, True, True), (-1.0, 1.0, True, True), True),
    ],
)
def test_domains(r, domain, inside):
    assert ranges.within_domain(r, domain) is inside


def test_show():
    assert ranges.show((0.0, 1.0, True, False)) == "(0, 1]"
