"""Powers with a constant exponent: squares, roots, reciprocals and all others."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any

from flint import arb, fmpq

from jensen.atoms import rows
from jensen.atoms.registry import Atom, Nature, acts, nature, register
from jensen.atoms.rows import Row
from jensen.kernel import balls
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import Fact


def _ball(p: float) -> Any:
    if p == 2.0:
        return lambda x: x * x
    if p == 0.5:
        return lambda x: x.sqrt()
    if p == -0.5:
        return lambda x: x.rsqrt()
    if p == -1.0:
        return lambda x: 1 / x
    if p == int(p):
        return lambda x: _whole(x, int(p))
    exact = fmpq(*Fraction(p).as_integer_ratio())
    return lambda x: arb(0) if x == 0 and p > 0 else x ** arb(exact)


def _whole(x: Any, n: int) -> Any:
    """x ** n; flint gives up on balls around zero, where the values at the ends bound it."""
    y = x**n
    if n < 0 or y.is_finite():
        return y
    ends = (x.lower() ** n).union(x.upper() ** n)
    return ends if n % 2 else ends.union(arb(0))


def _even(p: float) -> Row:
    if p > 0:
        return Row(
            _ball(p),
            ((-inf, 0.0, -2), (0.0, inf, 2)),
            ((-inf, inf, Fraction(1) / Fraction(p)),),
            (),
            limits=(inf, inf),
            bounds=(0.0, inf, False, True),
        )
    return _half_line(p)


def _half_line(p: float) -> Row:
    """x ** p for x > 0 (x >= 0 where p > 0)."""
    index = 1 / Fraction(p)
    claim = ((0.0, inf, index),)
    domain = (0.0, inf, p < 0, True)
    limits = (0.0, inf) if p > 0 else (inf, 0.0)
    return Row(_ball(p), ((0.0, inf, 2 if p > 0 else -2),), claim, claim, domain, limits, (0.0, inf, p < 0, True))


def _odd(p: float) -> Row:
    if p == 1.0:
        both = ((-inf, inf, 1),)
        return Row(lambda x: x, ((-inf, inf, 2),), both, both)
    index = 1 / Fraction(p)
    vex = ((0.0, inf, index), (0.0, inf, 1))
    return Row(_ball(p), ((-inf, inf, 2),), vex, ((-inf, 0.0, 1), (0.0, inf, index)))


@lru_cache(maxsize=1024)
def power_row(p: float) -> Row:
    """x ** p as a function of x."""
    if p != p or p in (inf, -inf):
        raise Unmodelled("pow", "a finite exponent", f"exponent {p}")
    if p == 0.0:
        one = ((-inf, inf, 1),)
        return Row(lambda x: arb(1), ((-inf, inf, 0),), one, one, limits=(1.0, 1.0), bounds=(1.0, 1.0, False, False))
    if p == int(p) and p > 0:
        return _even(p) if int(p) % 2 == 0 else _odd(p)
    return _half_line(p)


@lru_cache(maxsize=1024)
def negative_side(p: int) -> Row:
    """x ** p for x < 0 and a negative integer p."""
    even = p % 2 == 0
    bounds = (0.0, inf, True, True) if even else (-inf, 0.0, True, True)
    vex = ((-inf, 0.0, Fraction(1, p)),) if even else ()
    cave = ((-inf, 0.0, Fraction(1, p)),) if even else ((-inf, 0.0, 1),)
    limits = (0.0, inf) if even else (0.0, -inf)
    return Row(_ball(float(p)), ((-inf, 0.0, 2 if even else -2),), vex, cave, (-inf, 0.0, True, True), limits, bounds)


def power_fact(g: Fact, p: float) -> Fact:
    """g ** p."""
    if p < 0 and p == int(p) and g.range[1] <= 0.0:
        return rows.unary(negative_side(int(p)), g)
    return rows.power(power_row(p), g, p)


def _exponent(args: tuple[Any, ...]) -> float:
    p = args[1]
    if not isinstance(p, (int, float)) or isinstance(p, bool) or float(p) != p:
        raise Unmodelled("pow", "a constant exponent", f"exponent {p!r}")
    return float(p)


def _facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    return power_fact(out[args[0].index], _exponent(args))


def _enclose(x: Any, p: Any) -> Any:
    return balls.elementwise(_ball(_exponent((x, p))), x)


def _shape(x: tuple[int, ...], p: Any) -> tuple[int, ...]:
    _exponent((x, p))
    return x


register(Atom("aten.pow.Tensor_Scalar", _shape, _facts, _enclose))


def _nature(p: Any) -> Nature:
    """Homogeneous of the exponent's degree where that is a number that one writes down, and odd or even where it is whole."""
    near = Fraction(p).limit_denominator(64) if _exponent((None, p)) == p and abs(p) <= 64 else None
    parity = int(p) % 2 if float(p).is_integer() else None
    return Nature(near if near == Fraction(p) else None, parity)


acts("aten.pow.Tensor_Scalar", "map")
nature("aten.pow.Tensor_Scalar", _nature)
