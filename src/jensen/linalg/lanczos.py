"""The lowest end of a symmetric map's spectrum by Lanczos with full reorthogonalisation (Paige 1972; Parlett 1980)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def lowest(apply: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[float, Tensor]:
    """An upper bound of the lowest eigenvalue, and its Ritz vector.

    Args:
        apply: A symmetric linear map on flat vectors, shape (n,).
        start: A non-zero vector, shape (n,).
        steps: At most this many products.
    """
    basis = [start / start.norm()]
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    for k in range(min(steps, start.numel())):
        w = apply(basis[k])
        if not torch.isfinite(w).all():
            break
        alphas.append(w @ basis[k])
        stack = torch.stack(basis)
        for _ in range(2):
            w = w - stack.T @ (stack @ w)
        beta = w.norm()
        if beta <= 1e-12 * max(abs(float(a)) for a in alphas) + 1e-300:
            break
        betas.append(beta)
        basis.append(w / beta)
    if not alphas:
        return 0.0, start / start.norm()
    m = len(alphas)
    t = torch.diag(torch.stack(alphas))
    for i in range(m - 1):
        t[i, i + 1] = t[i + 1, i] = betas[i]
    values, vectors = torch.linalg.eigh(t)
    direction = torch.stack(basis[:m]).T @ vectors[:, 0]
    return float(values[0]), direction / direction.norm()
