"""Shears, gains of one compressed spectrum, corrections that weights take up, antisymmetric parts: groups, moves, points, equivalence."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import jensen
from ask.symmetry.cases import Case
from ask.symmetry.redundant import REDUNDANT, after, before, form, tuned
from jensen.ask.symmetry.complete import _rank
from jensen.ask.symmetry.isospectral import moved, position

KINDS = {"shear", "isospectral"}


def near(cost: jensen.Cost) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {n: t + 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}


def agree(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], digits: float = 1e-8) -> bool:
    return all(torch.allclose(a[n], b[n], rtol=0, atol=digits) for n in b)


@pytest.mark.parametrize("case", REDUNDANT, ids=lambda c: c.name)
def test_group(case: Case) -> None:
    torch.manual_seed(0)
    cost = case.build()
    group = jensen.symmetries(cost)
    assert (group.order, group.dimension) == (case.order, case.dimension)
    if case.complete:
        assert group.completeness.verdict == "complete here"
    theta = near(cost)
    for seed in range(3):
        move = group.sample(seed)
        there = group.act(theta, move)
        assert float(cost(there)) == pytest.approx(float(cost(theta)), rel=1e-9)
        assert agree(move.inverse().act(there), theta)
    rows = group.tangents(theta)
    if len(rows):
        assert torch.linalg.matrix_rank(rows / rows.norm(dim=1, keepdim=True), rtol=1e-9) == case.dimension
        point = {n: t.clone().requires_grad_() for n, t in theta.items()}
        gradient = torch.autograd.grad(cost(point), list(point.values()), materialize_grads=True)
        flat = torch.cat([g.reshape(-1) for g in gradient])
        assert float((rows @ flat).abs().max()) <= 1e-9 * float(flat.norm()) * float(rows.norm(dim=1).max())
    whole = group.canonical(theta)
    assert float(cost(whole)) == pytest.approx(float(cost(theta)), rel=1e-9)
    assert agree(group.canonical(whole), whole)
    proved = [f.kind for f, gap in zip(group.factors, group.gaps, strict=True) if not gap]
    assert not KINDS & {*proved}


@pytest.mark.parametrize(
    "build",
    [after, before, lambda: before(True, True, False), lambda: tuned("layers"), form],
    ids=["norms after", "norms before", "none behind", "correction", "form"],
)
def test_planted_copies_are_recovered(build: Any) -> None:
    torch.manual_seed(0)
    cost = build()
    group = jensen.symmetries(cost, completeness=False)
    a = near(cost)
    for seed in range(2):
        b = group.sample(seed).act(a)
        found = jensen.equivalent(cost, a, b, symmetries=group)
        assert found.verdict == "EQUIVALENT", found.reason
        assert agree(found.move.act(a), b)
    b = {n: t.clone() for n, t in b.items()}
    b["c.weight" if "c.weight" in b else "b.bias"].view(-1)[1] += 1e-3
    assert jensen.equivalent(cost, a, b, symmetries=group).verdict == "INEQUIVALENT"


def test_what_a_shear_absorbs() -> None:
    """A norm's bias in front of layers without biases moved, their columns with it: the same network."""
    torch.manual_seed(0)
    cost = before()
    a = near(cost)
    shift = torch.randn(4, dtype=torch.float64)
    b = {n: t.clone() for n, t in a.items()}
    b["n.bias"] += shift
    direction = 1 / a["n.weight"]
    b["c.weight"] -= torch.outer(a["c.weight"] @ shift, direction) / (direction @ b["n.bias"])
    assert float(cost(b)) == pytest.approx(float(cost(a)), rel=1e-12)
    assert jensen.equivalent(cost, a, b).verdict == "EQUIVALENT"
    b["c.weight"][0, 0] += 1e-3
    assert jensen.equivalent(cost, a, b).verdict == "INEQUIVALENT"


def test_gains_of_one_spectrum() -> None:
    """The line of gains is a group, keeps p but for a constant, and stands still where two gains are one."""
    g = torch.tensor([0.7, 1.4, 0.9, 1.1, -0.3], dtype=torch.float64)
    one, two = (torch.tensor(x, dtype=torch.float64) for x in (0.6, -1.5))
    there, q = moved(g, one)
    eye = torch.eye(5, dtype=torch.float64)
    p = eye - 0.2
    assert torch.allclose(q @ q.T, eye) and torch.allclose(q.sum(1), torch.ones(5, dtype=torch.float64))
    assert torch.allclose(p @ torch.diag(there) @ p, q @ p @ torch.diag(g) @ p @ q.T)
    assert torch.allclose(moved(there, two)[0], moved(g, one + two)[0])
    assert torch.allclose(position(there), position(g) + one)
    x = torch.linspace(-1, 2, 9, dtype=torch.float64)
    change = [(x[:, None] - v).prod(1) for v in (g, there)]
    assert float((change[1] - change[0]).std()) < 1e-14 < float((change[1] - change[0]).abs().min())
    tied = torch.ones(4, dtype=torch.float64)
    assert torch.equal(moved(tied, one)[0], tied) and float(position(tied)) == 0


def test_the_rank_is_read_at_the_widest_gap() -> None:
    values = torch.tensor([1.0, 1e-3, 1.2e-9, 9e-10, 3e-11, 4e-16, 2e-16, 0.0]).double().numpy()
    assert _rank(values)[0] == 5
    assert _rank(values[:2])[0] == 2
    assert _rank(values[[0, 1, 5, 6, 7]])[0] == 2
