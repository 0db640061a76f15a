"""Ranges of first and second derivatives of elementwise functions, for proofs on boxes.

A function with a convex kink inside the range has second derivative [0, infinity) there.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

from flint import arb

from jensen.atoms import rows
from jensen.atoms.powers import power_row
from jensen.atoms.registry import REGISTRY, slopes
from jensen.atoms.rows import Row
from jensen.atoms.trigonometric import wave_image
from jensen.kernel import balls, ranges
from jensen.kernel.errors import Narrow, Rejected
from jensen.kernel.ranges import Range, add, mul, neg, scale

ONE: Range = (1.0, 1.0, False, False)
TWO: Range = (2.0, 2.0, False, False)
ZERO: Range = (0.0, 0.0, False, False)

Three = tuple[Range, Range, Range]


def image(row: Row, r: Range) -> Range:
    """A function's range; refused outside its domain."""
    if not ranges.within_domain(r, row.domain):
        raise Narrow("domain", "a piece inside the domain", f"the range {ranges.show(r)} leaves the function's domain")
    return rows.image(row, r)


def of(op: str, r: Range, *attributes: Any) -> Range:
    """The range of a registered function."""
    atom = REGISTRY.get(op)
    if atom is None or atom.row is None:
        raise Rejected(op, "known functions", f"{op} has no row")
    return image(atom.row(*attributes), r)


def power(r: Range, p: float) -> Range:
    return image(power_row(p), r)


def sub(a: Range, b: Range) -> Range:
    return add(a, neg(b))


def square(r: Range) -> Range:
    return power(r, 2.0)


def _pow(r: Range, p: float) -> Three:
    whole = p == int(p)
    if p in (0.0, 1.0):
        return power(r, p), (p, p, False, False), ZERO
    if not (whole and p > 0) and not r[0] > 0.0 and not (p > 2 and r[0] >= 0.0):
        raise Narrow("pow", "a base away from zero", "the base's range on a piece of the box touches zero")
    q = Fraction(p)
    first = mul(ranges.of_fraction(q), power(r, _exact(q - 1)))
    second = ranges.of_fraction(q * (q - 1))
    return power(r, p), first, second if p == 2.0 else mul(second, power(r, _exact(q - 2)))


def _exact(q: Fraction) -> float:
    x = float(q)
    if Fraction(x) != q:
        raise Rejected("pow", "exact exponents", f"the exponent {q} is not a float")
    return x


def _exp(r: Range) -> Three:
    e = of("aten.exp.default", r)
    return e, e, e


def _expm1(r: Range) -> Three:
    e = of("aten.exp.default", r)
    return of("aten.expm1.default", r), e, e


def _log(r: Range) -> Three:
    return of("aten.log.default", r), power(r, -1.0), neg(power(r, -2.0))


def _log1p(r: Range) -> Three:
    s = add(r, ONE)
    return of("aten.log1p.default", r), power(s, -1.0), neg(power(s, -2.0))


def _tanh(r: Range) -> Three:
    t = of("aten.tanh.default", r)
    first = sub(ONE, square(t))
    return t, first, mul(scale(t, -2.0), first)


def _logistic(r: Range) -> tuple[Range, Range, Range]:
    """s, s (1 - s), 1 - 2 s of the sigmoid s."""
    s = of("aten.sigmoid.default", r)
    other = of("aten.sigmoid.default", neg(r))
    return s, mul(s, other), sub(other, s)


def _sigmoid(r: Range) -> Three:
    s, first, tilt = _logistic(r)
    return s, first, mul(first, tilt)


def _silu(r: Range) -> Three:
    s, first, tilt = _logistic(r)
    return mul(r, s), add(s, mul(r, first)), mul(first, add(TWO, mul(r, tilt)))


def _softplus(r: Range, *attributes: Any) -> Three:
    beta = float(attributes[0]) if attributes else 1.0
    s, first, _ = _logistic(scale(r, beta))
    return of("jensen.softplus", r, *attributes[:1]), s, scale(first, beta)


