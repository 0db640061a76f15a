"""Facts of the leaves, as a claim has them: asked blocks vary, the others take any value, constants have their ranges.

Terms that share a program can be read all at once, with ranges that hold for every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from jensen.kernel import balls, ranges
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONSTANT, Fact, constant, variable
from jensen.kernel.program import Linked, Node, Problem, Seen, see
from jensen.kernel.readings import node_value

SMALL = 20_000


@dataclass(frozen=True)
class Leaves:
    """Facts of one term's leaves; ``seen`` is what is known of its tensors already."""

    tensors: Mapping[str, np.ndarray]
    asked: Sequence[str]
    boxes: Mapping[str, Any]
    seen: Mapping[str, Seen] | None = None
    cache: dict[tuple[str, str], Fact] = field(default_factory=dict)
    budget: list[int] = field(default_factory=lambda: [50 * SMALL])

    def __call__(self, node: Node) -> Fact:
        key = (node.op, node.args[0])
        if key not in self.cache:
            self.cache[key] = self._fact(node.op, node.args[0])
        return self.cache[key]

    def _fact(self, op: str, name: str) -> Fact:
        if op == "block":
            return block_fact(name, self.asked, self.boxes)
        return range_fact(self.seen[name] if self.seen is not None else see(self.tensors[name]))

    def sharpen(self, linked: Linked, i: int, out: list[Fact]) -> bool:
        """Replace the ranges of a node's constant inputs by those of their values; whether any has changed.

        A sum of weights of which some are zero is positive, which the range of its terms does not show.
        """
        changed = False
        for j in linked.inputs[i]:
            values = _values_of_constant(linked, self, j) if out[j].bits & CONSTANT else None
            if values is not None and linked.atoms[j] is not None:
                ends = [balls.to_floats(v) for v in balls.real(values).ravel()]
                r = ranges.make(min(e[0] for e in ends), max(e[1] for e in ends))
                changed = changed or r != out[j].range
                out[j] = constant(ranges.intersect(r, out[j].range))
        return changed


def leaves(problem: Problem, k: int, asked: Sequence[str], boxes: Mapping[str, Any]) -> Leaves:
    """Facts of the leaves of one term."""
    return Leaves(problem.terms[k].tensors, asked, boxes, problem.seen(k))


@dataclass(frozen=True)
class Group:
    """Terms that share one linked program, and the extremes of its constants over all of them."""

    linked: Linked
    terms: tuple[int, ...]
    hull: Mapping[str, Seen]


def groups(problem: Problem, atoms: Any) -> tuple[Group, ...]:
    """The terms by their linked programs."""
    alike: dict[int, list[int]] = {}
    for k in range(len(problem.terms)):
        alike.setdefault(id(problem.linked(k, atoms)), []).append(k)
    return tuple(Group(problem.linked(ks[0], atoms), tuple(ks), _hull(problem, ks)) for ks in alike.values())


def _hull(problem: Problem, ks: Sequence[int]) -> Mapping[str, Seen]:
    first = problem.seen(ks[0])
    if len(ks) == 1:
        return first
    every = [problem.seen(k) for k in ks]
    return {
        n: s._replace(lo=np.min([e[n].lo for e in every]), hi=np.max([e[n].hi for e in every]))
        for n, s in first.items()
    }


@dataclass(frozen=True)
class GroupLeaves:
    """Facts of the leaves that hold for every term of a group."""

    group: Group
    asked: Sequence[str]
    boxes: Mapping[str, Any]

    def __call__(self, node: Node) -> Fact:
        name = node.args[0]
        return block_fact(name, self.asked, self.boxes) if node.op == "block" else range_fact(self.group.hull[name])

    def sharpen(self, linked: Linked, i: int, out: list[Fact]) -> bool:
        """No: the terms' values differ."""
        return False


def block_fact(name: str, asked: Sequence[str], boxes: Mapping[str, Any]) -> Fact:
    """A block that is asked about varies, unless its box is a point; any other is a constant of any value in its box."""
    lo, hi = boxes.get(name, (-np.inf, np.inf))
    r = ranges.make(float(np.min(lo)), float(np.max(hi)))
    return variable(r) if name in asked and not np.array_equal(lo, hi) else constant(r)


def range_fact(seen: Seen) -> Fact:
    """A constant between its extremes."""
    if seen.dtype.kind in "iu" and max(abs(int(seen.lo)), abs(int(seen.hi))) >= 2**53:
        return constant(ranges.REALS)
    return constant((float(seen.lo), float(seen.hi), False, False))


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
