"""Networks of the kinds that people train, small: (name, model, data, loss). Used by the curvature tests."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jensen import Cost


class Block(nn.Module):
    """A residual block of ResNet-18."""

    def __init__(self, i: int, o: int, stride: int, norm: Any):
        super().__init__()
        self.conv1, self.n1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), norm(o)
        self.conv2, self.n2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), norm(o)
        self.short = nn.Conv2d(i, o, 1, stride, bias=False) if stride > 1 or i != o else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.n2(self.conv2(F.relu(self.n1(self.conv1(x))))) + self.short(x))


def resnet18(width: int = 2, norm: Any = nn.BatchNorm2d) -> nn.Module:
    """All of ResNet-18's layers, with few channels."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), norm(width), nn.ReLU(), nn.MaxPool2d(2)]
    i = width
    for stage in range(4):
        o = width * 2**stage
        layers += [Block(i, o, 1 if stage == 0 else 2, norm), Block(o, o, 1, norm)]
        i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(i, 5))


class Attention(nn.Module):
    def __init__(self, d: int, heads: int):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = (m.view(b, t, self.heads, -1).transpose(1, 2) for m in self.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, t, d))


class GPT(nn.Module):
    """A GPT with pre-norm blocks; the head may share the embedding's weight."""

    def __init__(
        self,
        layers: int = 12,
        d: int = 8,
        heads: int = 2,
        vocabulary: int = 11,
        tied: bool = True,
        context: int = 16,
        wider: int = 2,
    ):
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, d), nn.Parameter(torch.randn(context, d) * 0.1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.LayerNorm(d),
                    Attention(d, heads),
                    nn.LayerNorm(d),
                    nn.Linear(d, wider * d),
                    nn.Linear(wider * d, d),
                ]
            )
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.place[: tokens.shape[1]]
        for n1, attention, n2, up, down in self.blocks:
            x = x + attention(n1(x))
            x = x + down(F.gelu(up(n2(x))))
        return self.head(self.norm(x)).transpose(1, 2)


class Recurrent(nn.Module):
    """Embeds tokens, runs a recurrent layer, classifies the last state."""

    def __init__(self, layer: type[nn.Module]):
        super().__init__()
        self.embed, self.layer, self.head = (
            nn.Embedding(7, 4),
            layer(4, 5, num_layers=2, batch_first=True),
            nn.Linear(5, 3),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embed(tokens))[0][:, -1])


def images(n: int, classes: int = 5, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 3, size, size), torch.randint(0, classes, (n,))


def cost(name: str) -> Cost:
    """One of the networks below with its data, from a fixed seed."""
    torch.manual_seed(0)
    model, data = NETWORKS[name]()
    return Cost(model, nn.CrossEntropyLoss(), data)


def _tokens(n: int, length: int, vocabulary: int, classes: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, vocabulary, (n, length))
    return x, torch.randint(0, vocabulary, (n, length)) if classes is None else torch.randint(0, classes, (n,))


NETWORKS = {
    "resnet18, batch norm in training": lambda: (resnet18(), images(4)),
    "resnet18, batch norm in evaluation": lambda: (resnet18().eval(), images(4)),
    "resnet18, group norm": lambda: (resnet18(norm=lambda c: nn.GroupNorm(2, c)), images(3)),
    "gpt, 12 layers, tied": lambda: (GPT(), _tokens(2, 6, 11)),
    "lstm": lambda: (Recurrent(nn.LSTM), _tokens(3, 5, 7, 3)),
    "gru": lambda: (Recurrent(nn.GRU), _tokens(3, 5, 7, 3)),
}


def double_backward(cost: Cost, v: torch.Tensor) -> torch.Tensor:
    """The product by double backward of the cost, in plain torch; flat vectors in the order of the blocks."""
    shapes, leaves = cost.blocks, {n: t.requires_grad_() for n, t in cost.theta.items()}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        grads = torch.autograd.grad(
            cost(leaves), list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
        pairs = [
            (g, u.view(s)) for g, u, s in zip(grads, split(v, shapes), shapes.values(), strict=True) if g.requires_grad
        ]
        if not pairs:
            return torch.zeros_like(v)
        outs, along = zip(*pairs, strict=True)
        rows = torch.autograd.grad(outs, list(leaves.values()), along, allow_unused=True, materialize_grads=True)
    return torch.cat([r.reshape(-1) for r in rows])


def split(v: torch.Tensor, shapes: Any) -> tuple[torch.Tensor, ...]:
    return v.split([torch.Size(s).numel() for s in shapes.values()])


def differences(cost: Cost, v: torch.Tensor, h: float = 1e-4) -> torch.Tensor:
    """The product by central differences of the cost's gradient, of fourth order."""

    def gradient(t: float) -> torch.Tensor:
        moved = {
            n: (x + t * u.view(x.shape)).requires_grad_()
            for (n, x), u in zip(cost.theta.items(), split(v, cost.blocks), strict=True)
        }
        grads = torch.autograd.grad(cost(moved), list(moved.values()), allow_unused=True, materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in grads])

    return (8 * (gradient(h) - gradient(-h)) - (gradient(2 * h) - gradient(-2 * h))) / (12 * h)
