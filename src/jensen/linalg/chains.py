"""Lanczos from several vectors in step: what ``krylov.absorb`` does for each, in one call for all.

For small networks the calls themselves would take most of the time. Full reorthogonalisation as there, repeated until it takes
away less than is left (Daniel, Gragg, Kaufman and Stewart 1976).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.linalg.krylov import ROOM, Krylov, computable, small

PASSES = 4


@dataclass(frozen=True)
class Chains:
    """k decompositions of one size m, each with one direction pending.

    Attributes:
        store: (k, room, n); the first m rows of each are its basis.
        pending: (k, n).
        alphas: The diagonals of T, (k, m).
        betas: The norms that Lanczos divided by, (k, m); the last ones lead out of the spaces.
        noise: See ``Krylov``, (k,).
    """

    store: Tensor
    pending: Tensor
    alphas: np.ndarray
    betas: np.ndarray
    noise: np.ndarray

    @property
    def size(self) -> int:
        return self.alphas.shape[1]

    def apart(self) -> list[Krylov]:
        """Each on its own; they share the memory."""
        return [self._one(i) for i in range(len(self.pending))]

    def _one(self, i: int) -> Krylov:
        a, b = self.alphas[i], self.betas[i]
        coupling = np.zeros((1, self.size))
        coupling[:, -1:] = b[-1:]
        t = np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1)
        return Krylov(self.store[i], t, self.pending[i : i + 1], coupling, float(self.noise[i]))


def joined(chains: Sequence[Krylov]) -> Chains | None:
    """Chains that began with one vector each, together; None where they are not alike."""
    sizes = {(c.size, len(c.pending), c.fresh) for c in chains}
    if len(chains) < 2 or len(sizes) > 1 or sizes.pop()[1:] != (1, 0):
        return None
    m = chains[0].size
    store = chains[0].store.new_empty(
        (len(chains), max(m, min(ROOM, chains[0].store.shape[1])), chains[0].store.shape[1])
    )
    for i, c in enumerate(chains):
        store[i, :m] = c.basis
    alphas = np.stack([np.diag(c.projected) for c in chains])
    last = np.array([np.linalg.norm(c.coupling[:, -1:]) for c in chains])[:, None][:, : min(m, 1)]
    inner = np.stack([np.diag(c.projected, -1) for c in chains]) if m else alphas
    noise = np.array([c.noise for c in chains])
    return Chains(store, torch.cat([c.pending for c in chains]), alphas, np.hstack([inner, last]), noise)


def absorb(c: Chains, image: Tensor) -> Chains | None:
    """One step of all; ``image`` (k, n) is H times what is pending. None where a chain ends, or is near its end."""
    m, enter, image = c.size, c.pending, image.contiguous()
    computable(float(image.abs().max()), m)
    store = _with_room(c.store, m + 1)
    store[:, m] = enter
    basis = store[:, : m + 1]
    alpha = torch.linalg.vecdot(enter.double(), image.double())
    rest = image - _columns(alpha, image) * enter
    if m:
        rest = rest - _columns(torch.from_numpy(c.betas[:, -1].copy()), image) * basis[:, m - 1]
    alphas = np.hstack([c.alphas, small(alpha)[:, None]])
    scale = np.maximum(np.abs(alphas).max(1), np.abs(c.betas).max(1, initial=0.0))
    floor = 16 * torch.finfo(image.dtype).eps * np.maximum(scale, small(rest.abs().amax(1)))
    stray = None
    for _ in range(PASSES):
        inside = torch.bmm(basis, rest.unsqueeze(2))
        rest = rest - torch.bmm(inside.transpose(1, 2), basis).squeeze(1)
        taken, left = (
            small(torch.linalg.vector_norm(t, dim=1, dtype=torch.float64)) for t in (inside.squeeze(2), rest)
        )
        stray = taken if stray is None else stray
        if not (left > floor).all():
            return None
        if (left > taken).all():
            break
    else:
        return None
    pending = rest / _columns(torch.from_numpy(left), rest)
    noise = np.maximum.reduce([c.noise, stray, floor])
    return Chains(store, pending, alphas, np.hstack([c.betas, left[:, None]]), noise)


def _columns(numbers: Tensor, like: Tensor) -> Tensor:
    return numbers.to(like)[:, None]


def _with_room(store: Tensor, rows: int) -> Tensor:
    if rows <= store.shape[1]:
        return store
    larger = store.new_empty((len(store), min(max(rows, 2 * store.shape[1]), store.shape[2]), store.shape[2]))
    larger[:, : store.shape[1]] = store
    return larger
