"""More architectures with groups derived by hand: rotary positions, and parts of a network that may change places.

Notation as in ``cases``; K wr S_h has |K / K°|^h · h! components.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import factorial as f
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ask.symmetry.cases import CE, MSE, Case, squares
from jensen import Cost

L = nn.Linear


class Net(nn.Module):
    """Some layers and parameters, and what is done with them."""

    def __init__(self, fn: Callable[[Any, torch.Tensor], torch.Tensor], **parts: Any):
        super().__init__()
        self.fn = fn
        for name, part in parts.items():
            whole = nn.ModuleList(part) if isinstance(part, list) else part
            setattr(self, name, nn.Parameter(whole) if isinstance(whole, torch.Tensor) else whole)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fn(self, x)


def net(fn: Callable[[Any, torch.Tensor], torch.Tensor], **parts: Any) -> Cost:
    return Cost(Net(fn, **parts), MSE, (torch.randn(40, 6), torch.randn(40, 9)))


def layers(n: int, *sizes: int, bias: bool = True) -> list[list[nn.Module]]:
    """For each layer n equal ones."""
    return [[L(a, b, bias) for _ in range(n)] for a, b in itertools.pairwise(sizes)]


# -- rotary positions ----------------------------------------------------------------------------------------------------


def turned(x: torch.Tensor, halves: bool) -> torch.Tensor:
    """Pairs of channels turned by an angle that grows with the position: halves, or neighbours."""
    t, d = x.shape[-2:]
    angle = torch.arange(t, dtype=x.dtype)[:, None] * 10.0 ** -torch.arange(0, d, 2, dtype=x.dtype)
    c, s = angle.cos(), angle.sin()
    if halves:
        a, b = x.chunk(2, -1)
        return x * torch.cat([c, c], -1) + torch.cat([-b, a], -1) * torch.cat([s, s], -1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)


class Rotary(nn.Module):
    """Attention with rotary positions between an embedding of 6 channels and 6 tanh units; heads of 4 channels."""

    def __init__(self, halves=True, bias=False, heads=2, keys=2, norm=False, part=4):
        super().__init__()
        self.halves, self.norm, self.part = halves, norm, part
        self.e, self.q = nn.Embedding(7, 6), L(6, 4 * heads, bias)
        self.k, self.v = L(6, 4 * keys, bias), L(6, 4 * keys, bias)
        self.o, self.c = L(4 * heads, 6, bias), L(6, 9)
        self.copies = heads // keys

    def forward(self, t):
        x = self.e(t)
        q, k, v = (m(x).unflatten(-1, (-1, 4)).transpose(1, 2) for m in (self.q, self.k, self.v))
        if self.norm:
            q, k = (F.rms_norm(z, (4,), eps=0.1) for z in (q, k))
        p = self.part
        q, k = (torch.cat([turned(z[..., :p], self.halves), z[..., p:]], -1) for z in (q, k))
        k, v = (z.repeat_interleave(self.copies, 1) for z in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.c(torch.tanh(self.o(y)))


def rotary(penalty: Any = None, **how: Any) -> Cost:
    return Cost(Rotary(**how), MSE, (torch.randint(7, (12, 5)), torch.randn(12, 5, 9)), penalty=penalty)


# the embedding's GL(6) and the tanh units: 2 * 6!·2^6 components, 36
AROUND = 2 * f(6) * 2**6

ROTARY = [
    # C* for each of 2 pairs of 2 heads, connected, 2 * 4; values and outputs GL(4) a head, 2^2 and 32; heads change places
    Case("rotary, halves", rotary, AROUND * 2**2 * 2, 36 + 8 + 32),
    # biases: a vector goes from the embedding to those of q, k and v (6), value biases to the output's (8); a key bias is
    # turned with its key, and felt
    Case("rotary, neighbours, biases", lambda: rotary(halves=False, bias=True), AROUND * 2**2 * 2, 36 + 8 + 32 + 6 + 8),
    # of 4 query heads two share a key and a value: they change places inside (2!^2), and the pairs of them (2!); the scalars
    # and GL(4) are those of keys and values
    Case("rotary, shared keys", lambda: rotary(heads=4), AROUND * 2**2 * f(2) ** 2 * f(2), 36 + 8 + 32),
    # one pair turns, 2 a head; the other two channels have GL(2)
    Case("rotary, a part", lambda: rotary(part=2), AROUND * 2**2 * 2**2 * 2, 36 + 4 + 8 + 32),
    # a norm without a gain fixes the modulus: phases, one a pair
    Case("rotary, normed", lambda: rotary(norm=True), AROUND * 2**2 * 2, 36 + 4 + 32),
    # equal L2 leaves phases too, and O for GL: 15 + 2 * 6
    Case("rotary, L2", lambda: rotary(squares), AROUND * 2**2 * 2, 15 + 4 + 12, False),
]

# -- equal parts ---------------------------------------------------------------------------------------------------------


def experts(s: Any, x: torch.Tensor) -> torch.Tensor:
    gate = s.g(x).softmax(-1)
    return gate[:, :1] * s.b[0](torch.relu(s.a[0](x))) + gate[:, 1:] * s.b[1](torch.relu(s.a[1](x)))


def two_deep(s: Any, x: torch.Tensor) -> torch.Tensor:
    return sum(s.c[i](torch.relu(s.b[i](torch.relu(s.a[i](x))))) for i in range(2))


def nested(s: Any, x: torch.Tensor) -> torch.Tensor:
    def inner(i: int) -> torch.Tensor:
        return torch.tanh(s.b[i](torch.tanh(s.a[i](x))))

    return sum(s.w[j] * torch.tanh(s.c[2 * j](inner(2 * j)) + s.c[2 * j + 1](inner(2 * j + 1))) for j in range(2))


def heads(s: Any, t: torch.Tensor) -> torch.Tensor:
    x = s.e(t)
    out = [F.scaled_dot_product_attention(s.q[i](x), s.k[i](x), s.v[i](x), is_causal=True) for i in range(2)]
    return s.c(torch.tanh(s.o(torch.cat(out, -1))))


def pooled(s: Any, x: torch.Tensor) -> torch.Tensor:
    return s.c((s.a(x)[:, :, None] * s.b(x)[:, None, :]).flatten(1))


class Inception(nn.Module):
    """Two convolutions with norms side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (nn.Conv2d(2, 3, 3, bias=False) for _ in range(2))
        self.m, self.n = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.c = L(6, 7)

    def forward(self, x):
        return self.c(torch.cat([torch.relu(self.m(self.a(x))), torch.relu(self.n(self.b(x)))], 1).mean((2, 3)))


