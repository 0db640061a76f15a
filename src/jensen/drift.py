"""Whether a cost still is what it was when its program was captured.

Programs hold what is no parameter as constants: buffers, frozen parameters, and whatever else the model, the loss or the
penalty read. torch counts the changes of tensors, but not those made through ``.data``, numpy or a plain attribute; values do
not lie.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.errors import Misuse

SEED, ROWS = 3, 32
SIGNED, POSITIVE, FAR = range(3)  # points
WORK = 3e8  # rows times parameters, up to which J is looked at on all of them


@dataclass(frozen=True)
class Mark:
    """J at some points that never change, by which a changed cost is known.

    Attributes:
        seen: The cost of all data or of a few rows, which point, and its value there.
    """

    seen: tuple[tuple[Any, int, float], ...]

    def stands(self, buffers: Mapping[str, Tensor] | None = None) -> bool:
        """Whether it is the same still; threads may add in another order.

        Args:
            buffers: Values of the model's buffers: whether nothing but these has changed.
        """
        return all(_stands(cost, point, value, buffers) for cost, point, value in self.seen)


NONE = Mark(())


def _stands(cost: Any, point: int, value: float, buffers: Mapping[str, Tensor] | None) -> bool:
    if buffers is not None:
        cost = copy.copy(cost)
        cost._held = {**cost._held, **buffers}
    now = _value(cost, point)
    return now is not None and abs(now - value) <= 64 * torch.finfo(cost.dtype).eps * abs(value)


def mark(cost: Any) -> Mark:
    """Taken when a cost is captured: of all rows at one point, where that is no great work, and of a few rows further out.

    Data that is read again on every pass is not read for it.
    """
    try:
        few = cost.few(ROWS)
    except Misuse:  # of so few rows there is no cost: no target counts, say
        few = None
    whole = None if cost.streamed else cost
    near = (whole, few) if whole is not None and work(cost) <= WORK else (few, whole)
    tried = ((small, point) for small in near for point in (SIGNED, POSITIVE))
    first = next(_seen(tried), None)
    if first is None:
        return NONE
    return Mark((first, *_seen(((few if few is not None else first[0], FAR),))))


def work(cost: Any) -> float:
    """Rows times parameters."""
    rows = sum(c.shapes[0][0] if c.shapes and c.shapes[0] else 1 for c in cost._chunks)
    return float(rows * sum(math.prod(shape) for shape in cost.blocks.values()))


def _seen(tried: Iterable[tuple[Any, int]]) -> Iterator[tuple[Any, int, float]]:
    for cost, point in tried:
        value = None if cost is None else _value(cost, point)
        if value is not None:
            yield cost, point, value


def _signed(t: Tensor) -> Tensor:
    """Entries of both signs, so that both sides of rectifiers are seen; of a size at which deep networks give numbers of about
    one, beside which a small penalty is no rounding error. (The other point is positive: logarithms and roots have values.)"""
    fan = t[0].numel() if t.dim() > 1 and len(t) else 4
    return (2 * t - 1) * math.sqrt(3 / max(fan, 1))


def _value(cost: Any, point: int) -> float | None:
    """J at one of the points."""
    generator = torch.Generator().manual_seed(SEED)
    drawn = {n: torch.rand(s, generator=generator, dtype=cost.dtype) for n, s in cost.blocks.items()}
    reach = 30.0 if point == FAR else 1.0
    blocks = {n: 0.05 + 0.1 * t if point == POSITIVE else reach * _signed(t) for n, t in drawn.items()}
    try:
        with torch.no_grad():
            value = float(cost(blocks))
    except Misuse:  # rows that the cost's own constants do not fit; torch checks the domain of some losses
        return None
    return value if math.isfinite(value) else None
