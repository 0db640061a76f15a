"""Special functions: error functions, the normal distribution, gamma and Bessel functions."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from flint import arb

from jensen.atoms.gated_units import normal_cdf
from jensen.atoms.registry import EVEN, ODD, Nature, nature, row
from jensen.atoms.rounding import around, root
from jensen.atoms.rows import Row

UP, DOWN = ((-inf, inf, 2),), ((-inf, inf, -2),)
WHOLE = ((-inf, inf, 1),)
LEFT, RIGHT = ((-inf, 0.0, 1),), ((0.0, inf, 1),)
POSITIVE = (0.0, inf, True, True)


def on_positive(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function kept to positive arguments: nan elsewhere."""
    return lambda x: f(x) if x > 0 else arb.nan()


def _lgamma() -> Row:
    """log Gamma on x > 0: convex, smallest between 1 and 2."""
    turn = root(lambda x: x.digamma(), 1.0, 2.0)
    slope = around(lambda: arb(turn[0]).digamma())[0]  # convex: nowhere below its tangent at turn[0]
    low = around(lambda: arb(turn[0]).lgamma() + arb(slope) * (arb(turn[1]) - arb(turn[0])))[0]

    def ball(x: Any) -> Any:
        """From exact ends: Arb's lgamma of wide balls near the minimum misses values (FLINT 3.6.0)."""
        if not x > 0:
            return arb.nan()
        if x.is_exact():
            return x.lgamma()
        ends = x.lower().lgamma().union(x.upper().lgamma())
        return ends.union(arb(low)) if x.overlaps(arb(turn[0]).union(arb(turn[1]))) else ends

    mono = ((0.0, turn[0], -2), (*turn, None), (turn[1], inf, 2))
    return Row(ball, mono, ((0.0, inf, 1),), (), POSITIVE, (inf, inf), (low, inf, False, True))


def x_log_x(x: Any) -> Any:
    """x log x for x >= 0, zero at zero."""
    if x > 0:
        return x * x.log()
    if x == 0:
        return arb(0)
    if not x >= 0:
        return arb.nan()
    top = x.upper()  # decreases up to 1/e: a small ball at zero lies between its value there and zero
    return (top * top.log()).union(arb(0)) if top < 0.36 else arb(-0.37).union(top.max(arb(1)) * top.max(arb(1)).log())


def _x_log_x(open_at_zero: bool) -> Row:
    turn = around(lambda: (-arb(1)).exp())
    low = around(lambda: -(-arb(1)).exp())[0]
    mono = ((0.0, turn[0], -2), (*turn, None), (turn[1], inf, 2))
    domain = (0.0, inf, open_at_zero, True)
    ball = on_positive(x_log_x) if open_at_zero else x_log_x
    return Row(ball, mono, ((0.0, inf, 1),), ((1.0, inf, 0),), domain, (0.0, inf), (low, inf, False, True))


def _entr() -> Row:
    """-x log x for x >= 0."""
    r = _x_log_x(False)
    mono = tuple((a, b, None if d is None else -d) for a, b, d in r.mono)
    return Row(
        lambda x: -x_log_x(x), mono, (), ((0.0, inf, 1),), r.domain, (0.0, -inf), (-inf, -r.bounds[0], True, False)
    )


def _ndtri(p: Any) -> Any:
    return -arb(2).sqrt() * (2 * p).erfcinv() if p > 0 and p < 1 else arb.nan()


def _log_ndtr(x: Any) -> Any:
    return normal_cdf(x).log() if x < 0 else (-normal_cdf(-x)).log1p()


def _erfcx(x: Any) -> Any:
    return (x * x).exp() * x.erfc()


row(
    "aten.erf.default",
    lambda: Row(lambda x: x.erf(), UP, LEFT, RIGHT, limits=(-1.0, 1.0), bounds=(-1.0, 1.0, True, True)),
)
row(
    "aten.erfc.default",
    lambda: Row(
        lambda x: x.erfc(), DOWN, RIGHT, (*LEFT, (-inf, inf, 0)), limits=(2.0, 0.0), bounds=(0.0, 2.0, True, True)
    ),
)
row(
    "aten.erfinv.default",
    lambda: Row(lambda x: x.erfinv(), ((-1.0, 1.0, 2),), ((0.0, 1.0, 1),), ((-1.0, 0.0, 1),), (-1.0, 1.0, True, True)),
)
row(
    "aten.special_erfcx.default",
    lambda: Row(_erfcx, DOWN, ((-inf, inf, 0),), (), limits=(inf, 0.0), bounds=POSITIVE),
)
row(
    "aten.special_ndtr.default",
    lambda: Row(normal_cdf, UP, LEFT, (*RIGHT, (-inf, inf, 0)), limits=(0.0, 1.0), bounds=(0.0, 1.0, True, True)),
)
row(
    "aten.special_log_ndtr.default",
    lambda: Row(_log_ndtr, UP, (), WHOLE, limits=(-inf, 0.0), bounds=(-inf, 0.0, True, True)),
)
row(
    "aten.special_ndtri.default",
    lambda: Row(_ndtri, ((0.0, 1.0, 2),), ((0.5, 1.0, 1),), ((0.0, 0.5, 1),), (0.0, 1.0, True, True)),
)
row("aten.lgamma.default", _lgamma)
row(
    "aten.digamma.default",
    lambda: Row(on_positive(lambda x: x.digamma()), ((0.0, inf, 2),), (), ((0.0, inf, 1),), POSITIVE),
)
row("aten.special_entr.default", _entr)
row("jensen.xlogx", lambda: _x_log_x(True))
row(
    "aten.i0.default",
    lambda: Row(
        lambda x: x.bessel_i(0),
        ((-inf, 0.0, -2), (0.0, inf, 2)),
        ((-inf, inf, 0),),
        (),
        limits=(inf, inf),
        bounds=(1.0, inf, False, True),
    ),
)
row("aten.special_i1.default", lambda: Row(lambda x: x.bessel_i(1), UP, RIGHT, LEFT))
row(
    "aten.special_i0e.default",
    lambda: Row(
        lambda x: (-abs(x)).exp() * x.bessel_i(0), ((-inf, 0.0, 2), (0.0, inf, -2)), ((-inf, 0.0, 0), (0.0, inf, 0)), ((-inf, inf, -inf),),
        limits=(0.0, 0.0), bounds=(0.0, 1.0, True, False),
    ),
)  # fmt: skip
nature("aten.erf.default", ODD)
nature("aten.erfinv.default", ODD)
nature("aten.special_i1.default", ODD)
nature("aten.i0.default", EVEN)
nature("aten.special_i0e.default", EVEN)
nature("aten.erfc.default", Nature(flip=2.0))
nature("aten.special_ndtr.default", Nature(flip=1.0))
