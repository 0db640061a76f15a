"""Bytes that one term of the sum takes while it is computed, beside what is kept of the others."""

from __future__ import annotations

from dataclasses import dataclass

from jensen.linalg import linear_memory
from jensen.linalg.linearise import Linearised


@dataclass(frozen=True)
class Needs:
    """At most, over the terms seen.

    Attributes:
        primal: The first pass: the graph's own storages, the flat gradient and the sum.
        product: One column of a product.
        check: The comparison with double backward of the cost.
    """

    primal: int = 0
    product: int = 0
    check: int = 0

    def with_those_of(self, other: Needs) -> Needs:
        """The larger of both, step by step."""
        return Needs(*(max(a, b) for a, b in zip(self._all(), other._all(), strict=True)))

    def most(self, width: int, checks: bool) -> int:
        """For products of so many columns, with the check or without it."""
        return max(self.primal, self.product * width, self.check if checks else 0)

    def _all(self) -> tuple[int, int, int]:
        return self.primal, self.product, self.check


def needs(linearised: Linearised, n: int, itemsize: int, reference: int) -> Needs:
    """What a linearised term of n parameters takes, in entries of ``itemsize`` bytes; ``reference`` is the cost's own.

    The check holds about eight vectors in the cost's type (the leaves, the vector, gradients of both passes and what they
    are added up from), three in float64, and the activations of both passes.
    """
    primal, single = linear_memory.peak(linearised.primal), linear_memory.peak(linearised.single)
    check = single + 2 * primal + n * (8 * reference + 3 * 8)
    return Needs(primal + single + 2 * n * itemsize, column(linearised, n, itemsize), check)


def column(linearised: Linearised, n: int, itemsize: int) -> int:
    """What one column of a product takes: the map's storages, the vector, the flat product and the sum."""
    return linear_memory.peak(linearised.single) + 3 * n * itemsize
