"""Constants of an exported graph: numbers behind filled tensors, and masks that hold minus infinity.

The kernel refuses constants that are not finite. Attention masks hold minus infinity by design, so a softmax over
``scores + mask`` becomes a masked softmax over ``scores + finite part of the mask``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import fx

FILLED = {"full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0, "fill": 1}
ZEROS = {"zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0, "ones": 1.0, "ones_like": 1.0, "new_ones": 1.0}
SAME = {
    "expand",
    "clone",
    "_to_copy",
    "to",
    "view",
    "reshape",
    "unsqueeze",
    "lift_fresh_copy",
    "contiguous",
    "detach",
    "alias",
}


def base_name(node: fx.Node) -> str:
    return getattr(node.target, "__name__", str(node.target)).split(".")[0]


LIKE = {"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}


def detach_shapes(graph: fx.Graph) -> None:
    """Filled tensors that take no more than their shape from another become tensors made from nothing."""
    for node in graph.nodes:
        if node.op != "call_function" or base_name(node) not in LIKE:
            continue
        name, value = base_name(node), node.meta["val"]
        fill = node.args[FILLED[name]] if name in FILLED else ZEROS[name]
        if type(fill) in (int, float, bool):
            node.args, node.kwargs = ([int(n) for n in value.shape], fill), {"dtype": value.dtype}
            node.target = torch.ops.aten.full.default


def number(node: fx.Node, attributes: Mapping[fx.Node, torch.Tensor]) -> float | None:
    """The number that every element of a constant is, where the graph says so."""
    while base_name(node) in SAME and node.op == "call_function":
        node = node.args[0]  # type: ignore[assignment]
    if node in attributes:
        value = attributes[node]
        return float(value) if value.dim() == 0 and value.is_floating_point() else None
    name = base_name(node)
    if node.op != "call_function":
        return None
    fill = ZEROS.get(name)
    if name in FILLED and len(node.args) > FILLED[name]:
        fill = node.args[FILLED[name]]  # type: ignore[assignment]
    if type(fill) not in (int, float):
        return None
    return float(torch.tensor(fill, dtype=node.meta["val"].dtype))


def may_be_infinite(node: fx.Node, attributes: Mapping[fx.Node, torch.Tensor], memo: dict[fx.Node, bool]) -> bool:
    """Whether a constant may hold minus infinity: one of its sources does, or it is written in the code."""

    def may_be(n: fx.Node) -> bool:
        value = attributes.get(n)
        held = value is not None and value.is_floating_point() and bool((value == -inf).any())
        written = any(type(a) is float and a == -inf for a in (*n.args, *n.kwargs.values()))
        return held or written or any(memo[m] for m in n.all_input_nodes)

    return inputs_first(node, memo, may_be)


def inputs_first(node: fx.Node, memo: dict[fx.Node, Any], step: Callable[[fx.Node], Any]) -> Any:
    """What a step gives for a node, once it is known for all its inputs, without recursion."""
    stack = [node]
    while stack:
        n = stack[-1]
        missing = [] if n in memo else [m for m in n.all_input_nodes if m not in memo]
        if n not in memo and not missing:
            memo[n] = step(n)
        if n in memo:
            stack.pop()
        stack += missing
    return memo[node]


def padded(node: fx.Node, inputs: Sequence[fx.Node], attributes: Mapping[fx.Node, torch.Tensor]) -> bool:
    """Whether data and zeros are joined (an input and a state at its start): as one constant the zeros would count as data."""
    if base_name(node) != "cat" or not node.meta["val"].is_floating_point():
        return False
    zero = [number(n, attributes) == 0 for n in node.all_input_nodes]
    return any(zero) and not all(zero) and any(n.name in {i.name for i in inputs} for n in _sources(node))


def _sources(node: fx.Node) -> set[fx.Node]:
    seen, todo = set[fx.Node](), [node]
    while todo:
        n = todo.pop()
        if n not in seen:
            seen.add(n)
            todo += n.all_input_nodes
    return seen


def finite_part(mask: torch.Tensor) -> torch.Tensor:
    """The mask with 0 in place of minus infinity."""
    return mask.masked_fill(mask == -inf, 0.0)


def allowed(mask: torch.Tensor) -> torch.Tensor:
    """Where a mask is above minus infinity."""
    return mask != -inf


class Sources:
    """What the constants of a program stand for while it is built."""

    def __init__(self) -> None:
        self.attributes: dict[fx.Node, torch.Tensor] = {}
        self.wanted: dict[str, tuple[fx.Node, Callable[[torch.Tensor], Any] | None]] = {}
        self.nodes: dict[int, fx.Node] = {}
        self.masked: dict[int, bool] = {}  # nodes that minus infinity reaches
        self._memo: dict[fx.Node, bool] = {}

    def infinite(self, index: int) -> bool:
        node = self.nodes.get(index)
        return node is not None and may_be_infinite(node, self.attributes, self._memo)

    def number(self, index: int) -> float | None:
        node = self.nodes.get(index)
        return None if node is None else number(node, self.attributes)
