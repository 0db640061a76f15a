"""Exact identities of real functions that bring written-out forms to one whole operation.

Each pattern takes (merger, node) and returns the index of an equal node, or None. Equal means: defined on the same
real arguments, or on fewer (then jensen only knows less), with the same value and shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jensen.atoms.registry import REGISTRY, rewrite
from jensen.kernel.program import Merger, Node, Ref

Pattern = Callable[[Merger, Node], "int | None"]


def pattern(*ops: str) -> Callable[[Pattern], Pattern]:
    def add(f: Pattern) -> Pattern:
        for op in ops:
            rewrite(op, f)
        return f

    return add


def operand(m: Merger, a: Any, op: str) -> tuple[Any, ...] | None:
    """The arguments of the node that an argument refers to, where that is of one operation."""
    if type(a) is Ref and m.nodes[a.index].op == op:
        return m.nodes[a.index].args
    return None


def is_number(a: Any, value: float) -> bool:
    return type(a) in (int, float) and a == value


def orders(args: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    """Two arguments in both orders."""
    return [(args[0], args[1]), (args[1], args[0])]


def _named(m: Merger, node: Node, op: str, *args: Any) -> int:
    return m.add(op, args, node.name, node.module)


def _build(m: Merger, node: Node, op: str, *args: Any) -> Ref:
    """An operation on merged arguments, itself rewritten where a pattern fits."""
    new = Node(node.name, op, args, node.module)
    rule = REGISTRY.rewrites.get(op)
    found = rule(m, new) if rule else None
    return Ref(_named(m, node, op, *args) if found is None else found)


@pattern("aten.neg.default")
def double_negation(m: Merger, node: Node) -> int | None:
    """--x = x."""
    inner = operand(m, node.args[0], "aten.neg.default")
    return inner[0].index if inner else None


@pattern("aten.relu.default", "aten.abs.default")
def size_of_size(m: Merger, node: Node) -> int | None:
    """relu(|x|) = |x|, relu(relu(x)) = relu(x), ||x|| = |x|, |relu(x)| = relu(x)."""
    x = node.args[0]
    inner = operand(m, x, "aten.abs.default") or operand(m, x, "aten.relu.default")
    return x.index if inner else None


@pattern("aten.sub.Tensor")
def flipped_sigmoid(m: Merger, node: Node) -> int | None:
    """1 - sigmoid(x) = sigmoid(-x)."""
    inner = operand(m, node.args[1], "aten.sigmoid.default")
    if not inner or not is_number(node.args[0], 1):
        return None
    minus = operand(m, inner[0], "aten.neg.default")
    x = minus[0] if minus else Ref(_named(m, node, "aten.neg.default", inner[0]))
    return _named(m, node, "aten.sigmoid.default", x)


@pattern("aten.sub.Tensor")
def exponential_less_one(m: Merger, node: Node) -> int | None:
    """exp(x) - 1."""
    inner = operand(m, node.args[0], "aten.exp.default")
    return _named(m, node, "aten.expm1.default", inner[0]) if inner and is_number(node.args[1], 1) else None


@pattern("aten.sub.Tensor")
def spread(m: Merger, node: Node) -> int | None:
    """max x - min x over the same axes is not negative."""
    high, low = operand(m, node.args[0], "aten.amax.default"), operand(m, node.args[1], "aten.amin.default")
    if high is None or high != low:
        return None
    gap = Ref(_named(m, node, "aten.sub.Tensor", *node.args))
    return _named(m, node, "aten.relu.default", gap)


@pattern("aten.sub.Tensor")
def tanhshrink(m: Merger, node: Node) -> int | None:
    """x - tanh(x)."""
    inner = operand(m, node.args[1], "aten.tanh.default")
    return _named(m, node, "jensen.tanhshrink", inner[0]) if inner and inner[0] == node.args[0] else None


@pattern("aten.div.Tensor")
def softsign(m: Merger, node: Node) -> int | None:
    """x / (1 + |x|)."""
    x, below = node.args
    for a, b in orders(operand(m, below, "aten.add.Tensor") or (None, None)):
        inner = operand(m, a, "aten.abs.default")
        if inner and is_number(b, 1) and type(x) is Ref and inner[0] == x:
            return _named(m, node, "jensen.softsign", x)
    return None


@pattern("aten.mul.Tensor", "aten.div.Tensor")
def minus_outside(m: Merger, node: Node) -> int | None:
    """(-x) y = -(x y), and the same in every place of a product or quotient."""
    for k in (0, 1):
        inner = operand(m, node.args[k], "aten.neg.default")
        if inner:
            args = (inner[0], node.args[1]) if k == 0 else (node.args[0], inner[0])
            return _build(m, node, "aten.neg.default", _build(m, node, node.op, *args)).index
    return None


@pattern("aten.mul.Tensor")
def number_outside(m: Merger, node: Node) -> int | None:
    """(c x) y = c (x y) for a number c."""
    for a, y in orders(node.args):
        inner = operand(m, a, "aten.mul.Tensor")
        if inner is None or type(y) is not Ref:
            continue
        for x, c in orders(inner):
            if type(x) is Ref and type(c) in (int, float):
                return _build(m, node, "aten.mul.Tensor", _build(m, node, "aten.mul.Tensor", x, y), c).index
    return None


@pattern("aten.pow.Tensor_Scalar")
def power_of_power(m: Merger, node: Node) -> int | None:
    """(x**a)**b = x**(a b) for positive whole exponents; sqrt(x**2) = |x|."""
    inner = operand(m, node.args[0], "aten.pow.Tensor_Scalar")
    if not inner:
        return None
    a, b = inner[1], node.args[1]
    if _whole(a) and _whole(b) and a * b <= 1000:
        return _named(m, node, "aten.pow.Tensor_Scalar", inner[0], float(a * b))
    return _named(m, node, "aten.abs.default", inner[0]) if a == 2 and b == 0.5 else None


@pattern("aten.mul.Tensor")
def square(m: Merger, node: Node) -> int | None:
    """x * x."""
    x, y = node.args
    return _named(m, node, "aten.pow.Tensor_Scalar", x, 2.0) if type(x) is Ref and x == y else None


@pattern("aten.mul.Tensor")
def powers(m: Merger, node: Node) -> int | None:
    """x**a * x**b = x**(a + b) for positive whole exponents."""
    parts = [operand(m, a, "aten.pow.Tensor_Scalar") or (a, 1.0) for a in node.args]
    (x, a), (y, b) = parts
    if type(x) is not Ref or x != y or not (_whole(a) and _whole(b)):
        return None
    return _named(m, node, "aten.pow.Tensor_Scalar", x, float(a + b))


def _whole(p: Any) -> bool:
    return type(p) in (int, float) and p == p and 1 <= p <= 1000 and p == int(p)


@pattern("aten.mul.Tensor")
def silu(m: Merger, node: Node) -> int | None:
    """x sigmoid(x)."""
    for x, gate in orders(node.args):
        inner = operand(m, gate, "aten.sigmoid.default")
        if inner and type(x) is Ref and inner[0] == x:
            return _named(m, node, "aten.silu.default", x)
    return None


@pattern("aten.mul.Tensor")
def sign_times_size(m: Merger, node: Node) -> int | None:
    """sign(x) |x| = x."""
    for a, b in orders(node.args):
        sign, size = operand(m, a, "aten.sign.default"), operand(m, b, "aten.abs.default")
        if sign and size and sign[0] == size[0]:
            return sign[0].index
    return None


@pattern("aten.mul.Tensor")
def entropies(m: Merger, node: Node) -> int | None:
    """x log x; x log(x / y) and x (log x - log y), the latter for x, y > 0."""
    for x, b in orders(node.args):
        if type(x) is not Ref:
            continue
        inner = operand(m, b, "aten.log.default")
        if inner and inner[0] == x:
            return _named(m, node, "jensen.xlogx", x)
        ratio = operand(m, inner[0], "aten.div.Tensor") if inner else None
        if ratio and ratio[0] == x and type(ratio[1]) is Ref:
            return _named(m, node, "jensen.rel_entr", x, ratio[1])
        gap = operand(m, b, "aten.sub.Tensor")
        logs = [operand(m, a, "aten.log.default") for a in gap] if gap else []
        if len(logs) == 2 and logs[0] and logs[1] and logs[0][0] == x:
            return _named(m, node, "jensen.positive_rel_entr", x, logs[1][0])
    return None


@pattern("aten.sub.Tensor")
def entropy_apart(m: Merger, node: Node) -> int | None:
    """x log x - x log y, for x, y > 0."""
    left, right = operand(m, node.args[0], "jensen.xlogx"), operand(m, node.args[1], "aten.mul.Tensor")
    for x, b in orders(right or (None, None)) if left else ():
        inner = operand(m, b, "aten.log.default")
        if inner and left and x == left[0]:
            return _named(m, node, "jensen.positive_rel_entr", x, inner[0])
    return None


@pattern("aten.xlogy.Tensor")
def negative_entropy(m: Merger, node: Node) -> int | None:
    """x log x, zero at zero, is minus the entropy."""
    x, y = node.args
    if type(x) is not Ref or x != y:
        return None
    return _named(m, node, "aten.neg.default", Ref(_named(m, node, "aten.special_entr.default", x)))
