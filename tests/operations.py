"""Every operation in the table of atoms as a program of its own: (operation, arguments, shapes of its moving inputs).

In the arguments ``X(k)`` is the k-th input. Elementwise functions of one value are generated from their rows.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import torch

from jensen.atoms import registry
from jensen.kernel.program import Node, Program, Ref

MASK = np.array([[True, False, True], [False, True, True]])
INDEX = np.array([[0, 2], [1, 0]])


class X(NamedTuple):
    k: int


class C(NamedTuple):
    """A constant array."""

    value: object


A, B = X(0), X(1)
SAMPLES = {  # as in tests/atoms/test_rows.py: attributes where the defaults are not enough
    "aten.clamp.default": [(-1.0, 0.5)],
    "aten.clamp_min.default": [(0.25,)],
    "aten.clamp_max.default": [(-0.25,)],
    "aten.elu.default": [(), (2.0, 1.5, 0.5)],
    "aten.gelu.default": [(), ("tanh",)],
    "aten.leaky_relu.default": [(), (-0.5,)],
    "jensen.clamped_log": [(-100.0,)],
    "jensen.variance": [(1e-6,)],
    "jensen.huber": [(), (0.3,)],
    "jensen.smooth_l1": [(), (0.3,)],
}

IMAGE, LINE, CUBE = (1, 2, 5, 4), (1, 2, 7), (1, 2, 3, 4, 3)
OTHERS = [
    ("aten.add.Tensor", (A, B), [(2, 3), (3,)]),
    ("aten.sub.Tensor", (A, 2.0), [(2, 3)]),
    ("aten.mul.Tensor", (A, B), [(2, 3), (3,)]),
    ("aten.mul.Tensor", (A, A), [(2, 3)]),
    ("aten.mul.Tensor", (A, 3.0), [(2, 3)]),
    ("aten.div.Tensor", (A, B), [(2, 3), (3,)]),
    ("aten.div.Tensor", (1.0, A), [(2, 3)]),
    ("aten.div.Tensor", (A, A), [(2, 3)]),
    ("aten.matmul.default", (A, B), [(2, 3), (3, 2)]),
    ("aten.matmul.default", (A, A), [(4,)]),
    ("aten.matmul.default", (A, B), [(2, 1, 3), (3,)]),
    ("aten.linear.default", (A, B, X(2)), [(2, 3), (4, 3), (4,)]),
    ("aten.linear.default", (C(np.ones((2, 3))), A, B), [(4, 3), (4,)]),
    ("aten.conv1d.default", (A, B, X(2), (1,), (1,)), [LINE, (3, 2, 3), (3,)]),
    ("aten.conv2d.default", (A, B, None, (2, 1), (1, 0), (1, 1), 2), [IMAGE, (4, 1, 2, 2)]),
    ("aten.conv3d.default", (A, B), [CUBE, (1, 2, 2, 2, 2)]),
    ("aten.conv_transpose1d.default", (A, B, None, (2,), (1,), (1,)), [LINE, (2, 3, 3)]),
    ("aten.conv_transpose2d.input", (A, B, X(2)), [IMAGE, (2, 2, 2, 2), (2,)]),
    ("aten.conv_transpose3d.input", (A, B), [CUBE, (2, 1, 2, 2, 2)]),
    ("aten.neg.default", (A,), [(3,)]),
    ("aten.sum.dim_IntList", (A, (1,), True), [(2, 3)]),
    ("aten.mean.dim", (A, None, False), [(2, 3)]),
    ("aten.cumsum.default", (A, 1), [(2, 3)]),
    ("aten.cumprod.default", (A, 0), [(3, 2)]),
    ("aten.logcumsumexp.default", (A, 1), [(2, 3)]),
    ("aten.prod.dim_int", (A, 1, False), [(2, 3)]),
    ("aten.amax.default", (A, (1,), True), [(2, 3)]),
    ("aten.amin.default", (A, (), False), [(2, 3)]),
    ("aten.amax.default", (A, (0, 2), False), [(2, 3, 2)]),
    ("aten.logsumexp.default", (A, (1,), False), [(2, 3)]),
    ("aten.logsumexp.default", (A, (0, 1), True), [(2, 3)]),
    ("aten.log_softmax.int", (A, 1), [(2, 3)]),
    ("aten.softmax.int", (A, -1), [(2, 3)]),
    ("jensen.masked_softmax", (A, C(MASK), 1), [(2, 3)]),
    ("aten.linalg_vector_norm.default", (A, 2.0, (1,), True), [(2, 3)]),
    ("aten.linalg_vector_norm.default", (A, 3.0), [(2, 3)]),
    ("aten.linalg_vector_norm.default", (A, 1.0), [(2, 3)]),
    ("aten.linalg_vector_norm.default", (A, inf, (0,)), [(2, 3)]),
    ("aten.maximum.default", (A, B), [(2, 3), (3,)]),
    ("aten.maximum.default", (A, 0.1), [(2, 3)]),
    ("aten.minimum.default", (A, B), [(2, 3), (2, 1)]),
    ("aten.max_pool1d.default", (A, (3,), (2,), (1,)), [LINE]),
    ("aten.max_pool2d.default", (A, (3, 2), (1, 2), (1, 0)), [IMAGE]),
    ("aten.max_pool2d.default", (A, (2, 2), (), 0, 1, True), [IMAGE]),
    ("aten.max_pool3d.default", (A, (2, 2, 2), (1, 1, 1), 0, (1, 2, 1)), [CUBE]),
    ("jensen.adaptive_max_pool1d", (A, (3,)), [LINE]),
    ("jensen.adaptive_max_pool2d", (A, (2, 3)), [IMAGE]),
    ("jensen.adaptive_max_pool3d", (A, (1, 2, 2)), [CUBE]),
    ("aten.avg_pool1d.default", (A, (3,), (2,), (1,)), [LINE]),
    ("aten.avg_pool2d.default", (A, (2, 2)), [IMAGE]),
    ("aten.avg_pool3d.default", (A, (2, 2, 2)), [CUBE]),
    ("aten.adaptive_avg_pool1d.default", (A, (3,)), [LINE]),
    ("aten.adaptive_avg_pool2d.default", (A, (2, 3)), [IMAGE]),
    ("aten.adaptive_avg_pool3d.default", (A, (1, 2, 2)), [CUBE]),
    ("jensen.cummax", (A, 0), [(4, 2)]),
    ("jensen.cummin", (A, 1), [(2, 4)]),
    ("jensen.sorted", (A, 2, 1, True), [(2, 4)]),
    ("aten.pow.Tensor_Scalar", (A, 2.0), [(2, 3)]),
    ("aten.pow.Tensor_Scalar", (A, 3.0), [(2, 3)]),
    ("aten.pow.Tensor_Scalar", (A, -1.0), [(2, 3)]),
    ("aten.pow.Scalar", (2.5, A), [(2, 3)]),
    ("aten.sin.default", (A,), [(2, 3)]),
    ("aten.cos.default", (A,), [(2, 3)]),
    ("aten.tan.default", (A,), [(2, 3)]),
    ("aten.sinc.default", (A,), [(2, 3)]),
    ("aten.softplus.default", (A, 3.0, 1.0), [(2, 3)]),
    ("aten.threshold.default", (A, 0.1, 0.1), [(2, 3)]),
    ("aten.atan2.default", (A, B), [(2, 3), (3,)]),
    ("aten.hypot.default", (A, B), [(2, 3), (3,)]),
    ("aten.logaddexp.default", (A, B), [(2, 3), (3,)]),
    ("aten.logaddexp2.default", (A, B), [(2, 3), (2, 3)]),
    ("aten.view.default", (A, (3, 2)), [(2, 3)]),
    ("aten.permute.default", (A, (1, 0)), [(2, 3)]),
    ("aten.transpose.int", (A, 0, 1), [(2, 3)]),
    ("aten.expand.default", (A, (2, 3)), [(1, 3)]),
    ("aten.repeat.default", (A, (2, 1)), [(2, 3)]),
    ("aten.squeeze.dims", (A, (0,)), [(1, 3)]),
    ("aten.unsqueeze.default", (A, 0), [(3,)]),
    ("aten.slice.Tensor", (A, 1, 0, 3, 2), [(2, 3)]),
    ("aten.select.int", (A, 1, 2), [(2, 3)]),
    ("aten.index.Tensor", (A, (None, C(INDEX))), [(2, 3)]),
    ("aten.index_select.default", (A, 1, C(INDEX[0])), [(2, 3)]),
    ("aten.gather.default", (A, 1, C(INDEX)), [(2, 3)]),
    ("aten.embedding.default", (A, C(INDEX)), [(3, 2)]),
    ("aten.index_put.default", (A, (C(INDEX[0]),), B, True), [(3, 2), (2, 2)]),
    ("aten.cat.default", ((A, B), 1), [(2, 3), (2, 1)]),
    ("aten.stack.default", ((A, B), 0), [(3,), (3,)]),
    ("aten.flip.default", (A, (0,)), [(3,)]),
    ("aten.roll.default", (A, (1,), (0,)), [(3,)]),
    ("aten.unfold.default", (A, 0, 3, 2), [(7,)]),
    ("aten.im2col.default", (A, (2, 2), (1, 1), (0, 0), (1, 1)), [IMAGE]),
    ("aten.col2im.default", (A, (3, 3), (2, 2), (1, 1), (0, 0), (1, 1)), [(1, 4, 4)]),
    ("aten.diagonal.default", (A,), [(3, 3)]),
    ("aten.diag_embed.default", (A,), [(3,)]),
    ("aten.tril.default", (A, 0), [(3, 3)]),
    ("aten.triu.default", (A, 1), [(3, 3)]),
    ("aten.pad.default", (A, (1, 2), "constant", 3.0), [(2, 3)]),
    ("aten.pad.default", (A, (1, 2), "reflect"), [(1, 2, 4)]),
    ("aten.masked_fill.Scalar", (A, C(MASK), 2.0), [(2, 3)]),
    ("aten.where.self", (C(MASK), A, B), [(2, 3), (2, 3)]),
    ("jensen.take", (A, 0, (1, 1, 0)), [(2, 3)]),
    ("jensen.resample", (A, 1, 5, True), [(2, 3)]),
    ("jensen.place", (A, B, "select", 1, 2), [(2, 3), (2,)]),
    ("jensen.scatter", (A, 1, C(INDEX), B, True), [(2, 3), (2, 2)]),
]
POSITIVE = [
    ("aten.pow.Tensor_Tensor", (A, B), [(2, 3), (3,)]),
    ("aten.pow.Tensor_Scalar", (A, 0.5), [(2, 3)]),
    ("aten.xlogy.Tensor", (A, B), [(2, 3), (2, 3)]),
    ("aten.special_xlog1py.default", (A, B), [(2, 3), (2, 3)]),
]
# No derivative: truth values, and casts of them.
LOGICAL = {f"aten.{n}.Tensor" for n in ("gt", "ge", "lt", "le", "eq", "ne")} | {
    "aten.logical_and.default", "aten.logical_or.default", "aten.logical_not.default", "aten.logical_xor.default",
    "jensen.real",
}  # fmt: skip
# Only the kernel's rewriting makes them: no traced program has them.
REWRITTEN = {"jensen.sum_sorted", "jensen.rel_entr", "jensen.positive_rel_entr", "jensen.log1mexp", "jensen.xlogx",
             "jensen.softplus", "jensen.softsign", "jensen.tanhshrink"}  # fmt: skip


def elementwise():
    """Rows with attributes and the middle of their domains."""
    for op, atom in sorted(registry().atoms.items()):
        if atom.row is None or (op in REWRITTEN and op == "jensen.sum_sorted"):
            continue
        for attributes in SAMPLES.get(op, [()]):
            lo, hi = (float(e) for e in atom.row(*attributes).domain[:2])
            lo, hi = (max(lo, -1.5) if hi > -1.5 else hi - 2.0), min(hi, lo + 2.0 if lo > 1.5 else 1.5)
            yield op, (A, *attributes), [(2, 3)], (lo, hi)


def cases():
    """(operation, arguments, shapes, range of the inputs)."""
    yield from elementwise()
    yield from ((*case, (-1.5, 1.5)) for case in OTHERS)
    yield from ((*case, (0.3, 2.0)) for case in POSITIVE)


def program(op, args, shapes):
    """sum(weights * op) + tanh of it, with its constants; blocks are named x0, x1, ..."""
    nodes = [Node(f"x{k}", "block", (f"x{k}",)) for k in range(len(shapes))]
    tensors = {}

    def leaf(value):
        tensors[f"c{len(tensors)}"] = np.asarray(value)
        nodes.append(Node(f"c{len(tensors) - 1}", "const", (f"c{len(tensors) - 1}",)))
        return Ref(len(nodes) - 1)

    def place(a):
        if type(a) is X:
            return Ref(a.k)
        if type(a) is C:
            return leaf(a.value)
        return tuple(place(b) for b in a) if type(a) is tuple else a

    nodes.append(Node("op", op, place(args)))
    y = Ref(len(nodes) - 1)
    shape = shape_of(Program(tuple(nodes), y.index), tensors, shapes)
    w = leaf(np.random.default_rng(7).normal(size=shape))
    for name, *rest in (("weighted", "aten.mul.Tensor", y, w), ("sum", "aten.sum.dim_IntList", None, None, False)):
        nodes.append(
            Node(
                name, rest[0], tuple(Ref(len(nodes) - 1) if a is None and i == 0 else a for i, a in enumerate(rest[1:]))
            )
        )
    total = Ref(len(nodes) - 1)
    nodes.append(Node("tanh", "aten.tanh.default", (total,)))
    nodes.append(Node("both", "aten.add.Tensor", (total, Ref(len(nodes) - 1))))
    return Program(tuple(nodes), len(nodes) - 1), tensors


def shape_of(p, tensors, shapes):
    from jensen.linalg.torch_reading import run

    return tuple(
        run(p, tensors, {f"x{k}": torch.full(s, 0.5, dtype=torch.float64) for k, s in enumerate(shapes)}).shape
    )


def inputs(shapes, span, seed):
    """Random points well inside a range, and a direction."""
    g = torch.Generator().manual_seed(seed)
    lo, hi = span
    at = {
        f"x{k}": lo + (hi - lo) * (0.2 + 0.6 * torch.rand(s, generator=g, dtype=torch.float64))
        for k, s in enumerate(shapes)
    }
    return at, {n: torch.randn(t.shape, generator=g, dtype=torch.float64) for n, t in at.items()}
