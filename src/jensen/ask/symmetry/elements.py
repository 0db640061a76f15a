"""Elements of factors that are matrices of a special form."""

from __future__ import annotations

import torch
from torch import Tensor


def scalars(re: Tensor, im: Tensor) -> Tensor:
    """Complex numbers (n/2 of each part) as a matrix (n, n) of blocks [[a, -b], [b, a]]."""
    pairs = zip(re, im, strict=True)
    return torch.block_diag(*(torch.stack([torch.stack([a, -b]), torch.stack([b, a])]) for a, b in pairs))


def about_mean(q: Tensor) -> Tensor:
    """A matrix (n - 1, n - 1) on the sums of n units that add up to 0, as one on all units that leaves their mean alone."""
    n = len(q) + 1
    columns = [torch.ones(n, 1, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[:, 1:]]
    rest = torch.linalg.qr(torch.cat(columns, 1))[0][:, 1:]
    return torch.full((n, n), 1.0 / n, dtype=torch.float64) + rest @ q @ rest.T


def shear(w: Tensor) -> Tensor:
    """I + 1 w': it adds one number, which is linear in the units, to all of n units."""
    return torch.eye(len(w), dtype=torch.float64) + w.expand(len(w), -1)


def stretched(w: Tensor, by: float) -> Tensor:
    """The shear with this w but for a constant, that multiplies the vector of ones by a number."""
    return shear(w + (by - 1.0 - w.sum()) / len(w))
