"""Facts: indices of convexity and concavity, and the rules that combine them."""

from __future__ import annotations

from fractions import Fraction
from math import inf, log

import numpy as np
import pytest

from jensen.kernel import compose, facts
from jensen.kernel.claims.explain import describe
from jensen.kernel.facts import (
    AFFINE,
    ALL,
    CONCAVE,
    CONSTANT,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    constant,
    fact,
)

POSITIVE = (0.0, inf, True, True)
NUMBERS = (-inf, -3, -1, Fraction(-1, 2), 0, Fraction(1, 3), 1, 2, 5, inf)


def mean(order: float, u: float, v: float, t: float) -> float:
    """The power mean of order ``order`` with weights t and 1 - t."""
    if order == inf:
        return max(u, v)
    if order == -inf:
        return min(u, v)
    if min(u, v) == 0.0 and order <= 0:
        return 0.0
    if order == 0:
        return float(np.exp(t * log(u) + (1 - t) * log(v)))
    return (t * u ** float(order) + (1 - t) * v ** float(order)) ** (1 / float(order))


def samples(seed: int, n: int = 300):
    rng = np.random.default_rng(seed)
    return [(*10 ** rng.uniform(-3, 3, 4), rng.random()) for _ in range(n)]


@pytest.mark.parametrize("a", NUMBERS)
@pytest.mark.parametrize("b", NUMBERS)
def test_products_of_power_means(a, b):
    """M_a(u) M_b(v) <= M_c(u v), and the mirror image for concavity."""
    c = facts.product_index(a, b)
    d = -facts.product_index(-a, -b)
    quasi = facts.product_is_quasiconvex(a, b)
    for u1, u2, v1, v2, t in samples(1):
        product = mean(a, u1, u2, t) * mean(b, v1, v2, t)
        bound = mean(c, u1 * v1, u2 * v2, t)
        if c < inf or quasi:
            assert product <= bound * (1 + 1e-9)
        if d > -inf or facts.product_is_quasiconvex(-a, -b):
            assert product >= mean(d, u1 * v1, u2 * v2, t) * (1 - 1e-9)


@pytest.mark.parametrize("a", [n for n in NUMBERS if n <= 1])
def test_sums_of_power_means(a):
    for u1, u2, v1, v2, t in samples(2):
        assert mean(a, u1, u2, t) + mean(a, v1, v2, t) <= mean(a, u1 + v1, u2 + v2, t) * (1 + 1e-9)


@pytest.mark.parametrize("a", NUMBERS)
@pytest.mark.parametrize("p", [0.5, 2.0, 3.0, -1.0, -0.5])
def test_powers_of_power_means(a, p):
    index = facts.vex_over(a, p)
    for u, v, _, _, t in samples(3, 100):
        assert mean(a, u, v, t) ** p == pytest.approx(mean(index, u**p, v**p, t), rel=1e-7)


def test_what_follows_from_a_fact():
    assert fact(CONVEX, POSITIVE).vex == 1
    assert fact(CONVEX, (-1.0, 1.0, False, False), vex=0).vex == inf
    assert fact(0, POSITIVE, vex=0).bits == CONVEX | QUASICONVEX
    assert fact(0, POSITIVE, cave=-3).bits == QUASICONCAVE
    assert fact(CONSTANT, POSITIVE) == constant(POSITIVE)
    assert constant((-1.0, 1.0, False, False)).bits == ALL


def test_swap_and_negate():
    assert facts.swap(CONVEX | QUASICONCAVE) == CONCAVE | QUASICONVEX
    assert facts.negate(fact(CONVEX, (0.0, 1.0, True, False))).range == (-1.0, 0.0, False, True)
    assert facts.negate(UNDEFINED) is UNDEFINED


@pytest.mark.parametrize(
    "rule",
    [
        lambda f: compose.add(f, constant((1.0, 1.0, False, False))),
        lambda f: compose.multiply(constant((0.0, 0.0, False, False)), f),
        lambda f: compose.maximum(f, constant((1.0, 1.0, False, False))),
        lambda f: compose.minimum(constant((1.0, 1.0, False, False)), f),
        lambda f: compose.total(f, 3),
        lambda f: compose.joint([f], POSITIVE, vex=1, signs=(1,)),
        lambda f: facts.meet(f, f),
        lambda f: facts.negate(f),
    ],
)
def test_undefined_stays_undefined(rule):
    assert rule(UNDEFINED) is UNDEFINED


def test_huge_indices_are_given_up():
    a = Fraction(1)
    for _ in range(3000):
        a = facts.vex_over(a, 3.0)
        if a == inf:
            return
    raise AssertionError("an index grew without bound")


def test_products_with_a_zero_range_end():
    zero = fact(AFFINE, (0.0, 0.0, False, False))
    any_value = fact(AFFINE, (-inf, inf, True, True))
    assert compose.multiply(zero, any_value).range == (0.0, 0.0, False, False)


def test_words():
    assert describe(UNDEFINED) == "possibly undefined"
    assert describe(constant(POSITIVE)) == "constant"
    assert describe(fact(AFFINE, POSITIVE)) == "affine"
    assert describe(fact(0, POSITIVE, vex=0)) == "log-convex"
    assert describe(fact(0, POSITIVE, cave=0)) == "log-concave"
    assert describe(fact(QUASICONVEX | QUASICONCAVE, POSITIVE)) == "quasilinear"
    assert describe(fact(0, POSITIVE)) == "of unknown curvature"
