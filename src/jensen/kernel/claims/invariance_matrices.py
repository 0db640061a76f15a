"""Matrices followed through a program: which entries, along one axis, are multiplied by the factor's matrix M as a vector.

Where two such vectors meet in a sum of products they cancel if one has M and the other its inverse transposed; for an
orthogonal M both have M, and the sum of a vector's squares stays as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jensen.kernel.claims.factor import Factor
from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_lines import Acted, alike, lines
from jensen.kernel.claims.invariance_moves import Shape, bounded, coordinate, depends, refuse, slim
from jensen.kernel.claims.invariance_reading import Operand, Reading
from jensen.kernel.program import Ref


class Matrices(Reading):
    """The rules for matrices: what is linear, and products that meet in a sum."""

    def __init__(self, ground: Ground, factor: Factor):
        super().__init__(ground)
        self.size, self.orthogonal = factor.size, factor.kind == "orthogonal"

    def of_block(self, factor: Factor, name: str, shape: Shape) -> Acted | None:
        """What the factor makes of a block: all its sites on one axis."""
        own = [s for s in factor.sites if s.block == name]
        if not own:
            return None
        axes = own[0].axes
        if any(s.axes != axes for s in own):
            raise refuse("one axis of each block", f"matrices act on several axes of {name}")
        lead = [n if a in axes else 1 for a, n in enumerate(shape)]
        code, key = np.full(lead, -1).reshape(-1), np.zeros(lead, dtype=np.int64).reshape(-1)
        for k, s in enumerate(own):
            if (code[s.positions] >= 0).any():
                raise refuse("one axis of each block", f"matrices act on several axes of {name}")
            code[s.positions] = 2 * np.arange(self.size)[:, None] + (s.degree < 0 and not self.orthogonal)
            key[s.positions] = k * code.size + np.arange(s.positions.shape[1])
        return lines(self.size, axes, code.reshape(lead), lambda _: key.reshape(lead), False)

    def nothing(self, ndim: int) -> None:
        return None

    def still(self, x: Acted | None) -> bool:
        return x is None or not (x.code >= 0).any()

    def insert(self, x: Acted | None, at: int) -> Acted | None:
        if x is None:
            return None
        return Acted(x.axis + (x.axis >= at), np.expand_dims(x.code, at), np.expand_dims(x.slot, at), x.squared)

    def transpose(self, x: Acted | None, order: Sequence[int]) -> Acted | None:
        if x is None:
            return None
        return Acted(list(order).index(x.axis), x.code.transpose(order), x.slot.transpose(order), x.squared)

    def drop(self, x: Acted | None, axes: Sequence[int]) -> Acted | None:
        if x is None:
            return None
        gone = tuple(axes)
        return Acted(x.axis - sum(a < x.axis for a in gone), x.code.squeeze(gone), x.slot.squeeze(gone), x.squared)

    def inert(self, x: Acted | None, axes: Sequence[int]) -> Acted | None:
        if x is not None and (depends(x.code) | depends(x.slot) | {x.axis}) & set(axes):
            raise refuse("nothing but sums along the axis", "an operation works along an axis that a matrix acts on")
        return x

    def push(self, f: Callable[[np.ndarray], np.ndarray], x: Operand, out: Shape) -> Acted | None:
        if x.x is None:
            return None
        bounded(out)
        seen = [slim(f(np.broadcast_to(coordinate(x.shape, a), x.shape))) for a in range(len(x.shape))]
        code, key = (slim(f(np.broadcast_to(c, x.shape))) for c in (x.x.code, x.x.slot))

        def named(axis: int) -> np.ndarray:
            whole = key + np.zeros([n if a == axis else 1 for a, n in enumerate(out)], dtype=np.int64)
            for a, n in enumerate(x.shape):
                if a != x.x.axis and axis in depends(seen[a]):
                    whole = whole * n + seen[a]
            return whole

        return lines(self.size, sorted(depends(seen[x.x.axis])), code, named, x.x.squared)

    def join(self, parts: Sequence[Operand], dim: int) -> Acted | None:
        acted = [p.x for p in parts if p.x is not None]
        first = acted[0]
        if any((a.axis, a.squared) != (first.axis, first.squared) for a in acted):
            raise refuse("values that are multiplied alike", "matrices act on different axes of values that are joined")
        whole = {dim, first.axis}.union(*(depends(a.code) | depends(a.slot) for a in acted))
        small = [tuple(n if b in whole else 1 for b, n in enumerate(p.shape)) for p in parts]
        bounded((sum(int(np.prod(s)) for s in small),))
        codes = [np.broadcast_to(-1 if p.x is None else p.x.code, s) for p, s in zip(parts, small, strict=True)]
        room = max(p.shape[first.axis] for p in parts) + 1
        keys = [
            np.broadcast_to(0 if p.x is None else p.x.slot + k * room, s)
            for k, (p, s) in enumerate(zip(parts, small, strict=True))
        ]
        key = np.concatenate(keys, dim)
        return lines(self.size, (first.axis,), np.concatenate(codes, dim), lambda _: key, first.squared)

    def map(self, i: int, law: str) -> Acted | None:
        node, n = self.ground.linked.nodes[i], len(self.ground.linked.shapes[i])
        operands = [self.operand(a.index) for a in node.args if type(a) is Ref]
        numbers = [a for a in node.args if type(a) is not Ref]
        square = node.op == "aten.pow.Tensor_Scalar" and numbers == [2]
        if square and self.orthogonal and operands[0].x is not None and not operands[0].x.squared:
            return operands[0].x._replace(squared=True)
        if law == "sum" and not any(numbers):
            return self.plus(operands, n)
        if law == "product" or (law == "quotient" and (numbers[:1] == list(node.args[1:]) or operands[1].x is None)):
            return self._scaled(*(*operands, Operand(None, ()))[:2], n)
        raise refuse("linear operations", f"{node.op} is not linear, and a matrix acts on its argument")

    def _wide(self, p: Operand, ndim: int) -> Acted | None:
        x = p.x
        for _ in range(ndim - len(p.shape)):
            x = self.insert(x, 0)
        return x

    def plus(self, parts: Sequence[Operand], ndim: int) -> Acted | None:
        found = [self._wide(p, ndim) for p in parts if not p.zero]
        acted = [x for x in found if x is not None]
        if acted and (len(acted) < len(found) or not all(alike(x, acted[0], 0) for x in acted)):
            raise refuse(
                "values that are multiplied alike", "values that are added are multiplied by different matrices"
            )
        return acted[0] if acted else None

    def times(self, a: Operand, b: Operand, ndim: int) -> Acted | None:
        """A product that is then summed up along the last axis: with a number, or a pair that cancels."""
        x, y = self._wide(a, ndim), self._wide(b, ndim)
        if a.zero or b.zero or x is None or y is None:
            return None if a.zero or b.zero else self._scaled(a, b, ndim)
        if x.axis != ndim - 1 or x.squared or not alike(x, y, not self.orthogonal):
            raise refuse(
                "pairs that cancel", "two values that matrices act on meet in a product that does not undo them"
            )
        return None

    def _scaled(self, a: Operand, b: Operand, ndim: int) -> Acted | None:
        """A product with what is the same along the axis."""
        x, other = (self._wide(a, ndim), b) if a.x is not None else (self._wide(b, ndim), a)
        at = -1 if x is None else x.axis - ndim + len(other.shape)
        if other.x is not None or (at >= 0 and other.shape[at] > 1 and at not in other.free):
            raise refuse("products with numbers", "what a matrix acts on is multiplied place by place")
        return x

    def fold(self, x: Acted | None, shape: Shape, axes: Sequence[int]) -> Acted | None:
        if x is None or (x.squared and x.axis in axes):
            return None
        return self.inert(x, axes)

    def lawful(self, x: Acted | None, law: str) -> Acted | None:
        if x is not None and law != "sum":
            raise refuse("linear operations", "what a matrix acts on meets a function that is not linear")
        return x
