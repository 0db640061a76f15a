"""Balls around zero and arrays without axes, on which flint or numpy alone give up."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb

from jensen.atoms import arrays, registry
from jensen.atoms.powers import power_row
from jensen.kernel import balls


@pytest.mark.parametrize("p", [3.0, 4.0, 5.0, 8.0])
@pytest.mark.parametrize("x", [arb(0, 1e-30), arb(0, 2), arb(0.5, 1), arb(0)])
def test_whole_powers_of_balls_around_zero(p, x):
    y = power_row(p).ball(x)
    assert y.is_finite()
    for v in (x.lower(), x.upper(), x.mid()):
        assert y.contains(v ** int(p))


def test_what_is_not_a_number_stays_so():
    assert not power_row(3.0).ball(arb.nan()).is_finite()
    assert not power_row(-2.0).ball(arb(0, 1)).is_finite()


@pytest.mark.parametrize("p", [1.5, 2, 3, 0.5])
def test_norms_of_balls(p):
    norm = registry().get("aten.linalg_vector_norm.default").balls
    near = norm(np.array([arb(0, 1e-30), arb(0, 1e-30)], dtype=object), p).item()
    assert near.is_finite()
    assert near.contains(0)
    assert not norm(np.array([arb.nan(), arb(1)], dtype=object), p).item().is_finite()


def test_the_norm_of_a_pair_around_zero():
    y = registry().get("aten.hypot.default").balls(*[np.array(arb(0, 1e-30), dtype=object)] * 2).item()
    assert y.contains(0)
    assert y < 1e-29


def test_reductions_of_a_scalar():
    x = balls.from_array(np.array(2.0))
    assert arrays.total(x, (0,)).item() == 2
    assert arrays.reduce_pairs(lambda a, b: a.max(b), x, (0,), True).item() == 2
