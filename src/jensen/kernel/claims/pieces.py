"""Elementwise operations as parts of a function of one variable: tables, affine forms, single pieces."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Any

from jensen.kernel.claims import jets
from jensen.kernel.claims.jets import Jet

TESTS = {"gt": (1,), "ge": (0, 1), "lt": (-1,), "le": (-1, 0), "eq": (0,), "ne": (-1, 1)}
COMPARISONS = {f"aten.{name}.Tensor": signs for name, signs in TESTS.items()}
EXTREMES = {"aten.maximum.default": 1, "aten.minimum.default": -1}
LOGIC: dict[str, Callable[..., int]] = {
    "aten.logical_and.default": lambda x, y: x & y,
    "aten.logical_or.default": lambda x, y: x | y,
    "aten.logical_not.default": lambda x: 1 - x,
}
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "aten.add.Tensor": operator.add,
    "aten.sub.Tensor": operator.sub,
    "aten.mul.Tensor": operator.mul,
    "aten.div.Tensor": operator.truediv,
    "aten.neg.default": operator.neg,
}
OTHERS = ("aten.where.self", "jensen.real")

Form = tuple[Fraction, Fraction]  # slope and constant of an affine function of the variable


def truth_of(v: Any) -> int | None:
    if isinstance(v, Jet):
        return int(v.value[0] != 0.0) if v.value[0] == v.value[1] else None
    return v


def piece_of(x: Jet, table: Any, k: int | None, point: bool) -> Jet | None:
    """A piecewise linear function on its k-th piece, or on the one that holds the range in its inside, or a point."""
    start, (lo, hi, _, _) = -inf, x.value
    for j, (end, slope, constant) in enumerate(table):
        if j == k or (k is None and ((start < lo and hi < end) or (point and lo == hi <= end) or len(table) == 1)):
            parts = (jets.constant((v, v, False, False), 1) for v in (slope, constant))
            return x * next(parts) + next(parts)
        start = end
    return None


def combined(op: str, args: list[Form | None]) -> Form | None:
    """Sums and multiples of affine functions."""
    if op not in ARITHMETIC or None in args:
        return None
    (a, b), (c, d) = (args[0] or (Fraction(0),) * 2), (args[-1] or (Fraction(0),) * 2)
    if op == "aten.neg.default":
        return -a, -b
    if op in ("aten.add.Tensor", "aten.sub.Tensor"):
        return ARITHMETIC[op](a, c), ARITHMETIC[op](b, d)
    if op == "aten.mul.Tensor":
        return None if a and c else (a * d + b * c, b * d)
    return (a / d, b / d) if not c and d else None


def inside(lo: float, hi: float) -> Fraction:
    """A number strictly between two."""
    if lo > -inf and hi < inf:
        return (Fraction(lo) + Fraction(hi)) / 2
    return Fraction(lo) + 1 if lo > -inf else Fraction(hi) - 1 if hi < inf else Fraction(0)
