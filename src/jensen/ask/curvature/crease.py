"""A crease: where kinks of J meet that it climbs, or descends, at once; and the Hessian along it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jensen.linalg.operators import Counted


@dataclass(frozen=True)
class Crease:
    """J(theta + d) is J(theta) + sum_j heights_j (|a_j d| - shares_j a_j d) to first order, with unit vectors a_j.

    While all shares lie between -1 and 1, zero is one of the generalised gradients (Clarke 1975), and J rises across the
    kinks whose height is positive and falls across the others. What J does along the crease, where all a_j d are zero, is
    for second order to say.

    Attributes:
        found: The kinks, as ``jensen.ask.curvature.kinks`` tells them.
        across: Orthonormal vectors (n, m) that span the a_j.
        heights, shares: See above, of m kinks each.
        bent: By how much more or less J may be curved along the crease, because the kinks do not lie straight.
        level: What stands for the curvature across the kinks.
        lowest, highest: The Hessian's ends along the crease, as (value, bound).
    """

    found: Any
    across: Tensor
    heights: Tensor
    shares: Tensor
    bent: float = 0.0
    level: float = 1.0
    lowest: tuple[float, float] = (0.0, 0.0)
    highest: tuple[float, float] = (0.0, 0.0)

    @property
    def up(self) -> int:
        """Kinks across which J rises."""
        return int((self.heights > 0).sum())

    @property
    def down(self) -> int:
        """Kinks across which J falls."""
        return len(self.heights) - self.up

    def along(self, t: Tensor) -> Tensor:
        """The part along the crease of a vector (n,) or of columns (n, k)."""
        across = self.across.to(t.device, t.dtype)
        return t - across @ (across.T @ t)

    def steep(self, t: Tensor) -> Tensor:
        """``level`` times what columns (n, k) have across the kinks, positive for as many directions as J rises across."""
        across = self.across.to(t.device, t.dtype)
        signs = torch.ones(across.shape[1], dtype=t.dtype, device=t.device)
        signs[self.up :] = -1.0
        return across @ (self.level * signs[:, None] * (across.T @ t))


class Along(Counted):
    """The Hessian along a crease, and a level across it that has the sign of what J does there."""

    def __init__(self, inner: Any, crease: Crease):
        super().__init__(inner)
        self.crease = crease

    def __matmul__(self, block: Tensor) -> Tensor:
        columns = block if block.dim() == 2 else block[:, None]
        out = self.crease.along(super().__matmul__(self.crease.along(columns))) + self.crease.steep(columns)
        return out if block.dim() == 2 else out[:, 0]


def levelled(crease: Crease, lowest: tuple[float, float], highest: tuple[float, float], norm: float) -> Crease:
    """With the ends along the crease, and a level within them where their signs allow it."""
    level = norm or 1.0
    if not crease.down and highest[0] > 0:
        level = highest[0]
    elif not crease.up and lowest[0] < 0:
        level = -lowest[0]
    return replace(crease, level=level, lowest=lowest, highest=highest)
