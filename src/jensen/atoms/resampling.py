"""Linear interpolation along one axis, with exact rational weights: each result is a mean of two neighbours."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Any

import numpy as np
from flint import arb, fmpq

from jensen.atoms.pooling import average
from jensen.atoms.registry import Atom, acts, along, register
from jensen.atoms.shared import Facts, Shapes, axis_of, no_values, operand
from jensen.kernel import balls
from jensen.kernel.facts import Fact


@lru_cache(maxsize=256)
def _neighbours(n: int, out: int, corners: bool, scale: float | None) -> tuple[np.ndarray, np.ndarray, list[Fraction]]:
    """For each place its two neighbours and the weight of the second, as torch documents interpolation."""
    if n < 1 or out < 1 or (scale is not None and not 0 < scale < 2**52):
        raise ValueError("interpolation of nothing")
    left, right, weights = [], [], []
    for i in range(out):
        if corners:
            at = Fraction(i * (n - 1), out - 1) if out > 1 else Fraction(0)
        else:
            step = Fraction(n, out) if scale is None else 1 / Fraction(scale)
            at = max((i + Fraction(1, 2)) * step - Fraction(1, 2), Fraction(0))
        k = min(floor(at), n - 1)
        left.append(k)
        right.append(min(k + 1, n - 1))
        weights.append(at - k if k + 1 < n else Fraction(0))
    return np.array(left), np.array(right), weights


def _shape(x: tuple[int, ...], axis: int, out: int, corners: bool, scale: float | None = None) -> tuple[int, ...]:
    a = axis_of(axis, len(x))
    _neighbours(x[a], out, bool(corners), scale)
    return (*x[:a], out, *x[a + 1 :])


def _facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    return average(out[operand(args)], False)


def _resample(x: np.ndarray, axis: int, out: int, corners: bool, scale: float | None = None) -> np.ndarray:
    a = axis_of(axis, x.ndim)
    left, right, weights = _neighbours(x.shape[a], out, bool(corners), scale)
    x = balls.real(x)
    w = balls.as_objects(np.array([arb(fmpq(f.numerator, f.denominator)) for f in weights], dtype=object), (out,))
    w = w.reshape(-1, *[1] * (x.ndim - a - 1))
    return balls.elementwise(lambda u, v, t: u + t * (v - u), np.take(x, left, axis=a), np.take(x, right, axis=a), w)


register(Atom("jensen.resample", _shape, _facts, _resample))
acts("jensen.resample", "window", "sum", along, "through")
