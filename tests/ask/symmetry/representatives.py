"""How far two representatives are apart, and a point in general position."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jensen import Cost


def near(cost: Cost, seed: int = 7) -> dict[str, Tensor]:
    """The point of a cost with noise."""
    generator = torch.Generator().manual_seed(seed)
    return {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}


def apart(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The largest difference of an entry, relative to the largest of its block, or to 1e-6 of the largest of all."""
    least = 1e-6 * max(float(t.abs().max()) for t in a.values())
    return max(
        float((a[n] - b[n]).abs().max()) / max(float(a[n].abs().max()), float(b[n].abs().max()), least) for n in b
    )
