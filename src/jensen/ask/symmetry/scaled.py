"""Layers whose result a gain multiplies before a stream takes it (LayerScale, Touvron et al. 2021): where the stream does not feel
what all its units share, the layer's columns and its bias may move along the gain's inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jensen.ask.symmetry.flow import Flow, State, constant_along, numbered
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.shifts import carried
from jensen.ask.symmetry.walk import walk
from jensen.kernel.program import Ref

Shape = tuple[int, ...]
Origin = tuple[str, np.ndarray]


def scaled(flow: Flow, shapes: dict[str, Shape]) -> list[Factor]:
    """Candidates: one for each weight and each bias of such a layer, and shifts of its bias that others take up."""
    out: list[Factor] = []
    for i, node in enumerate(flow.linked.nodes):
        if node.op != "aten.mul.Tensor" or not all(type(a) is Ref for a in node.args):
            continue
        for x, g in ((0, 1), (1, 0)):
            layer, gain = node.args[x].index, flow.origin.get(node.args[g].index)
            if gain is None or flow.linked.nodes[layer].op != "aten.linear.default" or len(flow.users[layer]) > 1:
                continue
            whole = np.broadcast_to(gain[1], flow.shape(i))
            if constant_along(whole, range(whole.ndim - 1)):
                source = gain[0], whole.reshape(-1, whole.shape[-1])[0]
                cells = _unfelt(flow, i)
                owned = [_owned(flow, layer, a) for a in flow.args(layer)[1:]]
                out += [_factor(source, o, c, shapes) for o in owned if o is not None for c in cells]
                out += _taken_up(flow, i, source, owned[1], shapes) if len(owned) > 1 and owned[1] is not None else []
    return out


def _unfelt(flow: Flow, i: int) -> list[list[int]]:
    """Sets of units of node i whose common shift nothing feels, whatever it is at each place."""
    s = State(flow.shape(i)[-1], carry=False, free=True)
    walk(flow, s, i, numbered(flow.shape(i), len(flow.shape(i)) - 1))
    return list(s.cells().values())


def _taken_up(flow: Flow, i: int, gain: Origin, bias: Origin, shapes: dict[str, Shape]) -> list[Factor]:
    """Shifts of node i that biases behind it take up; in front of the gain the layer's bias makes them."""
    name, entries = bias
    components = np.argsort(entries.reshape(-1)).reshape(shapes[name])
    users = flow.users[i]  # what the stream brings to the sum is left alone
    start = users[0] if len(users) == 1 and flow.linked.nodes[users[0]].op == "aten.add.Tensor" else i
    if flow.shape(start) != flow.shape(i):
        return []
    where = numbered(flow.shape(i), len(flow.shape(i)) - 1)
    out = []
    for f in carried(flow, name, shapes, components, lambda s: walk(flow, s, start, where)):
        own = f.sites[0]
        at = components.reshape(-1)[own.positions]
        site = Site(gain[0], tuple(range(len(shapes[gain[0]]))), gain[1][at], -1.0)
        carry = Carry(site, name, own.positions, np.zeros(1, dtype=np.int64), 1.0)
        out.append(replace(f, sites=f.sites[1:], carries=(carry, *f.carries)))
    return out


def _owned(flow: Flow, layer: int, a: object) -> Origin | None:
    """A parameter of the layer that nothing else reads."""
    if type(a) is not Ref or a.index not in flow.origin:
        return None
    name, entries = flow.origin[a.index]
    return (name, entries) if [d.node for d in flow.deliveries[name]] == [layer] else None


def _factor(gain: Origin, target: Origin, cell: Sequence[int], shapes: dict[str, Shape]) -> Factor:
    name, entries = target
    rows = entries.reshape(len(entries), -1)[list(cell)].T  # one unit for each column
    source = np.broadcast_to(gain[1][list(cell)], rows.shape).copy()
    site = Site(gain[0], tuple(range(len(shapes[gain[0]]))), source, -1.0)
    carry = Carry(site, name, rows.copy(), np.zeros(1, dtype=np.int64), 1.0)
    return Factor("shift", len(rows), name, (), (carry,))
