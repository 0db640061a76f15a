"""Orbits: tangent directions, and what leaves a point where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial, prod

import torch
from torch import Tensor

from jensen.ask.symmetry.group import MATRICES, PAIRED, Coordinates, Factor, Move, Site, Step

EQUAL = 1e-7  # relative: entries of two units that count as equal
RANK = 1e-9


@dataclass(frozen=True)
class Stabiliser:
    """What leaves a point where it is.

    Attributes:
        order: Components of the group that hold an element which does.
        dimension: Of the stabiliser.
        orbit_dimension: The group's dimension less that.
        copies: Connected components of the orbit, [G : G0 Stab].
    """

    order: int
    dimension: int
    orbit_dimension: int
    copies: int


# -- directions ----------------------------------------------------------------------------------------------------------


def tangents(
    factors: Sequence[Factor], frames: Sequence[Coordinates], theta: Mapping[str, Tensor], names: Sequence[str]
) -> list[Tensor]:
    """The derivative of the move along each direction of each continuous factor."""
    rows = []
    for f in factors:
        for direction in _directions(f):
            rows.append(_along(f, frames, theta, names, direction))
    return rows


def _along(
    f: Factor, frames: Sequence[Coordinates], theta: Mapping[str, Tensor], names: Sequence[str], x: Tensor
) -> Tensor:
    def flat(t: Tensor) -> Tensor:
        element = f.identity() + t * x  # to first order, as good as the exponential
        moved = Move((Step(f, element),), tuple(frames)).act(theta)
        return torch.cat([moved[n].reshape(-1).double() for n in names])

    zero = torch.zeros((), dtype=torch.float64)
    return torch.func.jvp(flat, (zero,), (torch.ones_like(zero),))[1]


def _directions(f: Factor) -> Iterator[Tensor]:
    n = f.size
    if f.kind == "scale":
        yield from torch.eye(n, dtype=torch.float64)
    elif f.kind == "translation":
        yield from torch.eye(n * f.rest, dtype=torch.float64).reshape(-1, n, f.rest)
    elif f.kind == "shift":
        yield from _independent(torch.stack([f.project(e) for e in torch.eye(n, dtype=torch.float64)]), f.dimension)
    elif f.kind in MATRICES:
        for i in range(n):
            for j in range(n):
                x = torch.zeros(n, n, dtype=torch.float64)
                x[i, j] = 1.0
                if f.kind == "linear":
                    yield x
                elif f.kind == "orthogonal" and i < j < n - f.centred:
                    yield _turn(f, x - x.T)
        if f.kind in PAIRED:
            yield from _turns(n, f.kind == "complex")


def _turn(f: Factor, x: Tensor) -> Tensor:
    """A skew matrix, on the units less their mean where that is left alone."""
    if not f.centred:
        return x
    m = f.size - 1
    return f.inside(x[:m, :m]) - f.inside(torch.zeros(m, m, dtype=torch.float64))


def _turns(n: int, scaled: bool) -> Iterator[Tensor]:
    for k in range(0, n, 2):
        for block in ([[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]])[0 if scaled else 1 :]:
            x = torch.zeros(n, n, dtype=torch.float64)
            x[k : k + 2, k : k + 2] = torch.tensor(block, dtype=torch.float64)
            yield x


def _independent(rows: Tensor, k: int) -> Tensor:
    return torch.linalg.svd(rows)[2][:k] if k < len(rows) else rows


# -- stabilisers ---------------------------------------------------------------------------------------------------------


def stabiliser(factors: Sequence[Factor], theta: Mapping[str, Tensor], rows: Tensor, order: int) -> Stabiliser:
    """At a point in canonical coordinates, with the tangent directions there."""
    rank = _rank(rows)
    fixing = prod(_fixing(f, theta) for f in factors)
    return Stabiliser(fixing, len(rows) - rank, rank, order // fixing)


def _rank(rows: Tensor) -> int:
    if not len(rows):
        return 0
    size = rows.norm(dim=1, keepdim=True)
    kept = rows[size.reshape(-1) > RANK * max(float(size.max()), 1e-300)]
    if not len(kept):
        return 0
    values = torch.linalg.svdvals(kept / kept.norm(dim=1, keepdim=True))
    return int((values > RANK * values[0]).sum())


def _fixing(f: Factor, theta: Mapping[str, Tensor]) -> int:
    """Components of one factor with an element that fixes the point: equal units, units that are 0, matrices with room."""
    if f.kind == "permutation":
        return prod(factorial(n) for n in _multiplicities(f, theta))
    if f.kind == "sign":
        free = torch.stack([_size(s, theta, f.size) for s in f.sites]).amax(0) == 0
        return 2 ** int(free.sum())
    if f.kind in ("linear", "orthogonal"):
        return 2 if _reflects(f, theta) else 1
    return 1


def _size(s: Site, theta: Mapping[str, Tensor], n: int) -> Tensor:
    return s.rows(theta[s.block]).reshape(n, -1).abs().amax(1)


def _multiplicities(f: Factor, theta: Mapping[str, Tensor]) -> list[int]:
    """How many units are equal, by what a swap of two would change."""
    rows = torch.cat([s.rows(theta[s.block]).reshape(f.size, -1).double() for s in _single(f)], dim=1)
    scale = float(rows.abs().max()) or 1.0
    keys = Counter(tuple(r) for r in (rows / (EQUAL * scale)).round().to(torch.int64).tolist())
    return list(keys.values())


def _single(f: Factor) -> list[Site]:
    """Sites of blocks in which the units stand on one axis (where they stand on two, a swap changes both)."""
    counts = Counter(s.block for s in f.sites)
    return [s for s in f.sites if counts[s.block] == 1] or list(f.sites)


def _reflects(f: Factor, theta: Mapping[str, Tensor]) -> bool:
    up, down = _stacked(f, theta, True), _stacked(f, theta, False)
    if f.kind == "orthogonal":
        both = torch.cat([up, down], dim=1)
        return bool(torch.linalg.matrix_rank(both, rtol=RANK) < f.size)
    a, b = _left_null(up), _left_null(down)
    return bool(a.shape[1] and b.shape[1] and (a.T @ b).abs().max() > RANK)


def _stacked(f: Factor, theta: Mapping[str, Tensor], up: bool) -> Tensor:
    """Entries of all sites of one direction: (n, all)."""
    own = [_gained(s, theta).reshape(f.size, -1) for s in f.sites if (s.degree > 0) == up]
    return torch.cat(own, dim=1) if own else torch.zeros(f.size, 0, dtype=torch.float64)


def _gained(s: Site, theta: Mapping[str, Tensor]) -> Tensor:
    rows = s.rows(theta[s.block])
    return rows if s.gain is None else rows * s.gain.rows(theta[s.gain.block]) ** s.gain.degree


def _left_null(x: Tensor) -> Tensor:
    if not x.shape[1]:
        return torch.eye(len(x), dtype=torch.float64)
    u, s, _ = torch.linalg.svd(x, full_matrices=True)
    return u[:, int((s > RANK * max(float(s[0]), 1e-300)).sum()) :]
