"""Piecewise linear activations, clamps and steps."""

from __future__ import annotations

from math import inf, nextafter
from typing import Any

from flint import arb

from jensen.atoms import arrays
from jensen.atoms.registry import ODD, Nature, nature, row
from jensen.atoms.rounding import number
from jensen.atoms.rows import Row
from jensen.kernel import ranges
from jensen.kernel.errors import Unmodelled
from jensen.kernel.ranges import Range

WHOLE = ((-inf, inf, 1),)
NON_NEGATIVE: Range = (0.0, inf, False, True)
TINY = nextafter(0.0, 1.0)

row(
    "aten.relu.default",
    lambda: Row(
        lambda x: x.max(arb(0)),
        ((-inf, 0.0, 0), (0.0, inf, 2)),
        WHOLE,
        ((-inf, 0.0, 1), (0.0, inf, 1)),
        limits=(0.0, inf),
        bounds=NON_NEGATIVE,
    ),
)
row(
    "aten.abs.default",
    lambda: Row(
        abs,
        ((-inf, 0.0, -2), (0.0, inf, 2)),
        WHOLE,
        ((-inf, 0.0, 1), (0.0, inf, 1)),
        limits=(inf, inf),
        bounds=NON_NEGATIVE,
    ),
)


def clamp_row(lo: float, hi: float) -> Row:
    """min(max(x, lo), hi), for lo <= hi, each possibly infinite."""
    if lo == hi:
        return Row(lambda x: arb(lo), ((-inf, inf, 0),), WHOLE, WHOLE, limits=(lo, lo), bounds=(lo, lo, False, False))
    pieces: list[tuple[float, float, int | None]] = []
    if lo > -inf:
        pieces.append((-inf, lo, 0))
    pieces.append((lo, hi, 2))
    if hi < inf:
        pieces.append((hi, inf, 0))
    flat = [(-inf, lo, 1)] if lo > -inf else []
    flat += [(hi, inf, 1)] if hi < inf else []
    vex, cave = ((-inf, hi, 1), *flat), ((lo, inf, 1), *flat)
    return Row(_clamp_ball(lo, hi), tuple(pieces), vex, cave, limits=(lo, hi), bounds=ranges.make(lo, hi))


def _clamp_ball(lo: float, hi: float) -> Any:
    def ball(x: Any) -> Any:
        x = x if lo == -inf else x.max(arb(lo))
        return x if hi == inf else x.min(arb(hi))

    return ball


def _clamp(lo: Any = None, hi: Any = None) -> Row:
    """torch gives the upper bound where the bounds are in the wrong order."""
    low = -inf if lo is None or lo == -inf else number("clamp", lo)
    high = inf if hi is None or hi == inf else number("clamp", hi)
    return clamp_row(min(low, high), high)


def _variance(eps: Any) -> Row:
    """max(v, eps) for v >= 0: the variance of gaussian_nll_loss, which refuses negative entries."""
    low = number("variance", eps)
    if low < 0.0:
        raise Unmodelled("variance", "a non-negative eps", f"eps {low} is not modelled")

    def ball(x: Any) -> Any:
        return x.max(arb(low)) if x >= 0 else arb.nan()

    mono, flat = ((0.0, low, 0), (low, inf, 2)), (0.0, low, 1)
    return Row(ball, mono, ((0.0, inf, 1),), ((low, inf, 1), flat), NON_NEGATIVE, (low, inf), (low, inf, False, True))


row("jensen.variance", _variance)
row("aten.clamp.default", _clamp)
row("aten.clamp_min.default", lambda lo: _clamp(lo, None))
row("aten.clamp_max.default", lambda hi: _clamp(None, hi))


def _hardtanh(lo: Any = -1, hi: Any = 1) -> Row:
    if lo > hi:
        raise Unmodelled("hardtanh", "bounds in order", f"hardtanh with bounds {lo} and {hi} is not modelled")
    return _clamp(lo, hi)


row("aten.hardtanh.default", _hardtanh)


def leaky_row(slope: float) -> Row:
    """x above zero, slope times x below."""
    low = inf if slope < 0.0 else 0.0 if slope == 0.0 else -inf
    below = 2 if slope > 0.0 else -2 if slope < 0.0 else 0
    half = ((-inf, 0.0, 1), (0.0, inf, 1))
    vex = WHOLE if slope <= 1.0 else half
    cave = WHOLE if slope >= 1.0 else half
    bounds = NON_NEGATIVE if slope <= 0.0 else ranges.REALS

    def ball(x: Any) -> Any:
        return arrays.piecewise(x, 0.0, lambda v: v * arb(slope), lambda v: v)

    return Row(ball, ((-inf, 0.0, below), (0.0, inf, 2)), vex, cave, limits=(low, inf), bounds=bounds)


