"""Results that nobody else needs are written over: a product is mostly memory traffic once its factors are kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from jensen.linalg import linear_kernels

aten = torch.ops.aten

IN_PLACE: dict[Any, Any] = {
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.add.Tensor: aten.add_.Tensor,
    aten.addcmul.default: aten.addcmul_.default,
    aten.addmm.default: aten.addmm_.default,
    aten.baddbmm.default: aten.baddbmm_.default,
}
VIEWS = {aten.reshape.default, aten.t.default, aten.transpose.int, aten.permute.default}
CONTIGUOUS = {"memory_format": torch.contiguous_format}
COMMUTE = {aten.mul.Tensor, aten.add.Tensor}
FRESH = {  # operations whose result is new memory, dense, and nobody else's
    *IN_PLACE, *IN_PLACE.values(), aten.mm.default, aten.bmm.default, aten.convolution.default, aten.sub.Tensor,
    aten.neg.default, aten.div.Tensor, aten.convolution_backward.default, aten.sum.dim_IntList, aten.where.self,
    aten.index_select.default, aten.embedding.default, aten.cat.default,
}  # fmt: skip


def reuse(module: fx.GraphModule) -> fx.GraphModule:
    """The same graph with sums and scalings written over their operand, where that is fresh and used only there."""
    graph = fx.Graph()
    copied = graph.graph_copy(module.graph, {})
    graph.output(copied)
    _accumulate(graph)
    for node in graph.nodes:
        if node.op == "call_function" and node.target in IN_PLACE:
            _write_over(node)
        elif node.target is aten.clone.default and node.kwargs == CONTIGUOUS:
            node.target, node.kwargs = torch.Tensor.contiguous, {}  # the memory may lie so where traced shapes say no
    linear_kernels.choose(graph)
    return fx.GraphModule(module, graph)


def _accumulate(graph: fx.Graph) -> None:
    """What a stack of products is added to takes them up as they are computed, where its own memory can be written to."""
    for node in graph.find_nodes(op="call_function", target=aten.add.Tensor):
        if node.kwargs or len(node.args) != 2:
            continue
        for to, product in (node.args, reversed(node.args)):
            if _stacked(product) and _free(to, node):
                node.target, node.args = aten.baddbmm.default, (to, *product.args)
                break
            if _both(to, product, node):
                _inside(graph, node, to, product)
                break
    graph.eliminate_dead_code()


def _stacked(node: Any) -> bool:
    """Whether it is a stack of products that one operation alone reads."""
    return isinstance(node, fx.Node) and node.target is aten.bmm.default and len(node.users) == 1


def _both(to: Any, product: Any, node: fx.Node) -> bool:
    """Whether a stack of products and what it is added to were brought to the same other shape just before."""
    if not all(isinstance(n, fx.Node) and n.target is aten.reshape.default for n in (to, product)):
        return False
    a, b = to.args[0], product.args[0]
    alike = isinstance(a, fx.Node) and a.meta["val"].shape == b.meta["val"].shape
    return alike and len(product.users) == 1 and _stacked(b) and _free(to, node) and a.target in FRESH


def _inside(graph: fx.Graph, node: fx.Node, to: fx.Node, product: fx.Node) -> None:
    """The sum before the shape is changed."""
    first, second = to.args[0], product.args[0]
    with graph.inserting_before(node):
        total = graph.call_function(aten.baddbmm.default, (first, *second.args))  # type: ignore[union-attr]
        total.meta["val"] = second.meta["val"]  # type: ignore[union-attr]
    node.target, node.args = aten.reshape.default, (total, product.args[1])


def _write_over(node: fx.Node) -> None:
    first, second, *rest = node.args
    if _free(first, node):
        node.target = IN_PLACE[node.target]
    elif node.target in COMMUTE and _free(second, node) and node.kwargs.get("alpha", 1) == 1:
        node.args = (second, first, *rest)
        node.target = IN_PLACE[node.target]


def _free(operand: Any, node: fx.Node) -> bool:
    """Whether the operand's memory can hold the result."""
    if not isinstance(operand, fx.Node) or len(operand.users) != 1 or node.all_input_nodes.count(operand) != 1:
        return False
    if sum(a is operand for a in node.args) != 1 or not _fresh(operand):
        return False
    a, b = operand.meta.get("val"), node.meta.get("val")
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype


def _fresh(node: fx.Node) -> bool:
    if node.target in VIEWS:  # of what nobody else reads, or a copy
        source = node.args[0]
        return isinstance(source, fx.Node) and len(source.users) == 1 and _fresh(source)
    if getattr(node.target, "__name__", "") == "getitem":
        source = node.args[0]
        return isinstance(source, fx.Node) and source.target is aten.convolution_backward.default
    return node.op == "call_function" and node.target in FRESH
