"""Constants that torch computes exactly are folded; those it rounds are left to the kernel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jensen
from jensen import Verdict
from jensen.trace import trace


class Positions(nn.Module):
    """Positions counted from a float mask, as several language models do."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step = step
        self.table = nn.Embedding(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.full(x.shape, self.step)
        return x.unsqueeze(-1) * self.table((mask.cumsum(1) - 1).long())


def _cost(step: float) -> jensen.Cost:
    x = torch.arange(8.0).reshape(2, 4)
    return jensen.Cost(Positions(step), nn.MSELoss(), (x, torch.ones(2, 4, 2)))


def test_positions_counted_in_floats_are_whole_numbers() -> None:
    cost = _cost(1.0)
    assert "aten.cumsum.default" not in {n.op for n in trace(cost).problem.terms[0].program.nodes}
    assert jensen.check(cost).verdict == Verdict.PROVED


@pytest.mark.parametrize("step", [1.1])
def test_sums_of_fractions_are_not_folded(step: float) -> None:
    finding = jensen.check(_cost(step), budget=0.5)
    assert finding.verdict == Verdict.UNKNOWN
    assert "cast" in finding.reason
