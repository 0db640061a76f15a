"""What the axes reading carries along: for each value, which units its places belong to, and its characters.

A grid says of some axes of a value which unit each place on them belongs to. An inert grid gives labels instead: places
that the data, or a constant, tells apart. Axes in no grid do not matter: the value is treated alike along them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]
Axes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Grid:
    """Integers over some axes, in increasing order: units, labels or characters."""

    axes: Axes
    ids: np.ndarray
    inert: bool = False


@dataclass(frozen=True, eq=False)
class Value:
    """One value of the program.

    Attributes:
        shape: Its shape.
        grids: Units and labels.
        scale, sign: Characters; the character of an entry is the sum over these grids.
        zero: It is 0 whatever the parameters: any character fits it.
        block: The parameter that it is, moved about at most.
        facts: ``squares`` of another value; ``products`` of two, to be summed.
        content: Of a constant that is no data, its entries.
    """

    shape: Shape
    grids: tuple[Grid, ...] = ()
    scale: tuple[Grid, ...] = ()
    sign: tuple[Grid, ...] = ()
    zero: bool = False
    block: str | None = None
    facts: frozenset[str] = frozenset()
    content: np.ndarray | None = None

    @property
    def units(self) -> tuple[Grid, ...]:
        return tuple(g for g in self.grids if not g.inert)

    @property
    def labels(self) -> tuple[Grid, ...]:
        return tuple(g for g in self.grids if g.inert)


def spread(grid: Grid, shape: Shape) -> np.ndarray:
    """A grid over the whole value, without using memory for it."""
    own = [1] * len(shape)
    for a, n in zip(grid.axes, grid.ids.shape, strict=True):
        own[a] = n
    return np.broadcast_to(grid.ids.reshape(own), shape)


def over(grid: Grid, axes: Axes) -> np.ndarray:
    """A grid's integers as an array whose axes are the given ones (1 where the grid does not depend on one)."""
    own = [grid.ids.shape[grid.axes.index(a)] if a in grid.axes else 1 for a in axes]
    return grid.ids.reshape(own)


def gathered(full: np.ndarray, inert: bool = False) -> Grid:
    """The grid of an array over a whole value: axes along which it does not change are left out."""
    if not full.size:
        return Grid((), np.zeros((), dtype=np.int64), inert)
    axes = []
    for a in range(full.ndim):
        first = full.take([0], a) if full.shape[a] else full
        if full.shape[a] > 1 and full.strides[a] != 0 and not (full == first).all():
            axes.append(a)
        elif full.shape[a] > 1:
            full = first
    keep = tuple(axes)
    ids = full.reshape([n for a, n in enumerate(full.shape) if a in keep])
    return Grid(keep, ids.copy(), inert)


def moved(value: Value, move: Callable[[np.ndarray], np.ndarray], shape: Shape) -> Value:
    """The value after its entries were moved, copied or dropped."""

    def go(grids: Sequence[Grid]) -> tuple[Grid, ...]:
        out = (gathered(move(spread(g, value.shape)), g.inert) for g in grids)
        return tuple(g for g in out if g.axes or not g.inert)

    units = tuple(g for g in go(value.grids) if g.axes)
    return Value(shape, units, go(value.scale), go(value.sign), value.zero, value.block, value.facts)


def renamed(value: Value, axes: Sequence[int], shape: Shape) -> Value:
    """The same value in a larger space: axis k becomes ``axes[k]``; those of size 1 that are repeated there are -1."""

    def go(grids: Sequence[Grid]) -> tuple[Grid, ...]:
        return tuple(_placed(g, axes) for g in grids)

    units = tuple(g for g in go(value.grids) if g.axes)
    return Value(shape, units, go(value.scale), go(value.sign), value.zero, value.block, value.facts)


def _placed(grid: Grid, axes: Sequence[int]) -> Grid:
    keep = [k for k, a in enumerate(grid.axes) if axes[a] >= 0]
    gone = tuple(k for k in range(len(grid.axes)) if k not in keep)
    ids = grid.ids.squeeze(gone) if gone else grid.ids
    names = [axes[grid.axes[k]] for k in keep]
    order = sorted(range(len(names)), key=names.__getitem__)
    return Grid(tuple(names[i] for i in order), ids.transpose(order), grid.inert)


def joined(grids: Sequence[Grid]) -> list[list[Grid]]:
    """Grids in groups that share axes."""
    groups: list[tuple[set[int], list[Grid]]] = []
    for g in grids:
        own = set(g.axes)
        touching = [x for x in groups if x[0] & own]
        for x in touching:
            own |= x[0]
        members = [m for x in touching for m in x[1]] + [g]
        groups = [x for x in groups if x not in touching] + [(own, members)]
    return [members for _, members in groups]
