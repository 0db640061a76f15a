"""Bounded increasing activations and their relatives."""

from __future__ import annotations

from math import inf

from flint import arb

from jensen.atoms.registry import row
from jensen.kernel.compose import Row

HALVES = ((-inf, 0.0, 1),), ((0.0, inf, 1),)
UP = ((-inf, inf, 2),)


def _sigmoid(x: arb) -> arb:
    return 1 / (1 + (-x).exp()) if x > 0 or x.mid() > 0 else 1 - 1 / (1 + x.exp())


row("aten.tanh.default", lambda: Row(lambda x: x.tanh(), UP, *HALVES, limits=(-1.0, 1.0), bounds=(-1.0, 1.0, True, True)))
row(
    "aten.sigmoid.default",
    lambda: Row(
        _sigmoid, UP, ((-inf, 0.0, 1),), ((0.0, inf, 1), (-inf, inf, 0)), limits=(0.0, 1.0), bounds=(0.0, 1.0, True, True)
    ),
)
