"""Colours of units that two equivalent points must share: refinement as in graph isomorphism, on weights.

Points are in normal form: what is left are permutations and signs. A unit's colour is refined by sums over its entries,
each weighted by a random number that stands for where the entry lies: the colours of the other units there, or fixed
positions. Sums of squares (and of the entries themselves where no sign can change them) know no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.equivalence.layout import Place, Placed
from jensen.ask.equivalence.pools import pooled

ROUNDS = 12

Colours = list[Tensor]  # for each permutation factor (2, n): those of a's units and of b's


@dataclass(frozen=True, eq=False)
class Class:
    """A permutation factor, and what its entries hold besides its units.

    Attributes:
        placed: The factor.
        pools: Factors of one pool have colours in common: copies that an outer permutation exchanges. One number for each
            level: the pools that are left once all permutations of fewer levels are settled.
        columns: For each place, random numbers for its columns (m,), the same in a pool and for places that are alike; zeros
            where another permutation moves them.
        alike: For each place the first of those that other permutations exchange with it.
        level: How many other permutation factors enclose it.
    """

    placed: Placed
    pools: tuple[int, ...]
    columns: tuple[Tensor, ...]
    alike: tuple[int, ...]
    level: int

    @property
    def pool(self) -> int:
        """Where nothing is settled yet."""
        return self.pools[0]


@dataclass(frozen=True, eq=False)
class Ground:
    """What refinement needs, looked up once.

    Attributes:
        classes: The permutation factors.
        base: For each block a random number for each entry: its fixed positions.
        signed: For each block whether a sign may change an entry.
        scale: For each block the largest magnitude of its entries.
        close: Relative to the largest sum of magnitudes: sums nearer than this have one colour.
    """

    classes: tuple[Class, ...]
    base: Mapping[str, Tensor]
    signed: Mapping[str, Tensor]
    scale: Mapping[str, float]
    close: float

    @property
    def pools(self) -> list[list[int]]:
        """The numbers of the classes of each pool."""
        found: dict[int, list[int]] = {}
        for k, c in enumerate(self.classes):
            found.setdefault(c.pool, []).append(k)
        return list(found.values())


def ground(factors: Sequence[Placed], points: Sequence[Mapping[str, Tensor]], close: float) -> Ground:
    """The permutation factors and fixed positions of two points in normal form."""
    generator = torch.Generator().manual_seed(20)
    moving = [f for f in factors if f.factor.kind == "permutation"]
    found = pooled(moving)
    columns: dict[int, tuple[Tensor, ...]] = {}
    classes = []
    for f, level, pools, alike in zip(moving, found.levels, found.pools, found.alike, strict=True):
        if pools[0] not in columns:
            others = [g for g in moving if g is not f]
            drawn = [_columns(p, others, generator) for p in f.places]
            columns[pools[0]] = tuple(drawn[k] for k in alike)
        classes.append(Class(f, pools, columns[pools[0]], alike, level))
    base = {n: _base(n, t.shape, moving, generator) for n, t in points[0].items()}
    signed = {n: torch.zeros(t.numel(), dtype=torch.bool) for n, t in points[0].items()}
    for f in factors:
        for p in f.signed:
            signed[p.block][p.index.reshape(-1)] = True
    scale = {n: max(max(float(x[n].abs().max()) if x[n].numel() else 0.0 for x in points), 1e-300) for n in points[0]}
    return Ground(tuple(classes), base, signed, scale, close)


def _columns(p: Place, others: Sequence[Placed], generator: torch.Generator) -> Tensor:
    """Random numbers for the columns of a place; zeros where another permutation moves columns among each other."""
    numbers = torch.rand(p.index.shape[1], generator=generator, dtype=torch.float64)
    for q in (q for g in others for q in g.places if q.block == p.block):
        unit = torch.full((int(max(p.index.max(), q.index.max())) + 1,), -1)
        unit[q.index.reshape(-1)] = q.units.expand(q.index.shape).reshape(-1)
        found = unit[p.index]
        if bool((found != found[:, :1]).any()):
            return torch.zeros_like(numbers)
    return numbers


def _base(name: str, shape: torch.Size, moving: Sequence[Placed], generator: torch.Generator) -> Tensor:
    """A number for each entry: its positions on the axes on which no permutation moves it."""
    out = torch.zeros(shape, dtype=torch.float64)
    for axis, n in enumerate(shape):
        free = torch.ones(out.numel(), dtype=torch.bool)
        for f in moving:
            for p in f.places:
                if p.block == name and axis in p.site.axes:
                    free[p.index.reshape(-1)] = False
        numbers = torch.rand(n, generator=generator, dtype=torch.float64)
        numbers = numbers.reshape([n if a == axis else 1 for a in range(len(shape))])
        out = out + torch.where(free.reshape(shape), numbers, 0.0)
    return out.reshape(-1)


def begin(g: Ground, level: int = 0) -> Colours:
    """One colour for all units of a pool; units of the levels below are settled, and each has its own."""
    out, fresh = [], 1000 * (1 + max((max(c.pools) for c in g.classes), default=0))
    for c in g.classes:
        n = c.placed.factor.size
        if c.level < level:
            out.append((fresh + torch.arange(n)).repeat(2, 1))
            fresh += n
        else:
            out.append(torch.full((2, n), 1000 * c.pools[level]))
    return out


def refined(g: Ground, points: Sequence[Mapping[str, Tensor]], colours: Colours) -> tuple[Colours, str]:
    """Stable colours, and where the two points differ in them; empty where they agree."""
    count = -1
    for round_ in range(ROUNDS):
        drawn = [torch.Generator().manual_seed(round_) for _ in points]  # the same numbers for both
        sums = [_sums(g, x, [c[k] for c in colours], drawn[k]) for k, x in enumerate(points)]
        colours = _split(g, colours, sums, torch.Generator().manual_seed(100 + round_))
        wrong = _differs(g, colours)
        if wrong:
            return colours, wrong
        now = sum(len(torch.unique(c[0])) for c in colours)
        if now == count:
            break
        count = now
    return colours, ""


def _differs(g: Ground, colours: Colours) -> str:
    """The first factor in which the two points have different colours; empty without one. Pools are counted whole."""
    for members in g.pools:
        a, b = (torch.cat([colours[k][side] for k in members]).sort().values for side in (0, 1))
        if not torch.equal(a, b):
            return g.classes[members[0]].placed.factor.label
    return ""


def _sums(
    g: Ground, x: Mapping[str, Tensor], colours: Sequence[Tensor], generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """For each class: (n, k) sums over the entries of each unit, and the sums of magnitudes that bound their errors."""
    table = torch.rand(1 + max((int(c.max()) for c in colours), default=0), generator=generator, dtype=torch.float64)
    keys = {n: b.clone() for n, b in g.base.items()}
    for c, colour in zip(g.classes, colours, strict=True):
        for p, columns in zip(c.placed.places, c.columns, strict=True):
            amount = table[colour][:, None, None] + columns[None, :, None]
            keys[p.block].index_add_(0, p.index.reshape(-1), amount.expand(p.index.shape).reshape(-1))
    frequency = 40.0 + 60.0 * torch.rand((), generator=generator, dtype=torch.float64)
    parts = {}
    for name, key in keys.items():
        v = x[name].reshape(-1).double() / g.scale[name]
        w = torch.sin(frequency * key)
        once = torch.where(g.signed[name], v.abs(), v)
        parts[name] = torch.stack([once * w, v.square() * w, v.abs()])
    out = []
    for c in g.classes:
        each = [parts[p.block][:, p.index].sum((2, 3)) for p in c.placed.places]
        found = [
            torch.stack([s for s, j in zip(each, c.alike, strict=True) if j == k]).sum(0) for k in sorted(set(c.alike))
        ]
        out.append((torch.cat([f[:2] for f in found]).T, torch.cat([f[2:] for f in found]).T))
    return out


def _split(
    g: Ground, colours: Colours, sums: Sequence[Sequence[tuple[Tensor, Tensor]]], generator: torch.Generator
) -> Colours:
    """Colours split where the sums differ; numbered alike in both points and in all members of a pool."""
    out: Colours = [c.clone() for c in colours]
    fresh = 0
    for members in g.pools:
        old = torch.cat([colours[k].reshape(-1) for k in members])
        rows = torch.cat([torch.cat([sums[0][k][0], sums[1][k][0]]) for k in members])
        bounds = torch.cat([torch.cat([sums[0][k][1], sums[1][k][1]]) for k in members])
        weights = torch.rand(rows.shape[1], generator=generator, dtype=torch.float64) + 0.5
        size = float(bounds.sum(1).max()) if len(bounds) else 0.0
        new = _clusters(old, rows @ weights, g.close * max(size, 1e-300)) + fresh
        fresh = int(new.max()) + 1
        begun = 0
        for k in members:
            n = colours[k].numel()
            out[k] = new[begun : begun + n].reshape(2, -1)
            begun += n
    return out


def _clusters(old: Tensor, value: Tensor, close: float) -> Tensor:
    """Numbers of groups with one old colour and values without a gap larger than ``close``."""
    order = torch.argsort(value, stable=True)
    order = order[torch.argsort(old[order], stable=True)]
    o, v = old[order], value[order]
    new = torch.ones(len(order), dtype=torch.bool)
    new[0] = False
    new[1:] = (o[1:] != o[:-1]) | (v[1:] - v[:-1] > close)
    out = torch.empty(len(order), dtype=torch.int64)
    out[order] = torch.cumsum(new.long(), 0)
    return out
