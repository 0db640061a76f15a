"""Where a shift of a value goes: what kills it, and which biases can take it up.

A shift adds ``c[i]`` to every place of a value that belongs to component i. Following it through the program tells which c
leave the cost alone: differences from a mean and softmax kill what is constant along their axes, and a bias behind a linear
reader (or added to the same sum) can take the rest up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jensen.ask.symmetry.system import Links
from jensen.kernel.program import Linked, Ref, fill

LAYERS = ("aten.linear.default", *(f"aten.conv{n}d.default" for n in (1, 2, 3)))
LOOKUPS = ("aten.index.Tensor", "aten.index_select.default", "aten.gather.default", "jensen.take")
SOFTMAX = ("aten.softmax.int", "aten.log_softmax.int", "jensen.masked_softmax")


@dataclass(frozen=True, eq=False)
class Delivery:
    """A parameter's entries as they arrive, after moves alone, at an operation: which entry stands at each place."""

    node: int
    arg: int
    entries: np.ndarray


@dataclass(frozen=True, eq=False)
class Taken:
    """What takes a shift up: at ``node``, entries of ``target`` for components, times ``source`` entries where there is one.

    ``triples`` are rows (component, entry of the source or -1, entry of the target).
    """

    node: int
    target: str
    source: str | None
    factor: float
    triples: np.ndarray


@dataclass
class State:
    """Components that must be equal, components that must be 0, and what takes the others up."""

    n: int
    carry: bool
    free: bool = False  # the shift may differ from place to place beyond its component
    links: Links = field(init=False)
    dead: set[int] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.links = Links(self.n)

    def kill(self, where: np.ndarray) -> None:
        """These components must be 0."""
        self.dead.update(int(i) for i in np.unique(where) if i >= 0)

    def cells(self) -> dict[int, list[int]]:
        """Components that are equal, without those that are 0."""
        gone = {self.links.find(i) for i in self.dead}
        out: dict[int, list[int]] = {}
        for i in range(self.n):
            root = self.links.find(i)
            if root not in gone:
                out.setdefault(root, []).append(i)
        return out


