"""log(1 - exp(-x)), sums of the largest elements, and the written-out forms that mean them.

Each identity holds for all real arguments on which its left side is defined.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from jensen.atoms import arrays
from jensen.atoms.extrema import _sort, _sort_shape
from jensen.atoms.identities import _build, _named, is_number, operand, orders, pattern
from jensen.atoms.registry import Atom, register, row, slopes
from jensen.atoms.rows import Row
from jensen.atoms.shared import Facts, Shapes, axis_of, no_values
from jensen.atoms.shared import operand as operand_index
from jensen.atoms.slopes import Three, of, power
from jensen.kernel import compose
from jensen.kernel.facts import CONCAVE, CONSTANT, CONVEX, Fact, constant, fact
from jensen.kernel.program import Merger, Node, Ref
from jensen.kernel.ranges import Range, add, mul, neg

Shape = tuple[int, ...]
POSITIVE = (0.0, inf, True, True)


def _log1mexp(x: Any) -> Any:
    """log(1 - exp(-x))."""
    return (-(-x).expm1()).log() if x < 1 else (-(-x).exp()).log1p()


def _log1mexp_slopes(r: Range) -> Three:
    """First derivative 1 / (exp(x) - 1) = s, second -s (1 + s)."""
    value = of("jensen.log1mexp", r)
    s = power(of("aten.expm1.default", r), -1.0)
    return value, s, neg(mul(s, add(s, (1.0, 1.0, False, False))))


row(
    "jensen.log1mexp",
    # concave: the second derivative is -exp(x) / (exp(x) - 1)^2
    lambda: Row(_log1mexp, ((0.0, inf, 2),), (), ((0.0, inf, 1),), POSITIVE, (-inf, 0.0), (-inf, 0.0, True, True)),
)
slopes("jensen.log1mexp", _log1mexp_slopes)


def _rest(m: Merger, a: Any) -> Ref | None:
    """u where an argument is 1 - exp(u), written either way."""
    minus = operand(m, a, "aten.neg.default")
    inner = operand(m, minus[0], "aten.expm1.default") if minus else None
    if inner:
        return inner[0]
    gap = operand(m, a, "aten.sub.Tensor")
    power_ = operand(m, gap[1], "aten.exp.default") if gap and is_number(gap[0], 1) else None
    return power_[0] if power_ else None


@pattern("aten.log.default")
def log_of_a_rest(m: Merger, node: Node) -> int | None:
    """log(1 - exp(u)) = log1mexp(-u); log(exp(u) - 1) = u + log1mexp(u), both for arguments of log above zero."""
    u = _rest(m, node.args[0])
    if u is not None:
        return _named(m, node, "jensen.log1mexp", _build(m, node, "aten.neg.default", u))
    inner = operand(m, node.args[0], "aten.expm1.default")
    gap = operand(m, node.args[0], "aten.sub.Tensor")
    if inner is None and gap and is_number(gap[1], 1):
        inner = operand(m, gap[0], "aten.exp.default")
    if inner is None:
        return None
    return _named(m, node, "aten.add.Tensor", inner[0], Ref(_named(m, node, "jensen.log1mexp", inner[0])))


@pattern("aten.log1p.default")
def log1p_of_minus_exp(m: Merger, node: Node) -> int | None:
    """log1p(-exp(u)) = log1mexp(-u)."""
    minus = operand(m, node.args[0], "aten.neg.default")
    inner = operand(m, minus[0], "aten.exp.default") if minus else None
    return _named(m, node, "jensen.log1mexp", _build(m, node, "aten.neg.default", inner[0])) if inner else None


@pattern("aten.pow.Tensor_Tensor")
def power_of_itself(m: Merger, node: Node) -> int | None:
    """x**x = exp(x log x), for x > 0."""
    x, y = node.args
    if type(x) is not Ref or x != y:
        return None
    return _named(m, node, "aten.exp.default", Ref(_named(m, node, "jensen.xlogx", x)))


@pattern("aten.mul.Tensor")
def entropy_turned_over(m: Merger, node: Node) -> int | None:
    """y log(x / y) = -(y log(y / x)); (x - y) (log x - log y) = x log(x / y) + y log(y / x), for x, y > 0."""
    for y, b in (node.args, node.args[::-1]):
        inner = operand(m, b, "aten.log.default")
        ratio = operand(m, inner[0], "aten.div.Tensor") if inner else None
        if ratio and type(y) is Ref and ratio[1] == y and type(ratio[0]) is Ref:
            turned = _named(m, node, "jensen.rel_entr", y, ratio[0])
            return _build(m, node, "aten.neg.default", Ref(turned)).index
        gap, logs = operand(m, y, "aten.sub.Tensor"), operand(m, b, "aten.sub.Tensor")
        of_logs = [operand(m, a, "aten.log.default") for a in logs] if logs else []
        if gap and all(of_logs) and [x[0] for x in of_logs if x] == list(gap):
            parts = [Ref(_named(m, node, "jensen.positive_rel_entr", *pair)) for pair in (gap, gap[::-1])]
            return _named(m, node, "aten.add.Tensor", *parts)
    return None


@pattern("aten.div.Tensor")
def logistic_quotient(m: Merger, node: Node) -> int | None:
    """exp(u) / (1 + exp(u)) = sigmoid(u); 1 / (1 + exp(u)) = sigmoid(-u)."""
    u = _one_and_exp(m, node.args[1])
    if u is None:
        return None
    if is_number(node.args[0], 1):
        return _named(m, node, "aten.sigmoid.default", _build(m, node, "aten.neg.default", u))
    above = operand(m, node.args[0], "aten.exp.default")
    return _named(m, node, "aten.sigmoid.default", u) if above and above[0] == u else None


@pattern("aten.pow.Tensor_Scalar")
def logistic_reciprocal(m: Merger, node: Node) -> int | None:
    """(1 + exp(u))**-1 = sigmoid(-u)."""
    u = _one_and_exp(m, node.args[0]) if node.args[1] == -1 else None
    return None if u is None else _named(m, node, "aten.sigmoid.default", _build(m, node, "aten.neg.default", u))


def _one_and_exp(m: Merger, a: Any) -> Ref | None:
    """u where an argument is 1 + exp(u)."""
    for x, y in orders(operand(m, a, "aten.add.Tensor") or (None, None)):
        inner = operand(m, x, "aten.exp.default")
        if inner and is_number(y, 1):
            return inner[0]
    return None


@pattern("aten.log.default")
def log_of_odds(m: Merger, node: Node) -> int | None:
    """log(x / (1 - x)) = logit(x): the quotient is above zero only for x between 0 and 1."""
    ratio = operand(m, node.args[0], "aten.div.Tensor")
    rest = operand(m, ratio[1], "aten.sub.Tensor") if ratio else None
    if ratio is None or rest is None or type(ratio[0]) is not Ref or not is_number(rest[0], 1) or rest[1] != ratio[0]:
        return None
    return _named(m, node, "aten.logit.default", ratio[0])


@pattern("aten.mul.Tensor")
def ramp_times_itself(m: Merger, node: Node) -> int | None:
    """x relu(x) = relu(x)^2."""
    for x, b in (node.args, node.args[::-1]):
        inner = operand(m, b, "aten.relu.default")
        if inner and inner[0] == x:
            return _build(m, node, "aten.pow.Tensor_Scalar", b, 2.0).index
    return None


@pattern("aten.special_xlog1py.default")
def x_log_one_plus_x(m: Merger, node: Node) -> int | None:
    """x log(1 + x), for x > -1."""
    x, y = node.args
    if type(x) is not Ref or x != y:
        return None
    return _named(m, node, "aten.mul.Tensor", x, Ref(_named(m, node, "aten.log1p.default", x)))


@pattern("aten.sum.dim_IntList")
def sum_of_sorted(m: Merger, node: Node) -> int | None:
    """The sum of the k largest (smallest) along the axis of the sort, or over all of these."""
    inner = operand(m, node.args[0], "jensen.sorted")
    dims = node.args[1] if len(node.args) > 1 else None
    if inner is None or any(node.args[2:]) or not (dims is None or dims == (inner[2],)):
        return None
    return _named(m, node, "jensen.sum_sorted", *inner, dims is None)


def _sum_shape(x: Shape, k: int, dim: int, largest: bool, whole: bool) -> Shape:
    _sort_shape(x, k, dim, largest)
    a = axis_of(dim, len(x))
    return () if whole else x[:a] + x[a + 1 :]


def _sum_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    """The k largest sum to the largest of all sums of k elements: convex and rising in each; the smallest: concave."""
    no_values(args[1:])
    f, x = out[operand_index(args)], shapes[operand_index(args)]
    rows = prod(x) // max(x[axis_of(args[2], len(x))], 1) if x and args[4] else 1
    s = compose.total(f, args[1] * rows)
    if f.bits & CONSTANT:
        return constant(s.range)
    return fact(s.bits & (CONVEX if args[3] else CONCAVE), s.range)


def _sum_balls(x: np.ndarray, k: int, dim: int, largest: bool, whole: bool) -> np.ndarray:
    if not x.ndim:
        return x
    return arrays.total(_sort(x, k, dim, largest), tuple(range(x.ndim)) if whole else (axis_of(dim, x.ndim),), False)


register(Atom("jensen.sum_sorted", _sum_shape, _sum_facts, _sum_balls))
