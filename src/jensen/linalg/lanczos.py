"""The lowest end of a symmetric map's spectrum by Lanczos with full reorthogonalisation (Paige 1972; Parlett 1980)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jensen.linalg import krylov


def lowest(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[float, Tensor]:
    """An upper bound of the lowest eigenvalue, and its Ritz vector.

    Args:
        apply: A symmetric linear map on flat vectors, shape (n,).
        start: A non-zero vector, shape (n,).
        steps: At most this many products.
    """
    space = krylov.begin(start[:, None])
    for _ in range(steps):
        image = apply(space.pending[0])
        if not torch.isfinite(image).all():
            break
        space = krylov.absorb(space, image[:, None])
        if not len(space.pending):
            break
    if not space.size:
        return 0.0, start / start.norm()
    values, vectors = krylov.ritz(space)
    return float(values[0]), krylov.vectors_of(space, vectors[:, :1])[:, 0]
