"""Which constant computations torch does exactly, so that they may be done once, before the program.

Integers, booleans, comparisons, sums of whole numbers, tensors made from nothing, and operations that only
move float elements. A logarithm of constant data is not among them: the kernel encloses it instead.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx

aten = torch.ops.aten

MAKE = {
    "zeros", "ones", "full", "arange", "eye", "scalar_tensor", "zeros_like", "ones_like", "full_like", "new_zeros",
    "new_ones", "new_full", "linspace", "empty", "tril_indices", "triu_indices",
}  # fmt: skip
MOVE = {
    "view", "reshape", "_unsafe_view", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze", "slice", "select",
    "cat", "stack", "clone", "contiguous", "detach", "alias", "flip", "roll", "repeat", "tril", "triu", "diagonal",
    "where", "masked_fill", "index", "index_select", "gather", "constant_pad_nd", "pad", "split", "chunk", "unbind",
    "split_with_sizes", "neg", "abs", "sign", "lift_fresh_copy", "embedding", "broadcast_to", "broadcast_tensors",
    "relu", "clamp", "clamp_min", "clamp_max", "maximum", "minimum", "amax", "amin", "floor", "ceil", "flatten", "copy",
    "repeat_interleave", "expand_as", "unflatten", "view_as", "fill", "slice_scatter", "select_scatter", "index_put",
}  # fmt: skip


WHOLE = {"cumsum", "sum", "add", "sub", "rsub"}  # exact on whole numbers

FILLED = {"zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"}


def _whole(node: fx.Node) -> bool:
    """Whether a constant float tensor holds whole numbers for a reason that its computation shows."""
    value, name = node.meta.get("val"), getattr(node.target, "__name__", "").split(".")[0]
    if isinstance(value, torch.Tensor) and not value.is_floating_point():
        return not value.is_complex()
    numbers = all(float(a).is_integer() for a in node.args if isinstance(a, (int, float)))
    if name in FILLED:
        return numbers
    moved = name in MOVE or name in WHOLE or name in ("_to_copy", "to")
    return moved and numbers and bool(node.all_input_nodes) and all(_whole(n) for n in node.all_input_nodes)


def foldable(node: fx.Node, folded: Mapping[fx.Node, bool]) -> bool:
    """Whether a node is a constant that torch computes exactly."""
    if not all(folded.get(n, False) for n in node.all_input_nodes):
        return False
    name = getattr(node.target, "__name__", "").split(".")[0]
    if name == "getitem" or name in MAKE or name in MOVE:
        return True
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return False
    if not value.is_floating_point():
        return not value.is_complex()
    if name in WHOLE and _whole(node):
        return True
    if name in ("_to_copy", "to", "type_as"):
        source = node.all_input_nodes[0].meta.get("val") if node.all_input_nodes else None
        return isinstance(source, torch.Tensor) and (not source.is_floating_point() or value.dtype == torch.float64)
    return False
