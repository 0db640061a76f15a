"""Irrational constants of atoms as floats on a known side: bounds, turning points and inflection points."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite, nextafter
from typing import Any

from flint import arb

from jensen.kernel import balls
from jensen.kernel.balls import to_floats
from jensen.kernel.errors import Unmodelled

PRECISION = 256


def around(value: Callable[[], Any]) -> tuple[float, float]:
    """Floats below and above a number, computed at high precision."""
    with balls.precision(PRECISION):
        return to_floats(value())


def root(f: Callable[[Any], Any], a: float, b: float) -> tuple[float, float]:
    """Neighbouring floats around the only sign change of f between a and b.

    The caller knows that there is one sign change only; the signs at the two floats are certain.
    """
    with balls.precision(PRECISION):
        low = f(arb(a)) > 0
        if not (f(arb(b)) < 0 if low else f(arb(a)) < 0 and f(arb(b)) > 0):
            raise ValueError("no certain change of sign")
        while nextafter(a, inf) < b:
            m = a + (b - a) / 2
            y = f(arb(m))
            if not (y > 0 or y < 0):
                raise ValueError("the sign is not certain")
            a, b = (m, b) if (y > 0) == low else (a, m)
    return a, b


def number(op: str, a: Any) -> float:
    """An attribute that is a finite real number and exactly a float; anything else is not modelled."""
    if isinstance(a, (int, float)) and not isinstance(a, bool):
        try:
            value = float(a)
        except OverflowError:
            value = inf
        if isfinite(value) and value == a:
            return value
    raise Unmodelled(op, "attributes are finite numbers", f"{op} with the attribute {a!r} is not modelled")


def positive(op: str, a: Any) -> float:
    """An attribute above zero."""
    value = number(op, a)
    if value <= 0.0:
        raise Unmodelled(op, "a positive attribute", f"{op} with the attribute {a!r} is not modelled")
    return value
