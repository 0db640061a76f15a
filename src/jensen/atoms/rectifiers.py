"""Piecewise linear activations."""

from __future__ import annotations

from math import inf

from flint import arb

from jensen.atoms.registry import row
from jensen.kernel.compose import Row

row(
    "aten.relu.default",
    lambda: Row(
        lambda x: x.max(arb(0)),
        ((-inf, 0.0, 0), (0.0, inf, 2)),
        ((-inf, inf, 1),),
        ((-inf, 0.0, 1), (0.0, inf, 1)),
        limits=(0.0, inf),
        bounds=(0.0, inf, False, True),
    ),
)
row(
    "aten.abs.default",
    lambda: Row(
        abs,
        ((-inf, 0.0, -2), (0.0, inf, 2)),
        ((-inf, inf, 1),),
        ((-inf, 0.0, 1), (0.0, inf, 1)),
        limits=(inf, inf),
        bounds=(0.0, inf, False, True),
    ),
)
