"""Smooth activations x * gate(x): SiLU, GELU in both forms, Mish. Each dips below zero, and is convex in the middle only.

Inflection points (uniqueness proved by hand, values by bisection with certain signs):

* SiLU: the second derivative has the sign of 2 - x tanh(x / 2), even and decreasing in |x|.
* GELU: of 2 - x^2.
* GELU by tanh, u = c (x + a x^3): of (1 + 6 a x^2) / (c x (1 + 3 a x^2)^2) - tanh(u) for x > 0, a decreasing minus an
  increasing function; it is even.
* Mish, t = exp(x): of A + x B with A = 2t^3 + 6t^2 + 8t + 4 and B = -2t^3 - 3t^2 + 2t + 2; A / B + x increases on both
  sides of B's one root, so that there is one inflection point on each side.

All four tend to 0 at minus infinity, where they are concave, so they fall, turn once in the convex middle, and rise.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from flint import arb

from jensen.atoms.registry import row
from jensen.atoms.rounding import around, root
from jensen.atoms.rows import Row
from jensen.atoms.sigmoids import sigmoid
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import Index

CUBIC = 0.044715
Pair = tuple[float, float]


def dip_row(ball: Callable[[Any], Any], turn: Pair, left: Pair, right: Pair, log_concave: Index | None = None) -> Row:
    """Concave, convex between the two inflection points, concave; falling to ``turn``, rising after it.

    Each pair is two neighbouring floats around the true point.
    """
    low = min(around(lambda: ball(arb(turn[0]).union(arb(turn[1]))))[0], 0.0)
    mono = ((-inf, turn[0], -2), (*turn, None), (turn[1], inf, 2))
    cave: tuple[Any, ...] = ((-inf, left[0], 1), (right[1], inf, 1))
    if log_concave is not None:
        cave += ((0.0, inf, log_concave),)
    vex = ((left[1], right[0], 1), (-inf, inf, inf))
    return Row(ball, mono, vex, cave, limits=(0.0, inf), bounds=(low, inf, False, True))


def mirrored(p: Pair) -> Pair:
    return -p[1], -p[0]


def _silu() -> Row:
    turn = root(lambda x: 1 + x / (1 + x.exp()), -2.0, -1.0)
    bend = root(lambda x: 2 - x * (x / 2).tanh(), 2.0, 3.0)
    return dip_row(lambda x: x * sigmoid(x), turn, mirrored(bend), bend, 0)


def normal_cdf(x: Any) -> Any:
    """The normal distribution function, tight in its left tail."""
    return (-x / arb(2).sqrt()).erfc() / 2


def _density(x: Any) -> Any:
    return (-x * x / 2).exp() / (2 * arb.pi()).sqrt()


def _gelu() -> Row:
    turn = root(lambda x: normal_cdf(x) + x * _density(x), -1.0, -0.5)
    bend = around(lambda: arb(2).sqrt())
    return dip_row(lambda x: x * normal_cdf(x), turn, mirrored(bend), bend, 0)


def _inner(x: Any) -> Any:
    return (2 / arb.pi()).sqrt() * (x + arb(CUBIC) * x * x * x)


def _inner_slope(x: Any) -> Any:
    return (2 / arb.pi()).sqrt() * (1 + 3 * arb(CUBIC) * x * x)


def _gelu_tanh() -> Row:
    def slope(x: Any) -> Any:
        t = _inner(x).tanh()
        return 1 + t + x * (1 - t * t) * _inner_slope(x)

    def bends(x: Any) -> Any:
        s = 1 + 3 * arb(CUBIC) * x * x
        return (1 + 6 * arb(CUBIC) * x * x) / ((2 / arb.pi()).sqrt() * x * s * s) - _inner(x).tanh()

    bend = root(bends, 1.0, 2.0)
    return dip_row(lambda x: x * sigmoid(2 * _inner(x)), root(slope, -1.0, -0.5), mirrored(bend), bend)


def gelu(approximate: Any = "none") -> Row:
    """x times the normal distribution function, or its approximation by tanh."""
    if approximate not in ("none", "tanh"):
        raise Unmodelled("gelu", "a known form", f"gelu with approximate={approximate!r} is not modelled")
    return _gelu() if approximate == "none" else _gelu_tanh()


def _mish() -> Row:
    def ball(x: Any) -> Any:
        if x > 0 or x.mid() > 0:
            w = (-x).exp()
            return x * (1 + 2 * w) / (1 + 2 * w + 2 * w * w)
        t = x.exp()
        return x * t * (t + 2) / (t * (t + 2) + 2)

    def slope(x: Any) -> Any:
        t = x.exp()
        w = t * (t + 2)
        return w * (w + 2) + x * 4 * t * (t + 1)

    def bends(x: Any) -> Any:
        t = x.exp()
        return 2 * t**3 + 6 * t**2 + 8 * t + 4 + x * (-2 * t**3 - 3 * t**2 + 2 * t + 2)

    return dip_row(ball, root(slope, -2.0, -1.0), root(bends, -3.0, -2.0), root(bends, 1.0, 2.0))


row("aten.silu.default", _silu)
row("aten.gelu.default", gelu)
row("aten.mish.default", _mish)
