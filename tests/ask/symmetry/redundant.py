"""Architectures with more redundancy than units and matrices show: streams that norms feel less of than layers read, norms' biases
before layers without biases, trained corrections of low rank, quadratic forms. Groups derived by hand; notation as in ``cases``."""

from __future__ import annotations

from math import factorial as f
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ask.symmetry.cases import CE, MSE, Case, squares
from ask.symmetry.parallel import Net
from jensen import Cost

L = nn.Linear


def tokens(model: nn.Module, each: bool, outputs: int = 11) -> Cost:
    y = torch.randint(outputs, (12, 5) if each else (12,))
    return Cost(model, CE, (torch.randint(9, (12, 5)), y))


def after(blocks: int = 1, act: str = "gelu", each: bool = False, bias: bool = True) -> Cost:
    """Norms after the sums: width 4, two heads, five hidden; 9 tokens, 5 positions, 11 classes."""
    layers = [nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True, activation=act) for _ in range(blocks)]

    def run(s: Any, t: torch.Tensor) -> torch.Tensor:
        x = s.e(t) + s.p
        for layer in s.t:
            x = layer(x)
        return s.c(x).transpose(1, 2) if each else s.c(x.mean(1))

    return tokens(Net(run, e=nn.Embedding(9, 4), p=torch.randn(5, 4), t=layers, c=L(4, 11, bias)), each)


def before(qkv: bool = False, head: bool = False, last: bool = True) -> Cost:
    """Norms before: as ``cases.gpt``, some layers without biases, the last norm left out."""

    def run(s: Any, t: torch.Tensor) -> torch.Tensor:
        x = s.e(t) + s.p
        q, k, v = (z.unflatten(-1, (2, 2)).transpose(1, 2) for z in s.qkv(s.n1(x)).chunk(3, -1))
        x = x + s.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        x = x + s.d(F.gelu(s.u(s.n2(x))))
        return s.c(s.n(x)).transpose(1, 2)

    n = nn.LayerNorm(4) if last else nn.Identity()
    model = Net(
        run, e=nn.Embedding(9, 4), p=torch.randn(5, 4), n1=nn.LayerNorm(4), qkv=L(4, 12, qkv), o=L(4, 4), n2=nn.LayerNorm(4),
        u=L(4, 5), d=L(5, 4), n=n, c=L(4, 11, head),
    )  # fmt: skip
    return tokens(model, True)


def tuned(form: str, penalty: Any = None) -> Cost:
    """A layer and a correction of rank 2, tanh units."""

    def run(s: Any, x: torch.Tensor) -> torch.Tensor:
        if form == "weights":
            return s.c(torch.tanh(F.linear(x, s.l.weight + 0.5 * s.b.weight @ s.a.weight, s.l.bias)))
        return s.c(torch.tanh(s.l(x) - 0.5 * s.b(s.a(x))))

    model = Net(run, l=L(6, 5), a=L(6, 2, False), b=L(2, 5, False), c=L(5, 9))
    return Cost(model, MSE, (torch.randn(40, 6), torch.randn(40, 9)), penalty=penalty)


def frozen(cost: Cost, *names: str) -> Cost:
    return cost.restrict([n for n in cost.blocks if n not in names])


