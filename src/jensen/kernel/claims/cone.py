"""A function of one real variable, as elementwise operations over one value: its kinks, and enclosures between them.

Operations branch: relu, clamp, max, a choice by comparison. Where one branches on a value that is an affine function
of the variable, the exact point of the branch divides the interval. On each part every such branch is decided, and
what is left is smooth. Elsewhere a branch is taken only where an enclosure keeps strictly to one side of it, so that
two closed pieces that meet take the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite
from typing import Any, NamedTuple

from jensen.kernel.claims import jets
from jensen.kernel.claims.jets import ZERO, Jet
from jensen.kernel.claims.pieces import (
    ARITHMETIC,
    COMPARISONS,
    EXTREMES,
    LOGIC,
    Form,
    combined,
    inside,
    piece_of,
    truth_of,
)
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Node, Ref
from jensen.kernel.ranges import Range

Way = Mapping[int, int]
PARTS = 16
HERE: dict[int, int] = {}  # no branch is decided: a single point, where ties are no ambiguity


class Part(NamedTuple):
    """An interval between kinks, and which way each branch goes there."""

    range: Range
    way: Way


@dataclass(frozen=True)
class Cone:
    """The operations between ``root`` (excluded) and ``top``, in order; the numbers that enter; and what is known of
    the operations: derivatives, and the pieces (end, slope, constant) of the piecewise linear ones."""

    nodes: Mapping[int, Node]
    root: int
    top: int
    numbers: Mapping[int, float]
    atoms: Any
    work: list[int]

    def jumps(self) -> bool:
        """Whether it may be discontinuous."""
        return any(n.op in COMPARISONS for n in self.nodes.values())

    def parts(self, r: Range) -> list[Part]:
        """An interval divided at the points where an operation branches; nothing where one of them is no float."""
        todo, done = [r], list[Part]()
        while todo:
            part = todo.pop()
            found = self._decide(part[0], part[1])
            if found is None or len(done) + len(todo) >= PARTS:
                return []
            if not isinstance(found, dict):
                todo += [(found, part[1], False, part[3]), (part[0], found, part[2], False)]
            else:
                done.append(Part(part, found))
        return done

    def _decide(self, lo: float, hi: float) -> dict[int, int] | float | None:
        """Which way each branch goes between two points, or a point between them where one turns, if it is a float."""
        forms: dict[int, Form | None] = {self.root: (Fraction(1), Fraction(0))}
        way: dict[int, int] = {}
        for i, node in self.nodes.items():
            args = [self._form(a, forms) for a in node.args]
            table, x = self._table(node), args[0]
            if node.op in COMPARISONS or node.op in EXTREMES:
                x, turns = combined("aten.sub.Tensor", args), [Fraction(0)]
            elif table is None or x is None:
                chosen = self._chosen(node, way)
                forms[i] = combined(node.op, args) if chosen is None else args[chosen]
                continue
            else:
                turns = [Fraction(end) for end, _, _ in table[:-1]]
            if x is None:
                continue
            for t in turns:
                at = (t - x[1]) / x[0] if x[0] else None
                if at is not None and lo < at < hi:
                    return float(at) if Fraction(float(at)) == at else None
            value = x[0] * inside(lo, hi) + x[1]
            if table is not None:
                way[i] = next(k for k, (end, _, _) in enumerate(table) if end == inf or value <= Fraction(end))
                slope, constant = (Fraction(v) for v in table[way[i]][1:])
                forms[i] = (x[0] * slope, x[1] * slope + constant)
                continue
            sign = (value > 0) - (value < 0)
            way[i] = int(sign in COMPARISONS[node.op] if node.op in COMPARISONS else sign * EXTREMES[node.op] < 0)
            forms[i] = args[way[i]] if node.op in EXTREMES else None
        return way

    def _chosen(self, node: Node, way: Way) -> int | None:
        """Which argument a decided choice takes."""
        if node.op != "aten.where.self":
            return None
        test = node.args[0].index if type(node.args[0]) is Ref else -1
        compared = test in way and self.nodes[test].op in COMPARISONS  # of any other operation the way is no truth
        truth = way[test] if compared else self.numbers.get(test)
        return None if truth is None else 1 if truth else 2

    def _table(self, node: Node) -> Any:
        build = self.atoms.branches.get(node.op)
        return None if build is None else build(*node.args[1:])

    def _form(self, a: Any, forms: Mapping[int, Form | None]) -> Form | None:
        if type(a) is Ref and a.index not in self.numbers:
            return forms.get(a.index)
        number = self._number(a) if type(a) in (Ref, bool, int, float) else inf
        return (Fraction(0), Fraction(number)) if isfinite(number) else None

    def _number(self, a: Any) -> float:
        return self.numbers[a.index] if type(a) is Ref else float(a)

    def jet(self, r: Range, way: Way) -> Jet | None:
        """Value, first and second derivative on an interval; None where they are not bounded there."""
        seen: dict[int, Any] = {self.root: Jet(r, ((1.0, 1.0, False, False),), (ZERO,))}
        try:
            found = self._value(Ref(self.top), seen, way)
        except (Rejected, ArithmeticError, ValueError, TypeError):
            return None
        return found if isinstance(found, Jet) else None

    def _value(self, a: Any, seen: dict[int, Any], way: Way) -> Any:
        """A jet, or a truth value as 0 or 1, or None; nothing is looked at that the decided branches do not need."""
        if type(a) is not Ref or a.index in self.numbers:
            v = self._number(a)
            return jets.constant((v, v, False, False), 1)
        if a.index not in seen:
            self.work[0] -= 1
            seen[a.index] = self._operation(a.index, seen, way) if self.work[0] > 0 else None
        return seen[a.index]

    def _operation(self, i: int, seen: dict[int, Any], way: Way) -> Any:
        node = self.nodes[i]
        if node.op == "aten.where.self":
            truth = truth_of(self._value(node.args[0], seen, way))
            return None if truth is None else self._value(node.args[2 - truth], seen, way)
        if i in way and node.op in COMPARISONS:
            return way[i]
        if i in way and node.op in EXTREMES:
            return self._value(node.args[way[i]], seen, way)
        if node.op == "jensen.real":  # a truth value as a number; a number stays
            v = self._value(node.args[0], seen, way)
            return jets.constant((float(v), float(v), False, False), 1) if v in (0, 1) else v
        if node.op in LOGIC:
            truths = [truth_of(self._value(a, seen, way)) for a in node.args]
            return None if None in truths else LOGIC[node.op](*truths)
        return self._smooth(i, node, seen, way)

    def _smooth(self, i: int, node: Node, seen: dict[int, Any], way: Way) -> Any:
        table, pair = self._table(node), node.op in COMPARISONS or node.op in EXTREMES
        args = node.args if pair or node.op in ARITHMETIC else node.args[:1]
        values = [self._value(a, seen, way) for a in args]
        if not all(isinstance(v, Jet) for v in values):
            return None
        if pair:
            gap = (values[0] - values[1]).value
            sign = 1 if gap[0] > 0.0 else -1 if gap[1] < 0.0 else 0 if gap[0] == gap[1] and way is HERE else None
            if sign is None:
                return None
            return int(sign in COMPARISONS[node.op]) if node.op in COMPARISONS else values[sign * EXTREMES[node.op] < 0]
        if table is not None:
            return piece_of(values[0], table, way.get(i), way is HERE)
        if node.op in ARITHMETIC:
            return ARITHMETIC[node.op](*values)
        return values[0].chain(*self.atoms.slopes[node.op](values[0].value, *node.args[1:]))
