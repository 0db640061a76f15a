"""J, its gradient and its Hessian at many points at once: the rows of a (k, n) matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from jensen.kernel.program import Problem, Term
from jensen.linalg.flat import Flat
from jensen.linalg.jets_kinds import PIECES
from jensen.linalg.recorded import direct
from jensen.linalg.stacked import Stack, prepare

# With these a function can be one formula here and another one further away.
SWITCHES = PIECES | {"aten.where.self", "aten.hardswish.default", "jensen.huber"} | {
    f"aten.{name}.{kind}" for name in ("gt", "ge", "lt", "le", "eq", "ne") for kind in ("Scalar", "Tensor")
}  # fmt: skip


class Population:
    """A cost as a function of many points.

    Of streamed data one chunk at a time is prepared. Terms are summed one by one, so that what autograd keeps is one
    term's.

    Attributes:
        flat: The order of the blocks in a row.
        n: The length of a row.
    """

    def __init__(self, problem: Problem, dtype: torch.dtype = torch.float64, device: Any = "cpu"):
        self.flat, self.dtype, self.device = Flat(dict(problem.blocks)), dtype, torch.device(device)
        self.n = self.flat.n
        self._source = problem.terms
        self._kept: dict[int, Stack] = {}

    def stacks(self) -> Iterator[Stack]:
        """The terms, prepared."""
        for k, term in enumerate(self._source):
            yield self._stack(k, term)

    def _stack(self, k: int, term: Term) -> Stack:
        if getattr(term.tensors, "streamed", False):
            return prepare(term, self.dtype, self.device)
        if k not in self._kept:
            self._kept[k] = prepare(term, self.dtype, self.device)
        return self._kept[k]

    @property
    def looped(self) -> tuple[str, ...]:
        """Operations that had to be done one copy at a time."""
        return tuple(sorted(set().union(*(s.looped for s in self._kept.values())) if self._kept else ()))

    @property
    def streamed(self) -> bool:
        """Whether the data is read again on every pass."""
        return any(getattr(t.tensors, "streamed", False) for t in self._source)

    @property
    def switches(self) -> bool:
        """Whether some operation changes its formula at a place, so that J near a point may tell nothing of J elsewhere."""
        return any(node.op in SWITCHES for term in self._source for node in term.program.nodes)

    def blocks(self, points: Tensor) -> dict[str, Tensor]:
        """Rows (k, n) as (k, *shape) tensors."""
        return dict(zip(self.flat.shapes, self.flat.rows(points, len(points)), strict=True))

    def values(self, points: Tensor) -> Tensor:
        """J (k,) at k points (k, n)."""
        with torch.no_grad(), self._here():
            total = points.new_zeros(len(points))
            for stack in self.stacks():
                total = total + stack(self.blocks(points))
        return total

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """J (k,) and its gradients (k, n)."""
        values, sums = points.new_zeros(len(points)), torch.zeros_like(points)
        for stack in self.stacks():
            with self._here():
                v, g = direct(stack, self.flat)(points)
            values, sums = values + v, sums + g
        return values, sums

    def products(self, points: Tensor, vectors: Tensor) -> Tensor:
        """Each point's Hessian times its own vectors: (k, n) gives (k, n), and (k, m, n) gives (k, m, n)."""
        single = vectors.dim() == 2
        columns = vectors[:, None] if single else vectors
        out = torch.zeros_like(columns)
        for stack in self.stacks():
            g, leaf = self._first(stack, points)
            if g.requires_grad:
                for j in range(columns.shape[1]):
                    out[:, j] += _backward(g, leaf, columns[:, j])
        return out[:, 0] if single else out

    def hessians(self, points: Tensor) -> Tensor:
        """Hessians (k, n, n), row by row, not made symmetric: their asymmetry shows their rounding."""
        out = points.new_zeros(len(points), self.n, self.n)
        for stack in self.stacks():
            g, leaf = self._first(stack, points)
            if not g.requires_grad:
                continue
            for j in range(self.n):
                direction = torch.zeros_like(points)
                direction[:, j] = 1.0
                out[:, j] += _backward(g, leaf, direction)
        return out

    def _first(self, stack: Stack, points: Tensor) -> tuple[Tensor, Tensor]:
        """A term's gradients, to be differentiated again, and the points they were taken at."""
        with torch.enable_grad(), self._here():
            leaf = points.detach().requires_grad_()
            values = stack(self.blocks(leaf))
            if not values.requires_grad:
                return torch.zeros_like(points), leaf
            (g,) = torch.autograd.grad(values.sum(), leaf, create_graph=True, allow_unused=True)
        return torch.zeros_like(points) if g is None else g, leaf

    @contextmanager
    def _here(self) -> Iterator[None]:
        with nullcontext() if self.device.type == "cpu" else self.device:
            yield


def _backward(gradients: Tensor, leaf: Tensor, vectors: Tensor) -> Tensor:
    (out,) = torch.autograd.grad(gradients, leaf, vectors, retain_graph=True, allow_unused=True)
    return torch.zeros_like(leaf) if out is None else out
