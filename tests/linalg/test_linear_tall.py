"""Maps whose tall products have their rows last give the same products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen import Cost
from jensen.linalg import linear_tall


class Tokens(nn.Module):
    """Linear layers on three axes, whose rows are reshaped before and after, and a bias that is shared."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(5, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x.reshape(-1, 4, 5)))
        h = nn.functional.layer_norm(h + self.b(h), (6,)) + self.a.bias
        return self.out(h.softmax(-1)).mean(1)


class Powers(nn.Module):
    """Products of parameters with themselves, and addmm with factors."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(20, 3)), nn.Parameter(torch.randn(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.addmm(self.v[0], x @ self.w, self.v, beta=0.5, alpha=2.0).sigmoid()
        h = torch.addmm(h, h, self.v.exp(), beta=-1.5) + torch.addmm(x[:, :1], h, self.v)
        return torch.addmm(self.v[:1], h, self.v.T).cos()


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(20, 6), nn.Tanh(), nn.Linear(6, 4), nn.Softplus(), nn.Linear(4, 3)),
    "normed": lambda: nn.Sequential(nn.Linear(20, 6), nn.BatchNorm1d(6), nn.SiLU(), nn.Linear(6, 3, bias=False)),
    "tokens": Tokens,
    "powers": Powers,
}
LOSSES = {"square": nn.MSELoss(), "cross-entropy": nn.CrossEntropyLoss()}


@pytest.fixture(autouse=True)
def marked(monkeypatch) -> list[int]:
    """How many products of each traced gradient have their rows last."""
    found, choose = [], linear_tall.choose

    def spied(graph):
        choose(graph)
        found.append(sum("rows last" in n.meta for n in graph.nodes))

    monkeypatch.setattr(linear_tall, "choose", spied)
    monkeypatch.setattr(linear_tall, "SMALL", 0)
    return found


def error(model: nn.Module, loss: nn.Module, width: int) -> float:
    """Relative, of products against double backward."""
    x, y = torch.randn(60, 20), torch.randn(60, 3)
    data = (x, y if isinstance(loss, nn.MSELoss) else y.argmax(1))
    cost = Cost(model, loss, data)
    h = jensen.hessian(cost, width=width, mode="kept")
    v = torch.randn(h.n, 3, dtype=torch.float64)
    want = jensen.hessian(cost, mode="reverse") @ v
    return float((h @ v - want).norm() / want.norm())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [1, 3])
def test_products_with_rows_last(monkeypatch, marked, name, width, loss):
    monkeypatch.setattr(linear_tall, "GAIN", float("inf"))
    torch.manual_seed(0)
    assert error(MODELS[name]().double(), LOSSES[loss], width) < 1e-13
    assert min(marked) >= 3


def test_a_map_whose_products_are_slower_so_stays_as_it_is(monkeypatch, marked):
    monkeypatch.setattr(linear_tall, "GAIN", 0.0)
    assert error(MODELS["mlp"](), LOSSES["square"], 3) < 1e-13
    assert set(marked) == {0}


def test_reshapes_that_put_rows_in_order_weigh_against_it(monkeypatch, marked):
    """Here products gain a fifth, and to put a number in order costs as much as a product."""
    monkeypatch.setattr(linear_tall, "_times", lambda node: (1.0, 0.8, 1.0))
    assert error(Tokens(), LOSSES["square"], 1) < 1e-13
    assert set(marked) == {0}
    marked.clear()
    assert error(MODELS["mlp"](), LOSSES["square"], 1) < 1e-13
    assert min(marked) > 0


def test_layouts():
    a, b, c = torch.randn(8, 3), torch.randn(3, 2), torch.randn(8, 2)
    for last in (False, True):
        out = linear_tall.multiply(a, b, last)
        assert torch.allclose(out, a @ b) and linear_tall.turned(out) == last
        for add in (c, c[0], c[:1], c[:, :1], c[0, 0]):
            out = linear_tall.add_multiply(add, a, b, last, beta=2.0, alpha=0.5)
            assert torch.allclose(out, 2 * add + 0.5 * a @ b, atol=1e-6) and linear_tall.turned(out) == last
    assert not linear_tall.turned(torch.randn(1, 4)) and not linear_tall.turned(torch.randn(4, 1).t())
