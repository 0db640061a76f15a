"""Inputs that lie in a plane: what a layer norm (or a softmax) gives satisfies one linear equation along its axis, so that a
linear reader's weights along that equation's direction are felt by its bias alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import Delivery, Flow, State, constant_along
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.passed import passed_on
from jensen.ask.symmetry.pointwise import dims_of
from jensen.ask.symmetry.walk import walk
from jensen.kernel.program import Ref

Origin = tuple[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Relation:
    """sum_i (y_i - beta_i) / gamma_i = total, along the last axis."""

    total: float
    gamma: Origin | None = None
    beta: Origin | None = None

    @property
    def key(self) -> Any:
        return (self.total, *(None if o is None else (o[0], o[1].tobytes()) for o in (self.gamma, self.beta)))


def relations(flow: Flow, shapes: dict[str, tuple[int, ...]]) -> list[Factor]:
    """Candidates: one for each linear layer that reads such a value."""
    found = {i: r for i in range(len(flow.linked.nodes)) if (r := relation(flow, i)) is not None}
    out = []
    for name, deliveries in flow.deliveries.items():
        if any(
            flow.linked.nodes[d.node].op != "aten.linear.default" or d.arg != 1 or d.entries.ndim != 2
            for d in deliveries
        ):
            continue
        for own in _pieces(deliveries):
            nodes = [d.node for d in own]
            inputs = [flow.args(k)[0].index for k in nodes]
            if any(i not in found for i in inputs) or len({found[i].key for i in inputs}) > 1:
                continue
            r, rows = found[inputs[0]], own[0].entries
            factor = _factor(flow, name, own, nodes, r, shapes)
            out += [] if factor is None else [factor]
            if all(flow.arg(k, 2) is None for k in nodes) and r.beta is not None and r.total == 0.0:
                weights = _into_weights(name, rows, r, shapes)
                out += passed_on(flow, nodes, len(rows), weights, r.beta, r.gamma, shapes)
    return out


def _pieces(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Deliveries of the same entries of one weight (rows of a stack of them); nothing where pieces overlap."""
    by: dict[bytes, list[Delivery]] = {}
    for d in deliveries:
        by.setdefault(d.entries.tobytes(), []).append(d)
    if len(by) < 2:
        return list(by.values())
    each = np.concatenate([np.unique(own[0].entries) for own in by.values()])
    return list(by.values()) if len(np.unique(each)) == len(each) else []


def relation(flow: Flow, i: int) -> Relation | None:
    node = flow.linked.nodes[i]
    args, shape = node.args, flow.shape(i)
    if node.op in ("aten.softmax.int", "jensen.masked_softmax"):
        return Relation(1.0) if args[-1] % len(shape) == len(shape) - 1 else None
    if (
        node.op == "aten.sub.Tensor"
        and type(args[0]) is Ref
        and flow.is_mean_of(args[1], args[0].index) == (len(shape) - 1,)
    ):
        return Relation(0.0)
    if node.op == "aten.mean.dim" and len(shape) and type(args[0]) is Ref:
        n = len(flow.shape(args[0].index))
        return None if n - 1 in dims_of(list(args), 1, n) else relation(flow, args[0].index)
    if node.op != "block" and flow._moves(i):
        return _moved(flow, i, relation(flow, flow.linked.inputs[i][0]))
    if node.op in ("aten.mul.Tensor", "aten.add.Tensor") and all(type(a) is Ref for a in args):
        return _affine(flow, i, args[0].index, args[1].index) or _affine(flow, i, args[1].index, args[0].index)
    return None


def _moved(flow: Flow, i: int, r: Relation | None) -> Relation | None:
    """A move that keeps the last axis as it is."""
    if r is None:
        return None
    before, after = flow.shape(flow.linked.inputs[i][0]), flow.shape(i)
    if not after or after[-1] != before[-1]:
        return None
    where = flow.move(i, np.broadcast_to(np.arange(before[-1]), before))
    kept = constant_along(where, range(where.ndim - 1)) and bool(
        (where.reshape(-1, after[-1])[0] == np.arange(after[-1])).all()
    )
    return r if kept else None


