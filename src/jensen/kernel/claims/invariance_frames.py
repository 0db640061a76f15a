"""Coordinates in which a norm with fixed statistics, ((x - m) * r) * weight + bias, is x * weight' + bias'.

With weight' = weight * r and bias' = bias - weight * r * m the cost is a function of the coordinates alone, and as r is nowhere 0
the blocks are a function of them too. So a move of the coordinates is one of the blocks, and the cost is read without m and r.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import bounded, refuse
from jensen.kernel.program import Ref, renamed

ADD, SUB, MUL = "aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor"


def aliases(g: Ground, frames: Sequence[tuple[str, str]]) -> tuple[dict[int, int], list[Any]]:
    """The nodes x - m and (x - m) * r of each pair (weight, bias), and what is read in their place; and what the coordinates are.

    These must be the same in all terms of a cost: m, r, and which of their entries belong to which of the blocks'.
    """
    fixed: list[bool] = []
    for i, node in enumerate(g.linked.nodes):
        fixed.append(node.op != "block" and all(fixed[j] for j in g.linked.inputs[i]))
    leaves = {n.args[0]: i for i, n in enumerate(g.linked.nodes) if n.op == "block"}
    out: dict[int, int] = {}
    told: list[Any] = []
    for names in frames:
        same, coordinates = _norm(g, fixed, *(leaves.get(n, -1) for n in names))
        out |= same
        told.append(coordinates)
    return out, told


def _written(g: Ground, i: int) -> list[str]:
    """A value without blocks, down to its constants."""
    needed, todo = {i}, [i]
    while todo:
        new = set(g.linked.inputs[todo.pop()]) - needed
        needed |= new
        todo += new
    place = {j: k for k, j in enumerate(sorted(needed))}
    out: list[str] = []
    for j in place:
        node, v = g.linked.nodes[j], g.value(j) if g.linked.nodes[j].op == "const" else None
        what = renamed(node.args, place) if v is None else (v.shape, v.dtype.str, v.tobytes())
        out.append(f"{node.op} {what!r}")
    return out


def _norm(g: Ground, fixed: Sequence[bool], weight: int, bias: int) -> tuple[Mapping[int, int], Any]:
    nodes, shapes = g.linked.nodes, g.linked.shapes
    w, b = _moved(g, weight), _moved(g, bias)
    gained = _only(g, w, MUL)
    scaled = _other(g, gained, w)
    _need(_only(g, scaled, MUL) == gained and _only(g, gained, ADD) == _only(g, b, ADD) and gained != b)
    rates = [a.index for a in nodes[scaled].args if type(a) is Ref and fixed[a.index]]
    _need(nodes[scaled].op == MUL and len(rates) == 1)
    centred = _other(g, scaled, rates[0])
    _need(nodes[centred].op == SUB and _only(g, centred, MUL) == scaled)
    x, m = (a.index if type(a) is Ref else -1 for a in nodes[centred].args)
    _need(x >= 0 and m >= 0 and fixed[m] and not fixed[x] and shapes[x] == shapes[centred] == shapes[scaled])
    _need(shapes[w] == shapes[b] and all(_inside(shapes[i], shapes[w]) for i in (m, rates[0])))
    at = _entries(g, weight, w)
    _need(_never_zero(g, rates[0]) and np.array_equal(at, _entries(g, bias, b)))
    return {centred: x, scaled: centred}, (_written(g, m), _written(g, rates[0]), at.tolist())


def _need(found: bool) -> None:
    if not found:
        raise refuse(
            "norms with fixed statistics",
            "the two blocks are not weight and bias of a norm whose statistics are constants",
        )


def _only(g: Ground, i: int, op: str) -> int:
    """The one node that reads a node, and is of this kind."""
    _need(i >= 0 and len(g.users[i]) == 1 and g.linked.nodes[g.users[i][0]].op == op)
    return g.users[i][0]


def _other(g: Ground, i: int, j: int) -> int:
    rest = [a.index for a in g.linked.nodes[i].args if type(a) is Ref and a.index != j]
    _need(len(rest) == 1)
    return rest[0]


def _moved(g: Ground, i: int) -> int:
    """The last of the nodes, each the only one to read the one before, that only move a block's entries."""
    _need(i >= 0)
    while len(g.users[i]) == 1 and g.structural(g.users[i][0]) and len(g.linked.inputs[g.users[i][0]]) == 1:
        i = g.users[i][0]
    return i


def _entries(g: Ground, block: int, i: int) -> np.ndarray:
    """The block's entries as they stand in the node, each once."""
    shape = g.linked.shapes[block]
    bounded(shape)
    path = [i]
    while path[-1] != block:
        path.append(g.linked.inputs[path[-1]][0])
    at = np.arange(prod(shape)).reshape(shape)
    for k in reversed(path[:-1]):
        at = g.linked.atoms[k].balls(at, *g.linked.nodes[k].args[1:])
    _need(np.array_equal(np.sort(at.reshape(-1)), np.arange(prod(shape))))
    return at


def _inside(small: Sequence[int], large: Sequence[int]) -> bool:
    """Whether a value has no axis along which the other does not change."""
    lead = len(large) - len(small)
    return lead >= 0 and all(n in (1, large[lead + a]) for a, n in enumerate(small))


def _never_zero(g: Ground, i: int) -> bool:
    """A negative power, moved about, or a constant without zeros."""
    while g.structural(i):
        i = g.linked.inputs[i][0]
    node, v = g.linked.nodes[i], g.value(i)
    if v is not None:
        return bool((v != 0).all())
    return node.op == "aten.pow.Tensor_Scalar" and node.args[1] < 0
