"""Readings whose fact is an array of names: a name stands for a vector of rational coefficients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

import numpy as np

from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import Shape, bounded, refuse, slim
from jensen.kernel.claims.invariance_reading import Operand, Reading

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


class Named(Reading):
    """What the readings of names share. An array has length 1 along the axes on which it does not depend."""

    def __init__(self, ground: Ground, modulus: int | None = None):
        super().__init__(ground)
        self.names = Names(modulus)

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
            raise refuse("sums of what moves alike", "entries that move by different numbers meet in a sum")
        return x

    def push(self, f: Callable[[np.ndarray], np.ndarray], x: Operand, out: Shape) -> np.ndarray:
        bounded(out)
        return slim(f(np.broadcast_to(x.x, x.shape)))

    def join(self, parts: Sequence[Operand], dim: int) -> np.ndarray:
        whole = {dim, *(a for p in parts for a, n in enumerate(p.x.shape) if n > 1)}
        small = [tuple(n if a in whole else 1 for a, n in enumerate(p.shape)) for p in parts]
        bounded((sum(prod(s) for s in small),))
        return slim(np.concatenate([np.broadcast_to(p.x, s) for p, s in zip(parts, small, strict=True)], dim))

    def wide(self, p: Operand, ndim: int) -> np.ndarray:
        """An operand's names with as many axes."""
        return p.x.reshape((1,) * (ndim - p.x.ndim) + p.x.shape)
