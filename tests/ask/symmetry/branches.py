"""Branches with branches inside: trees whose leaves are one hidden layer each, and what joins them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from jensen import Cost


class Tree(nn.Module):
    """Equal parts whose outputs pass an activation and are added, or joined, or read by a layer each and added."""

    def __init__(self, depth: int, out: int, act: Callable, join: str = "sum", parts: int = 2, weighted: bool = False):
        super().__init__()
        self.act, self.join, self.parts = act, join, None
        if depth == 0:
            self.a, self.b = nn.Linear(6, 3), nn.Linear(3, out)
            return
        self.parts = nn.ModuleList(Tree(depth - 1, 4, act, join, parts, weighted) for _ in range(parts))
        many, width = (parts, 4) if join == "each" else (1, 4 * parts if join == "cat" else 4)
        self.c = nn.ModuleList(nn.Linear(width, out) for _ in range(many))
        self.w = nn.Parameter(torch.randn(parts)) if weighted else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.parts is None:
            return self.b(self.act(self.a(x)))
        found = [self.act(part(x)) for part in self.parts]
        found = found if self.w is None else [w * y for w, y in zip(self.w, found, strict=True)]
        if self.join == "each":
            return torch.stack([c(y) for c, y in zip(self.c, found, strict=True)]).sum(0)
        return self.c[0](torch.cat(found, -1) if self.join == "cat" else torch.stack(found).sum(0))


def tree(depth: int, act: Callable, join: str = "sum", parts: int = 2, weighted: bool = False) -> Cost:
    torch.manual_seed(0)
    return Cost(Tree(depth, 9, act, join, parts, weighted), nn.MSELoss(), (torch.randn(40, 6), torch.randn(40, 9)))


silu = nn.functional.silu
TREES: dict[str, Callable[[], Cost]] = {
    "three, each read apart": lambda: tree(1, torch.relu, "each", 3),
    "pairs of pairs, added": lambda: tree(2, torch.tanh),
    "pairs of pairs, no scales or signs": lambda: tree(2, silu),
    "pairs of pairs, each read apart": lambda: tree(2, torch.relu, "each"),
    "pairs of pairs, weighted": lambda: tree(2, torch.tanh, "each", weighted=True),
    "threes of threes, each read apart": lambda: tree(2, silu, "each", 3),
    "pairs of pairs of pairs": lambda: tree(3, torch.relu),
    "pairs of pairs of pairs, joined": lambda: tree(3, silu, "cat"),
}
