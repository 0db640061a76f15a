"""The groups of known architectures: order and dimension as derived by hand, moves that leave the cost alone, and the rank of
the Jacobian."""

from __future__ import annotations

import pytest
import torch

import jensen
from ask.symmetry.cases import CASES as PLAIN
from ask.symmetry.cases import Case
from ask.symmetry.parallel import PARALLEL, ROTARY

CASES = [*PLAIN, *ROTARY, *PARALLEL]


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[jensen.Cost, jensen.Symmetries]]:
    return {}


def _group(case: Case, found) -> tuple[jensen.Cost, jensen.Symmetries]:
    if case.name not in found:
        torch.manual_seed(0)
        cost = case.build()
        found[case.name] = cost, jensen.symmetries(cost)
    return found[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_order_and_dimension(case: Case, found):
    _, group = _group(case, found)
    assert (group.order, group.dimension) == (case.order, case.dimension)
    assert not group.refused
    assert not group.unread


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_moves_leave_the_cost_alone_and_are_undone(case: Case, found):
    cost, group = _group(case, found)
    generator = torch.Generator().manual_seed(7)
    theta = {n: t + 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    for seed in range(3):
        move = group.sample(seed)
        there = group.act(theta, move)
        assert float(cost(there)) == pytest.approx(float(cost(theta)), rel=1e-9)
        back = move.inverse().act(there)
        assert all(torch.allclose(back[n], theta[n], atol=1e-8) for n in theta)
    if group.order * (1 + group.dimension) > 1:
        assert any(not torch.allclose(there[n], theta[n], atol=1e-3) for n in theta)


@pytest.mark.parametrize("case", [c for c in CASES if c.complete], ids=lambda c: c.name)
def test_the_jacobian_leaves_nothing_else(case: Case, found):
    _, group = _group(case, found)
    assert group.completeness.verdict == "complete here"
    assert group.completeness.parameters - group.completeness.rank == case.dimension
    high, low = group.completeness.gap
    assert high > 1e4 * low


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_directions_are_independent_and_the_cost_is_flat_along_them(case: Case, found):
    cost, group = _group(case, found)
    generator = torch.Generator().manual_seed(9)
    theta = {n: t + 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    rows = group.tangents(theta)
    assert rows.shape == (case.dimension, sum(t.numel() for t in theta.values()))
    if not len(rows):
        return
    unit = rows / rows.norm(dim=1, keepdim=True)
    assert torch.linalg.matrix_rank(unit, rtol=1e-9) == case.dimension
    point = {n: t.clone().requires_grad_() for n, t in theta.items()}
    gradient = torch.autograd.grad(cost(point), list(point.values()), materialize_grads=True)
    flat = torch.cat([g.reshape(-1) for g in gradient])
    assert float((unit @ flat).abs().max()) <= 1e-9 * float(flat.norm())
