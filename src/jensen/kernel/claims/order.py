"""Weighted sums of sorted values.

With values in falling order x1 >= ... >= xn and weights w1 >= ... >= wn, the sum of w_k x_k is the sum over k of
(w_k - w_(k+1)) times the sum of the k largest, plus w_n times the sum of all: sums of largest values are convex and
rise with each value. Rising weights give the mirror image.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from jensen.kernel import ranges
from jensen.kernel.facts import CONCAVE, CONVEX, UNDEFINED, Fact, fact
from jensen.kernel.program import Linked, Node, Ref
from jensen.kernel.readings import Leaf

SORTED, SUM, MEAN = "jensen.sorted", "aten.sum.dim_IntList", "aten.mean.dim"
PRODUCTS = ("aten.mul.Tensor", "aten.matmul.default")


def weighted(linked: Linked, leaf: Leaf, i: int) -> Callable[[list[Fact]], Fact | None] | None:
    """A sum of the sorted elements of a vector with constant weights, or their mean."""
    node = linked.nodes[i]
    if linked.shapes[i] != () or node.op not in (SUM, MEAN, PRODUCTS[1]) or type(node.args[0]) is not Ref:
        return None
    below = linked.nodes[node.args[0].index]
    if node.op == MEAN:
        values, weights = below, np.ones(1)
    else:
        values, weights = _factors(linked, leaf, node if node.op in PRODUCTS else below)
    if values is None or values.op != SORTED or weights is None or weights.dtype.kind != "f":
        return None
    x, k, _, largest = values.args
    if len(linked.shapes[x.index]) != 1 or (node.op == SUM and linked.shapes[node.args[0].index] != (k,)):
        return None
    rest = [0.0] * (linked.shapes[x.index][0] - k)
    some = np.broadcast_to(weights, (k,)).tolist()
    falling = [*some, *rest] if largest else [*rest, *some[::-1]]
    return lambda facts: _fact(facts[x.index], falling)


def _factors(linked: Linked, leaf: Leaf, node: Node) -> tuple[Node | None, Any]:
    """A node of the program and a constant of known values, where a product has these."""
    tensors = getattr(leaf, "tensors", {})
    if node.op in PRODUCTS and all(type(a) is Ref for a in node.args):
        for a, b in (node.args, node.args[::-1]):
            constant = linked.nodes[b.index]
            if constant.op == "const" and len(linked.shapes[b.index]) < 2:
                return linked.nodes[a.index], tensors.get(constant.args[0])
    return None, None


def _fact(f: Fact, weights: list[float]) -> Fact | None:
    affine = f.bits & CONVEX and f.bits & CONCAVE
    if f is UNDEFINED or not weights:
        return None
    if all(a >= b for a, b in pairwise(weights)) and (affine or (f.bits & CONVEX and weights[-1] >= 0.0)):
        return fact(CONVEX, ranges.REALS)
    if all(a <= b for a, b in pairwise(weights)) and (affine or (f.bits & CONCAVE and weights[0] >= 0.0)):
        return fact(CONCAVE, ranges.REALS)
    return None
