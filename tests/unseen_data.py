"""Data that the third zoo's tables share."""

from __future__ import annotations

import torch

from unseen import At, D

__all__ = [
    "A53", "B5", "EXPOS", "I22", "K33", "M33", "M34", "PSD", "PW", "S5", "SEQ", "SIMPLEX", "TGT", "W3", "Y5", "inplace",
]  # fmt: skip

G = torch.Generator().manual_seed(77)
A53 = torch.randn(5, 3, generator=G, dtype=torch.float64)
B5 = torch.randn(5, generator=G, dtype=torch.float64)
I22 = torch.randn(2, 1, 4, 4, generator=G, dtype=torch.float64)
SEQ = torch.randn(2, 4, 3, generator=G, dtype=torch.float64)
K33 = torch.randn(3, 3, generator=G, dtype=torch.float64)
TGT = torch.randn(2, 4, 3, generator=G, dtype=torch.float64)
Y5, S5, EXPOS = D(1.0, 0.0, 2.0, 3.0, 1.0), D(1.0, -1.0, 1.0, 1.0, -1.0), D(1.0, 2.0, 0.5, 1.5, 3.0)
PSD, SIMPLEX = A53.T @ A53, D(0.2, 0.3, 0.5)
W3, PW = [0.2, -0.5, 1.0], At([1.0, 2.0, 0.5], 0.1, None)
M33 = [[0.1, 0.2, -0.3], [0.5, 0.0, 0.4], [-0.2, 0.3, 0.1]]
M34 = [[0.1, 0.2, -0.3, 1.0], [0.5, 0.0, 0.4, -0.7], [-0.2, 0.3, 0.1, 0.2]]


def inplace(w: torch.Tensor) -> torch.Tensor:
    """Writes through views."""
    out = torch.zeros(4, dtype=torch.float64)
    out[:3] += w
    out[1:] -= w
    out.mul_(out)
    return out.sum()
