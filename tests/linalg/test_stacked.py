"""J at many points at once is J at each of them: values, gradients, Hessians, products, and the recorded graph."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import jensen
from jensen.linalg import stacked_rules
from jensen.linalg.population import Population
from jensen.linalg.recorded import direct, quick_tanh, recorded
from jensen.trace import trace

X = torch.linspace(-1, 1, 60, dtype=torch.float64).reshape(10, 6)
Y = torch.arange(10) % 3


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.out = nn.MultiheadAttention(2, 1, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        z = x.reshape(len(x), 3, 2)
        return self.out(self.a(z, z, z, need_weights=False)[0].reshape(len(x), 6))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))[:, :3]


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)),
    "norms": lambda: nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3, bias=False)),
    "conv": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.SiLU(), nn.Flatten(), nn.Linear(8, 3)
    ),
    "attention": Attends,
    "tied": Tied,
}


def cost_of(name: str, loss: nn.Module | None = None) -> jensen.Cost:
    torch.manual_seed(1)
    return jensen.Cost(MODELS[name](), loss or nn.CrossEntropyLoss(), (X, Y))


@pytest.mark.parametrize("name", MODELS)
def test_a_stack_is_its_copies(name):
    cost = cost_of(name)
    many = Population(trace(cost).problem)
    points = torch.randn(3, many.n, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / 2
    values, slopes = many.gradients(points)
    v = torch.randn(3, many.n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    products = many.products(points, v)
    for k in range(3):
        theta = {n: t[k] for n, t in many.blocks(points).items()}
        operator = jensen.hessian(cost, theta)
        assert float(cost(theta)) == pytest.approx(float(values[k]), rel=1e-12)
        torch.testing.assert_close(slopes[k], operator.gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(products[k], operator @ v[k], rtol=1e-8, atol=1e-11)
    assert torch.equal(many.values(points), values)


def test_hessians_are_symmetric_and_those_of_the_products():
    many = Population(trace(cost_of("mlp")).problem)
    points = torch.randn(2, many.n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix = many.hessians(points)
    v = torch.randn(2, many.n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(matrix, matrix.mT, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.einsum("kij,kj->ki", matrix, v), many.products(points, v))


def test_penalties_and_chunks_add_up():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 2), nn.Sigmoid(), nn.Linear(2, 3))
    chunks = [(X[:7], Y[:7]), (X[7:], Y[7:])]
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), chunks, penalty=lambda p: sum((t**2).sum() for t in p.values()))
    many = Population(trace(cost).problem)
    points = torch.randn(2, many.n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for k in range(2):
        theta = {n: t[k] for n, t in many.blocks(points).items()}
        assert float(cost(theta)) == pytest.approx(float(many.values(points)[k]), rel=1e-13)


def test_what_vmap_cannot_map_is_done_one_by_one(monkeypatch):
    def refuse(*_):
        raise RuntimeError("no batching rule")

    monkeypatch.setattr(stacked_rules, "RULES", {})
    monkeypatch.setattr("jensen.linalg.stacked.RULES", {})
    monkeypatch.setattr(torch, "vmap", refuse)
    cost = cost_of("mlp")
    many = Population(trace(cost).problem)
    points = torch.randn(2, many.n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = many.values(points)
    assert "aten.tanh.default" in many.looped
    for k in range(2):
        theta = {n: t[k] for n, t in many.blocks(points).items()}
        assert float(cost(theta)) == pytest.approx(float(values[k]), rel=1e-13)


def test_blocks_that_J_does_not_depend_on_have_no_slope():
    many = Population(trace(jensen.Cost.of(lambda x, y: (x * x).sum() + 0 * y.sum(), x=torch.ones(2), y=1.0)).problem)
    points = torch.ones(2, 3, dtype=torch.float64)
    values, slopes = many.gradients(points)
    assert values.tolist() == [2.0, 2.0]
    assert slopes.tolist() == [[2.0, 2.0, 0.0]] * 2
    assert many.hessians(points)[0].tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_recorded_graph_is_the_function():
    many = Population(trace(cost_of("norms")).problem)
    (stack,) = many.stacks()
    points = torch.randn(4, many.n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    run = direct(stack, many.flat)
    graph = recorded(run, False, points)
    assert graph is not run
    other = points + 0.3
    for got, want in zip(graph(other), run(other), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-14)


def test_tanh_in_single_precision_is_right_to_some_roundings():
    x = torch.cat([torch.logspace(-38, 2, 20001), torch.tensor([0.0, 1e-45, float("inf")])])
    x = torch.cat([x, -x])
    graph = make_fx(torch.tanh)(x)
    quick_tanh(graph)
    assert not graph.graph.find_nodes(op="call_function", target=torch.ops.aten.tanh.default)
    want = x.double().tanh()
    gap = (graph(x).double() - want).abs()
    assert bool((gap <= 2e-7 * want.abs() + 2e-45).all())
    assert bool(graph(torch.full_like(x, torch.nan)).isnan().all())


def test_the_recorded_graph_of_a_tanh_network_in_single_precision_has_its_gradients():
    many = Population(trace(cost_of("mlp")).problem, torch.float32)
    exact = Population(trace(cost_of("mlp")).problem)
    (stack,) = many.stacks()
    points = torch.randn(4, many.n, generator=torch.Generator().manual_seed(0))
    graph = recorded(direct(stack, many.flat), False, points)
    for got, want in zip(graph(points / 100), exact.gradients((points / 100).double()), strict=True):
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-6 * float(want.abs().max()))


def test_what_was_recorded_wrong_is_not_used():
    calls = []

    def run(points):  # another function each time it is called
        calls.append(1)
        return points.sum(1) * len(calls), points * len(calls)

    assert recorded(run, False, torch.ones(2, 3)) is run
