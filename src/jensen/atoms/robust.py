"""Functions of one difference that are quadratic near zero and linear far out: Huber and smooth L1."""

from __future__ import annotations

from math import inf
from typing import Any

from flint import arb

from jensen.atoms import arrays
from jensen.atoms.rectifiers import NON_NEGATIVE, WHOLE
from jensen.atoms.registry import EVEN, nature, row
from jensen.atoms.rounding import number, positive
from jensen.atoms.rows import Row
from jensen.kernel.errors import Unmodelled

VALLEY = ((-inf, 0.0, -2), (0.0, inf, 2))


def _huber_row(delta: float, unit: Any) -> Row:
    """(d^2 / 2 up to delta, then delta (|d| - delta / 2)) / unit."""
    w = arb(delta)

    def ball(x: Any) -> Any:
        return arrays.piecewise(abs(x), delta, lambda v: v * v / 2, lambda v: w * (v - w / 2)) / unit

    sides = ((-inf, -delta, 1), (delta, inf, 1))
    return Row(ball, VALLEY, WHOLE, sides, limits=(inf, inf), bounds=NON_NEGATIVE)


def _huber(delta: Any = 1.0) -> Row:
    return _huber_row(positive("huber", delta), arb(1))


def _smooth_l1(beta: Any = 1.0) -> Row:
    """Huber divided by its width; the absolute value where that is zero."""
    b = number("smooth_l1", beta)
    if b < 0.0:
        raise Unmodelled("smooth_l1", "a non-negative attribute", f"smooth_l1 with beta {b} is not modelled")
    if b == 0.0:
        return Row(abs, VALLEY, WHOLE, ((-inf, 0.0, 1), (0.0, inf, 1)), limits=(inf, inf), bounds=NON_NEGATIVE)
    return _huber_row(b, arb(b))


row("jensen.huber", _huber)
row("jensen.smooth_l1", _smooth_l1)
nature("jensen.huber", EVEN)
nature("jensen.smooth_l1", EVEN)
