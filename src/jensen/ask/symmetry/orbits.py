"""Orbits: a representative, tangent directions, and what leaves a point where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial, prod

import torch
from torch import Tensor

from jensen.ask.symmetry.elements import about_mean, scalars, shear, stretched
from jensen.ask.symmetry.group import MATRICES, PAIRED, Coordinates, Factor, Move, Site, Step, Theta
from jensen.ask.symmetry.isospectral import position
from jensen.ask.symmetry.slices import anchors, stacked, unsheared

EQUAL = 1e-7  # relative: entries of two units that count as equal
RANK = 1e-9
PASSES = 5  # of all factors
STILL = 1e-12  # relative to the largest entry of a block


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


# -- a representative ----------------------------------------------------------------------------------------------------


def canonical(factors: Sequence[Factor], theta: Mapping[str, Tensor]) -> Theta:
    """Shifts taken out, scales and matrices balanced, signs and order fixed: one factor after the other, until all rest."""
    out: Theta = dict(theta)
    order = (
        "isospectral",
        "translation",
        "shift",
        "shear",
        "linear",
        "orthogonal",
        "complex",
        "phase",
        "scale",
        "sign",
        "flip",
        "permutation",
    )
    ranked = sorted(factors, key=lambda f: order.index(f.kind))
    keys = {**_key_sites(ranked), **{id(f): anchors(f, factors, theta) for f in factors if f.kind == "shear"}}
    for turn in range(PASSES):
        before = out
        for f in ranked:
            out = f.act(_balance(f, out, keys), out)
        if turn and all(
            torch.allclose(out[n], t, rtol=0.0, atol=STILL * float(t.abs().max()))
            for n, t in before.items()
            if t.numel()
        ):
            break
    return out


def _key_sites(factors: Sequence[Factor]) -> dict[int, tuple[Site, ...]]:
    """For each family of scales (of signs) a site of its own, that no other family is measured by."""
    out = {}
    for kinds in (("scale",), ("sign", "flip")):
        used: set[tuple[str, tuple[int, ...]]] = set()
        for f in (f for f in factors if f.kind in kinds):
            free = [s for s in f.sites if (s.block, s.axes) not in used] or list(f.sites)
            site = next((s for s in free if "bias" not in s.block), free[0])
            used.add((site.block, site.axes))
            out[id(f)] = (site,)
    return out


def _balance(f: Factor, theta: Mapping[str, Tensor], keys: Mapping[int, tuple[Site, ...]]) -> Tensor:
    """The element that brings a factor's units to their standard form."""
    if f.kind == "isospectral":
        return -position(f.sites[0].rows(theta[f.sites[0].block]).reshape(-1).double())[None]
    if f.kind == "translation":
        return -torch.stack([s.degree * s.rows(theta[s.block]).mean(1) for s in f.sites]).mean(0)
    if f.kind == "shift":
        return f.project(_least(f, theta))
    if f.kind in ("linear", "orthogonal"):
        return _matrix(f, theta)
    if f.kind == "shear":
        return _sheared(f, theta, keys[id(f)])
    if f.kind in PAIRED:
        return _turned(f, theta)
    if f.kind == "scale":
        return _sizes(f, theta, keys[id(f)][0])
    if f.kind in ("sign", "flip"):
        return _signs(f, theta, keys[id(f)][0])
    return torch.argsort(_fingerprints(f, theta), stable=True)


def _least(f: Factor, theta: Mapping[str, Tensor]) -> Tensor:
    """The shift after which the source's entries are smallest."""
    if f.sites:
        rows = f.sites[0].rows(theta[f.sites[0].block])
        return -rows.reshape(f.size, -1).mean(1) / f.sites[0].degree
    carry = f.carries[0]
    ones = torch.ones(f.size, dtype=theta[carry.target].dtype)
    zero = {**theta, carry.target: torch.zeros_like(theta[carry.target])}
    where = torch.from_numpy(carry.rows)
    direction = carry.add(zero, ones).reshape(-1)[where]
    now = theta[carry.target].reshape(-1)[where]
    return -(now * direction).sum(1) / (direction * direction).sum(1).clamp(min=1e-300)


def _stacked(f: Factor, theta: Mapping[str, Tensor], up: bool) -> Tensor:
    """Entries of all sites of one direction: (n, all)."""
    return stacked([s for s in f.sites if (s.degree > 0) == up], f.size, theta)


def _matrix(f: Factor, theta: Mapping[str, Tensor]) -> Tensor:
    """Balanced: incoming and outgoing directions have the same singular values, on the axes."""
    up, down = _stacked(f, theta, True), _stacked(f, theta, False)
    if f.centred:
        rest = about_mean(torch.eye(f.size - 1, dtype=torch.float64)) - 1.0 / f.size
        basis = torch.linalg.svd(rest)[0][:, : f.size - 1]
        return f.identity() if f.size < 3 else _centred(f, basis, up)
    if f.kind == "orthogonal" or not down.shape[1]:
        return _upright(torch.linalg.svd(torch.cat([up, down], dim=1), full_matrices=True)[0].T, up)
    left, middle, _ = torch.linalg.svd(down.T @ up, full_matrices=False)
    n = f.size
    if middle.shape[0] < n or middle[n - 1] <= RANK * middle[0]:  # what goes out does not feel all units: echelon form
        first = up[:, :n]
        ok = first.shape[1] == n and bool(torch.linalg.matrix_rank(first) == n)
        return torch.linalg.inv(first) if ok else f.identity()
    return _upright((left[:, :n].T @ down.T) / middle[:n, None].sqrt(), up)


