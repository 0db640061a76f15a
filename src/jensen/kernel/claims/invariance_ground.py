"""What stays where it is: a linked program's constants, and along which axes a value is the same."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.claims.invariance_moves import LARGE, coordinate, depends, slim
from jensen.kernel.program import Linked, Ref, fill

PRODUCTS = {"aten.linear.default", "aten.matmul.default", *(f"aten.conv{n}d.default" for n in (1, 2, 3))}


class Ground:
    """A program with its constants; what it says holds for all values of the blocks.

    Attributes:
        read: Names of the constants whose entries were looked at.
        users: The nodes that read each node.
        same: Nodes in whose place another is read; see invariance_frames.py.
    """

    def __init__(self, linked: Linked, tensors: Mapping[str, np.ndarray], seen: Mapping[str, Any], atoms: Any):
        self.linked, self.acts, self.natures = linked, atoms.acts, atoms.natures
        self.read: set[str] = set()
        self.same: Mapping[int, int] = {}
        self.users: dict[int, list[int]] = {i: [] for i in range(len(linked.nodes))}
        for i, inputs in enumerate(linked.inputs):
            for j in inputs:
                self.users[j].append(i)
        self._tensors = tensors
        self.seen = seen
        self._free: dict[int, frozenset[int]] = {}
        self._values: dict[int, np.ndarray | None] = {}
        self.zeros: set[int] = set()
        for i in range(len(linked.nodes)):
            if self._vanishes(i):
                self.zeros.add(i)

    def value(self, i: int) -> np.ndarray | None:
        """A constant's entries, also of one that is moved about; None for anything else."""
        if i not in self._values:
            self._values[i] = self._value(i)
        return self._values[i]

    def _value(self, i: int) -> np.ndarray | None:
        node, atom = self.linked.nodes[i], self.linked.atoms[i]
        if node.op == "const":
            self.read.add(node.args[0])
            return self._tensors[node.args[0]]
        if atom is None or not self.structural(i) or prod(self.linked.shapes[i]) > LARGE:
            return None
        inner = {j: self.value(j) for j in self.linked.inputs[i]}
        return None if any(v is None for v in inner.values()) else atom.balls(*fill(node.args, inner))

    def structural(self, i: int) -> bool:
        """Whether a node only moves, copies or drops entries of its first argument, at places that are constants."""
        node, atom = self.linked.nodes[i], self.linked.atoms[i]
        return bool(
            atom is not None and atom.moves and node.args and type(node.args[0]) is Ref and node.op != "aten.where.self"
        )

    def is_map(self, i: int) -> bool:
        """Whether a node works entry by entry, its arguments broadcast."""
        act, atom = self.acts.get(self.linked.nodes[i].op), self.linked.atoms[i]
        return (act is not None and act.form == "map") or (atom is not None and atom.row is not None)

    def zero(self, i: int) -> bool:
        """Whether a value is 0 everywhere, whatever the blocks."""
        return i in self.zeros

    def _vanishes(self, i: int) -> bool:
        node = self.linked.nodes[i]
        if node.op in ("block", "const"):
            return node.op == "const" and self.seen[node.args[0]].lo == self.seen[node.args[0]].hi == 0
        zero = [(type(a) is Ref and a.index in self.zeros) or (type(a) in (int, float) and a == 0) for a in node.args]
        law = self.acts[node.op].law if node.op in self.acts else ""
        if node.op in PRODUCTS:
            return any(zero[:2]) and (len(node.args) < 3 or node.args[2] is None or zero[2])
        if law == "product":
            return any(zero)
        if law == "sum" and self.is_map(i):
            return all(zero)
        if self.structural(i):
            return zero[0]
        row, rule = getattr(self.linked.atoms[i], "row", None), self.natures.get(node.op)
        if row is None or rule is None or not zero[0]:
            return False
        nature, domain = rule(*node.args[1:]), row(*node.args[1:]).domain
        return domain[0] < 0.0 < domain[1] and (nature.parity == 1 or bool(nature.degree))

    def free(self, i: int) -> frozenset[int]:
        """Axes along which a value does not change, whatever the blocks."""
        if i in self.same:
            return self.free(self.same[i])
        if i not in self._free:
            self._free[i] = self._unchanging(i)
        return self._free[i]

    def _unchanging(self, i: int) -> frozenset[int]:
        node, shape = self.linked.nodes[i], self.linked.shapes[i]
        one = {a for a, n in enumerate(shape) if n == 1}
        if node.op == "block" or i in self.zeros:
            return frozenset(one if node.op == "block" else range(len(shape)))
        v = self.value(i)
        if v is not None:
            return frozenset({a for a, n in enumerate(slim(v).shape) if n == 1})
        if self.structural(i):
            return frozenset(one | self._along_moves(i))
        if self.is_map(i):
            inner = [self._widened(j, len(shape)) for j in self.linked.inputs[i]]
            return frozenset(one | set.intersection(*inner)) if inner else frozenset(one)
        return frozenset(one)

    def _widened(self, j: int, ndim: int) -> set[int]:
        lead = ndim - len(self.linked.shapes[j])
        return {*range(lead), *(a + lead for a in self.free(j))}

    def _along_moves(self, i: int) -> set[int]:
        """Axes of a moved value on which no coordinate of its source depends, but those along which that does not change."""
        node, shape = self.linked.nodes[i], self.linked.shapes[i]
        j = node.args[0].index
        if prod(shape) > LARGE or len(self.linked.inputs[i]) > 1:
            return set()
        own, free = self.linked.shapes[j], self.free(j)
        f, rest = self.linked.atoms[i].balls, node.args[1:]
        moved: set[int] = set()
        for a in range(len(own)):
            if a not in free:
                moved |= depends(slim(f(np.broadcast_to(coordinate(own, a), own), *rest)))
        return set(range(len(shape))) - moved