def _implemented_softplus(r: Range, *attributes: Any) -> Three:
    beta = float(attributes[0]) if attributes else 1.0
    threshold = float(attributes[1]) if len(attributes) > 1 else 20.0
    if beta <= 0 or not scale(r, beta)[1] <= threshold:
        raise Narrow("softplus", "a range below the threshold", "softplus's range reaches its threshold")
    return _softplus(r, beta)


def _log_sigmoid(r: Range) -> Three:
    _, first, _ = _logistic(r)
    return of("aten.log_sigmoid.default", r), of("aten.sigmoid.default", neg(r)), neg(first)


def _sin(r: Range) -> Three:
    s, c = wave_image(0, r), wave_image(1, r)
    return s, c, neg(s)


def _cos(r: Range) -> Three:
    s, c = wave_image(0, r), wave_image(1, r)
    return c, neg(s), neg(c)


def _sinh(r: Range) -> Three:
    s, c = of("aten.sinh.default", r), of("aten.cosh.default", r)
    return s, c, s


def _cosh(r: Range) -> Three:
    s, c = of("aten.sinh.default", r), of("aten.cosh.default", r)
    return c, s, c


def _atan(r: Range) -> Three:
    d = power(add(ONE, square(r)), -1.0)
    return of("aten.atan.default", r), d, mul(scale(r, -2.0), square(d))


def _asinh(r: Range) -> Three:
    q = add(ONE, square(r))
    return of("aten.asinh.default", r), power(q, -0.5), mul(neg(r), power(q, -1.5))


def _bell(r: Range, factor: Any) -> Range:
    """factor() * exp(-x^2) on a range, factor an Arb ball."""
    with_factor = balls.to_floats(factor)
    return mul(of("aten.exp.default", neg(square(r))), (*with_factor, False, False))


def _erf(r: Range) -> Three:
    first = _bell(r, 2 / arb.pi().sqrt())
    return of("aten.erf.default", r), first, mul(scale(r, -2.0), first)


def _xlogx(r: Range) -> Three:
    return of("jensen.xlogx", r), add(of("aten.log.default", r), ONE), power(r, -1.0)


def _kinked(op: str, low: float, high: float) -> Callable[..., Three]:
    """A function with slopes low <= high on the two sides of zero.

    A range that only touches zero has the kink too: two pieces of a box that meet there must not both miss it.
    """

    def rule(r: Range) -> Three:
        if r[1] < 0.0:
            return of(op, r), (low, low, False, False), ZERO
        if r[0] > 0.0:
            return of(op, r), (high, high, False, False), ZERO
        return of(op, r), (low, high, False, False), (0.0, inf, False, True)

    return rule


slopes("aten.pow.Tensor_Scalar", lambda r, p: _pow(r, float(p)))
slopes("aten.exp.default", _exp)
slopes("aten.expm1.default", _expm1)
slopes("aten.log.default", _log)
slopes("aten.log1p.default", _log1p)
slopes("aten.tanh.default", _tanh)
slopes("aten.sigmoid.default", _sigmoid)
slopes("aten.silu.default", _silu)
slopes("jensen.softplus", _softplus)
slopes("aten.softplus.default", _implemented_softplus)
slopes("aten.log_sigmoid.default", _log_sigmoid)
slopes("aten.sin.default", _sin)
slopes("aten.cos.default", _cos)
slopes("aten.sinh.default", _sinh)
slopes("aten.cosh.default", _cosh)
slopes("aten.atan.default", _atan)
slopes("aten.asinh.default", _asinh)
slopes("aten.erf.default", _erf)
slopes("jensen.xlogx", _xlogx)
slopes("aten.relu.default", _kinked("aten.relu.default", 0.0, 1.0))
slopes("aten.abs.default", _kinked("aten.abs.default", -1.0, 1.0))
