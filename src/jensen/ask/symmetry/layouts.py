"""On which axes of a parameter units may stand: what the operations that read it first say.

Most parameters have units on every axis. A kernel's window has none, nor have the rows of an embedding; the input channels of
a convolution in groups are units of a group, and so are the axes of a stack of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jensen.ask.symmetry.flow import Flow, constant_along, unravelled
from jensen.ask.symmetry.pointwise import embedded
from jensen.ask.symmetry.values import Value
from jensen.kernel.program import Ref

# axes, shape of the unknowns, which of them stands at each place, whether it has characters of its own
Part = tuple[tuple[int, ...], tuple[int, ...], np.ndarray, bool]


def layout(flow: Flow, name: str, shape: tuple[int, ...], joint: tuple[int, ...] = ()) -> list[Part]:
    """The parts of a parameter: axes, shape of the unknowns, and an index array into them over these axes.

    ``joint``: axes that are known to hold units together (see ``together``).
    A part that another one determines (an axis of size 1) has no characters of its own.
    """
    parts = _parts(flow, name, shape, joint)
    out: list[Part] = []
    for k, part in enumerate(parts):
        large = [p for j, p in enumerate(parts) if j != k and (p[1] > part[1] or (p[1] == part[1] and j < k))]
        out.append((part[0], part[1], part[2], part[1] != (1,) or not large))
    return [(*p[:3], p[3] and not (len(p[0]) > 1 and _determined(p, out[0]))) for p in out]


def _determined(part: Part, first: Part) -> bool:
    """Whether a part on more axes depends on those of the first alone."""
    if part is first or not set(first[0]) <= set(part[0]):
        return False
    rest = tuple(k for k, a in enumerate(part[0]) if a not in first[0])
    return all(part[2].shape[k] == 1 for k in rest)


def _parts(flow: Flow, name: str, shape: tuple[int, ...], joint: tuple[int, ...]) -> list[Part]:
    if 0 in shape:
        return []
    if not shape:
        return [_whole((), shape)]
    if joint:
        return [_whole(joint, shape), *(_whole((a,), shape) for a in range(len(shape)) if a not in joint)]
    for d in flow.deliveries[name]:
        op = flow.linked.nodes[d.node].op
        if op.startswith("aten.conv") and d.arg == 1:
            return _kernel(shape, flow.arg(d.node, 6) or 1)
        if op == "aten.embedding.default" and np.array_equal(d.entries, np.arange(d.entries.size).reshape(shape)):
            return [_whole((1,), shape)]
        if op in ("aten.matmul.default", "aten.linear.default") and len(shape) > 2:
            found = _product(unravelled(d.entries, shape))
            if found:
                return [_whole(axes, shape) for axes in found]
    return _stacked(flow, name, shape) or [_whole((a,), shape) for a in range(len(shape))]


def _stacked(flow: Flow, name: str, shape: tuple[int, ...]) -> list[Part]:
    """Weights stacked in one whose rows read different values (queries of a stream, keys of another): columns of their own for each."""
    piece = np.full(shape[:1], -1)
    inputs: list[int] = []
    for d in flow.deliveries[name]:
        if (
            len(shape) != 2
            or d.entries.ndim != 2
            or flow.linked.nodes[d.node].op != "aten.linear.default"
            or d.arg != 1
        ):
            return []
        rows = d.entries[:, 0] // shape[1]
        if d.entries.shape[1] != shape[1] or not (d.entries == rows[:, None] * shape[1] + np.arange(shape[1])).all():
            return []
        x = flow.args(d.node)[0].index
        inputs += [] if x in inputs else [x]
        if not np.isin(piece[rows], (-1, inputs.index(x))).all():
            return []
        piece[rows] = inputs.index(x)
    if len(inputs) < 2 or (piece < 0).any():
        return []
    joint = piece[:, None] * shape[1] + np.arange(shape[1])
    return [_whole((0,), shape), ((0, 1), (len(inputs) * shape[1],), joint, True)]


def _whole(axes: tuple[int, ...], shape: tuple[int, ...]) -> Part:
    own = tuple(shape[a] for a in axes)
    index = np.arange(int(np.prod(own))).reshape(own)
    return axes, (index.size,), index, True


def _kernel(shape: tuple[int, ...], groups: int) -> list[Part]:
    if groups == 1:
        return [_whole((0,), shape), _whole((1,), shape)]
    one = np.arange(shape[0]) // (shape[0] // groups)
    joint = one[:, None] * shape[1] + np.arange(shape[1])
    return [_whole((0,), shape), ((0, 1), (groups * shape[1],), joint, True)]


def _product(coordinates: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """Axes of the parameter that each axis of the operand of a matrix product runs over, with those of a stack of matrices."""
    ndim = coordinates[0].ndim
    along = [
        {a for a, c in enumerate(coordinates) if c.shape[k] > 1 and not (c == c.take([0], k)).all()}
        for k in range(ndim)
    ]
    batch = set().union(*along[:-2])
    return [tuple(sorted(batch | own)) for own in along[-2:] if own]


PLACEWISE = ("aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor")


def together(flow: Flow, values: Sequence[Value], name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of a bias or a gain that meet units on several axes at once (units of each head, of each expert); none otherwise."""
    found: set[int] = set()
    if sum(n > 1 for n in shape) < 2:
        return ()
    for d in flow.deliveries[name]:
        node = flow.linked.nodes[d.node]
        if node.op not in PLACEWISE or type(node.args[1 - d.arg]) is not Ref:
            return ()
        whole = flow.shape(d.node)
        own = [np.broadcast_to(c, whole) for c in unravelled(d.entries, shape)]
        for g in embedded(values[node.args[1 - d.arg].index], whole).units:
            along = {a for a, c in enumerate(own) if shape[a] > 1 and not constant_along(c, g.axes)}
            if len(g.axes) > 1 and len(along) > 1:
                found |= along
    return tuple(sorted(found))
