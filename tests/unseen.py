"""A second zoo, written to test the detector rather than to show it: everyday expressions with several questions each.

A question is a sign, a claim and perhaps blocks: ``+convex`` is true, ``-concave of x`` is false, ``?convex`` concerns a
function that is undefined inside the box while no chord in its domain violates the claim, so that only UNKNOWN is right.
The truths are by hand (second derivatives, theorems); ``attack_unseen.py`` samples them without jensen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from cases import Case, _of

CASES: list[Case] = []
SIGN = {"+": True, "-": False, "?": None}


class At(NamedTuple):
    """A block's value and bounds."""

    value: Any
    lo: Any = None
    hi: Any = None


def _middle(lo: float | None, hi: float | None) -> float:
    if lo is None or hi is None:
        return 0.3 if lo is hi else (lo + 1.0 if lo is not None else hi - 1.0)
    return (lo + hi) / 2


def ask(table: list[Case], name: str, fn: Callable[..., Any], questions: str, **blocks: Any) -> None:
    """An expression with its questions; each block is a value, (lower, upper) or At(value, lower, upper)."""
    values, within = {}, {}
    for n, v in blocks.items():
        if isinstance(v, At):
            values[n], within[n] = v.value, (v.lo, v.hi)
        elif isinstance(v, tuple):
            values[n], within[n] = _middle(*v), v
        else:
            values[n] = v
    make = cache(partial(_of, fn, values))  # one trace for all questions
    for question in questions.split(";"):
        claim, _, of = question.strip().partition(" of ")
        ideal = claim.endswith(" ideal")
        kind = claim[1:].removesuffix(" ideal")
        case = Case(f"{name}: {claim[1:]}{' of ' + of if of else ''}", make, SIGN[claim[0]],
                    tuple(of.split(",")) if of else None, kind, within or None, ideal)  # fmt: skip
        table.append(case)


q = partial(ask, CASES)
X, POS, UNIT = 0.3, (0.1, None), (0.01, 0.99)
T = torch.tensor


