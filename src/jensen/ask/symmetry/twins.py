"""Equal parts of a program: nodes that an exchange of blocks may exchange.

Colour refinement (Weisfeiler and Leman 1968) on the program's graph, up and down, in which sums, products, joined and sliced parts
may come in any order. Blocks of one colour are twins. Told apart from its twins, one of them tells what belongs to it: two runs,
each with another twin told apart, give the exchange. Whatever it gives is tried before it is believed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import Flow
from jensen.kernel.program import Node, Ref, refs

ROUNDS = 6
COMMUTE = ("aten.add.Tensor", "aten.mul.Tensor", "aten.maximum.default", "aten.minimum.default")
JOINED = ("aten.cat.default", "aten.stack.default")
PARTS = ("aten.slice.Tensor", "aten.select.int")


class Twins:
    """The graph of a program; ``colours`` are comparable between runs."""

    def __init__(self, flow: Flow, tensors: Mapping[str, np.ndarray], data: frozenset[str]):
        self.flow = flow
        self.names: dict[Any, int] = {}
        self.inputs = _summed(flow)
        self.users: list[list[tuple[int, int]]] = [[] for _ in self.inputs]
        for k, own in enumerate(self.inputs):
            for p, j in enumerate(own):
                self.users[j].append((k, 0 if self._any(k) else p))
        self._kinds = [self._kind(i, tensors, data) for i in range(len(self.inputs))]
        self.blocks = {n.args[0]: i for i, n in enumerate(flow.linked.nodes) if n.op == "block"}
        self._kept: dict[int | None, list[int]] = {}
        self.stands: list[Any] | None = None  # what exchanges count of the units, once

    def _any(self, i: int) -> bool:
        """Whether the order of a node's inputs counts for nothing."""
        return self.flow.linked.nodes[i].op in (*COMMUTE, *JOINED)

    def _name(self, key: Any) -> int:
        return self.names.setdefault(key, len(self.names))

    def _kind(self, i: int, tensors: Mapping[str, np.ndarray], data: frozenset[str]) -> int:
        node, shape = self.flow.linked.nodes[i], self.flow.shape(i)
        if node.op == "block":
            return self._name(("block", len(shape)))
        if node.op == "const":
            name = node.args[0]
            value = np.ascontiguousarray(tensors[name]) if name not in data else None
            return self._name(("const", name if value is None else (value.shape, value.dtype.str, value.tobytes())))
        if i in self.flow.same:
            return self._name("same")
        args = () if node.op in (*JOINED, *COMMUTE) else _plain(node.args[:2] if node.op in PARTS else node.args)
        numbers = tuple(a for a in node.args if type(a) is not Ref and node.op in COMMUTE)
        dim = node.args[1:] if node.op in JOINED else ()
        return self._name((node.op, args, numbers, dim, len(shape), i == self.flow.linked.output))

    def colours(self, told: int | None = None) -> list[int]:
        """Of all nodes, one of them told apart."""
        if told not in self._kept:
            colour = list(self._kinds)
            if told is not None:
                colour[told] = self._name(("told", colour[told]))
            count = 0
            for _ in range(ROUNDS):
                colour = self._round(colour)
                if len(set(colour)) == count:
                    break
                count = len(set(colour))
            self._kept[told] = colour
        return self._kept[told]

    def _round(self, colour: Sequence[int]) -> list[int]:
        up: list[int] = []
        for i, own in enumerate(self.inputs):
            below = [up[j] for j in own]
            up.append(self._name(("up", colour[i], tuple(sorted(below) if self._any(i) else below))))
        down = list(up)
        for i in reversed(range(len(up))):
            down[i] = self._name(("down", up[i], tuple(sorted((down[k], p) for k, p in self.users[i]))))
        return down

    def classes(self) -> list[list[str]]:
        """Blocks of one colour, where there are several."""
        colour = self.colours()
        found: dict[int, list[str]] = defaultdict(list)
        for name, i in self.blocks.items():
            found[colour[i]].append(name)
        return [own for own in found.values() if len(own) > 1]

    def exchange(self, a: str, b: str) -> dict[int, int] | None:
        """Where each node goes when a goes to b; None where their surroundings differ."""
        return matched(*(dict(enumerate(self.colours(self.blocks[n]))) for n in (a, b)))


def matched(left: Mapping[int, int], right: Mapping[int, int]) -> dict[int, int] | None:
    """Things of one colour on the left to things of it on the right: to themselves where they may, the others in order."""
    a, b = defaultdict(list), defaultdict(list)
    for colours, to in ((left, a), (right, b)):
        for thing, c in colours.items():
            to[c].append(thing)
    if {c: len(v) for c, v in a.items()} != {c: len(v) for c, v in b.items()}:
        return None
    out: dict[int, int] = {}
    for c, own in a.items():
        there = set(b[c])
        stay = there.intersection(own)
        out.update({t: t for t in stay})
        out.update(zip((t for t in own if t not in stay), (t for t in b[c] if t not in stay), strict=True))
    return out


def _plain(args: Sequence[Any]) -> Any:
    """Arguments without references."""
    return tuple("ref" if type(a) is Ref else _plain(a) if type(a) is tuple else a for a in args)


def _summed(flow: Flow) -> list[tuple[int, ...]]:
    """Inputs of each node, sums of sums (products of products) taken as one; the nodes inside of these have none."""
    nodes = flow.linked.nodes
    inner = {
        i
        for i, n in enumerate(nodes)
        if n.op in COMMUTE and len(flow.users[i]) == 1 and nodes[flow.users[i][0]].op == n.op and _neutral(n)
    }
    whole: list[tuple[int, ...]] = []
    for i, node in enumerate(nodes):
        own = (flow.same[i],) if i in flow.same else tuple(refs(node.args))
        whole.append(tuple(x for j in own for x in (whole[j] if j in inner and nodes[j].op == node.op else (j,))))
    return [() if i in inner else own for i, own in enumerate(whole)]


def _neutral(node: Node) -> bool:
    """Whether there is no number in a sum (in a product) that is felt."""
    idle = 0 if node.op == "aten.add.Tensor" else 1 if node.op == "aten.mul.Tensor" else None
    return all(type(a) is Ref or a == idle for a in node.args)
