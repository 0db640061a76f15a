"""Sine, cosine and tangent on ranges inside a few branches; inverse trigonometric and hyperbolic functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor, inf, pi
from typing import Any

from flint import arb

from jensen.atoms import rows
from jensen.atoms.registry import EVEN, ODD, Atom, acts, nature, register, row
from jensen.atoms.rounding import around
from jensen.atoms.rows import Row
from jensen.kernel import balls
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, constant, fact
from jensen.kernel.ranges import Range

UP, DOWN = ((-inf, inf, 2),), ((-inf, inf, -2),)
WHOLE = ((-inf, inf, 1),)
LEFT, RIGHT = ((-inf, 0.0, 1),), ((0.0, inf, 1),)
UNIT: Range = (-1.0, 1.0, False, False)
FAR = 1e6
WIDE = 16


@lru_cache(maxsize=4096)
def quarter(m: int) -> tuple[float, float]:
    """Floats around m pi / 2."""
    return around(lambda: arb(m) * arb.pi() / 2)


def _quarters(r: Range) -> tuple[int, int] | None:
    """Quarter turns that enclose a range, or None where it is far out or wide."""
    if not (abs(r[0]) <= FAR and abs(r[1]) <= FAR) or r[1] - r[0] > WIDE:
        return None
    return floor(r[0] / (pi / 2)) - 1, ceil(r[1] / (pi / 2)) + 1


@lru_cache(maxsize=1024)
def _wave(phase: int, first: int, last: int) -> Row:
    """sin(x + phase pi / 2) between two quarter turns, phase 0 or 1: m + phase odd turns, even bends."""
    mono: list[tuple[float, float, int | None]] = []
    vex: list[tuple[float, float, int]] = []
    cave: list[tuple[float, float, int]] = []
    for m in range(first, last + 1):
        (_, a), (b, _) = quarter(m), quarter(m + 2)
        k = (m + phase) % 4
        if k % 2:  # at a turning point: 1 a maximum, 3 a minimum
            mono += [(*quarter(m), None), (a, b, -2 if k == 1 else 2)]
        else:  # at a zero: 0 positive after it, 2 negative
            (cave if k == 0 else vex).append((a, b, 1))
    ball = (lambda x: x.cos()) if phase else (lambda x: x.sin())
    return Row(ball, tuple(mono), tuple(vex), tuple(cave), limits=(-1.0, 1.0), bounds=UNIT)


def _wave_facts(phase: int) -> Callable[..., Fact]:
    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        g = out[args[0].index]
        span = _quarters(g.range)
        if span is None:
            return constant(UNIT) if g.bits & CONSTANT else fact(0, UNIT)
        return rows.unary(_wave(phase, span[0] - 2, span[1] + 2), g)

    return facts


def wave_image(phase: int, r: Range) -> Range:
    """The values of the sine (phase 0) or cosine (phase 1) on a range."""
    span = _quarters(r)
    return UNIT if span is None else rows.image(_wave(phase, span[0] - 2, span[1] + 2), r)


def _tan_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    """On one branch the tangent increases, concave up to its zero and convex after it."""
    g = out[args[0].index]
    span = _quarters(g.range)
    if span is None:
        return UNDEFINED
    for m in range(span[0] // 2 - 1, span[1] // 2 + 2):
        (_, a), (b, _) = quarter(2 * m - 1), quarter(2 * m + 1)
        if a <= g.range[0] and g.range[1] <= b:
            low, high = quarter(2 * m)
            r = Row(lambda x: x.tan(), ((a, b, 2),), ((high, b, 1),), ((a, low, 1),), (a, b, False, False))
            return rows.unary(r, g)
    return UNDEFINED


def _wave_atom(op: str, facts: Callable[..., Fact], ball: Callable[[Any], Any]) -> None:
    register(Atom(op, lambda x: x, facts, lambda x: balls.elementwise(ball, x)))


_wave_atom("aten.sin.default", _wave_facts(0), lambda x: x.sin())
_wave_atom("aten.cos.default", _wave_facts(1), lambda x: x.cos())
_wave_atom("aten.tan.default", _tan_facts, lambda x: x.tan())


def _sinc_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    """sin(pi x) / (pi x) lies above -0.2173; nothing else is said."""
    r = (-0.2173, 1.0, False, False)
    return constant(r) if out[args[0].index].bits & CONSTANT else fact(0, r)


_wave_atom("aten.sinc.default", _sinc_facts, lambda x: x.sinc_pi())

_HALF = around(lambda: arb.pi() / 2)
_PI = around(lambda: arb.pi())

row(
    "aten.asin.default",
    lambda: Row(
        lambda x: x.asin(), ((-1.0, 1.0, 2),), ((0.0, 1.0, 1),), ((-1.0, 0.0, 1),), UNIT,
        bounds=(-_HALF[1], _HALF[1], False, False),
    ),
)  # fmt: skip
row(
    "aten.acos.default",
    lambda: Row(
        lambda x: x.acos(),
        ((-1.0, 1.0, -2),),
        ((-1.0, 0.0, 1),),
        ((0.0, 1.0, 1),),
        UNIT,
        bounds=(0.0, _PI[1], False, False),
    ),
)
row(
    "aten.atan.default",
    lambda: Row(
        lambda x: x.atan(), UP, LEFT, RIGHT, limits=(-_HALF[1], _HALF[1]), bounds=(-_HALF[1], _HALF[1], True, True)
    ),
)
row("aten.sinh.default", lambda: Row(lambda x: x.sinh(), UP, RIGHT, (*LEFT, (0.0, inf, 0))))
row(
    "aten.cosh.default",
    lambda: Row(
        lambda x: x.cosh(),
        ((-inf, 0.0, -2), (0.0, inf, 2)),
        ((-inf, inf, 0),),
        (),
        limits=(inf, inf),
        bounds=(1.0, inf, False, True),
    ),
)
row("aten.asinh.default", lambda: Row(lambda x: x.asinh(), UP, LEFT, RIGHT))
row(
    "aten.acosh.default",
    lambda: Row(
        lambda x: x.acosh(),
        ((1.0, inf, 2),),
        (),
        ((1.0, inf, 1),),
        (1.0, inf, False, True),
        (0.0, inf),
        (0.0, inf, False, True),
    ),
)
row(
    "aten.atanh.default",
    lambda: Row(lambda x: x.atanh(), ((-1.0, 1.0, 2),), ((0.0, 1.0, 1),), ((-1.0, 0.0, 1),), (-1.0, 1.0, True, True)),
)
for _op in ("sin", "tan", "asin", "atan", "sinh", "asinh", "atanh"):
    nature(f"aten.{_op}.default", ODD)
for _op in ("cos", "cosh", "sinc"):
    nature(f"aten.{_op}.default", EVEN)
for _op in ("sin", "cos", "tan", "sinc"):  # the others have rows
    acts(f"aten.{_op}.default", "map")
