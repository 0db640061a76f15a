"""Which permutation factors lie inside units of others, and which of them an outer permutation exchanges.

Where parts of a network change places as wholes (heads, groups, branches), each brings its own permutations along. Units of two
such copies are compared with each other until the outer permutation is settled; where parts have parts, level by level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jensen.ask.equivalence.layout import Place, Placed

Spot = tuple[str, bytes]  # a block and the entries of it on which a place stands, in order


@dataclass(frozen=True)
class Pools:
    """What is known of each factor.

    Attributes:
        levels: How many others enclose it.
        pools: For each level the number of its pool.
        alike: For each of its places the first of those that other permutations exchange with it.
    """

    levels: tuple[int, ...]
    pools: tuple[tuple[int, ...], ...]
    alike: tuple[tuple[int, ...], ...]


def pooled(moving: Sequence[Placed]) -> Pools:
    """Levels and pools of permutation factors; the pools of a level are those that permutations from this level on exchange."""
    inside = [[f for f in moving if f is not g and _encloses(g, f)] for g in moving]
    levels = [sum(any(f is i for i in own) for own in inside) for f in moving]
    numbers = {id(f): k for k, f in enumerate(moving)}
    by_key = {frozenset(_spot(p) for p in f.places): k for k, f in enumerate(moving)} if any(levels) else {}
    pairs = []  # a level, and two factors that a permutation of this level exchanges
    for outer, own, level in zip(moving, inside, levels, strict=True):
        for f in own:
            other = by_key.get(frozenset(_next(outer, p) for p in f.places))
            if other is not None:
                pairs.append((level, numbers[id(f)], other))
    out = []
    for level in range(1 + max(levels, default=0)):
        out.append(_joined(len(moving), [(i, j) for at, i, j in pairs if at >= level]))
    return Pools(tuple(levels), tuple(zip(*out, strict=True)), tuple(_alike(f, moving) for f in moving))


def _joined(n: int, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """For each of n things the first that pairs tie it to."""
    owner = list(range(n))
    for i, j in pairs:
        old, new = owner[i], owner[j]
        owner = [new if o == old else o for o in owner]
    return tuple(owner.index(o) for o in owner)


def _alike(f: Placed, moving: Sequence[Placed]) -> tuple[int, ...]:
    """For each place of a factor the first that others exchange with it."""
    kinds = [(p.block, p.site.axes, p.index.shape) for p in f.places]
    pairs = []
    if len(set(kinds)) < len(kinds):
        spots = {_spot(p): k for k, p in enumerate(f.places)}
        for k, p in enumerate(f.places):
            others = (spots.get(_next(g, p)) for g in moving if g is not f)
            pairs += [(k, other) for other in others if other not in (None, k)]
    return _joined(len(kinds), pairs)


def _encloses(outer: Placed, inner: Placed) -> bool:
    """Whether all that one factor moves of the blocks of another lies inside one unit of that."""
    found: set[int] = set()
    for p in outer.places:
        own = p.index.reshape(len(p.index), -1)
        for q in (q for q in inner.places if q.block == p.block):
            unit = torch.full((1 + int(max(own.max(), q.index.max())),), -1)
            unit[own] = torch.arange(len(own))[:, None]
            found |= set(torch.unique(unit[q.index]).tolist())
            if len(found - {-1}) > 1:
                return False
    return len(found - {-1}) == 1


def _spot(p: Place) -> Spot:
    return p.block, np.sort(p.index.reshape(-1).numpy()).tobytes()


def _next(outer: Placed, p: Place) -> Spot:
    """Where a place inside one unit of a factor stands in the next unit; nowhere if it is in the last, or in more than one."""
    index = p.index.reshape(-1)
    for q in (q for q in outer.places if q.block == p.block):
        own = q.index.reshape(len(q.index), -1)
        where = torch.full((1 + int(max(own.max(), index.max())),), -1)
        where[own.reshape(-1)] = torch.arange(own.numel())
        at = where[index]
        if bool((at < 0).all()):
            continue
        units = torch.unique(at // own.shape[1])
        if len(units) > 1 or int(units) + 1 == len(own):
            return "", b""
        index = own.reshape(-1)[at + own.shape[1]]
    return p.block, np.sort(index.numpy()).tobytes()
