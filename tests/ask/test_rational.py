"""Rational functions of one variable: exact signs, boundary cases, and random functions against sampled values."""

from __future__ import annotations

from random import Random

import pytest
from flint import fmpq, fmpq_poly

import jensen
from jensen import Cost, Verdict
from jensen.kernel.claims import rational
from jensen.kernel.claims.rational import Quotient

INF = float("inf")


@pytest.mark.parametrize(
    ("roots", "box", "inside", "closed"),
    [
        ([1, 2, 3], (1.0, 3.0), 1, 3), ([1, 1, 2], (0.0, 5.0), 2, 2), ([0, 0, 0], (0.0, INF), 0, 1), ([], (-INF, INF), 0, 0),
        ([-1, 4, 4, 7], (-INF, 4.0), 1, 2), ([5], (0.0, 4.0), 0, 0), ([-2, -1, 0, 1, 2], (-INF, INF), 5, 5),
    ],
)  # fmt: skip
def test_count(roots, box, inside, closed):
    poly = fmpq_poly([3])
    for r in roots:
        poly *= fmpq_poly([-r, 1])
    assert rational.count(poly, box) == inside
    assert rational.count(poly, box, closed=True) == closed


CASES = [
    (lambda x: x**4 - 4 * x**3 + 6 * x**2, "convex", None, True),
    (lambda x: x**4 - 4 * x**3 + 5.999999999 * x**2, "convex", None, False),
    (lambda x: 6 * x**2 - x**4, "convex", (-1.0, 1.0), True),
    (lambda x: 6 * x**2 - x**4, "convex", (-1.0, 1.0000001), False),
    (lambda x: (2 * x + 1) / (x + 3), "concave", (0.0, None), True),
    (lambda x: (2 * x + 1) / (x + 3), "concave", (-4.0, 0.0), False),  # a pole inside
    (lambda x: (x * x - 1) / (x - 1), "convex", (0.0, 2.0), False),  # undefined at 1
    (lambda x: (x * x - 1) / (x + 1), "affine", (0.0, 2.0), True),
    (lambda x: x * x / (1 + x * x), "quasiconvex", None, True),
    (lambda x: x * x / (1 + x * x), "convex", None, False),
    (lambda x: x / (1 + x * x), "quasiconcave", (-1.0, None), True),
    (lambda x: x / (1 + x * x), "quasiconcave", (-1.5, None), False),
    (lambda x: 1 / (1 + x * x), "log-concave", (-1.0, 1.0), True),
    (lambda x: 1 / (1 + x * x), "log-concave", (-1.0, 1.1), False),
    (lambda x: x * x, "log-convex", (0.0, 1.0), False),  # zero at an end
    (lambda x: 1 / (x * (1 - x)), "log-convex", (0.01, 0.99), True),
    (lambda x: 1 / (x * (1 - x)), "convex", (0.0, 0.99), False),  # infinite at an end
    (lambda x: x**-3, "concave", (-2.0, -1.0), True),
]


@pytest.mark.parametrize(("f", "kind", "box", "truth"), CASES)
def test_signs(f, kind, box, truth):
    finding = jensen.check(Cost.of(f, x=0.5), claim=kind, within={"x": box} if box else None, budget=1)
    assert (finding.verdict == Verdict.PROVED) == truth, finding.reason


def _random(rng: Random) -> Quotient:
    poly = [fmpq_poly([rng.randrange(-3, 4) for _ in range(rng.randrange(1, 5))]) for _ in range(2)]
    one = fmpq_poly([1])
    return Quotient(poly[0], one) / Quotient(poly[1] if poly[1] != 0 else one, one)


@pytest.mark.parametrize("kind", ["convex", "concave", "quasiconvex", "quasiconcave", "log-convex", "log-concave"])
def test_random_functions_keep_what_is_shown(kind):
    rng, shown = Random(kind), 0
    for _ in range(250):
        f, lo = _random(rng), rng.randrange(-3, 3)
        box = (float(lo), lo + rng.choice([0.5, 1.0, 4.0]))
        if (
            any(rational.count(fmpq_poly(list(d)), box, closed=True) for d in f.divisors)
            or f.p == 0
            or not rational.shows(f, kind, box)
        ):
            continue
        shown += 1
        for _ in range(20):
            a, b = (fmpq(rng.randrange(0, 65), 64) * fmpq(int(2 * (box[1] - box[0])), 2) + lo for _ in range(2))
            u, m, v = (f.p(x) / f.q(x) for x in (a, (a + b) / 2, b))
            assert not _violates(kind, u, m, v), (f.p, f.q, box, a, b)
    assert shown > 5


def _violates(kind: str, u: fmpq, m: fmpq, v: fmpq) -> bool:
    if kind.startswith("quasi"):
        return m > max(u, v) if kind == "quasiconvex" else m < min(u, v)
    if kind.startswith("log"):
        return min(u, m, v) <= 0 or (m * m > u * v if kind == "log-convex" else m * m < u * v)
    return 2 * m > u + v if kind == "convex" else 2 * m < u + v
