"""For random small architectures, no sampled move changes the cost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings

import jensen
from ask.symmetry.grammar import costs


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(costs())
def test_every_move_leaves_the_cost_alone(cost: jensen.Cost):
    group = jensen.symmetries(cost, completeness=False)
    generator = torch.Generator().manual_seed(3)
    theta = {n: t + 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    before = float(cost(theta))
    for seed in range(3):
        assert float(cost(group.act(theta, group.sample(seed)))) == pytest.approx(before, rel=1e-9, abs=1e-12)
