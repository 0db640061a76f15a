"""A decoder-only transformer: 12 layers of width 128 with 4 heads, on synthetic tokens.

The head has its own weights (tied to the embedding, J would not be convex in it).
"""

import torch
from torch import nn
from torch.nn import functional as F

from jensen.cost import Cost


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int = 256, context: int = 32, layers: int = 12, width: int = 128, heads: int = 4):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).transpose(1, 2)


def build(layers: int = 12, sequences: int = 2) -> Cost:
    torch.manual_seed(0)
    text = torch.randint(256, (sequences, 33))
    return Cost(GPT(layers=layers), nn.CrossEntropyLoss(), (text[:, :-1], text[:, 1:]))


def __getattr__(name: str) -> Cost:
    if name != "cost":
        raise AttributeError(name)
    globals()["cost"] = build()
    return globals()["cost"]
