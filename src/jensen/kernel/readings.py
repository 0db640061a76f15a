"""The kernel's two readings of a program: facts, and enclosures at points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from jensen.kernel import balls, ranges
from jensen.kernel.compose import to_floats
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import ALL, CONSTANT, UNDEFINED, Fact, constant, variable
from jensen.kernel.program import Linked, Node, fill, refs

BALLS = 2**25  # in one value: as many numbers as a certificate may hold

Leaf = Callable[[Node], Fact]
SMALL = 20_000


@dataclass(frozen=True)
class Leaves:
    """Facts of the leaves: asked blocks vary, the others are constants of any value, in their boxes."""

    tensors: Mapping[str, np.ndarray]
    asked: Sequence[str]
    boxes: Mapping[str, Any]
    cache: dict[tuple[str, str], Fact] = field(default_factory=dict)
    budget: list[int] = field(default_factory=lambda: [50 * SMALL])

    def __call__(self, node: Node) -> Fact:
        key = (node.op, node.args[0])
        if key not in self.cache:
            self.cache[key] = _leaf(node.op, node.args[0], self.tensors, self.asked, self.boxes)
        return self.cache[key]


leaf_facts = Leaves


def _leaf(
    op: str, name: str, tensors: Mapping[str, np.ndarray], asked: Sequence[str], boxes: Mapping[str, Any]
) -> Fact:
    if op == "block":
        lo, hi = boxes.get(name, (-np.inf, np.inf))
        r = ranges.make(float(np.min(lo)), float(np.max(hi)))
        return variable(r) if name in asked else constant(r)
    value = tensors[name]
    if value.size == 0:
        return constant((0.0, 0.0, False, False))
    lo, hi = value.min(), value.max()
    if value.dtype.kind in "iu" and max(abs(int(lo)), abs(int(hi))) >= 2**53:
        return constant(ranges.REALS)
    return constant((float(lo), float(hi), False, False))


def read_facts(linked: Linked, leaf: Leaf) -> list[Fact]:
    """One fact for each merged node; raises Unmodelled where an operation has no model."""
    out: list[Fact] = []
    append = out.append
    for i, node in enumerate(linked.nodes):
        if i >= len(linked.atoms):
            raise linked.unmodelled or Rejected(node.name, "a linked program", "the program is not linked")
        atom = linked.atoms[i]
        if atom is None:
            append(leaf(node))
            continue
        undefined = False
        known = True
        for j in linked.inputs[i]:
            f = out[j]
            undefined = undefined or f is UNDEFINED
            known = known and bool(f.bits & CONSTANT)
        if undefined:
            append(UNDEFINED)
            continue
        f = atom.facts(node.args, out, linked.shapes, i)
        if f is UNDEFINED and _sharpen(linked, leaf, i, out):
            f = atom.facts(node.args, out, linked.shapes, i)
        if known and f is not UNDEFINED and not f.bits & CONSTANT:
            f = constant(f.range)
        append(f)
    return out


def _sharpen(linked: Linked, leaf: Leaf, i: int, out: list[Fact]) -> bool:
    """Replace the ranges of a node's constant inputs by those of their values; whether any has changed.

    A sum of weights of which some are zero is positive, which the range of its terms does not show.
    """
    changed = False
    for j in linked.inputs[i]:
        values = _values_of_constant(linked, leaf, j) if isinstance(leaf, Leaves) and out[j].bits & CONSTANT else None
        if values is not None and linked.atoms[j] is not None:
            ends = [to_floats(v) for v in balls.real(values).ravel()]
            r = ranges.make(min(e[0] for e in ends), max(e[1] for e in ends))
            changed = changed or r != out[j].range
            out[j] = constant(ranges.intersect(r, out[j].range))
    return changed


def _values_of_constant(linked: Linked, leaf: Leaves, j: int) -> np.ndarray | None:
    """The enclosed values of a node that no block enters and that is small; None for others."""
    needed, stack, size = {j}, [j], prod(linked.shapes[j])
    while stack and size <= SMALL:
        i = stack.pop()
        size += prod(linked.shapes[i]) + 1
        if linked.nodes[i].op == "block":
            size = SMALL + 1
        for k in linked.inputs[i]:
            if k not in needed:
                needed.add(k)
                stack.append(k)
    leaf.budget[0] -= size
    if size > SMALL or leaf.budget[0] < 0 or not prod(linked.shapes[j]):
        return None
    values: dict[int, Any] = {}
    try:
        with balls.precision(balls.PRECISION):
            for k in sorted(needed):
                values[k] = node_value(linked, leaf.tensors, k, values, {})
    except Rejected:
        return None
    return values[j]


class Points:
    """Enclosures of a program's output at several points, computing once what the points share."""

    def __init__(
        self, linked: Linked, tensors: Mapping[str, np.ndarray], fixed: Mapping[str, np.ndarray], moved: set[str]
    ):
        sizes = [prod(s) for s in linked.shapes]
        if max(sizes) > BALLS or sum(sizes) > 32 * BALLS:
            raise Rejected(
                "program", "values that fit into memory", f"enclosures of {sum(sizes)} elements are too many"
            )
        self.linked, self.tensors, self.fixed, self.moved = linked, tensors, fixed, moved
        self.moving: list[bool] = []
        for node, inputs in zip(linked.nodes, linked.inputs, strict=True):
            is_moved = node.op == "block" and node.args[0] in moved
            self.moving.append(is_moved or any(self.moving[j] for j in inputs))
        self.shared: dict[int, Any] | None = None

    def value(self, point: Mapping[str, np.ndarray]) -> Any:
        """The output at one point, given the moved blocks as arrays of floats or balls."""
        if self.shared is None:
            self.shared = self._run({}, lambda i: not self.moving[i], {})
        values = self._run(dict(self.shared), lambda i: self.moving[i], point)
        return values[self.linked.output]

    def _run(
        self, values: dict[int, Any], select: Callable[[int], bool], point: Mapping[str, np.ndarray]
    ) -> dict[int, Any]:
        linked = self.linked
        last = _last_uses(linked)
        todo = [i for i in range(len(linked.nodes)) if select(i)]
        keep = {linked.output} | {j for i in range(len(linked.nodes)) if not select(i) for j in linked.inputs[i]}
        blocks = {**self.fixed, **point}
        for i in todo:
            values[i] = node_value(linked, self.tensors, i, values, blocks)
            for j in linked.inputs[i]:
                if last[j] == i and j not in keep:
                    values.pop(j, None)
        return values


