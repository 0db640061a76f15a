"""The order of a group in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from jensen.ask.symmetry.group import Factor

SIGNS = ("sign", "flip")


def words(factors: Sequence[Factor]) -> str:
    """Permutations with the signs of the same units, classes apart by `` · ``; 1 for a connected group."""
    signs = [f for f in factors if f.kind in SIGNS]
    used: set[int] = set()
    tokens = []
    for f in factors:
        if f.kind == "permutation":
            own = [s for s in signs if id(s) not in used and _alike(f, s)]
            used |= {id(s) for s in own}
            tokens.append("·".join([f"{f.size}!", *(_two(s.size) for s in own)]))
        elif f.kind in ("linear", "orthogonal", "shear"):
            tokens.append("2")
    tokens += [_two(s.size) for s in signs if id(s) not in used]
    runs = [(t, len(list(g))) for t, g in groupby(tokens)]
    return " · ".join(_run(t, n) for t, n in runs) or "1"


def _run(token: str, n: int) -> str:
    """A token several times: twos and more than three as a power."""
    if token == "2":
        return _two(n)
    return " · ".join([token] * n) if n <= 3 else f"({token})^{n}"


def _two(n: int) -> str:
    return "2" if n == 1 else f"2^{n}"


def _alike(f: Factor, s: Factor) -> bool:
    """Whether the units of two factors are the same."""
    return f.size == s.size and any(
        a.block == b.block
        and a.axes == b.axes
        and a.positions.shape == b.positions.shape
        and np.array_equal(np.sort(a.positions, 0), np.sort(b.positions, 0))
        for a in f.sites
        for b in s.sites
    )
