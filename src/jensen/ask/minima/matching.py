"""A move between two points by turns: the best element of one factor after the other, from many random starts.

As clouds of points are registered (Besl and McKay 1992), with rotations, permutations, translations, signs and scales. What is
found is a move that has taken one point onto the other; that none is found says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from jensen.ask.symmetry.absorbed import corrected

KINDS = ("translation", "scale", "sign", "permutation", "orthogonal")  # in the order of their turns
STARTS, TURNS = 120, 20
STILL = 1e-9  # a turn that brings the points no nearer than by this share is the last

Theta = Mapping[str, Tensor]


def moved(found: Any, a: Theta, b: Theta, near: float) -> bool:
    """Whether a move of the group was found that takes a to within a distance of b.

    Args:
        found: An answer of ``jensen.symmetries``; only groups without frames and with factors of KINDS are searched.
        a, b: Points.
        near: In the Euclidean norm.
    """
    if found.frames or not _asked(found):
        return False
    numbers = torch.Generator().manual_seed(5)
    a, b = _centred(found, a), _centred(found, b)
    factors = sorted(found.factors, key=lambda f: KINDS.index(f.kind))
    for start in range(STARTS):
        point = a
        for f in factors if start else ():
            point = f.act(f.sample(numbers), point)
        if _closest(factors, point, b) <= near:
            return True
    return False


def _asked(found: Any) -> bool:
    """Groups in which factors act on one block together; what acts on its own is decided by representatives."""
    kinds = {f.kind for f in found.factors}
    together = any(set(f.blocks) & set(g.blocks) for f in found.factors for g in found.factors if f is not g)
    plain = all(not f.carries and not f.centred and all(s.gain is None for s in f.sites) for f in found.factors)
    alone = all(len(f.sites) == 1 for f in found.factors if f.kind == "translation") and not corrected(found)
    return kinds <= set(KINDS) and {"permutation", "orthogonal"} <= kinds and together and plain and alone


def _centred(found: Any, theta: Theta) -> dict[str, Tensor]:
    """The point translated so that its means are 0: what turns it then does so about one centre."""
    out = dict(theta)
    for f in found.factors:
        if f.kind == "translation":
            site = f.sites[0]
            out = f.act(-site.rows(out[site.block]).double().mean(1) / site.degree, out)
    return out


def _closest(factors: Sequence[Any], point: Theta, b: Theta) -> float:
    """How near the point is brought to b by turns."""
    here = dict(point)
    apart = _distance(here, b)
    for _ in range(TURNS):
        for f in factors:
            here = f.act(_best(f, here, b), here)
        now = _distance(here, b)
        if not now < (1 - STILL) * apart:
            return min(now, apart)
        apart = now
    return apart


def _best(f: Any, a: Theta, b: Theta) -> Tensor:
    """The element that brings a nearest to b, as far as this factor can (for scales: that makes lengths equal)."""
    from scipy.optimize import linear_sum_assignment

    pairs = [(s, s.rows(a[s.block]).double().flatten(1), s.rows(b[s.block]).double().flatten(1)) for s in f.sites]
    if f.kind == "translation":
        site = f.sites[0]
        gap = site.rows(b[site.block]).double() - site.rows(a[site.block]).double()
        return gap.mean(1) / site.degree
    if f.kind == "scale":
        site, one, other = pairs[0]
        return (other.norm(dim=1) / one.norm(dim=1).clamp(min=1e-300)).clamp(min=1e-300) ** (1 / site.degree)
    overlap = torch.stack([other @ one.T for _, one, other in pairs]).sum(0)
    if f.kind == "permutation":
        return torch.as_tensor(linear_sum_assignment(overlap.numpy(), maximize=True)[1])
    if f.kind == "sign":
        return torch.where(overlap.diagonal() < 0, -1.0, 1.0).double()
    u, _, v = torch.linalg.svd(overlap)
    return u @ v


def _distance(a: Theta, b: Theta) -> float:
    return float(sum(((a[n] - t) ** 2).sum() for n, t in b.items())) ** 0.5
