"""Derivative rules: difference quotients at high precision inside the claimed ranges, on random ranges."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from flint import arb

from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims import jets
from jensen.kernel.errors import Rejected

ATTRIBUTES = {
    "aten.pow.Tensor_Scalar": [(2.0,), (3.0,), (0.5,), (-1.0,), (1.5,), (-0.5,)],
    "aten.leaky_relu.default": [(0.1,), (2.0,)],
}
OPS = [(op, a) for op in sorted(registry().slopes) for a in ATTRIBUTES.get(op, [()])]


def _ball(op: str, attributes: tuple):
    if op == "aten.tan.default":
        return lambda x: x.tan()
    if op in ("aten.sin.default", "aten.cos.default"):
        return (lambda x: x.sin()) if "sin" in op else (lambda x: x.cos())
    return lambda x: registry().get(op).balls(balls.as_objects(x, ()), *attributes).item()


def _inside(v: arb, r, slack: float) -> bool:
    return bool(v >= arb(r[0]) - slack * (1 + abs(v))) and bool(v <= arb(r[1]) + slack * (1 + abs(v)))


@pytest.mark.parametrize(("op", "attributes"), OPS, ids=lambda v: str(v))
def test_quotients_lie_in_the_ranges(op, attributes):
    rng, f, checked = Random(f"{op} {attributes}"), _ball(op, attributes), 0
    for _ in range(60):
        lo = rng.choice([0.0, 1.0, -1.0, rng.uniform(-3, 3), rng.uniform(0, 1), rng.uniform(1, 4)])
        hi = lo + rng.choice([1e-3, 0.1, 1.0, rng.uniform(0, 5)])
        try:
            value, first, second = registry().slopes[op]((lo, hi, False, False), *attributes)
        except Rejected:
            continue
        with balls.precision(400):
            h = arb(2) ** -60
            for x in (rng.uniform(lo, hi), rng.uniform(lo, hi), lo + 1e-9 * (hi - lo), hi - 1e-9 * (hi - lo)):
                a, m, b = f(arb(x) - h), f(arb(x)), f(arb(x) + h)
                if not (lo < x < hi and a.is_finite() and m.is_finite() and b.is_finite()):
                    continue
                checked += 1
                assert _inside(m, value, 1e-15), (lo, hi, x, m, value)
                assert _inside((b - a) / (2 * h), first, 1e-12), (lo, hi, x, first)
                assert _inside((a + b - 2 * m) / h**2, second, 1e-9), (lo, hi, x, second)
    assert checked >= 8


def test_unbounded_ranges():
    for op, attributes in OPS:
        for r in (
            (-float("inf"), float("inf"), True, True),
            (5.0, float("inf"), False, True),
            (-float("inf"), -5.0, True, False),
        ):
            try:
                three = registry().slopes[op](r, *attributes)
            except Rejected:
                continue
            with balls.precision(200):
                f, x = _ball(op, attributes), arb(50 if r[1] > 0 else -50)
                h = arb(2) ** -40
                a, m, b = f(x - h), f(x), f(x + h)
                for v, claimed in zip((m, (b - a) / (2 * h), (a + b - 2 * m) / h**2), three, strict=True):
                    assert not v.is_finite() or _inside(v, claimed, 1e-9), (op, r, v, claimed)


def test_division_by_a_constant_keeps_exact_quotients():
    assert jets.over((6.0, 9.0, False, False), 3.0)[:2] == (2.0, 3.0)
    assert jets.over((1.0, 1.0, False, False), 2.0)[:2] == (0.5, 0.5)
    lo, hi, *_ = jets.over((1.0, 1.0, False, False), 3.0)
    assert Fraction(lo) * 3 < 1 < Fraction(hi) * 3
    assert jets.over((-1e308, 1e308, False, False), 1e-10)[:2] == (-float("inf"), float("inf"))
