"""Folds: near y = 0 the cubic's Hessian is positive, its gradient almost zero, and there is no minimum."""

from __future__ import annotations

import math

import pytest
import torch

from jensen import Cost, classify

FOLDS = {
    "y^3": lambda y: y**3,
    "y^3 - y^4": lambda y: y**3 - y**4,
    "y^3 + 3 y^4": lambda y: y**3 + 3 * y**4,
    "y - sin y": lambda y: y - y.sin(),
    "sinh y - y": lambda y: y.sinh() - y,
    "y^3 / (1 + y)": lambda y: y**3 / (1 + y),
    "y |y|^1.5": lambda y: y * y.abs() ** 1.5,
}


@pytest.mark.parametrize("limit", [3000, 1])
@pytest.mark.parametrize("name", FOLDS)
def test_a_fold_is_never_a_minimum(name: str, limit: int) -> None:
    for y in (5e-4, 1e-4, 1e-5, 1e-6):
        found = classify(Cost.of(lambda x, y: x * x + FOLDS[name](y), x=0.0, y=y), limit=limit)
        assert found.kind in ("not converged", "not critical", "degenerate"), (y, found.statement)


def test_a_rotated_fold_with_terms_of_higher_order_is_never_a_minimum() -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(12):
        a, b = torch.randn(2, generator=g, dtype=torch.float64).tolist()
        u = torch.rand(2, generator=g, dtype=torch.float64).tolist()
        c, s, h = math.cos(6 * u[0]), math.sin(6 * u[0]), 10 ** (-6 + 2.6 * u[1])

        def fold(x: torch.Tensor, a=a, b=b, c=c, s=s) -> torch.Tensor:
            p, y = c * x[0] + s * x[1], c * x[1] - s * x[0]
            return p**2 + y**3 + a * y**4 + b * y**5

        found = classify(Cost.of(fold, x=torch.tensor([-s * h, c * h], dtype=torch.float64)))
        assert found.kind == "not converged", found.statement


def test_beside_a_saddle_a_fold_counts_as_zero() -> None:
    found = classify(Cost.of(lambda x, y, z: x * x - z * z + y**3 - y**4, x=0.0, y=1e-4, z=0.0))
    assert found.kind == "saddle"
    assert [found.evidence[n] for n in ("negative", "zero", "positive")] == [[1, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize("y", [1e-5, 1e-7])
def test_a_narrow_minimum_beside_a_fold_is_one(y: float) -> None:
    """y^3 - e^2 y has its minimum at e / sqrt(3), where the fold was."""
    e = 1e-3
    found = classify(Cost.of(lambda x, y: x * x + y**3 - e * e * y, x=0.0, y=e / math.sqrt(3) + y))
    assert found.kind == "minimum"


@pytest.mark.parametrize("fourth", [1.0, -1.0])
@pytest.mark.parametrize("bend", [1.0, -1.0])
@pytest.mark.parametrize("far", [1e5, 1e7])
def test_a_newton_step_smaller_than_the_parameters_rounding(far: float, bend: float, fourth: float) -> None:
    """A bent valley along which J is of fourth order, and whose bottom lies between two floats: its slope bends the Hessian."""
    at = torch.tensor([far / 3, far / 7], dtype=torch.float64)
    between = 0.4 * far / 3 * torch.finfo(torch.float64).eps

    def valley(v: torch.Tensor) -> torch.Tensor:
        across, along = v[0] - at[0] - between, v[1] - at[1]
        return 100 * (across + bend * along**2) ** 2 + fourth * along**4

    c = classify(Cost.of(valley, v=at))
    assert c.kind == "not converged" and c.evidence["change"] > 0, (c.reason, c.evidence)


@pytest.mark.parametrize("size", [0.05, 0.001])
def test_a_hessian_that_swings_back_at_the_end_of_the_newton_step(size: float) -> None:
    """It is the same there, the gradient is not gone, and the critical point nearby is a saddle."""

    def swing(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        w = 2 * math.pi / size
        return 1e6 * x**2 - size * y - 1.5 * y**2 - 4 / w**2 * torch.cos(w * y)

    c = classify(Cost.of(swing, x=0.0, y=0.0))
    assert c.kind in ("not converged", "not critical") and c.evidence["change"] > 1, c.statement
