"""What a shear I + 1 w' leaves of its units' entries, and the one point of its orbit that stands for all.

The units less their mean (of what it writes: entries ``x -> A x``) and the sum over units up to a factor (of what it reads:
``x -> A^-T x``) stay. So it is enough to fix the mean of the former across the directions of the rest, or the latter's
part along those sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jensen.ask.symmetry.elements import shear
from jensen.ask.symmetry.group import Factor, Site

STIFF = ("linear", "complex", "scale", "shear")  # kinds that change lengths of a block's rows
TINY = 1e-12


def gained(s: Site, theta: Mapping[str, Tensor]) -> Tensor:
    """A site's entries (n, m, rest) with its norm's gain in them."""
    rows = s.rows(theta[s.block])
    return rows if s.gain is None else rows * s.gain.rows(theta[s.gain.block]) ** s.gain.degree


def stacked(sites: Sequence[Site], n: int, theta: Mapping[str, Tensor]) -> Tensor:
    """The entries of n units at some sites: (n, all)."""
    own = [gained(s, theta).double().reshape(n, -1) for s in sites]
    return torch.cat(own, dim=1) if own else torch.zeros(n, 0, dtype=torch.float64)


def anchors(f: Factor, factors: Sequence[Factor], theta: Mapping[str, Tensor]) -> tuple[Site, ...]:
    """Sites of one direction by which a shear is fixed: such that no other factor changes lengths there, where there are any."""
    others = [(s.block, s.axes) for g in factors if g is not f and g.kind in STIFF for s in g.sites]
    free = [s for s in f.sites if not any(b == s.block and axes != s.axes for b, axes in others)]
    for sites in (free, list(f.sites)):
        down, up = ([s for s in sites if (s.degree > 0) == way] for way in (False, True))
        if down:
            return tuple(down)
        if up and stacked(up, f.size, theta).shape[1] > f.size:
            return tuple(up)
    return f.sites[:1]


def unsheared(f: Factor, theta: Mapping[str, Tensor], sites: Sequence[Site]) -> Tensor:
    """The shear of positive determinant after which the point stands for its orbit; the identity where nothing tells."""
    n, x = f.size, stacked(sites, f.size, theta)
    total = x.sum(0)
    if sites[0].degree < 0:
        size = total.norm()
        if size <= TINY * x.norm():
            return f.identity()
        return shear((x @ total - size / n) / size)
    mean, rest = total / n, x - total / n
    basis = torch.linalg.svd(rest, full_matrices=False)
    kept = basis[2][basis[1] > TINY * basis[1][0]]
    across = mean - kept.T @ (kept @ mean)
    size = across.norm()
    if size <= TINY * x.norm():
        return f.identity()
    return shear(torch.linalg.lstsq(x.T, (across / size - mean)[:, None], rcond=TINY, driver="gelsd").solution[:, 0])
