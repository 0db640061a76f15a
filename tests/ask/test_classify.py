"""Known points: minima, saddles of known index, maxima, degenerate ones, kinks; and no minimum from a few Ritz values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import jensen
from jensen import Cost, classify
from small_networks import full_hessian, network

D = torch.float64

POINTS: list[tuple[str, Callable[..., Tensor], dict[str, float], str, int, int]] = [
    ("bowl", lambda x, y: x * x + y * y, {"x": 0, "y": 0}, "minimum", 0, 0),
    ("beside the bowl's centre", lambda x, y: x * x + y * y, {"x": 1, "y": 0}, "not critical", 0, 0),
    ("near the bowl's centre", lambda x, y: x * x + y * y, {"x": 1e-9, "y": 0}, "minimum", 0, 0),
    ("narrow bowl", lambda x, y: x * x + 1e-9 * y * y, {"x": 0, "y": 0}, "minimum", 0, 0),
    ("barely a saddle", lambda x, y: x * x - 1e-9 * y * y, {"x": 0, "y": 0}, "saddle", 1, 0),
    ("product", lambda x, y: x * y, {"x": 0, "y": 0}, "saddle", 1, 0),
    ("three down", lambda x, y, z, u: x * x - y * y - z * z - u * u, dict.fromkeys("xyzu", 0), "saddle", 3, 0),
    ("dome", lambda x, y: -x * x - 3 * y * y, {"x": 0, "y": 0}, "maximum", 2, 0),
    ("valley", lambda x, y: x * x + 0 * y, {"x": 0, "y": 0}, "degenerate", 0, 1),
    ("quartic", lambda x: x**4, {"x": 0}, "degenerate", 0, 1),
    ("quartic from near", lambda x: x**4, {"x": 1e-7}, "not converged", 0, 1),
    ("monkey saddle", lambda x, y: x**3 - 3 * x * y * y, {"x": 0, "y": 0}, "degenerate", 0, 2),
    ("constant", lambda x: 0 * x + 3, {"x": 1}, "degenerate", 0, 1),
    ("linear", lambda x: 2 * x, {"x": 1}, "not critical", 0, 1),
    ("slope along a valley", lambda x, y: x * x + 1e-8 * y, {"x": 0, "y": 0}, "not critical", 0, 1),
    ("ridge and valley", lambda x, y, z: x * x - y * y + 0 * z, dict.fromkeys("xyz", 0), "saddle", 1, 1),
    ("high above zero", lambda x, y: 1e6 + x * x + y * y, {"x": 0, "y": 0}, "minimum", 0, 0),
    ("kink of slope", lambda x: x.abs(), {"x": 0}, "minimum", 0, 0),
    ("hidden maximum", lambda x: x * x - x.abs(), {"x": 0}, "maximum", 1, 0),
    (
        "kink of curvature",
        lambda x, y: x * x + y * y - 3 * torch.relu(x) * torch.relu(y),
        {"x": 0, "y": 0},
        "degenerate",
        0,
        0,
    ),
]

POINTS += [  # kinks beside which the Hessian's curvature is larger, but not where it matters
    ("small kink", lambda x, y: x * x + 1e-3 * y * y - 0.05 * torch.relu(y) ** 2, {"x": 0, "y": 0}, "degenerate", 0, 0),
    (
        "tiny kink",
        lambda x, y: 9 + x * x + 1e-5 * y * y - 5e-4 * torch.relu(y) ** 2,
        {"x": 0, "y": 0},
        "degenerate",
        0,
        0,
    ),
    ("no kink here", lambda x, y: x * x + y * y - 5 * torch.relu(y - 1e-5) ** 2, {"x": 0, "y": 0}, "minimum", 0, 0),
    ("sharp but smooth", lambda x: x * x - 9e-4 * torch.log(torch.cosh(1e2 * x)) / 10, {"x": 0}, "minimum", 0, 0),
]


POINTS += [  # beside tails of J
    ("far down a tail", lambda x, y: torch.exp(-x) + torch.exp(-y), {"x": 30, "y": 31}, "at infinity", 0, 0),
    ("a slow tail", lambda x: 1 / (1 + x * x), {"x": 100}, "at infinity", 0, 0),
    (
        "a tail that leads to a minimum",
        lambda x: torch.exp(-x) + 1e-9 * (x - 100) ** 2,
        {"x": 15},
        "not critical",
        0,
        0,
    ),
    ("no end to the fall", lambda x: -torch.log(x), {"x": 100}, "not critical", 0, 0),
    ("only on its way down", lambda x: torch.exp(-x), {"x": 2}, "not critical", 0, 0),
]


@pytest.mark.parametrize(("fn", "at", "kind", "index", "zero"), [p[1:] for p in POINTS], ids=[p[0] for p in POINTS])
def test_known_points(fn: Any, at: dict, kind: str, index: int, zero: int) -> None:
    c = classify(Cost.of(fn, **{n: float(v) for n, v in at.items()}))
    assert (c.kind, c.index, c.zero_modes) == (kind, index, zero), c.reason
    assert c.evidence["exact"] and c.statement and c.reason


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize("i", [0, 1, 4, 8, 11])
def test_a_positive_factor_changes_no_kind(i: int, scale: float) -> None:
    _, fn, at, kind, index, zero = POINTS[i]
    c = classify(Cost.of(lambda **t: scale * fn(**t), **{n: float(v) for n, v in at.items()}))
    assert (c.kind, c.index, c.zero_modes) == (kind, index, zero), c.reason


def factors(first: int, rank: int = 2) -> Cost:
    """|| A B - Y ||^2 where A B holds ``rank`` singular pairs of Y from ``first`` on: every critical point is of this form."""
    u, s, v = torch.linalg.svd(torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=D))
    y = u[:, :4] @ torch.diag(s) @ v
    part = slice(first, first + rank)
    a, b = u[:, :4][:, part] * s[part].sqrt(), (v[part].T * s[part].sqrt()).T
    return Cost.of(lambda a, b: ((a @ b - y) ** 2).sum(), a=a, b=b)


def test_a_network_that_separates_its_data_is_at_infinity() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 5, dtype=D)
    model = torch.nn.Linear(5, 2).to(D)
    with torch.no_grad():
        model.weight.zero_()
        model.weight[0, 0], model.bias[:] = 300.0, 0.0
    cost = Cost(model, torch.nn.CrossEntropyLoss(), (x, (x[:, 0] < 0).long()))
    c = classify(cost, symmetries=6)
    assert c.kind == "at infinity" and c.evidence["ahead"][-1] < c.evidence["ahead"][0]
    assert classify(Cost(model, torch.nn.CrossEntropyLoss(), (x, (x[:, 1] < 0).long()))).kind == "not critical"


def test_zero_modes_of_a_symmetry_are_counted_apart() -> None:
    best = classify(factors(0), symmetries=4)  # GL(2) moves along A G, G^-1 B: four zero modes
    assert (best.kind, best.index, best.zero_modes) == ("minimum", 0, 4)
    assert "symmetr" in best.statement
    unexplained = classify(factors(0))
    assert (unexplained.kind, unexplained.zero_modes) == ("degenerate", 4)
    assert "symmetries" in unexplained.settle and "convex" in unexplained.settle


def test_a_saddle_of_a_factorisation() -> None:
    c = classify(factors(1), symmetries=4)
    assert (c.kind, c.index, c.zero_modes) == ("saddle", 2, 4)  # each pair can turn towards the missing one


def test_newton_leads_to_the_point_that_is_classified() -> None:
    """At a distance the Hessian's change blurs a small eigenvalue; at the critical point itself it is counted."""
    c = classify(Cost.of(lambda x, y: x * x + 1e-5 * y * y + y**4 + x * y * y, x=1e-7, y=1e-3), gradient=1e-4)
    assert c.kind == "minimum" and c.evidence["distance"] == pytest.approx(1e-3, rel=0.1)
    assert "Newton" in c.statement


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("fn", "limit", "kind"),
    [
        (lambda x, y, z: x * x + y * y - z**4, 3000, "degenerate"),  # the point is its own orbit
        (lambda x, y, z: x * x + y * y - z**4, 1, "degenerate"),
        (lambda x, y, z: x * x + y * y + z**3, 3000, "degenerate"),
        (lambda x, y, z: x * x + y * y + z**4, 3000, "strict"),
    ],
)
def test_zero_modes_that_no_symmetry_explains(fn: Any, limit: int, kind: str, sign: float) -> None:
    c = classify(Cost.of(lambda **t: sign * fn(**t), x=0.0, y=0.0, z=0.0), symmetries=1, limit=limit)
    want = {"strict": "minimum" if sign > 0 else "maximum"}.get(kind, kind)
    assert c.kind == want and (c.evidence["fall"] > 0) == (kind == "degenerate"), c.reason


