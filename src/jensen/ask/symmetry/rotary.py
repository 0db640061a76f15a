"""Rotary positions (Su et al. 2021): rows of a layer that are turned in pairs by an angle that depends on the place.

Turning a pair is the product with a complex number, so that of the matrices that queries and keys may share only complex scalars
commute with it, one for each pair. Which row is the real part, and which the imaginary one, is read off the turned value: it is
followed as a linear form of the layer's rows, ``sum_j coefficient_j * row_j`` at each place, whatever the layout (pairs that lie
side by side, halves, part of a head, tables made of positions in the data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from jensen.ask.symmetry.complete import random_data
from jensen.ask.symmetry.constants import made, made_value
from jensen.ask.symmetry.flow import LAYERS, Flow, constant_along, numbered, unravelled
from jensen.ask.symmetry.group import Factor, Site
from jensen.kernel.program import Ref, Term

Pairs = dict[int, dict[int, tuple[int, int]]]  # a layer's node -> row -> (real part, imaginary part)
NEAR = 1e-9


@dataclass(frozen=True, eq=False)
class Form:
    """A value as a linear form of the rows of a layer: at each place the sum of coefs[j] * row[rows[j]]; row -1 is none."""

    source: int
    rows: tuple[np.ndarray, ...]
    coefs: tuple[np.ndarray, ...]


def pairs(flow: Flow, term: Term) -> Pairs:
    """For each layer whose rows are turned in pairs, the pairs; a row that is turned in two ways is in none."""
    if not any(n.op == "aten.mul.Tensor" for n in flow.linked.nodes):
        return {}
    table = _Tables(flow, term)
    forms: dict[int, Form] = {}
    for i in range(len(flow.linked.nodes)):
        form = _source(flow, i) or _form(flow, i, forms, table)
        if form is not None:
            forms[i] = form
    found: Pairs = {}
    for i, form in forms.items():
        if len(form.rows) > 1 and any(k not in forms for k in flow.users[i]):
            _note(found.setdefault(form.source, {}), _turned(form, flow.shape(i)))
    return {k: own for k, rows in found.items() if (own := {r: p for r, p in rows.items() if p != (-1, -1)})}


def _note(known: dict[int, tuple[int, int]], more: Mapping[int, tuple[int, int]]) -> None:
    for row, pair in more.items():
        known[row] = pair if known.get(row, pair) == pair else (-1, -1)


class _Tables:
    """Values that no parameter enters, with random numbers for data."""

    def __init__(self, flow: Flow, term: Term):
        self.linked, self._term = flow.linked, term
        self.fixed = made(flow.linked, frozenset()).fixed
        self._known: dict[int, np.ndarray] = {}

    @cached_property
    def _tensors(self) -> Mapping[str, np.ndarray]:
        return random_data(self._term, torch.Generator().manual_seed(31))

    def value(self, i: int) -> np.ndarray:
        """float64, computed once."""
        if i not in self._known:
            self._known[i] = made_value(self.linked, self._tensors, i).double().numpy()
        return self._known[i]


def _source(flow: Flow, i: int) -> Form | None:
    """The result of a layer with a weight: each place is one of its rows."""
    node = flow.linked.nodes[i]
    if node.op not in (*LAYERS, "aten.matmul.default"):
        return None
    weight = node.args[1].index
    if weight not in flow.origin or (node.op == "aten.matmul.default" and len(flow.shape(weight)) != 2):
        return None
    shape = flow.shape(i)
    axis = len(shape) - (len(flow.shape(weight)) - 1 if node.op.startswith("aten.conv") else 1)
    return Form(i, (numbered(shape, axis),), (np.broadcast_to(1.0, shape),))


def _form(flow: Flow, i: int, forms: Mapping[int, Form], table: _Tables) -> Form | None:
    node = flow.linked.nodes[i]
    args = node.args
    inputs = flow.linked.inputs[i]
    if not any(j in forms for j in inputs):
        return None
    if flow._moves(i):
        f = forms[inputs[0]]
        return Form(f.source, *(tuple(flow.move(i, a) for a in arrays) for arrays in (f.rows, f.coefs)))
    if node.op == "aten.neg.default":
        return _times(forms[inputs[0]], np.asarray(-1.0), flow.shape(i))
    if node.op in ("aten.mul.Tensor", "aten.div.Tensor"):
        return _product(flow, i, forms, table)
    if node.op in ("aten.add.Tensor", "aten.sub.Tensor") and all(type(a) is Ref and a.index in forms for a in args):
        x, y = (_times(forms[a.index], np.asarray(1.0), flow.shape(i)) for a in args)
        y = y if node.op == "aten.add.Tensor" else _times(y, np.asarray(-1.0), flow.shape(i))
        return replace(x, rows=x.rows + y.rows, coefs=x.coefs + y.coefs) if x.source == y.source else None
    if node.op in ("aten.cat.default", "aten.stack.default") and all(j in forms for j in inputs):
        own = [forms[a.index] for a in args[0]]
        return _joined(flow, i, own, args[1] if len(args) > 1 else 0) if len({f.source for f in own}) == 1 else None
    return None


def _times(f: Form, by: np.ndarray, shape: tuple[int, ...]) -> Form:
    """Broadcast to a shape and multiplied."""
    rows = tuple(np.broadcast_to(r, shape) for r in f.rows)
    return Form(
        f.source, rows, tuple(np.broadcast_to(c, shape) if by.ndim == 0 and by == 1 else c * by for c in f.coefs)
    )


def _product(flow: Flow, i: int, forms: Mapping[int, Form], table: _Tables) -> Form | None:
    """Times a number, a table, or something else that knows nothing of tables (a norm's factor is the same for a pair)."""
    args, shape = flow.args(i), flow.shape(i)
    at = next(p for p, a in enumerate(args) if type(a) is Ref and a.index in forms)
    f, other = forms[args[at].index], args[1 - at]
    if flow.linked.nodes[i].op == "aten.div.Tensor" and at:
        return None
    if type(other) is not Ref:
        return _times(f, np.asarray(1.0), shape)
    if other.index in table.fixed:
        by = table.value(other.index)
        return _times(f, by if flow.linked.nodes[i].op == "aten.mul.Tensor" else 1.0 / by, shape)
    drawn = np.random.default_rng(i).uniform(
        0.5, 1.5, flow.shape(other.index)
    )  # a number of its own at each of its places
    return _times(f, drawn, shape)


def _joined(flow: Flow, i: int, own: list[Form], axis: int) -> Form:
    most = max(len(f.rows) for f in own)
    join: Any = np.stack if flow.linked.nodes[i].op == "aten.stack.default" else np.concatenate
    filled = [[(f.rows[j], f.coefs[j]) if j < len(f.rows) else (np.full(f.rows[0].shape, -1), np.zeros(f.rows[0].shape)) for f in own] for j in range(most)]  # fmt: skip
    rows, coefs = (tuple(join([part[k] for part in column], axis=axis) for column in filled) for k in (0, 1))
    return Form(own[0].source, rows, coefs)


# -- pairs ---------------------------------------------------------------------------------------------------------------


def _turned(f: Form, shape: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    """Rows whose pair is turned: [[a, -b], [b, a]] at every place, on (real, imaginary)."""
    rows = [np.broadcast_to(r, shape) for r in f.rows]
    coefs = [np.broadcast_to(c, shape) for c in f.coefs]
    along = [a for a in range(len(shape)) if not all(constant_along(r, (a,)) for r in rows)]
    rest = [a for a in range(len(shape)) if a not in along and any(c.strides[a] for c in coefs)]
    index = tuple(slice(None) if a in along or a in rest else 0 for a in range(len(shape)))
    kept = [a for a in range(len(shape)) if a in along or a in rest]
    order = [kept.index(a) for a in (*along, *rest)]
    n = int(np.prod([shape[a] for a in along]))
    r = np.stack([x[index].transpose(order).reshape(n, -1)[:, 0] for x in rows])  # (terms, places)
    c = np.stack([x[index].transpose(order).reshape(n, -1) for x in coefs])  # (terms, places, samples)
    places: dict[tuple[int, ...], list[np.ndarray]] = {}
    for place in range(n):
        own: dict[int, np.ndarray] = {}
        for term in range(len(rows)):
            if r[term, place] >= 0 and c[term, place].any():
                own[int(r[term, place])] = own.get(int(r[term, place]), 0) + c[term, place]
        if len(own) == 2:
            places.setdefault(tuple(sorted(own)), []).append(np.stack([own[k] for k in sorted(own)]))
    out: dict[int, tuple[int, int]] = {}
    for pair, found in places.items():
        out |= _oriented(pair, found)
    return out


def _oriented(pair: tuple[int, ...], found: list[np.ndarray]) -> dict[int, tuple[int, int]]:
    """Real and imaginary part of a pair; (-1, -1) where it is mixed in another way."""
    a, b = pair
    orders = {(-1, -1)}
    first = found[0]
    others = [x for x in found[1:] if not _near(x, first)]  # the rest are copies, of keys that several heads share
    if others and all(_near(x, others[0]) for x in others):
        (p, q), (s, t) = first, others[0]
        orders = {o for o, ok in (((a, b), _near(p, t) and _near(q, -s)), ((b, a), _near(p, -t) and _near(q, s))) if ok}
    order = orders.pop() if len(orders) == 1 else (-1, -1)
    return {a: order, b: order}


def _near(x: np.ndarray, y: np.ndarray) -> bool:
    return bool(np.abs(x - y).max() <= NEAR * (np.abs(x).max() + np.abs(y).max()))


# -- factors -------------------------------------------------------------------------------------------------------------


def scalars(flow: Flow, known: Pairs, scale: Factor | None, sign: Factor) -> Factor | None:
    """Complex numbers in place of scales and signs that act on the same pairs; phases where there is no scale."""
    places = {(s.block, s.axes): _paired(flow, known, s) for s in (*sign.sites, *(scale.sites if scale else ()))}
    sites = []
    if scale is not None and (_all(scale) != _all(sign) or not {s.degree for s in scale.sites} <= {1.0, -1.0}):
        return None
    for s in (scale or sign).sites:
        of = places[s.block, s.axes]
        rows = None if of is None else [_halves(row, of) for row in s.positions.tolist()]
        if rows is None or any(x is None for x in rows):
            return None
        sites.append(Site(s.block, s.axes, np.array([half for row in rows for half in row or ()]), s.degree))
    kind = "phase" if scale is None else "complex"
    return Factor(kind, 2 * sign.size, sign.label, tuple(sites))


def _all(f: Factor) -> list[set[tuple[str, tuple[int, ...], int]]]:
    """The places of each number of a factor, in the order of their units."""
    return [{(s.block, s.axes, p) for s in f.sites for p in s.positions[i].tolist()} for i in range(f.size)]


def _halves(row: list[int], of: Mapping[int, tuple[int, int]]) -> tuple[list[int], list[int]] | None:
    """Real and imaginary positions of one number."""
    both = sorted({of[p] for p in row if p in of})
    if not both or sorted(p for pair in both for p in pair) != sorted(row):
        return None
    return [a for a, _ in both], [b for _, b in both]


def _paired(flow: Flow, known: Pairs, s: Site) -> dict[int, tuple[int, int]] | None:
    """Position on a site's axis -> the pair of positions that it belongs to."""
    if len(s.axes) != 1:
        return None
    out: dict[int, tuple[int, int]] = {}
    for d in flow.deliveries[s.block]:
        node = flow.linked.nodes[d.node]
        matmul = node.op == "aten.matmul.default"
        if d.node not in known or d.arg not in (1, 2):
            continue
        entries = np.moveaxis(d.entries, -1, 0) if matmul else d.entries
        shape = _shape(flow, s.block)
        at = [np.unique(unravelled(e.reshape(-1), shape)[s.axes[0]]) for e in entries]
        if any(len(a) != 1 for a in at):
            return None
        for a, b in known[d.node].values():
            for row in (a, b):
                pair = (int(at[a][0]), int(at[b][0])) if a >= 0 else (-1, -1)
                if out.setdefault(int(at[row][0]), pair) != pair:
                    return None
    return out or None


def _shape(flow: Flow, block: str) -> tuple[int, ...]:
    return next(
        tuple(s)
        for n, s in zip(flow.linked.nodes, flow.linked.shapes, strict=True)
        if n.op == "block" and n.args[0] == block
    )
