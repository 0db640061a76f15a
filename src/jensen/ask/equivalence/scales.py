"""Balancing where only scales and moduli move: entries on which the same numbers stand count as one.

The squared norm of a point under scales depends on the sums of squares over such entries alone, so that a convolution's
kernel is one number for each pair of channels. Newton's method as in :mod:`jensen.ask.equivalence.balance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jensen.ask.equivalence.conjugate import conjugate
from jensen.ask.symmetry.group import Factor, Site

LIMIT = 2**62  # of a key

KINDS = ("scale", "complex")


@dataclass
class Entries:
    """The entries of one block on which some factor stands, taken together.

    Attributes:
        value: Root sums of squares (groups,), float64.
        on: What stands on them: a factor's number, a degree, and the number of its unit (groups,), -1 for none.
    """

    value: Tensor
    on: list[tuple[int, float, Tensor]]

    def rates(self, xi: Sequence[Tensor]) -> Tensor:
        """How the logarithms of the values change (groups,)."""
        total = torch.zeros_like(self.value)
        for k, degree, unit in self.on:
            total += degree * torch.where(unit >= 0, xi[k][unit.clamp_min(0)], 0.0)
        return total

    def pulled(self, out: Sequence[Tensor], by: Tensor, square: bool = False) -> None:
        """Add the transposed map, of the rates (or of their squares), to one tensor for each factor."""
        for k, degree, unit in self.on:
            part = torch.where(unit >= 0, by, 0.0).mul_(degree**2 if square else degree)
            out[k].index_add_(0, unit.clamp_min(0), part)


@dataclass
class Grid:
    """The entries of one block whose whole axes are the units of scales: other axes are summed over.

    Attributes:
        value: Root sums of squares, an axis for each of the block's that a scale moves, float64.
        on: What stands on them: a factor's number, a degree, and the axis of ``value``.
    """

    value: Tensor
    on: list[tuple[int, float, int]]

    def rates(self, xi: Sequence[Tensor]) -> Tensor:
        """How the logarithms of the values change."""
        total = torch.zeros_like(self.value)
        for k, degree, axis in self.on:
            total += (degree * xi[k]).reshape([-1 if a == axis else 1 for a in range(total.dim())])
        return total

    def pulled(self, out: Sequence[Tensor], by: Tensor, square: bool = False) -> None:
        """Add the transposed map, of the rates (or of their squares), to one tensor for each factor."""
        for k, degree, axis in self.on:
            rest = [a for a in range(by.dim()) if a != axis]
            out[k].add_(by.sum(rest) if rest else by, alpha=degree**2 if square else degree)


def entries(factors: Sequence[Factor], x: Mapping[str, Tensor]) -> list[Entries | Grid]:
    """The blocks that scales and complex scalars move, by the units that stand on their entries."""
    sites: dict[str, list[tuple[int, Site]]] = {}
    for k, f in enumerate(factors):
        for s in f.sites:
            sites.setdefault(s.block, []).append((k, s))
    return [_grid(factors, x[name], found) or _entries(factors, x[name], found) for name, found in sites.items()]


def _grid(factors: Sequence[Factor], block: Tensor, sites: Sequence[tuple[int, Site]]) -> Grid | None:
    """None where units are not whole axes."""
    if any(width(factors[k]) > 1 or not s.plain or block.shape[s.axes[0]] != factors[k].size for k, s in sites):
        return None
    axes = sorted({s.axes[0] for _, s in sites})
    rest = [a for a in range(block.dim()) if a not in axes]
    square = block.double().square()
    square = square.sum(rest) if rest else square
    return Grid(square.sqrt(), [(k, s.degree, axes.index(s.axes[0])) for k, s in sites])


def _entries(factors: Sequence[Factor], block: Tensor, sites: Sequence[tuple[int, Site]]) -> Entries:
    numbers = torch.arange(block.numel()).reshape(block.shape)
    key, most, layers = torch.zeros(block.numel(), dtype=torch.int64), 1, []
    for k, s in sites:
        units = torch.arange(factors[k].size)[:, None, None]
        layer = torch.full((block.numel(),), -1)
        where = s.rows(numbers)
        layer[where.reshape(-1)] = (units // width(factors[k])).expand(where.shape).reshape(-1)
        layers.append((k, s.degree, layer))
        if most * (factors[k].size + 1) > LIMIT:
            key = torch.unique(key, return_inverse=True)[1]
            most = len(key)
        key, most = key * (factors[k].size + 1) + layer + 1, most * (factors[k].size + 1)
    groups = torch.unique(key, return_inverse=True)[1]
    count = 1 + int(groups.max()) if len(groups) else 0
    square = torch.zeros(count, dtype=torch.float64).index_add_(0, groups, block.reshape(-1).double().square())
    on = [(k, d, torch.full((count,), -1).scatter_(0, groups, layer)) for k, d, layer in layers]
    return Entries(square.sqrt(), on)


def width(f: Factor) -> int:
    """Units that share one number: the two of a pair of a complex scalar."""
    return 2 if f.kind == "complex" else 1


def direction(factors: Sequence[Factor], found: Sequence[Entries | Grid], settled: float) -> tuple[list[Tensor], float]:
    """Newton's direction in the logarithms, and how far the moment is from zero."""

    def zeros() -> list[Tensor]:
        return [torch.zeros(f.size // width(f), dtype=torch.float64) for f in factors]

    def forward(xi: Sequence[Tensor]) -> dict[str, Tensor]:
        return {str(i): e.value * e.rates(xi) for i, e in enumerate(found)}

    def backward(r: Mapping[str, Tensor]) -> list[Tensor]:
        out = zeros()
        for i, e in enumerate(found):
            e.pulled(out, e.value * r[str(i)])
        return out

    size = zeros()
    for e in found:
        e.pulled(size, e.value.square(), square=True)
    size = [t.clamp_min(max(float(t.max()), 1e-300) * 1e-12) for t in size]
    total = sum(float(e.value.square().sum()) for e in found)
    g = [-t / 2 for t in backward({str(i): e.value for i, e in enumerate(found)})]
    moment = max((float(t.abs().max()) for t in g), default=0.0) / max(total, 1e-300)
    if moment <= settled:
        return g, moment
    return conjugate(g, forward, backward, lambda t: [a / b for a, b in zip(t, size, strict=True)], moment), moment


def moved(found: Sequence[Entries | Grid], xi: Sequence[Tensor]) -> list[Entries | Grid]:
    """The entries after a step."""
    return [replace(e, value=e.value * e.rates(xi).exp()) for e in found]


def element(f: Factor, log: Tensor) -> Tensor:
    """exp of a direction as an element of its factor."""
    return torch.diag(log.exp().repeat_interleave(2)) if f.kind == "complex" else log.exp()
