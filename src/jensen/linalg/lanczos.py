"""Ritz pairs of a symmetric map by Lanczos with full reorthogonalisation (Paige 1972; Parlett 1980)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.errors import Misuse
from jensen.linalg import krylov


@dataclass(frozen=True)
class Ritz:
    """Ritz pairs of a symmetric map H, lowest first.

    Attributes:
        values: (m,).
        vectors: (n, m), orthonormal columns.
        residuals: (m,), |H v - value v|: some eigenvalue lies that near.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor


def ritz(
    apply: Callable[[Tensor], Tensor], start: Tensor, steps: int, late: Callable[[], bool] = lambda: False
) -> Ritz:
    """Ritz pairs from the Krylov space of a start vector.

    Args:
        apply: A symmetric linear map on flat vectors, shape (n,).
        start: A non-zero vector, shape (n,).
        steps: At most this many products; they end where a product, or its square, has no float.
        late: Asked before each product from the third on: whether to stop.
    """
    space = krylov.begin(start[:, None])
    for k in range(steps):
        if not len(space.pending) or (k > 1 and late()):
            break
        try:
            space = krylov.absorb(space, apply(space.pending[0])[:, None])
        except Misuse:  # a product that is not finite, or whose square is not
            break
    if not space.size:
        return Ritz(start.new_zeros(1), (start / start.norm())[:, None], start.new_full((1,), torch.inf))
    values, vectors = krylov.ritz(space)
    residuals = np.linalg.norm(space.coupling @ vectors, axis=0)
    return Ritz(_like(values, start), krylov.vectors_of(space, vectors), _like(residuals, start))


def _like(values: np.ndarray, t: Tensor) -> Tensor:
    return torch.from_numpy(values).to(device=t.device, dtype=t.dtype)


def lowest(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[float, Tensor]:
    """An upper bound of the lowest eigenvalue, and its Ritz vector.

    Args:
        apply: A symmetric linear map on flat vectors, shape (n,).
        start: A non-zero vector, shape (n,).
        steps: At most this many products.
    """
    pairs = ritz(apply, start, steps)
    direction = pairs.vectors[:, 0]
    return float(pairs.values[0]), direction / direction.norm()
