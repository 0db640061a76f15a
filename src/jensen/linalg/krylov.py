"""A Krylov decomposition H V = V T + F C that can grow, shrink and take in new directions.

V (n, m) and F (n, f) together have orthonormal columns, T is V'HV, and F C is all that H V has outside V. Block Lanczos
grows it by the columns of F; a thick restart keeps some Ritz vectors (Wu and Simon 2000; Stewart 2001, "A Krylov-Schur
algorithm for large eigenproblems"). The residuals of Ritz pairs are columns of F C S, so their norms cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.errors import Misuse

ROOM = 32
HUGE = 1e140
STRAY = 1024  # roundings that a unit vector's part in the basis may be


@dataclass(frozen=True)
class Krylov:
    """One decomposition. Vectors are kept as rows.

    Attributes:
        store: The first ``size`` rows are V', the others room to grow.
        projected: T, (m, m) in float64.
        pending: F', (f, n): directions that wait to enter the basis.
        coupling: C, (f, m).
        noise: What rounding has done to the relation, in the units of H: the largest product of H that should have been
            zero by symmetry, and what was dropped as rounding.
        fresh: So many of the first pending directions came from outside, and are no residuals of the basis.
    """

    store: Tensor
    projected: np.ndarray
    pending: Tensor
    coupling: np.ndarray
    noise: float = 0.0
    fresh: int = 0

    @property
    def size(self) -> int:
        return self.projected.shape[0]

    @property
    def basis(self) -> Tensor:
        """V' (m, n)."""
        return self.store[: self.size]

    @property
    def full(self) -> bool:
        """Whether the basis spans the whole space."""
        return self.size == self.pending.shape[1]


def begin(block: Tensor) -> Krylov:
    """The empty decomposition, with the columns of a block (n, b) waiting to enter."""
    pending = _independent(block.T, (), 0.0)
    store = block.new_empty((min(ROOM, block.shape[0]), block.shape[0]))
    return Krylov(store, np.zeros((0, 0)), pending, np.zeros((len(pending), 0)))


def inject(k: Krylov, block: Tensor) -> Krylov:
    """The same decomposition with the columns of a block (n, b) waiting first, counted as ``fresh``."""
    new = _independent(block.T, (k.basis,), 0.0)
    rest = _independent(k.pending, (k.basis, new), 0.0)
    pending = torch.cat([new, rest])
    coupling = small(pending @ k.pending.T) @ k.coupling
    return replace(k, pending=pending, coupling=coupling, fresh=len(new))


def entering(k: Krylov, width: int) -> Tensor:
    """The next directions (n, at most width), to be multiplied by H and absorbed."""
    return k.pending[:width].T


def absorb(k: Krylov, image: Tensor) -> Krylov:
    """The decomposition after the first pending directions have entered the basis; ``image`` (n, g) is H times them."""
    g, m = image.shape[1], k.size
    computable(float(image.abs().max()), m)
    enter, rest, seen = k.pending[:g], k.pending[g:], k.coupling[:g]
    store = _with_room(k.store, m + g)
    store[m : m + g] = enter
    basis = store[: m + g]
    first = int(np.flatnonzero(seen.any(0))[0]) if seen.any() else m
    own = _inner(enter, image)
    inner = (own + own.T) / 2
    known = np.hstack([seen[:, first:], inner])
    image = image.T - _like(known, image) @ basis[first:]
    projected = np.block([[k.projected, seen.T], [seen, inner]])
    scale = max(_top(projected), float(image.abs().max()) if image.numel() else 0.0)
    floor = 16 * torch.finfo(basis.dtype).eps * scale
    image, stray, clean = _outside(image, basis)
    across = _inner(rest, image.T)
    new = _independent(image, (rest,) if clean else (rest, basis), floor)
    if clean and g + len(rest) > 1 and _top(small(new @ basis.T)) > STRAY * torch.finfo(new.dtype).eps:
        new = _independent(image, (rest, basis), floor)  # what is left of rows that hardly differ is no longer outside
    coupling = np.zeros((len(rest) + len(new), m + g))
    coupling[: len(rest), :m] = k.coupling[g:]
    coupling[: len(rest), m:] = across
    coupling[len(rest) :, m:] = _inner(new, image.T)
    noise = max(k.noise, _top(own - own.T), stray, floor)
    return Krylov(store, projected, torch.cat([rest, new]), coupling, noise, max(k.fresh - g, 0))


