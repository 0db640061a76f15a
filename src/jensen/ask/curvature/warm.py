"""Both ends of a Hessian's spectrum, started from what is known of a nearby one.

Block Lanczos with full reorthogonalisation and thick restarts (:mod:`jensen.linalg.krylov`). Each Ritz value comes with its
residual norm: an eigenvalue lies that near. The Ritz values of any subspace interlace the eigenvalues (Cauchy), so there
are at least as many negative eigenvalues as negative Ritz values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.linalg import krylov

ROOM = 2**30  # bytes for the basis
Late = Callable[[], bool]


@dataclass(frozen=True)
class Ends:
    """The outermost eigenvalues of a symmetric map.

    Attributes:
        lowest: Pairs of a Ritz value and its bound, increasing.
        highest: Alike, decreasing.
        vectors: Their Ritz vectors (n, p): the lowest first, then the highest.
        negative: How many Ritz values are certainly negative.
        exact: Whether the basis spans the whole space, so that nothing can be missed.
        converged: Whether all bounds are within the tolerance.
        products: How many products it took.
    """

    lowest: tuple[tuple[float, float], ...]
    highest: tuple[tuple[float, float], ...]
    vectors: Tensor
    negative: int
    exact: bool
    converged: bool
    products: int


def ends(
    operator: Any,
    start: Tensor,
    count: int,
    tolerance: float,
    products: int,
    width: int = 1,
    late: Late = lambda: False,
) -> Ends:
    """The ``count`` lowest and highest eigenvalues.

    Args:
        operator: A symmetric map with ``.n`` and ``@`` on (n, k).
        start: (n, p), not zero; the vectors of a nearby map's ends, or random.
        count: How many at each end; fewer where the map is smaller.
        tolerance: A bound is met at this share of its eigenvalue, or a millionth of the largest.
        products: At most this many products.
        width: How many vectors are multiplied at once.
        late: Asked after each product: whether to stop with the bounds as they are.
    """
    n = operator.n
    count = min(count, (n + 1) // 2)
    room = max(4 * count + 2 * width, min(products, ROOM // (start.element_size() * n)))
    k = krylov.begin(start)
    spent, negative = 0, 0
    while True:
        k = _with_more(k, start) if not len(k.pending) and not k.full else k
        step = min(width, products - spent, len(k.pending), room - k.size)
        spent += step
        k = krylov.grow(k, operator, step)
        values, coefficients = krylov.ritz(k)
        bounds = np.linalg.norm(k.coupling @ coefficients, axis=0) + k.noise
        negative = max(negative, int((values < -k.noise).sum()))
        low, high = _chosen(values, count)
        wanted = np.concatenate([low, high])
        floor = 1e-6 * float(np.abs(values).max())
        met = bool((bounds[wanted] <= np.maximum(tolerance * np.abs(values[wanted]), floor)).all())
        done = met and k.size >= 2 * count
        if done or k.full or spent >= products or (late() and k.size >= 2 * count):
            break
        if k.size >= room:
            kept = np.concatenate(_chosen(values, min(2 * count, len(values) // 3)))
            k = krylov.shrink(k, coefficients[:, kept], values[kept])
    vectors = krylov.vectors_of(k, coefficients[:, wanted])
    pairs = [[(float(values[i]), float(bounds[i])) for i in side] for side in (low, high)]
    return Ends(tuple(pairs[0]), tuple(pairs[1]), vectors, negative, k.full, done or k.full, spent)


def _chosen(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the lowest and of the highest of increasing values."""
    count = min(count, len(values))
    return np.arange(count), np.arange(len(values) - 1, len(values) - 1 - count, -1)


def _with_more(k: krylov.Krylov, like: Tensor) -> krylov.Krylov:
    """An invariant subspace was found: go on outside it, from a random direction."""
    generator = torch.Generator().manual_seed(k.size)
    fresh = torch.randn(like.shape[0], 1, generator=generator, dtype=torch.float64)
    return krylov.inject(k, fresh.to(like))
