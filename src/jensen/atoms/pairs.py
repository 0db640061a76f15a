"""Smooth functions of two variables: log-sum-exp, Euclidean norm of a pair, angles, relative entropy, general powers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from flint import arb

from jensen.atoms import rows
from jensen.atoms.arithmetic import broadcast, divide, known
from jensen.atoms.exponentials import EXP, LOG
from jensen.atoms.powers import power_fact, power_row
from jensen.atoms.registry import Atom, acts, register
from jensen.atoms.rounding import around, number
from jensen.atoms.rows import Row
from jensen.kernel import balls, compose, ranges
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, constant, fact, negate
from jensen.kernel.ranges import REALS, Range

Rule = Callable[[Fact, Fact], Fact]


def _pair(op: str, rule: Rule, ball: Callable[[Any, Any], Any], bilinear: bool = False) -> None:
    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        return rule(known(args[0], out), known(args[1], out))

    register(Atom(op, broadcast, facts, lambda x, y: balls.elementwise(ball, x, y), bilinear))
    acts(op, "map")


def _logaddexp(x: Any, y: Any) -> Any:
    """Exact where one side is far larger: max + log(1 + exp(-|x - y|))."""
    return x.max(y) + (-abs(x - y)).exp().log1p()


def _logaddexp2(x: Any, y: Any) -> Any:
    two = arb.const_log2()
    return _logaddexp(x * two, y * two) / two


def _soft_maximum(step: float) -> Rule:
    """A convex increasing function between max(x, y) and max(x, y) + step; ``step`` is rounded up."""

    def rule(f: Fact, g: Fact) -> Fact:
        top = ranges.maximum(f.range, g.range)
        r = ranges.make(top[0], ranges.add_up(top[1], step), False, False)
        return compose.joint([f, g], r, vex=1, signs=(1, 1))

    return rule


def _sign(r: Range) -> int:
    """+1 for values that are not negative, -1 for values that are not positive."""
    return 1 if r[0] >= 0.0 else -1 if r[1] <= 0.0 else 0


def _hypot(f: Fact, g: Fact) -> Fact:
    """The Euclidean norm of a pair: jointly convex, rising with the size of each."""
    square = compose.add(rows.unary(power_row(2.0), f), rows.unary(power_row(2.0), g))
    r = rows.image(power_row(0.5), square.range)
    return compose.joint([f, g], r, vex=1, signs=(_sign(f.range), _sign(g.range)))


def _hypot_ball(x: Any, y: Any) -> Any:
    square = x * x + y * y
    if square >= 0 or not square.is_finite():
        return square.sqrt()
    return arb(0).union(square.upper().sqrt())  # the radius reaches below zero, the square does not


def _angle(f: Fact, g: Fact) -> Fact:
    turn = around(lambda: arb.pi())[1]
    r = (-turn, turn, False, False)
    return constant(r) if f.bits & g.bits & CONSTANT else fact(0, r)


def _times_log(f: Fact, g: Fact) -> Fact:
    """f log g, for g > 0."""
    h = rows.logarithm(LOG, g)
    return UNDEFINED if h is UNDEFINED else compose.multiply(f, h)


def _times_log1p(f: Fact, g: Fact) -> Fact:
    return _times_log(f, compose.add(g, constant((1.0, 1.0, False, False))))


def _xlogy_ball(x: Any, y: Any) -> Any:
    return arb(0) if x == 0 else x * y.log()


def _xlog1py_ball(x: Any, y: Any) -> Any:
    return arb(0) if x == 0 else x * y.log1p()


def relative_entropy(f: Fact, g: Fact) -> Fact:
    """f log(f / g): jointly convex for f, g > 0, falling in g."""
    if f.range[1] <= 0.0 and g.range[0] < 0.0 and g.range[1] <= 0.0:
        h = relative_entropy(negate(f), negate(g))
        return h if h is UNDEFINED else negate(h)
    plain = rows.logarithm(LOG, divide(f, g)) if _above_zero(f) and _above_zero(g) else UNDEFINED
    if plain is UNDEFINED:
        return UNDEFINED
    product = compose.multiply(f, plain)
    return compose.both(product, compose.joint([f, g], REALS, vex=1, signs=(0, -1)))


def _positive_entropy(f: Fact, g: Fact) -> Fact:
    """f (log f - log g), which is only defined for f, g > 0."""
    return relative_entropy(f, g) if _above_zero(f) and _above_zero(g) else UNDEFINED


def _positive_entropy_ball(x: Any, y: Any) -> Any:
    return x * (x.log() - y.log())


def _above_zero(f: Fact) -> bool:
    return f.range[0] > 0.0 or (f.range[0] == 0.0 and f.range[2])


def _relative_entropy_ball(x: Any, y: Any) -> Any:
    return x * (x / y).log()


_pair("aten.logaddexp.default", _soft_maximum(around(arb.const_log2)[1]), _logaddexp)
_pair("aten.logaddexp2.default", _soft_maximum(1.0), _logaddexp2)
_pair("aten.hypot.default", _hypot, _hypot_ball)
_pair("aten.atan2.default", _angle, lambda x, y: arb.atan2(x, y))
_pair("aten.xlogy.Tensor", _times_log, _xlogy_ball, bilinear=True)
_pair("aten.special_xlog1py.default", _times_log1p, _xlog1py_ball, bilinear=True)
_pair("jensen.rel_entr", relative_entropy, _relative_entropy_ball)
_pair("jensen.positive_rel_entr", _positive_entropy, _positive_entropy_ball)


def exponential_row(base: float) -> Row:
    """base ** x for base > 0: its logarithm is affine."""
    c = arb(base)
    whole = ((-inf, inf, 0),)
    if base == 1.0:
        return Row(
            lambda x: arb(1), ((-inf, inf, 0),), whole, whole, limits=(1.0, 1.0), bounds=(1.0, 1.0, False, False)
        )
    step, limits = (2, (0.0, inf)) if base > 1.0 else (-2, (inf, 0.0))
    ball = lambda x: (x * c.log()).exp()  # noqa: E731
    return Row(ball, ((-inf, inf, step),), whole, whole, limits=limits, bounds=(0.0, inf, True, True))


def _base(c: Any) -> float:
    value = number("pow", c)
    if value <= 0.0:
        raise Unmodelled("pow", "a positive base", f"{c!r} ** x is not modelled")
    return value


def _exponential_shape(c: Any, x: tuple[int, ...]) -> tuple[int, ...]:
    _base(c)
    return x


register(
    Atom(
        "aten.pow.Scalar",
        _exponential_shape,
        lambda args, out, shapes, i: rows.unary(exponential_row(_base(args[0])), out[args[1].index]),
        lambda c, x: balls.elementwise(exponential_row(_base(c)).ball, x),
    )
)
acts("aten.pow.Scalar", "map")


def _general_power(f: Fact, p: Fact) -> Fact:
    """f ** p: by the exponent where that is one number, and exp(p log f) for f > 0."""
    if p.bits & CONSTANT and p.range[0] == p.range[1]:
        return power_fact(f, p.range[0])
    exponent = _times_log(p, f) if _above_zero(f) else UNDEFINED
    return UNDEFINED if exponent is UNDEFINED else rows.unary(EXP, exponent)


def _power_ball(x: arb, p: arb) -> arb:
    whole = p.unique_fmpz() if p.is_integer() and abs(p) < 2**31 else None
    if whole is not None:
        return x ** int(whole)
    return arb(0) if x == 0 and p > 0 else (p * x.log()).exp()


_pair("aten.pow.Tensor_Tensor", _general_power, _power_ball, bilinear=True)