def grow(k: Krylov, operator: Any, width: int = 1) -> Krylov:
    """One step: at most ``width`` pending directions enter, for as many products."""
    return absorb(k, operator @ entering(k, width))


def shrink(k: Krylov, vectors: np.ndarray, values: np.ndarray) -> Krylov:
    """The decomposition on some Ritz vectors alone, given by their coefficients (m, p)."""
    k.store[: len(values)] = _like(vectors.T, k.store) @ k.basis
    return replace(k, projected=np.diag(values), coupling=k.coupling @ vectors)


def ritz(k: Krylov) -> tuple[np.ndarray, np.ndarray]:
    """Ritz values, increasing, and the coefficients (m, m) of their vectors."""
    return np.linalg.eigh(k.projected)


def vectors_of(k: Krylov, coefficients: np.ndarray) -> Tensor:
    """The vectors (n, p) with given coefficients (m, p)."""
    return (_like(coefficients.T, k.store) @ k.basis).T


def computable(size: float, steps: int = 0) -> None:
    """Refuse products whose squares no float holds; later ones, of what is left, may be small."""
    if not np.isfinite(size):
        raise Misuse("a product with the Hessian is not finite: J has no curvature here; ask at another point")
    if not steps and (0 < size < 1 / HUGE or size > HUGE):
        raise Misuse(f"the Hessian has the size {size:.0e}, whose square no float holds: multiply J by a constant")


def _with_room(store: Tensor, rows: int) -> Tensor:
    if rows <= len(store):
        return store
    larger = store.new_empty((min(max(rows, 2 * len(store)), store.shape[1]), store.shape[1]))
    larger[: len(store)] = store
    return larger


def _outside(rows: Tensor, basis: Tensor) -> tuple[Tensor, float, bool]:
    """Rows without their part in the basis, the size of that part, and whether one pass was enough."""
    inside = rows @ basis.T
    left = rows - inside @ basis
    stray, after = (torch.linalg.vector_norm(t, dim=1, dtype=torch.float64) for t in (inside, left))
    return left, float(stray.max()), bool((after > stray).all())


def _independent(rows: Tensor, others: tuple[Tensor, ...], floor: float) -> Tensor:
    """Orthonormal rows that span what the given ones have outside orthonormal others.

    Those of norm at most ``floor``, or at most rounding, are left out. Gram-Schmidt is repeated until it takes away
    less than half (Daniel, Gragg, Kaufman and Stewart 1976).
    """
    found = rows.new_zeros((0, rows.shape[1]))
    for v in rows:
        v = _alone(v, (*others, found), floor)
        if v is not None and len(found) + sum(len(q) for q in others) < rows.shape[1]:
            found = torch.cat([found, v[None]])
    return found


def _alone(v: Tensor, others: tuple[Tensor, ...], floor: float) -> Tensor | None:
    after = _length(v)
    least = max(floor, 16 * torch.finfo(v.dtype).eps * after)
    for _ in range(4):
        if not after > least:
            return None
        before, v = after, v / after
        for q in others:
            if len(q):
                v = v - (v @ q.T) @ q
        ratio = _length(v)
        after = before * ratio
        v = v * before
        if ratio > 0.5:
            return v / _length(v)
    return None


def _length(v: Tensor) -> float:
    return float(torch.linalg.vector_norm(v, dtype=torch.float64))


def _inner(rows: Tensor, block: Tensor) -> np.ndarray:
    """Inner products, summed in float64 whatever the vectors are, as lengths are: their errors move the Ritz values."""
    if not len(rows):
        return np.zeros((0, block.shape[1]))
    return small(rows.double() @ block.double())


def small(t: Tensor) -> np.ndarray:
    """A tensor as float64 numbers on the CPU."""
    return t.detach().to(device="cpu", dtype=torch.float64).numpy()


def _like(a: np.ndarray, t: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(a)).to(device=t.device, dtype=t.dtype)


def _top(a: np.ndarray) -> float:
    return float(np.abs(a).max()) if a.size else 0.0
