"""Compact moves that bring one point near another: coordinate ascent on their inner product over all factors.

Permutations by linear assignment, with a sign for each unit where signs are allowed (Ainsworth et al. 2023, weight
matching, biases included); rotations by Procrustes; phases by angles. Copies that an outer permutation exchanges (heads) are
compared by nuclear norms, that is after the best rotation inside each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from jensen.ask.equivalence.canonical import followed
from jensen.ask.equivalence.layout import Place, Placed
from jensen.ask.symmetry.group import MATRICES, PAIRED, Site, Step

SWEEPS = 100
GAIN = 1e-10  # relative


def inner(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The inner product of two points."""
    return sum(float((a[n].double() * b[n].double()).sum()) for n in a)


def matched(factors: Sequence[Placed], target: Mapping[str, Tensor], x: Mapping[str, Tensor], seed: int) -> list[Step]:
    """Steps that bring x near a target; a local optimum of the inner product.

    Args:
        factors: All factors with their places; those that are continuous and not compact are left alone.
        target, x: Points in coordinates in which flips are plain signs.
        seed: Of the order in which factors take turns.
    """
    generator = torch.Generator().manual_seed(seed)
    moving = [f for f in factors if f.factor.kind in ("permutation", "sign", "flip", *MATRICES)]
    out, steps = dict(x), []
    size = max(abs(inner(target, out)), inner(target, target), 1e-300)
    stale = set(range(len(moving)))  # those whose neighbours moved since their last turn
    for _ in range(SWEEPS):
        for k in (i for i in torch.randperm(len(moving), generator=generator).tolist() if i in stale):
            stale.discard(k)
            turn = _turn(moving[k], moving, target, out)
            y = followed(turn, out)
            touched = {n for s in turn for n in s.factor.names}
            gain = sum(float((target[n].double() * (y[n] - out[n]).double()).sum()) for n in touched)
            if gain > GAIN * size:
                out, steps = y, [*steps, *turn]
                stale |= {i for i, f in enumerate(moving) if touched & set(f.factor.names) and (i != k or _both(f))}
        if not stale:
            break
    return steps


def _both(f: Placed) -> bool:
    """Whether a factor moves two axes of one block, so that its own turn changes what is best for it."""
    blocks = [p.block for p in f.places]
    return len(set(blocks)) < len(blocks)


def _turn(f: Placed, others: Sequence[Placed], target: Mapping[str, Tensor], x: Mapping[str, Tensor]) -> list[Step]:
    """The best element of one factor, all others kept; with a permutation also the signs of its units."""
    kind = f.factor.kind
    if kind in ("sign", "flip"):
        plus = _products(f, f.signed, target, x, diagonal=True)
        return [Step(f.factor, torch.where(plus < 0, -1.0, 1.0).double())]
    if kind in MATRICES:
        return [Step(f.factor, _rotation(f, target, x))]
    partner = next((g for g in others if g.factor.kind in ("sign", "flip") and _same_units(f, g)), None)
    signed = [] if partner is None else [p.site for p in partner.signed]
    free = [p for p in f.places if not any(_same(p, s) for s in signed)]
    bound = [p for p in f.places if any(_same(p, s) for s in signed)]
    loose = _copies(f, others, free, target, x)
    tied = _products(f, bound, target, x)
    p = assignment(loose + tied.abs())
    steps = [Step(f.factor, p)]
    if partner is not None:
        s = torch.where(tied[torch.arange(len(p)), p] < 0, -1.0, 1.0).double()
        steps.append(Step(partner.factor, s))
    return steps


def assignment(gain: Tensor) -> Tensor:
    """p that maximises the sum of gain[i, p[i]]."""
    return torch.from_numpy(linear_sum_assignment(gain.numpy(), maximize=True)[1].copy())


def _same(p: Place, site: Site) -> bool:
    s = p.site
    if s.block != site.block or s.axes != site.axes or s.positions.shape != site.positions.shape:
        return False
    return bool((s.positions == site.positions).all())


def _same_units(f: Placed, g: Placed) -> bool:
    """Whether the units of a sign are those of a permutation: each of its sites is one of the permutation's."""
    return f.factor.size == g.factor.size and all(any(_same(p, q.site) for p in f.places) for q in g.places)


def _products(
    f: Placed, places: Sequence[Place], target: Mapping[str, Tensor], x: Mapping[str, Tensor], diagonal: bool = False
) -> Tensor:
    """(n, n): the inner products of the target's units with those of x; only their diagonal, where asked."""
    n = f.factor.size
    total = torch.zeros(n if diagonal else (n, n), dtype=torch.float64)
    for p in places:
        t, v = (p.rows(y).double().reshape(n, -1) for y in (target, x))
        total = total + ((t * v).sum(1) if diagonal else t @ v.T)
    return total


def _copies(
    f: Placed, others: Sequence[Placed], places: Sequence[Place], target: Mapping[str, Tensor], x: Mapping[str, Tensor]
) -> Tensor:
    """(n, n) inner products; where matrices act inside the units, the best over their rotations."""
    groups: dict[str, list[Place]] = {}
    for p in places:
        inside = next((g for g in others if g.factor.kind in MATRICES and _inside(g, p)), None)
        groups.setdefault("" if inside is None else inside.factor.power or inside.factor.label, []).append(p)
    total = _products(f, groups.pop("", []), target, x)
    for members in groups.values():
        m = {p.index.shape[1] for p in members}
        if len(m) != 1:
            total = total + _products(f, members, target, x)
            continue
        t, v = (torch.cat([p.rows(y).double() for p in members], 2) for y in (target, x))  # (n, m, all)
        cross = torch.einsum("imr,jkr->ijmk", t, v)
        total = total + torch.linalg.matrix_norm(cross, ord="nuc")
    return total


def _inside(g: Placed, p: Place) -> bool:
    """Whether a factor's units lie inside one unit of a place."""
    for q in g.places:
        if q.block == p.block and q.site.axes == p.site.axes and q.site.positions.size < p.site.positions.size:
            mine = set(q.site.positions.reshape(-1).tolist())
            return any(mine <= set(row.tolist()) for row in p.site.positions)
    return False


def _rotation(f: Placed, target: Mapping[str, Tensor], x: Mapping[str, Tensor]) -> Tensor:
    """Procrustes (Schönemann 1966); for complex scalars one angle a pair."""
    cross = _products(f, f.places, target, x)
    if f.factor.centred:  # the first unit is the mean, which stays
        u, _, vt = torch.linalg.svd(cross[1:, 1:])
        return torch.block_diag(torch.ones(1, 1, dtype=torch.float64), u @ vt)
    if f.factor.kind not in PAIRED:
        u, _, vt = torch.linalg.svd(cross)
        return u @ vt
    k = torch.arange(0, f.factor.size, 2)
    angle = torch.atan2(cross[k + 1, k] - cross[k, k + 1], cross[k, k] + cross[k + 1, k + 1])
    c, s = angle.cos(), angle.sin()
    return torch.block_diag(
        *(torch.stack([torch.stack([i, -j]), torch.stack([j, i])]) for i, j in zip(c, s, strict=True))
    )
