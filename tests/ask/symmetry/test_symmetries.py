"""The groups of known architectures: order and dimension as derived by hand, moves that leave the cost alone, and the rank of
the Jacobian."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import jensen
from ask.symmetry.cases import CASES as PLAIN
from ask.symmetry.cases import Case
from ask.symmetry.false_moves import holds, mutants
from ask.symmetry.outside import OUTSIDE
from ask.symmetry.parallel import PARALLEL, ROTARY
from jensen.ask.symmetry.proof import gaps

CASES = [*PLAIN, *ROTARY, *PARALLEL, *OUTSIDE]
# factors that the kernel cannot follow, by case and kind; they are tried on numbers alone
TRIED: dict[str, dict[str, int]] = {
    "sigmoid": {"flip": 2},
    "linear": {"shift": 1},
    "linear stream": {"shift": 2},
    "batch norm, evaluation": {"shift": 1},
    "layer norm, linear": {"orthogonal": 1, "shift": 2},
    "attention": {"shift": 3},
    "transformer, norms before, gelu": {"orthogonal": 1, "shift": 7},
    "transformer, norms before, relu": {"orthogonal": 1, "shift": 7},
}


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


@pytest.mark.parametrize("case", PLAIN, ids=lambda c: c.name)
def test_what_the_kernel_proves(case: Case, found):
    _, group = _group(case, found)
    kinds = Counter(f.kind for f, gap in zip(group.factors, group.gaps, strict=True) if gap)
    assert dict(kinds) == TRIED.get(case.name, {})


@pytest.mark.parametrize("case", PLAIN[::5], ids=lambda c: c.name)
def test_false_moves_are_not_proved(case: Case, found):
    cost, group = _group(case, found)
    told = 0
    for f, proved in zip(group.factors, group.proved, strict=True):
        for other in mutants(f, cost.blocks) if proved else ():
            if not holds(group.problem, other, cost.theta, group.frames):
                told += 1
                assert gaps(group.problem, [other], group.frames) != ("",), other
    assert told > 2 or not any(group.proved)


def test_certificate_of_a_group(tmp_path, found):
    case = next(c for c in CASES if c.name == "lstm")
    cost, group = _group(case, found)
    group.save(tmp_path / "x.jensen")
    claim = jensen.verify(tmp_path / "x.jensen", cost=cost)
    assert claim.kind == "invariant"
    assert "the 3 units of r.weight_ih_l0" in claim.statement
    assert "are permuted" in claim.statement
    assert [f["proved"] for f in group.to_dict()["factors"]] == list(group.proved)
    other = next(c for c in CASES if c.name == "gru").build()
    with pytest.raises(jensen.Rejected, match="not that of the given cost"):
        jensen.verify(tmp_path / "x.jensen", cost=other)


def test_nothing_to_save(tmp_path, found):
    case = next(c for c in CASES if c.name == "linear regression")
    with pytest.raises(jensen.Misuse, match="no factor"):
        _group(case, found)[1].save(tmp_path / "x.jensen")


@pytest.mark.parametrize(("slope", "order"), [(-1.0, 6 * 8), (0.3, 6)])
def test_leaky_rectifiers(slope: float, order: int) -> None:
    """Slope -1 is abs(x), whose units may change their sign: 3 units between 2 and 4 numbers."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LeakyReLU(slope), torch.nn.Linear(3, 4))
    cost = jensen.Cost(model, torch.nn.MSELoss(), (torch.randn(20, 2), torch.randn(20, 4)))
    found = jensen.symmetries(cost)
    assert (found.order, found.dimension) == (order, 3)
