"""Functions that fall at a threshold, as torch implements them, and their ideal forms.

Across a downward jump a function is neither monotone nor of any curvature, and no pair of float pieces says so
exactly: each side has its own row, and a range that meets both has only its values bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any

from flint import arb, fmpq

from jensen.atoms import arrays, rows
from jensen.atoms.exponentials import LOG
from jensen.atoms.rectifiers import WHOLE, clamp_row
from jensen.atoms.registry import Atom, acts, register, rewrite, row
from jensen.atoms.rounding import around, number, positive
from jensen.atoms.rows import Row
from jensen.kernel import balls, compose, ranges
from jensen.kernel.facts import CONCAVE, CONSTANT, CONVEX, QUASICONVEX, UNDEFINED, Fact, constant, fact
from jensen.kernel.program import Merger, Node
from jensen.kernel.ranges import Range

IDENTITY = Row(lambda x: x, ((-inf, inf, 2),), WHOLE, WHOLE)


def level(c: float) -> Row:
    """A constant."""
    return Row(lambda x: arb(c), ((-inf, inf, 0),), WHOLE, WHOLE, limits=(c, c), bounds=(c, c, False, False))


def softplus_row(beta: float) -> Row:
    """log(1 + exp(beta x)) / beta, which is convex and log-concave."""

    def ball(x: Any) -> Any:
        y = x * arb(beta)
        tail = (-abs(y)).exp().log1p() if y > 0 or y < 0 else None
        return (y.exp().log1p() if tail is None else y.max(arb(0)) + tail) / arb(beta)

    return Row(ball, ((-inf, inf, 2),), WHOLE, ((-inf, inf, 0),), limits=(0.0, inf), bounds=(0.0, inf, True, True))


def _side(r: Range, at: Fraction) -> int:
    """-1 where a range lies at or below the threshold, 1 above it, 0 on both sides."""
    if r[1] < inf and Fraction(r[1]) <= at:
        return -1
    if r[0] > -inf and (Fraction(r[0]) > at or (Fraction(r[0]) == at and r[2])):
        return 1
    return 0


def jump_fact(g: Fact, at: Fraction, below: Row, above: Row) -> Fact:
    """``below`` of g where g <= at, ``above`` of g beyond; both rows are defined everywhere."""
    side = _side(g.range, at)
    if side:
        return rows.unary(below if side < 0 else above, g)
    lo, hi = around(lambda: arb(fmpq(at.numerator, at.denominator)))
    left = rows.image(below, ranges.intersect(g.range, (-inf, hi, True, False)))
    right = rows.image(above, ranges.intersect(g.range, (lo, inf, False, True)))
    both = ranges.union(left, right)
    return constant(both) if g.bits & CONSTANT else fact(0, both)


def _jump(op: str, build: Callable[..., tuple[Fraction, Row, Row]]) -> None:
    """An operation that is one row up to a threshold and another beyond; attributes -> threshold and rows."""
    parts = lru_cache(maxsize=256)(build)

    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        return jump_fact(out[args[0].index], *parts(*args[1:]))

    def enclose(x: Any, *attributes: Any) -> Any:
        at, below, above = parts(*attributes)
        p, q = at.numerator, at.denominator

        def ball(v: Any) -> Any:
            if v * q <= p:
                return below.ball(v)
            return above.ball(v) if v * q > p else below.ball(v).union(above.ball(v))

        return balls.elementwise(ball, x)

    def shape(x: tuple[int, ...], *attributes: Any) -> tuple[int, ...]:
        parts(*attributes)
        return x

    register(Atom(op, shape, facts, enclose))


def _softplus(beta: Any = 1, threshold: Any = 20) -> tuple[Fraction, Row, Row]:
    b, t = positive("softplus", beta), number("softplus", threshold)
    return Fraction(t) / Fraction(b), softplus_row(b), IDENTITY


@lru_cache(maxsize=256)
def _threshold(at: Any, value: Any) -> tuple[Fraction, Row, Row]:
    """x above the threshold, a fixed value up to it; continuous where the two agree."""
    t, v = number("threshold", at), number("threshold", value)
    if t == v:
        r = clamp_row(t, inf)
        return Fraction(t), r, r
    return Fraction(t), level(v), IDENTITY


def threshold_fact(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    """As a jump, which is monotone where it jumps up, and a maximum where it does not jump."""
    g, (at, below, above) = out[args[0].index], _threshold(*args[1:])
    if below is above:
        return rows.unary(below, g)
    f = jump_fact(g, at, below, above)
    if _side(g.range, at) or g.bits & CONSTANT:
        return f
    if args[2] > args[1]:  # falls at the threshold, and rises after it
        return fact(QUASICONVEX if g.bits & CONVEX and g.bits & CONCAVE else 0, f.range)
    return fact(g.bits & compose.QUASI, f.range)


_jump("aten.softplus.default", _softplus)
row("jensen.softplus", lambda beta=1: softplus_row(positive("softplus", beta)))
register(
    Atom(
        "aten.threshold.default",
        lambda x, at, value: (_threshold(at, value), x)[1],
        threshold_fact,
        lambda x, at, value: balls.elementwise(_threshold_ball(number("threshold", at), number("threshold", value)), x),
    )
)


def _threshold_ball(at: float, value: float) -> Callable[[Any], Any]:
    return lambda x: arrays.piecewise(x, at, lambda v: arb(value), lambda v: v)


def _ideal_softplus(merger: Merger, node: Node) -> int:
    x, beta = (*node.args, 1)[:2]
    return merger.add("jensen.softplus", (x, beta), node.name, node.module)


rewrite("aten.softplus.default", _ideal_softplus, ideal=True)


@lru_cache(maxsize=64)
def _clamped(low: Any) -> Row:
    """max(log x, low) for x >= 0: flat up to exp(low), which is rarely a float."""
    level = number("clamped_log", low)
    a, b = around(lambda: arb(level).exp())

    def ball(x: Any) -> Any:
        if x > 0:
            return x.log().max(arb(level))
        return arb(level).union(x.upper().log().max(arb(level))) if x.upper() > 0 and x >= 0 else _at_zero(x, level)

    pieces = ((0.0, a, 0), (a, b, 1), (b, inf, 2)) if a < b else ((0.0, a, 0), (a, inf, 2))
    flat = (0.0, a, 1)
    return Row(
        ball, pieces, (flat,), ((b, inf, 1), flat), (0.0, inf, False, True), (level, inf), (level, inf, False, True)
    )


def _at_zero(x: Any, level: float) -> Any:
    return arb(level) if x == 0 else arb.nan()


def _clamped_fact(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    """The row's fact, and the logarithm's where the range shows no clamping; max keeps convexity."""
    g, r = out[args[0].index], _clamped(args[1])
    f = rows.unary(r, g)
    if f is UNDEFINED or f.bits & CONSTANT or g.range[0] < 0.0 or (g.range[0] == 0.0 and not g.range[2]):
        return f
    low = float(args[1])
    h = compose.maximum(rows.logarithm(LOG, g), constant((low, low, False, False)))
    return compose.both(f, h)


register(
    Atom(
        "jensen.clamped_log",
        lambda x, low: (_clamped(low), x)[1],
        _clamped_fact,
        lambda x, low: balls.elementwise(_clamped(low).ball, x),
        row=_clamped,
    )
)
rewrite(
    "jensen.clamped_log", lambda m, node: m.add("aten.log.default", node.args[:1], node.name, node.module), ideal=True
)
for _op in ("softplus", "threshold"):
    acts(f"aten.{_op}.default", "map")