class Held:
    """A rotation about the z axis, which holds the points on it."""

    dimension = 1

    def stabiliser(self, theta: dict[str, Tensor]) -> Any:
        return Group(1 if theta["x"] == theta["y"] == 0 else 0)


def test_the_orbit_is_smaller_where_the_group_holds_the_point() -> None:
    held = classify(Cost.of(lambda x, y, z: x * x + y * y + z**4, x=0.0, y=0.0, z=0.0), symmetries=Held())
    moved = classify(Cost.of(lambda x, y, z: (x * x + y * y - 1) ** 2 + z * z, x=0.6, y=0.8, z=0.0), symmetries=Held())
    assert (held.kind, held.zero_modes) == ("degenerate", 1) and (moved.kind, moved.zero_modes) == ("minimum", 1)


class Group:
    def __init__(self, dimension: int):
        self.dimension = dimension


def test_symmetries_as_an_object() -> None:
    assert classify(factors(0), symmetries=Group(4)).kind == "minimum"


@pytest.mark.parametrize("name", ["mlp", "relu", "gated"])
def test_inertia_against_the_full_hessian(name: str) -> None:
    """Not critical after some steps of Adam, but the counts are exact outside the band."""
    c = classify(network(name))
    values = torch.linalg.eigvalsh(full_hessian(name)).numpy()
    band = c.evidence["band"]
    assert c.kind == "not critical"
    assert c.evidence["exact"] and c.index == (values < -band).sum() and c.zero_modes == (np.abs(values) <= band).sum()
    assert c.evidence["positive"] == [(values > band).sum()] * 2
    assert c.gradient_norm > c.evidence["gradient_allowed"]


