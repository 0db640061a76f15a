"""More of the third zoo, for ``make campaign``: powers, densities, choices, scales, functions of several blocks."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from cases import Case
from unseen import POS, UNIT, At, D, T, X, ask
from unseen_data import A53, PSD, PW, W3, Y5

CASES: list[Case] = []
q = partial(ask, CASES)

q("x^3 straddle", lambda x: x**3, "-convex; -concave; +quasiconvex; +quasiconcave", x=(-1.0, 2.0))
q("x^4 neg", lambda x: x**4, "+convex", x=(-3.0, -1.0))
q("x^-1 neg", lambda x: x**-1, "+concave; -convex", x=(None, -0.5))
q("x^-2 neg", lambda x: x**-2, "+convex; +quasiconvex; +log-convex", x=(None, -0.5))
q("x^-4 straddle", lambda x: x**-4.0, "-concave; ?convex", x=At(0.5, -1.0, 1.0))
q("|x|^-1", lambda x: 1 / x.abs(), "+convex; +log-convex", x=(0.5, None))
q("(-x)^1.5", lambda x: (-x) ** 1.5, "+convex", x=(None, -0.1))
q("(-x)^0.5", lambda x: (-x).sqrt(), "+concave", x=(None, 0.0))
q("log(-x)", lambda x: torch.log(-x), "+concave; -convex", x=(None, -0.1))
q("-log(-x)", lambda x: -torch.log(-x), "+convex", x=(None, -0.1))
q("x log(-x)", lambda x: x * torch.log(-x), "+concave; -convex", x=(-3.0, -0.1))
q("x^0", lambda x: x**0 + x, "+affine", x=X)
q("x^1", lambda x: x**1.0, "+affine", x=X)
q("x^2.0", lambda x: x**2.0, "+convex; -quasiconcave", x=X)
q("x^2.5", lambda x: x**2.5, "+convex", x=(0.0, None))
q("0^0-ish", lambda x: x ** torch.tensor(0.0), "+affine", x=X)
q("point box", lambda x: x.sin(), "+convex; +concave", x=At(0.5, 0.5, 0.5))
q("half-open with 0", lambda x, y: x * y, "+affine of x; -convex", x=(0.0, None), y=(0.0, None))
q("xy qc nonneg", lambda x, y: x * y, "+quasiconcave; -quasiconvex", x=(0.0, None), y=(0.0, None))
q("xy mixed signs", lambda x, y: x * y, "+quasiconvex; -quasiconcave", x=(0.0, None), y=(None, 0.0))
q("xy both negative", lambda x, y: x * y, "+quasiconcave", x=(None, 0.0), y=(None, 0.0))
q("x/y signs", lambda x, y: x / y, "+quasiconvex; +quasiconcave; -convex; +affine of x", x=X, y=(0.5, None))
q("1/x straddle small", lambda x: 1 / (x + 2), "+convex", x=(-1.5, 1.0))
q("1/(x+2) with pole", lambda x: 1 / (x + 2), "-convex; -concave", x=At(0.0, -3.0, 1.0))
q("exp(-x) log-affine", lambda x: (-x).exp(), "+log-convex; +log-concave; +convex", x=X)
q("x^2 as log-concave", lambda x: x * x, "+log-concave; -log-convex", x=(0.5, None))
q("x as log-concave", lambda x: x + 0.0, "+log-concave; -log-convex", x=(0.5, None))
q("x as log-concave on the line", lambda x: x + 0.0, "-log-concave", x=X)
q("shifted exp log", lambda x: x.exp() + 1, "+log-convex; -log-concave", x=X)
q("1 - exp(-x)", lambda x: 1 - (-x).exp(), "+log-concave; +concave", x=(0.1, None))
q("cosh log", lambda x: x.cosh(), "+log-convex; -log-concave", x=X)
q("sum of gaussians", lambda x: (-x * x).exp() + (-((x - 5) ** 2)).exp(), "-log-concave; -quasiconcave", x=X)
q("product of cdf", lambda x: torch.special.ndtr(x) * torch.special.ndtr(1 - x), "+log-concave", x=X)
q("erfc log", lambda x: torch.erfc(-x), "+log-concave; -log-convex", x=X)
q("gamma density", lambda x: x**2 * (-3 * x).exp(), "+log-concave; -concave", x=(0.01, None))
q("beta density", lambda x: x**2 * (1 - x) ** 3, "+log-concave; +quasiconcave; -concave", x=UNIT)
q("beta density u-shaped", lambda x: x**-0.5 * (1 - x) ** -0.5, "+log-convex; +convex", x=UNIT)
q("pareto", lambda x: x**-2.5, "+log-convex; +convex", x=(1.0, None))
q("weibull density", lambda x: x * (-x * x).exp(), "+log-concave; +quasiconcave", x=(0.01, None))
q("cauchy density", lambda x: 1 / (1 + x * x), "+quasiconcave; -log-concave", x=X)
q("t density 3", lambda x: (1 + x * x / 3) ** -2, "+quasiconcave; -log-concave; -concave", x=X)
q("gumbel density", lambda x: (-x - (-x).exp()).exp(), "+log-concave", x=X)
q("logistic density", lambda x: (-x).exp() / (1 + (-x).exp()) ** 2, "+log-concave; -concave", x=X)
q("laplace density", lambda x: 0.5 * (-(x - 1).abs()).exp(), "+log-concave; -log-convex", x=X)
q("determinant diag", lambda x, y: x * y - 1, "+quasiconcave; -concave", x=(2.0, None), y=(2.0, None))
q(
    "ratio of affine",
    lambda x, y: (2 * x + y + 1) / (x + 3 * y + 2),
    "+quasiconvex; +quasiconcave; -convex",
    x=(0.0, None),
    y=(0.0, None),
)
q("sqrt of ratio", lambda x, y: (x / y).sqrt(), "+quasiconvex; +quasiconcave", x=POS, y=POS)
q("sign", lambda x: torch.sign(x), "-convex; +quasiconvex; -concave", x=X)
q("floor abs", lambda x: torch.floor(x.abs()), "+quasiconvex; -convex", x=X)
q("number of positives", lambda w: (w > 0).double().sum(), "-convex", w=W3)
q("where exp join", lambda x: torch.where(x > 0, x + 1, x.exp()), "+convex; +quasiconvex", x=X)
q("softplus difference", lambda x: F.logsigmoid(x) - F.logsigmoid(x - 1), "-convex; -concave", x=X)
q("clamp min", lambda x: x.clamp(min=0.3) + (2 - x).clamp(min=0), "+convex", x=X)
q("clamp max", lambda x: x.clamp(max=0.3), "+concave; -convex", x=X)
q("clamp both in box", lambda x: x.clamp(-1, 1), "+affine", x=(-0.5, 0.5))
q("clamp crossing", lambda x: x.clamp(3, 1), "+affine", x=X)
q("clamp tensors", lambda w: w.clamp(min=D(0.0, 1.0, 2.0)).sum(), "+convex; -concave", w=W3)
q("deadzone squared", lambda x: ((x - 1).relu() - (-x - 1).relu()) ** 2, "+convex", x=X)
q("w shape", lambda x: torch.minimum((x - 1).abs(), (x + 1).abs()), "-convex; -concave", x=X)
q("|x| + relu difference", lambda x: x.abs() + 2 * x.relu() - 2 * (x - 1).relu(), "-convex", x=X)
q("abs minus 2.5 relu", lambda x: x.abs() - 2.5 * x.relu(), "+concave; -convex", x=X)
q("huge exponents", lambda x: (x * 1e3).exp(), "+convex; +log-concave", x=X)
q("tiny quadratics", lambda x: 1e-300 * x * x, "+convex; -concave", x=X)
q("cancel", lambda x: (x + 1e16) - 1e16 + x * x, "+convex", x=X)
q("0.1+0.2", lambda x: (0.1 + 0.2 - 0.3) * x * x, "+convex; -concave", x=X)
q("exact zero", lambda x: (0.5 - 0.25 - 0.25) * x * x, "+affine", x=X)
q("weighted product", lambda x, y: x * y + x * x + y * y / 4, "+convex; +convex of x", x=X, y=X)
q("weighted product lost", lambda x, y: x * y + x * x + y * y / 4.1, "-convex; +convex of x; +convex of y", x=X, y=X)
q("x exp(y)", lambda x, y: x * y.exp(), "-convex; +affine of x; +convex of y", x=(0.0, None), y=X)
q("x exp(y) signs", lambda x, y: x * y.exp(), "+affine of x; -convex of y", x=X, y=X)
q("exp(x)/exp(y)", lambda x, y: x.exp() / y.exp(), "+convex; +log-convex", x=X, y=X)
q("log(x)/y", lambda x, y: x.log() / y, "+concave of x; -convex", x=POS, y=POS)
q("x log y", lambda x, y: x * y.log(), "-convex; +affine of x; +concave of y", x=POS, y=POS)
q("y^2 exp(x)", lambda x, y: y.square() / x.exp(), "-convex; +convex of x; +convex of y", x=X, y=X)
q("exp(x^2/y)", lambda x, y: (x * x / y).exp(), "+convex; +log-convex", x=X, y=POS)
q("(x^2+y^2)^2", lambda x, y: (x * x + y * y) ** 2, "+convex", x=X, y=X)
q("(x^2+y^2)^0.7", lambda x, y: (x * x + y * y) ** 0.7, "+convex; -concave", x=X, y=X)
q("(x^2+y^2)^0.3", lambda x, y: (x * x + y * y) ** 0.3, "-convex; +quasiconvex", x=X, y=X)
q("x^4+y^4-x^2y^2", lambda x, y: x**4 + y**4 - x * x * y * y, "-convex; -convex of x", x=X, y=X)
q("quartic form", lambda x, y: (x + y) ** 4 + (x - y) ** 4, "+convex", x=X, y=X)
q("goldstein-like", lambda x, y: (x + 2 * y - 1) ** 4 + (2 * x - y) ** 2, "+convex", x=X, y=X)
q(
    "three hump camel",
    lambda x, y: 2 * x * x - 1.05 * x**4 + x**6 / 6 + x * y + y * y,
    "-convex; +convex of y",
    x=X,
    y=X,
)
q("styblinski", lambda x: (x**4 - 16 * x**2 + 5 * x) / 2, "-convex", x=X)
q("ackley-like", lambda x, y: -20 * torch.exp(-0.2 * ((x * x + y * y) / 2).sqrt()), "+quasiconvex; -convex", x=X, y=X)
q("rastrigin", lambda x: x * x - 3 * torch.cos(2 * x), "-convex", x=X)
q("rastrigin mild", lambda x: x * x - 0.4 * torch.cos(2 * x), "+convex", x=X)
q("rastrigin vec", lambda w: (w * w - 0.4 * torch.cos(2 * w)).sum(), "+convex; -concave", w=W3)
q("levy-like", lambda x: (x - 1) ** 2 * (1 + torch.sin(x) ** 2), "-convex", x=X)
q("bohachevsky", lambda x, y: x * x + 2 * y * y - 0.1 * torch.cos(3 * x) - 0.1 * torch.cos(4 * y), "+convex", x=X, y=X)
q("trid", lambda w: ((w - 1) ** 2).sum() - (w[1:] * w[:-1]).sum(), "+convex", w=[0.2, -0.5, 1.0, 2.0])
q("zakharov", lambda x, y: x * x + y * y + (0.5 * x + y) ** 2 + (0.5 * x + y) ** 4, "+convex", x=X, y=X)
q("sum of different powers", lambda w: w[0].abs() ** 2 + w[1].abs() ** 3 + w[2].abs() ** 4, "+convex", w=W3)
q("dixon price", lambda x, y: (x - 1) ** 2 + 2 * (2 * y * y - x) ** 2, "-convex; +convex of x; -convex of y", x=X, y=X)
q("branin-like in y", lambda x, y: (y - x * x + x - 6) ** 2 + torch.cos(x), "-convex; +convex of y", x=X, y=X)
q("exponential function", lambda w: -torch.exp(-0.5 * w.square().sum()), "+quasiconvex; -convex", w=W3)
q("resistors in parallel", lambda a, b, c: 1 / (1 / a + 1 / b + 1 / c), "+concave; -convex", a=POS, b=POS, c=POS)
q("efficiency", lambda a, b: a / (a + b), "+quasiconvex; +quasiconcave; +concave of a; +convex of b", a=POS, b=POS)
q("log ratio", lambda a, b: (a / b).log(), "+concave of a; +convex of b; -convex; +quasiconvex", a=POS, b=POS)
q("log ratio squared", lambda a, b: (a / b).log().square(), "-convex; +quasiconvex of a", a=POS, b=POS)
q("arrhenius", lambda k, t: k - 1 / t, "+concave; +concave of t", k=X, t=POS)
q("michaelis menten", lambda v, k: v * 2.0 / (k + 2.0), "+affine of v; +convex of k; -convex", v=(0.0, None), k=POS)
q("hill", lambda x: x**2 / (1 + x**2), "+quasiconcave; -concave", x=(0.0, None))
q("queue delay", lambda x: x / (1 - x), "+convex; -concave", x=(0.0, 0.99))
q("mm1 queue", lambda a, m: 1 / (m - a), "+convex; +convex of a", a=(0.0, 1.0), m=(1.5, None))
q(
    "mm1 queue number",
    lambda a, m: a / (m - a),
    "+quasiconvex; -convex; +convex of a; +convex of m",
    a=(0.1, 1.0),
    m=(1.5, None),
)
q("sum rate", lambda p: torch.log1p(p * D(1.0, 2.0, 3.0)).sum(), "+concave", p=At([1.0, 1.0, 1.0], 0.0, None))
q("sinr", lambda p: torch.log1p(p[0] / (1 + p[1])), "-concave; +quasiconcave", p=At([1.0, 1.0], 0.0, None))
q("sinr in logs", lambda u: torch.log(u[0].exp() / (1 + u[1].exp())), "+concave; -convex", u=[0.1, 0.2])
q("power control posy", lambda u: torch.logsumexp(torch.stack([u[1] - u[0], -u[0]]), 0), "+convex", u=[0.1, 0.2])
q("kelly", lambda f: -(0.6 * torch.log1p(f) + 0.4 * torch.log1p(-f)), "+convex", f=(-0.9, 0.9))
q("risk parity", lambda w: 0.5 * w @ PSD @ w - w.log().sum(), "+convex", w=PW)
q("entropic risk", lambda w: torch.logsumexp(-(A53 @ w), 0), "+convex", w=W3)
q("semivariance", lambda w: (0.1 - A53 @ w).relu().square().mean(), "+convex", w=W3)
q("semideviation", lambda w: ((A53 @ w).mean() - A53 @ w).relu().norm(), "+convex", w=W3)
q("utility crra", lambda c: c**-1 / -1 + 0.9 * c.log(), "+concave", c=POS)
q("exponential utility", lambda w: -torch.exp(-(A53 @ w)).mean(), "+concave; -convex", w=W3)
q("discounted sum", lambda r: 1 / (1 + r) + 1 / (1 + r) ** 2 + 1 / (1 + r) ** 3, "+convex; +log-convex", r=(0.0, 1.0))
q("bond price in yield", lambda y: torch.exp(-y) + torch.exp(-2 * y), "+convex; +log-convex", y=X)
q("x^3 neg", lambda x: x**3, "+concave; -convex; +quasiconvex", x=(None, 0.0))
q("lognormal qc", lambda x: (-(x.log() ** 2)).exp() / x, "+quasiconcave; -log-concave", x=(0.01, None))
q("ceil length", lambda x: torch.ceil(x) + x, "-convex; +quasiconvex; +quasiconcave", x=X)
q("heaviside", lambda x: torch.heaviside(x, T(0.5, dtype=torch.float64)), "+quasiconvex; -convex", x=X)
for s in (1e-20, 1e20):
    q(
        f"{s} logistic",
        lambda w, s=s: s * F.binary_cross_entropy_with_logits(A53 @ w, Y5.clamp(max=1)),
        "+convex; -concave",
        w=W3,
    )
    q(f"{s} xy", lambda x, y, s=s: s * (x * y), "-convex; +affine of x", x=X, y=X)
    q(f"{s} tanh", lambda x, s=s: s * x.tanh(), "-convex; -concave; +quasiconvex", x=X)
    q(f"{s} norm", lambda w, s=s: (s * w).norm(), "+convex; -concave", w=W3)
    q(f"{s} near psd", lambda x, y, s=s: s * (x * x + y * y + 2.0000001 * x * y), "-convex; +convex of x", x=X, y=X)
    q(f"{s} psd", lambda x, y, s=s: s * (x * x + y * y + 2 * x * y), "+convex; +convex of y", x=X, y=X)
    q(f"{s} argument", lambda x, s=s: torch.log1p((x * s).square()), "-convex; +quasiconvex", x=X)
    q(f"{s} softplus tiny slope", lambda x, s=s: s * (x.relu() + 1e-3 * x.square()), "+convex", x=X)
    q(f"{s} entropy", lambda p, s=s: s * -(p * p.log()).sum(), "+concave; -convex", p=PW)
    q(f"{s} minus", lambda x, s=s: -s * x.abs() + s * x * x, "-convex; -concave", x=X)
q("underflow product", lambda x: (1e-200 * x) * (1e-200 * x), "+convex; -concave", x=X)
q("x^4+y^4+3x^2y^2", lambda x, y: x**4 + y**4 + 3 * x * x * y * y, "+convex", x=X, y=X)