def D(*rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# rational functions
q("1/(1+x^2)", lambda x: 1 / (1 + x * x), "-convex; -concave; +quasiconcave; -log-concave", x=X)
q("1/(1+x^2) near 0", lambda x: (1 + x**2).reciprocal(), "+concave; +log-concave", x=(-0.57, 0.57))
q("1/(1+x^2) far", lambda x: 1 / (1 + x * x), "+convex; +quasiconvex", x=(0.6, None))
q("x/(1+x^2)", lambda x: x / (1 + x * x), "+concave; -convex", x=(0.0, 1.7))
q("x^2/(1+x^2)", lambda x: x * x / (1 + x * x), "+quasiconvex; -convex", x=X)
q("x^2/(1+x^2) near 0", lambda x: 1 - 1 / (1 + x * x), "+convex", x=(-0.5, 0.5))
q("x + 1/x", lambda x: (x * x + 1) / x, "+convex; -log-convex", x=(0.1, 9.0))
q("(x^2+1)/(x+1)", lambda x: (x**2 + 1) / (x + 1), "+convex", x=(0.0, None))
q("x^2/(x+1)", lambda x: x.square() / (x + 1), "+convex; +quasiconvex", x=(0.0, None))
q("(x^2+2x)/(x+1)", lambda x: (x**2 + 2 * x) / (x + 1), "+concave; -convex", x=(0.0, None))
q("(2x+1)/(x+3)", lambda x: (2 * x + 1) / (x + 3), "+concave; +quasiconvex; -convex", x=(0.0, None))
q("(3-x)/(2+x)", lambda x: (3 - x) / (2 + x), "+convex", x=(0.0, 2.9))
q("1/x + 1/(1-x)", lambda x: 1 / x + 1 / (1 - x), "+convex; -concave", x=UNIT)
q("1/(x(1-x))", lambda x: 1 / (x * (1 - x)), "+convex; +log-convex", x=UNIT)
q("1/x - 1/(1-x) to 1/2", lambda x: 1 / x - 1 / (1 - x), "+convex", x=(0.01, 0.5))
q("1/x - 1/(1-x)", lambda x: 1 / x - 1 / (1 - x), "-convex", x=UNIT)
q("x^-3 below zero", lambda x: x**-3, "+concave; -convex", x=(-5.0, -0.2))
q("product of reciprocals", lambda x, y: (1 / x) * (1 / y**2), "+convex; +convex of y; -concave", x=POS, y=POS)

# exponentials, logarithms, powers
q("exp(1/x)", lambda x: (1 / x).exp(), "+convex; +log-convex", x=POS)
q("exp(-1/x) small", lambda x: torch.exp(-1 / x), "+convex", x=(0.05, 0.49))
q("exp(-1/x)", lambda x: torch.exp(-1 / x), "-convex; -concave; +log-concave", x=POS)
q("x^x", lambda x: torch.pow(x, x), "+convex; +log-convex", x=POS)
q("log(x)/x", lambda x: x.log() / x, "+quasiconcave; -concave", x=POS)
q("log(x)/x early", lambda x: x.log() / x, "+concave", x=(0.1, 4.4))
q("log(x)/x late", lambda x: x.log() / x, "+convex", x=(4.5, 90.0))
q("x/log(x)", lambda x: x / x.log(), "+convex", x=(1.1, 7.3))
q("x/log(x) beyond e^2", lambda x: x / x.log(), "-convex", x=(1.1, None))
q("log^2", lambda x: x.log() ** 2, "+convex", x=(0.1, 2.7))
q("1/log", lambda x: 1 / x.log(), "+convex; +log-convex", x=(1.1, None))
q("log log", lambda x: x.log().log(), "+concave; -convex", x=(1.1, None))
q("sqrt(x) log(x)", lambda x: x.sqrt() * x.log(), "+concave", x=(1.0, 50.0))
q("sqrt(x) log(x) below 1", lambda x: x.sqrt() * x.log(), "+convex", x=(0.1, 0.99))
q("log(exp(x)-1)", lambda x: torch.log(torch.expm1(x)), "+concave; -convex", x=POS)
q("-log(1-exp(-x))", lambda x: -torch.log(-torch.expm1(-x)), "+convex", x=POS)
q("log1p(-exp(-x))", lambda x: torch.log1p(-torch.exp(-x)), "+concave", x=POS)
q("x/(exp(x)-1)", lambda x: x / torch.expm1(x), "+convex; +log-concave", x=(0.1, 10.0))
q("expm1(x)/x", lambda x: torch.expm1(x) / x, "+convex; +log-convex", x=(0.2, 8.0))
q("sinh(x)/x", lambda x: x.sinh() / x, "+convex; +log-convex", x=(0.2, 5.0))
q("x^2 exp(-x), first part", lambda x: x**2 * torch.exp(-x), "+convex", x=(0.0, 0.58))
q("x^2 exp(-x), middle", lambda x: x**2 * torch.exp(-x), "+concave; -convex", x=(0.6, 3.4))
q("x^2 exp(-x)", lambda x: x**2 * torch.exp(-x), "+log-concave; -concave; +quasiconcave", x=POS)
q("x exp(-x), touching", lambda x: x * torch.exp(-x), "+concave", x=(0.0, 2.0))
q("x exp(-x) beyond 2", lambda x: x * torch.exp(-x), "+convex", x=(2.0, 9.0))
q("exp(-|x|)", lambda x: torch.exp(-x.abs()), "+log-concave; -convex; +quasiconcave", x=X)
q("exp(x) + exp(-2x) - x", lambda x: x.exp() + (-2 * x).exp() - x, "+convex", x=X)
q("exp(x) - x^2", lambda x: x.exp() - x * x, "-convex; -concave", x=X)
q("exp(x) - x^2 beyond log 2", lambda x: x.exp() - x * x, "+convex", x=(0.7, None))
q("exp's remainder", lambda x: torch.expm1(x) - x - x * x / 2, "+convex; -concave", x=(0.0, None))
q("exp's remainder, left", lambda x: torch.expm1(x) - x - x * x / 2, "+concave", x=(None, 0.0))
q("x - log(x)", lambda x: x - x.log(), "+convex", x=POS)
q("log(x^2+x+1)", lambda x: torch.log(x * x + x + 1), "-convex; +quasiconvex", x=X)
q("log(x^2+x+1) inside", lambda x: torch.log(x * x + x + 1), "+convex", x=(-1.3, 0.36))
q("sqrt(x^2+x+1)", lambda x: torch.sqrt(x * x + x + 1), "+convex; -concave", x=X)
q("sqrt of a square", lambda x: torch.sqrt(x * x + 2 * x + 1), "+convex", x=X)
q("x^1.5, x^(1/3), x^-0.5", lambda x: x**1.5 - 2 * x ** (1 / 3) + x**-0.5, "+convex", x=POS)
q("odd root", lambda x: x.sign() * x.abs() ** (1 / 3), "+quasiconvex; -convex; -concave", x=X)
q("two to the x", lambda x: 2.0**x + torch.pow(T(0.5), x), "+convex; +log-convex", x=X)
q("exp2, log2, log10", lambda x: torch.exp2(x) - torch.log2(x) - 3 * torch.log10(x), "+convex", x=POS)
q("power with a tensor exponent", lambda x: x ** T(3.0), "+convex", x=(0.0, None))
q("float_power", lambda x: torch.float_power(x, 4), "+convex; -concave", x=X)
q("x log(1+x)", lambda x: torch.special.xlog1py(x, x), "+convex", x=(-0.9, 9.0))
q("x log(1+x) by hand", lambda x: x * torch.log1p(x), "+convex", x=(-0.9, 9.0))
q("entr", lambda x: torch.special.entr(x) + torch.special.entr(1 - x), "+concave", x=UNIT)
q("binary entropy", lambda x: -x * x.log() - (1 - x) * (1 - x).log(), "+concave; -convex", x=UNIT)
q("logit", lambda x: torch.log(x / (1 - x)), "-convex; +quasiconvex", x=UNIT)
q("logit above 1/2", lambda x: torch.log(x / (1 - x)), "+convex", x=(0.5, 0.99))
q("log x + log(1-x)", lambda x: torch.log(x * (1 - x)), "+concave", x=UNIT)
q("sqrt(x) + sqrt(1-x)", lambda x: x.sqrt() + (1 - x).sqrt(), "+concave", x=(0.0, 1.0))
q("sqrt(x(1-x))", lambda x: (x * (1 - x)).sqrt(), "+concave", x=(0.0, 1.0))
q("circle", lambda x: (1 - x * x).sqrt(), "+concave", x=(-1.0, 1.0))
q("arcsine density", lambda x: (1 - x * x).rsqrt(), "+convex; +log-convex", x=(-0.9, 0.9))
q("sqrt(1+sqrt(x))", lambda x: (1 + x.sqrt()).sqrt(), "+concave", x=(0.0, None))
q("exp of a square root of a quadratic", lambda x: (1 + x * x).sqrt().exp(), "+convex; +log-convex", x=X)

# trigonometric and hyperbolic
q("x sin x", lambda x: x * x.sin(), "+convex", x=(-1.0, 1.0))
q("sin^2", lambda x: x.sin() ** 2, "+convex; -concave", x=(-0.7, 0.7))
q("sin x + x^2/2", lambda x: x.sin() + x * x / 2, "+convex", x=X)
q("sin x + 0.499 x^2", lambda x: x.sin() + 0.499 * x * x, "-convex", x=X)
q("x - sin x", lambda x: x - x.sin(), "+convex", x=(0.0, 3.14))
q("tan", lambda x: x.tan(), "+convex", x=(0.0, 1.5))
q("tan on both sides", lambda x: x.tan(), "-convex; -concave; +quasiconvex", x=(-1.0, 1.0))
q("1/cos", lambda x: 1 / x.cos(), "+convex; +log-convex", x=(-1.5, 1.5))
q("log cos", lambda x: x.cos().log(), "+concave", x=(-1.5, 1.5))
q("log sin", lambda x: x.sin().log(), "+concave", x=(0.1, 3.0))
q("sin(x)/x", lambda x: x.sin() / x, "+concave", x=(0.2, 2.0))
q("sin^2 + cos^2", lambda x: x.sin() ** 2 + x.cos() ** 2, "+convex", x=X)
q("x atan x", lambda x: x * x.atan(), "+convex; -concave", x=X)
q("x tanh x", lambda x: x * x.tanh(), "+quasiconvex; -convex", x=X)
q("x tanh x near 0", lambda x: x * x.tanh(), "+convex", x=(-1.1, 1.1))
q("log cosh", lambda x: x.cosh().log(), "+convex; -concave", x=X)
q("log cosh by logaddexp", lambda x: torch.logaddexp(x, -x) - math.log(2), "+convex", x=X)
q("x erf x", lambda x: x * x.erf(), "+convex", x=(-0.95, 0.95))
q("x erf x far", lambda x: x * x.erf(), "-convex", x=X)
q("x asinh x", lambda x: x * x.asinh(), "+convex", x=(-9.0, 9.0))
q("x asinh x - sqrt(1+x^2)", lambda x: x * x.asinh() - (1 + x * x).sqrt(), "+convex", x=X)
q("acos", lambda x: x.acos(), "+concave; -convex", x=(0.0, 1.0))
q("x acos x", lambda x: x * x.acos(), "+concave", x=(-0.9, 0.9))
q("tanh by hand", lambda x: (x.exp() - (-x).exp()) / (x.exp() + (-x).exp()), "+concave", x=(0.0, 5.0))
q("cosh^2 - sinh^2", lambda x: x.cosh() ** 2 - x.sinh() ** 2, "+convex", x=(-2.0, 2.0))
q("asinh of a square", lambda x: (x * x).asinh(), "+quasiconvex; -convex", x=X)
q("atan2", lambda x: torch.atan2(x, T(1.0, dtype=torch.float64)), "+concave", x=(0.0, None))

# sigmoids and activations
q("sigmoid(1-sigmoid)", lambda x: x.sigmoid() * (1 - x.sigmoid()), "+log-concave; +quasiconcave; -concave", x=X)
q("exp/(1+exp)", lambda x: x.exp() / (1 + x.exp()), "+log-concave; -convex", x=X)
q("exp/(1+exp) on x <= 0", lambda x: x.exp() / (1 + x.exp()), "+convex", x=(-5.0, 0.0))
q("1/(1+exp(-x))", lambda x: 1 / (1 + torch.exp(-x)), "+log-concave; +quasiconvex; -concave", x=X)
q("softplus beta 2", lambda x: F.softplus(x, beta=2), "+convex ideal; -concave", x=X)
q("softplus beta 0.1", lambda x: F.softplus(x, beta=0.1), "+convex", x=(-50.0, 50.0))
q("softplus, low threshold", lambda x: F.softplus(x, threshold=5.0), "-convex", x=X)
q("logsigmoid", lambda x: F.logsigmoid(x) + F.logsigmoid(-x), "+concave; -convex", x=X)
q("celu", lambda x: F.celu(x, 2.0), "+convex", x=X)
q("elu of 0.5", lambda x: F.elu(x, 0.5), "+convex; -concave", x=X)
q("mish", lambda x: F.mish(x), "-convex", x=X)
q("hardswish", lambda x: x * F.relu6(x + 3) / 6, "-convex", x=X)
q("hardswish inside", lambda x: F.hardswish(x), "+convex", x=(-2.9, 2.9))
q("tanh gelu", lambda x: F.gelu(x, approximate="tanh"), "+convex", x=(-1.0, 1.0))
q("tanhshrink", lambda x: F.tanhshrink(x), "+convex", x=(0.0, None))
q("erfc", lambda x: torch.erfc(x), "+log-concave; -convex", x=X)
q("normal tail", lambda x: -torch.special.log_ndtr(-2 * x + 1), "+convex", x=X)
q("normal density", lambda x: torch.exp(-((x - 1) ** 2) / 8) / math.sqrt(8 * math.pi), "+log-concave; -concave", x=X)
q(
    "probit likelihood",
    lambda x: -torch.log(torch.special.ndtr(x)) - torch.log(torch.special.ndtr(-3 * x)),
    "+convex",
    x=X,
)
q("swish by division", lambda x: x / (1 + torch.exp(-x)), "-convex", x=X)
q("swish by division, inside", lambda x: x / (1 + torch.exp(-x)), "+convex", x=(-2.0, 2.0))

# piecewise forms
q("|x| by where", lambda x: torch.where(x > 0, x, -x), "+convex; -concave", x=X)
q("one-sided square by where", lambda x: torch.where(x > 0, x**2, torch.zeros_like(x)), "+convex", x=X)
q("huber by where", lambda x: torch.where(x.abs() <= 1, 0.5 * x**2, x.abs() - 0.5), "+convex; -concave", x=X)
q("leaky relu by where", lambda x: torch.where(x > 0, x, 0.1 * x), "+convex", x=X)
q("concave leaky relu by where", lambda x: torch.where(x > 0, 0.1 * x, x), "-convex; +concave", x=X)
q("x then x^2", lambda x: torch.where(x > 1, x * x, x), "+convex", x=X)
q("jump up", lambda x: torch.where(x > 0, x + 1, x), "-convex; -concave; +quasiconvex", x=X)
q("one-sided square by clamp", lambda x: x.clamp(min=0) ** 2, "+convex", x=X)
q("one-sided square by product", lambda x: x.relu() * x, "+convex", x=X)
q("clamp", lambda x: x.clamp(-1, 1), "-convex; +quasiconvex; +quasiconcave", x=X)
q("clamp of a square", lambda x: (x * x).clamp(max=4), "-convex; +quasiconvex", x=X)
q("relu of a quadratic", lambda x: F.relu(1 - x * x), "-convex; -concave; +quasiconcave", x=X)
q("|x|-1 clipped", lambda x: (x.abs() - 1).clamp(min=0), "+convex", x=X)
q("||x|-1|", lambda x: (x.abs() - 1).abs(), "-convex", x=X)
q("|x^2-1|", lambda x: (x * x - 1).abs(), "-convex", x=X)
q("|x-1| + |x+1|", lambda x: (x - 1).abs() + (x + 1).abs(), "+convex", x=X)
q("|x-1| - |x+1|", lambda x: (x - 1).abs() - (x + 1).abs(), "-convex; -concave; +quasiconvex", x=X)
q("max of x and 1/x", lambda x: torch.maximum(x, 1 / x), "+convex", x=POS)
q("max of stacked", lambda x: torch.stack([x, x * x, 2 * x - 1, -x]).amax(0), "+convex", x=X)
q("median of three", lambda x: torch.maximum(torch.minimum(x, T(1.0, dtype=torch.float64)), -x), "-convex", x=X)
q("x|x|", lambda x: x * x.abs(), "-convex; +quasiconvex", x=X)
q("|x|^3", lambda x: x.abs() ** 3, "+convex", x=X)
q("x|x| on x >= 0", lambda x: x * x.abs(), "+convex", x=(0.0, None))
q("sawtooth", lambda x: x - x.floor(), "-convex; -concave", x=X)
q("ceil", lambda x: x.ceil(), "-convex; +quasiconvex", x=X)
q("relu^3 - relu^3", lambda x: x.relu() ** 3 - (x - 1).relu() ** 3, "+convex", x=X)
q("lerp", lambda x: torch.lerp(x * x, x, 0.3), "+convex", x=X)

# polynomials
q("(x-1)^4 expanded", lambda x: x**4 - 4 * x**3 + 6 * x**2 - 4 * x, "+convex; -concave", x=X)
q("a little less than (x-1)^4", lambda x: x**4 - 4 * x**3 + 5.99 * x**2, "-convex", x=X)
q("exp's Taylor polynomial", lambda x: 1 + x + x**2 / 2 + x**3 / 6 + x**4 / 24, "+convex", x=X)
q("-x^4 + 6x^2, touching", lambda x: 6 * x**2 - x**4, "+convex", x=(-1.0, 1.0))
q("Horner", lambda x: ((2 * x + 3) * x + 1) * x - 7, "+convex", x=(0.0, None))
q("Horner everywhere", lambda x: ((2 * x + 3) * x + 1) * x - 7, "-convex", x=X)
q("x^5 - x", lambda x: x**5 - x, "-convex", x=(-1.0, 1.0))
q("x^6 - 2x^4 + 3x^2", lambda x: x**6 - x**4 + 3 * x**2, "+convex", x=X)
q("x^4 + x^2 y^2 + y^4", lambda x, y: x**4 + x**2 * y**2 + y**4, "+convex; +convex of x", x=X, y=X)
q("x^4 + 7 x^2 y^2 + y^4", lambda x, y: x**4 + 7 * x**2 * y**2 + y**4, "-convex; +convex of x", x=X, y=X)
q("(x+y)^4", lambda x, y: (x + y) ** 4, "+convex", x=X, y=X)
q("quartic of a product", lambda x, y: (x * y - 1) ** 2, "-convex; +convex of x; +convex of y", x=X, y=X)
q("booth", lambda x, y: (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2, "+convex", x=X, y=X)
q(
    "beale in y",
    lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2,
    "-convex; +convex of x; -convex of y",
    x=X,
    y=X,
)
q("matyas", lambda x, y: 0.26 * (x * x + y * y) - 0.48 * x * y, "+convex", x=X, y=X)
q("saddle", lambda x, y: x**2 - y**2, "-convex; -concave; +convex of x; +concave of y", x=X, y=X)

# scale and tiny violations
q("1e-20 x^4", lambda x: 1e-20 * x**4, "+convex; -concave", x=X)
q("1e20 log-sum", lambda x: 1e20 * torch.logaddexp(x, 2 * x), "+convex", x=X)
q("1e-20 (x^3 + 3x^2)", lambda x: 1e-20 * (x**3 + 3 * x**2), "-convex", x=X)
q("x^2 less a little more", lambda x: x * x - 1.000000001 * x * x, "-convex; +concave", x=X)
q("x^2 less a little less", lambda x: x * x - 0.999999999 * x * x, "+convex", x=X)
q("sqrt(1+x^2) - 1e-9 x^2", lambda x: (1 + x * x).sqrt() - 1e-9 * x * x, "-convex", x=X)
q("exp(x) - 1e-9 x^2", lambda x: x.exp() - 1e-9 * x * x, "-convex", x=X)
q("|x| - 1e-9 x^2", lambda x: x.abs() - 1e-9 * x * x, "-convex", x=X)
q("x^4 - 1e-9 x^2", lambda x: x**4 - 1e-9 * x**2, "-convex", x=X)
q("x log x - 1e-9 x^2", lambda x: x * x.log() - 1e-9 * x * x, "-convex", x=(0.01, None))
q("relu + 1e-9 sin", lambda x: x.relu() + 1e-9 * x.sin(), "-convex", x=X)
q("huge shift", lambda x: (x * x + 1e12) - x.abs() * 0, "+convex", x=X)
q("scaled argument", lambda x: torch.log1p(torch.exp(1e8 * x)), "+convex", x=0.0)
q("PSD but for 1e-9", lambda x, y: x * x + 2.000000002 * x * y + y * y, "-convex", x=X, y=X)
q("just PD", lambda x, y: x * x + 1.999999998 * x * y + y * y, "+convex", x=X, y=X)

# traps of the domain
q("1/x across 0", lambda x: 1 / x, "-convex; -concave", x=At(0.6, -1.0, 1.0))
q("1/x^2 across 0", lambda x: 1 / x**2, "?convex; -concave", x=At(0.6, -1.0, 1.0))
q("root across 0", lambda x: x.sqrt(), "?concave; -convex", x=At(0.6, -1.0, 1.0))
q("log across 0", lambda x: x.log(), "?concave; -convex", x=At(0.6, -1.0, 1.0))
q("log x^2 across 0", lambda x: (x * x).log(), "?concave", x=At(0.6, -1.0, 2.0))
q("x log x at 0", lambda x: x * x.log(), "?convex", x=At(0.6, 0.0, 1.0))
q("xlogy at 0", lambda x: torch.xlogy(x, x), "+convex", x=At(0.6, 0.0, 1.0))
q("1/(1-x) up to 1", lambda x: 1 / (1 - x), "?convex", x=At(0.6, 0.0, 1.0))
q("x^2/x across 0", lambda x: x * x / x, "?convex", x=At(0.6, -1.0, 1.0))
q("x^1.5 across 0", lambda x: x**1.5, "?convex; -concave", x=At(0.6, -1.0, 1.0))
q("log1p at -1", lambda x: torch.log1p(x), "?concave", x=At(-0.6, -1.0, 0.0))
q("sqrt(x^2 - 1)", lambda x: (x * x - 1).sqrt(), "?concave; -convex", x=At(1.6, -3.0, 3.0))
q("tan across a pole", lambda x: x.tan(), "-convex", x=At(0.6, 0.0, 2.0))
q("log(1-x^2) up to 1", lambda x: torch.log(1 - x * x), "?concave", x=At(0.6, -1.0, 1.0))
q("atanh beyond 1", lambda x: x.atanh(), "?convex", x=At(0.6, 0.0, 1.5))
q("sqrt squared", lambda x: x.sqrt() ** 2, "+affine", x=(0.0, None))
q("exp of log", lambda x: x.log().exp(), "+affine", x=POS)
q("log of exp", lambda x: x.exp().log(), "+affine; +convex", x=X)
q("x^2/x", lambda x: x * x / x, "+affine; +convex", x=POS)
q("x/y across y = 0", lambda x, y: x * x / y, "-convex", x=X, y=At(0.6, -1.0, 1.0))

# a few variables
q("x^2/(x+y)", lambda x, y: x * x / (x + y), "+convex; +convex of x; +convex of y", x=POS, y=POS)
q("(x+y)^2/x", lambda x, y: (x + y) ** 2 / x, "+convex", x=POS, y=X)
q("harmonic mean", lambda x, y: 1 / (1 / x + 1 / y), "+concave; -convex", x=POS, y=POS)
q("harmonic mean as a quotient", lambda x, y: 2 * x * y / (x + y), "+concave; +concave of x", x=POS, y=POS)
q("contraharmonic mean", lambda x, y: (x * x + y * y) / (x + y), "+convex", x=POS, y=POS)
q("(sqrt x + sqrt y)^2", lambda x, y: (x.sqrt() + y.sqrt()) ** 2, "+concave; -convex", x=POS, y=POS)
q("three-norm of positives", lambda x, y: (x**3 + y**3) ** (1 / 3), "+convex", x=POS, y=POS)
q("x^3/y^2", lambda x, y: x**3 / y**2, "+convex; -concave", x=(0.0, None), y=POS)
q("x^3/(yz)", lambda x, y, z: x**3 / (y * z), "+convex; +convex of y,z", x=POS, y=POS, z=POS)
q("x^2/(yz)", lambda x, y, z: x**2 / (y * z), "-convex; +convex of x; +convex of y,z", x=POS, y=POS, z=POS)
q("y/x + x^2", lambda x, y: y / x + x * x, "-convex; +convex of x; +affine of y", x=POS, y=POS)
q("posynomial in logarithms", lambda x, y: torch.log(torch.exp(x + 2 * y) + torch.exp(-y) + 3), "+convex", x=X, y=X)
q("posynomial", lambda x, y: 1 / (x * y.square()) + x.square() / y, "+convex; -concave", x=POS, y=POS)
q(
    "product of powers",
    lambda x, y, z: (x * y * z) ** (1 / 3),
    "+concave; +log-concave; +quasiconcave",
    x=POS,
    y=POS,
    z=POS,
)
q(
    "cobb-douglas, increasing returns",
    lambda x, y: x**0.8 * y**0.9,
    "-concave; +quasiconcave; +concave of x",
    x=POS,
    y=POS,
)
q("ces", lambda x, y: (0.3 * x**-0.5 + 0.7 * y**-0.5) ** -2, "+concave", x=POS, y=POS)
q("perspective of exp", lambda x, y: y * torch.exp(x / y), "+convex; +convex of x; -concave", x=X, y=POS)
q("perspective of log", lambda x, y: y * torch.log(x / y), "+concave; -convex", x=POS, y=POS)
q("perspective of softplus", lambda x, y: y * torch.log1p(torch.exp(x / y)), "+convex", x=X, y=POS)
q("perspective of the hyperbola", lambda x, y: y * (1 + (x / y) ** 2).sqrt(), "+convex", x=X, y=POS)
q("x log(x/y) - x + y", lambda x, y: x * torch.log(x / y) - x + y, "+convex", x=POS, y=POS)
q("jeffreys", lambda x, y: (x - y) * (x.log() - y.log()), "+convex; +convex of x", x=POS, y=POS)
q("itakura-saito", lambda x, y: x / y - torch.log(x / y) - 1, "-convex; +convex of x", x=POS, y=POS)
q("exp(x) y^2", lambda x, y: x.exp() * y**2, "-convex; +convex of x; +convex of y", x=X, y=X)
q("exp(x + y^2)", lambda x, y: torch.exp(x + y * y), "+convex; +log-convex", x=X, y=X)
q("exp(xy)", lambda x, y: torch.exp(x * y), "-convex; +convex of x; +log-convex of y", x=X, y=X)
q("(x - y)^2 + sin", lambda x, y: (x - y) ** 2 + 0.1 * x.sin(), "-convex; +convex of x", x=(-9.0, 9.0), y=X)
q(
    "2x^2 + sin x cos y + y^2",
    lambda x, y: 2 * x * x + x.sin() * y.cos() + y * y,
    "+convex",
    x=(-1.0, 1.0),
    y=(-1.0, 1.0),
)
q("log det 2x2", lambda x, y, z: -torch.log(x * z - y * y), "+convex", x=(2.0, 3.0), y=(-1.0, 1.0), z=(2.0, 3.0))
q("largest eigenvalue", lambda x, y, z: x + z + ((x - z) ** 2 + 4 * y * y).sqrt(), "+convex; -concave", x=X, y=X, z=X)
q("sqrt(x^2 + y^2 + xy)", lambda x, y: (x * x + y * y + x * y).sqrt(), "+convex", x=X, y=X)
q("max(x, y) min(x, y)", lambda x, y: torch.maximum(x, y) * torch.minimum(x, y), "-convex; -concave", x=X, y=X)
q("max minus min", lambda x, y: torch.maximum(x, y) - torch.minimum(x, y), "+convex", x=X, y=X)
q("fmax, hypot", lambda x, y: torch.fmax(torch.hypot(x, y), 2 * x), "+convex", x=X, y=X)
q(
    "dirichlet's log partition",
    lambda x, y: x.lgamma() + y.lgamma() - (x + y).lgamma(),
    "+convex; +convex of x",
    x=(0.5, 5.0),
    y=(0.5, 5.0),
)
q("himmelblau", lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2, "-convex; -convex of x", x=X, y=X)
q("mccormick", lambda x, y: (x + y).sin() + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1, "-convex; +convex of x", x=X, y=X)
