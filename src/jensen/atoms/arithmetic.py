"""Sums, differences, products and quotients."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jensen.atoms.powers import power_fact
from jensen.atoms.registry import Atom, acts, register
from jensen.kernel import balls, compose
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import (
    CONCAVE,
    CONSTANT,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    Fact,
    constant,
    fact,
    negate,
)
from jensen.kernel.program import Ref


def known(a: Any, out: Sequence[Fact]) -> Fact:
    """The fact of an argument: a node's, or that of a number."""
    if type(a) is Ref:
        return out[a.index]
    if isinstance(a, (bool, int, float)) and abs(a) < float("inf"):
        if float(a) != a:
            raise Unmodelled("scalar", "exact scalars", f"the integer {a} is not a float")
        return constant((float(a), float(a), False, False))
    raise Unmodelled("scalar", "finite scalars", f"the scalar {a!r} is not a finite real number")


def broadcast(x: Any, y: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(*(a if isinstance(a, tuple) else () for a in (x, y)))


def subtract(f: Fact, g: Fact) -> Fact:
    """f - g; where f, g and f - g are non-negative, f is a-concave and g a-convex for an a in (0, 1], so is f - g
    a-concave: f^a and g^a are the places in Bellman's (X^p - Y^p)^(1/p), p = 1/a, which is concave, rises in X and
    falls in Y (Beckenbach and Bellman, "Inequalities", 1961, chapter 1, section 38).
    """
    h = compose.add(f, negate(g))
    if h is UNDEFINED or h.bits & CONSTANT or min(f.range[0], g.range[0], h.range[0]) < 0.0:
        return h
    a = min(f.cave, 1)
    return fact(h.bits, h.range, h.vex, max(h.cave, a)) if a > 0 and g.vex <= a else h


def divide(f: Fact, g: Fact) -> Fact:
    """f / g as f times g**-1; f <= t g is a convex set for every t where f is convex and g > 0 affine."""
    if g.range[0] < 0.0 and g.range[1] <= 0.0:
        return negate(divide(f, negate(g)))
    inverse = power_fact(g, -1.0)
    if inverse is UNDEFINED:
        return UNDEFINED
    h = compose.multiply(f, inverse)
    if h.bits & CONSTANT or not (g.bits & CONVEX and g.bits & CONCAVE and g.range[0] >= 0.0):
        return h
    bits = (QUASICONVEX if f.bits & CONVEX else 0) | (QUASICONCAVE if f.bits & CONCAVE else 0)
    return fact(h.bits | bits, h.range, h.vex, h.cave)


def _binary(
    op: str, rule: Callable[[Fact, Fact], Fact], ball: Callable[[Any, Any], Any], bilinear: bool = False, law: str = ""
) -> None:
    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        return rule(known(args[0], out), known(args[1], out))

    register(Atom(op, broadcast, facts, lambda x, y: balls.elementwise(ball, x, y), bilinear))
    acts(op, "map", law)


_binary("aten.add.Tensor", compose.add, operator.add, law="sum")
_binary("aten.sub.Tensor", subtract, operator.sub, law="sum")
_binary("aten.mul.Tensor", compose.multiply, operator.mul, bilinear=True, law="product")
_binary("aten.div.Tensor", divide, lambda x, y: x / y, bilinear=True, law="quotient")
_binary("aten.maximum.default", compose.maximum, lambda x, y: x.max(y), law="largest")
_binary("aten.minimum.default", compose.minimum, lambda x, y: x.min(y), law="largest")


register(
    Atom(
        "aten.neg.default",
        lambda x: x,
        lambda args, out, shapes, i: negate(out[args[0].index]),
        lambda x: balls.elementwise(operator.neg, x),
    )
)
acts("aten.neg.default", "map", "sum")
