"""What the second-order readings need to know of an operation: where it is linear, where it multiplies.

Nothing here is needed for correct sums: an operation in none of these tables is read generically. The tables save time,
make the shares of linear operations exactly zero, and name what is exact where the generic reading integrates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jensen.kernel.program import Node, Ref, refs

# Linear in all their tensors jointly.
LINEAR = frozenset(
    "aten." + name
    for name in (
        "add.Tensor", "sub.Tensor", "neg.default", "sum.dim_IntList", "mean.dim", "cumsum.default", "view.default",
        "permute.default", "transpose.int", "expand.default", "repeat.default", "squeeze.dims", "unsqueeze.default",
        "slice.Tensor", "select.int", "index.Tensor", "index_select.default", "gather.default", "embedding.default",
        "index_put.default", "cat.default", "stack.default", "flip.default", "roll.default", "unfold.default",
        "im2col.default", "col2im.default", "diagonal.default", "diag_embed.default", "tril.default", "triu.default",
        "pad.default", "masked_fill.Scalar", "where.self", "avg_pool1d.default", "avg_pool2d.default",
        "avg_pool3d.default", "adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default",
        "adaptive_avg_pool3d.default",
    )
) | {"jensen.take", "jensen.resample", "jensen.place", "jensen.scatter", "jensen.real", "python.getitem"}  # fmt: skip

# Functions of one value, element by element, besides those that have a row.
UNARY = frozenset(f"aten.{name}.default" for name in ("sin", "cos", "tan", "sinc", "softplus", "threshold"))

# Linear in each of their first two arguments; a third, where there is one, is added.
PRODUCTS = frozenset(
    "aten." + name
    for name in (
        "mul.Tensor", "matmul.default", "linear.default", "conv1d.default", "conv2d.default", "conv3d.default",
        "conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input",
    )
)  # fmt: skip
ADDEND = frozenset(op for op in PRODUCTS if "linear" in op or "conv" in op)

# Made of linear pieces: no second derivative, only kinks.
PIECES = frozenset(
    "aten." + name
    for name in (
        "relu.default", "abs.default", "leaky_relu.default", "hardtanh.default", "hardsigmoid.default",
        "clamp.default", "clamp_min.default", "clamp_max.default", "threshold.default", "maximum.default",
        "minimum.default", "amax.default", "amin.default", "max_pool1d.default", "max_pool2d.default",
        "max_pool3d.default", "sign.default", "floor.default", "ceil.default", "round.default", "trunc.default",
    )
) | {
    "jensen.softshrink", "jensen.hardshrink", "jensen.sorted", "jensen.cummax", "jensen.cummin", "jensen.variance",
    "jensen.adaptive_max_pool1d", "jensen.adaptive_max_pool2d", "jensen.adaptive_max_pool3d",
}  # fmt: skip


def factors(node: Node, moves: Callable[[int], bool]) -> int:
    """How many of a product's two factors move."""
    return sum(type(a) is Ref and moves(a.index) for a in node.args[:2])


def linear(node: Node, moves: Callable[[int], bool]) -> bool:
    """Whether the operation is linear in those of its inputs that move."""
    if node.op in LINEAR:
        return True
    if node.op in PRODUCTS:
        return factors(node, moves) < 2
    if node.op == "aten.div.Tensor":
        return not any(moves(i) for i in refs(node.args[1:2]))
    return node.op == "aten.pow.Tensor_Scalar" and node.args[1] == 1.0


def product(op: str, args: list[Any]) -> list[Any]:
    """Arguments of a product without what it adds: the product of two directions."""
    return [*args[:2], None, *args[3:]] if op in ADDEND and len(args) > 2 else args
