"""More networks whose planted copies ``equivalent`` must recover, trained a little: what people build, with the traps of peers.

Convolution and flatten, tied layers, grouped and depthwise convolutions, group norm, raw scales, concatenation, gates, shared
keys and values, recurrences in both directions, deep linear networks, wide ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equivalence_models import Build, mlp
from equivalence_zoo import (
    AE,
    GCN,
    KV,
    MQA,
    RNN,
    SE,
    VGG,
    Bil,
    DenseNet,
    GNNet,
    Mixer,
    Mobile,
    Raw,
    ResNet,
    ResNeXt,
    Siamese,
    TiedLM,
    UNet,
    ViT,
)
from jensen import Cost

D = torch.float64


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def labels(*shape: int, k: int, seed: int = 2) -> Tensor:
    return torch.randint(0, k, shape, generator=torch.Generator().manual_seed(seed))


def trained(
    build: Callable[[], nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    loss: Any = None,
    steps: int = 60,
    evaluation: bool = False,
    penalty: Any = None,
) -> Build:
    """A cost at parameters some steps of Adam away from a perturbed initialisation."""

    def make() -> Cost:
        torch.manual_seed(0)
        model, measure = build().double(), loss or nn.CrossEntropyLoss()
        with torch.no_grad():
            for p in model.parameters():
                p += 0.02 * torch.randn_like(p)
        adam = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(steps):
            adam.zero_grad()
            measure(model(x), y).backward()
            adam.step()
        return Cost(model.train(not evaluation), measure, (x, y), penalty)

    return make


def linear(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(m, n) for m, n in pairwise(widths)))


def normed(act: Callable[[], nn.Module]) -> nn.Sequential:
    """The sign of a unit stands on its length as well as on its direction."""
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(10, 9)), act(), nn.Linear(9, 5))


VECTORS, IMAGES, SERIES = inputs(64, 10), inputs(32, 3, 8, 8), inputs(16, 6, 5)
OF_VECTORS, OF_IMAGES, OF_SERIES = labels(64, k=5), labels(32, k=4), labels(16, k=3)
TOKENS, NEXT = labels(24, 7, k=11, seed=5), labels(24, 7, k=11, seed=6)


def vectors(build: Callable[[], nn.Module], **how: Any) -> Build:
    return trained(build, VECTORS, OF_VECTORS, **how)


def images(build: Callable[[], nn.Module], **how: Any) -> Build:
    return trained(build, IMAGES, OF_IMAGES, **how)


def series(build: Callable[[], nn.Module], **how: Any) -> Build:
    return trained(build, SERIES, OF_SERIES, **how)


def squares(p: Any) -> Any:
    return 1e-3 * sum(t.square().sum() for t in p.values())


def absolutes(p: Any) -> Any:
    return 1e-3 * sum(t.abs().sum() for t in p.values())


UNSEEN: dict[str, Build] = {
    "max pooling, flatten": images(VGG),
    "max pooling, batch norm in training": images(partial(VGG, True)),
    "max pooling, batch norm in evaluation": images(partial(VGG, True), evaluation=True),
    "tied embedding": trained(TiedLM, TOKENS, NEXT),
    "tied embedding, rms norm": trained(partial(TiedLM, norm=nn.RMSNorm, bias=False, act=F.relu), TOKENS, NEXT),
    "resnext in evaluation": images(ResNeXt, evaluation=True),
    "inverted residual in training": images(Mobile),
    "inverted residual in evaluation": images(Mobile, evaluation=True),
    "group norm, flatten": images(GNNet),
    "vision transformer, layer scale": images(ViT),
    "dense batch norm in evaluation": images(DenseNet, evaluation=True),
    "u-net": trained(UNet, IMAGES, inputs(32, 2, 8, 8, seed=9), loss=nn.MSELoss()),
    "lstm 64": series(partial(RNN, "LSTM")),
    "gru 64": series(partial(RNN, "GRU")),
    "rnn, relu": series(partial(RNN, "RNN", 16, nonlinearity="relu")),
    "lstm, two layers, both ways": series(partial(RNN, "LSTM", 7, num_layers=2, bidirectional=True)),
    "shared keys and values": series(partial(KV, bias=True)),
    "one head of keys for all": series(MQA),
    "squeeze and excitation": images(SE),
    "mixer": series(Mixer),
    "graph convolution": series(GCN),
    "tied autoencoder": trained(AE, VECTORS, VECTORS, loss=nn.MSELoss()),
    "bilinear": vectors(Bil),
    "siamese": vectors(Siamese),
    "raw scales": vectors(Raw),
    "linear, five layers": vectors(partial(linear, 10, 8, 8, 8, 8, 5)),
    "linear, narrower and narrower": vectors(partial(linear, 10, 32, 24, 16, 5)),
    "linear 64": vectors(partial(linear, 10, 64, 64, 64, 5)),
    "wide relu": vectors(partial(mlp, nn.ReLU, 10, 512, 64, 5), steps=15),
    "prelu": vectors(partial(mlp, nn.PReLU, 10, 9, 8, 5)),
    "weight norm, sigmoid": vectors(partial(normed, nn.Sigmoid)),
    "weight norm, hardsigmoid": vectors(partial(normed, nn.Hardsigmoid)),
    "weight norm, tanh": vectors(partial(normed, nn.Tanh)),
    "linear, L1": vectors(partial(linear, 10, 8, 8, 5), penalty=absolutes),
    "one head of keys for all, L2": series(MQA, penalty=squares),
    "resnet 18 of width 4": images(partial(ResNet, 4), evaluation=True, steps=5),
}
# blocks that the function does not feel: anything may be added
ABSORBED = {
    "batch norm, training": "0.bias",
    "attention": "k.bias",
    "attention, layer norm": "k.bias",
    "batch norm, training (case)": "0.bias",
    "instance norm (case)": "0.bias",
    "max pooling, batch norm in training": "f.0.bias",
    "one head of keys for all": "k.bias",
    "tied embedding": "k.bias",
}
