"""Comparisons: booleans, of no curvature; and choices by comparison that are maxima or minima, rewritten exactly."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from jensen.atoms import arrays
from jensen.atoms.arithmetic import broadcast, known
from jensen.atoms.registry import Atom, acts, register, rewrite
from jensen.atoms.shared import Facts, Shapes, operand
from jensen.kernel import balls
from jensen.kernel.facts import CONSTANT, Fact, constant, fact
from jensen.kernel.program import Merger, Node, Ref

TRUTH = (0.0, 1.0, False, False)
TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le, "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip
COMPARED = {f"aten.{name}.Tensor" for name in TESTS}


def _facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    return constant(TRUTH) if all(known(a, out).bits & CONSTANT for a in args) else fact(0, TRUTH)


def _booleans(f: Callable[..., Any], *args: Any) -> np.ndarray:
    out = np.empty(np.broadcast_shapes(*(np.shape(a) for a in args)), dtype=np.bool_)
    out[...] = np.frompyfunc(f, len(args), 1)(*args)
    return out


def _comparison(name: str) -> None:
    test = TESTS[name]

    def decide(x: Any, y: Any) -> bool:
        return test(arrays.sign_of(x - y), 0)

    register(
        Atom(f"aten.{name}.Tensor", broadcast, _facts, lambda x, y: _booleans(decide, balls.real(x), balls.real(y)))
    )
    acts(f"aten.{name}.Tensor", "map", "test")


def _truth(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x if x.dtype == np.bool_ else _booleans(lambda v: arrays.sign_of(v) != 0, balls.real(x))


for _name in TESTS:
    _comparison(_name)
register(
    Atom(
        "jensen.real",
        lambda x: x,
        lambda args, out, shapes, i: out[operand(args)],
        lambda x: balls.elementwise(lambda v: v, x),
    )
)
acts("jensen.real", "map", "sum")
for _name in ("not", "and", "or", "xor"):
    acts(f"aten.logical_{_name}.default", "map")
register(Atom("aten.logical_not.default", lambda x: x, _facts, lambda x: _booleans(operator.not_, _truth(x))))
register(
    Atom("aten.logical_and.default", broadcast, _facts, lambda x, y: _booleans(operator.and_, _truth(x), _truth(y)))
)
register(Atom("aten.logical_or.default", broadcast, _facts, lambda x, y: _booleans(operator.or_, _truth(x), _truth(y))))
register(
    Atom("aten.logical_xor.default", broadcast, _facts, lambda x, y: _booleans(operator.xor, _truth(x), _truth(y)))
)


def _same(a: Any, b: Any) -> bool:
    """Whether two arguments are the same value; numbers by value, so that 0 and 0.0 agree."""
    if type(a) is Ref or type(b) is Ref:
        return type(a) is Ref and type(b) is Ref and a == b
    return type(a) in (int, float) and type(b) in (int, float) and a == b


def _where(merger: Merger, node: Node) -> int | None:
    """where(x > y, x, y) is max(x, y); where(x > y, y, x) is min(x, y); likewise with >=, < and <=."""
    if len(node.args) != 3 or type(node.args[0]) is not Ref:
        return None
    test = merger.nodes[node.args[0].index]
    name = test.op.removeprefix("aten.").removesuffix(".Tensor")
    if name not in ("gt", "ge", "lt", "le") or len(test.args) != 2:
        return None
    x, y = test.args
    straight = _same(x, node.args[1]) and _same(y, node.args[2])
    crossed = _same(x, node.args[2]) and _same(y, node.args[1])
    if not (straight or crossed):
        return None
    largest = straight == (name in ("gt", "ge"))
    left, right = node.args[1:]
    if largest and _same(right, 0.0):
        return merger.add("aten.relu.default", (left,), node.name, node.module)
    if largest and _same(left, 0.0):
        return merger.add("aten.relu.default", (right,), node.name, node.module)
    op = "aten.maximum.default" if largest else "aten.minimum.default"
    return merger.add(op, (left, right), node.name, node.module)


def _no_choice(merger: Merger, node: Node) -> int | None:
    """where(c, x, x) is x, where that has the shape of the choice: c must not widen it."""
    x = node.args[1] if len(node.args) == 3 and node.args[1] == node.args[2] else None
    test = merger.nodes[node.args[0].index] if type(node.args[0]) is Ref else None
    if type(x) is not Ref or test is None or test.op not in COMPARED or x not in test.args:
        return None
    return x.index if all(a == x or type(a) in (int, float) for a in test.args) else None


def _masked_product(merger: Merger, node: Node) -> int | None:
    """x * (x > 0) and x * (x >= 0) are relu(x)."""
    if len(node.args) != 2 or any(type(a) is not Ref for a in node.args):
        return None
    for x, mask in (node.args, node.args[::-1]):
        test = merger.nodes[mask.index]
        if test.op == "jensen.real" and type(test.args[0]) is Ref:
            test = merger.nodes[test.args[0].index]
        positive = test.op in ("aten.gt.Tensor", "aten.ge.Tensor") and len(test.args) == 2
        if positive and _same(test.args[0], x) and _same(test.args[1], 0.0):
            return merger.add("aten.relu.default", (x,), node.name, node.module)
    return None


rewrite("aten.where.self", _where)
rewrite("aten.where.self", _no_choice)
rewrite("aten.mul.Tensor", _masked_product)
