"""Activations that are exponential below zero and linear above: ELU, SELU, CELU."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

from flint import arb

from jensen.atoms import arrays
from jensen.atoms.registry import row
from jensen.atoms.rounding import around, number, positive
from jensen.atoms.rows import Row
from jensen.kernel import ranges

WHOLE = ((-inf, inf, 1),)
UP = ((-inf, inf, 2),)


def elu_row(alpha: float, scale: float, slope: float) -> Row:
    """scale x above zero, scale alpha (exp(slope x) - 1) below, for scale and slope above zero.

    The slope at zero is scale alpha slope from the left and scale from the right: convex only while alpha slope <= 1.
    """
    a, c, s = arb(alpha), arb(scale), arb(slope)
    lo, hi = around(lambda: -a * c)

    def ball(x: Any) -> Any:
        return arrays.piecewise(x, 0.0, lambda v: (v * s).expm1() * a * c, lambda v: v * c)

    right = (0.0, inf, 1)
    if alpha < 0.0:  # falls to zero, then rises
        mono = ((-inf, 0.0, -2), (0.0, inf, 2))
        return Row(
            ball,
            mono,
            (right, (-inf, inf, inf)),
            ((-inf, 0.0, 1), right),
            limits=(hi, inf),
            bounds=(0.0, inf, False, True),
        )
    if alpha == 0.0:
        flat = ((-inf, 0.0, 0), (0.0, inf, 2))
        return Row(ball, flat, WHOLE, ((-inf, 0.0, 1), right), limits=(0.0, inf), bounds=(0.0, inf, False, True))
    kink = Fraction(alpha) * Fraction(slope)
    vex = WHOLE if kink <= 1 else ((-inf, 0.0, 1), right)
    return Row(ball, UP, vex, (right,), limits=(lo, inf), bounds=ranges.make(lo, inf, True))


def _elu(alpha: Any = 1, scale: Any = 1, slope: Any = 1) -> Row:
    return elu_row(number("elu", alpha), positive("elu", scale), positive("elu", slope))


def _celu(alpha: Any = 1.0) -> Row:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)): the slope at zero is 1 on both sides."""
    size = positive("celu", alpha)
    a = arb(size)

    def ball(x: Any) -> Any:
        return arrays.piecewise(x, 0.0, lambda v: (v / a).expm1() * a, lambda v: v)

    return Row(ball, UP, WHOLE, ((0.0, inf, 1),), limits=(-size, inf), bounds=(-size, inf, True, True))


row("aten.elu.default", _elu)
row("aten.celu.default", _celu)