def test_beyond_the_limit_counts_have_bounds() -> None:
    c = classify(network("mlp"), limit=10)
    values = torch.linalg.eigvalsh(full_hessian("mlp")).numpy()
    band = c.evidence["band"]
    truth = {
        "negative": (values < -band).sum(),
        "zero": (np.abs(values) <= band).sum(),
        "positive": (values > band).sum(),
    }
    for name, count in truth.items():
        low, high = c.evidence[name]
        assert low <= count <= high
    assert c.index == c.evidence["negative"][0] >= 1 and not c.evidence["exact"]


def test_beyond_the_limit_a_saddle_has_an_interval_for_its_index() -> None:
    weights = torch.cat([torch.linspace(0.5, 3, 200, dtype=D), torch.linspace(-1, -0.5, 60, dtype=D)])
    c = classify(Cost.of(lambda x: (weights * x * x).sum(), x=torch.zeros(260)), limit=10)
    low, high = c.evidence["index_95"]
    assert c.kind == "saddle" and 1 <= c.index <= 60 and low <= 60 <= high and "at least" in c.statement


def test_beyond_the_limit_a_minimum_names_its_probability() -> None:
    c = classify(Cost.of(lambda x: (torch.linspace(1, 3, 60, dtype=D) * x * x).sum(), x=torch.zeros(60)), limit=10)
    assert c.kind == "minimum" and c.evidence["failure"] == 1e-3
    assert "0.001" in c.statement and "0.001" in c.reason and "limit=60" in c.settle


def test_beyond_the_limit_what_is_not_settled_is_said() -> None:
    """Far more small eigenvalues than Ritz values: neither strict nor shown to be flat."""
    weights = torch.cat([torch.linspace(1, 3, 60, dtype=D), torch.logspace(-5, 0, 200, dtype=D)])
    c = classify(Cost.of(lambda x: (weights * x * x).sum(), x=torch.zeros(260)), limit=10)
    assert c.kind in ("degenerate", "not converged") and c.kind != "minimum"
    assert c.settle


def test_a_missed_negative_eigenvalue_never_gives_a_minimum() -> None:
    """One negative eigenvalue among 400: found whatever the seed."""
    weights = torch.cat([torch.linspace(0.5, 3, 399, dtype=D), torch.tensor([-0.05], dtype=D)])
    cost = Cost.of(lambda x: (weights * x * x).sum(), x=torch.zeros(400))
    for seed in range(6):
        c = classify(cost, limit=10, seed=seed, probes=0)
        assert (c.kind, c.index) == ("saddle", 1)


def test_answers_are_plain_data() -> None:
    plain = json.loads(json.dumps(classify(factors(0), symmetries=4).to_dict()))
    for name in ("kind", "index", "gradient_norm", "zero_modes", "evidence"):
        assert name in plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 2.0}, "between 0 and 1"),
        ({"symmetries": -1}, "number of zero modes"),
        ({"symmetries": "GL"}, "number"),
        ({"limit": -1}, "limit=-1 must be"),
        ({"probes": -3}, "probes=-3 must be"),
        ({"probes": 1.5}, "random vectors"),
    ],
)
def test_misuse(options: dict, message: str) -> None:
    with pytest.raises(jensen.Misuse, match=message):
        classify(factors(0), **options)


def test_misuse_of_the_first_argument() -> None:
    with pytest.raises(jensen.Misuse, match=r"not a jensen\.Cost"):
        classify(torch.zeros(3))  # pyright: ignore[reportArgumentType]
