"""Small networks near a minimum, with their Hessians formed in float64 by torch alone."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen import Cost

D = torch.float64


def data(n: int = 60, i: int = 6, k: int = 3) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, i, generator=g, dtype=D), torch.randint(0, k, (n,), generator=g)


class Gated(nn.Module):
    """Layer norm, a gate, and a tied output."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.gate = nn.Linear(6, 8), nn.Linear(6, 8, bias=False)
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(torch.tanh(self.inner(x)) * torch.sigmoid(self.gate(x))))


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 3)),
    "relu": lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)),
    "gated": Gated,
}


@cache
def network(name: str, steps: int = 80) -> Cost:
    """A cost after some steps of Adam."""
    torch.manual_seed(0)
    model, (x, y) = MODELS[name]().double(), data()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()
    return Cost(model, nn.CrossEntropyLoss(), (x, y))


@cache
def full_hessian(name: str) -> Tensor:
    """By torch.func, reverse over reverse, on the model itself."""
    cost = network(name)
    names, shapes = list(cost.blocks), list(cost.blocks.values())
    x, y = data()
    sizes = [t.numel() for t in cost.theta.values()]

    def value(flat: Tensor) -> Tensor:
        parts = [p.reshape(s) for p, s in zip(flat.split(sizes), shapes, strict=True)]
        out = torch.func.functional_call(cost._model, dict(zip(names, parts, strict=True)), (x,))
        return F.cross_entropy(out, y)

    flat = torch.cat([t.reshape(-1) for t in cost.theta.values()])
    return torch.autograd.functional.hessian(value, flat)
