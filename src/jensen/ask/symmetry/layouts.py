"""On which axes of a parameter units may stand: what the operations that read it first say.

Most parameters have units on every axis. A kernel's window has none, nor have the rows of an embedding; the input channels of
a convolution in groups are units of a group, and so are the axes of a stack of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jensen.atoms import registry
from jensen.kernel.program import Linked, Ref, refs

# axes, shape of the unknowns, which of them stands at each place, whether it has characters of its own
Part = tuple[tuple[int, ...], tuple[int, ...], np.ndarray, bool]


def layout(linked: Linked, i: int, shape: tuple[int, ...]) -> list[Part]:
    """The parts of a parameter: axes, shape of the unknowns, and an index array into them over these axes.

    A part that another one determines (an axis of size 1) has no characters of its own.
    """
    parts = _parts(linked, i, shape)
    out: list[Part] = []
    for k, part in enumerate(parts):
        large = [p for j, p in enumerate(parts) if j != k and (p[1] > part[1] or (p[1] == part[1] and j < k))]
        out.append((part[0], part[1], part[2], part[1] != (1,) or not large))
    return [
        (axes, n, where, own and not (len(axes) > 1 and _determined(p, out[0])))
        for p in out
        for axes, n, where, own in [p]
    ]


def _determined(part: Part, first: Part) -> bool:
    """Whether a part on more axes depends on those of the first alone."""
    if part is first or not set(first[0]) <= set(part[0]):
        return False
    rest = tuple(k for k, a in enumerate(part[0]) if a not in first[0])
    return all(part[2].shape[k] == 1 for k in rest)


def _parts(linked: Linked, i: int, shape: tuple[int, ...]) -> list[Part]:
    for k, coordinates in _readers(linked, i, shape):
        node = linked.nodes[k]
        if node.op.startswith("aten.conv") and _is(node.args[1], linked, k, i):
            return _kernel(shape, node.args[6] if len(node.args) > 6 else 1, "transpose" in node.op)
        if node.op == "aten.embedding.default":
            return [_whole((1,), shape)]
        if node.op in ("aten.matmul.default", "aten.linear.default") and len(shape) > 2:
            found = _product(coordinates)
            if found:
                return [_whole(axes, shape) for axes in found]
    return [_whole((a,), shape) for a in range(len(shape))]


def _whole(axes: tuple[int, ...], shape: tuple[int, ...]) -> Part:
    own = tuple(shape[a] for a in axes)
    index = np.arange(int(np.prod(own))).reshape(own)
    return axes, (index.size,), index, True


def _is(arg: Any, linked: Linked, k: int, i: int) -> bool:
    """Whether an argument is that parameter, moved about at most."""
    j = arg.index
    while linked.atoms[j] is not None and linked.atoms[j].moves and len(linked.inputs[j]) == 1:
        j = linked.inputs[j][0]
    return j == i


def _kernel(shape: tuple[int, ...], groups: int, transposed: bool) -> list[Part]:
    if groups == 1:
        return [_whole((0,), shape), _whole((1,), shape)]
    one = np.arange(shape[0]) // (shape[0] // groups)
    joint = one[:, None] * shape[1] + np.arange(shape[1])
    return [_whole((0,), shape), ((0, 1), (groups * shape[1],), joint, True)]


def _readers(linked: Linked, i: int, shape: tuple[int, ...]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Operations that read a parameter after moves alone, with the coordinates of each of its axes as they arrive there."""
    users: dict[int, list[int]] = {}
    for k, inputs in enumerate(linked.inputs):
        for j in inputs:
            users.setdefault(j, []).append(k)
    start = [
        np.broadcast_to(np.arange(n).reshape([-1 if a == b else 1 for b in range(len(shape))]), shape)
        for a, n in enumerate(shape)
    ]
    todo = [(i, start)]
    while todo:
        j, coordinates = todo.pop(0)
        for k in users.get(j, []):
            node = linked.nodes[k]
            atom = linked.atoms[k]
            single = type(node.args[0]) is Ref and not any(True for _ in refs(node.args[1:]))
            if atom.moves and single and int(np.prod(linked.shapes[k])) <= 1 << 22:
                f = registry().atoms[node.op].balls
                todo.append((k, [f(c, *node.args[1:]) for c in coordinates]))
            else:
                yield k, coordinates


def _product(coordinates: list[np.ndarray]) -> list[tuple[int, ...]]:
    """Axes of the parameter that each axis of the operand of a matrix product runs over, with those of a stack of matrices."""
    ndim = coordinates[0].ndim
    along = [
        {a for a, c in enumerate(coordinates) if c.shape[k] > 1 and not (c == c.take([0], k)).all()}
        for k in range(ndim)
    ]
    batch = set().union(*along[:-2])
    return [tuple(sorted(batch | own)) for own in along[-2:] if own]