def node_value(
    linked: Linked,
    tensors: Mapping[str, np.ndarray],
    i: int,
    values: Mapping[int, Any],
    point: Mapping[str, np.ndarray],
) -> Any:
    """One node's enclosure, from those of its inputs and the blocks' values."""
    node = linked.nodes[i]
    if node.op == "block":
        return balls.from_array(point[node.args[0]])
    if node.op == "const":
        return balls.from_array(tensors[node.args[0]])
    try:
        out = linked.atoms[i].balls(*fill(node.args, values))
    except Rejected as e:
        raise type(e)(node.name, e.rule, e.why) from None
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as e:
        raise Rejected(node.name, "a defined value", f"{node.op} has no enclosure here: {e}") from None
    if out.shape != linked.shapes[i]:
        raise Rejected(node.name, "shapes agree", f"value of shape {out.shape}, inferred {linked.shapes[i]}")
    return out


def _last_uses(linked: Linked) -> list[int]:
    last = [-1] * len(linked.nodes)
    for i, inputs in enumerate(linked.inputs):
        for j in inputs:
            last[j] = i
    return last


def depends_on(linked: Linked) -> set[str]:
    """Names of the blocks that the output uses."""
    return {n.args[0] for n in linked.nodes if n.op == "block"}


def blame(linked: Linked, out: Sequence[Fact], bit: int) -> int:
    """The node at which a wanted property is lost: the deepest one lacking it all of whose inputs are fine.

    Walks from the output through inputs of unknown curvature to one whose inputs all have some.
    """
    i = linked.output
    while True:
        worse = [j for j in linked.inputs[i] if _lost(out[j], bit)]
        if not worse:
            return i
        i = worse[0]


def _lost(f: Fact, bit: int) -> bool:
    return f is UNDEFINED or not f.bits & (ALL if bit == 0 else 3)


def node_refs(node: Node) -> list[int]:
    """The nodes that a node's arguments name, in order and without repetition."""
    return list(dict.fromkeys(refs(node.args)))
