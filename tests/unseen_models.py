"""The unseen zoo's losses, layers and small networks; ``unseen.CASES`` gains them on import."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

import unseen_vectors  # noqa: F401
from cases import Case
from jensen import Cost
from unseen import CASES, SIGN, At, D, T, q

G = torch.Generator().manual_seed(11)
XS, YS = (torch.randn(7, 3, generator=G, dtype=torch.float64) for _ in range(2))
LABELS, SIGNS, COUNTS = T([0, 2, 1, 1, 0, 2, 2]), torch.sign(YS[:, 0]), (YS[:, 0].abs() * 3).round()
W3, M33 = [0.2, -0.5, 1.0], [[0.1, 0.2, -0.3], [0.5, 0.0, 0.4], [-0.2, 0.3, 0.1]]
HARD, P = (SIGNS + 1) / 2, F.softmax(YS, 1)

# losses of a linear prediction
q(
    "logistic loss with weights",
    lambda w: F.binary_cross_entropy_with_logits(XS @ w, HARD, weight=COUNTS),
    "+convex; -concave",
    w=W3,
)
q(
    "logistic loss, positive weight",
    lambda w: F.binary_cross_entropy_with_logits(XS @ w, HARD, pos_weight=T(3.0), reduction="sum"),
    "+convex",
    w=W3,
)
q("cross-entropy by hand", lambda m: -(P * F.log_softmax(XS @ m, 1)).sum(1).mean(), "+convex; -concave", m=M33)
q(
    "cross-entropy of the log",
    lambda m: -torch.log(F.softmax(XS @ m, 1)[torch.arange(7), LABELS]).mean(),
    "+convex",
    m=M33,
)
q(
    "cross-entropy, ignored and weighted",
    lambda m: F.cross_entropy(XS @ m, LABELS, weight=D(1.0, 2.0, 3.0), ignore_index=1),
    "+convex",
    m=M33,
)
q(
    "cross-entropy with probabilities",
    lambda m: F.cross_entropy(XS @ m, P, label_smoothing=0.2, reduction="sum"),
    "+convex",
    m=M33,
)
q("nll of log softmax", lambda m: F.nll_loss(F.log_softmax(XS @ m, 1), LABELS), "+convex", m=M33)
q("kl in logits", lambda m: F.kl_div(F.log_softmax(XS @ m, 1), P, reduction="batchmean"), "+convex", m=M33)
q("brier score", lambda m: (F.softmax(XS @ m, 1) - P).square().sum(1).mean(), "-convex", m=M33)
q("focal loss", lambda w: ((1 - torch.sigmoid(XS @ w)) ** 2 * -F.logsigmoid(XS @ w)).mean(), "-concave", w=W3)
q("poisson regression", lambda w: F.poisson_nll_loss(XS @ w, COUNTS), "+convex; -concave", w=W3)
q(
    "poisson with identity link",
    lambda r: F.poisson_nll_loss(r, D(1.0, 2.0, 0.0), log_input=False),
    "+convex",
    r=At([1.0, 2.0, 3.0], 0.1, None),
)
q(
    "gaussian likelihood",
    lambda m, v: F.gaussian_nll_loss(m, D(1.0, -1.0), v),
    "-convex; +convex of m; -convex of v",
    m=[0.0, 0.0],
    v=At([1.0, 1.0], 0.1, None),
)
q(
    "gaussian likelihood in the precision",
    lambda m, p: 0.5 * (p * m.square() - p.log()).sum(),
    "-convex; +convex of p; +convex of m",
    m=[0.3, 0.5],
    p=At([1.0, 1.0], 0.1, None),
)
q(
    "gaussian likelihood, natural parameters",
    lambda e, p: 0.5 * (e.square() / p - p.log()).sum(),
    "+convex",
    e=[0.3, 0.5],
    p=At([1.0, 1.0], 0.1, None),
)
q("gamma regression", lambda w: (COUNTS * torch.exp(-(XS @ w)) + XS @ w).mean(), "+convex", w=W3)
q("soft margin", lambda w: F.soft_margin_loss(XS @ w, SIGNS), "+convex", w=W3)
q("svm", lambda w: F.relu(1 - SIGNS * (XS @ w)).mean() + 0.1 * w.dot(w), "+convex; -concave", w=W3)
q("squared hinge", lambda w: (1 - SIGNS * (XS @ w)).clamp(min=0).square().mean(), "+convex", w=W3)
q("multiclass svm", lambda m: F.multi_margin_loss(XS @ m, LABELS), "+convex", m=M33)
q("margin ranking", lambda w: F.margin_ranking_loss(XS @ w, YS @ w, SIGNS, margin=0.5), "+convex", w=W3)
q("hinge embedding", lambda w: F.hinge_embedding_loss(XS @ w, SIGNS), "+convex", w=W3)
q("multilabel soft margin", lambda m: F.multilabel_soft_margin_loss(XS @ m, (P > 0.3).double()), "+convex", m=M33)
q("smooth l1, small beta", lambda w: F.smooth_l1_loss(XS @ w, YS[:, 1], beta=0.3), "+convex", w=W3)
q("huber by sum", lambda w: F.huber_loss(XS @ w, YS[:, 1], delta=2.0, reduction="sum"), "+convex", w=W3)
q("l1", lambda w: F.l1_loss(XS @ w, YS[:, 1]), "+convex; -concave", w=W3)
q("pinball", lambda w: torch.maximum(0.9 * (YS[:, 1] - XS @ w), -0.1 * (YS[:, 1] - XS @ w)).mean(), "+convex", w=W3)
q("expectile", lambda w: (torch.where(XS @ w > YS[:, 1], 0.3, 0.7) * (YS[:, 1] - XS @ w) ** 2).mean(), "+convex", w=W3)
q("log-cosh regression", lambda w: torch.log(torch.cosh(XS @ w - YS[:, 1])).mean(), "+convex", w=W3)
q("student loss", lambda w: torch.log1p((XS @ w - YS[:, 1]).square()).mean(), "-convex", w=W3)
q("welsch loss", lambda w: (1 - torch.exp(-(XS @ w - YS[:, 1]).square() / 2)).mean(), "-convex; -concave", w=W3)
q("cox likelihood", lambda w: (torch.logcumsumexp(XS @ w, 0) - XS @ w).mean(), "+convex; -concave", w=W3)
q("bradley-terry", lambda w: -F.logsigmoid(w[[0, 1, 2]] - w[[1, 2, 0]]).sum(), "+convex", w=W3)
q("exponential loss", lambda w: torch.exp(-SIGNS * (XS @ w)).mean().log(), "+convex", w=W3)
q("savage loss", lambda w: (1 / (1 + torch.exp(SIGNS * (XS @ w))) ** 2).mean(), "-convex", w=W3)
q(
    "triplet",
    lambda a, p, n: F.triplet_margin_loss(a[None], p[None], n[None], margin=0.5),
    "-convex; +convex of p",
    a=W3,
    p=[0.0, 0.0, 1.0],
    n=[1.0, 0.0, 0.0],
)
q("cosine embedding", lambda w: F.cosine_embedding_loss(w[None], XS[:1], T([1.0])), "-convex", w=W3)
q("ridge by norm", lambda w: (XS @ w - YS[:, 0]).norm() + 0.1 * w.norm(), "+convex", w=W3)
q("group lasso", lambda m: (XS @ m - YS).square().mean() + m.norm(dim=1).sum(), "+convex; -concave", m=M33)
q("worst group", lambda w: (XS @ w - YS[:, 0]).square().reshape(7).amax(), "+convex", w=W3)
q("cvar", lambda w, t: t + F.relu(XS @ w - t).mean() / 0.1, "+convex; +convex of w", w=W3, t=0.1)
q("trimmed loss", lambda w: (XS @ w - YS[:, 0]).square().sort().values[:4].sum(), "-convex", w=W3)
q("contrastive with a temperature", lambda s: F.cross_entropy((XS @ YS.T) * s, torch.arange(7)), "+convex", s=1.0)
q("free temperature", lambda s: F.cross_entropy(-XS @ XS.T / s, torch.arange(7)), "-convex", s=(0.1, None))

# factorisations
q(
    "matrix factorisation",
    lambda u, v: (u @ v.T - XS[:3] @ YS[:3].T).square().sum(),
    "-convex; +convex of u; +convex of v",
    u=M33,
    v=M33,
)
q("tied autoencoder", lambda m: (XS @ m @ m.T - XS).square().mean(), "-convex", m=M33)
q("symmetric factorisation", lambda m: (m @ m.T).trace(), "+convex; -concave", m=M33)
q(
    "bilinear form",
    lambda u, v: F.bilinear(u[None], v[None], D(M33)[0][None]).sum(),
    "-convex; +affine of u",
    u=W3,
    v=W3,
)
q("mean of products", lambda u, v: torch.einsum("i,i->", u, v) ** 2, "-convex; +convex of u", u=W3, v=W3)


def net(
    name: str,
    make: Callable[[], nn.Module],
    loss: Callable[..., torch.Tensor],
    questions: str,
    x: torch.Tensor = XS,
    y: torch.Tensor = YS,
) -> None:
    """A module with its questions."""

    @cache
    def cost() -> Cost:
        torch.manual_seed(2)
        return Cost(make().double(), loss, (x, y))

    for question in questions.split(";"):
        claim, _, of = question.strip().partition(" of ")
        CASES.append(
            Case(
                f"{name}: {claim[1:]}{' of ' + of if of else ''}",
                cost,
                SIGN[claim[0]],
                tuple(of.split(",")) if of else None,
                claim[1:],
            )
        )


class Wrap(nn.Module):
    """Parts by name, put together by a function."""

    def __init__(self, forward: Callable[..., torch.Tensor], **parts: nn.Module | torch.Tensor):
        super().__init__()
        self.rule = forward
        for name, part in parts.items():
            setattr(self, name, part if isinstance(part, nn.Module) else nn.Parameter(part))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rule(self, x)


def mse(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (out - y.reshape(-1)[: out.numel()].reshape(out.shape)).square().mean()


IMAGE = torch.randn(2, 1, 6, 6, generator=G, dtype=torch.float64)
SEQ = torch.randn(2, 4, 3, generator=G, dtype=torch.float64)
TOKENS = T([[0, 1, 2], [3, 1, 0]])


def _attend(m: Wrap, x: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(m.k(x), m.k(x), m.v(x)).mean(1)


net(
    "residual block",
    lambda: Wrap(lambda m, x: m.c(x + torch.tanh(m.a(x))), a=nn.Linear(3, 3), c=nn.Linear(3, 3)),
    mse,
    "-convex; -convex of a.*; +convex of c.*",
)
net(
    "skip connection, linear parts",
    lambda: Wrap(lambda m, x: m.c(x) + torch.sin(m.a(x)), a=nn.Linear(3, 3), c=nn.Linear(3, 3)),
    mse,
    "-convex; +convex of c.*",
)
net(
    "random features",
    lambda: Wrap(lambda m, x: m.c(torch.cos(x @ D(M33)[0])), c=nn.Linear(3, 3)),
    mse,
    "+convex; -concave",
)
net(
    "gated unit",
    lambda: Wrap(lambda m, x: m.a(x) * torch.sigmoid(m.g(x)), a=nn.Linear(3, 3), g=nn.Linear(3, 3)),
    mse,
    "-convex; +convex of a.*; -convex of g.*",
)
net("glu", lambda: nn.Sequential(nn.Linear(3, 6), nn.GLU()), mse, "-convex")
net(
    "prelu slope",
    lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 3)),
    mse,
    "-convex; +convex of 1.weight; +convex of 2.*",
)
net(
    "rbf centres and weights",
    lambda: Wrap(lambda m, x: m.o(torch.exp(-(torch.cdist(x, m.c) ** 2))), c=torch.randn(4, 3), o=nn.Linear(4, 3)),
    mse,
    "-convex; -convex of c; +convex of o.*",
)
net(
    "batch norm in training",
    lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train(),
    mse,
    "-convex; +convex of 1.*",
)
net(
    "group norm",
    lambda: nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 3)),
    mse,
    "-convex; +convex of 1.*; +convex of 2.*; -convex of 1.*,2.*",
)
net(
    "convolution, pooled",
    lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Flatten()),
    mse,
    "+convex; -concave",
    x=IMAGE,
)
net(
    "convolution, relu, head",
    lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)),
    mse,
    "-convex; -convex of 0.*; +convex of 4.*",
    x=IMAGE,
)
net("transposed convolution", lambda: nn.ConvTranspose2d(1, 1, 2, stride=2), mse, "+convex", x=IMAGE[:1, :, :2, :2])
net(
    "embedding",
    lambda: nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(9, 2)),
    mse,
    "-convex; +convex of 0.weight; +convex of 2.*",
    x=TOKENS,
)
net("embedding bag", lambda: nn.EmbeddingBag(4, 3, mode="mean"), mse, "+convex", x=TOKENS)
net(
    "attention",
    lambda: Wrap(_attend, k=nn.Linear(3, 3), v=nn.Linear(3, 3)),
    mse,
    "-convex; -convex of k.*; +convex of v.*",
    x=SEQ,
)
net(
    "rnn",
    lambda: Wrap(lambda m, x: m.o(m.r(x)[0][:, -1]), r=nn.RNN(3, 2, batch_first=True), o=nn.Linear(2, 1)),
    mse,
    "-convex; +convex of o.*; -convex of r.weight_hh_l0",
    x=SEQ,
)
net(
    "gru",
    lambda: Wrap(lambda m, x: m.o(m.r(x)[0][:, -1]), r=nn.GRU(3, 2, batch_first=True), o=nn.Linear(2, 1)),
    mse,
    "-convex; +convex of o.*",
    x=SEQ,
)
net(
    "lstm",
    lambda: Wrap(lambda m, x: m.o(m.r(x)[0][:, -1]), r=nn.LSTM(3, 2, batch_first=True), o=nn.Linear(2, 1)),
    mse,
    "-convex; +convex of o.*; -convex of r.*",
    x=SEQ,
)
net(
    "deep linear recurrence",
    lambda: Wrap(lambda m, x: (x[:, 0] @ m.a + x[:, 1]) @ m.a + x[:, 2], a=torch.randn(3, 3)),
    mse,
    "-convex",
    x=SEQ,
)
net(
    "polynomial regression",
    lambda: Wrap(lambda m, x: m.c(torch.cat([x, x**2, x**3], 1)), c=nn.Linear(9, 3)),
    mse,
    "+convex",
)
net(
    "weight norm",
    lambda: Wrap(lambda m, x: x @ (m.g * m.v / m.v.norm()), g=torch.ones(()), v=torch.randn(3)),
    mse,
    "-convex; +convex of g; -convex of v",
)
net(
    "deep equilibrium, two steps",
    lambda: Wrap(lambda m, x: torch.tanh(m.a(torch.tanh(m.a(x)) + x)), a=nn.Linear(3, 3)),
    mse,
    "-convex",
)


q(
    "input-convex network in its input, softplus",
    lambda x: F.relu(F.linear(F.softplus(XS[:4] @ x), YS[:2, [0, 1, 2, 0]].abs()) + x.sum()).sum() + x.norm(),
    "+convex ideal; -concave",
    x=W3,
)
q("log-sum-exp network", lambda x: torch.logsumexp(F.relu(XS @ x) + XS @ x, 0), "+convex", x=W3)
q("maxout", lambda x: (XS[:6] @ x).reshape(2, 3).amax(1).sum(), "+convex; -concave", x=W3)
q("difference of maxouts", lambda x: (XS[:3] @ x).amax() - (XS[3:6] @ x).amax(), "-convex; -concave", x=W3)
q(
    "max pooling minus average pooling",
    lambda x: (F.max_pool1d(x[None], 2) - F.avg_pool1d(x[None], 2)).sum(),
    "+convex",
    x=[1.0, 2.0, 0.0, 3.0],
)
q("layer norm of the input", lambda x: F.layer_norm(x, (3,)) @ D(1.0, 2.0, -1.0), "-convex; -concave", x=W3)
q("normalised dot", lambda x: F.normalize(x, dim=0) @ D(1.0, 2.0, -1.0), "-convex; -concave", x=W3)