def thin(*arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays of one shape without the axes along which none of them changes."""
    first = arrays[0]
    index = tuple(
        slice(0, 1) if all(a.strides[k] == 0 for a in arrays) and first.shape[k] else slice(None)
        for k in range(first.ndim)
    )
    return [a[index] for a in arrays]


def numbered(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Each place's position along one axis."""
    return np.broadcast_to(np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)


def unravelled(flat: np.ndarray, shape: Sequence[int]) -> list[np.ndarray]:
    """The coordinates of flat positions, each in the shape of these.

    numpy's own function is wrong beyond 8,192 of them where their last axis has length 1 (2.4.6).
    """
    return [c.reshape(flat.shape) for c in np.unravel_index(flat.reshape(-1), shape)]


def constant_along(where: np.ndarray, axes: Sequence[int]) -> bool:
    """Whether an array does not change along some axes."""
    return all(
        where.shape[a] == 1
        or where.strides[a] == 0
        or bool((where == where[(slice(None),) * (a % where.ndim) + (slice(0, 1),)]).all())
        for a in axes
    )


class Flow:
    """A program with its users and its parameters' deliveries; ``same`` names nodes that stand for an earlier one (see frames).

    ``fixed`` are constants that are no data, by name: with their help entries that they look up are known to be moved.
    """

    def __init__(self, linked: Linked, same: dict[int, int], fixed: Mapping[str, np.ndarray] | None = None):
        self.linked, self.same, self.fixed = linked, same, fixed or {}
        self.users: list[list[int]] = [[] for _ in linked.nodes]
        for k, inputs in enumerate(linked.inputs):
            for j in inputs:
                self.users[j].append(k)
        self.deliveries: dict[str, list[Delivery]] = {}
        self._effects: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.origin: dict[int, tuple[str, np.ndarray]] = {}  # nodes that are a moved parameter
        for i, node in enumerate(linked.nodes):
            if node.op == "block":
                shape = tuple(linked.shapes[i])
                self._deliver(i, node.args[0], np.arange(int(np.prod(shape))).reshape(shape))

        self.tables = frozenset(
            n
            for n, ds in self.deliveries.items()
            if any(linked.nodes[d.node].op == "aten.embedding.default" and d.arg == 0 for d in ds)
        )

    def _deliver(self, i: int, name: str, entries: np.ndarray) -> None:
        out = self.deliveries.setdefault(name, [])
        self.origin[i] = (name, entries)
        for k in self.users[i]:
            if self._moves(k):
                self._deliver(k, name, self.move(k, entries))
            else:
                out += [
                    Delivery(k, p, entries)
                    for p, a in enumerate(self.linked.nodes[k].args)
                    if (type(a) is Ref and a.index == i) or (type(a) in (list, tuple) and Ref(i) in a)
                ]

    def _moves(self, k: int) -> bool:
        atom, args = self.linked.atoms[k], self.linked.nodes[k].args
        if k in self.same or (
            atom is not None and atom.moves and len(self.linked.inputs[k]) == 1 and type(args[0]) is Ref
        ):
            return True
        return self.linked.nodes[k].op in LOOKUPS and type(args[0]) is Ref and self._lookup(k) is not None

    def _lookup(self, k: int) -> dict[int, np.ndarray] | None:
        """What stands at the places that a lookup names, where these are constants and no data."""
        found = {}
        for j in self.linked.inputs[k]:
            node = self.linked.nodes[j]
            if Ref(j) == self.linked.nodes[k].args[0]:
                continue
            if node.op != "const" or node.args[0] not in self.fixed:
                return None
            found[j] = self.fixed[node.args[0]]
        return found

    def move(self, k: int, where: np.ndarray) -> np.ndarray:
        """An array moved as the operation moves its input."""
        if k in self.same:
            return where
        args = self.linked.nodes[k].args[1:]
        if self.linked.nodes[k].op in LOOKUPS:
            args = fill(args, self._lookup(k) or {})
        return self.linked.atoms[k].balls(where, *args)

    def args(self, k: int) -> tuple[Any, ...]:
        return self.linked.nodes[k].args

    def arg(self, k: int, p: int) -> Any:
        args = self.args(k)
        return args[p] if len(args) > p else None

    def shape(self, k: int) -> tuple[int, ...]:
        return tuple(self.linked.shapes[k])

    def is_mean_of(self, m: Any, v: int) -> tuple[int, ...] | None:
        """The axes where m is the mean of v with its axes kept."""
        if type(m) is not Ref or self.linked.nodes[m.index].op != "aten.mean.dim":
            return None
        args = self.args(m.index)
        if args[0] != Ref(v) or len(args) < 3 or not args[2]:
            return None
        n = len(self.shape(v))
        dims = args[1] if args[1] is not None else range(n)
        return tuple(d % n for d in ((dims,) if isinstance(dims, int) else dims)) or tuple(range(n))

    def only_add(self, k: int) -> tuple[int, str, np.ndarray] | None:
        """A parameter that is added to node k and nothing else done with it: the sum's node, block and entries there."""
        if len(self.users[k]) != 1 or self.linked.nodes[self.users[k][0]].op != "aten.add.Tensor":
            return None
        n = self.users[k][0]
        others = [a for a in self.args(n) if type(a) is Ref and a.index != k]
        if len(others) != 1 or others[0].index not in self.origin:
            return None
        name, entries = self.origin[others[0].index]
        return n, name, np.broadcast_to(entries, self.shape(n))

    def sourced(self, o: int) -> tuple[str, np.ndarray] | None:
        """A bias whose entries are added to the places of node o: its block, and which entry stands at each place."""
        if o in self.origin:
            return self.origin[o]
        node = self.linked.nodes[o]
        if node.op == "block":
            return None
        if self._moves(o):
            inner = self.sourced(self.linked.inputs[o][0])
            return None if inner is None else (inner[0], self.move(o, inner[1]))
        if node.op == "aten.embedding.default" and node.args[0].index in self.origin:
            name, entries = self.origin[node.args[0].index]
            return name, np.broadcast_to(entries[0], self.shape(o))
        at = self.arg(o, 2) if node.op in LAYERS else None
        if type(at) is not Ref or at.index not in self.origin:
            return None
        name, entries = self.origin[at.index]
        return name, self.bias_places(o, entries)

    def effects(self, name: str) -> list[tuple[int, np.ndarray]]:
        """Operations that a bias's entries reach after layers that add them and moves, with the entries at the places there."""
        if name not in self._effects:
            out: list[tuple[int, np.ndarray]] = []
            for d in self.deliveries.get(name, []):
                node = self.linked.nodes[d.node]
                if node.op == "aten.embedding.default" and d.arg == 0:
                    self._reach(d.node, np.broadcast_to(d.entries[0], self.shape(d.node)), out)
                elif node.op in LAYERS and d.arg == 2:
                    self._reach(d.node, self.bias_places(d.node, d.entries), out)
                else:
                    out.append((d.node, d.entries))
            self._effects[name] = out
        return self._effects[name]

    def _reach(self, i: int, entries: np.ndarray, out: list[tuple[int, np.ndarray]]) -> None:
        for k in self.users[i]:
            if self._moves(k):
                self._reach(k, self.move(k, entries), out)
            else:
                out.append((k, entries))

    def terminals(self, name: str, entries: np.ndarray) -> frozenset[int]:
        """Operations that these entries reach."""
        own = np.unique(entries)
        return frozenset(k for k, e in self.effects(name) if np.isin(np.unique(e), own).any())

    def bias_places(self, k: int, entries: np.ndarray) -> np.ndarray:
        """A layer's bias entries over the places of its result."""
        shape = self.shape(k)
        if self.linked.nodes[k].op == "aten.linear.default":
            return np.broadcast_to(entries, shape)
        nd = len(self.linked.shapes[self.args(k)[1].index]) - 2
        return np.broadcast_to(entries.reshape(-1, *(1,) * nd), shape)
