"""Matrix products, layers and convolutions: products of entries in a larger space, summed along its last axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jensen.kernel.claims.invariance_moves import Shape, refuse
from jensen.kernel.claims.invariance_reading import OWN, Operand, Reading
from jensen.kernel.errors import Rejected


def _summed(r: Reading, a: Operand, b: Operand, space: Shape) -> Any:
    """The sum along the last axis of the products of two values on a space."""
    last = len(space) - 1
    return r.drop(r.fold(r.times(a, b, len(space)), space, (last,)), (last,))


def _biased(r: Reading, i: int, x: Any, follow: int, zero: bool) -> Any:
    """With what is added to it, on the axis that ``follow`` axes follow; ``zero``: it is 0."""
    args, shape = r.ground.linked.nodes[i].args, r.ground.linked.shapes[i]
    if len(args) < 3 or args[2] is None:
        return x
    bias = r.operand(args[2].index)
    for _ in range(follow):
        bias = r.inserted(bias, len(bias.shape))
    return r.plus([Operand(x, shape, zero=zero), bias], len(shape))


def _linear(r: Reading, i: int) -> Any:
    """x (..., k) and w (j, k), or (k,)."""
    x, w = (r.operand(a.index) for a in r.ground.linked.nodes[i].args[:2])
    at = len(x.shape) - 1
    space = (*x.shape[:at], *w.shape)
    return _biased(r, i, _summed(r, x if len(w.shape) == 1 else r.inserted(x, at), w, space), 0, x.zero or w.zero)


def _matmul(r: Reading, i: int) -> Any:
    """a (..., i, k) and b (..., k, j), either without its i or j."""
    a, b = (r.operand(a.index) for a in r.ground.linked.nodes[i].args)
    m, n = len(a.shape), len(b.shape)
    left = a if m > 1 else r.inserted(a, 0)
    right = r.inserted(b, 0) if n == 1 else _turned(r, b, (*range(n - 2), n - 1, n - 2))
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    space = (*lead, left.shape[-2], right.shape[-2], right.shape[-1])
    y = _summed(r, r.inserted(left, len(left.shape) - 1), r.inserted(right, len(right.shape) - 2), space)
    return r.drop(y, [len(lead)] * (m == 1) + [len(lead) + 1] * (n == 1))


def _turned(r: Reading, o: Operand, order: tuple[int, ...]) -> Operand:
    free = frozenset(k for k, a in enumerate(order) if a in o.free)
    return Operand(r.transpose(o.x, order), tuple(o.shape[a] for a in order), free, o.zero)


def _channels(r: Reading, o: Operand, nd: int, groups: int, at: int) -> Operand:
    """A value without the axes of its window, and with one of its axes cut into groups."""
    lead = len(o.shape) - nd
    window = range(lead, len(o.shape))
    shape = o.shape[:lead]
    out = (*shape[:at], groups, shape[at] // groups, *shape[at + 1 :])
    plain = Operand(r.drop(r.inert(o.x, window), window), shape)
    return Operand(r.push(lambda v: v.reshape(out), plain, out), out, zero=o.zero)


def _convolution(backward: bool) -> Callable[[Reading, int], Any]:
    def rule(r: Reading, i: int) -> Any:
        """x (N, g C, ...) and w (g O, C, ...), backward w (g C, O, ...): on the space (N, g, O, C)."""
        args, out = r.ground.linked.nodes[i].args, r.ground.linked.shapes[i]
        x, w = (r.operand(a.index) for a in args[:2])
        nd = len(w.shape) - 2
        x = x if len(x.shape) == nd + 2 else r.inserted(x, 0)
        groups = args[6] if len(args) > 6 else 1
        x, w = _channels(r, x, nd, groups, 1), _channels(r, w, nd, groups, 0)
        w = _turned(r, w, (0, 2, 1)) if backward else w
        space = (x.shape[0], *w.shape)
        y = _summed(r, r.inserted(x, 2), w, space)
        whole = (space[0], groups * space[2])
        y = r.push(lambda v: v.reshape(whole), Operand(y, space[:3]), whole)
        y = y if len(out) == nd + 2 else r.drop(y, (0,))
        for k in range(nd):
            y = r.insert(y, len(out) - nd + k)
        return _biased(r, i, y, nd, x.zero or w.zero)

    return rule


def _embedding(r: Reading, i: int) -> Any:
    """Rows of a table, at places that stand still; which places only matters where the rows move differently."""
    w, out = r.first(i), r.ground.linked.shapes[i]
    try:
        x = r.drop(r.inert(w.x, (0,)), (0,))
    except Rejected:
        at = r.places(r.ground.linked.nodes[i].args[1].index)
        return r.push(lambda v: r.ground.linked.atoms[i].balls(v, at), w, out)
    for _ in range(len(out) - 1):
        x = r.insert(x, 0)
    return x


def _join(r: Reading, i: int) -> Any:
    node, shapes = r.ground.linked.nodes[i], r.ground.linked.shapes
    parts = [r.operand(a.index) for a in node.args[0]]
    n = len(shapes[i])
    dim = (node.args[1] if len(node.args) > 1 else 0) % n
    parts = [r.inserted(p, dim) for p in parts] if node.op == "aten.stack.default" else parts
    if any(len(p.shape) != n for p in parts):
        raise refuse("parts of one kind", "an empty vector is joined to something else")
    return r.join(parts, dim)


def _masked_softmax(r: Reading, i: int) -> Any:
    linked = r.ground.linked
    shape = linked.shapes[i]
    x = r.plus([r.operand(j) for j in linked.inputs[i]], len(shape))
    r.fold(r.lawful(x, ""), shape, r.ground.acts[linked.nodes[i].op].axes(shape, *linked.nodes[i].args[1:]))
    return x


OWN |= {"aten.linear.default": _linear, "aten.matmul.default": _matmul, "aten.embedding.default": _embedding}
OWN |= {"aten.cat.default": _join, "aten.stack.default": _join, "jensen.masked_softmax": _masked_softmax}
OWN |= {f"aten.conv{n}d.default": _convolution(False) for n in (1, 2, 3)}
OWN |= dict.fromkeys(
    ("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input"), _convolution(True)
)
