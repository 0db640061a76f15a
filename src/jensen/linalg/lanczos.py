"""The lowest end of a symmetric map's spectrum by Lanczos with full reorthogonalisation (Paige 1972; Parlett 1980)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


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
        steps: At most this many products.
        late: Asked before each product from the third on: whether to stop.
    """
    basis = [start / start.norm()]
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    beta = start.new_zeros(())
    for k in range(min(steps, start.numel())):
        if k > 1 and late():
            break
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
        return Ritz(start.new_zeros(1), basis[0][:, None], start.new_full((1,), torch.inf))
    m = len(alphas)
    t = torch.diag(torch.stack(alphas))
    for i in range(m - 1):
        t[i, i + 1] = t[i + 1, i] = betas[i]
    values, vectors = torch.linalg.eigh(t)
    return Ritz(values, torch.stack(basis[:m]).T @ vectors, (beta * vectors[-1]).abs())


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