def form(other: bool = False) -> Cost:
    """A bilinear layer that reads one value twice, or two."""

    def run(s: Any, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(s.a(x))
        return s.b(y, torch.tanh(s.d(x)) if other else y)

    model = Net(run, a=L(6, 4), b=nn.Bilinear(4, 4, 9), **({"d": L(6, 4)} if other else {}))
    return Cost(model, MSE, (torch.randn(40, 6), torch.randn(40, 9)))


HEADS = 2**4 * 2  # GL(2) twice in each of two heads, 4 * 4 dimensions; heads change places

REDUNDANT = [
    # order: S_4 of the stream, which gains hold in place; the signs of what the two norms read, and of the last norm's gains;
    # hidden units; the shears of the first stream have two components. Dimension: GL(2) 16; the last gains 4; a vector goes
    # from positions to the biases of qkv and o (4), from tokens to positions (4); key biases 4, value biases to o's 4; means
    # that norms do not feel, of o 4 + 1, of the second layer 5 + 1; the first norm's bias goes to both layers' (4), the
    # second's to the head's (4); logits 4 + 1; the direction that norms do not give, in 5 + 11 rows, of which the one of all
    # logits is counted; the first stream is read by qkv, and behind the sum only by the norm: x + 1 w'x (4); one direction of
    # the first gain: zeros of p + t, p = prod (x - g_i), leave P diag(g) P's eigenvalues, and both streams turn (1)
    Case("norms after, gelu", after, f(4) * HEADS * f(5) * 2 * 2 * 2**4 * 2, 80),
    # relu scales; each token has its own logits
    Case("norms after, relu, tokens", lambda: after(1, "relu", True), f(4) * HEADS * f(5) * 2 * 2 * 2**4 * 2, 80 + 5),
    # the head's bias is gone: the logits' number, and 10 rows of the direction that the last norm does not give; its bias is
    # now a shear with the head's columns, of the same dimension as before, with a component more
    Case("norms after, no bias behind", lambda: after(bias=False), f(4) * HEADS * f(5) * 2 * 2 * 2**4 * 2 * 2, 80 - 1 - 10),
    # three gains inside hold the spectrum of each other, so that t is gone; the second block: GL 16, key and value biases 8,
    # o and the second layer 11, the norms' biases 8, 12 + 5 rows of the direction; two signs of norms more
    Case("norms after, two blocks", lambda: after(2), f(4) * HEADS**2 * f(5) ** 2 * 2**4 * 2**4 * 2, 80 - 1 + 60),
    # as "transformer, norms before" (109, with 9 tokens 111), less key biases and value biases (8), less 12 + 11 rows of the
    # direction that norms do not give, but for those of keys (4), which are not felt, and of values (4), which o's bias takes
    # up; of the logits' 4 + 1 the bias (1); less the logits' part of these rows, counted there (+ 1)
    Case("norms before, no biases", before, 2 * 2 * 2**12 * HEADS * f(5) * 2 * 2, 111 - 8 - 23 + 8 - 1 + 1),
    # the stream is read by the head as it is: rotations about the mean and shears, which hold the stream's sign; gains and
    # their signs 8; GL 16; a vector from tokens to positions 4; the mean of positions goes to o's bias and from there to the
    # second layer's (1 + 1), whose bias goes to the head's (4); norms' biases 4 + 4; key and value biases 8; 12 + 5 rows;
    # logits 4 + 1; O(3) 3, shears 4
    Case("norms before, none behind", lambda: before(True, True, False), 2 * 2 * 2**8 * HEADS * f(5), 8 + 16 + 4 + 2 + 4 + 8 + 8 + 17 + 5 + 3 + 4),
    # W + B A is one free matrix: B and A may be anything, 2 (6 + 5)
    Case("correction in the weights", lambda: tuned("weights"), f(5) * 2**5, 22),
    Case("correction beside the layer", lambda: tuned("layers"), f(5) * 2**5, 22),
    # felt by a penalty: O(2)
    Case("correction, L2", lambda: tuned("layers", squares), f(5) * 2**5 * 2, 1, False),
    # W is frozen, and with it the units: GL(2); A is: B is free
    Case("correction, weight frozen", lambda: frozen(tuned("weights"), "l.weight"), 2, 4),
    Case("correction, half frozen", lambda: frozen(tuned("layers"), "a.weight"), f(5) * 2**5, 10),
    # x'Wx does not feel W - W': 9 * 6
    Case("quadratic form", form, f(4) * 2**4, 9 * 6),
    Case("bilinear form", lambda: form(True), f(4) ** 2 * 2**8, 0),
]  # fmt: skip
