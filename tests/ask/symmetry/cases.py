"""Architectures with their groups derived by hand: order (connected components) and dimension, the reasoning beside.

Widths are small and outputs wide, so that no layer is a bottleneck: then the rank of the Jacobian must agree ("complete here").
Notation: W b weights and bias of the layer, s a sign or scale, S_n permutations, R* the numbers other than 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial as f

import torch
from torch import nn
from torch.nn import functional as F

from jensen import Cost

MSE, CE = nn.MSELoss(), nn.CrossEntropyLoss()


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[], Cost]
    order: int
    dimension: int
    complete: bool = True  # whether the rank of the Jacobian leaves nothing else


def _vectors(model: nn.Module, outputs: int = 9, loss: nn.Module = MSE, inputs: int = 6, penalty=None) -> Cost:
    x = torch.randn(40, inputs)
    y = torch.randn(40, outputs) if loss is MSE else torch.randint(outputs, (40,))
    return Cost(model, loss, (x, y), penalty=penalty)


def _images(model: nn.Module, outputs: int = 7, channels: int = 2, size: int = 5) -> Cost:
    return Cost(model, CE, (torch.randn(10, channels, size, size), torch.randint(outputs, (10,))))


def mlp(act: Callable[[], nn.Module], bias: bool = True) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5, bias), act(), nn.Linear(5, 4, bias), act(), nn.Linear(4, 9, bias))


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return self.fn(x)


class Stream(nn.Module):
    """A residual stream that is linear: read by a hidden layer and by the output."""

    def __init__(self):
        super().__init__()
        self.a, self.u, self.d, self.c = nn.Linear(6, 5), nn.Linear(5, 7), nn.Linear(7, 5), nn.Linear(5, 9)

    def forward(self, x):
        x = self.a(x)
        return self.c(x + self.d(torch.relu(self.u(x))))


class After(nn.Module):
    """A residual stream with an activation after each sum."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.a, self.u, self.d, self.c = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 5), nn.Linear(5, 9)

    def forward(self, x):
        x = self.act(self.a(x))
        return self.c(self.act(x + self.d(self.act(self.u(x)))))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(11, 4), nn.Linear(15, 9)

    def forward(self, x):
        x = torch.cat([x, torch.relu(self.a(x))], 1)
        return self.c(torch.cat([x, torch.relu(self.b(x))], 1))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.h, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 9)

    def forward(self, x):
        return self.c(torch.tanh(self.h(torch.tanh(self.h(torch.tanh(self.a(x)))))))


class TiedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 6))

    def forward(self, x):
        return torch.relu(x @ self.w.T) @ self.w


class Gains(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.g, self.c = nn.Linear(6, 5), nn.Parameter(torch.randn(5)), nn.Linear(5, 9)

    def forward(self, x):
        return self.c(self.g * torch.tanh(self.a(x)))


class Stack(nn.Module):
    """Three hidden layers side by side, as stacks of matrices, read by one output layer."""

    def __init__(self):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(3, 6, 4)), nn.Parameter(torch.randn(3, 4, 5))
        self.c = nn.Linear(5, 9, bias=False)

    def forward(self, x):
        return self.c(torch.tanh(torch.relu(x @ self.u) @ self.v).sum(0))


class SwiGLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 9)

    def forward(self, x):
        return self.c(F.silu(self.a(x)) * self.b(x))


class Recurrent(nn.Module):
    def __init__(self, kind: str):
        super().__init__()
        self.r, self.c = getattr(nn, kind)(3, 3, batch_first=True), nn.Linear(3, 7)

    def forward(self, x):
        return self.c(self.r(x)[0][:, -1])


def recurrent(kind: str) -> Cost:
    return Cost(Recurrent(kind), MSE, (torch.randn(20, 3, 3), torch.randn(20, 7)))


class Attention(nn.Module):
    """Attention alone, linear before and after it."""

    def __init__(self):
        super().__init__()
        self.e, self.p = nn.Embedding(7, 6), nn.Parameter(torch.randn(5, 6))
        self.m, self.c = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 9)

    def forward(self, t):
        x = self.e(t) + self.p
        return self.c(self.m(x, x, x, need_weights=False)[0].mean(1))


