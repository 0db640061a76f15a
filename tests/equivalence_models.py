"""Networks whose planted copies ``equivalent`` must recover: small ones of all kinds, and residual streams up to width 128."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen import Cost
from jensen.ask.equivalence.probe import Prober
from jensen.ask.paths.points import read

D = torch.float64
Build = Callable[[], Cost]


def _inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def _labels(n: int, k: int, seed: int = 2) -> Tensor:
    return torch.randint(0, k, (n,), generator=torch.Generator().manual_seed(seed))


def classes(build: Callable[[], nn.Module], *shape: int, k: int = 3, train: bool = False, penalty: Any = None) -> Cost:
    """Cross entropy on random rows; parameters and running statistics are generic."""
    torch.manual_seed(0)
    model = build().double().train(train)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
        for name, b in model.named_buffers():
            if b.is_floating_point():
                b += 0.3 * torch.rand_like(b) if name.endswith("var") else 0.3 * torch.randn_like(b)
    return Cost(model, nn.CrossEntropyLoss(), (_inputs(*shape), _labels(shape[0], k)), penalty)


def differ(cost: Cost, a: Any, b: Any) -> bool:
    """Whether some loss differs, on random inputs of another seed than that of ``equivalent``."""
    return Prober(cost, seed=99).compare(read(cost, a), read(cost, b)).witness is not None


def mlp(act: Callable[[], nn.Module], *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (m, n) in enumerate(pairwise(widths)):
        layers += [nn.Linear(m, n)] + ([act()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """A residual stream of linear maps and hidden layers, with layer norm or without."""

    def __init__(self, width: int, hidden: int, depth: int, act: Callable[[Tensor], Tensor], norm: bool):
        super().__init__()
        self.embed, self.head, self.act = nn.Linear(6, width), nn.Linear(width, 3), act
        self.norms = nn.ModuleList([nn.LayerNorm(width) if norm else nn.Identity() for _ in range(depth)])
        self.up = nn.ModuleList([nn.Linear(width, hidden) for _ in range(depth)])
        self.down = nn.ModuleList([nn.Linear(hidden, width) for _ in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for norm, up, down in zip(self.norms, self.up, self.down, strict=True):
            x = x + down(self.act(up(norm(x))))
        return self.head(x)


class Attention(nn.Module):
    """Self-attention on a linear stream, and a ReLU layer: GL inside each head and, without a norm, on the stream."""

    def __init__(self, width: int = 12, heads: int = 3, norm: bool = False):
        super().__init__()
        self.heads, self.embed = heads, nn.Linear(5, width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=b) for b in (True, True, True, False))
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.up, self.down, self.head = nn.Linear(width, 10), nn.Linear(10, width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        n, t, w = x.shape
        y = self.norm(x)
        q, k, v = (m(y).view(n, t, self.heads, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, w))
        return self.head((x + self.down(torch.relu(self.up(x)))).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Gains(nn.Module):
    """A raw parameter that multiplies hidden units."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 9), nn.Linear(9, 3)
        self.gain = nn.Parameter(torch.rand(9) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(x)) * self.gain)


class Tied(nn.Module):
    """One weight used in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.middle, self.outer = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.inner(x))
        return self.outer(torch.tanh(self.middle(torch.tanh(self.middle(x)))))


class Dense(nn.Module):
    """Concatenations."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(7, 4, 3, padding=1), nn.Linear(11, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, torch.relu(self.a(x))], 1)
        x = torch.cat([x, torch.relu(self.b(x))], 1)
        return self.head(x.mean((2, 3)))


class Shortcut(nn.Module):
    """A residual block of convolutions with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.a, self.na = nn.Conv2d(6, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.b, self.nb, self.head = nn.Conv2d(5, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.nb(self.b(torch.relu(self.na(self.a(x))))))
        return self.head(x.mean((2, 3)))


def conv(*norm: nn.Module, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), *norm, nn.ReLU(), nn.Conv2d(6, 8, 3, groups=groups), nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 3),
    )  # fmt: skip


def ridge(p: Any) -> Tensor:
    return 1e-3 * sum((t.square().sum() for t in p.values()), torch.zeros((), dtype=D))


VECTORS, IMAGES, SERIES = (48, 6), (24, 2, 4, 4), (16, 5, 4)
SMALL: dict[str, Build] = {
    "relu": lambda: classes(partial(mlp, nn.ReLU, 6, 12, 9, 3), *VECTORS),
    "tanh": lambda: classes(partial(mlp, nn.Tanh, 6, 12, 9, 3), *VECTORS),
    "logistic": lambda: classes(partial(mlp, nn.Sigmoid, 6, 12, 9, 3), *VECTORS),
    "gelu": lambda: classes(partial(mlp, nn.GELU, 6, 12, 9, 3), *VECTORS),
    "linear": lambda: classes(partial(mlp, nn.Identity, 6, 5, 4, 3), *VECTORS),
    "linear, wide": lambda: classes(partial(mlp, nn.Identity, 6, 9, 3), *VECTORS),
    "relu, L2": lambda: classes(partial(mlp, nn.ReLU, 6, 12, 3), *VECTORS, penalty=ridge),
    "linear, L2": lambda: classes(partial(mlp, nn.Identity, 6, 5, 3), *VECTORS, penalty=ridge),
    "convolution": lambda: classes(conv, *IMAGES),
    "batch norm, evaluation": lambda: classes(lambda: conv(nn.BatchNorm2d(6)), *IMAGES),
    "batch norm, training": lambda: classes(lambda: conv(nn.BatchNorm2d(6)), *IMAGES, train=True),
    "group norm": lambda: classes(lambda: conv(nn.GroupNorm(2, 6)), *IMAGES),
    "grouped convolution": lambda: classes(lambda: conv(groups=2), *IMAGES),
    "residual convolution": lambda: classes(Shortcut, *IMAGES),
    "concatenation": lambda: classes(Dense, *IMAGES),
    "lstm": lambda: classes(Recurrent, *SERIES),
    "raw gains": lambda: classes(Gains, *VECTORS),
    "tied": lambda: classes(Tied, *VECTORS),
    "attention": lambda: classes(Attention, 16, 4, 5),
    "attention, layer norm": lambda: classes(partial(Attention, norm=True), 16, 4, 5),
    "residual 16": lambda: classes(partial(Residual, 16, 24, 2, torch.relu, True), *VECTORS),
}
LARGE: dict[str, Build] = {
    "residual 64, layer norm": lambda: classes(partial(Residual, 64, 128, 3, torch.relu, True), *VECTORS),
    "residual 64, GL": lambda: classes(partial(Residual, 64, 128, 3, torch.relu, False), *VECTORS),
    "residual 128, layer norm": lambda: classes(partial(Residual, 128, 128, 3, torch.relu, True), *VECTORS),
    "residual 128, GL": lambda: classes(partial(Residual, 128, 128, 3, torch.tanh, False), *VECTORS),
}
