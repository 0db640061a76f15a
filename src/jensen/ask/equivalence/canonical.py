"""A normal form of a point under all that is continuous in the group.

Shifts are projected out. Scales, invertible matrices and complex scalars are balanced: of all points on their orbit the
one of least norm, which is unique up to the compact rest (Kempf and Ness 1979): signs, rotations, phases. Rotations are
then fixed by diagonalising a Gram matrix. What is left of each is a sign for each unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.ask.equivalence.balance import newton
from jensen.ask.equivalence.evened import evened
from jensen.ask.equivalence.formal import SHIFTS
from jensen.ask.symmetry.group import MATRICES, PAIRED, Factor, Move, Site, Step
from jensen.ask.symmetry.isospectral import position
from jensen.ask.symmetry.slices import anchors, unsheared

Theta = dict[str, Tensor]

SWEEPS = 6  # of each factor in turn; then all at once
SETTLED = 1e-13
PASSES = 100  # over the shifts
STILL = 1e-15  # relative to the largest entry
NOTHING = 1e-13  # relative: singular values below are zero
LOST = 1e-14  # of a block, relative to the largest entry of all: what is left where coordinates were changed to and fro


@dataclass(frozen=True, eq=False)
class Normal:
    """A point's normal form.

    Attributes:
        coordinates: The blocks in normal form.
        steps: The plain moves that lead there.
    """

    coordinates: Theta
    steps: tuple[Step, ...]


def normal(factors: Sequence[Factor], point: Mapping[str, Tensor]) -> Normal:
    """The normal form of a point without shifts under plain continuous factors (:mod:`jensen.ask.equivalence.formal`)."""
    x, steps = balanced(factors, point)
    for f in [f for f in factors if f.kind in MATRICES]:
        element = _axes(f, x)
        x = f.act(element, x)
        steps.append(Step(f, element))
    return Normal(x, tuple(steps))


def unshifted(factors: Sequence[Factor], coordinates: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """A point without its shifts, and the steps that took them away; shifts overlap, so each in turn until all rest.

    Entries that cancel to rounding, of the largest that they were on the way, and blocks that did before, are made 0: they would
    have fingerprints of noise.
    """
    x, steps = dict(coordinates), []
    seen = {n: t.abs() for n, t in coordinates.items()}
    moving = _pivots([f for f in factors if f.kind in SHIFTS])
    moving += [(f, anchors(f, factors, coordinates)) for f in factors if f.kind == "shear"]
    moving = [*((f, f.sites[:1]) for f in factors if f.kind == "isospectral"), *moving]
    largest = max((float(t.abs().max()) for t in x.values() if t.numel()), default=0.0)
    for _ in range(PASSES):
        most = 0.0
        for f, sites in moving:
            element = _unmoved(f, x, sites)
            size = float((element - f.identity()).abs().max())
            if size > (STILL * largest if f.kind in SHIFTS else NOTHING):
                x = f.act(element, x)
                steps.append(Step(f, element))
                seen |= {n: torch.maximum(seen[n], x[n].abs()) for n in f.names}
                most = max(most, size)
        if most == 0.0:
            break
    for n in {n for f, _ in moving for n in f.names if x[n].numel()}:
        noise = bool(x[n].abs().max() <= LOST * largest)
        x[n] = torch.zeros_like(x[n]) if noise else torch.where(x[n].abs() <= NOTHING * seen[n], 0.0, x[n])
    x, more = evened(factors, x)
    return x, [*steps, *more]


def _unmoved(f: Factor, x: Mapping[str, Tensor], sites: tuple[Site, ...]) -> Tensor:
    """The element that takes away what a point has of a factor."""
    if f.kind == "shear":
        return unsheared(f, x, sites)
    if f.kind == "isospectral":
        return -position(sites[0].rows(x[sites[0].block]).reshape(-1).double())[None]
    return f.inverse(drift(f, x, sites))


def undone(steps: Sequence[Step]) -> list[Step]:
    """The steps that lead back."""
    return list(Move(tuple(steps)).inverse().steps)


def followed(steps: Sequence[Step], x: Mapping[str, Tensor]) -> Theta:
    """Where some steps lead, in the coordinates in which they act."""
    out = dict(x)
    for s in steps:
        out = s.factor.act(s.element, out)
    return out


def _pivots(moving: Sequence[Factor]) -> list[tuple[Factor, tuple[Site, ...]]]:
    """Each shift with the one site where it is put to zero, no two the same; so a chain of biases is emptied in one pass."""
    used: set[tuple[object, ...]] = set()
    out: list[tuple[Factor, tuple[Site, ...]]] = []
    for f in moving:
        keys = [(s.block, s.axes, s.positions.shape, s.positions.tobytes()) for s in f.sites]
        free = [k for k, key in enumerate(keys) if key not in used]
        if f.kind == "translation" or not free:
            out.append((f, f.sites))
            continue
        used.add(keys[free[0]])
        out.append((f, (f.sites[free[0]],)))
    return out


def drift(f: Factor, x: Mapping[str, Tensor], sites: Sequence[Site]) -> Tensor:
    """The element of a shift or translation that a point holds: the mean of the entries of some sites.

    Where a shift only adds multiples of other entries T to a block, it is the mean of the quotients by T: so it goes with
    every permutation and scale of these entries.
    """
    if not f.sites:
        return f.project(_carried(f, x))
    total = torch.zeros(f.size, f.rest if f.kind == "translation" else 1, dtype=torch.float64)
    weight = 0.0
    for site in sites:
        rows = site.rows(x[site.block]).double()
        part = rows.sum(1) if f.kind == "translation" else rows.sum((1, 2))[:, None]
        total = total + site.degree * part
        weight += site.degree**2 * (rows.shape[1] if f.kind == "translation" else rows.shape[1] * rows.shape[2])
    return total / weight if f.kind == "translation" else f.project(total[:, 0] / weight)


def _carried(f: Factor, x: Mapping[str, Tensor]) -> Tensor:
    """The mean quotient of a target's entries by what a unit shift adds to them, of the carry with most entries of its units' own."""
    if not f.carries:
        return torch.zeros(f.size, dtype=torch.float64)
    own = [c for c in f.carries if sum(len(np.unique(row)) for row in c.rows) == len(np.unique(c.rows))]
    carry = max(own or f.carries, key=lambda c: len(np.unique(c.rows[:, :, None] + c.columns)))
    empty = {**x, carry.target: torch.zeros_like(x[carry.target])}
    where = (torch.from_numpy(carry.rows)[:, :, None] + torch.from_numpy(carry.columns)).reshape(f.size, -1)
    unit = carry.add(empty, torch.ones(f.size, dtype=x[carry.target].dtype)).reshape(-1)[where].double()
    quotient = x[carry.target].reshape(-1)[where].double() / unit
    return torch.where(torch.isfinite(quotient), quotient, torch.zeros_like(quotient)).mean(1)


def balanced(factors: Sequence[Factor], x: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """The point of least norm on the orbit of scales, matrices and complex scalars: each in turn, then all at once."""
    out = dict(x)
    moving = [f for f in factors if f.kind in BALANCE]
    elements = {id(f): f.identity() for f in moving}
    awake = {id(f) for f in moving}
    for _ in range(SWEEPS):
        rest = set()
        for f in moving:
            if id(f) not in awake:
                continue
            element, size = BALANCE[f.kind](f, out)
            if size > SETTLED:
                out = _closed(f, f.act(element, out))
                elements[id(f)] = element * elements[id(f)] if f.kind == "scale" else element @ elements[id(f)]
                rest |= {id(g) for g in moving if set(g.blocks) & set(f.blocks)}
        awake = rest
        if not awake:
            break
    steps = [Step(f, elements[id(f)]) for f in moving]
    if not awake:
        return out, steps
    out, more = newton([f for f in moving if _two_sided(f)], out)
    return out, [*steps, *more]


def _two_sided(f: Factor) -> bool:
    """Whether sites of both signs of degree keep the norm from sinking to zero."""
    return len({s.degree > 0 for s in f.sites}) == 2


def _scale(f: Factor, x: Mapping[str, Tensor]) -> tuple[Tensor, float]:
    """The s that minimises the sum over sites of s^(2 degree) |V|^2, unit by unit; and the largest |log s|."""
    sizes = [(s.degree, s.rows(x[s.block]).double().square().sum((1, 2))) for s in f.sites]
    up = sum((n for d, n in sizes if d > 0), torch.zeros(f.size, dtype=torch.float64))
    down = sum((n for d, n in sizes if d < 0), torch.zeros(f.size, dtype=torch.float64))
    both, none = (up > 0) & (down > 0), (up == 0) & (down == 0)
    log = torch.zeros(f.size, dtype=torch.float64)
    for _ in range(50):
        terms = [(d, n * (2 * d * log).exp()) for d, n in sizes]
        slope = sum((d * n for d, n in terms), torch.zeros_like(log))
        bend = sum((2 * d * d * n for d, n in terms), torch.zeros_like(log))
        step = torch.where(both, (slope / bend).nan_to_num(0.0), 0.0).clamp(-1, 1)
        log = log - step
        if step.abs().max() < 1e-15:
            break
    single = ~both & ~none
    if single.any():  # nothing to balance against: a norm of one instead
        log = torch.where(single, _to_one(sizes), log)
    return log.exp(), log.abs().max().item()


def _to_one(sizes: Sequence[tuple[float, Tensor]]) -> Tensor:
    """log s at which the sites of a unit, all of one sign of degree, have norm one together."""
    present = [(d, n) for d, n in sizes if bool((n > 0).any())]
    log = torch.zeros_like(sizes[0][1])
    for _ in range(50):
        terms = [(d, n * (2 * d * log).exp()) for d, n in present]
        total = sum((n for _, n in terms), torch.zeros_like(log))
        slope = sum((2 * d * n for d, n in terms), torch.zeros_like(log))
        step = (total.log() * total / slope).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
        log = log - step
        if step.abs().max() < 1e-15:
            break
    return log


def gram(f: Factor, x: Mapping[str, Tensor], up: bool | None = None) -> Tensor:
    """Sum over sites of V V^T (n, n); only those of positive or of negative degree, where asked."""
    total = torch.zeros(f.size, f.size, dtype=torch.float64)
    for site in f.sites:
        if up is None or (site.degree > 0) == up:
            rows = site.rows(x[site.block]).double().reshape(f.size, -1)
            total = total + rows @ rows.T
    return total


def _linear(f: Factor, x: Mapping[str, Tensor]) -> tuple[Tensor, float]:
    """A with A V V^T A^T = A^-T U U^T A^-1 (diagonal), V the sites of degree 1 and U of degree -1; and how far it was."""
    plus, minus = gram(f, x, True), gram(f, x, False)
    if not plus.any() or not minus.any():
        only = plus if plus.any() else minus
        return (_whitening(only, bool(plus.any())), _apart(only, torch.eye(len(only), dtype=torch.float64)))
    apart = _apart(plus, minus)
    if apart <= SETTLED:
        return f.identity(), 0.0
    left, right = _root(plus), _root(minus)  # V = left Q, U = right Q'
    u, s, _ = torch.linalg.svd(right.T @ left)
    keep = s > NOTHING * s[0]
    a = u.T @ right.T  # A V = s^-1/2 u^T right^T V
    rows = torch.where(keep, s, torch.ones_like(s)).rsqrt()[:, None] * a
    if not keep.all():
        rows = torch.cat([rows[keep], _complement(rows[keep])])
    return rows, apart


def _closed(f: Factor, x: Theta) -> Theta:
    """For matrices: units that only sites of one sign of degree reach are put to zero, where the orbit's closure ends.

    Nothing that is read from the units through both changes; the moves told do not include it.
    """
    if f.kind != "linear":
        return x
    plus, minus = (torch.diagonal(gram(f, x, up)) for up in (True, False))
    lost = (plus.minimum(minus) <= NOTHING * plus.maximum(minus).max()) & (plus.maximum(minus) > 0)
    if not lost.any() or not plus.any() or not minus.any():
        return x
    out = dict(x)
    for site in f.sites:
        rows = site.rows(out[site.block])
        out[site.block] = site.put(out[site.block], torch.where(lost[:, None, None], torch.zeros_like(rows), rows))
    return out


def _apart(plus: Tensor, minus: Tensor) -> float:
    return (torch.linalg.norm(plus - minus) / torch.linalg.norm(plus)).item()


def _root(g: Tensor) -> Tensor:
    """L with L L^T = g, positive semidefinite."""
    values, vectors = torch.linalg.eigh(g)
    return vectors * values.clamp_min(0).sqrt()


def _complement(rows: Tensor) -> Tensor:
    """Orthonormal rows across those given."""
    return torch.linalg.svd(rows, full_matrices=True)[2][len(rows) :]


def _whitening(g: Tensor, up: bool) -> Tensor:
    """Where only one sign of degree occurs: the matrix that makes its Gram matrix the identity."""
    values, vectors = torch.linalg.eigh(g)
    root = values.clamp_min(NOTHING * values.max()).sqrt()
    return (vectors / root).T if up else (vectors * root).T


def _complex(f: Factor, x: Mapping[str, Tensor]) -> tuple[Tensor, float]:
    """The positive real parts: for each pair the s with s^2 |V|^2 = s^-2 |U|^2."""
    sizes = [torch.diagonal(gram(f, x, up)).reshape(-1, 2).sum(1) for up in (True, False)]
    ratio = torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[1] / sizes[0], torch.ones_like(sizes[0])) ** 0.25
    return torch.diag(ratio.repeat_interleave(2)), ratio.log().abs().max().item()


BALANCE: dict[str, Callable[[Factor, Mapping[str, Tensor]], tuple[Tensor, float]]] = {
    "scale": _scale,
    "linear": _linear,
    "complex": _complex,
}


def _axes(f: Factor, x: Mapping[str, Tensor]) -> Tensor:
    """The rotation to the principal axes of the sites, largest first; for complex scalars pair by pair, no reflection."""
    total = torch.zeros(f.size, f.size, dtype=torch.float64)
    for k, site in enumerate(f.sites):
        rows = site.rows(x[site.block]).double().reshape(f.size, -1)
        total = total + (1 + math.modf(0.618033988749895 * k)[0]) * rows @ rows.T
    if f.centred:  # the first unit is the mean, which stays
        return torch.block_diag(torch.ones(1, 1, dtype=torch.float64), torch.linalg.eigh(total[1:, 1:])[1].flip(1).T)
    if f.kind not in PAIRED:
        return torch.linalg.eigh(total)[1].flip(1).T
    pairs = []
    for k in range(f.size // 2):
        q = torch.linalg.eigh(total[2 * k : 2 * k + 2, 2 * k : 2 * k + 2])[1].flip(1).T
        pairs.append(q if torch.linalg.det(q) > 0 else torch.diag(torch.tensor([1.0, -1.0], dtype=q.dtype)) @ q)
    return torch.block_diag(*pairs)