class GPT(nn.Module):
    """One block, norms before; learned positions; four wide, two heads, five hidden."""

    def __init__(self, act=F.gelu):
        super().__init__()
        self.act = act
        self.e, self.p = nn.Embedding(7, 4), nn.Embedding(5, 4)
        self.n1, self.qkv, self.o = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, 4)
        self.n2, self.u, self.d = nn.LayerNorm(4), nn.Linear(4, 5), nn.Linear(5, 4)
        self.n, self.c = nn.LayerNorm(4), nn.Linear(4, 11)

    def forward(self, t):
        x = self.e(t) + self.p(torch.arange(t.shape[1]))
        q, k, v = (z.unflatten(-1, (2, 2)).transpose(1, 2) for z in self.qkv(self.n1(x)).chunk(3, -1))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return self.c(self.n(x + self.d(self.act(self.u(self.n2(x)))))).transpose(1, 2)


def gpt(act=F.gelu) -> Cost:
    return Cost(GPT(act), CE, (torch.randint(7, (12, 5)), torch.randint(11, (12, 5))))


class ResBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.s, self.sb = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.c1, self.b1 = nn.Conv2d(4, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.c2, self.b2 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.c = nn.Linear(4, 7)

    def forward(self, x):
        x = torch.relu(self.sb(self.s(x)))
        x = torch.relu(x + self.b2(self.c2(torch.relu(self.b1(self.c1(x))))))
        return self.c(x.mean((2, 3)))


def conv(*layers: nn.Module, channels: int = 4) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 7))


