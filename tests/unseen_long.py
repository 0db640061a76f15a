"""More of the third zoo, for ``make campaign``: textbook functions, likelihoods, robust losses."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from cases import Case
from unseen import POS, UNIT, At, D, T, X, ask
from unseen_data import A53, B5, EXPOS, PW, S5, SIMPLEX, W3, Y5

CASES: list[Case] = []
q = partial(ask, CASES)

q(
    "quad over lin affine",
    lambda w, t: (A53 @ w - B5).square().sum() / (t + w.sum()),
    "+convex of w",
    w=At([0.5, 0.5, 0.5], 0.1, 5.0),
    t=POS,
)
q(
    "quad over lin of affine joint",
    lambda w, t: (A53 @ w - B5).square().sum() / (t + w.sum()),
    "+convex",
    w=At([0.5, 0.5, 0.5], 0.1, 5.0),
    t=POS,
)
q("norm squared over sum", lambda w: w.square().sum() / w.sum(), "+convex; +quasiconvex", w=PW)
q("log of linear over linear", lambda w: torch.log((w @ SIMPLEX) / (w.sum() + 2)), "+quasiconvex; +quasiconcave", w=PW)
q("scalene", lambda x: 2 * x.relu() + 3 * (-x).relu(), "+convex; -concave", x=X)
q(
    "inv_pos of concave",
    lambda x, y: 1 / (x.sqrt() + y.log1p() + 0.5),
    "+convex; -log-concave",
    x=(0.0, None),
    y=(0.0, None),
)
q("inv of geo mean", lambda x, y: 1 / (x * y).sqrt(), "+convex; +log-convex", x=POS, y=POS)
q(
    "square of affine plus abs",
    lambda x, y: (x - 2 * y).square() + (x + y).abs(),
    "+convex; +convex of x; -concave",
    x=X,
    y=X,
)
q("sqrt of geo mean", lambda x, y, z: (x * y * z) ** 0.25, "+concave; -convex", x=POS, y=POS, z=POS)
q("exp of norm", lambda w: w.norm().exp(), "+convex; +log-convex", w=W3)
q("exp of minus norm", lambda w: (-w.norm()).exp(), "+log-concave; +quasiconcave; -convex; -concave", w=W3)
q("log1p of norm", lambda w: w.norm().log1p(), "+quasiconvex; -convex; -concave", w=W3)
q("log1p exp of norm", lambda w: torch.log1p(w.norm().exp()), "+convex", w=W3)
q("norm plus huber", lambda w: w.norm() + F.huber_loss(A53 @ w, B5, reduction="sum"), "+convex", w=W3)
q(
    "sum of norms of affine",
    lambda w: (A53 @ w - B5).norm(1) + (A53 @ w).norm(2) + (w - 1).abs().max(),
    "+convex; -concave",
    w=W3,
)
q("max of affine", lambda w: (A53 @ w + B5).max(), "+convex; -concave", w=W3)
q("min of affine", lambda w: (A53 @ w + B5).min(), "+concave; -convex", w=W3)
q("log-sum-exp minus mean", lambda w: torch.logsumexp(w, 0) - w.mean(), "+convex", w=W3)
q("log-sum-exp minus max", lambda w: torch.logsumexp(w, 0) - w.max(), "-convex; -concave", w=W3)
q(
    "kl rows",
    lambda p, r: (p * (p.log() - r.log()) - p + r).sum(),
    "+convex; +convex of p; +convex of r",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q("kl div by F", lambda p: F.kl_div(SIMPLEX.log(), p, reduction="sum"), "+convex", p=PW)
q(
    "kl div target log",
    lambda t: F.kl_div(SIMPLEX.log(), t, reduction="sum", log_target=True),
    "-convex; -concave",
    t=[-1.0, -2.0, -0.5],
)
q("reverse kl in probabilities", lambda r: (SIMPLEX * (SIMPLEX.log() - r.log())).sum(), "+convex; -concave", r=PW)
q(
    "chi square",
    lambda p, r: ((p - r).square() / r).sum(),
    "+convex; +convex of r; -concave",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q(
    "triangular discrimination",
    lambda p, r: ((p - r).square() / (p + r)).sum(),
    "+convex; +convex of p",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q(
    "jensen-shannon",
    lambda p, r: (p * (2 * p / (p + r)).log() + r * (2 * r / (p + r)).log()).sum(),
    "+convex; +convex of p",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q(
    "entropy of mean",
    lambda p, r: -((p + r) / 2 * ((p + r) / 2).log()).sum(),
    "+concave; -convex",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q("renyi sum", lambda p, r: (p**2 / r).sum(), "+convex", p=PW, r=At([0.5, 0.5, 0.5], 0.1, None))
q(
    "bhattacharyya",
    lambda p, r: (p * r).sqrt().sum(),
    "+concave; -convex; +concave of p",
    p=PW,
    r=At([0.5, 0.5, 0.5], 0.1, None),
)
q("alpha divergence", lambda p, r: (p**1.5 * r**-0.5).sum(), "+convex", p=PW, r=At([0.5, 0.5, 0.5], 0.1, None))
q("p^0.3 q^0.7", lambda p, r: (p**0.3 * r**0.7).sum(), "+concave", p=PW, r=At([0.5, 0.5, 0.5], 0.1, None))
q(
    "geometric program log space",
    lambda u, v: torch.logsumexp(torch.stack([2 * u - v, u + 3 * v, -u, v * 0.0]), 0),
    "+convex; +convex of u",
    u=X,
    v=X,
)
q(
    "posynomial of exp",
    lambda u, v: (2 * u - v).exp() + 3 * (u + v).exp() + (-u).exp(),
    "+convex; +log-convex",
    u=X,
    v=X,
)
q("monomial over posynomial", lambda u: u.exp() / (u.exp() + (-u).exp() + 1), "+log-concave; -convex", u=X)
q("posy sqrt", lambda x, y: (x * x + x * y + y * y).sqrt(), "+convex", x=POS, y=POS)
q("x^2 y^-1 plus y", lambda x, y: x**2 / y + y, "+convex; -log-concave", x=POS, y=POS)
q("soft-thresholded norm", lambda w: (w.norm() - 1).relu(), "+convex", w=W3)
q("distance to ball squared", lambda w: (w.norm() - 1).clamp(min=0).square(), "+convex", w=W3)
q("distance to orthant", lambda w: (-w).relu().norm(), "+convex", w=W3)
q("distance to halfspace", lambda w: (w @ SIMPLEX - 1).relu() / SIMPLEX.norm(), "+convex", w=W3)
q(
    "support function of a box",
    lambda w: (torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) * w.relu() + 0.5 * (-w).relu()).sum(),
    "+convex",
    w=W3,
)
q("spread of affine", lambda w: (A53 @ w).max() - (A53 @ w).min(), "+convex", w=W3)
q("sum of top 2 of affine", lambda w: (A53 @ w + B5).topk(2).values.sum(), "+convex; -concave", w=W3)
q("sum of two largest squares", lambda w: (w * w).topk(2).values.sum(), "+convex", w=W3)
q("largest minus mean", lambda w: w.max() - w.mean(), "+convex", w=W3)
q("gini mean difference", lambda w: (w[:, None] - w[None, :]).abs().sum(), "+convex", w=W3)
q(
    "total variation 2d",
    lambda m: (m[1:] - m[:-1]).abs().sum() + (m[:, 1:] - m[:, :-1]).abs().sum(),
    "+convex",
    m=[[1.0, 2.0], [0.0, 3.0]],
)
q(
    "isotropic tv",
    lambda m: ((m[1:, 1:] - m[:-1, 1:]).square() + (m[1:, 1:] - m[1:, :-1]).square()).sqrt().sum(),
    "+convex",
    m=[[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [1.0, 1.0, 4.0]],
)
q(
    "trend filter",
    lambda w: (w[2:] - 2 * w[1:-1] + w[:-2]).abs().sum() + (w - 1).square().sum(),
    "+convex",
    w=[0.2, -0.5, 1.0, 3.0],
)
q("log barrier polyhedron", lambda w: -(5 - A53 @ w).log().sum(), "+convex", w=At([0.1, 0.1, 0.1], -0.4, 0.4))
q("log barrier of ball", lambda w: -torch.log(1 - w.square().sum()), "+convex", w=At([0.1, 0.1, 0.1], -0.5, 0.5))
q(
    "analytic centre quad",
    lambda w: -torch.log(4 - w.square().sum()) + (w - 1).square().sum(),
    "+convex; -concave",
    w=At([0.1, 0.1, 0.1], -1.0, 1.0),
)
q("perspective of neg entropy", lambda x, t: x * torch.log(x / t), "+convex", x=POS, t=POS)
q("perspective of square via mul", lambda x, t: t * (x / t).square(), "+convex", x=X, t=POS)
q("perspective of abs cube", lambda x, t: t * (x / t).abs() ** 3, "+convex", x=X, t=POS)
q("perspective of norm squared", lambda w, t: t * ((w / t) ** 2).sum(), "+convex; +convex of t", w=W3, t=POS)
q("perspective of inverse", lambda x, t: t * t / x, "+convex; +convex of t", x=POS, t=POS)
q("perspective affine inside", lambda x, t: (t + 1) * torch.exp((x - t) / (t + 1)), "+convex", x=X, t=(0.0, None))
q("perspective of cosh", lambda x, t: t * torch.cosh(x / t), "+convex", x=X, t=POS)
q("perspective of relu", lambda x, t: t * F.relu(x / t - 1), "+convex; +convex of x", x=X, t=POS)
q("probit glm", lambda w: -torch.special.log_ndtr(S5 * (A53 @ w)).sum(), "+convex; -concave", w=W3)
q("poisson with exposure", lambda w: (EXPOS * (A53 @ w).exp() - Y5 * (A53 @ w + EXPOS.log())).sum(), "+convex", w=W3)
q("poisson nll full", lambda w: F.poisson_nll_loss(A53 @ w, Y5, full=True), "+convex", w=W3)
q(
    "negative binomial",
    lambda w: ((Y5 + 2.0) * torch.log1p((A53 @ w).exp() / 2.0) - Y5 * (A53 @ w)).sum(),
    "+convex",
    w=W3,
)
q(
    "negative binomial logits",
    lambda w: ((Y5 + 2.0) * F.softplus(A53 @ w) - Y5 * (A53 @ w)).sum(),
    "+convex ideal",
    w=W3,
)
q("gamma glm inverse link", lambda w: (Y5 * (EXPOS * w) - (EXPOS * w).log()).sum(), "+convex", w=POS)
q("gamma glm log link", lambda w: (A53 @ w + (Y5 + 0.1) * (-(A53 @ w)).exp()).sum(), "+convex; -concave", w=W3)
q("inverse gaussian mean", lambda m: ((Y5 + 0.5 - m).square() / (m * m * (Y5 + 0.5))).sum(), "-convex", m=POS)
q("exponential survival", lambda w: ((A53 @ w).exp() * EXPOS - Y5 * (A53 @ w)).sum(), "+convex", w=W3)
q("weibull in log scale", lambda w: (torch.exp(1.5 * (EXPOS.log() - A53 @ w)) + 1.5 * (A53 @ w)).sum(), "+convex", w=W3)
q(
    "laplace scale",
    lambda m, s: ((EXPOS - m).abs() / s + s.log()).sum(),
    "-convex; +convex of m; -convex of s",
    m=X,
    s=POS,
)
q(
    "laplace precision",
    lambda m, p: (p * (EXPOS - m).abs() - p.log()).sum(),
    "-convex; +convex of m; +convex of p",
    m=X,
    p=POS,
)
q(
    "gaussian log variance",
    lambda m, v: ((EXPOS - m).square() * (-v).exp() + v).sum(),
    "-convex; +convex of m; +convex of v",
    m=X,
    v=X,
)
q(
    "gaussian in std",
    lambda m, s: ((EXPOS - m).square() / (2 * s * s) + s.log()).sum(),
    "-convex; +convex of m; -convex of s",
    m=X,
    s=POS,
)
q("gaussian reparam", lambda a, s: ((EXPOS * s - a).square() / 2 - s.log()).sum(), "+convex; +convex of s", a=X, s=POS)
q("student t location", lambda m: torch.log1p((EXPOS - m).square() / 3).sum(), "-convex; -concave", m=X)
q("student t near", lambda m: torch.log1p((m / 2).square()), "+convex", m=(-1.5, 1.5))
q("cauchy scale", lambda s: torch.log(s + 1 / s), "-convex", s=POS)
q("cauchy scale qc", lambda s: torch.log(s + 1 / s), "+quasiconvex", s=POS)
q("gamma log likelihood shape", lambda k: k.lgamma() - 0.7 * k, "+convex", k=POS)
q(
    "gamma rate shape",
    lambda k, r: k.lgamma() - k * r.log() + 1.3 * r - 0.7 * k,
    "+convex of r; +convex of k",
    k=POS,
    r=POS,
)
q("ordinal logistic", lambda w, c: -(torch.sigmoid(c - A53 @ w)).log().sum(), "+convex; +convex of c", w=W3, c=0.3)
q(
    "bradley terry ties",
    lambda w: F.softplus(w[1] - w[0]) + F.softplus(w[2] - w[1]) + F.softplus(w[0] - w[2]),
    "+convex ideal; -concave",
    w=W3,
)
q("listnet", lambda w: -(SIMPLEX * F.log_softmax(A53[:3] @ w, 0)).sum(), "+convex", w=W3)
q("mixture log-likelihood in weights", lambda p: -torch.log(p * 0.3 + (1 - p) * EXPOS).sum(), "+convex", p=UNIT)
q(
    "mixture in means",
    lambda m: -torch.log(0.5 * torch.exp(-(m - 2).square()) + 0.5 * torch.exp(-(m + 2).square())),
    "-convex; -concave",
    m=X,
)
q("maxent", lambda w: torch.logsumexp(A53 @ w, 0) - w @ SIMPLEX, "+convex; -concave", w=W3)
q(
    "tobit",
    lambda w: (0.5 * (Y5[:3] - A53[:3] @ w).square()).sum() - torch.special.log_ndtr(-(A53[3:] @ w)).sum(),
    "+convex",
    w=W3,
)
q("box-cox", lambda x: (x**0.5 - 1) / 0.5, "+concave; -convex", x=POS)
q("poisson deviance", lambda m: 2 * (m - 3 * m.log()), "+convex", m=POS)
q("bernoulli in p", lambda p: -0.3 * p.log() - 0.7 * (1 - p).log(), "+convex; +quasiconvex", p=UNIT)
q("binomial in p bce", lambda p: F.binary_cross_entropy(p, T(0.3, dtype=torch.float64)), "+convex", p=UNIT)
q("von mises location", lambda m: -torch.cos(m - 0.5), "-convex; -concave", m=X)
q("von mises near", lambda m: -torch.cos(m - 0.5), "+convex", m=(-1.0, 2.0))
q("pseudo huber", lambda w: (4 * ((1 + ((A53 @ w - Y5) / 2).square()).sqrt() - 1)).sum(), "+convex; -concave", w=W3)
q("charbonnier", lambda w: ((A53 @ w - Y5).square() + 1e-3).sqrt().mean(), "+convex", w=W3)
q("charbonnier power 0.45", lambda x: (x * x + 1e-2) ** 0.45, "-convex; +quasiconvex", x=X)
q("geman mcclure", lambda w: ((A53 @ w - Y5).square() / (1 + (A53 @ w - Y5).square())).sum(), "-convex; -concave", w=W3)
q(
    "tukey biweight",
    lambda x: torch.where(x.abs() <= 2, 1 - (1 - (x / 2) ** 2) ** 3, torch.ones_like(x)),
    "-convex; +quasiconvex",
    x=X,
)
q("barron alpha 1.5", lambda x: (x * x / 0.5 + 1) ** 0.75 - 1, "+convex", x=X)
q("barron alpha 0.5", lambda x: (x * x / 1.5 + 1) ** 0.25 - 1, "-convex; -concave", x=X)
q("squared epsilon insensitive", lambda w: F.relu((A53 @ w - Y5).abs() - 0.1).square().mean(), "+convex", w=W3)
q(
    "quantile by where",
    lambda w: torch.where(Y5 - A53 @ w >= 0, 0.8 * (Y5 - A53 @ w), -0.2 * (Y5 - A53 @ w)).mean(),
    "+convex; -concave",
    w=W3,
)
q("quantile by relu", lambda w: (0.8 * (Y5 - A53 @ w).relu() + 0.2 * (A53 @ w - Y5).relu()).mean(), "+convex", w=W3)
q("exponential hinge", lambda w: torch.exp(F.relu(1 - S5 * (A53 @ w))).mean(), "+convex", w=W3)
q("linex", lambda x: torch.exp(0.5 * x) - 0.5 * x - 1, "+convex; -concave", x=X)
q("msle", lambda x: (torch.log1p(x) - 1.0) ** 2, "-convex; +quasiconvex", x=(0.0, None))
q("mape", lambda w: ((A53 @ w - EXPOS) / EXPOS).abs().mean(), "+convex", w=W3)
q("smape", lambda x: (x - 2).abs() / (x + 2), "+quasiconvex; -convex", x=(0.0, None))
q(
    "log cosh",
    lambda w: (A53 @ w - Y5 + F.softplus(-2 * (A53 @ w - Y5)) - 0.6931471805599453).mean(),
    "+convex ideal",
    w=W3,
)
q("max of hinge and square", lambda x: torch.maximum(F.relu(1 - x), (x - 2).square()), "+convex", x=X)
q("log penalty with ridge", lambda x: torch.log1p(x.abs()) + x * x, "-concave", x=X)
q("log(1+|x|) + x^2/2", lambda x: torch.log1p(x.abs()) + 0.5 * x * x, "+convex", x=X)
q("elastic net l1 minus l2", lambda w: w.abs().sum() - w.norm(), "-convex", w=W3)
q("l1 + l2 of groups", lambda w: w[:2].norm() + w[2:].norm() + 0.1 * w.abs().sum(), "+convex", w=W3)
q("k-support-like", lambda w: (w.abs().topk(2).values.sum()).square() + w.square().sum(), "+convex", w=W3)
q("nuclear by hand 2x2", lambda a, b: (a + b).abs() + (a - b).abs(), "+convex", a=X, b=X)
q("smooth max", lambda w: torch.logsumexp(5 * w, 0) / 5, "+convex", w=W3)
q("mellowmax", lambda w: (torch.exp(2 * w).mean().log()) / 2, "+convex; -concave", w=W3)
q("boltzmann operator", lambda w: (w * w.softmax(0)).sum(), "-convex; -concave", w=W3)
q(
    "cross entropy in inverse temperature",
    lambda b: F.cross_entropy(b * A53, T([0, 1, 2, 0, 1])),
    "+convex; -concave",
    b=1.0,
)
q("quad over lin vec", lambda w, t: (w * w).sum() / t, "+convex; +convex of w; +convex of t; -concave", w=W3, t=POS)
q(
    "ratio of posynomials in logs",
    lambda u, v: ((u + v).exp() + 1).log() - (u.exp() + 1).log(),
    "-convex; -concave; +convex of v",
    u=X,
    v=X,
)
q(
    "perspective of huber-like",
    lambda x, t: torch.where(x.abs() <= t, x * x / (2 * t), x.abs() - t / 2),
    "+convex",
    x=X,
    t=POS,
)
q("perspective of logistic loss", lambda w, t: t * F.softplus(-w / t), "+convex ideal; +convex ideal of w", w=X, t=POS)
q(
    "logit glm",
    lambda w, b: F.softplus(-(S5 * (A53 @ w + b))).mean(),
    "+convex ideal; +convex ideal of w; +convex ideal of b; -concave",
    w=W3,
    b=0.1,
)
q("cloglog glm", lambda w: (A53 @ w).exp().sum() - torch.log(-torch.expm1(-(A53 @ w).exp())).sum(), "+convex", w=W3)
q(
    "beta likelihood",
    lambda a, b: a.lgamma() + b.lgamma() - (a + b).lgamma() - 0.3 * a - 0.2 * b,
    "+convex",
    a=(0.5, 4.0),
    b=(0.5, 4.0),
)
q("beta likelihood in a", lambda a: a.lgamma() - (a + 2).lgamma(), "+convex; -concave", a=(0.2, 20.0))
q(
    "gamma shape-rate joint",
    lambda k, r: k.lgamma() - k * r.log() + 1.3 * r - 0.7 * k,
    "+convex",
    k=(0.5, 2.0),
    r=(0.5, 2.0),
)
q(
    "multinomial logit",
    lambda m: (torch.logsumexp(A53 @ m, 1) - (A53 @ m)[torch.arange(5), [0, 1, 2, 0, 1]]).mean(),
    "+convex; -concave",
    m=[[0.1, 0.2, -0.3], [0.5, 0.0, 0.4], [-0.2, 0.3, 0.1]],
)
q("plackett luce", lambda w: torch.logsumexp(w, 0) - w[0] + torch.logsumexp(w[1:], 0) - w[1], "+convex", w=W3)
q(
    "crf-like log partition",
    lambda w: torch.logsumexp((w[:, None] + w[None, :] * 2 + D(*[[1.0, 0.0, 2.0]] * 3)).reshape(-1), 0) - w[0],
    "+convex",
    w=W3,
)
q("tweedie", lambda m: m**0.5 / 0.5 + 2 * m**-0.5 / 0.5, "-convex; +quasiconvex", m=POS)
q(
    "dirichlet-multinomial",
    lambda a: (a.lgamma() - (a + D(1.0, 2.0, 3.0)).lgamma()).sum(),
    "+convex",
    a=At([1.0, 2.0, 0.5], 0.3, 6.0),
)
q("huber reg", lambda w: F.huber_loss(A53 @ w, Y5, delta=0.7), "+convex; -concave", w=W3)
q("charbonnier power 0.6", lambda x: (x * x + 1.0) ** 0.6, "+convex", x=X)
q("epsilon insensitive", lambda w: ((A53 @ w - Y5).abs() - 0.1).clamp(min=0).sum(), "+convex", w=W3)
q("ramp loss", lambda w: (1 - S5 * (A53 @ w)).clamp(0, 1).sum(), "-convex; -concave", w=W3)
q(
    "truncated quadratic",
    lambda x: torch.minimum(x * x, T(1.0, dtype=torch.float64)),
    "-convex; +quasiconvex; -quasiconcave",
    x=X,
)
q(
    "mcp penalty",
    lambda x: torch.where(x.abs() <= 2, x.abs() - x * x / 4, torch.ones_like(x)),
    "-convex; +quasiconvex",
    x=X,
)
q("weakly convex scad-like", lambda x: x.abs() - 0.25 * x * x, "-convex; -concave", x=X)
q("l4 over l2", lambda w: (w**4).sum() / w.square().sum(), "-convex", w=At(W3, None, None))
q("softmax temperature loss", lambda w: F.cross_entropy((A53 @ w)[None, :] / 0.5, T([2])), "+convex", w=W3)
