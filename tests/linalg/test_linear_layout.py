"""Maps whose convolutions have their channels last give the same products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen import Cost
from jensen.linalg import linear_convolution, linear_layout


class Branches(nn.Module):
    """Two convolutions of one input, joined; pooling, and a mean over the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 2, 1), nn.Conv2d(6, 5, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.a(x).tanh(), self.b(x)], 1)
        return self.c(nn.functional.avg_pool2d(x, 2)).tanh().mean((2, 3))


def plain() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Tanh()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 5))


MODELS = {
    "plain": plain,
    "branches": Branches,
    "groups": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 8, 3, groups=2, dilation=2), nn.Flatten(),
        nn.Linear(32, 5),
    ),
    "norm, transposed": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.ConvTranspose2d(4, 3, 2, 2), nn.Conv2d(3, 5, 12)
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def marked(monkeypatch) -> list[bool]:
    """For each convolution of each traced gradient, whether it has its channels last."""
    found, choose = [], linear_layout.choose

    def spied(graph, measure):
        choose(graph, measure)
        found.extend("channels last" in n.meta for n in graph.nodes if n.target in linear_layout.CONVOLUTIONS)

    monkeypatch.setattr(linear_layout, "choose", spied)
    monkeypatch.setattr(linear_convolution, "_CHOSEN", {})
    return found


def error(model: nn.Module, width: int, memory: str = "as it is") -> float:
    """Relative, of products in float32 against double backward in float64."""
    x = torch.randn(4, 3, 8, 8)
    x = x.contiguous(memory_format=torch.channels_last) if memory == "last" else x
    y = torch.randn_like(model(x))
    h = jensen.hessian(Cost(model, nn.MSELoss(), (x, y), dtype=torch.float32), width=width, mode="kept")
    v = torch.randn(h.n, 3)
    got = h @ v
    want = jensen.hessian(Cost(model.double(), nn.MSELoss(), (x.double(), y.double())), mode="reverse") @ v.double()
    return float((got.double() - want).norm() / want.norm())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [1, 3])
def test_products_with_channels_last(monkeypatch, marked, name, width):
    monkeypatch.setattr(linear_layout, "GAIN", float("inf"))
    torch.manual_seed(0)
    assert error(MODELS[name]().eval(), width) < 1e-5
    assert marked.count(False) == 2 * (name == "norm, transposed")  # the transposed one, forward and back


def strided() -> nn.Module:
    layers = [
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 8, 1, stride=2),
        nn.Tanh(),
        nn.Conv2d(8, 3, 3, padding=1),
    ]
    return nn.Sequential(*layers, nn.Tanh(), nn.Conv2d(3, 2, 1, stride=(1, 2)))


def test_convolutions_whose_kernel_gradient_would_be_written_past_its_end(monkeypatch, marked):
    """Those of 1 x 1 with a stride stay as they are, also between others with their channels last."""
    monkeypatch.setattr(linear_layout, "GAIN", float("inf"))
    torch.manual_seed(0)
    for _ in range(3):
        assert error(strided(), 3, "last") < 1e-5
    assert marked.count(True) == marked.count(False) == 12


def test_a_map_whose_convolutions_are_slower_so_stays_as_it_is(monkeypatch, marked):
    monkeypatch.setattr(linear_layout, "GAIN", 0.0)
    assert error(plain(), 1) < 1e-5
    assert marked == [False] * 4


@pytest.mark.parametrize("gain", [0.0, float("inf")])
def test_data_that_came_with_channels_last(monkeypatch, gain):
    monkeypatch.setattr(linear_layout, "GAIN", gain)
    assert error(plain().to(memory_format=torch.channels_last), 3, "last") < 1e-5


def test_reshapes_that_put_channels_in_order_weigh_against_it(monkeypatch, marked):
    """Here convolutions gain a tenth, and to put a number in order costs as much as its convolutions."""
    monkeypatch.setattr(linear_layout, "_times", lambda node, measure: (1.0, 0.9, 1.0))
    assert error(plain(), 1) < 1e-5
    assert not any(marked)
    assert error(Branches(), 1) < 1e-5
    assert any(marked)
