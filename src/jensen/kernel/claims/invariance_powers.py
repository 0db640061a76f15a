"""Signs and scales followed through a program: by which powers of which numbers each entry is multiplied.

A value's fact is an array of names that broadcasts to it; a name stands for a vector of powers, one for each unit's number. Signs
are their own inverses, so that their powers count modulo 2. A value that is always 0 fits every power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.claims.factor import Factor
from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import Shape, bounded, refuse, slim
from jensen.kernel.claims.invariance_reading import Operand, Reading
from jensen.kernel.program import Ref

Vector = tuple[tuple[int, Fraction], ...]


class Names:
    """Vectors of powers by name; 0 is the vector without any."""

    def __init__(self, modulus: int | None):
        self.modulus = modulus
        self.vectors: list[Vector] = [()]
        self._known: dict[Vector, int] = {(): 0}

    def name(self, powers: dict[int, Fraction]) -> int:
        m = self.modulus
        kept = {u: p % m if m else p for u, p in powers.items()}
        vector = tuple(sorted((u, p) for u, p in kept.items() if p))
        if vector not in self._known:
            self._known[vector] = len(self.vectors)
            self.vectors.append(vector)
        return self._known[vector]

    def combined(self, a: np.ndarray, b: np.ndarray, by: Fraction | int) -> np.ndarray:
        """a + by * b, with broadcasting."""
        if not b.any():
            return a
        shape = np.broadcast_shapes(a.shape, b.shape)
        bounded(shape)
        many = len(self.vectors)
        kinds, back = np.unique(np.broadcast_to(a, shape) * many + b, return_inverse=True)
        new = [self._sum(*divmod(k, many), by) for k in kinds.tolist()]
        return slim(np.array(new, dtype=np.int64)[back].reshape(shape))

    def _sum(self, a: int, b: int, by: Fraction | int) -> int:
        out = dict(self.vectors[a])
        for u, p in self.vectors[b]:
            out[u] = out.get(u, Fraction(0)) + by * p
        return self.name(out)


class Powers(Reading):
    """The rules for multiples: sums are of equal multiples, products multiply them."""

    def __init__(self, ground: Ground, factor: Factor):
        super().__init__(ground)
        self.sign = factor.kind == "sign"
        self.names = Names(2 if self.sign else None)

    def of_block(self, factor: Factor, name: str, shape: Shape) -> np.ndarray:
        """What the factor makes of a block: the powers of all its sites together."""
        out = self.nothing(len(shape))
        for s in (s for s in factor.sites if s.block == name):
            dims = [n if a in s.axes else 1 for a, n in enumerate(shape)]
            own = np.zeros(prod(dims), dtype=np.int64)
            own[s.positions] = np.array([self.names.name({u: s.degree}) for u in range(factor.size)])[:, None]
            out = self.names.combined(out, own.reshape(dims), 1)
        return out

    def nothing(self, ndim: int) -> np.ndarray:
        return np.zeros((1,) * ndim, dtype=np.int64)

    def still(self, x: np.ndarray) -> bool:
        return not x.any()

    def insert(self, x: np.ndarray, at: int) -> np.ndarray:
        return np.expand_dims(x, at)

    def transpose(self, x: np.ndarray, order: Sequence[int]) -> np.ndarray:
        return x.transpose(order)

    def drop(self, x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        return x.squeeze(tuple(axes))

    def inert(self, x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        if any(x.shape[a] > 1 for a in axes):
            raise refuse("sums of equal multiples", "entries that are multiplied by different numbers meet in a sum")
        return x

    def push(self, f: Callable[[np.ndarray], np.ndarray], x: Operand, out: Shape) -> np.ndarray:
        bounded(out)
        return slim(f(np.broadcast_to(x.x, x.shape)))

    def join(self, parts: Sequence[Operand], dim: int) -> np.ndarray:
        whole = {dim, *(a for p in parts for a, n in enumerate(p.x.shape) if n > 1)}
        small = [tuple(n if a in whole else 1 for a, n in enumerate(p.shape)) for p in parts]
        bounded((sum(prod(s) for s in small),))
        return slim(np.concatenate([np.broadcast_to(p.x, s) for p, s in zip(parts, small, strict=True)], dim))

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
        wide = [p.x.reshape((1,) * (n - p.x.ndim) + p.x.shape) for p in parts if not p.zero]
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
        x, y = (o.x.reshape((1,) * (ndim - o.x.ndim) + o.x.shape) for o in (a, b))
        return self.nothing(ndim) if a.zero or b.zero else self.names.combined(x, y, 1)

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
