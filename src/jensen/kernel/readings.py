"""The reading of facts, and the enclosure of one node, on which the other reading (claims/points.py) is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from jensen.kernel import balls, ranges
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, constant, variable
from jensen.kernel.program import Group, Linked, Node, Problem, Seen, fill, see

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
    seen: Mapping[str, Seen] | None = None  # what is known of the tensors already

    def __call__(self, node: Node) -> Fact:
        key = (node.op, node.args[0])
        if key not in self.cache:
            self.cache[key] = self._fact(node.op, node.args[0])
        return self.cache[key]

    def _fact(self, op: str, name: str) -> Fact:
        if op == "block":
            return block_fact(name, self.asked, self.boxes)
        return range_fact(self.seen[name] if self.seen is not None else see(self.tensors[name]))


leaf_facts = Leaves


def leaves(problem: Problem, k: int, asked: Sequence[str], boxes: Mapping[str, Any]) -> Leaves:
    """Facts of the leaves of one term."""
    return Leaves(problem.terms[k].tensors, asked, boxes, seen=problem.seen(k))


def leaves_of_all(group: Group, asked: Sequence[str], boxes: Mapping[str, Any]) -> Leaf:
    """Facts of the leaves that hold for every term of a group."""
    return lambda n: block_fact(n.args[0], asked, boxes) if n.op == "block" else range_fact(group.hull[n.args[0]])


def block_fact(name: str, asked: Sequence[str], boxes: Mapping[str, Any]) -> Fact:
    """A block that is asked about varies; any other one is a constant of any value in its box."""
    lo, hi = boxes.get(name, (-np.inf, np.inf))
    r = ranges.make(float(np.min(lo)), float(np.max(hi)))
    return variable(r) if name in asked else constant(r)


def range_fact(seen: Seen) -> Fact:
    """A constant between its extremes."""
    if seen.dtype.kind in "iu" and max(abs(int(seen.lo)), abs(int(seen.hi))) >= 2**53:
        return constant(ranges.REALS)
    return constant((float(seen.lo), float(seen.hi), False, False))


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
            ends = [balls.to_floats(v) for v in balls.real(values).ravel()]
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
