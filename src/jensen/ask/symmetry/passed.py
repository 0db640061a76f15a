"""Layers without a bias that read a norm's bias: their weights along the direction that the norm never gives make a constant,
and biases further on may take it up (values without a bias in front of an output layer that has one)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import Flow, State, Taken
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.shifts import rows_of, settle
from jensen.ask.symmetry.walk import walk

Origin = tuple[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
ZERO = np.zeros(1, dtype=np.int64)


def passed_on(
    flow: Flow, nodes: list[int], n: int, first: Carry, beta: Origin, gamma: Origin | None, shapes: Shapes
) -> list[Factor]:
    """Candidates: u_i times 1 / gamma goes to row i of the weights (``first``), and so u_i times the sum of beta / gamma further on.

    Args:
        nodes: The layers; they give n outputs.
        first: What goes to the weights, for all rows.
    """
    s = State(n, carry=True)
    for k in nodes:
        walk(flow, s, k, np.broadcast_to(np.arange(n), flow.shape(k)))
    if not s.taken:
        return []
    settle(flow, s)
    counts = [np.bincount(t.triples[t.triples[:, 0] >= 0, 0], minlength=n) for t in s.taken]
    families: dict[Any, list[list[int]]] = defaultdict(list)
    for cell in s.cells().values():
        if len(cell) == 1 and any(c[cell].any() for c in counts):
            families[tuple(int(c[cell[0]]) for c in counts)].append(cell)
    total = tuple(_row(o, d, shapes) for o, d in ((beta, 1.0), (gamma, -1.0)) if o is not None)
    out = []
    for cells in families.values():
        carries = [_rows(first, [c[0] for c in cells])]
        for t in {(t.target, t.source, t.factor): t for t in s.taken}.values():
            carries += _taken(t, cells, total, shapes)
        if len(carries) > 1:
            words = ", ".join(dict.fromkeys(c.target for c in carries))
            out.append(Factor("shift", len(cells), words, (), tuple(carries)))
    return out


def _row(origin: Origin, degree: float, shapes: Shapes) -> Site:
    name, entries = origin
    return Site(name, tuple(range(len(shapes[name]))), entries[None].copy(), degree)


def _rows(c: Carry, own: list[int]) -> Carry:
    source = Site(c.source.block, c.source.axes, c.source.positions[own], c.source.degree)
    return Carry(source, c.target, c.rows[own], c.columns, c.factor)


def _taken(t: Taken, cells: list[list[int]], total: tuple[Site, ...], shapes: Shapes) -> list[Carry]:
    rows = rows_of(t.triples, cells)
    if not len(rows[0]):
        return []
    places = np.array([r[:, 1] for r in rows])
    block = t.target if t.source is None else t.source
    own = places if t.source is None else np.array([r[:, 0] for r in rows])
    source = Site(block, tuple(range(len(shapes[block]))), own, 0.0 if t.source is None else 1.0)
    return [Carry(source, t.target, places, ZERO, t.factor, total=total)]
