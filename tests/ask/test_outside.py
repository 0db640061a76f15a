"""Planted copies of an outside tester's architectures are recovered, changed ones told apart, and aligned ones keep their cost."""

from __future__ import annotations

import pytest
import torch

import jensen
from ask.symmetry.cases import Case
from ask.symmetry.outside import OUTSIDE
from equivalence_models import differ


@pytest.mark.parametrize("case", OUTSIDE, ids=lambda c: c.name)
def test_copies_changes_and_alignment(case: Case) -> None:
    torch.manual_seed(0)
    cost = case.build()
    group = jensen.symmetries(cost, completeness=False)
    generator = torch.Generator().manual_seed(3)
    a = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    b = group.sample(1).act(a)
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict == "EQUIVALENT", found.reason
    moved = found.move.act(a)  # type: ignore[union-attr]
    assert all(torch.allclose(moved[n], b[n], rtol=0, atol=1e-7 * float(b[n].abs().max())) for n in b)
    for name in [*b][::3]:
        c = {**b, name: b[name].clone()}
        c[name].view(-1)[0] += 1e-3
        told = jensen.equivalent(cost, a, c, symmetries=group)
        if differ(cost, a, c):
            assert told.verdict == "INEQUIVALENT", (name, told.reason)
            assert told.witness.losses[0] != told.witness.losses[1]  # type: ignore[union-attr]
        else:
            assert told.verdict != "INEQUIVALENT", name
    aligned = jensen.align(cost, a, b, "weights", symmetries=group, restarts=1)
    assert float(cost(aligned.theta)) == pytest.approx(float(cost(a)), rel=1e-9)
    assert aligned.after <= max(aligned.before, 0.0) + 1e-9 * abs(float(cost(a)))


def test_what_nothing_reads_may_be_anything() -> None:
    torch.manual_seed(0)
    cost = next(c for c in OUTSIDE if c.name == "unread blocks").build()
    b = {**cost.theta, "idle.weight": torch.randn(2, 3, dtype=torch.float64)}
    assert jensen.equivalent(cost, cost.theta, b).verdict == "EQUIVALENT"


def test_a_turn_of_a_sine_is_not_told_apart() -> None:
    """No move of the family adds 2 pi to a bias, and no input tells."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), Sine(), torch.nn.Linear(3, 2))
    cost = jensen.Cost(net, torch.nn.MSELoss(), (torch.randn(20, 4), torch.randn(20, 2)))
    b = {**cost.theta, "0.bias": cost.theta["0.bias"] + 2 * torch.pi}
    assert jensen.equivalent(cost, cost.theta, b).verdict == "UNKNOWN"


class Sine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)
