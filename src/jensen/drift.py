"""Whether a cost still is what it was when its program was captured.

Programs hold what is no parameter as constants: buffers, frozen parameters, and whatever else the model, the loss or the
penalty read. torch counts the changes of tensors, but not those made through ``.data``, numpy or a plain attribute; values do
not lie.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.errors import Misuse

SEED, ROWS = 3, 32
POINTS = 2


@dataclass(frozen=True)
class Mark:
    """J of a few rows at one point that never changes, by which a changed cost is known.

    Attributes:
        small: The cost of these rows, or of all data where they cannot be cut; None where it has no value there.
        value: What it was.
        point: Which of the points it was taken at.
    """

    small: Any
    value: float
    point: int = 0

    def stands(self, buffers: Mapping[str, Tensor] | None = None) -> bool:
        """Whether it is the same still; threads may add in another order.

        Args:
            buffers: Values of the model's buffers: whether nothing but these has changed.
        """
        if self.small is None:
            return True
        small = self.small
        if buffers is not None:
            small = copy.copy(small)
            small._held = {**small._held, **buffers}
        now = _value(small, self.point)
        return now is not None and abs(now - self.value) <= 64 * torch.finfo(small.dtype).eps * abs(self.value)


NONE = Mark(None, math.nan)


def mark(cost: Any) -> Mark:
    """Taken when a cost is captured. Data that is read again on every pass is not read for it."""
    try:
        few = cost.few(ROWS)
    except Misuse:  # of so few rows there is no cost: no target counts, say
        few = None
    for small in (few, None if cost.streamed else cost):
        for point in range(POINTS):
            value = None if small is None else _value(small, point)
            if value is not None:
                return Mark(small, value, point)
    return NONE


def _signed(t: Tensor) -> Tensor:
    """Entries of both signs, so that both sides of rectifiers are seen; of a size at which deep networks give numbers of about
    one, beside which a small penalty is no rounding error. (The other point is positive: logarithms and roots have values.)"""
    fan = t[0].numel() if t.dim() > 1 and len(t) else 4
    return (2 * t - 1) * math.sqrt(3 / max(fan, 1))


def _value(cost: Any, point: int) -> float | None:
    """J at one of the points."""
    generator = torch.Generator().manual_seed(SEED)
    drawn = {n: torch.rand(s, generator=generator, dtype=cost.dtype) for n, s in cost.blocks.items()}
    blocks = {n: _signed(t) if point == 0 else 0.05 + 0.1 * t for n, t in drawn.items()}
    try:
        with torch.no_grad():
            value = float(cost(blocks))
    except Misuse:  # rows that the cost's own constants do not fit; torch checks the domain of some losses
        return None
    return value if math.isfinite(value) else None
