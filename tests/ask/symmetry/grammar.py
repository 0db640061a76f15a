"""Random small architectures: layers drawn from a grammar, for the property that no sampled move changes the cost."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from jensen import Cost

ACTIVATIONS = (
    "relu",
    "tanh",
    "sigmoid",
    "gelu",
    "leaky_relu",
    "abs",
    "sin",
    "cos",
    "silu",
    "square",
    "softplus",
    "none",
)
NORMS = ("none", "layer", "batch", "rms", "group", "plain layer")
JOINS = ("chain", "residual", "concat", "gate", "gain", "tied", "parallel")


class Block(nn.Module):
    """One hidden layer, joined to its input in one of several ways."""

    def __init__(self, width: int, join: str, act: str, norm: str, bias: bool):
        super().__init__()
        inside = 2 if join == "parallel" else 4
        self.join, self.act = join, act
        self.up = nn.Linear(width, inside, bias)
        self.norm = _norm(norm, inside)
        self.down = nn.Linear(inside, width, bias) if join in ("residual", "tied") else None
        self.side = nn.Linear(width, inside, bias) if join in ("gate", "parallel") else None
        self.gain = nn.Parameter(torch.randn(inside)) if join == "gain" else None
        self.width = {"residual": width, "tied": width, "concat": width + inside, "parallel": 2 * inside}.get(
            join, inside
        )

    def forward(self, x):
        h = activation(self.act, self.norm(self.up(x)))
        if self.join == "residual":
            return x + self.down(h)
        if self.join == "tied":
            x = x + self.down(h)
            return x + self.down(activation(self.act, self.norm(self.up(x))))
        if self.join == "concat":
            return torch.cat([x, h], -1)
        if self.join == "parallel":
            return torch.cat([h, torch.tanh(self.side(x))], -1)
        if self.join == "gate":
            return h * torch.sigmoid(self.side(x))
        return h * self.gain if self.join == "gain" else h


def activation(name: str, x):
    own = {
        "abs": torch.abs,
        "sin": torch.sin,
        "cos": torch.cos,
        "square": lambda x: x * x,
        "none": lambda x: x,
        "tanh": torch.tanh,
    }
    return own.get(name, getattr(F, name, None))(x)


def _norm(name: str, width: int) -> nn.Module:
    return {
        "none": nn.Identity, "layer": lambda: nn.LayerNorm(width), "batch": lambda: nn.BatchNorm1d(width),
        "rms": lambda: nn.RMSNorm(width, eps=0.1), "group": lambda: nn.GroupNorm(2, width),
        "plain layer": lambda: nn.LayerNorm(width, elementwise_affine=False),
    }[name]()  # fmt: skip


class Images(nn.Module):
    """A small convolutional network."""

    def __init__(self, act: str, norm: str, groups: int, flat: bool, padding: int, bias: bool):
        super().__init__()
        self.act, self.flat = act, flat
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=padding, bias=bias), nn.Conv2d(4, 4, 2, groups=groups, bias=bias)
        self.norm = {
            "batch": nn.BatchNorm2d(4),
            "group": nn.GroupNorm(2, 4),
            "layer": nn.InstanceNorm2d(4, affine=True),
        }.get(norm, nn.Identity())
        side = 1 + 2 * padding
        self.c = nn.Linear(4 * side * side if flat else 4, 3)

    def forward(self, x):
        x = activation(self.act, self.b(activation(self.act, self.norm(self.a(x)))))
        return self.c(x.flatten(1) if self.flat else x.mean((2, 3)))


def penalty(name: str):
    if name == "none":
        return None
    power = 2 if name == "l2" else 1
    return lambda p: 0.01 * sum(t.abs().pow(power).sum() for t in p.values())


@st.composite
def vectors(draw) -> Cost:
    """A stack of one to three blocks."""
    torch.manual_seed(draw(st.integers(0, 999)))
    layers, width = [], 3
    for _ in range(draw(st.integers(1, 3))):
        block = Block(
            width, draw(st.sampled_from(JOINS)), draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from(NORMS)), draw(st.booleans())
        )  # fmt: skip
        layers.append(block)
        width = block.width
    model = nn.Sequential(*layers, nn.Linear(width, 3, draw(st.booleans())))
    return _cost(draw, model, torch.randn(8, 3))


@st.composite
def images(draw) -> Cost:
    """A convolutional network."""
    torch.manual_seed(draw(st.integers(0, 999)))
    model = Images(
        draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from(NORMS)), draw(st.sampled_from((1, 2, 4))),
        draw(st.booleans()), draw(st.integers(0, 1)), draw(st.booleans()),
    )  # fmt: skip
    return _cost(draw, model, torch.randn(6, 2, 4, 4))


def _cost(draw, model: nn.Module, x: torch.Tensor) -> Cost:
    if draw(st.booleans()):
        model(x)
        model.eval()
    own = penalty(draw(st.sampled_from(("none", "none", "l2", "l1"))))
    if draw(st.booleans()):
        return Cost(model, nn.CrossEntropyLoss(), (x, torch.randint(3, (len(x),))), penalty=own)
    return Cost(model, nn.MSELoss(), (x, torch.randn(len(x), 3)), penalty=own)


def costs() -> st.SearchStrategy:
    return st.one_of(vectors(), images())


def each(act: Callable[[Cost], None], examples: int, start: int) -> None:
    """Act on so many random costs, the same ones for the same start."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @seed(start)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=slow)
    @given(costs())
    def one(cost: Cost) -> None:
        act(cost)

    one()
