"""Moves tried in exact arithmetic: a function's tails (of exp, of a Gaussian) are far below rounding, and differ all the same.

J at a point and at the moved point are enclosed by balls of some thousand digits' precision. Where the balls do not meet, the move
changes J for certain. Permutations, signs and translations of floats are exact; rotations are products of turns in planes by
the angle of the triangle 3, 4, 5.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from flint import arb, fmpq
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Theta
from jensen.ask.symmetry.tried import generic, scattered
from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims.points import Points
from jensen.kernel.program import Problem

BITS = 4000  # e^-1000 beside 1 takes 1,443 of them
NEAR, FAR = (0.3, 0.3), (30.0, 1e3, 1e4, 1e5, 1e6) * 2  # how far the points lie; each has an element of its own
GRID = 2.0**20  # coordinates are whole multiples of 1 / GRID, so that floats hold sums of two of them exactly
Balls = dict[str, np.ndarray]


class Exactly:
    """J of a function without data, by the kernel's reading of enclosures."""

    def __init__(self, problem: Problem, theta: Theta, switches: bool):
        """``switches``: J may be another formula far out, and is tried there too."""
        self._problem, self._numbers = problem, torch.Generator().manual_seed(13)
        drawn = (scattered(theta, self._numbers, size) for size in (NEAR + FAR if switches else NEAR))
        self._points = [{n: (t.double() * GRID).round() / GRID for n, t in p.items()} for p in drawn]
        self._known: dict[int, arb | None] = {}

    def breaks(self, f: Factor) -> bool:
        """Whether an element of the factor changes J for certain; never where the kernel cannot enclose J."""
        return any(self._differs(f, k) for k in range(len(self._points)))

    def _differs(self, f: Factor, k: int) -> bool:
        with balls.precision(BITS):
            moved = self._moved(f, k)
            if moved is None:
                return False
            if k not in self._known:
                self._known[k] = self._value(_balls(self._points[k]))
            here, there = self._known[k], self._value(moved)
            return here is not None and there is not None and not here.overlaps(there)

    def _value(self, point: Balls) -> arb | None:
        total = arb(0)
        try:
            for k, term in enumerate(self._problem.terms):
                linked = self._problem.linked(k, registry())
                value = Points(linked, term.tensors, {}, set(self._problem.blocks)).value(point).item()
                total += arb(fmpq(term.weight.numerator, term.weight.denominator)) * value
        except Exception:  # an operation without atom, or undefined at this point: nothing is known
            return None
        return total if total.is_finite() else None

    def _moved(self, f: Factor, k: int) -> Balls | None:
        """The moved point; nothing for kinds of moves that have no exact elements here."""
        point = self._points[k]
        if f.kind == "orthogonal":
            return _turned(f, _balls(point), k)
        if f.kind not in ("permutation", "sign", "translation"):
            return None
        element = generic(f, self._numbers, k)
        if f.kind == "translation":
            element = (element * GRID).round() / GRID
        return _balls(f.act(element, point))


def _balls(point: Mapping[str, Tensor]) -> Balls:
    return {n: balls.from_array(t.double().numpy()) for n, t in point.items()}


def _turned(f: Factor, point: Balls, k: int) -> Balls | None:
    """Units i and i + 1 turned in their plane, one pair after the other; of whole axes."""
    if f.centred or any(len(s.axes) != 1 or s.positions.shape != (f.size, 1) for s in f.sites):
        return None
    c, s = arb(3) / 5, arb(4 if k % 2 else -4) / 5
    out = dict(point)
    for site in f.sites:
        rows = np.moveaxis(out[site.block], site.axes[0], 0)[site.positions[:, 0]]
        for i in range(f.size - 1):
            rows[i], rows[i + 1] = c * rows[i] - s * rows[i + 1], s * rows[i] + c * rows[i + 1]
        turned = np.moveaxis(out[site.block].copy(), site.axes[0], 0)
        turned[site.positions[:, 0]] = rows
        out[site.block] = np.moveaxis(turned, 0, site.axes[0])
    return out