def inception() -> Cost:
    model = Inception()
    for _ in range(3):
        model(2.0 * torch.randn(20, 2, 5, 5) + 1.0)
    return Cost(model.eval(), CE, (torch.randn(10, 2, 5, 5), torch.randint(7, (10,))))


def encoder() -> Cost:
    layer = nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True, activation="gelu", norm_first=True)
    run = lambda s, t: s.c(s.n(s.t(s.e(t) + s.p)).mean(1))  # noqa: E731
    model = Net(run, e=nn.Embedding(9, 4), p=torch.randn(5, 4), t=layer, n=nn.LayerNorm(4), c=L(4, 11))
    return Cost(model, CE, (torch.randint(9, (12, 5)), torch.randint(11, (12,))))


def shuffled() -> Cost:
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.PixelShuffle(2), nn.Conv2d(2, 3, 1))
    return Cost(model, MSE, (torch.randn(6, 2, 5, 5), torch.randn(6, 3, 6, 6)))


PARALLEL = [
    # one hidden layer in two pieces, of 4 and 3 units: S_7; signs
    Case(
        "concatenation of equal layers",
        lambda: net(lambda s, x: s.c(torch.cat([torch.tanh(s.a(x)), torch.tanh(s.b(x))], 1)), a=L(6, 4), b=L(6, 3), c=L(7, 9)),
        f(7) * 2**7, 0,
    ),
    # the same with two outputs that are added: S_8, relu scales; two biases are added (9)
    Case(
        "sum of networks",
        lambda: net(lambda s, x: s.b[0](torch.relu(s.a[0](x))) + s.b[1](torch.relu(s.a[1](x))), **dict(zip("ab", layers(2, 6, 4, 9), strict=False))),
        f(8), 8 + 9,
    ),
    # an average of three: S_6 and signs; three biases are added (18)
    Case(
        "average of networks",
        lambda: net(
            lambda s, x: torch.stack([b(torch.tanh(a(x))) for a, b in zip(s.a, s.b, strict=True)]).mean(0),
            **dict(zip("ab", layers(3, 6, 2, 9), strict=False)),
        ),
        f(6) * 2**6, 18,
    ),
    # deeper ones change places as wholes: (S_4 x S_5) wr S_2; relu scales; biases
    Case("sum of deep networks", lambda: net(two_deep, **dict(zip("abc", layers(2, 6, 4, 5, 9), strict=False))), (f(4) * f(5)) ** 2 * 2, 18 + 9),
    # S_2·2^2 twice in each of four, in pairs (S_2 wr S_2); each pair's number w has the sign of what it multiplies: 2^2, and it
    # is the same for all of the pair's weights
    Case(
        "pairs of pairs",
        lambda: net(nested, w=torch.randn(2), **dict(zip("abc", layers(4, 6, 2, 2, 9, bias=False), strict=False))),
        (8 * 8) ** 4 * 2**2 * 2 * 2**2, 0,
    ),
    # linear in two pieces: one GL(4)
    Case(
        "sum of linear maps",
        lambda: net(lambda s, x: s.b[0](s.a[0](x)) + s.b[1](s.a[1](x)), **dict(zip("ab", layers(2, 6, 2, 9, bias=False), strict=False))),
        2, 16,
    ),
    # tanh units of two layers are added one by one: each pair changes places on its own (S_2 wr S_4), its sign is common
    Case(
        "sum of layers",
        lambda: net(lambda s, x: s.c(torch.tanh(s.a(x)) + torch.tanh(s.b(x))), a=L(6, 4), b=L(6, 4), c=L(4, 9)),
        2**4 * f(4) * 2**4, 0,
    ),
    # the larger of two: the same; one scale a unit (4), and a shift of both biases goes to the output's (4)
    Case(
        "larger of layers",
        lambda: net(lambda s, x: s.c(torch.maximum(s.a(x), s.b(x))), a=L(6, 4), b=L(6, 4), c=L(4, 9)),
        2**4 * f(4), 4 + 4,
    ),
    Case(
        "maxout", lambda: net(lambda s, x: s.c(s.a(x).unflatten(-1, (4, 2)).amax(-1)), a=L(6, 8), c=L(4, 9)),
        2**4 * f(4), 4 + 4,
    ),
    # hidden units of each, and the two with their rows of the gate; scales; a number added to both rows of the gate (6 + 1)
    Case("experts", lambda: net(experts, g=L(6, 2), **dict(zip("ab", layers(2, 6, 3, 9), strict=False))), f(3) ** 2 * 2, 6 + 7),
    # the embedding's GL(6); GL(3) for query and key, value and output of each head (2^4, 36); heads change places; 5 tanh units
    Case(
        "heads as modules",
        lambda: Cost(
            Net(heads, e=nn.Embedding(7, 6), **dict(zip("qkv", [layers(2, 6, 3, bias=False)[0] for _ in "qkv"], strict=False)), o=L(6, 5), c=L(5, 9)),
            MSE, (torch.randint(7, (12, 5)), torch.randn(12, 5, 9)),
        ),
        2 * 2**4 * 2 * f(5) * 2**5, 36 + 36,
    ),
    # running statistics of the two differ and are taken into weights and biases: S_6, signs and scales of six channels on both
    # sides of their norms (6 + 6), logits
    Case("convolutions side by side", inception, f(6) * 2**6, 6 + 6 + 7),
    # GL(3) and GL(4) on the two sides of the product
    Case("bilinear pooling", lambda: net(pooled, a=L(6, 3, False), b=L(6, 4, False), c=L(12, 9)), 2 * 2, 9 + 16),
    # what two values share is not felt in their difference: the second bias (4); tanh units; the sign of what |.| reads, scales
    Case(
        "difference of twins",
        lambda: net(
            lambda s, x: s.c((s.b(torch.tanh(s.a(x[:, :3]))) - s.b(torch.tanh(s.a(x[:, 3:])))).abs()), a=L(3, 5), b=L(5, 4), c=L(4, 9)
        ),
        f(5) * 2**5 * f(4) * 2**4, 4 + 4,
    ),
    # four channels make one: the two may change places, one scale each
    Case("pixel shuffle", shuffled, 2, 2),
    # as "transformer, norms before" with 9 tokens and 4 feed-forward rows fewer: 109 + 2 means of tokens
    Case("encoder layer, norms before", encoder, 2 * 2 * 2**12 * (2 * 2**4) * f(5), 111),
    # the product of two layers: units' pairs change places; a scale and two signs each
    Case(
        "product of layers", lambda: net(lambda s, x: s.c(s.a(x) * s.b(x)), a=L(6, 4), b=L(6, 4), c=L(4, 9)),
        2**4 * f(4) * 2**4 * 2**4, 8,
    ),
    # other functions side by side are told apart
    Case(
        "concatenation of unlike layers",
        lambda: net(lambda s, x: s.c(torch.cat([torch.tanh(s.a(x)), torch.relu(s.b(x))], 1)), a=L(6, 4), b=L(6, 4), c=L(8, 9)),
        f(4) ** 2 * 2**4, 4,
    ),
]  # fmt: skip
