"""A program read over units and characters: leaves, the table of faces, and the walk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jensen.ask.symmetry import contractions, moves, pointwise
from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.layouts import layout
from jensen.ask.symmetry.reader import Part, Reader, constant
from jensen.ask.symmetry.values import Grid, Shape, Value
from jensen.atoms import registry
from jensen.kernel.program import fill

Face = Callable[[Reader, list[Any], Shape, str], Value]


def read(flow: Flow, tensors: Mapping[str, np.ndarray], data: frozenset[str], reader: Reader) -> list[Value]:
    """Read a program: what it says of units and characters is then known to the reader. Returns what is known of every node."""
    linked = flow.linked
    out: list[Value] = []
    moving: list[bool] = []  # whether a parameter enters a node
    for i, node in enumerate(linked.nodes):
        moving.append(node.op == "block" or any(moving[j] for j in linked.inputs[i]))
        reader.node = (reader.term, i)
        shape = tuple(linked.shapes[i])
        if node.op == "block":
            value = _block(reader, flow, node.args[0], shape)
        elif node.op == "const":
            value = constant(tensors[node.args[0]], node.args[0] in data)
        elif i in flow.same:
            value = out[flow.same[i]]
        else:
            face = _face(linked.atoms[i], node.op)
            inputs = [out[j] for j in linked.inputs[i]]
            for v in inputs if node.op not in SUMS and not linked.atoms[i].moves else ():
                if "squares" in v.facts:
                    reader.freeze(v)
            args = fill(node.args, out)
            over = _summed(flow, i)
            value = (
                contractions.dot(reader, args, shape, over)
                if over and contractions.meet(args, shape, over)
                else face(reader, args, shape, node.op)
                if face
                else reader.unknown(inputs, shape, node.op if any(moving[j] for j in linked.inputs[i]) else "")
            )
        reader.see(value)
        out.append(value)
    reader.fixed(out[linked.output])
    return out


def _summed(flow: Flow, i: int) -> tuple[int, ...]:
    """The axes over which a product of two values is summed, where nothing else is done with it."""
    nodes, users = flow.linked.nodes, flow.users[i]
    if nodes[i].op != "aten.mul.Tensor" or not users or any(nodes[k].op not in SUMS for k in users):
        return ()
    over = {pointwise.dims_of(list(flow.args(k)), 1, len(flow.shape(i))) for k in users}
    return over.pop() if len(over) == 1 else ()


def _face(atom: Any, op: str) -> Face | None:
    """The table's, or that of a function of one value, or of what atoms say to work place by place."""
    acts = registry().acts.get(op)
    return (
        FACES.get(op)
        or (pointwise.unary if atom.row is not None else None)
        or (pointwise.mapped if acts is not None and acts.form == "map" else None)
    )


def _block(r: Reader, flow: Flow, name: str, shape: Shape) -> Value:
    """A parameter: the same parts in every program that it appears in."""
    r.shapes[name] = shape
    if name not in r.parts:
        r.parts[name] = [_part(r, *p) for p in layout(flow, name, shape, r.joint.get(name, ()))]
    grids = []
    for axes, arrays in ((p.axes, (p.units, p.scale, p.sign)) for p in r.parts[name]):
        one = tuple(k for k, n in enumerate(arrays[0].shape) if n == 1)
        keep = tuple(a for k, a in enumerate(axes) if k not in one)
        grids.append(tuple(Grid(keep, a.squeeze(one)) for a in arrays))
    units = tuple(g[0] for g in grids if g[0].axes)
    scale, sign = (tuple(g[k] for g in grids if g[k].ids.any()) for k in (1, 2))
    return Value(shape, units, scale, sign, block=name)


def _part(r: Reader, axes: tuple[int, ...], size: Shape, where: np.ndarray, own: bool) -> Part:
    none = np.zeros_like(where)
    return Part(
        axes, r.new(size)[where], r.scale.new(size)[where] if own else none, r.sign.new(size)[where] if own else none
    )


SUMS = ("aten.sum.dim_IntList", "aten.mean.dim")  # what may read squares and leave orthogonal matrices


def _spatial(n: int) -> Callable[[list[Any], Shape], Sequence[int]]:
    return lambda args, shape: range(len(shape) - n, len(shape))


def _one(where: int) -> Callable[[list[Any], Shape], Sequence[int]]:
    return lambda args, shape: (args[where] % max(len(shape), 1),)


FACES: dict[str, Face] = {
    "aten.add.Tensor": pointwise.add, "aten.sub.Tensor": pointwise.add,
    "aten.maximum.default": pointwise.extreme, "aten.minimum.default": pointwise.extreme,
    "aten.mul.Tensor": pointwise.multiply, "aten.div.Tensor": pointwise.multiply,
    "aten.where.self": pointwise.where, "aten.masked_fill.Scalar": pointwise.fill,
    "aten.pow.Tensor_Scalar": pointwise.power, "jensen.real": lambda r, args, shape, op: args[0],
    "aten.sum.dim_IntList": pointwise.reduce(), "aten.mean.dim": pointwise.reduce(),
    "aten.amax.default": pointwise.reduce(positive=True), "aten.amin.default": pointwise.reduce(positive=True),
    "aten.linalg_vector_norm.default": pointwise.norm,
    "aten.softmax.int": pointwise.softmax, "aten.log_softmax.int": pointwise.softmax,
    "jensen.masked_softmax": pointwise.softmax, "aten.logsumexp.default": pointwise.logsumexp,
    "aten.linear.default": contractions.linear, "aten.matmul.default": contractions.matmul,
    "aten.cat.default": moves.join, "aten.stack.default": moves.join,
    "aten.embedding.default": moves.embedding, "aten.pad.default": moves.pad,
    "aten.cumsum.default": moves.window(_one(1)), "jensen.resample": moves.window(_one(1)),
    "aten.neg.default": lambda r, args, shape, op: args[0],
}  # fmt: skip
FACES |= {f"aten.logical_{n}.default": pointwise.logical for n in ("and", "or", "xor", "not")}
FACES |= {f"aten.{n}.Tensor": pointwise.compare for n in ("gt", "ge", "lt", "le", "eq", "ne")}
FACES |= dict.fromkeys(("aten.sin.default", "aten.cos.default", "aten.tan.default"), pointwise.unary)
FACES |= dict.fromkeys(
    (
        "aten.view.default", "aten.permute.default", "aten.transpose.int", "aten.slice.Tensor", "aten.expand.default",
        "aten.unsqueeze.default", "aten.squeeze.dims", "aten.select.int", "aten.flip.default", "aten.roll.default",
        "aten.repeat.default", "aten.diagonal.default", "aten.unfold.default",
    ),
    moves.move,
)  # fmt: skip
FACES |= dict.fromkeys(
    ("aten.gather.default", "aten.index_select.default", "aten.index.Tensor", "jensen.take"), moves.lookup
)
FACES |= {f"aten.conv{n}d.default": contractions.convolution() for n in (1, 2, 3)}
FACES |= dict.fromkeys(
    ("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input"),
    contractions.convolution(True),
)
FACES |= {
    f"aten.{kind}_pool{n}d.default": moves.window(_spatial(n)) for n in (1, 2, 3) for kind in ("avg", "adaptive_avg")
}
FACES |= {
    op: moves.window(_spatial(n), True)
    for n in (1, 2, 3)
    for op in (f"aten.max_pool{n}d.default", f"jensen.adaptive_max_pool{n}d")
}
