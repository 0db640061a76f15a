"""Small costs of many architectures: (name, how to make the cost). Random weights, float64."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations as P

from jensen.cost import Cost

VECTORS, IMAGES, SEQUENCES = (5, 4), (3, 2, 4, 4), (3, 4, 4)


class Head(nn.Module):
    """A body and a linear head on its flattened output."""

    def __init__(self, body, width, classes=3):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, classes)

    def forward(self, x):
        out = self.body(x)
        return self.head((out[0] if isinstance(out, tuple) else out).flatten(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return F.relu(x + self.b(F.relu(self.norm(self.a(x)))))


class Block(nn.Module):
    """Causal self-attention by the fused function, with layer norms and a gated unit."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out, self.up, self.down = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(4, 8), nn.Linear(4, 4)
        self.first, self.second = nn.LayerNorm(4), nn.RMSNorm(4)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (2, 2)).transpose(1, 2) for t in self.qkv(self.first(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(F.glu(self.up(self.second(x))))


class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.layer(x, x, x)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.bag, self.mix = nn.Embedding(6, 4), nn.EmbeddingBag(6, 4, mode="mean"), nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(self.mix(self.table(x).mean(1) + self.bag(x)))


class Rbf(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres, self.widths = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.zeros(5))

    def forward(self, x):
        return torch.exp(-torch.cdist(x, self.centres).square() * self.widths.exp())


class MovingAverage(nn.Module):
    """Residuals of an MA(2) model, by recursion."""

    def __init__(self):
        super().__init__()
        self.mean, self.theta = nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.tensor([0.4, -0.2]))

    def forward(self, x):
        e = [torch.zeros(()), torch.zeros(())]
        for value in x:
            e.append(value - self.mean - self.theta[0] * e[-1] - self.theta[1] * e[-2])
        return torch.stack(e[2:])


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4) * 0.3)

    def forward(self, x):
        return F.softplus(F.linear(torch.tanh(F.linear(x, self.weight)), self.weight.t()))


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        g = self.gate(x).softmax(-1)
        return g[:, :1] * F.selu(self.a(x)) + g[:, 1:] * F.mish(self.b(x))


class Scaled(nn.Module):
    """A mean, and a noise level that no operation of the model touches."""

    def __init__(self):
        super().__init__()
        self.mean, self.level = nn.Linear(4, 3), nn.Parameter(torch.tensor([0.1, -0.2, 0.3]))

    def forward(self, x):
        return self.mean(x), self.level


def gaussian(out, y):
    mean, level = out
    return ((mean - y).square() * torch.exp(-level) + level).mean()


def conv(*norm):
    return Head(nn.Sequential(nn.Conv2d(2, 4, 3), *norm, nn.GELU(), nn.AvgPool2d(2)), 4)


def data(shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = (
        torch.randint(6, shape, generator=g)
        if shape == (4, 3)
        else torch.randn(shape, generator=g, dtype=torch.float64)
    )
    return x, torch.randint(3, shape[:1], generator=g)


def classes(build, shape=VECTORS, **how):
    def make():
        torch.manual_seed(1)
        return Cost(build(), nn.CrossEntropyLoss(label_smoothing=how.pop("smooth", 0.0)), data(shape), **how)

    return make


def regression(build, shape=VECTORS, loss=None, **how):
    def make():
        torch.manual_seed(1)
        model = build()
        x, _ = data(shape)
        with torch.no_grad():
            out = model.double()(x)
        y = torch.randn((out[0] if isinstance(out, tuple) else out).shape, dtype=torch.float64)
        return Cost(model, loss or nn.MSELoss(), (x, y), **how)

    return make


def streamed():
    torch.manual_seed(1)
    x, y = data((7, 4))
    model = nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 3))
    return Cost(model, nn.CrossEntropyLoss(), [(x[:3], y[:3]), (x[3:6], y[3:6]), (x[6:], y[6:])], penalty=ridge)


def ridge(p):
    return 0.1 * sum((t**4).sum() for t in p.values())


ARCHITECTURES = {
    "mlp": classes(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Sigmoid(), nn.Linear(6, 3))),
    "relu mlp": classes(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), smooth=0.1),
    "no hidden layer": classes(lambda: nn.Linear(4, 3)),
    "no hidden layer, square": regression(lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2))),
    "convnet": classes(lambda: conv(), IMAGES),
    "convnet, batch norm": classes(lambda: conv(nn.BatchNorm2d(4)), IMAGES),
    "convnet, batch norm in evaluation": classes(lambda: conv(nn.BatchNorm2d(4)).eval(), IMAGES),
    "convnet, layer norm": classes(lambda: conv(nn.LayerNorm((4, 2, 2))), IMAGES),
    "convnet, instance norm": classes(lambda: conv(nn.InstanceNorm2d(4, affine=True)), IMAGES),
    "convnet, group norm": classes(lambda: conv(nn.GroupNorm(2, 4)), IMAGES),
    "max pooling": classes(lambda: Head(nn.Sequential(nn.Conv2d(2, 3, 2), nn.MaxPool2d(2, 1), nn.LeakyReLU()), 12), IMAGES),
    "transposed convolution": regression(lambda: nn.Sequential(nn.ConvTranspose2d(2, 2, 2), nn.ELU(), nn.Conv2d(2, 1, 2)), IMAGES),
    "residual": classes(lambda: Head(Residual(), 32), IMAGES),
    "lstm": classes(lambda: Head(nn.LSTM(4, 3, batch_first=True), 12), SEQUENCES),
    "gru": classes(lambda: Head(nn.GRU(4, 2, batch_first=True), 8), SEQUENCES),
    "attention": classes(lambda: Head(Attend(), 16), SEQUENCES),
    "transformer block": classes(lambda: Head(Block(), 16), SEQUENCES),
    "encoder layer": regression(lambda: nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True, activation="gelu"), SEQUENCES),
    "embeddings": classes(lambda: Head(Words(), 4), (4, 3)),
    "rbf": classes(lambda: Head(Rbf(), 5)),
    "ma(q)": regression(MovingAverage, (6,)),
    "tied weights": regression(Tied),
    "mixture of experts": classes(Experts),
    "softmax inside": classes(lambda: Head(nn.Sequential(nn.Linear(4, 4), nn.Hardswish(), nn.Softmax(-1)), 4), penalty=ridge),
    "weight norm": classes(lambda: nn.Sequential(P.weight_norm(nn.Linear(4, 5)), nn.Hardsigmoid(), nn.Linear(5, 3))),
    "noise level": regression(Scaled, loss=gaussian),
    "huber": regression(lambda: nn.Sequential(nn.Linear(4, 3), nn.Softsign(), nn.Linear(3, 2)), loss=nn.HuberLoss(delta=0.5)),
    "streamed, with a penalty": streamed,
}  # fmt: skip


@cache
def architecture(name):
    """The cost of this name, traced once for all tests; they must not change its model."""
    return ARCHITECTURES[name]()
