"""Shifts followed through a program: what is added to each entry.

A value's fact is an array of names: a name stands for a sum of numbers, some of them the factor's, others unknown: what a shift
becomes behind a product is not told, but where it is the same. Means pass a shift that is the same along their axes, a softmax does
not feel it, and a difference of two values with the same shift has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np

from jensen.kernel.claims.factor import Factor
from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import Shape, bounded, refuse, slim
from jensen.kernel.claims.invariance_names import Named
from jensen.kernel.claims.invariance_reading import Operand
from jensen.kernel.program import Ref

SIGNS = {"aten.sub.Tensor": (1, -1), "aten.neg.default": (-1,)}


class Shifts(Named):
    """The rules for shifts."""

    def __init__(self, ground: Ground, factor: Factor):
        super().__init__(ground)
        self.unknown = 0  # numbers named so far

    def of_block(self, factor: Factor, name: str, shape: Shape) -> np.ndarray:
        """What the factor adds to a block: one number a unit, or one for each entry of the rest."""
        out = self.nothing(len(shape))
        for s in (s for s in factor.sites if s.block == name):
            dims = [n if a in s.axes else 1 for a, n in enumerate(shape)]
            unit = np.full(prod(dims), -1)
            unit[s.positions] = np.arange(factor.size)[:, None]
            rest = [1 if a in s.axes or factor.kind == "shift" else n for a, n in enumerate(shape)]
            many = prod(rest)
            self.unknown = max(self.unknown, factor.size * many)
            bounded((factor.size * many,))
            known = [self.names.name({k: s.degree}) for k in range(factor.size * many)]
            table = np.array([*known, *[0] * many])  # its last row is that of places without a unit
            where = slim(unit.reshape(dims) % (factor.size + 1)) * many + np.arange(many).reshape(rest)
            bounded(where.shape)
            out = self.names.combined(out, slim(table[where]), 1)
        return out

    def fresh(self, shape: Sequence[int]) -> np.ndarray:
        """Numbers that nothing is known of."""
        bounded(shape)
        first, n = self.unknown, prod(shape)
        self.unknown += n
        return np.array([self.names.name({first + k: Fraction(1)}) for k in range(n)], dtype=np.int64).reshape(shape)

    def rule(self, i: int) -> np.ndarray:
        g, node = self.ground, self.ground.linked.nodes[i]
        act = g.acts.get(node.op)
        if node.op.startswith("aten.conv"):
            return self._convolved(i)
        if act is None or act.form == "map" or not act.shift:
            return super().rule(i)
        first, shape = self.first(i), g.linked.shapes[i]
        own = first.shape if act.form != "line" else shape
        x = self.wide(first, len(own))
        axes = act.axes(own, *node.args[1:])
        x = self.inert(x, axes)
        if act.shift == "away":
            return self.nothing(len(shape))
        x = self.names.combined(np.zeros_like(x), x, prod(own[a] for a in axes) if act.shift == "times" else 1)
        return x if len(shape) == len(own) else self.drop(x, axes)

    def _convolved(self, i: int) -> np.ndarray:
        """A shift of the kernel that is the same for all outputs, or of all places of an input that is not padded."""
        node, shape = self.ground.linked.nodes[i], self.ground.linked.shapes[i]
        x, w, *rest = (self.operand(a.index) for a in node.args[:3] if a is not None)
        nd = len(w.shape) - 2
        channel = len(shape) - nd - 1
        padding, groups = (*node.args, *(None, 1, 0, 1, 1)[len(node.args) - 2 :])[4:7:2]
        padded = any((padding,) if type(padding) is int else padding)
        y = self.nothing(len(shape))
        if x.x.any() and not w.x.any() and not padded and "transpose" not in node.op:
            self.inert(x.x, range(channel + 1, len(shape)))
            y = self.fresh(
                [n if a == channel or (a < channel and x.x.shape[a] > 1) else 1 for a, n in enumerate(shape)]
            )
        elif w.x.any() and not x.x.any() and w.x.shape[0] == 1 and groups == 1 and "transpose" not in node.op:
            y = self.fresh([1 if a == channel else n for a, n in enumerate(shape)])
        elif x.x.any() or w.x.any():
            raise refuse(
                "layers that shifts pass", "a convolution makes different things of a shift at different places"
            )
        return self.names.combined(y, rest[0].x.reshape(rest[0].x.shape + (1,) * nd), 1) if rest else y

    def map(self, i: int, law: str) -> np.ndarray:
        node, n = self.ground.linked.nodes[i], len(self.ground.linked.shapes[i])
        operands = [self.operand(a.index) if type(a) is Ref else Operand(self.nothing(n), ()) for a in node.args]
        if law == "sum":
            out = self.nothing(n)
            for o, sign in zip(operands, SIGNS.get(node.op, (1, 1)), strict=False):
                out = self.names.combined(out, self.wide(o, n), sign)
            return out
        if law in ("product", "quotient"):
            numbers = [a for a in node.args if type(a) is not Ref]
            if not numbers:
                return self._scaled(operands, law, n)
            if law == "product" or numbers == [node.args[1]]:
                by = Fraction(numbers[0]) if law == "product" else 1 / Fraction(numbers[0])
                return self.names.combined(self.nothing(n), self.wide(operands[node.args[0] is numbers[0]], n), by)
        if law in ("largest", "test") and len({self._one(o, n) for o in operands}) == 1:
            return self.wide(operands[0], n) if law == "largest" else self.nothing(n)
        raise refuse("operations that shifts pass", f"what is shifted meets {node.op}")

    def _one(self, o: Operand, n: int) -> int:
        """The one name of a value that is shifted alike everywhere."""
        if o.x.size > 1:
            raise refuse("operations that shifts pass", "two values are compared that are shifted at different places")
        return int(o.x.reshape(-1)[0])

    def _scaled(self, operands: Sequence[Operand], law: str, n: int) -> np.ndarray:
        if law == "quotient" and operands[1].x.any():
            raise refuse("operations that shifts pass", "a divisor is shifted")
        return self.times(*operands, n)

    def plus(self, parts: Sequence[Operand], ndim: int) -> np.ndarray:
        out = self.nothing(ndim)
        for p in parts:
            out = self.names.combined(out, self.wide(p, ndim), 1)
        return out

    def times(self, a: Operand, b: Operand, ndim: int) -> np.ndarray:
        x, y, other = self.wide(a, ndim), self.wide(b, ndim), b
        if not x.any():
            x, y, other = y, x, a
        if y.any():
            raise refuse("operations that shifts pass", "two values are multiplied that are both shifted")
        lead = ndim - len(other.shape)
        own = {k + lead: m for k, m in enumerate(other.shape) if m > 1 and k not in other.free}
        if other.zero or not x.any():
            return self.nothing(ndim)
        return self.fresh([max(m, own.get(k, 1)) for k, m in enumerate(x.shape)])

    def fold(self, x: np.ndarray, shape: Shape, axes: Sequence[int]) -> np.ndarray:
        """A sum of products: unknown, but the same where all of them are."""
        return self.fresh([1 if a in axes else m for a, m in enumerate(x.shape)]) if x.any() else self.nothing(x.ndim)

    def lawful(self, x: np.ndarray, law: str) -> np.ndarray:
        if x.any():
            raise refuse("operations that shifts pass", "what is shifted meets a function that does not pass it on")
        return x