row("aten.leaky_relu.default", lambda slope=0.01: leaky_row(number("leaky_relu", slope)))
row(
    "aten.hardsigmoid.default",
    lambda: Row(
        lambda x: (x + 3).max(arb(0)).min(arb(6)) / 6,
        ((-inf, -3.0, 0), (-3.0, 3.0, 2), (3.0, inf, 0)),
        ((-inf, 3.0, 1), (3.0, inf, 1)),
        ((-3.0, inf, 1), (-inf, -3.0, 1)),
        limits=(0.0, 1.0),
        bounds=(0.0, 1.0, False, False),
    ),
)
row(
    "aten.hardswish.default",
    lambda: Row(
        lambda x: x * (x + 3).max(arb(0)).min(arb(6)) / 6,
        ((-inf, -3.0, 0), (-3.0, -1.5, -2), (-1.5, inf, 2)),
        ((-3.0, 3.0, 1), (-inf, -3.0, 1), (3.0, inf, 1), (-inf, inf, inf)),
        ((-inf, -3.0, 1), (3.0, inf, 1)),
        limits=(0.0, inf),
        bounds=(-0.375, inf, False, True),
    ),
)


def _softshrink(size: Any = 0.5) -> Row:
    a = number("softshrink", size)
    if a < 0.0:
        raise Unmodelled("softshrink", "a non-negative attribute", f"softshrink with lambda {a} is not modelled")

    def ball(x: Any) -> Any:
        return (x - arb(a)).max(arb(0)) + (x + arb(a)).min(arb(0))

    return Row(
        ball, ((-inf, -a, 2), (-a, a, 0), (a, inf, 2)), ((-a, inf, 1), (-inf, -a, 1)), ((-inf, a, 1), (a, inf, 1))
    )


def _hardshrink(size: Any = 0.5) -> Row:
    """Jumps up at both ends of the dead zone, so it is monotone and has no curvature across them."""
    a = number("hardshrink", size)
    if a < 0.0:
        both = WHOLE
        return Row(lambda x: x, ((-inf, inf, 2),), both, both)
    both = ((-a, a, 1), (-inf, nextafter(-a, -inf), 1), (nextafter(a, inf), inf, 1))

    def ball(x: Any) -> Any:
        if abs(x) <= a:
            return arb(0)
        return x if abs(x) > a else x.union(arb(0))

    return Row(ball, ((-inf, inf, 1),), both, both)


row("jensen.softshrink", _softshrink)
row("jensen.hardshrink", _hardshrink)


def _step(ball: Any, bounds: Range = ranges.REALS, flat: tuple[tuple[float, float, int], ...] = ()) -> Row:
    """Piecewise constant and non-decreasing."""
    return Row(ball, ((-inf, inf, 1),), flat, flat, limits=(bounds[0], bounds[1]), bounds=bounds)


def _sign(x: Any) -> Any:
    return arb(1) if x > 0 else arb(-1) if x < 0 else arb(0) if x == 0 else arb(-1).union(arb(1))


def _between(f: Any, x: Any) -> Any:
    """A non-decreasing function with integer values, between its values at the two ends of a ball."""
    return f(x.lower()).union(f(x.upper())) if x.is_finite() else arb.nan()


def _floor(x: Any) -> Any:
    return _between(lambda v: v.floor(), x)


def _ceil(x: Any) -> Any:
    return -_floor(-x)


def _trunc(x: Any) -> Any:
    return arrays.piecewise(x, 0.0, _ceil, _floor)


def _nearest(x: Any) -> Any:
    """Half-way cases to the even neighbour."""
    low = (x - arb(0.5)).ceil()
    if x - arb(0.5) == low and not (low / 2).is_integer():
        return low + 1
    return low


row("aten.sign.default", lambda: _step(_sign, (-1.0, 1.0, False, False), ((TINY, inf, 1), (-inf, -TINY, 1))))
row("aten.floor.default", lambda: _step(_floor))
row("aten.ceil.default", lambda: _step(_ceil))
row("aten.trunc.default", lambda: _step(_trunc))
row("aten.round.default", lambda: _step(lambda x: _between(_nearest, x)))


def _bounded(lo: Any = None, hi: Any = None) -> Nature:
    """A clamp at 0 or nowhere is homogeneous; one between -c and c is odd."""
    low, high = (-inf if lo is None else lo), (inf if hi is None else hi)
    known = low <= high and all(b in (0, -inf, inf) for b in (low, high)) and low < inf and high > -inf
    return Nature(1 if known else None, 1 if low <= high and low == -high else None)


nature("aten.relu.default", Nature(1))
nature("aten.abs.default", Nature(1, 0))
nature("aten.leaky_relu.default", lambda slope=0.01: Nature(1, {-1: 0, 1: 1}.get(slope)))
nature("aten.sign.default", Nature(0, 1))
nature("aten.clamp.default", _bounded)
nature("aten.clamp_min.default", _bounded)
nature("aten.clamp_max.default", lambda hi: _bounded(None, hi))
nature("aten.hardtanh.default", lambda lo=-1, hi=1: _bounded(lo, hi))
nature("aten.hardsigmoid.default", Nature(flip=1.0))
for _op in ("aten.trunc.default", "aten.round.default", "jensen.softshrink", "jensen.hardshrink"):
    nature(_op, ODD)
