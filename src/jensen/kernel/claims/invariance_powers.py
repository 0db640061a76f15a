"""Signs and scales followed through a program: by which powers of which numbers each entry is multiplied.

A value's fact is an array of names that broadcasts to it; a name stands for a vector of powers, one for each unit's number. Signs
are their own inverses, so that their powers count modulo 2. A value that is always 0 fits every power.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.claims.factor import Factor
from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import Shape, refuse
from jensen.kernel.claims.invariance_names import Named
from jensen.kernel.claims.invariance_reading import Operand
from jensen.kernel.program import Ref


class Powers(Named):
    """The rules for multiples: sums are of equal multiples, products multiply them."""

    def __init__(self, ground: Ground, factor: Factor):
        self.sign = factor.kind == "sign"
        super().__init__(ground, 2 if self.sign else None)

    def of_block(self, factor: Factor, name: str, shape: Shape) -> np.ndarray:
        """What the factor makes of a block: the powers of all its sites together."""
        out = self.nothing(len(shape))
        for s in (s for s in factor.sites if s.block == name):
            dims = [n if a in s.axes else 1 for a, n in enumerate(shape)]
            own = np.zeros(prod(dims), dtype=np.int64)
            own[s.positions] = np.array([self.names.name({u: s.degree}) for u in range(factor.size)])[:, None]
            out = self.names.combined(out, own.reshape(dims), 1)
        return out

    def map(self, i: int, law: str) -> np.ndarray:
        g, node = self.ground, self.ground.linked.nodes[i]
        n = len(g.linked.shapes[i])
        rule = g.natures.get(node.op)
        if rule is not None:
            return self._natural(self.first(i).x, rule(*node.args[1:]))
        if law in ("product", "quotient"):
            return self._product(node.args, 1 if law == "product" else -1, n)
        which = {"choice": (1, 2), "fill": (0, 2)}.get(law, (0, 1))
        told = [a for k, a in enumerate(node.args) if k not in which and type(a) is Ref]
        if law in ("", "largest", "test") or any(a.index in self.out for a in told):
            self._lawful_all(node.args, law)
        parts = [a for k, a in enumerate(node.args) if k in which]
        out = self._sum(
            [self.operand(a.index) for a in parts if type(a) is Ref], [a for a in parts if type(a) is not Ref], n
        )
        return self.nothing(n) if law == "test" else out

    def _lawful_all(self, args: Sequence[Any], law: str) -> None:
        for a in args:
            if type(a) is Ref:
                self.lawful(self.operand(a.index).x, "largest" if law in ("largest", "test") else "")

    def _natural(self, x: np.ndarray, n: Any) -> np.ndarray:
        known = n.parity if self.sign else n.degree
        return self.lawful(x, "") if known is None else self.names.combined(np.zeros_like(x), x, known)

    def _product(self, args: Sequence[Any], by: int, n: int) -> np.ndarray:
        a, b = (self.operand(c.index).x if type(c) is Ref else self.nothing(n) for c in args)
        wide = [x.reshape((1,) * (n - x.ndim) + x.shape) for x in (a, b)]
        return self.names.combined(*wide, by)

    def _sum(self, parts: Sequence[Operand], numbers: Sequence[Any], n: int) -> np.ndarray:
        wide = [self.wide(p, n) for p in parts if not p.zero]
        wide += [self.nothing(n) for c in numbers if c != 0]
        for x in wide[1:]:
            if not np.array_equal(*np.broadcast_arrays(x, wide[0])):
                raise refuse(
                    "sums of equal multiples", "entries that are multiplied by different numbers meet in a sum"
                )
        return wide[0] if wide else self.nothing(n)

    def plus(self, parts: Sequence[Operand], ndim: int) -> np.ndarray:
        return self._sum(parts, (), ndim)

    def times(self, a: Operand, b: Operand, ndim: int) -> np.ndarray:
        return (
            self.nothing(ndim) if a.zero or b.zero else self.names.combined(self.wide(a, ndim), self.wide(b, ndim), 1)
        )

    def fold(self, x: np.ndarray, shape: Shape, axes: Sequence[int]) -> np.ndarray:
        return self.inert(x, axes)

    def lawful(self, x: np.ndarray, law: str) -> np.ndarray:
        if law == "size" and self.sign:
            return np.zeros((1,) * x.ndim, dtype=np.int64)
        if x.any() and not (law == "sum" or (law in ("largest", "size") and not self.sign)):
            raise refuse(
                "functions that multiples pass through", "what is multiplied meets a function that is not homogeneous"
            )
        return x
