"""Small networks as people build them, for :mod:`equivalence_unseen`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from equivalence_models import mlp


class VGG(nn.Module):
    def __init__(self, norm=False):
        super().__init__()
        bn = nn.BatchNorm2d if norm else nn.Identity
        self.f = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            bn(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1),
            bn(12),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(48, 16),
            nn.ReLU(),
            nn.Linear(16, 4),
        )

    def forward(self, x):
        return self.f(x)


class TiedLM(nn.Module):
    def __init__(self, d=12, h=3, norm=nn.LayerNorm, bias=True, act=F.gelu):
        super().__init__()
        self.e = nn.Embedding(11, d)
        self.p = nn.Parameter(torch.randn(7, d) * 0.3)
        self.h = h
        self.act = act
        self.n1, self.n2, self.nf = norm(d), norm(d), norm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias) for _ in range(4))
        self.u, self.d_ = nn.Linear(d, 2 * d, bias), nn.Linear(2 * d, d, bias)

    def forward(self, t):
        x = self.e(t) + self.p
        y = self.n1(x)
        n, T, w = x.shape
        q, k, v = (m(y).view(n, T, self.h, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, T, w))
        x = x + self.d_(self.act(self.u(self.n2(x))))
        return (self.nf(x) @ self.e.weight.T).transpose(1, 2)


def bottleneck(channels, width, groups, act):
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        act(),
        nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False),
        nn.BatchNorm2d(width),
        act(),
        nn.Conv2d(width, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


class ResNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.b = bottleneck(8, 12, 3, nn.ReLU)
        self.h = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.b(x))
        return self.h(x.mean((2, 3)))


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU6())
        self.b = bottleneck(6, 12, 12, nn.ReLU6)
        self.h = nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.b(x)
        return self.h(x.mean((2, 3)))


class GNNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.GroupNorm(4, 8),
            nn.SiLU(),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.GroupNorm(3, 12),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(48, 4),
        )

    def forward(self, x):
        return self.f(x)


class ViT(nn.Module):
    def __init__(self, d=12):
        super().__init__()
        self.patch = nn.Conv2d(3, d, 4, stride=4)
        self.cls = nn.Parameter(torch.randn(1, 1, d))
        self.pos = nn.Parameter(torch.randn(1, 5, d) * 0.3)
        self.n1, self.n2, self.n3 = (nn.LayerNorm(d) for _ in range(3))
        self.att = nn.MultiheadAttention(d, 3, batch_first=True)
        self.g1, self.g2 = nn.Parameter(torch.rand(d) + 0.2), nn.Parameter(torch.rand(d) + 0.2)
        self.u, self.d, self.h = nn.Linear(d, 20), nn.Linear(20, d), nn.Linear(d, 4)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        y = self.n1(x)
        x = x + self.g1 * self.att(y, y, y, need_weights=False)[0]
        x = x + self.g2 * self.d(F.gelu(self.u(self.n2(x))))
        return self.h(self.n3(x)[:, 0])


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c0 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.n1, self.c1 = nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.n2, self.c2 = nn.BatchNorm2d(10), nn.Conv2d(10, 4, 3, padding=1, bias=False)
        self.n3, self.t = nn.BatchNorm2d(14), nn.Conv2d(14, 7, 1, bias=False)
        self.nf, self.h = nn.BatchNorm2d(7), nn.Linear(7, 4)

    def forward(self, x):
        x = self.c0(x)
        x = torch.cat([x, self.c1(torch.relu(self.n1(x)))], 1)
        x = torch.cat([x, self.c2(torch.relu(self.n2(x)))], 1)
        x = F.avg_pool2d(self.t(torch.relu(self.n3(x))), 2)
        return self.h(torch.relu(self.nf(x)).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 5, 2, stride=2)
        self.c, self.d = nn.Conv2d(11, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(F.max_pool2d(a, 2)))
        return self.d(torch.relu(self.c(torch.cat([self.up(b), a], 1))))


class KV(nn.Module):
    def __init__(self, d=12, h=3, bias=False, multi=False):
        super().__init__()
        self.h = h
        self.e = nn.Linear(5, d)
        self.q = nn.Linear(d, d, bias)
        self.kv = nn.Linear(d, d // h if multi else d, bias)
        self.o = nn.Linear(d, d, bias)
        self.c = nn.Linear(d, 3)
        self.multi = multi

    def forward(self, x):
        x = torch.tanh(self.e(x))
        n, T, w = x.shape
        q = self.q(x).view(n, T, self.h, -1).transpose(1, 2)
        kv = self.kv(x).view(n, T, 1 if self.multi else self.h, -1).transpose(1, 2).expand(-1, self.h, -1, -1)
        a = (q @ kv.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ kv
        return self.c((x + self.o(a.transpose(1, 2).reshape(n, T, w))).mean(1))


class MQA(nn.Module):
    def __init__(self, d=12, h=3, bias=True):
        super().__init__()
        self.h = h
        self.e = nn.Linear(5, d)
        self.q = nn.Linear(d, d, bias)
        self.k, self.v = nn.Linear(d, d // h, bias), nn.Linear(d, d // h, bias)
        self.o = nn.Linear(d, d, bias)
        self.c = nn.Linear(d, 3)

    def forward(self, x):
        x = torch.tanh(self.e(x))
        n, T, w = x.shape
        q = self.q(x).view(n, T, self.h, -1).transpose(1, 2)
        k, v = self.k(x).unsqueeze(1), self.v(x).unsqueeze(1)
        a = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v
        return self.c((x + self.o(a.transpose(1, 2).reshape(n, T, w))).mean(1))


class SE(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 8, 3, padding=1)
        self.f1, self.f2 = nn.Linear(8, 4), nn.Linear(4, 8)
        self.c2 = nn.Conv2d(8, 6, 3, padding=1)
        self.h = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.c1(x))
        g = torch.sigmoid(self.f2(torch.relu(self.f1(x.mean((2, 3))))))
        x = x * g[:, :, None, None]
        return self.h(torch.relu(self.c2(x)).mean((2, 3)))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Linear(5, 8)
        self.n1, self.n2, self.n3 = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.t1, self.t2 = nn.Linear(6, 9), nn.Linear(9, 6)
        self.c1, self.c2 = nn.Linear(8, 13), nn.Linear(13, 8)
        self.h = nn.Linear(8, 3)

    def forward(self, x):
        x = self.e(x)
        x = x + self.t2(F.gelu(self.t1(self.n1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.c2(F.gelu(self.c1(self.n2(x))))
        return self.h(self.n3(x).mean(1))


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 7), nn.Linear(7, 3)
        A = (torch.rand(6, 6) < 0.5).double()
        A = A + A.T + torch.eye(6)
        self.register_buffer("A", A / A.sum(1, keepdim=True))

    def forward(self, x):
        return self.c(torch.relu(self.A @ self.b(torch.relu(self.A @ self.a(x)))).mean(1))


class AE(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(8, 10) * 0.3), nn.Parameter(torch.randn(5, 8) * 0.3)
        self.b1, self.b2, self.c1, self.c2 = (nn.Parameter(torch.randn(n) * 0.1) for n in (8, 5, 8, 10))

    def forward(self, x):
        x = torch.tanh(x @ self.w1.T + self.b1)
        z = torch.tanh(x @ self.w2.T + self.b2)
        return torch.tanh(z @ self.w2 + self.c1) @ self.w1 + self.c2


class Bil(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(10, 6), nn.Linear(10, 5)
        self.bi = nn.Bilinear(6, 5, 7)
        self.h = nn.Linear(7, 5)

    def forward(self, x):
        return self.h(torch.relu(self.bi(torch.tanh(self.a(x)), self.b(x))))


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = mlp(nn.ReLU, 5, 9, 6)
        self.h = nn.Linear(12, 5)

    def forward(self, x):
        return self.h(torch.cat([self.f(x[:, :5]), self.f(x[:, 5:])], 1))


class Basic(nn.Module):
    def __init__(self, i, o, st, norm):
        super().__init__()
        self.c1 = nn.Conv2d(i, o, 3, st, 1, bias=False)
        self.n1 = norm(o)
        self.c2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.n2 = norm(o)
        self.sc = nn.Sequential(nn.Conv2d(i, o, 1, st, bias=False), norm(o)) if st > 1 or i != o else nn.Identity()

    def forward(self, x):
        return torch.relu(self.sc(x) + self.n2(self.c2(torch.relu(self.n1(self.c1(x))))))


class ResNet(nn.Module):
    def __init__(self, w=8, norm=nn.BatchNorm2d, k=4, blocks=(2, 2, 2, 2)):
        super().__init__()
        self.stem = nn.Conv2d(3, w, 3, 1, 1, bias=False)
        self.n = norm(w)
        L = []
        i = w
        for j, b in enumerate(blocks):
            for t in range(b):
                o = w * 2**j
                L.append(Basic(i, o, 2 if t == 0 and j else 1, norm))
                i = o
        self.L = nn.Sequential(*L)
        self.h = nn.Linear(i, k)

    def forward(self, x):
        return self.h(self.L(torch.relu(self.n(self.stem(x)))).mean((2, 3)))


class Raw(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(10, 9), nn.Linear(9, 8), nn.Linear(8, 5)
        self.s1, self.s2, self.t = (
            nn.Parameter(torch.rand(9) + 0.5),
            nn.Parameter(torch.rand(8) + 0.5),
            nn.Parameter(torch.tensor(1.3)),
        )

    def forward(self, x):
        return self.t * self.c(torch.tanh(self.s2 * self.b(torch.relu(self.a(x)) * self.s1)))


class RNN(nn.Module):
    def __init__(self, kind, w=64, **k):
        super().__init__()
        self.r = getattr(nn, kind)(5, w, batch_first=True, **k)
        self.h = nn.Linear(w * (2 if k.get("bidirectional") else 1), 3)

    def forward(self, x):
        return self.h(self.r(x)[0][:, -1])
