"""Architectures that an outside tester chose, with their groups derived by hand before they were run (as in :mod:`cases`)."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial as f
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ask.symmetry.cases import CE, MSE, Case, conv
from ask.symmetry.parallel import L
from jensen import Cost


class Net(nn.Module):
    """Parameters and layers, and what is done with them; tensors of whole numbers are buffers."""

    def __init__(self, fn: Callable[..., Tensor], **parts: Any):
        super().__init__()
        self.fn = fn
        for name, part in parts.items():
            if isinstance(part, Tensor) and not part.is_floating_point():
                self.register_buffer(name, part)
            else:
                setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, *x: Tensor) -> Tensor:
        return self.fn(self, *x)


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def rms() -> nn.Module:
    return nn.RMSNorm(4, eps=1e-2)


def vectors(fn: Callable[..., Tensor], **parts: Any) -> Cost:
    return Cost(Net(fn, **parts), MSE, (r(40, 6), r(40, 9)))


def tokens(fn: Callable[..., Tensor], **parts: Any) -> Cost:
    return Cost(Net(fn, **parts), CE, (torch.randint(7, (16, 5)), torch.randint(11, (16, 5))))


def by_hand(s: Any, x: Tensor) -> Tensor:
    h = c = torch.zeros(len(x), 3, dtype=x.dtype)
    for t in range(x.shape[1]):
        i, fo, g, o = (torch.cat([x[:, t], h], 1) @ s.w + s.b).split(3, 1)
        c = fo.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return s.c(h)


def experts(s: Any, x: Tensor) -> Tensor:
    h = torch.relu(torch.einsum("ni,eih->neh", x, s.u) + s.b)
    return torch.einsum("ne,neh,eho->no", s.g(x).softmax(-1), h, s.v)


def towers(s: Any, x: Tensor) -> Tensor:
    return s.t * (s.b(torch.tanh(s.a(x[:, :4]))) * s.d(torch.tanh(s.c(x[:, 4:])))).sum(-1)


def llama(s: Any, t: Tensor) -> Tensor:
    """Queries in two groups of two heads, each group with a key and a value; RMS norms, SwiGLU, no biases."""
    x = s.e(t) + s.p
    y, (n, m) = s.n1(x), t.shape
    q, k, v = s.q(y).view(n, m, 2, 2, 2), s.k(y).view(n, m, 2, 2), s.v(y).view(n, m, 2, 2)
    a = torch.einsum("ntghd,nsgd->nghts", q, k).masked_fill(torch.ones(m, m).triu(1).bool(), float("-inf")).softmax(-1)
    x = x + s.o(torch.einsum("nghts,nsgd->ntghd", a, v).reshape(n, m, 8))
    y = s.n2(x)
    return s.c(s.n3(x + s.d(F.silu(s.u(y)) * s.w(y)))).transpose(1, 2)


def scaled(s: Any, t: Tensor) -> Tensor:
    """GPT with LayerScale."""
    x = s.e(t) + s.p
    q, k, v = (z.unflatten(-1, (2, 2)).transpose(1, 2) for z in s.qkv(s.n1(x)).chunk(3, -1))
    x = x + s.g1 * s.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
    return s.c(s.n(x + s.g2 * s.d(F.gelu(s.u(s.n2(x)))))).transpose(1, 2)


def decoder() -> Cost:
    layer = nn.TransformerDecoderLayer(4, 2, 5, 0.0, activation="gelu", batch_first=True, norm_first=True)
    model = Net(
        lambda s, t, m: s.c(s.n(s.l(s.e(t) + s.p, m))).transpose(1, 2),
        e=nn.Embedding(7, 4), p=r(5, 4), l=layer, n=nn.LayerNorm(4), c=L(4, 11),
    )  # fmt: skip
    return Cost(model, CE, ((torch.randint(7, (16, 5)), r(16, 6, 4)), torch.randint(11, (16, 5))))


def heads(x: Tensor) -> Tensor:
    return x.view(len(x), -1, 2, 3).transpose(1, 2)


def relative(s: Any, x: Tensor) -> Tensor:
    q, k, v = torch.einsum("nti,ihcd->chntd", x, s.w)
    a = torch.einsum("hntd,hnsd->hnts", q, k) + s.b[:, s.i].unsqueeze(1)
    y = torch.einsum("hnts,hnsd->nthd", a.softmax(-1), v)
    return s.c(torch.tanh(torch.einsum("nthd,hdo->nto", y, s.o)).mean(1))


def normed(s: Any, x: Tensor) -> Tensor:
    y = F.scaled_dot_product_attention(s.m(heads(s.q(x))), s.n(heads(s.k(x))), heads(s.v(x)))
    return s.c(torch.tanh(s.o(y.transpose(1, 2).flatten(2))).mean(1))


def patches(s: Any, x: Tensor) -> Tensor:
    x = s.e(x).flatten(2).transpose(1, 2)
    x = torch.cat([s.cls.expand(len(x), 1, 4), x], 1) + s.p
    y = s.n1(x)
    q, k, v = (m(y).unflatten(-1, (2, 2)).transpose(1, 2) for m in (s.q, s.k, s.v))
    x = x + s.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    y = s.n2(x)
    return s.c(s.n3(x + s.d(F.silu(s.u(y)) * s.w(y))).mean(1))


def square(out: int = 4) -> dict[str, nn.Module]:
    return {name: L(4, 4, False) for name in "qkvo"} | {
        "u": L(4, 5, False),
        "w": L(4, 5, False),
        "d": L(5, 4, False),
        "c": L(4, out, False),
    }


def siamese(s: Any, x: Tensor) -> Tensor:
    u, v = (s.b(torch.relu(s.a(t))) for t in (x[:, :3], x[:, 3:]))
    return s.c(torch.cat([(u - v).abs(), u * v], 1))


def streamed(s: Any, x: Tensor) -> Tensor:
    x = s.a(x)
    return s.c(x + s.g * s.d(torch.tanh(s.u(x))))


OUTSIDE = [
    # neither odd nor even nor homogeneous
    Case("softplus", lambda: vectors(lambda s, x: s.c(F.softplus(s.b(F.softplus(s.a(x))))), a=L(6, 5), b=L(5, 4), c=L(4, 9)), f(5) * f(4), 0),
    # 6 + 2 numbers that nothing reads
    Case("unread blocks", lambda: vectors(lambda s, x: s.c(torch.tanh(s.a(x))), a=L(6, 5), c=L(5, 9), idle=L(3, 2)), f(5) * 2**5, 8),
    # one matrix for input and state, and for all gates; the state begins at 0. A unit's four gates, its row and its column move
    # together; the sign of candidate, cell and output
    Case("lstm by hand", lambda: Cost(Net(by_hand, w=r(6, 12) / 2, b=r(12), c=L(3, 7)), MSE, (r(20, 4, 3), r(20, 7))), f(3) * 2**3, 0),
    # three experts of two relu units as stacks: S_2 wr S_3, scales, and what is added to all rows of the gate (6 + 1)
    Case("stacked experts", lambda: vectors(experts, g=L(6, 3), u=r(3, 6, 2), b=r(3, 2), v=r(3, 2, 9)), f(2) ** 3 * f(3), 6 + 7),
    # t <B tanh(a x), D tanh(c y)>: GL(3) between B and D, and R* between t and either; tanh units of both
    Case(
        "two towers",
        lambda: Cost(Net(towers, a=L(4, 4), b=L(4, 3, False), c=L(4, 5), d=L(5, 3, False), t=torch.tensor(1.3)), nn.BCEWithLogitsLoss(), (r(60, 8), torch.rand(60).round())),
        2 * 2 * f(4) * 2**4 * f(5) * 2**5, 9 + 1,
    ),
    # two linear maps into a bilinear one: GL(3), GL(2); relu units
    Case(
        "bilinear of two inputs",
        lambda: Cost(
            Net(lambda s, x, y: s.c(torch.relu(s.m(s.a(x), s.b(y)))), a=L(6, 3, False), b=L(5, 2, False), m=nn.Bilinear(3, 2, 4), c=L(4, 9)),
            MSE, ((r(60, 6), r(60, 5)), r(60, 9)),
        ),
        2 * 2 * f(4), 9 + 4 + 4,
    ),
    # order: O(4) of the stream 2, signs of three gains 2^12, for each group GL(2) on queries and key, on value and outputs (2^4),
    # heads of a group and groups change places (2! 2! 2), SwiGLU 5!·2^5; dimension: 6 + 12 + 4 * 4 + 5, tokens and positions
    # exchange a vector (4), and logits share one (4)
    Case(
        "grouped queries, rms norm, swiglu",
        lambda: tokens(
            llama, e=nn.Embedding(7, 4), p=r(5, 4), n1=rms(), q=L(4, 8, False), k=L(4, 4, False), v=L(4, 4, False), o=L(8, 4, False),
            n2=rms(), u=L(4, 5, False), w=L(4, 5, False), d=L(5, 4, False), n3=rms(), c=L(4, 11, False),
        ),
        2 * 2**12 * 2**4 * 8 * f(5) * 2**5, 6 + 12 + 16 + 5 + 4 + 4,
    ),
    # as "transformer, norms before" (109), and: R* for each number of two gains behind layers (8). What no norm feels of these
    # layers lies along the gain's inverse (4 + 1 and 5 + 1, among the 109)
    Case(
        "transformer with layer scale",
        lambda: tokens(
            scaled, e=nn.Embedding(7, 4), p=r(5, 4), n1=nn.LayerNorm(4), qkv=L(4, 12), o=L(4, 4), g1=r(4), n2=nn.LayerNorm(4),
            u=L(4, 5), d=L(5, 4), g2=r(4), n=nn.LayerNorm(4), c=L(4, 11),
        ),
        2 * 2 * 2**12 * 2**8 * (2 * 2**4) * f(5), 109 + 8,
    ),
    # as "transformer, norms before" (109), and an attention to data between: its norm's gain (4, 2^4), bias (4) and the direction
    # that the norm does not give (4); GL(2) four times (16, 2^4), heads (2), key biases 4, value biases 4; what no norm feels of
    # its output 4 + 1. One matrix holds its queries, which read the stream, and its keys and values, which read the data
    Case("decoder layer, norms before", decoder, 2 * 2 * 2**16 * (2 * 2**4) ** 2 * f(5), 109 + 4 + 4 + 4 + 16 + 4 + 4 + 5),
    # GL(3) four times; a number for each head that is added to all its relative positions (2); heads; tanh units
    Case(
        "relative positions",
        lambda: Cost(
            Net(relative, w=r(6, 2, 3, 3) / 2, b=r(2, 9), o=r(2, 3, 5) / 2, c=L(5, 9), i=torch.arange(5)[:, None] - torch.arange(5) + 4),
            MSE, (r(30, 5, 6), r(30, 9)),
        ),
        2**4 * 2 * f(5) * 2**5, 36 + 2,
    ),
    # gains shared by two heads: R* between both gains (3, 2^3), S_3 of the channels in both heads; signs of queries, keys and gains:
    # 6 + 6 + 3 numbers more, of which every channel of a head ties one (6): 2^9; GL(3) twice on values; heads; tanh units
    Case(
        "normed queries and keys",
        lambda: Cost(
            Net(normed, q=L(6, 6, False), k=L(6, 6, False), v=L(6, 6, False), m=nn.RMSNorm(3, eps=1e-2), n=nn.RMSNorm(3, eps=1e-2), o=L(6, 5), c=L(5, 9)),
            MSE, (r(40, 4, 6), r(40, 9)),
        ),
        f(3) * 2**3 * 2**9 * 2**2 * 2 * f(5) * 2**5, 3 + 18,
    ),
    # O(4) (6), gains 12 and 2^12, GL(2) four times, heads, SwiGLU; the class token and the first position exchange a vector (4)
    Case(
        "patches and a class token",
        lambda: Cost(
            Net(patches, e=nn.Conv2d(2, 4, 2, stride=2, bias=False), cls=r(1, 1, 4), p=r(5, 4), n1=rms(), n2=rms(), n3=rms(), **square(9)),
            MSE, (r(30, 2, 4, 4), r(30, 9)),
        ),
        2 * 2**12 * (2**4 * 2) * f(5) * 2**5, 6 + 12 + 16 + 5 + 4,
    ),
    # groups of two channels (S_2 wr S_3), a sign and an unfelt bias for each (3); between depthwise and pointwise R* for each
    # channel (6) and a shift of biases (6); relu scales 4, logits 5
    Case(
        "group norm, separable convolution",
        lambda: Cost(
            conv(nn.Conv2d(2, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.SiLU(), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1), nn.ReLU()),
            CE, (r(16, 2, 5, 5), torch.randint(7, (16,))),
        ),
        f(2) ** 3 * f(3) * 2**3 * 2**6 * f(4), 3 + 6 + 6 + 4 + 5,
    ),
    # linear between the two, and what wraps around passes a shift: the affine group of R^3; relu scales 4, logits 5
    Case(
        "circular convolution",
        lambda: Cost(
            conv(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), nn.ReLU()),
            CE, (r(20, 2, 5, 5), torch.randint(7, (20,))),
        ),
        2 * f(4), 9 + 3 + 4 + 5,
    ),
    # |u - v| and u v: both even in the sign of a unit of both; scales s, 1/s and 1/s^2; relu units
    Case(
        "siamese features", lambda: vectors(siamese, a=L(3, 4), b=L(4, 3), c=L(6, 9)), f(4) * f(3) * 2**3, 4 + 3,
    ),
    # a linear stream that a gain stands before: GL(5) and a shift taken up by both readers (25 + 5), R* between gain and layer (5,
    # 2^5); the layer's bias, divided by the gain, and the output's exchange a vector (5); tanh units
    Case(
        "linear stream with a gain", lambda: vectors(streamed, a=L(6, 5), g=torch.rand(5) + 0.5, u=L(5, 4), d=L(4, 5), c=L(5, 9)),
        2 * 2**5 * f(4) * 2**4, 25 + 5 + 5 + 5,
    ),
    # the same with one number (ReZero): R* between it and the layer
    Case(
        "linear stream with a number", lambda: vectors(streamed, a=L(6, 5), g=torch.tensor(0.7), u=L(5, 4), d=L(4, 5), c=L(5, 9)),
        2 * 2 * f(4) * 2**4, 25 + 5 + 5 + 1,
    ),
    # one linear map, averaged from three with raw weights under a softmax: their common part (1); far more is not explained
    Case(
        "raw weights under softmax", lambda: vectors(lambda s, x: torch.einsum("k,koi,ni->no", s.w.softmax(0), s.a, x), w=r(3), a=r(3, 9, 6)),
        f(3), 1, False,
    ),
]  # fmt: skip
