"""The logistic's own symmetry, f(-x) = c - f(x): a sign for a unit whose every reader has a bias that takes up the c."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jensen.ask.symmetry.flow import Flow, State, Taken, numbered
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.pointwise import nature
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.shifts import settle
from jensen.ask.symmetry.system import Number, Vector
from jensen.ask.symmetry.values import Grid
from jensen.ask.symmetry.walk import walk
from jensen.kernel.program import Ref


@dataclass(frozen=True)
class Flip:
    """An operation with this symmetry: c, and what takes up a shift of each unit."""

    amount: float
    taken: tuple[Taken, ...]


def flippable(flow: Flow) -> dict[int, dict[int, Flip]]:
    """Operations with f(-x) = c - f(x), and the axes along which their values may be shifted freely."""
    out: dict[int, dict[int, Flip]] = {}
    for k, node in enumerate(flow.linked.nodes):
        if getattr(flow.linked.atoms[k], "row", None) is None or any(type(a) is Ref for a in node.args[1:]):
            continue
        amount = nature(node.op, tuple(node.args[1:])).flip
        if amount is None:
            continue
        for axis in range(len(flow.shape(k))):
            found = _free(flow, k, axis)
            if found:
                out.setdefault(k, {})[axis] = Flip(amount, found)
    return out


def _free(flow: Flow, k: int, axis: int) -> tuple[Taken, ...]:
    n = flow.shape(k)[axis]
    s = State(n, carry=True)
    walk(flow, s, k, numbered(flow.shape(k), axis))
    settle(flow, s)
    return tuple(s.taken) if s.taken and not s.dead and len(s.cells()) == n else ()


def carries(r: Reader, vectors: Sequence[Vector]) -> tuple[Carry, ...] | None:
    """What flips add to biases, one row for each sign; None where the signs flip different numbers of units."""
    out = []
    for flip, grids in r.flipped:
        sets = [_flipped(r, v, flip, grids) for v in vectors]
        if not any(sets):
            continue
        done: set[tuple[str, str | None]] = set()
        for t in flip.taken:
            if (t.target, t.source) in done:
                continue
            done.add((t.target, t.source))
            rows = [np.unique(t.triples[np.isin(t.triples[:, 0], list(s))][:, 1:], axis=0) for s in sets]
            if t.source is None or len({len(x) for x in rows}) > 1:
                return None
            source = Site(t.source, tuple(range(len(r.shapes[t.source]))), np.array([x[:, 0] for x in rows]))
            entries = np.array([x[:, 1] for x in rows])
            out.append(Carry(source, t.target, entries, np.zeros(1, dtype=np.int64), -t.factor * flip.amount))
    return tuple(out)


def _flipped(r: Reader, v: Vector, flip: Flip, grids: Sequence[Grid]) -> set[int]:
    """Positions along the axis that a sign flips."""
    parity: dict[int, Number] = {}
    n = max((c for t in flip.taken for c in t.triples[:, 0].tolist()), default=-1) + 1
    for g in grids:
        ids = np.broadcast_to(g.ids.reshape(-1), (n,)) if g.ids.size in (1, n) else None
        if ids is None:
            return set()
        for i, e in enumerate(ids.tolist()):
            for u, c in r.sign.table[e]:
                parity[i] = parity.get(i, 0) + c * v.get(u, 0)
    return {i for i, p in parity.items() if p % 2}


def flip_factor(r: Reader, factor: Factor, vectors: Sequence[Vector]) -> Factor | None:
    """A family of signs with what its flips carry; the family itself where none flips; None where that cannot be told."""
    found = carries(r, vectors)
    if found is None:
        return None
    return factor if not found else Factor("flip", factor.size, factor.label, factor.sites, found)
