"""Softmax under a mask: minus infinity added to, or written into, the argument becomes a mask of the softmax.

The kernel takes finite constants only. ``softmax(scores + mask)`` with minus infinity in the constant mask is read as a
masked softmax of ``scores + finite part of the mask``, which is the same function. A row that is hidden whole would make
the cost NaN, which the gate refuses.
"""

from __future__ import annotations

from math import inf
from typing import Any

from jensen.constants import allowed, finite_part
from jensen.kernel.program import Ref

DEPTH = 40
MOVES = {
    "aten.view.default", "aten.expand.default", "aten.unsqueeze.default", "aten.permute.default", "aten.transpose.int",
    "aten.squeeze.dims", "aten.slice.Tensor", "aten.select.int",
}  # fmt: skip


def softmax(b: Any, x: Any, dim: int, *rest: Any) -> Any:
    """The normal form of a softmax."""
    if type(x) is not Ref or not _has_mask(b, x, 0):
        return b.emit("aten.softmax.int", x, dim)
    scores, masks = _split(b, x)
    mask = masks[0]
    for other in masks[1:]:
        mask = b.emit("aten.logical_and.default", mask, other)
    return b.emit("jensen.masked_softmax", scores, mask, dim)


def _has_mask(b: Any, x: Any, depth: int) -> bool:
    """Whether minus infinity reaches this value through sums, writes and moves."""
    if type(x) is not Ref or depth > DEPTH:
        return False
    if x.index in b.sources.nodes:
        return b.sources.infinite(x.index)
    memo = b.sources.masked
    if x.index not in memo:
        memo[x.index] = _node_has_mask(b, b.nodes[x.index], depth + 1)
    return memo[x.index]


def _node_has_mask(b: Any, node: Any, depth: int) -> bool:
    if node.op == "aten.add.Tensor":
        return any(_has_mask(b, a, depth) for a in node.args)
    if node.op in MOVES:
        return node.args[0].index in b.shape and _has_mask(b, node.args[0], depth)
    return _written(b, node) is not None


def _written(b: Any, node: Any) -> tuple[Any, Ref, bool] | None:
    """(value, constant condition, which of its places are hidden) where minus infinity is written by a condition."""
    if node.op == "aten.masked_fill.Scalar" and node.args[2] == -inf:
        found = (node.args[0], node.args[1], True)
    elif node.op == "aten.where.self" and _is_minus_infinity(b, node.args[1]):
        found = (node.args[2], node.args[0], True)
    elif node.op == "aten.where.self" and _is_minus_infinity(b, node.args[2]):
        found = (node.args[1], node.args[0], False)
    else:
        return None
    return found if type(found[0]) is Ref and found[1].index in b.sources.nodes else None


def _is_minus_infinity(b: Any, a: Any) -> bool:
    return type(a) is Ref and b.sources.number(a.index) == -inf


def _split(b: Any, x: Any) -> tuple[Any, list[Ref]]:
    """A value without its minus infinities, and the masks (true: allowed) that hold them."""
    if not _has_mask(b, x, 0):
        return x, []
    source = b.sources.nodes.get(x.index)
    if source is not None:
        return b.leaf(source, f"{source.name}.finite", finite_part), [b.leaf(source, f"{source.name}.allowed", allowed)]
    node = b.nodes[x.index]
    if node.op == "aten.add.Tensor":
        (left, first), (right, second) = (_split(b, a) for a in node.args)
        return b.emit("aten.add.Tensor", left, right), first + second
    if node.op in MOVES:
        value, masks = _split(b, node.args[0])
        shape = b.shape[node.args[0].index]
        wide = [b.emit("aten.expand.default", m, shape) for m in masks]
        return b.emit(node.op, value, *node.args[1:]), [b.emit(node.op, m, *node.args[1:]) for m in wide]
    value, condition, hidden = _written(b, node)  # type: ignore[misc]
    value, masks = _split(b, value)
    source = b.sources.nodes[condition.index]
    keep = b.leaf(source, f"{source.name}.not", lambda m: ~m) if hidden else condition
    return value, [*masks, keep]