def _sheared(f: Factor, theta: Mapping[str, Tensor], sites: Sequence[Site]) -> Tensor:
    """The slice (:mod:`jensen.ask.symmetry.slices`), on the side where the largest sum over units is positive."""
    element = unsheared(f, theta, sites)
    x = stacked(sites, f.size, f.act(element, theta))
    sums = x.sum(0)
    if float(sums[sums.abs().argmax()]) >= 0:
        return element
    return stretched(torch.zeros(f.size, dtype=torch.float64), -1.0) @ element


def _turned(f: Factor, theta: Mapping[str, Tensor]) -> Tensor:
    """Complex numbers after which what comes in is as large as what goes out, and its largest entry is real and positive."""
    up, down = (_stacked(f, theta, way).reshape(f.size // 2, 2, -1) for way in (True, False))
    up, down = (up, down) if up.shape[2] else (down, up)
    size, other = up.square().sum((1, 2)), down.square().sum((1, 2))
    one = torch.ones_like(size)
    modulus = torch.where((size > 0) & (other > 0), (other / size) ** 0.25, one) if f.kind == "complex" else one
    at = up.square().sum(1).argmax(1)
    re, im = (up[torch.arange(len(up)), k, at] for k in (0, 1))
    length = (re * re + im * im).sqrt()
    phase = torch.where(length > 0, re / length, one), torch.where(length > 0, -im / length, torch.zeros_like(one))
    return scalars(modulus * phase[0], modulus * phase[1])


def _centred(f: Factor, basis: Tensor, up: Tensor) -> Tensor:
    """As for all orthogonal matrices, on the units less their mean."""
    inner = basis.T @ up
    q = _upright(torch.linalg.svd(inner, full_matrices=True)[0].T, inner)
    return torch.full((f.size, f.size), 1.0 / f.size, dtype=torch.float64) + basis @ q @ basis.T


def _upright(a: Tensor, up: Tensor) -> Tensor:
    """The signs of rows that a decomposition leaves open: the largest entry of what comes in is positive."""
    rows = a @ up
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return torch.where(largest < 0, -a, a)


def _sizes(f: Factor, theta: Mapping[str, Tensor], site: Site) -> Tensor:
    """Scales after which one site's entries have norm 1; units that are 0 there stay."""
    size = site.rows(theta[site.block]).reshape(f.size, -1).norm(dim=1)
    return torch.where(size > 0, size, torch.ones_like(size)) ** (-1.0 / site.degree)


def _signs(f: Factor, theta: Mapping[str, Tensor], site: Site) -> Tensor:
    """Signs after which the largest entry of one site is positive."""
    rows = site.rows(theta[site.block]).reshape(f.size, -1)
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True)).reshape(-1)
    return torch.where(largest < 0, -torch.ones_like(largest), torch.ones_like(largest))


def _fingerprints(f: Factor, theta: Mapping[str, Tensor]) -> Tensor:
    """A number for each unit that no other permutation changes: power sums of its entries."""
    total = torch.zeros(f.size, dtype=torch.float64)
    for k, site in enumerate(f.sites):
        rows = site.rows(theta[site.block]).reshape(f.size, -1).double()
        scale = rows.abs().max().clamp(min=1e-300)
        x = rows / scale
        total = (
            total + (k + 1.0) ** 0.5 * (x.sum(1) + 0.7 * x.pow(2).sum(1) + 0.3 * x.pow(3).sum(1)) / x.shape[1] ** 0.5
        )
    return total


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
    if f.kind == "isospectral":
        yield torch.ones(1, dtype=torch.float64)
    elif f.kind == "scale":
        yield from torch.eye(n, dtype=torch.float64)
    elif f.kind == "translation":
        yield from torch.eye(n * f.rest, dtype=torch.float64).reshape(-1, n, f.rest)
    elif f.kind == "shift":
        yield from _independent(torch.stack([f.project(e) for e in torch.eye(n, dtype=torch.float64)]), f.dimension)
    elif f.kind == "shear":
        yield from (shear(e) - f.identity() for e in torch.eye(n, dtype=torch.float64))
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
    return about_mean(x[:m, :m]) - about_mean(torch.zeros(m, m, dtype=torch.float64))


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
    if f.kind == "shear":
        return 2 if _tips(f, theta) else 1
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


def _tips(f: Factor, theta: Mapping[str, Tensor]) -> bool:
    """Whether a shear of negative determinant fixes the point: nothing has a sum over units, and it is free to change means."""
    up, down = _stacked(f, theta, True), _stacked(f, theta, False)
    free = _left_null(up)
    return bool(down.sum(0).norm() <= RANK * down.norm()) and bool(free.sum(0).norm() > RANK)


def _left_null(x: Tensor) -> Tensor:
    if not x.shape[1]:
        return torch.eye(len(x), dtype=torch.float64)
    u, s, _ = torch.linalg.svd(x, full_matrices=True)
    return u[:, int((s > RANK * max(float(s[0]), 1e-300)).sum()) :]
