"""The logistic's own symmetry, f(-x) = c - f(x): a sign for a unit whose every reader has a bias that takes up the c."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jensen.ask.symmetry.flow import Flow, State, Taken
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.pointwise import nature
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.shifts import _inconsistent
from jensen.ask.symmetry.system import Number, Vector
from jensen.ask.symmetry.walk import walk
from jensen.kernel.program import Ref


@dataclass(frozen=True)
class Flip:
    """An operation with this symmetry, the axis of its units, and what takes up a shift of each."""

    axis: int
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
                out.setdefault(k, {})[axis] = Flip(axis, amount, found)
    return out


def _free(flow: Flow, k: int, axis: int) -> tuple[Taken, ...]:
    shape = flow.shape(k)
    n = shape[axis]
    s = State(n, carry=True)
    walk(flow, s, k, np.broadcast_to(np.arange(n).reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape))
    while _inconsistent(flow, s, ""):
        pass
    return tuple(s.taken) if s.taken and not s.dead and len(s.cells()) == n else ()


def carries(r: Reader, vectors: Sequence[Vector], shapes: dict[str, tuple[int, ...]]) -> tuple[Carry, ...] | None:
    """What flips add to biases, one row for each sign; None where the signs flip different numbers of units."""
    out = []
    for (_, flip), grids in r.flipped:
        sets = [_flipped(r, v, flip, grids) for v in vectors]
        if not any(sets):
            continue
        done: set[tuple[str, str | None]] = set()
        for t in flip.taken:
            if (t.target, t.source) in done:
                continue
            done.add((t.target, t.source))
            rows = [np.unique(t.triples[np.isin(t.triples[:, 0], list(s))][:, 1:], axis=0) for s in sets]
            if len({len(x) for x in rows}) > 1:
                return None
            source = (
                None
                if t.source is None
                else Site(t.source, tuple(range(len(shapes[t.source]))), np.array([x[:, 0] for x in rows]))
            )
            if source is None:
                return None
            out.append(
                Carry(
                    source,
                    t.target,
                    np.array([x[:, 1] for x in rows]),
                    np.zeros(1, dtype=np.int64),
                    -t.factor * flip.amount,
                )
            )
    return tuple(out)


def _flipped(r: Reader, v: Vector, flip: Flip, grids: Sequence[object]) -> set[int]:
    """Positions along the axis that a sign flips."""
    parity: dict[int, Number] = {}
    n = max((c for t in flip.taken for c in t.triples[:, 0].tolist()), default=-1) + 1
    for g in grids:
        ids = np.broadcast_to(g.ids.reshape(-1), (n,)) if g.ids.size in (1, n) else None  # type: ignore[attr-defined]
        if ids is None:
            return set()
        for i, e in enumerate(ids.tolist()):
            for u, c in r.sign.table[e]:
                parity[i] = parity.get(i, 0) + c * v.get(u, 0)
    return {i for i, p in parity.items() if p % 2}


def flip_factor(
    r: Reader, factor: Factor, vectors: Sequence[Vector], shapes: dict[str, tuple[int, ...]]
) -> Factor | None:
    """A family of signs with what its flips carry; the family itself where none flips; None where that cannot be told."""
    found = carries(r, vectors, shapes)
    if found is None:
        return None
    return factor if not found else Factor("flip", factor.size, factor.label, factor.sites, found)
