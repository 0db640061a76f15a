"""Perspectives: t h, where t > 0 is affine and h depends on the blocks through quotients x / t only.

Between two points with weights l and 1-l put m = l t1 / t. Then x / t at the point between is the mean of its two
values with weights m and 1-m where x is affine, and at most that where x is convex: it is the middle of a segment on
which it has the curvature of x. Where the rules show that h is convex for every such value, h <= m h1 + (1-m) h2
there, and t times that is l t1 h1 + (1-l) t2 h2 (Combettes, "Perspective functions", 2018, for affine x).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from jensen.kernel import ranges
from jensen.kernel.claims.groups import LONGEST, elementwise
from jensen.kernel.facts import CONCAVE, CONVEX, UNDEFINED, Fact, constant, fact
from jensen.kernel.program import Linked, Ref

MUL, DIV = "aten.mul.Tensor", "aten.div.Tensor"


def perspective(
    linked: Linked, out: list[Fact], varying: list[bool], t: Any, h: Any, atoms: Any
) -> Callable[[list[Fact]], Fact | None] | None:
    """t h as a perspective, if t is positive and affine, and what varies in h enters through quotients by t."""
    if type(t) is not Ref or type(h) is not Ref or out[t.index].bits & (CONVEX | CONCAVE) != CONVEX | CONCAVE:
        return None
    low = out[t.index].range
    if not (low[0] > 0.0 or (low[0] == 0.0 and low[2])):
        return None
    leaves, inner, stack = set[int](), set[int](), [h.index]
    one = prod(linked.shapes[t.index]) == 1
    while stack:
        i = stack.pop()
        node = linked.nodes[i]
        if not varying[i] or i in inner or i in leaves:
            continue
        if node.op == DIV and (node.args[1] == t or _multiple(linked, node.args[0], t)):
            leaves.add(i)
        elif i == t.index or linked.atoms[i] is None or len(inner) > LONGEST or not (one or elementwise(node, atoms)):
            return None
        else:
            inner.add(i)
            stack += linked.inputs[i]
        if not one and linked.shapes[i] != linked.shapes[t.index]:
            return None
    return lambda facts: _fact(linked, facts, t.index, h.index, leaves, sorted(inner))


def _multiple(linked: Linked, a: Any, t: Ref) -> bool:
    """Whether a is c t for a number c > 0."""
    node = linked.nodes[a.index] if type(a) is Ref else None
    product = node is not None and node.op == MUL and any(type(c) in (int, float) and c > 0 for c in node.args)
    return a == t or (product and node is not None and t in node.args)


def _fact(linked: Linked, facts: list[Fact], t: int, h: int, leaves: set[int], inner: list[int]) -> Fact | None:
    view = list(facts)
    for i in leaves:
        node = linked.nodes[i]
        over = node.args[1] == Ref(t)
        x = node.args[0] if over else node.args[1]
        view[i] = _quotient(facts[x.index] if type(x) is Ref else constant((0.0, 0.0, False, False)), facts[i], over)
    for i in inner:
        if any(view[j] is UNDEFINED for j in linked.inputs[i]):
            return None
        f = linked.atoms[i].facts(linked.nodes[i].args, view, linked.shapes, i)
        view[i] = f
    f = view[h]
    if f is UNDEFINED or not f.bits & (CONVEX | CONCAVE):
        return None
    return fact(f.bits & (CONVEX | CONCAVE), ranges.mul(facts[t].range, f.range))


def _quotient(x: Fact, f: Fact, over: bool) -> Fact:
    """x / t, or c t / x, as a function of the new weights: the former has the curvature of x."""
    bits = x.bits & (CONVEX | CONCAVE)
    if f is UNDEFINED or over:
        return f if f is UNDEFINED else fact(bits, f.range)
    if bits != CONVEX | CONCAVE or not x.range[0] >= 0.0:
        return fact(0, f.range)
    return fact(0, f.range, -1, -1)
