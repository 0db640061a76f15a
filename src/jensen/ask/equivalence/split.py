"""Shears made plain: units less their mean, and the mean, of which a shear's slice leaves no more than a sign open.

Where a shear acts on an axis of n units, the axis has n + 1 places in these coordinates: the units less their mean, then the
mean (with a norm's gain taken in). A shear of negative determinant between two points on the slice turns the mean around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.elements import stretched
from jensen.ask.symmetry.group import Factor, Site, Step

NOTHING = 1e-13  # relative to the units: a mean below is zero

Theta = dict[str, Tensor]
Key = tuple[str, tuple[int, ...]]


def splits(factors: Sequence[Factor]) -> dict[Key, Site]:
    """The sites of shears, by block and axis."""
    return {(s.block, s.axes): s for f in factors if f.kind == "shear" and _plain(f) for s in f.sites}


def _plain(f: Factor) -> bool:
    """Whether every site of a shear is all of one axis."""
    return all(len(s.axes) == 1 and s.positions.shape[1] == 1 for s in f.sites)


def split(sites: Mapping[Key, Site], x: Mapping[str, Tensor]) -> Theta:
    """A point with its shears' axes split."""
    out = dict(x)
    for (block, (axis,)), s in sites.items():
        t = _gained(s, out[block], x, 1.0).movedim(axis, 0)
        mean = t.mean(0, keepdim=True)
        mean = torch.where(mean.abs() <= NOTHING * t.abs().amax(0, keepdim=True), 0.0, mean)  # noise has no sign
        out[block] = torch.cat([t - mean, mean]).movedim(0, axis)
    return out


def merged(sites: Mapping[Key, Site], x: Mapping[str, Tensor]) -> Theta:
    """The way back."""
    out = dict(x)
    for (block, (axis,)), s in sites.items():
        t = out[block].movedim(axis, 0)
        out[block] = _gained(s, (t[:-1] + t[-1:]).movedim(0, axis), x, -1.0)
    return out


def _gained(s: Site, value: Tensor, x: Mapping[str, Tensor], power: float) -> Tensor:
    if s.gain is None:
        return value
    gain = s.gain.rows(x[s.gain.block]).reshape(-1) ** (power * s.gain.degree)
    return value * gain.reshape([-1 if a == s.axes[0] else 1 for a in range(value.dim())])


def turned_mean(f: Factor) -> Factor:
    """What is left of a shear: a sign of the means."""
    sites = tuple(Site(s.block, s.axes, np.array([[f.size]])) for s in f.sites)
    return Factor("sign", 1, f.label, sites)


def real(f: Factor, element: Tensor) -> Step:
    """The shear behind such a sign."""
    return Step(f, stretched(torch.zeros(f.size, dtype=torch.float64), float(element[0])))


def with_means(f: Factor, sites: Mapping[Key, Site]) -> Factor:
    """A factor in these coordinates: what multiplies all units by one number multiplies their mean."""
    if f.size != 1 or f.kind not in ("sign", "scale"):
        return f
    out = []
    for s in f.sites:
        n = len(sites[s.block, s.axes].positions) if (s.block, s.axes) in sites else -1
        whole = len({*s.positions[0].tolist()}) == n
        out.append(replace(s, positions=np.append(s.positions, [[n]], axis=1)) if whole else s)
    return replace(f, sites=tuple(out))
