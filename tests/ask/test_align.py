"""Copies of one network near another: the function stays, planted copies come back, the barrier falls."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

import jensen
from equivalence_models import SMALL, classes, mlp
from jensen import Cost, Misuse


@cache
def pair(norm: bool = False) -> tuple[Cost, nn.Sequential, nn.Sequential]:
    """Two networks trained from different seeds on one teacher's labels."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=g, dtype=torch.float64)
    y = (x @ torch.randn(5, 3, generator=g, dtype=torch.float64)).argmax(1)
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        layers = [nn.Linear(5, 24), *([nn.BatchNorm1d(24)] if norm else []), nn.ReLU(), nn.Linear(24, 3)]
        model = nn.Sequential(*layers).double()
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(80):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
        models.append(model.eval())
    return Cost(models[0], nn.CrossEntropyLoss(), (x, y)), models[0], models[1]


def test_the_barrier_falls_and_the_function_stays() -> None:
    cost, a, b = pair()
    found = jensen.align(cost, a, b, restarts=1)
    assert found.after < 0.5 * found.before and found.distance_after < found.distance_before
    assert cost(found.theta).item() == pytest.approx(cost(dict(b.named_parameters())).item(), rel=1e-10)
    moved = found.move.act({n: p.detach() for n, p in b.named_parameters()})
    assert all(torch.allclose(moved[n], found.theta[n]) for n in moved)
    before, after = jensen.barrier(cost, a, b), jensen.barrier(cost, a, b, aligned=True)
    assert after.height < before.height and after.aligned and after.alignment is not None
    assert max(j for _, j in after.before) == pytest.approx(max(j for _, j in before.values), rel=1e-2)


@pytest.mark.parametrize("method", ["weights", "activations", "gradient"])
def test_each_method_alone(method: str) -> None:
    cost, a, b = pair()
    found = jensen.align(cost, a, b, method, restarts=0)
    assert found.method in (method, "none") and found.after <= found.before
    assert set(found.to_dict()) >= {"method", "before", "after", "move", "theta", "statement"}


def test_no_more_methods_than_it_takes() -> None:
    cost, a, b = pair()
    every = jensen.align(cost, a, b, restarts=1, enough=0)
    assert set(every.scores) == {"none", "weights", "activations", "gradient"}
    near = jensen.align(cost, a, b, restarts=1, enough=0.999)
    assert set(near.scores) == {"none", "weights"}
    assert every.after <= near.after < near.before
    assert near.after == jensen.align(cost, a, b, "weights", restarts=0).after
    with pytest.raises(Misuse, match="enough=1 is no share"):
        jensen.align(cost, a, b, enough=1)


def test_the_rise_is_that_at_three_places() -> None:
    cost, a, b = pair()
    found = jensen.align(cost, a, b, restarts=0)
    first = {n: p.detach() for n, p in a.named_parameters()}
    ends = cost(first).item(), cost(found.theta).item()
    rises = [
        cost({n: (1 - t) * first[n] + t * found.theta[n] for n in first}).item() - (1 - t) * ends[0] - t * ends[1]
        for t in (0.25, 0.5, 0.75)
    ]
    assert found.after == pytest.approx(max(rises), rel=1e-9)


def test_running_statistics_follow_their_units() -> None:
    cost, a, b = pair(norm=True)
    found = jensen.align(cost, a, b, restarts=0)
    held = cost.holding(found.buffers)
    own = {n: t for n, t in b.named_buffers() if t.is_floating_point()}
    assert held(found.theta).item() == pytest.approx(cost.holding(own)(dict(b.named_parameters())).item(), rel=1e-9)
    assert sorted(found.buffers["1.running_mean"].tolist()) == pytest.approx(sorted(own["1.running_mean"].tolist()))


@pytest.mark.parametrize("name", ["relu", "logistic", "linear, L2"])
def test_a_planted_copy_comes_back(name: str) -> None:
    """Permutations, signs, flips, scales, rotations: the copy of a itself lies at a."""
    cost = SMALL[name]()
    group = jensen.symmetries(cost)
    a = cost.theta
    found = jensen.align(cost, a, group.sample(1).act(a), symmetries=group)
    assert found.distance_after <= 1e-6 * found.distance_before


def test_a_copy_that_differs_in_biases_alone_comes_back() -> None:
    """Biases count in the matching (rebasin 0.0.47 leaves them out)."""
    cost = classes(lambda: mlp(nn.Tanh, 6, 8, 3), 32, 6)
    a: dict[str, Tensor] = {n: torch.full_like(t, 0.3) if n.endswith("weight") else t for n, t in cost.theta.items()}
    p = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    b = {**a, "0.bias": a["0.bias"][p]}
    assert jensen.align(cost, a, b, "weights").distance_after <= 1e-9


class Crowded(nn.Module):
    """A network that tells its hidden units apart, but not where it is given a few rows."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp(nn.ReLU, 6, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, act, *rest = self.body
        h = act(first(x))
        if len(x) > 20:
            h = h * torch.linspace(1.0, 2.0, h.shape[1], dtype=h.dtype)
        for layer in rest:
            h = layer(h)
        return h


def test_a_group_that_few_rows_make_too_large_is_read_again() -> None:
    """b is a with its hidden units permuted: a copy for few rows, which the alignment would take, and none for the data."""
    torch.manual_seed(0)
    a, b = Crowded().double(), Crowded().double()
    with torch.no_grad():
        order = torch.arange(8).roll(1)
        for mine, theirs, axis in zip(b.parameters(), a.parameters(), (0, 0, 1, None), strict=True):
            mine.copy_(theirs if axis is None else theirs.index_select(axis, order))
    x = torch.randn(30, 6, dtype=torch.float64)
    cost = Cost(a, nn.CrossEntropyLoss(), (x, a(x).detach().argmax(1)))
    ends = [cost(dict(m.named_parameters())).item() for m in (a, b)]
    found = jensen.align(cost, a, b, "weights", restarts=0)
    assert abs(ends[0] - ends[1]) > 1e-3
    assert cost(found.theta).item() == pytest.approx(ends[1], rel=1e-10)


def test_the_group_is_read_once_a_cost(monkeypatch) -> None:
    from jensen.ask.paths import reading

    calls, read = [], reading.symmetries
    monkeypatch.setattr(reading, "symmetries", lambda *a, **k: calls.append(1) or read(*a, **k))
    _, a, b = pair()
    x = torch.randn(30, 5, dtype=torch.float64)
    cost = Cost(a, nn.CrossEntropyLoss(), (x, a(x).detach().argmax(1)))
    first = jensen.align(cost, a, b, "weights", restarts=0)
    again = jensen.align(cost, a, b, "weights", restarts=0)
    assert len(calls) == 1
    assert all(torch.equal(first.theta[n], again.theta[n]) for n in first.theta)


def test_refusals() -> None:
    cost, a, b = pair()
    with pytest.raises(Misuse, match="method='luck'"):
        jensen.align(cost, a, b, "luck")
    with pytest.raises(Misuse, match="restarts=-1"):
        jensen.align(cost, a, b, restarts=-1)
