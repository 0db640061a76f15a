"""More of the third zoo, for ``make campaign``: activations, losses, layers and tensor operations."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from cases import Case
from unseen import At, D, T, X, ask
from unseen_data import A53, B5, EXPOS, I22, K33, M33, M34, PSD, PW, S5, SEQ, TGT, W3, Y5, inplace

CASES: list[Case] = []
q = partial(ask, CASES)

q("elu 2", lambda x: F.elu(x, 2.0), "-convex; +quasiconvex; -concave", x=X)
q("elu 2 left", lambda x: F.elu(x, 2.0), "+convex", x=(None, 0.0))
q("elu 1 vec", lambda w: F.elu(A53 @ w).sum(), "+convex; -concave", w=W3)
q("elu tiny alpha", lambda x: F.elu(x, 0.01), "+convex", x=X)
q("celu alpha 0.5", lambda x: F.celu(x, 0.5), "+convex; -concave", x=X)
q("celu alpha 3", lambda x: F.celu(x, 3.0), "+convex; +quasiconcave", x=X)
q("selu left", lambda x: F.selu(x), "+convex", x=(None, 0.0))
q("selu", lambda x: F.selu(x), "-convex; +quasiconvex; +quasiconcave", x=X)
q("leaky negative slope", lambda x: F.leaky_relu(x, -0.5), "+convex; -quasiconcave", x=X)
q("leaky slope 1", lambda x: F.leaky_relu(x, 1.0), "+affine", x=X)
q("leaky slope 3", lambda x: F.leaky_relu(x, 3.0), "+concave; -convex", x=X)
q("leaky slope -1", lambda x: F.leaky_relu(x, -1.0), "+convex", x=X)
q("prelu module", lambda x, a: F.prelu(x, a), "-convex; +affine of a; -convex of x", x=[0.3, -0.5][0:1], a=[0.25])
q(
    "prelu slope in 0..1",
    lambda x, a: F.prelu(x, a).sum(),
    "+convex of x; -convex",
    x=[0.3, -0.5],
    a=At([0.25], 0.0, 1.0),
)
q("rrelu eval", lambda x: F.rrelu(x, training=False), "+convex", x=X)
q("softplus beta 5 thr 100", lambda x: F.softplus(x, beta=5, threshold=100), "+convex ideal; -concave", x=X)
q("softplus within threshold", lambda x: F.softplus(x, beta=2, threshold=10), "+convex", x=(-20.0, 4.9))
q("softplus over threshold only", lambda x: F.softplus(x, beta=2, threshold=10), "+affine", x=(6.0, 30.0))
q("hardtanh", lambda x: F.hardtanh(x, -2, 3), "-convex; -concave; +quasiconvex; +quasiconcave", x=X)
q("hardtanh on one side", lambda x: F.hardtanh(x, -2, 3), "+convex", x=(-9.0, 3.0))
q("hardtanh inside", lambda x: F.hardtanh(x, -2, 3), "+affine", x=(-2.0, 3.0))
q("relu6 left", lambda x: F.relu6(x), "+convex", x=(None, 6.0))
q("relu6 right", lambda x: F.relu6(x), "+concave", x=(0.0, None))
q("hardsigmoid", lambda x: F.hardsigmoid(x), "-convex; +quasiconvex; -concave", x=X)
q("threshold", lambda x: F.threshold(x, 0.5, 0.5), "+convex", x=X)
q("threshold bad", lambda x: F.threshold(x, 0.5, 2.0), "-convex; -quasiconcave", x=X)
q("softshrink right", lambda x: F.softshrink(x, 0.5), "+convex", x=(-0.5, None))
q("hardshrink inside", lambda x: F.hardshrink(x, 0.5), "+affine", x=(-0.5, 0.5))
q("softsign", lambda x: F.softsign(x), "-convex; +quasiconvex", x=X)
q("softsign left", lambda x: F.softsign(x), "+convex", x=(None, 0.0))
q("tanhshrink left", lambda x: F.tanhshrink(x), "+concave", x=(None, 0.0))
q("silu right", lambda x: F.silu(x), "+convex", x=(-2.0, 2.0))
q("silu far", lambda x: F.silu(x), "-convex; -concave; +quasiconvex", x=X)
q("mish right", lambda x: F.mish(x), "+convex", x=(-1.0, 1.0))
q("gelu qc", lambda x: F.gelu(x), "+quasiconvex; -quasiconcave", x=X)
q("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), "-convex; -concave", x=X)
q("logsigmoid vec", lambda w: F.logsigmoid(A53 @ w).sum(), "+concave; -convex", w=W3)
q("sigmoid left", lambda w: torch.sigmoid(w).sum(), "+convex; -concave", w=At([-1.0, -2.0], None, 0.0))
q("glu", lambda w: F.glu(w, 0).sum(), "-convex; -concave", w=[0.1, 0.2, 0.3, 0.4])
q("softmin", lambda w: F.softmin(w, 0)[0], "+log-concave; -convex", w=W3)
q("softmax entropy-like", lambda w: -F.log_softmax(w, 0)[0] + w.square().sum(), "+convex", w=W3)
q("log_softmax sum", lambda w: F.log_softmax(w, 0).sum(), "+concave; -convex", w=W3)
q(
    "bce logits pos_weight vec",
    lambda w: F.binary_cross_entropy_with_logits(A53 @ w, Y5.clamp(max=1), pos_weight=EXPOS),
    "+convex",
    w=W3,
)
q("bce soft labels outside", lambda w: F.binary_cross_entropy_with_logits(A53 @ w, Y5), "+convex", w=W3)
q(
    "bce clamp",
    lambda x: F.binary_cross_entropy(torch.sigmoid(x), T(1.0, dtype=torch.float64)),
    "+convex ideal; -concave",
    x=X,
)
q("ce smoothing", lambda m: F.cross_entropy(A53 @ m, T([0, 1, 2, 0, 1]), label_smoothing=0.3), "+convex", m=M33)
q(
    "ce none weighted",
    lambda m: (F.cross_entropy(A53 @ m, T([0, 1, 2, 0, 1]), reduction="none") * EXPOS).sum(),
    "+convex; -concave",
    m=M33,
)
q(
    "ce none neg weights",
    lambda m: (F.cross_entropy(A53 @ m, T([0, 1, 2, 0, 1]), reduction="none") * -EXPOS).sum(),
    "+concave; -convex",
    m=M33,
)
q(
    "ce mixed weights",
    lambda m: (F.cross_entropy(A53 @ m, T([0, 1, 2, 0, 1]), reduction="none") * B5).sum(),
    "-convex",
    m=M33,
)
q("ce ignore", lambda m: F.cross_entropy(A53 @ m, T([0, -100, 2, 0, 1])), "+convex", m=M33)
q(
    "nll weights",
    lambda m: F.nll_loss(F.log_softmax(A53 @ m, 1), T([0, 1, 2, 0, 1]), weight=D(1.0, 0.0, 2.0)),
    "+convex",
    m=M33,
)
q("nll of raw scores", lambda m: F.nll_loss(A53 @ m, T([0, 1, 2, 0, 1])), "+affine", m=M33)
q("nll of softmax", lambda m: F.nll_loss(F.softmax(A53 @ m, 1), T([0, 1, 2, 0, 1])), "-convex", m=M33)
q("smooth l1 beta 0", lambda w: F.smooth_l1_loss(A53 @ w, Y5, beta=0.0), "+convex", w=W3)
q(
    "huber delta",
    lambda w, v: F.huber_loss(A53 @ w, A53 @ v, delta=0.1),
    "+convex; +convex of v",
    w=W3,
    v=[0.0, 0.0, 0.0],
)
q("mse two predictions", lambda w, v: F.mse_loss(A53 @ w, A53 @ v), "+convex", w=W3, v=[0.0, 0.0, 0.0])
q("mse of products", lambda w, v: F.mse_loss((A53 @ w) * v, Y5), "-convex; +convex of w; +convex of v", w=W3, v=0.5)
q(
    "kl batchmean",
    lambda m: F.kl_div(F.log_softmax(A53 @ m, 1), F.softmax(A53, 1), reduction="batchmean"),
    "+convex",
    m=M33,
)
q(
    "kl of log_target const",
    lambda m: F.kl_div(F.log_softmax(A53 @ m, 1), F.log_softmax(A53, 1), reduction="sum", log_target=True),
    "+convex",
    m=M33,
)
q("margin ranking neg margin", lambda w: F.margin_ranking_loss(A53 @ w, B5, S5, margin=-0.3), "+convex", w=W3)
q("multi margin p2", lambda m: F.multi_margin_loss(A53 @ m, T([0, 1, 2, 0, 1]), p=2, margin=0.7), "+convex", m=M33)
q(
    "multilabel margin",
    lambda m: F.multilabel_margin_loss(A53 @ m, T([[0, -1, -1], [1, 2, -1], [2, -1, -1], [0, 1, -1], [1, -1, -1]])),
    "+convex",
    m=M33,
)
q(
    "poisson log_input False",
    lambda w: F.poisson_nll_loss(w, D(1.0, 0.0, 2.0), log_input=False, eps=1e-3),
    "+convex",
    w=PW,
)
q("triplet anchor", lambda a: F.triplet_margin_loss(a[None], A53[:1], A53[1:2]), "-convex", a=W3)
q(
    "triplet positive",
    lambda p: F.triplet_margin_loss(A53[2:3], p[None], A53[1:2], swap=False),
    "+convex; -concave",
    p=W3,
)
q("cosine similarity loss", lambda w: 1 - F.cosine_similarity(w[None], A53[:1]).sum(), "-convex", w=W3)
q("soft margin sum", lambda w: F.soft_margin_loss(A53 @ w, S5, reduction="sum"), "+convex; -concave", w=W3)
q("gaussian nll const var", lambda w: F.gaussian_nll_loss(A53 @ w, Y5, EXPOS), "+convex", w=W3)
q(
    "l1 sum two",
    lambda w, v: F.l1_loss(A53 @ w, A53 @ v, reduction="sum"),
    "+convex; +convex of w",
    w=W3,
    v=[0.0, 0.0, 0.0],
)
q(
    "contrastive",
    lambda w: (A53 @ w - Y5).abs().square().sum() + F.relu(1 - (A53 @ w).abs()).square().sum(),
    "-convex",
    w=W3,
)
q(
    "layer norm gain bias",
    lambda g, b: F.layer_norm(A53, (3,), g, b).square().sum(),
    "+convex; +convex of g",
    g=[1.0, 1.0, 1.0],
    b=[0.0, 0.0, 0.0],
)
q("layer norm of affine", lambda w: F.layer_norm(w * D(1.0, 2.0, 3.0), (3,)).square().sum(), "-concave; -convex", w=W3)
q("rms norm", lambda w: (w / (w.square().mean() + 1e-5).sqrt()).sum(), "-convex; -concave", w=W3)
q(
    "batch norm eval input",
    lambda w: F.batch_norm(A53 * w, D(0.0, 0.1, 0.2), D(1.0, 2.0, 0.5), training=False).abs().sum(),
    "+convex",
    w=W3,
)
q("group norm gain", lambda g: F.group_norm(I22.expand(2, 2, 4, 4) + 0.0, 1, g).exp().mean(), "+convex", g=[1.0, 0.5])
q(
    "conv1d weight",
    lambda k: F.conv1d(SEQ, k, padding=1).square().mean(),
    "+convex; -concave",
    k=[[[0.1, 0.2, 0.3]] * 4],
)
q(
    "conv1d grouped dilated",
    lambda k: F.conv1d(SEQ, k, groups=4, dilation=1, stride=2).abs().sum(),
    "+convex",
    k=[[[0.1, 0.2]]] * 4,
)
q(
    "conv2d transposed",
    lambda k: F.conv_transpose2d(I22, k, stride=2, padding=1).logsumexp((1, 2, 3)).sum(),
    "+convex",
    k=[[[[0.1, 0.2], [0.3, -0.4]]]],
)
q(
    "conv of conv",
    lambda k, v: F.conv1d(F.conv1d(SEQ, k), v).square().sum(),
    "-convex; +convex of k; +convex of v",
    k=[[[0.1, 0.2]] * 4],
    v=[[[0.5, -0.1]]],
)
q(
    "conv relu conv",
    lambda k, v: F.conv1d(F.relu(F.conv1d(SEQ, k)), v).square().sum(),
    "-convex; -convex of k; +convex of v",
    k=[[[0.1, 0.2]] * 4],
    v=[[[0.5, -0.1]]],
)
q(
    "conv relu pos conv",
    lambda k: F.conv1d(F.relu(F.conv1d(SEQ, k)), torch.ones(1, 1, 2, dtype=torch.float64)).square().sum(),
    "+convex",
    k=[[[0.1, 0.2]] * 4],
)
q("max pool of conv", lambda k: F.max_pool1d(F.conv1d(SEQ, k), 2).sum(), "+convex; -concave", k=[[[0.1, 0.2]] * 4])
q(
    "avg pool minus max",
    lambda w: (F.avg_pool1d(w[None], 2) - F.max_pool1d(w[None], 2)).sum(),
    "+concave; -convex",
    w=[1.0, 2.0, 0.0, 3.0],
)
q("lp pool", lambda w: F.lp_pool1d(w[None], 3, 2).sum(), "-concave", w=[1.0, 2.0, 0.5, 3.0])
q("adaptive max", lambda w: F.adaptive_max_pool1d(w[None], 2).square().sum(), "-convex", w=[1.0, 2.0, 0.5, 3.0])
q("adaptive avg", lambda w: F.adaptive_avg_pool1d(w[None], 2).square().sum(), "+convex", w=[1.0, 2.0, 0.5, 3.0])
q("unfold", lambda w: w.unfold(0, 2, 1).amax(1).sum(), "+convex", w=[1.0, 2.0, 0.5, 3.0])
q(
    "interpolate",
    lambda w: F.interpolate(w[None, None], scale_factor=2, mode="linear").square().sum(),
    "+convex",
    w=[1.0, 2.0, 0.5, 3.0],
)
q("pad reflect", lambda w: F.pad(w[None], (1, 1), mode="reflect").square().sum(), "+convex", w=[1.0, 2.0, 0.5, 3.0])
q("embedding weight", lambda e: F.embedding(T([0, 2, 2]), e).norm(), "+convex", e=M33)
q(
    "attention values",
    lambda v: F.scaled_dot_product_attention(SEQ, SEQ, v.expand(2, 4, 3)).square().sum(),
    "+convex",
    v=M34 and [[0.1, 0.2, 0.3]] * 4,
)
q(
    "attention queries",
    lambda k: F.scaled_dot_product_attention(k, SEQ[0], SEQ[0]).square().sum(),
    "-convex",
    k=[[0.1, 0.2, 0.3]] * 4,
)
q(
    "attention linear",
    lambda a, b: (a @ b.T @ SEQ[0]).square().sum(),
    "-convex; +convex of a; +convex of b",
    a=[[0.1, 0.2, 0.3]] * 4,
    b=[[0.1, -0.2, 0.3]] * 4,
)
q(
    "attention in each",
    lambda a, b, c: (torch.softmax(SEQ[0] @ a @ b @ SEQ[0].T, -1) @ SEQ[0] @ c - TGT[0]).square().mean(),
    "-convex; +convex of c; -convex of a; -convex of b",
    a=M33,
    b=M33,
    c=M33,
)
q(
    "low-rank adapter",
    lambda a, b: F.cross_entropy(A53 @ (K33 + a @ b), T([0, 1, 2, 0, 1])),
    "-convex; +convex of a; +convex of b",
    a=[[0.1], [0.2], [0.3]],
    b=[[0.3, 0.0, 0.1]],
)
q(
    "multilinear",
    lambda a, b, c: torch.einsum("i,i,i->", a, b, c).square(),
    "-convex; +convex of a; +convex of b; +convex of c; -convex of a,b",
    a=W3,
    b=W3,
    c=W3,
)
q("einsum batch quad", lambda w: torch.einsum("ni,ij,nj->n", A53 + w, PSD, A53 + w).sum(), "+convex; -concave", w=W3)
q("einsum trace", lambda m: torch.einsum("ij,ij->", m, m), "+convex", m=M33)
q("einsum m mT", lambda m: torch.einsum("ij,ji->", m, m), "-convex; -concave", m=M33)
q(
    "bilinear layer",
    lambda u, v: F.bilinear(u[None], v[None], K33[None]).square().sum(),
    "-convex; +convex of u",
    u=W3,
    v=W3,
)
q("tensor dot", lambda m: torch.tensordot(m, K33, dims=([0], [1])).norm(), "+convex", m=M33)
q("outer sum", lambda u, v: (u[:, None] + v[None, :]).exp().sum(), "+convex; +log-convex", u=W3, v=W3)
q("pairwise distances", lambda m: torch.cdist(m, m).sum(), "-concave", m=M33)
q("pairwise squared distances", lambda m: (m[:, None] - m[None]).square().sum(), "+convex", m=M33)
q("cumsum", lambda w: w.cumsum(0).abs().max(), "+convex", w=W3)
q("cummax", lambda w: w.cummax(0).values.sum(), "+convex; -concave", w=W3)
q("cummin", lambda w: w.cummin(0).values.sum(), "+concave", w=W3)
q("logcumsumexp", lambda w: w.logcumsumexp(0).sum(), "+convex", w=W3)
q("cumprod exp", lambda w: w.exp().cumprod(0).sum(), "+convex", w=W3)
q("prod of exps and pos", lambda w: (w.exp() * 2).prod(), "+log-concave; +log-convex; +convex", w=W3)
q("var of affine", lambda w: (A53 @ w).var(), "+convex", w=W3)
q("std unbiased", lambda w: (A53 @ w).std(), "+convex", w=W3)
q("coefficient of variation", lambda w: w.std() / w.mean(), "+quasiconvex; -convex", w=PW)
q("sharpe-like", lambda w: w.mean() / w.std(), "-quasiconvex", w=At([1.0, 2.0, 0.5], 0.1, None))
q("mean absolute dev", lambda w: (w - w.mean()).abs().sum(), "+convex", w=W3)
q("max over rows of norms", lambda m: m.norm(dim=1).max(), "+convex", m=M33)
q("sum of max minus logsumexp", lambda m: (m.logsumexp(1) - m.amax(1)).sum(), "-convex", m=M33)
q("norm p=1.5 rows", lambda m: torch.linalg.vector_norm(m, 1.5, dim=1).sum(), "+convex", m=M33)
q("norm p=0.5", lambda m: torch.linalg.vector_norm(m, 0.5), "-convex", m=[0.3, 0.2])
q("frobenius squared minus trace", lambda m: m.square().sum() - m.trace() ** 2 / 3, "+convex", m=M33)
q("frobenius squared minus trace, too much", lambda m: m.square().sum() - m.trace() ** 2 / 2.9, "-convex", m=M33)
q("matmul chain", lambda m: (K33 @ m @ K33.T - 1).abs().amax(), "+convex", m=M33)
q(
    "baddbmm",
    lambda m: torch.baddbmm(SEQ[:, :3], SEQ[:, :3], m.expand(2, 3, 3), beta=0.5, alpha=2.0).square().sum(),
    "+convex",
    m=M33,
)
q("addcmul", lambda u: torch.addcmul(u, u, u, value=0.5).sum(), "+convex; -concave", u=W3)
q("addcdiv", lambda u, v: torch.addcdiv(u, u * u, v, value=2.0).sum(), "+convex", u=W3, v=PW)
q("lerp weight", lambda u, v: torch.lerp(u, v, 0.3).square().sum(), "+convex", u=W3, v=W3)
q("hypot vec", lambda u, v: torch.hypot(u, v).sum(), "+convex", u=W3, v=W3)
q("square via mul of views", lambda w: (w.view(3, 1) @ w.view(1, 3)).trace(), "+convex", w=W3)
q("in-place add", lambda w: inplace(w), "+convex; -concave", w=W3)
q(
    "index_add",
    lambda w: torch.zeros(3, dtype=torch.float64).index_add(0, T([0, 0, 2]), w).square().sum(),
    "+convex",
    w=W3,
)
q(
    "scatter_add",
    lambda w: torch.zeros(3, dtype=torch.float64).scatter_add(0, T([0, 0, 2]), w).abs().sum(),
    "+convex",
    w=W3,
)
q("masked_fill", lambda w: w.masked_fill(T([True, False, False]), 2.0).exp().sum(), "+convex", w=W3)
q("tril", lambda m: torch.tril(m).square().sum() + m.triu(1).abs().sum(), "+convex", m=M33)
q("diag embed", lambda w: (torch.diag(w) @ K33).norm(), "+convex", w=W3)
q("flip roll", lambda w: (w + w.flip(0)).square().sum() + (w - w.roll(1)).abs().sum(), "+convex", w=W3)
q("repeat interleave", lambda w: w.repeat_interleave(2).reshape(3, 2).norm(dim=1).sum(), "+convex", w=W3)
q("chunk cat", lambda w: torch.cat(w.chunk(3)[::-1]).cumsum(0).square().sum(), "+convex", w=W3)
q("where const mask", lambda w: torch.where(S5 > 0, A53 @ w, -(A53 @ w)).exp().sum(), "+convex; +log-convex", w=W3)
q("0-size", lambda w: w[:0].sum() + w.square().sum(), "+convex", w=W3)
q("0-size only", lambda w: w[:0].prod() * w.sum(), "+affine", w=W3)
q("expand traps", lambda x, w: (x + w).square().sum() - 3 * x * x, "-convex; +convex of w; -convex of w,x", x=X, w=W3)
q("broadcast square", lambda x, w: ((w - x) ** 2).mean(), "+convex; +convex of x", x=X, w=W3)
q("broadcast row vs column", lambda w: (w[:, None] * w[None, :]).sum(), "+convex", w=W3)
q(
    "broadcast row vs column signed",
    lambda w: (w[:, None] * w[None, :] * D([1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0])).sum(),
    "-convex; -concave",
    w=W3,
)
q("gumbel-like", lambda w: F.softmax(w / 0.5, 0).max(), "-convex; +quasiconvex", w=[0.2, -0.4])
q("norm -inf", lambda w: torch.linalg.vector_norm(w, -float("inf")), "-convex", w=W3)
q("fmod-like", lambda x: torch.remainder(x, 2.0), "-convex; -concave", x=X)
q("copysign", lambda x: torch.copysign(x, T(-1.0)), "+concave; -convex", x=X)
