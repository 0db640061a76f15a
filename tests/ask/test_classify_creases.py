"""Points where kinks meet that J climbs at once: torch's gradient is one of many there, and no word on J."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso
from torch import Tensor, nn

from jensen import Cost, classify
from jensen.ask.curvature.answers import Classification

D = torch.float64


def at_zero(fn: Callable[[Tensor], Tensor], n: int, **options: Any) -> Classification:
    return classify(Cost.of(fn, v=torch.zeros(n, dtype=D)), **options)


KNOWN: list[tuple[str, Callable[[Tensor], Tensor], str, int]] = [
    ("a slope that the kink outweighs", lambda v: v[0].abs() + v[1] ** 2 + 0.2 * v[0], "minimum", 0),
    ("a slope that outweighs the kink", lambda v: v[0].abs() + v[1] ** 2 + 1.2 * v[0], "not critical", 0),
    ("a slope along the kink", lambda v: v[0].abs() + v[1] + 0.2 * v[0], "not critical", 0),
    (
        "a slope on both sides",
        lambda v: nn.functional.leaky_relu(v[0], 1e-9) + v[1] ** 2 + v[0],
        "not critical",
        0,
    ),
    ("neither", lambda v: v[0].abs() + v[1] ** 2 + v[0], "degenerate", 0),
    ("nothing along the kink", lambda v: v[0].abs() + v[1] ** 4 + 0.2 * v[0], "degenerate", 0),
    ("downwards", lambda v: -v.abs().sum() + 0.3 * v.sum(), "maximum", 2),
    ("up and down", lambda v: v[0].abs() - v[1].abs() + 0.2 * v[0] - 0.5 * v[1], "saddle", 1),
    ("down along it", lambda v: v[0].abs() - v[1] ** 2 + 0.2 * v[0], "saddle", 1),
    ("two of one kink", lambda v: torch.relu(v[0]) + 0.5 * torch.relu(-v[0]) + v[1] ** 2 + 0.1 * v[0], "minimum", 0),
    ("one behind another", lambda v: (v[0].abs() - v[1]).abs() + 0.1 * v[1] + v[0] ** 2, "degenerate", 0),
    ("a bent one", lambda v: (v[0] - v[1] ** 2).abs() + 0.3 * v[0] - 0.4 * v[1] ** 2, "degenerate", 0),
    ("more than directions", lambda v: v.abs().sum() + v.sum().abs() + 0.1 * v[0], "degenerate", 0),
    ("another close by", lambda v: v[0].abs() + 5 * (v[0] - 1e-8).abs() + 5 * v[0] + v[1] ** 2, "degenerate", 0),
    (
        "a bend that little curvature notices",
        lambda v: (v[0] - 1e-3 * v[1] ** 2).abs() + v[0] / 3 + 2e-4 * v[1] ** 2,
        "degenerate",
        0,
    ),
    ("one side of torch's gradient", lambda v: 2 * torch.relu(v[0]) - v[0] + v[1] ** 2, "minimum", 0),
    ("a maximum of two", lambda v: torch.maximum(-v[0], 2 * v[0]) + v[1] ** 2, "minimum", 0),
    ("down whichever way, and torch's gradient", lambda v: -2 * v[0].abs() + v[0] - v[1] ** 2, "maximum", 2),
    (
        "the middle of four",
        lambda v: (v[0] + 2 - torch.tensor([1.0, 2, 3, 7])).abs().sum() + v[1] ** 2,
        "degenerate",
        0,
    ),
    ("up whichever way, by a jump", lambda v: torch.where(v[0] >= 0, v[0], 1 - v[0]) + v[1] ** 2, "degenerate", 0),
    (
        "a wedge that a comparison cuts out",
        lambda v: v[0].abs() + 0.2 * v[0] + v[1] ** 2 - (v[1] > 30 * v[0].abs()).double(),
        "degenerate",
        0,
    ),
    (
        "a share so small that the gradient passes for none",
        lambda v: 1e-8 * v[0].abs() + 2e-9 * v[0] + v[1] ** 2,
        "degenerate",
        0,
    ),
    (
        "a fall behind a narrow rise",
        lambda v: v[0].abs() - 1.5 * torch.relu(-v[0] - 1e-7) + 0.2 * v[0] + v[1] ** 2,
        "degenerate",
        0,
    ),
    ("a jump", lambda v: (v[0] > 0).double() - v[0].abs() + v[1] ** 2, "degenerate", 0),
]


@pytest.mark.parametrize(("fn", "kind", "index"), [c[1:] for c in KNOWN], ids=[c[0] for c in KNOWN])
def test_known_points(fn: Callable[[Tensor], Tensor], kind: str, index: int) -> None:
    for scale in (1.0, 1e-20, 1e20):
        c = at_zero(lambda v, scale=scale: scale * fn(v), 2)
        assert c.kind == kind and (kind == "degenerate" or c.index == index), (scale, c.reason)
        assert c.statement.startswith("A ") or kind == "not critical"


def test_what_is_not_settled_is_not_called_critical() -> None:
    c = at_zero(lambda v: v.abs().sum() + v.sum().abs() + 0.1 * v[0], 2)
    assert "not settled" in c.statement and "3 of abs" in c.reason and c.settle


@pytest.mark.parametrize("limit", [3000, 1])
@pytest.mark.parametrize("more", [0, 1])
def test_what_rounding_hides_is_no_word_on_the_gradient(more: int, limit: int) -> None:
    """J is so large that its values show nothing of the minimum, which a gradient of one side denies."""

    def fn(v: Tensor) -> Tensor:
        others = v.sum().abs() + (v[0] + 2 * v[1]).abs()
        return 1e10 + v[0].abs() + more * others + 0.3 * v[0] + 1e4 * v[1] ** 2

    c = at_zero(fn, 2, limit=limit)
    assert c.kind == ("degenerate" if more else "minimum"), c.reason


@pytest.mark.parametrize("far", [0.0, 1e5])
def test_a_kink_that_turns_is_followed_near_by_too(far: float) -> None:
    """J falls along v1 with v0 on the kink, though its Hessian there is positive; another parameter is large."""

    def fn(v: Tensor) -> Tensor:
        turned = v[0] - (1 - v[1].cos())
        return (turned.abs() - 0.8 * v[0]) / 2 + 0.15 * v[1] ** 2 + (v[2] - far) ** 2 / 2

    c = classify(Cost.of(fn, v=torch.tensor([0.0, 0.0, far], dtype=D)))
    assert c.kind == "degenerate", c.reason


def test_figures_are_of_what_lies_along_the_kinks() -> None:
    c = at_zero(lambda v: 2 * v[0].abs() - 3 * v[1].abs() + 1.5 * v[0] + 5 * v[2] ** 2 - 7 * v[3] ** 2, 4)
    assert (c.kind, c.index, c.zero_modes, c.gradient_norm) == ("saddle", 2, 0, 0.0)
    assert c.evidence["negative"] == [1, 1] and c.evidence["positive"] == [1, 1]
    assert c.evidence["lowest"]["value"] == pytest.approx(-14) and c.evidence["highest"]["value"] == pytest.approx(10)
    assert c.evidence["crease"] == {"rises": 1, "falls": 1, "slope": pytest.approx(0.5)}
    assert "rises in 1 direction and falls in 1 direction" in c.statement


def drawn(rng: np.random.Generator) -> tuple[Cost, str, int]:
    """A quadratic with independent kinks at zero, and what zero is."""
    n = int(rng.integers(1, 6))
    m = int(rng.integers(1, n + 1))
    across = np.eye(n)[:, rng.permutation(n)[:m]] if rng.random() < 0.5 else rng.standard_normal((n, m))
    heights = (0.1 + np.abs(rng.standard_normal(m))) * (rng.choice([-1, 1], m) if rng.random() < 0.3 else 1)
    shares = rng.uniform(-0.95, 0.95, m)
    if rng.random() < 0.2:
        shares[0] = 1.5
    root = rng.standard_normal((n, n))
    curved = root @ root.T + 0.1 * np.eye(n) - (n if rng.random() < 0.3 else 0) * np.eye(n)
    a, c, g, h = (torch.tensor(t) for t in (across, heights, -across @ (heights * shares), curved))
    split = float(rng.choice([0.0, 1.0]))  # how much of the kink's rise lies on one side

    def fn(v: Tensor) -> Tensor:
        u = v @ a
        return v @ (h @ v) / 2 + g @ v + c @ ((1 - split) * u.abs() + split * (2 * torch.relu(u) - u))

    along = np.linalg.svd(across.T)[2][m:].T
    values = np.linalg.eigvalsh(along.T @ curved @ along) if m < n else np.zeros(0)
    up, down = (int((s * heights > 0).sum() + (s * values > 0).sum()) for s in (1, -1))
    kind = "minimum" if not down else "maximum" if not up else "saddle"
    kind = "not critical" if (np.abs(shares) > 1).any() else kind
    return Cost.of(fn, v=torch.zeros(n, dtype=D)), kind, down


@pytest.mark.parametrize("seed", range(12))
def test_drawn_kinks(seed: int) -> None:
    cost, kind, index = drawn(np.random.default_rng(seed))
    c = classify(cost)
    assert c.kind == kind and (kind == "not critical" or c.index == index), c.reason


@pytest.mark.parametrize("limit", [3000, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_lasso(dtype: torch.dtype, limit: int) -> None:
    """The optimum that coordinate descent finds has weights that are exactly zero; beside it there is none."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x / x.std(0), (y - y.mean()) / y.std()
    alpha = 0.1
    found = Lasso(alpha=alpha, tol=1e-15, max_iter=100_000).fit(x, y)
    model = nn.Linear(10, 1).to(dtype)
    model.weight.data, model.bias.data = torch.tensor(found.coef_, dtype=dtype)[None], torch.zeros(1, dtype=dtype)
    rows = torch.tensor(x, dtype=dtype), torch.tensor(y, dtype=dtype)[:, None]
    pieces = [(rows[0][a:b], rows[1][a:b]) for a, b in ((0, 200), (200, 442))]
    cost = Cost(model, nn.MSELoss(), pieces, penalty=lambda p: 2 * alpha * p["weight"].abs().sum(), dtype=dtype)
    c, zeros = classify(cost, limit=limit), int((found.coef_ == 0).sum())
    assert c.kind == "minimum" and c.evidence["crease"]["rises"] == zeros >= 5, c.reason
    beside = classify(cost, {"weight": 1.01 * cost.theta["weight"]}, limit=limit)
    assert beside.kind == "not critical", beside.reason


