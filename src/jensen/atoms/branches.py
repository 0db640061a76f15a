"""The pieces of continuous piecewise linear functions: (end, slope, constant) of each, the last one without an end."""

from __future__ import annotations

from math import inf
from typing import Any

from jensen.atoms.registry import branches
from jensen.atoms.rounding import number

Pieces = tuple[tuple[float, float, float], ...]


def _clamp(lo: Any = None, hi: Any = None) -> Pieces:
    """torch gives the upper bound where the bounds are in the wrong order."""
    high = inf if hi is None or hi == inf else number("clamp", hi)
    low = -inf if lo is None or lo == -inf else min(number("clamp", lo), high)
    below = ((low, 0.0, low),) if low > -inf else ()
    above = ((high, 1.0, 0.0), (inf, 0.0, high)) if high < inf else ((inf, 1.0, 0.0),)
    return ((inf, 0.0, high),) if low == high else (*below, *above)


def _leaky(slope: Any = 0.01) -> Pieces:
    return (0.0, number("leaky_relu", slope), 0.0), (inf, 1.0, 0.0)


def _softshrink(size: Any = 0.5) -> Pieces:
    a = number("softshrink", size)
    return (-a, 1.0, a), (a, 0.0, 0.0), (inf, 1.0, -a)


branches("aten.relu.default", lambda: ((0.0, 0.0, 0.0), (inf, 1.0, 0.0)))
branches("aten.abs.default", lambda: ((0.0, -1.0, 0.0), (inf, 1.0, 0.0)))
branches("aten.leaky_relu.default", _leaky)
branches("aten.clamp.default", _clamp)
branches("aten.clamp_min.default", lambda lo: _clamp(lo, None))
branches("aten.clamp_max.default", lambda hi: _clamp(None, hi))
branches("aten.hardtanh.default", lambda lo=-1, hi=1: _clamp(lo, hi))
branches("jensen.softshrink", _softshrink)
