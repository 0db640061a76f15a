"""The reading of axes: units, labels and characters through a program, one face for each operation.

Units are the things that a permutation may exchange: a hidden unit, a head, a channel. Places of values that an operation
pairs belong to one unit (Robinson's unification, 1965, on single places). What tells places apart (data, constants, windows)
colours the units there, and what an operation keeps while it mixes others becomes their parent (heads, groups).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jensen.ask.symmetry.system import Links, Number, System
from jensen.ask.symmetry.values import Axes, Grid, Shape, Value, joined, over

ONE = 1
MINUS = -1


@dataclass(frozen=True, eq=False)
class Part:
    """A parameter's dependence on some of its axes: units and characters there, all of one shape."""

    axes: Axes
    units: np.ndarray
    scale: np.ndarray
    sign: np.ndarray


@dataclass
class Reader:
    """What is known so far: who is whose unit, colours, parents, characters, and the parameters' own parts."""

    links: Links = field(default_factory=Links)
    scale: System = field(default_factory=System)
    sign: System = field(default_factory=lambda: System(2))
    colours: list[tuple[np.ndarray, np.ndarray, object]] = field(default_factory=list)
    parents: list[tuple[np.ndarray, np.ndarray, object]] = field(default_factory=list)
    frozen: list[tuple[np.ndarray, str]] = field(default_factory=list)
    parts: dict[str, list[Part]] = field(default_factory=dict)
    pinned: dict[str, set[int]] = field(default_factory=dict)  # characters of blocks that are 0 by choice
    unread: list[str] = field(default_factory=list)
    node: tuple[int, int] = (0, 0)
    term: int = 0
    seen: dict[int, tuple[np.ndarray, tuple[int, int]]] = field(default_factory=dict)  # by identity, and where first
    slots: dict[int, tuple[int, int, int]] = field(
        default_factory=dict
    )  # label of a joined part -> its node, and which part
    alone: list[tuple[int, tuple[int, int]]] = field(default_factory=list)  # a unit that is chosen, and where
    nested: set[Any] = field(default_factory=set)
    flippable: dict[int, dict[int, Any]] = field(default_factory=dict)
    flipped: list[tuple[Any, tuple[Grid, ...]]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    joint: dict[str, Axes] = field(default_factory=dict)  # axes of blocks that hold units together

    # -- units -----------------------------------------------------------------------------------------------------

    def new(self, shape: Shape) -> np.ndarray:
        """Fresh units."""
        n = int(np.prod(shape))
        start = self.links.more(n)
        return np.arange(start, start + n, dtype=np.int64).reshape(shape)

    def see(self, value: Value) -> None:
        """Note which units stand in a value."""
        for g in value.units:
            self.seen.setdefault(id(g.ids), (g.ids, self.node))

    def slot(self, part: int) -> int:
        """A label of its own for one of the parts that the operation joins."""
        label = 1 << 40 | len(self.slots)
        self.slots[label] = (*self.node, part)
        return label

    def same(self, a: np.ndarray, b: np.ndarray) -> None:
        """Units that are paired."""
        a, b = np.broadcast_arrays(a, b)
        pairs = np.unique(np.stack([a.reshape(-1), b.reshape(-1)]), axis=1)
        for p, q in pairs.T:
            self.links.join(int(p), int(q))

    def colour(self, units: np.ndarray, labels: np.ndarray, why: object) -> None:
        """Units with different labels are not interchangeable."""
        a, b = np.broadcast_arrays(units, labels)
        self.colours.append((a.reshape(-1).copy(), b.reshape(-1).copy(), why))

    def parent(self, units: np.ndarray, parents: np.ndarray, why: object) -> None:
        """Units that move with others."""
        a, b = np.broadcast_arrays(units, parents)
        self.parents.append((a.reshape(-1).copy(), b.reshape(-1).copy(), why))

    def freeze(self, value: Value, axes: Iterable[int] | None = None, why: str = "function") -> None:
        """No matrices act on the units here (on these axes), only permutations, signs and scales."""
        on = None if axes is None else set(axes)
        self.frozen += [(g.ids.reshape(-1), why) for g in value.units if on is None or set(g.axes) & on]

    def align(self, x: Value, y: Value, product: str = "", gone: Iterable[int] = ()) -> None:
        """Two values in one space, taken together place by place."""
        gone = set(gone)
        for g in x.grids:
            for h in y.grids:
                common = set(g.axes) & set(h.axes)
                if common:
                    self._pair(g, h, "" if common & gone else product, bool(gone and common & gone and common - gone))

    def _pair(self, g: Grid, h: Grid, product: str, shared: bool = False) -> None:
        if g.inert and h.inert:
            return
        axes = tuple(sorted(set(g.axes) | set(h.axes)))
        a, b = over(g, axes), over(h, axes)
        if g.inert or h.inert:
            units, labels = (b, a) if g.inert else (a, b)
            self.colour(units, labels, (self.node, "label", g.axes if g.inert else h.axes))
        elif g.axes == h.axes and (way := self._many(a, b) if shared else 0):  # heads that share a key
            self.parent(*((a, b) if way > 0 else (b, a)), (self.node, "of"))
        elif g.axes == h.axes:
            self.same(a, b)
            if product:
                self.frozen.append((g.ids.reshape(-1), product))
        elif set(h.axes) < set(g.axes):
            self._inside(a, b)
        elif set(g.axes) < set(h.axes):
            self._inside(b, a)
        else:  # each runs over a part of the other's axes: what they share is a parent of both
            common = tuple(x for x in g.axes if x in h.axes)
            rows = np.concatenate([self.rows(units, common) for units in (g, h)], axis=1)
            _, back = np.unique(rows, axis=0, return_inverse=True)  # copies along a batch share a parent
            block = self.new((int(back.max(initial=0)) + 1,))[back.reshape(-1)].reshape(
                tuple(n for x, n in zip(g.axes, g.ids.shape, strict=True) if x in common)
            )
            for units in (g, h):
                self.parent(units.ids, over(Grid(common, block), units.axes), (self.node, "shared"))

    def rows(self, g: Grid, axes: Axes) -> np.ndarray:
        """A grid's units at each place on some of its axes: (places, rest)."""
        ids = g.ids if g.inert else self.links.roots(g.ids)
        front = np.moveaxis(ids, [g.axes.index(a) for a in axes], range(len(axes)))
        return front.reshape(int(np.prod(front.shape[: len(axes)])), -1)

    def _inside(self, wide: np.ndarray, narrow: np.ndarray) -> None:
        """Units of a wider grid belong to those of a narrower one; of those that stand with several, pairs do (``merged``)."""
        if not self._several(wide, narrow):
            self.parent(wide, narrow, (self.node, "in"))

    def _several(self, wide: np.ndarray, narrow: np.ndarray) -> bool:
        x, y = (self.links.roots(v).reshape(-1) for v in np.broadcast_arrays(wide, narrow))
        return len(np.unique(np.stack([x, y]), axis=1).T) > len(np.unique(x))

    def _many(self, a: np.ndarray, b: np.ndarray) -> int:
        """1 where several units of a belong to one of b (and each to one), -1 the other way, 0 otherwise."""
        x, y = self.links.roots(a).reshape(-1), self.links.roots(b).reshape(-1)
        pairs = len(np.unique(np.stack([x, y]), axis=1).T)
        n, m = len(np.unique(x)), len(np.unique(y))
        return (1 if pairs == n else -1 if pairs == m else 0) if n != m else 0

    def tidy(self, value: Value) -> Value:
        """One grid of units for each set of axes: grids that lie on the same axes become one of pairs, smaller ones its parents."""
        units = list(value.units)
        for axes in {g.axes for g in units}:
            alike = [g for g in units if g.axes == axes]
            if len(alike) > 1:
                rows = np.stack([self.links.roots(g.ids).reshape(-1) for g in alike])
                _, back = np.unique(rows, axis=1, return_inverse=True)
                back = back.reshape(alike[0].ids.shape)
                pairs = Grid(axes, self.new((int(back.max()) + 1,))[back])
                for g in alike:
                    self.parent(pairs.ids, g.ids, (self.node, "pair"))
                units = [g for g in units if g.axes != axes] + [pairs]
        for g in list(units):
            wider = [h for h in units if set(g.axes) < set(h.axes)]
            for h in wider:
                self.parent(h.ids, over(g, h.axes), (self.node, "inside"))
            if wider:
                units = [h for h in units if h is not g]
        if len(units) == len(value.units):
            return value
        return replace(value, grids=(*units, *value.labels))

    def merged(self, values: Sequence[Value]) -> tuple[Grid, ...]:
        """Grids of a result that depends on all values place by place: the widest of each."""
        out: list[Grid] = []
        for g in sorted((g for v in values for g in v.grids), key=lambda g: -len(g.axes)):
            wider = [k for k, h in enumerate(out) if h.inert == g.inert and set(g.axes) <= set(h.axes)]
            if not wider:
                out.append(g)
            for k in wider if not g.inert else ():
                out[k] = self._split(out[k], g)
        return tuple(out)

    def _split(self, wide: Grid, narrow: Grid) -> Grid:
        """Units that stand with several of a narrower grid (values that heads share): one for each pair."""
        other = np.broadcast_to(over(narrow, wide.axes), wide.ids.shape)
        if set(narrow.axes) == set(wide.axes) or not self._several(wide.ids, other):
            return wide
        rows = np.stack([self.links.roots(x).reshape(-1) for x in (wide.ids, other)])
        found, back = np.unique(rows, axis=1, return_inverse=True)
        pairs = Grid(wide.axes, self.new((len(found.T),))[back.reshape(wide.ids.shape)])
        self.parent(pairs.ids, wide.ids, (self.node, "pair"))
        self.parent(pairs.ids, other, (self.node, "pair"))
        return pairs

    # -- characters ------------------------------------------------------------------------------------------------

    def total(self, system: System, grids: Sequence[tuple[Number, Grid]]) -> list[Grid]:
        """A sum of characters as grids that share no axes."""
        out = []
        for group in joined([g for _, g in grids]):
            axes = tuple(sorted({a for g in group for a in g.axes}))
            parts = [(f, over(g, axes)) for f, g in grids if any(g is m for m in group)]
            out.append(Grid(axes, system.combine(parts)))
        return out

    def equal(self, system: System, left: Sequence[Grid], right: Sequence[Grid]) -> None:
        """Two characters are equal at every place."""
        parts = self.total(system, [(ONE, g) for g in left] + [(MINUS, g) for g in right])
        parts = [p for p in parts if p.ids.any()]
        firsts = []
        for p in parts:
            first = p.ids.reshape(-1)[0]
            firsts.append(first)
            if len(parts) > 1:
                system.vanish(system.combine([(ONE, p.ids), (MINUS, np.asarray(first))]))
            else:
                system.vanish(p.ids)
        if len(parts) > 1:
            system.vanish(system.combine([(ONE, np.asarray(f)) for f in firsts]))

    def fixed(self, value: Value, which: str = "both") -> None:
        """The value has character 0."""
        if which in ("both", "scale"):
            self.equal(self.scale, value.scale, ())
        if which in ("both", "sign"):
            self.equal(self.sign, value.sign, ())

    def constant(
        self, system: System, grids: Sequence[Grid], gone: Iterable[int], pin: bool = False
    ) -> tuple[Grid, ...]:
        """Characters that must not change along some axes, without these axes."""
        gone = set(gone)
        out = [g for g in grids if not set(g.axes) & gone]
        along = [g for g in grids if set(g.axes) & gone]
        for g in self.total(system, [(ONE, g) for g in along]) if _overlap(along) else along:
            keep = tuple(a for a in g.axes if a not in gone)
            shape = tuple(n for a, n in zip(g.axes, g.ids.shape, strict=True) if a in keep)
            first = g.ids[tuple(slice(None) if a in keep else 0 for a in g.axes)]
            level = np.zeros(shape, dtype=np.int64) if pin else first if _single(system, first) else system.new(shape)
            system.vanish(system.combine([(ONE, g.ids), (MINUS, over(Grid(keep, level), g.axes))]))
            if not pin:
                out.append(Grid(keep, level))
        return tuple(out)

    # -- results ---------------------------------------------------------------------------------------------------

    def unknown(self, inputs: Sequence[Value], shape: Shape, op: str = "") -> Value:
        """An operation that tells all places of its inputs apart, and allows no character."""
        for v in inputs:
            self.apart(v, range(len(v.shape)))
            self.fixed(v)
            self.freeze(v)
        if op:
            self.unread.append(op)
        return inert(shape)

    def apart(self, value: Value, axes: Iterable[int]) -> None:
        """Places along these axes are told apart."""
        axes = set(axes)
        for g in value.units:
            if set(g.axes) & axes:
                own = [n if a in axes else 1 for a, n in zip(g.axes, g.ids.shape, strict=True)]
                self.colour(g.ids, np.arange(int(np.prod(own))).reshape(own), (self.node, "place", g.axes))


def inert(shape: Shape, axes: Iterable[int] | None = None) -> Value:
    """A value with character 0 whose places are told apart on these axes (all by default)."""
    axes = range(len(shape)) if axes is None else axes
    return Value(shape, tuple(Grid((a,), np.arange(shape[a]), True) for a in axes if shape[a] > 1))


def constant(value: np.ndarray, data: bool) -> Value:
    """A constant: what is made from data may be anything, so that all its places are told apart."""
    if data:
        return inert(value.shape)
    if not value.any() if value.dtype.kind in "fiub" else False:
        return Value(value.shape, zero=True, content=value)
    grids = []
    for a in range(value.ndim):
        if value.shape[a] > 1 and not (value == value.take([0], a)).all():
            rows = np.moveaxis(value, a, 0).reshape(value.shape[a], -1)
            grids.append(Grid((a,), np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1), True))
    return Value(value.shape, tuple(grids), content=value)


def _overlap(grids: Sequence[Grid]) -> bool:
    axes = [a for g in grids for a in g.axes]
    return len(set(axes)) < len(axes)


def _single(system: System, ids: np.ndarray) -> bool:
    return all(len(system.table[int(e)]) <= 1 for e in np.unique(ids))
