"""Biases of copies that add up, made equal: so they stay where they are when the copies change places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Site, Step

Theta = dict[str, Tensor]
Key = tuple[str, tuple[int, ...], bytes]


def evened(factors: Sequence[Factor], x: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """The point with equal biases where shifts inside one block tie them, and the steps there.

    Each shift takes from one site what it adds to another; a site with one shift left is brought to the mean by it.
    """
    out, steps = dict(x), []
    left = [f for f in factors if _between(f)]
    means = _means(left, out)
    while left:
        counts = Counter(_key(s) for f in left for s in f.sites)
        found = next(((f, s) for f in left for s in f.sites if counts[_key(s)] == 1), None)
        if found is None:  # a ring, which no reading makes
            break
        f, site = found
        steps.append(Step(f, (means[_key(site)] - _value(site, out)) * site.degree))
        out = f.act(steps[-1].element, out)
        left = [g for g in left if g is not f]
    return out, steps


def _between(f: Factor) -> bool:
    """Whether it is a shift between two sites of one block and does nothing else."""
    alone = f.kind == "shift" and not f.carries and f.cells is None and len(f.sites) == 2
    return alone and f.sites[0].block == f.sites[1].block and {s.degree for s in f.sites} == {1.0, -1.0}


def _key(s: Site) -> Key:
    return s.block, s.axes, s.positions.tobytes()


def _value(s: Site, x: Mapping[str, Tensor]) -> Tensor:
    return s.rows(x[s.block]).double().mean((1, 2))


def _means(between: Sequence[Factor], x: Mapping[str, Tensor]) -> dict[Key, Tensor]:
    """For each site the mean over all that shifts tie to it."""
    sites = {_key(s): s for f in between for s in f.sites}
    owner = {key: key for key in sites}
    for f in between:
        old, new = (owner[_key(s)] for s in f.sites)
        owner = {key: new if o == old else o for key, o in owner.items()}
    values = {key: _value(s, x) for key, s in sites.items()}
    return {key: torch.stack([values[k] for k, o in owner.items() if o == mine]).mean(0) for key, mine in owner.items()}