def _affine(flow: Flow, i: int, x: int, other: int) -> Relation | None:
    """Times a gain or a factor that is the same along the axis; plus a bias."""
    shape = flow.shape(i)
    if not shape or flow.shape(x) != shape:
        return None
    r = relation(flow, x)
    if r is None or r.beta is not None:
        return None
    along = _along(flow, other, shape)
    if flow.linked.nodes[i].op == "aten.add.Tensor":
        return None if along is None else replace(r, beta=along)
    if along is not None:
        return replace(r, gamma=along) if r.gamma is None else None
    flat = len(flow.shape(other)) < 1 or flow.shape(other)[-1] == 1
    return r if flat and r.gamma is None and r.total == 0.0 else None


def _along(flow: Flow, other: int, shape: tuple[int, ...]) -> Origin | None:
    """A parameter whose entries run along the last axis alone."""
    if other not in flow.origin:
        return None
    name, entries = flow.origin[other]
    whole = np.broadcast_to(entries, shape)
    ok = constant_along(whole, range(whole.ndim - 1)) and entries.shape[-1:] == shape[-1:]
    return (name, whole.reshape(-1, shape[-1])[0]) if ok else None


def _factor(
    flow: Flow, name: str, deliveries: list[Any], nodes: list[int], r: Relation, shapes: dict[str, tuple[int, ...]]
) -> Factor | None:
    weights = deliveries[0].entries
    n, width = weights.shape
    biases = {flow.arg(k, 2) for k in nodes}
    bias = next(iter(biases)) if len(biases) == 1 else None
    shifted = r.beta is not None or r.total != 0.0
    target = None
    if type(bias) is Ref and bias.index in flow.origin:
        target = flow.origin[bias.index]
        if shifted and {d.node for d in flow.deliveries[target[0]] if np.isin(d.entries, target[1]).any()} != set(
            nodes
        ):
            return None
    keep = np.arange(n)
    if target is None and shifted:
        keep = _unfelt(flow, nodes, n)
    if not len(keep):
        return None
    carries = [_into_weights(name, weights[keep], r, shapes)]
    if target is not None and shifted:
        carries += _into_bias(target[0], target[1].reshape(-1)[keep], r, width, shapes)
    free = State(n, carry=False, free=True)
    for k in nodes:
        walk(flow, free, k, np.broadcast_to(np.arange(n), flow.shape(k)))
    dead = {free.links.find(i) for i in free.dead}
    cells = np.array([-1 if free.links.find(i) in dead else free.links.find(i) for i in keep.tolist()])
    words = ", ".join(dict.fromkeys([name, *(c.target for c in carries)]))
    factor = Factor("shift", len(keep), words, (), tuple(carries), cells if (cells >= 0).any() else None)
    return factor if factor.dimension else None


def _unfelt(flow: Flow, nodes: list[int], n: int) -> np.ndarray:
    """Outputs that may be shifted by a number each without a bias."""
    s = State(n, carry=False)
    for k in nodes:
        walk(flow, s, k, np.broadcast_to(np.arange(n), flow.shape(k)))
    return np.array([m[0] for m in s.cells().values() if len(m) == 1], dtype=np.int64)


def _site(origin: Origin, n: int, degree: float, shapes: dict[str, tuple[int, ...]]) -> Site:
    name, entries = origin
    return Site(name, tuple(range(len(shapes[name]))), np.broadcast_to(entries, (n, len(entries))).copy(), degree)


def _into_weights(name: str, weights: np.ndarray, r: Relation, shapes: dict[str, tuple[int, ...]]) -> Carry:
    n = len(weights)
    source = _site((name, weights[0]), n, 0.0, shapes) if r.gamma is None else _site(r.gamma, n, -1.0, shapes)
    return Carry(source, name, weights.copy(), np.zeros(1, dtype=np.int64), 1.0)


def _into_bias(
    target: str, entries: np.ndarray, r: Relation, width: int, shapes: dict[str, tuple[int, ...]]
) -> list[Carry]:
    """The bias takes up u times (total + the sum of beta / gamma)."""
    n = len(entries)
    rows = np.repeat(entries[:, None], width, axis=1)
    out = []
    ones = _site((target, entries[:1]), n, 0.0, shapes)
    if r.total:
        out.append(Carry(ones, target, rows[:, :1], np.zeros(1, dtype=np.int64), -r.total))
    if r.beta is not None:
        inverse = None if r.gamma is None else _site(r.gamma, n, -1.0, shapes)
        out.append(Carry(_site(r.beta, n, 1.0, shapes), target, rows, np.zeros(1, dtype=np.int64), -1.0, inverse))
    return out
