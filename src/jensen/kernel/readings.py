"""The reading of facts, and the enclosure of one node, on which the other reading (claims/points.py) is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jensen.kernel import balls
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, constant
from jensen.kernel.program import Linked, Node, fill


class Leaf(Protocol):
    """What a claim says of the leaves; see claims/leaves.py."""

    def __call__(self, node: Node) -> Fact: ...

    def sharpen(self, linked: Linked, i: int, out: list[Fact]) -> bool:
        """Narrow the ranges of a node's constant inputs where more is known of them; whether any has changed."""
        ...


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
        if f is UNDEFINED and leaf.sharpen(linked, i, out):
            f = atom.facts(node.args, out, linked.shapes, i)
        if known and f is not UNDEFINED and not f.bits & CONSTANT:
            f = constant(f.range)
        append(f)
    return out


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
