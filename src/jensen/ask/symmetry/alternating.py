"""Quadratic forms: where both sides of a bilinear layer are one value, its antisymmetric part is not felt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jensen.ask.symmetry.flow import Flow, numbered
from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.tracks import of_ref
from jensen.kernel.program import Term

MATMUL, MUL, SUM = "aten.matmul.default", "aten.mul.Tensor", "aten.sum.dim_IntList"


def alternating(flow: Flow, term: Term, shapes: Mapping[str, tuple[int, ...]]) -> list[Factor]:
    """Candidates: for each matrix of a stack W, sum_ij x_i W_ij x_j, what is added to one triangle and taken from the other."""
    out = []
    for k, node in enumerate(flow.linked.nodes):
        if node.op == SUM and type(node.args[1]) is tuple and len(node.args[1]) == 1:
            found = _form(flow, term, k)
            if found is not None:
                out.append(_factor(*found, shapes))
    return out


def _form(flow: Flow, term: Term, k: int) -> tuple[str, np.ndarray] | None:
    """A block, and its entries by both sides' indices first: (n, n, all matrices)."""
    product, axis = of_ref(flow.args(k)[0]), flow.args(k)[1][0]
    if product < 0 or flow.linked.nodes[product].op != MUL:
        return None
    shape = flow.shape(product)
    axis %= len(shape)
    for a, b in (flow.args(product)[:2], flow.args(product)[1::-1]):
        half, x = of_ref(a), of_ref(b)
        views = []
        while half >= 0 and flow.linked.nodes[half].op != MATMUL and flow._moves(half):
            views.append(half)
            half = flow.linked.inputs[half][0]
        if min(half, x) < 0 or flow.linked.nodes[half].op != MATMUL:
            continue
        left, w = (of_ref(c) for c in flow.args(half)[:2])
        if w not in flow.origin or not _same(flow, term, left, x, axis - len(shape)):
            continue
        name, entries = flow.origin[w]
        where = numbered(flow.shape(half), len(flow.shape(half)) - 1)
        for v in reversed(views):
            where = flow.move(v, where)
        if entries.ndim != 2 or where.shape != shape:
            continue
        columns = np.moveaxis(where, axis, -1).reshape(-1, shape[axis])
        own = np.unique(columns, axis=0)  # for each matrix the columns of the other side's places
        if own.shape[1] == len(entries) and len(np.unique(own)) == own.size:
            return name, np.moveaxis(entries[:, own], 1, 2)
    return None


def _same(flow: Flow, term: Term, x: int, y: int, axis: int) -> bool:
    """Whether a value's last axis stands on an axis of another value that is made of it by views."""
    while y != x and flow._moves(y) and y not in flow.origin:
        y = flow.linked.inputs[y][0]
    if x == y:
        return True
    nodes = flow.linked.nodes
    if nodes[x].op != "const" or nodes[y].op != "const":
        return False
    names = [nodes[i].args[0] for i in (x, y)]
    return _one_input(term, *names)


def _one_input(term: Term, a: str, b: str) -> bool:
    """Whether two constants hold the numbers of one and the same input, and of no other."""
    first, second = (np.asarray(term.tensors[n]) for n in (a, b))
    if first.size != second.size or not np.array_equal(first.reshape(-1), second.reshape(-1)):
        return False
    inputs = [n for n in term.data if n.startswith("data_")]
    alike = [n for n in inputs if np.array_equal(np.asarray(term.tensors[n]).reshape(-1), first.reshape(-1))]
    counted = sorted(int(n.removeprefix("data_")) for n in inputs)
    return len(alike) == 1 and counted == list(range(len(counted)))


def _factor(name: str, entries: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> Factor:
    n, _, m = entries.shape
    i, j = np.triu_indices(n, 1)
    axes = tuple(range(len(shapes[name])))
    upper, lower = entries[i, j].reshape(-1, 1), entries[j, i].reshape(-1, 1)
    return Factor("translation", len(i) * m, name, (Site(name, axes, upper), Site(name, axes, lower, -1.0)))