def eval_norm() -> Cost:
    model = conv(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    for _ in range(3):
        model(2.0 * torch.randn(20, 2, 5, 5) + 1.0)
    return _images(model.eval())


def factorisation() -> Cost:
    m = torch.randn(6, 5)
    return Cost.of(lambda u, v: ((u @ v.T - m) ** 2).mean(), u=torch.randn(6, 2), v=torch.randn(5, 2))


def squares(p):
    return 0.01 * sum((t**2).sum() for t in p.values())


def absolutes(p):
    return 0.01 * sum(t.abs().sum() for t in p.values())


LOGITS = 1  # log-softmax feels no number that is added to all logits: one for the bias, one for each input of the last weights

CASES = [
    # tanh is odd: signs; no scale (Sussmann 1992; Chen, Lu, Hecht-Nielsen 1993)
    Case("tanh", lambda: _vectors(mlp(nn.Tanh)), f(5) * 2**5 * f(4) * 2**4, 0),
    # homogeneous of degree one: a positive scale a unit, no sign
    Case("relu", lambda: _vectors(mlp(nn.ReLU)), f(5) * f(4), 9),
    Case("relu without biases", lambda: _vectors(mlp(nn.ReLU, False)), f(5) * f(4), 9),
    # sigma(-x) = 1 - sigma(x): a sign whose 1 the next bias takes up; without biases there is none to take it
    Case("sigmoid", lambda: _vectors(mlp(nn.Sigmoid)), f(5) * 2**5 * f(4) * 2**4, 0),
    Case("sigmoid without biases", lambda: _vectors(mlp(nn.Sigmoid, False)), f(5) * f(4), 0),
    # neither odd nor even nor homogeneous
    Case("gelu", lambda: _vectors(mlp(nn.GELU)), f(5) * f(4), 0),
    # even: the sign of what comes in alone; degree two: scales s in and s^-2 out
    Case("square", lambda: _vectors(mlp(lambda: Fn(lambda x: x**2))), f(5) * 2**5 * f(4) * 2**4, 9),
    # cos: even, not homogeneous
    Case("cosine", lambda: _vectors(mlp(lambda: Fn(torch.cos))), f(5) * 2**5 * f(4) * 2**4, 0),
    # linear, with biases: the affine group of R^4 between the layers; the inner layer is the narrowest: 4^2 + 4
    Case("linear", lambda: _vectors(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 9))), 2, 20),
    # without biases GL(4)
    Case("linear without biases", lambda: _vectors(nn.Sequential(nn.Linear(6, 4, False), nn.Linear(4, 9, False))), 2, 16),
    # equal L2 turns GL into O: 4 * 3 / 2, and the shift is felt
    Case("linear, L2", lambda: _vectors(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 9)), penalty=squares), 2, 6, False),
    # L2 feels scales; L1 leaves signed permutations
    Case("relu, L2", lambda: _vectors(mlp(nn.ReLU), penalty=squares), f(5) * f(4), 0, False),
    Case("tanh, L1", lambda: _vectors(mlp(nn.Tanh), penalty=absolutes), f(5) * 2**5 * f(4) * 2**4, 0, False),
    # U V': GL(2)
    Case("factorisation", factorisation, 2, 4),
    # nothing but the number added to all logits: 6 weights' worth and the bias
    Case("softmax regression", lambda: _vectors(nn.Linear(6, 4), 4, CE), 1, 6 + LOGITS),
    Case("linear regression", lambda: _vectors(nn.Linear(6, 4), 4), 1, 0),
    # the stream: affine group of R^5 (25 + 5), and two biases are added to it (5); hidden: 7 scales
    Case("linear stream", lambda: _vectors(Stream()), 2 * f(7), 30 + 5 + 7),
    # the stream passes through a relu: S_5 and one scale a unit, shared by all that write to it; hidden S_4 and scales (at
    # random points some relu behind the sum never switches, so that the rank shows more)
    Case("residual after relu", lambda: _vectors(After(torch.relu)), f(5) * f(4), 5 + 4, False),
    Case("residual after tanh", lambda: _vectors(After(torch.tanh)), f(5) * 2**5 * f(4) * 2**4, 0),
    # concatenation: inputs fixed, both hidden layers free on their own
    Case("dense concatenation", lambda: _vectors(Dense()), f(5) * f(4), 5 + 4),
    # one layer used twice: all three hidden values are the same units
    Case("shared layer", lambda: _vectors(Shared()), f(5) * 2**5, 0),
    # rows of w are read and written: scale s in, 1/s out is impossible, a sign too (relu)
    Case("tied autoencoder", lambda: _vectors(TiedAutoencoder(), 6), f(4), 0),
    # c * g * tanh(a x): the sign of a goes to g; sign and scale of g go to c
    Case("raw gains", lambda: _vectors(Gains()), f(5) * 2**5 * 2**5, 5),
    # silu(a x) * (b x): b and c share a number of R* for each unit
    Case("swiglu", lambda: _vectors(SwiGLU()), f(4) * 2**4, 4),
    # each matrix its own 4 hidden units and scales, the three of them change places, and all share the tanh units of the output
    Case("stack of matrices", lambda: _vectors(Stack()), f(4) ** 3 * f(3) * f(5) * 2**5, 12),
    # tanh units, sign through the recurrence; two biases are added (3)
    Case("rnn", lambda: recurrent("RNN"), f(3) * 2**3, 3),
    # the four gates of a unit move together; the sign of cell candidate, cell and output; two biases for each of 4 * 3 gates
    Case("lstm", lambda: recurrent("LSTM"), f(3) * 2**3, 12),
    # of the candidate's two biases one stands inside the reset gate: only reset and update biases (2 * 3) are added
    Case("gru", lambda: recurrent("GRU"), f(3) * 2**3, 6),
    # units of a flattened channel stay together; logits: 4 * 9 + 1; hidden: 3 and 4 scales
    Case(
        "convolution, flatten",
        lambda: _images(nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 7)
        )),
        f(3) * f(4), 3 + 4 + 36 + LOGITS,
    ),
    # training: the bias before the norm is not felt (4), epsilon fixes the scale before it but not the sign; behind it relu
    # scales (4); logits 4 + 1
    Case("batch norm, training", lambda: _images(conv(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU())), f(4) * 2**4, 4 + 4 + 5),
    # evaluation: an affine map, so that the scale before it is free too (R*: 4 and signs), and the bias goes to the norm's (4)
    Case("batch norm, evaluation", eval_norm, f(4) * 2**4, 4 + 4 + 4 + 5),
    # two groups of two channels: S_2 wr S_2; a sign for each group (the norm is odd); in each group the biases' common part
    # is not felt (2); relu scales (4)
    Case(
        "group norm", lambda: _images(conv(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU())),
        f(2) ** 2 * f(2) * 2**2, 2 + 4 + 5,
    ),
    # every channel its own group
    Case(
        "instance norm", lambda: _images(conv(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU())),
        f(4) * 2**4, 4 + 4 + 5,
    ),
    # inside a group 2 inputs and 3 outputs; the two groups may change places; relu scales 4 + 6
    Case(
        "grouped convolution",
        lambda: _images(conv(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), channels=6)),
        f(2) ** 2 * f(3) ** 2 * 2, 4 + 6 + 7,
    ),
    # channel and depthwise channel are one unit; two scales on each; then 4 of their own
    Case(
        "depthwise convolution",
        lambda: _images(conv(
            nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.ReLU(), nn.Conv2d(3, 4, 1), nn.ReLU()
        )),
        f(3) * f(4), 3 + 3 + 4 + 5,
    ),
    # both norms that write to the stream share its permutation; signs before each norm (4 + 3 + 4); scales: one for the stream
    # (4: relu behind the sum), one for the hidden channels (3); logits 5
    Case("residual network, batch norm", lambda: _images(ResBlock()), f(4) * f(3) * 2**11, 4 + 3 + 5),
    # a bias before a layer norm: its common part is not felt, nor that of each column of W (1 + 6); global sign 2; relu: 5 scales
    Case(
        "layer norm", lambda: _vectors(nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 9))),
        f(5) * 2, 7 + 5,
    ),
    # the same in front of a linear layer: R* for each gain (2^5, 5), its bias goes to the next (5), what reads the norm does not
    # feel one direction (9), and the norm's input may be rotated about the mean: O(4), 6; the global sign
    Case(
        "layer norm, linear", lambda: _vectors(nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 9))),
        2**5 * 2 * 2, 7 + 5 + 5 + 9 + 6,
    ),
    # RMS norm, no gain in the way of a relu: permutations, gains' scales, sign of the whole input
    Case(
        "rms norm", lambda: _vectors(nn.Sequential(nn.Linear(6, 5), nn.RMSNorm(5, eps=0.1), nn.ReLU(), nn.Linear(5, 9))),
        f(5) * 2**5, 5,
    ),
    # input: GL(6) (36), tokens and positions exchange a vector (6), and a vector goes to the biases of q, k, v (6); each head:
    # GL(3) on q, k and a key bias that is not felt (9 + 3), the affine group of R^3 on v (9 + 3); output: affine group (42);
    # heads change places
    Case(
        "attention", lambda: Cost(Attention(), MSE, (torch.randint(7, (20, 5)), torch.randn(20, 9))),
        2 * 2 * 2**4 * 2, 36 + 6 + 6 + 2 * 24 + 42,
    ),
    # order: O(3) about the stream's mean and the stream's sign (2 * 2), a sign for each gain of three norms (12), GL(2) twice a
    # head (2^4) and heads that change places (2), hidden units; dimension: O(3) 3, gains 12, four GL(2) 16; means that no norm
    # feels, of 7 tokens, 5 positions, o (4 + 1) and d (5 + 1), 23; tokens and positions exchange a vector about the mean, 3; the
    # norms' biases go to their readers, 12; key biases 4, value biases to o's 4; the direction that no norm gives, in 12 + 5 + 11
    # rows, 28; logits 4 + 1, of which the one of that direction is counted already, 4
    Case("transformer, norms before, gelu", gpt, 2 * 2 * 2**12 * (2 * 2**4) * f(5), 109),
    Case("transformer, norms before, relu", lambda: gpt(F.relu), 2 * 2 * 2**12 * (2 * 2**4) * f(5), 109 + 5),
]  # fmt: skip
