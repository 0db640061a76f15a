"""Products of a stack with one matrix that all columns share: the columns go into the matrix product's own axis.

torch.vmap repeats the shared matrix for every column, which is a copy as large as all columns together where attention's
weights are (n, n), and leaves narrow products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
THROUGH = {aten.reshape.default, aten.clone.default}


def fold(graph: fx.Graph, width: int) -> None:
    """Rewrite the products of stacks of ``width`` times as many matrices as one factor has, where that moves less memory."""
    for node in graph.find_nodes(op="call_function", target=aten.bmm.default):
        left, right = node.args
        for one, other, turned in ((left, right, False), (right, left, True)):
            shared = _shared(one, width)
            if shared is not None and _pays(node, one, other):
                node.replace_all_uses_with(_folded(graph, node, shared, other, width, turned))
                break
    graph.eliminate_dead_code()


def _shared(node: Any, width: int) -> fx.Node | None:
    """What a stack of matrices was made of by repeating it ``width`` times, in front."""
    whole = _shape(node)
    while isinstance(node, fx.Node) and node.target in THROUGH:
        node = node.args[0]
    if not isinstance(node, fx.Node) or node.target is not aten.expand.default:
        return None
    source, shape = node.args[0], _shape(node)
    inner = _shape(source)
    if inner is None or shape is None or whole is None or len(shape) < 4 or shape[0] != width:
        return None
    if tuple(shape[-2:]) != tuple(whole[-2:]) or whole[0] == width:
        return None
    return source if tuple(inner) in (tuple(shape[1:]), (1, *shape[1:])) else None  # type: ignore[return-value]


def _shape(node: Any) -> tuple[int, ...] | None:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _pays(node: fx.Node, shared: fx.Node, other: Any) -> bool:
    """Whether the repeated matrices are larger than the other factor and the result, which are copied instead."""
    sizes = [_shape(n) for n in (shared, other, node)]
    if any(s is None for s in sizes):
        return False
    one, two, out = (s[1] * s[2] for s in sizes)  # type: ignore[index]
    return one > two + out


def _folded(graph: fx.Graph, node: fx.Node, shared: fx.Node, other: fx.Node, width: int, turned: bool) -> fx.Node:
    """The product, with the columns beside the matrices' own rows (where the shared one is on the right) or columns."""
    count, rows, columns = node.meta["val"].shape
    count //= width
    n, m = other.meta["val"].shape[1:]
    with graph.inserting_before(node):
        matrix = _call(graph, aten.reshape.default, shared, [count, *shared.meta["val"].shape[-2:]])
        stack = _call(graph, aten.reshape.default, other, [width, count, n, m])
        if turned:
            stack = _call(graph, aten.permute.default, stack, [1, 0, 2, 3])
            stack = _call(graph, aten.reshape.default, stack, [count, width * n, m])
            out = _call(graph, aten.bmm.default, stack, matrix)
            out = _call(graph, aten.reshape.default, out, [count, width, rows, columns])
            out = _call(graph, aten.permute.default, out, [1, 0, 2, 3])
        else:
            stack = _call(graph, aten.permute.default, stack, [1, 2, 0, 3])
            stack = _call(graph, aten.reshape.default, stack, [count, n, width * m])
            out = _call(graph, aten.bmm.default, matrix, stack)
            out = _call(graph, aten.reshape.default, out, [count, rows, width, columns])
            out = _call(graph, aten.permute.default, out, [2, 0, 1, 3])
        return _call(graph, aten.reshape.default, out, [width * count, rows, columns])


def _call(graph: fx.Graph, op: Any, *args: Any) -> fx.Node:
    node = graph.call_function(op, args)
    node.meta["val"] = op(*(a.meta["val"] if isinstance(a, fx.Node) else a for a in args))
    return node
