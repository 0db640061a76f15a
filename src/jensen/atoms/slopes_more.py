"""Derivatives of further elementwise functions, in the terms of :mod:`jensen.atoms.slopes`.

With phi and Phi the normal density and distribution, h = phi / Phi and t = tan x:

    (2^x)' = L 2^x, L = log 2           (log_b x)' = 1 / (x log b)         tan' = 1 + t^2, tan'' = 2 t (1 + t^2)
    asin' = (1 - x^2)^(-1/2), asin'' = x (1 - x^2)^(-3/2)                  acos = pi / 2 - asin
    atanh' = 1 / (1 - x^2), atanh'' = 2 x / (1 - x^2)^2
    acosh' = (x^2 - 1)^(-1/2), acosh'' = -x (x^2 - 1)^(-3/2)
    Phi' = phi, phi' = -x phi           (x Phi)' = Phi + x phi, (x Phi)'' = (2 - x^2) phi
    (log Phi)' = h, h' = -h (x + h), and h falls with h' in (-1, 0) (Sampford, 1953)
    lgamma'' = zeta(2, x), which falls; digamma'' = -2 zeta(3, x), which rises
    softsign' = (1 + |x|)^-2, softsign'' = -2 sign(x) (1 + |x|)^-3
    logit' = 1/x + 1/(1-x), logit'' = 1/(1-x)^2 - 1/x^2
    (-x log x)' = -log x - 1, (-x log x)'' = -1/x                          (x - tanh x)'' = -tanh'' x
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from flint import arb

from jensen.atoms.gated_units import normal_cdf
from jensen.atoms.registry import slopes
from jensen.atoms.rounding import around
from jensen.atoms.slopes import ONE, TWO, Three, _bell, _erf, _tanh, of, power, square, sub
from jensen.atoms.trigonometric import wave_image
from jensen.kernel import balls, ranges
from jensen.kernel.balls import to_floats
from jensen.kernel.errors import Narrow
from jensen.kernel.ranges import Range, add, intersect, mul, neg, scale


def number(f: Callable[[], Any]) -> Range:
    """A range around a real number."""
    return ranges.make(*around(f))


LOG2, LOG10 = number(lambda: arb(2).log()), number(lambda: arb(10).log())
ROOT = number(lambda: 1 / arb(2).sqrt())


def falling(f: Callable[[Any], Any], r: Range, low: float, high: float) -> Range:
    """The range of a decreasing function with values between two limits."""
    with balls.precision(balls.PRECISION):
        top = high if r[0] == -inf else to_floats(f(arb(r[0])))[1]
        bottom = low if r[1] == inf else to_floats(f(arb(r[1])))[0]
    return ranges.make(max(bottom, low), min(top, high))


def _exp2(r: Range) -> Three:
    e = of("aten.exp2.default", r)
    first = mul(e, LOG2)
    return e, first, mul(first, LOG2)


def _log(op: str, base: Range) -> Callable[[Range], Three]:
    factor = power(base, -1.0)
    return lambda r: (of(op, r), mul(factor, power(r, -1.0)), neg(mul(factor, power(r, -2.0))))


def _tan(r: Range) -> Three:
    c = wave_image(1, r)
    if c[0] <= 0.0 <= c[1]:
        raise Narrow("tan", "a piece between two poles", "the range may hold a pole of tan")
    with balls.precision(balls.PRECISION):  # between two poles tan rises
        t = ranges.make(to_floats(arb(r[0]).tan())[0], to_floats(arb(r[1]).tan())[1])
    first = add(ONE, square(t))
    return t, first, mul(scale(t, 2.0), first)


def _asin(r: Range) -> Three:
    q = sub(ONE, square(r))
    return of("aten.asin.default", r), power(q, -0.5), mul(r, power(q, -1.5))


def _acos(r: Range) -> Three:
    _, first, second = _asin(r)
    return of("aten.acos.default", r), neg(first), neg(second)


def _atanh(r: Range) -> Three:
    value = of("aten.atanh.default", r)
    inverse = power(sub(ONE, square(r)), -1.0)
    return value, inverse, mul(scale(r, 2.0), square(inverse))


def _acosh(r: Range) -> Three:
    value = of("aten.acosh.default", r)
    q = sub(square(r), ONE)
    return value, power(q, -0.5), mul(neg(r), power(q, -1.5))


def _erfc(r: Range) -> Three:
    _, first, second = _erf(r)
    return of("aten.erfc.default", r), neg(first), neg(second)


def _density(r: Range) -> Range:
    """exp(-x^2 / 2) / sqrt(2 pi)."""
    return _bell(mul(r, ROOT), 1 / (2 * arb.pi()).sqrt())


def _ndtr(r: Range) -> Three:
    d = _density(r)
    return of("aten.special_ndtr.default", r), d, mul(neg(r), d)


def _hazard(x: Any) -> Any:
    return (-x * x / 2).exp() / ((2 * arb.pi()).sqrt() * normal_cdf(x))


def _log_ndtr(r: Range) -> Three:
    h = falling(_hazard, r, 0.0, inf)
    second = intersect(neg(mul(h, add(r, h))), (-1.0, 0.0, True, True))
    return of("aten.special_log_ndtr.default", r), h, second


def _gelu(r: Range, approximate: str = "none") -> Three:
    if approximate != "none":
        raise Narrow("gelu", "the exact form", "the approximate form has no derivatives here")
    d, cdf = _density(r), of("aten.special_ndtr.default", r)
    return of("aten.gelu.default", r), add(cdf, mul(r, d)), mul(sub(TWO, square(r)), d)


def _trigamma(r: Range) -> Range:
    return falling(lambda x: arb(2).zeta(x) if x > 0 else arb(inf), r, 0.0, inf)


def _lgamma(r: Range) -> Three:
    value = of("aten.lgamma.default", r)
    return value, of("aten.digamma.default", r), _trigamma(r)


def _digamma(r: Range) -> Three:
    value = of("aten.digamma.default", r)
    return value, _trigamma(r), neg(falling(lambda x: 2 * arb(3).zeta(x) if x > 0 else arb(inf), r, 0.0, inf))


def _tanhshrink(r: Range) -> Three:
    _, first, second = _tanh(r)
    return of("jensen.tanhshrink", r), sub(ONE, first), neg(second)


def _softsign(r: Range) -> Three:
    q = add(ONE, of("aten.abs.default", r))
    steep = scale(power(q, -3.0), 2.0)
    second = neg(steep) if r[0] > 0.0 else steep if r[1] < 0.0 else ranges.union(steep, neg(steep))
    return of("jensen.softsign", r), power(q, -2.0), second


def _logit(r: Range, eps: Any = None) -> Three:
    if eps is not None:
        raise Narrow("logit", "no clamp", "the clamped form has no derivatives here")
    p, q = power(r, -1.0), power(sub(ONE, r), -1.0)
    return of("aten.logit.default", r), add(p, q), sub(square(q), square(p))


def _entr(r: Range) -> Three:
    value = of("aten.special_entr.default", r)
    return value, neg(add(of("aten.log.default", r), ONE)), neg(power(r, -1.0))


def _leaky(r: Range, slope: Any = 0.01) -> Three:
    value, low = of("aten.leaky_relu.default", r, slope), float(slope)
    if r[1] < 0.0 or r[0] > 0.0:
        side = low if r[1] < 0.0 else 1.0
        return value, (side, side, False, False), (0.0, 0.0, False, False)
    kink = (0.0, inf, False, True) if low <= 1.0 else (-inf, 0.0, True, False)  # also where the range only touches zero
    return value, (min(low, 1.0), max(low, 1.0), False, False), kink


slopes("aten.exp2.default", _exp2)
slopes("aten.log2.default", _log("aten.log2.default", LOG2))
slopes("aten.log10.default", _log("aten.log10.default", LOG10))
slopes("aten.tan.default", _tan)
slopes("aten.asin.default", _asin)
slopes("aten.acos.default", _acos)
slopes("aten.atanh.default", _atanh)
slopes("aten.acosh.default", _acosh)
slopes("aten.erfc.default", _erfc)
slopes("aten.special_ndtr.default", _ndtr)
slopes("aten.special_log_ndtr.default", _log_ndtr)
slopes("aten.gelu.default", _gelu)
slopes("aten.lgamma.default", _lgamma)
slopes("aten.digamma.default", _digamma)
slopes("jensen.tanhshrink", _tanhshrink)
slopes("jensen.softsign", _softsign)
slopes("aten.logit.default", _logit)
slopes("aten.special_entr.default", _entr)
slopes("aten.leaky_relu.default", _leaky)
