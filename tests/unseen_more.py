"""A third zoo: textbook and gallery functions, likelihoods, robust losses, layers in each block, kinks and perspectives."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from cases import Case
from unseen import POS, At, D, X, ask
from unseen_data import A53, B5, EXPOS, M33, PSD, PW, S5, W3

CASES: list[Case] = []
q = partial(ask, CASES)

q("norm over linear", lambda w: (A53 @ w - B5).norm() / (w.sum() + 1), "+quasiconvex; -convex", w=PW)
q(
    "hellinger",
    lambda p, r: (p.sqrt() - r.sqrt()).square().sum(),
    "+convex; +convex of p",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q("distance to box squared", lambda w: (w - w.clamp(-1, 1)).square().sum(), "+convex; -concave", w=W3)
q("moreau envelope of l1", lambda w: torch.where(w.abs() <= 0.5, w * w, w.abs() - 0.25).sum(), "+convex", w=W3)
q("sorted wrong weights", lambda w: (w.abs().sort(descending=True).values * D(1.0, 2.0, 3.0)).sum(), "-convex", w=W3)
q(
    "lorentz barrier",
    lambda w, t: -torch.log(t * t - w.square().sum()),
    "+convex; +convex of w",
    w=At([0.1, 0.1], -1.0, 1.0),
    t=(2.0, None),
)
q(
    "sqrt of t^2 - w^2",
    lambda w, t: torch.sqrt(t * t - w.square().sum()),
    "+concave; +concave of w; -convex",
    w=At([0.1, 0.1], -1.0, 1.0),
    t=(2.0, None),
)
q(
    "perspective of exp vec",
    lambda w, t: t * torch.logsumexp(w / t, 0),
    "+convex; +convex of w; +convex of t",
    w=W3,
    t=POS,
)
q("perspective of sqrt", lambda x, t: t * (1 + x / t).sqrt(), "+concave; -convex", x=(0.0, None), t=POS)
q("perspective of log1p", lambda x, t: t * torch.log1p(x / t), "+concave; +concave of t", x=(0.0, None), t=POS)
q("perspective of max", lambda w, t: t * (w / t).max(), "+convex", w=W3, t=POS)
q("perspective of norm", lambda w, t: t * (1 + (w / t).square().sum()).sqrt(), "+convex", w=W3, t=POS)
q("not a perspective", lambda x, t: t * torch.exp(-x / (t * t)), "-convex", x=X, t=POS)
q("weibull in shape", lambda k: (EXPOS**k - torch.log(k) - (k - 1) * EXPOS.log()).sum(), "+convex; -concave", k=POS)
q("fair loss", lambda x: x.abs() - torch.log1p(x.abs()), "+convex; -concave", x=X)
q(
    "smooth hinge",
    lambda x: torch.where(x >= 1, torch.zeros_like(x), torch.where(x <= 0, 0.5 - x, 0.5 * (1 - x) ** 2)),
    "+convex; -concave",
    x=X,
)
q("modified huber", lambda x: torch.where(x >= -1, (1 - x).relu() ** 2, -4 * x), "+convex", x=X)
q("asymmetric squares", lambda x: torch.where(x > 0, 3 * x * x, x * x), "+convex", x=X)
q("hardsigmoid left", lambda x: F.hardsigmoid(x), "+convex", x=(None, 3.0))
q("threshold jumping", lambda x: F.threshold(x, 0.5, 0.0), "-convex; +quasiconvex", x=X)
q("hinge embedding", lambda w: F.hinge_embedding_loss((A53 @ w), S5, margin=2.0), "+convex", w=W3)
q(
    "kron",
    lambda m: torch.kron(m, torch.eye(2, dtype=torch.float64)).square().sum(),
    "+convex",
    m=[[1.0, 2.0], [0.0, 3.0]],
)
q("constant", lambda w: w.detach().sum() * 0 + 3.0, "+convex; +concave", w=W3)
q("point box other", lambda x, y: x * y, "+convex; +affine of x", x=X, y=At(2.0, 2.0, 2.0))
q("x^2/y neg y", lambda x, y: x * x / y, "+concave; -convex", x=X, y=(None, -0.5))
q("exp minus 1 log", lambda x: x.exp() - 1, "+log-concave; -log-convex", x=(0.1, None))
q("product of logistic", lambda x: x.sigmoid() * (2 - x).sigmoid(), "+log-concave; +quasiconcave; -concave", x=X)
q("gaussian nd", lambda w: torch.exp(-0.5 * w @ PSD @ w), "+log-concave; +quasiconcave; -concave", w=W3)
q("exp of quadratic", lambda w: torch.exp(0.5 * w @ PSD @ w), "+log-convex; +convex", w=W3)
q("step where", lambda x: torch.where(x > 0.3, 1.0, 0.0), "-convex; +quasiconcave", x=X)
q("where same", lambda x: torch.where(x > 0, x, x), "+affine", x=X)
q("where linear outside", lambda x: torch.where(x > 1, 2 * x - 1, x * x), "+convex; -concave", x=X)
q("where linear outside wrong", lambda x: torch.where(x > 1, x, x * x), "-convex; -quasiconcave", x=X)
q("where concave join", lambda x: torch.where(x > 0, x.log1p(), x), "+concave; -convex", x=(-5.0, None))
q("where exp quadratic", lambda x: torch.where(x > 0, 1 + x + x * x / 2, x.exp()), "+convex", x=X)
q("where nested pwl", lambda x: torch.where(x > 1, 2 * x - 1, torch.where(x < -1, -2 * x - 1, x.abs())), "+convex", x=X)
q("clamp equal", lambda x: x.clamp(2, 2), "+affine", x=X)
q("deadzone", lambda x: (x - 1).relu() - (-x - 1).relu(), "-convex; +quasiconvex; -concave", x=X)
q("triangle wave", lambda x: 1 - (x.abs() - 1).abs(), "-concave; -convex", x=X)
q("max of three", lambda x: torch.maximum(torch.maximum(x, -2 * x), 0.5 * x + 1), "+convex", x=X)
q("convex kink sum", lambda x: 3 * (x - 1).abs() - (x - 1).relu() + x, "+convex", x=X)
q("abs minus relu same kink", lambda x: x.abs() - 2 * x.relu(), "+affine; +concave", x=X)
q("abs minus 1.5 relu", lambda x: x.abs() - 1.5 * x.relu(), "+convex; -concave", x=X)
q("pwl vec", lambda w: (w.abs() - 1.5 * w.relu()).sum(), "+convex", w=W3)
q("schwefel 2.22", lambda w: w.abs().sum() + w.abs().prod(), "-convex", w=[0.3, 0.2])
q("lens", lambda a, b: a * b / (a + b), "+concave; +concave of a", a=POS, b=POS)
q("capacity", lambda p, b: b * torch.log1p(p / b), "+concave; +concave of p; +concave of b", p=(0.0, 9.0), b=(0.5, 9.0))
q("markowitz", lambda w: w @ PSD @ w - 0.1 * w.sum() + 0.01 * w.abs().pow(1.5).sum(), "+convex; -concave", w=W3)
q("sorted with weights", lambda w: (w.abs().sort(descending=True).values * D(3.0, 2.0, 1.0)).sum(), "+convex", w=W3)
q("owl norm", lambda w: (w.abs().sort().values * D(0.5, 0.75, 2.0)).sum(), "+convex; -concave", w=W3)
q("range over dims", lambda m: (m.amax(1) - m.amin(1)).square().sum(), "+convex", m=M33)
q("relu squared difference", lambda x: x.relu() ** 2 - (x - 1).relu() ** 2, "+convex; +quasiconvex", x=X)
q("max min", lambda x: torch.maximum(torch.minimum(x, 2 * x), -x), "+convex; -concave", x=X)
q("-x log y + x log x", lambda x, y: x * x.log() - x * y.log(), "+convex; +convex of x; +convex of y", x=POS, y=POS)
q("cvar topk", lambda w: (A53 @ w).topk(2).values.mean(), "+convex", w=W3)
