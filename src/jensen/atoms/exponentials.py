"""Exponentials and logarithms."""

from __future__ import annotations

from math import inf
from typing import Any

from flint import arb

from jensen.atoms import rows
from jensen.atoms.registry import Atom, register, row
from jensen.atoms.rows import Row
from jensen.kernel import balls, compose
from jensen.kernel.facts import UNDEFINED, Fact, constant, fact

EVERYWHERE = (-inf, inf, True, True)
POSITIVE = (0.0, inf, True, True)


def _exponential(ball: Any) -> Row:
    zero = ((-inf, inf, 0),)
    return Row(ball, ((-inf, inf, 2),), zero, zero, limits=(0.0, inf), bounds=POSITIVE)


EXP = _exponential(lambda x: x.exp())
LOG = Row(lambda x: x.log(), ((0.0, inf, 2),), (), ((0.0, inf, 1),), POSITIVE)

row("aten.exp.default", lambda: EXP)
row("aten.exp2.default", lambda: _exponential(lambda x: (x * arb.const_log2()).exp()))
row(
    "aten.expm1.default",
    lambda: Row(
        lambda x: x.expm1(),
        ((-inf, inf, 2),),
        ((-inf, inf, 1),),
        ((0.0, inf, 0),),
        limits=(-1.0, inf),
        bounds=(-1.0, inf, True, True),
    ),
)


def _logarithm(op: str, r: Row) -> None:
    def facts(args: Any, out: Any, shapes: Any, i: int) -> Fact:
        return rows.logarithm(r, out[args[0].index])

    register(Atom(op, lambda x: x, facts, lambda x: balls.elementwise(r.ball, x), row=lambda: r))


_logarithm("aten.log.default", LOG)
_logarithm("aten.log2.default", LOG._replace(ball=lambda x: x.log() / arb.const_log2()))
_logarithm("aten.log10.default", LOG._replace(ball=lambda x: x.log() / arb.const_log10()))

_LOG1P = Row(lambda x: x.log1p(), ((-1.0, inf, 2),), (), ((-1.0, inf, 1),), (-1.0, inf, True, True), (-inf, inf))


def _log1p(args: Any, out: Any, shapes: Any, i: int) -> Fact:
    g = out[args[0].index]
    f = rows.unary(_LOG1P, g)
    if f is UNDEFINED or f.bits & 16:
        return f
    h = rows.logarithm(LOG, compose.add(g, constant((1.0, 1.0, False, False))))
    return f if h is UNDEFINED else fact(f.bits | h.bits, f.range, min(f.vex, h.vex), max(f.cave, h.cave))


register(
    Atom("aten.log1p.default", lambda x: x, _log1p, lambda x: balls.elementwise(_LOG1P.ball, x), row=lambda: _LOG1P)
)
