"""Which blocks have a gradient that torch cuts: told in every type, and never from rounding."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen import Cost, hessian
from jensen.trace import trace


class Cut(nn.Module):
    """A layer whose second half passes on a part of its value without its derivative."""

    def __init__(self, part: float) -> None:
        super().__init__()
        self.part = part
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        return self.last(h + self.part * h.detach() if self.part else h)


def cost_of(part: float, dtype: torch.dtype) -> Cost:
    torch.manual_seed(4)
    return Cost(Cut(part), nn.CrossEntropyLoss(), (torch.randn(40, 6), torch.arange(40) % 3), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("part", [1.0, 0.01])
def test_a_cut_is_found(part: float, dtype: torch.dtype) -> None:
    assert trace(cost_of(part, dtype)).detached == ("first.weight", "first.bias")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rounding_is_no_cut(dtype: torch.dtype) -> None:
    assert trace(cost_of(0.0, dtype)).detached == ()
    torch.manual_seed(0)
    deep = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8))], nn.Linear(8, 2))
    data = torch.randn(64, 8), torch.randn(64, 2)
    assert trace(Cost(deep, nn.SmoothL1Loss(), data, dtype=dtype)).detached == ()


def test_a_cut_block_without_a_finite_value_beside_it_is_moved_by_less() -> None:
    """0.1 away the root has no value; that is no fault of the program."""

    def of(w: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(w).sum() + w.detach().sum()

    assert trace(Cost.of(of, w=torch.full((40,), 0.02, dtype=torch.float64))).detached == ("w",)


@pytest.mark.parametrize(
    "fn",
    [
        lambda v: (v - 1).square().sum() - 0.9 * (v[0] > 0.5),
        lambda v: ((v - 1).square() * (2 * (v > 0.5))).sum(),
        lambda v: (v - 1).square().sum() / (0.5 + (v > 0.5).sum()),
    ],
    ids=["times a part", "times two", "plus a part"],
)
def test_numbers_beside_truth_values_stay_what_they_are(fn) -> None:
    cost = Cost.of(fn, v=torch.ones(2))
    assert trace(cost).problem.terms and hessian(cost).value == float(cost())