@pytest.mark.parametrize(("above", "kind"), [((0, 1, -1, -1, 0), "minimum"), ((0, 0, 1, 1, 1), "not critical")])
def test_least_absolute_errors(above: tuple[int, ...], kind: str) -> None:
    """The best line goes through as many points as it has parameters: no direction is left along the kinks.

    It is the best one where weights of at most one, for these points, balance those beneath and above it (by hand: 0.2 and
    0.8 in the first case).
    """
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0], [5.0]], dtype=D)
    line = nn.Linear(1, 1).double()
    line.weight.data[:], line.bias.data[:] = 1.0, 0.0
    c = classify(Cost(line, nn.L1Loss(), (x, x - torch.tensor(above, dtype=D)[:, None])))
    assert c.kind == kind and (kind != "minimum" or c.evidence["crease"]["rises"] == 2), c.reason


def test_a_narrow_basin_in_a_saddle_is_no_saddle() -> None:
    """J falls from 4e-7 on, across a kink that it climbs at first: too little beside the Hessian to be settled."""
    a, curved = torch.tensor([0.523, -0.794]), torch.tensor([[126.0, 485.0], [485.0, -57.0]])

    def fn(v: Tensor) -> Tensor:
        u = a.to(v.dtype) @ v
        return 4.25e-4 * (u.abs() - 0.775 * u) + v @ (curved.to(v.dtype) @ v) / 2

    along = torch.tensor([0.794, 0.523])
    assert along @ curved @ along > 0
    c = at_zero(fn, 2)
    assert c.kind == "degenerate" and "kink" in c.reason
