"""Whether J is defined on a whole segment: the facts of small boxes along it say so, or enclosures of small parts of it."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from flint import arb, fmpq

from jensen.kernel import balls
from jensen.kernel.claims.leaves import GroupLeaves, groups, leaves
from jensen.kernel.claims.points import Points
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import UNDEFINED
from jensen.kernel.program import Linked, Problem
from jensen.kernel.readings import Leaf, read_facts

PIECES = 256
TUBES = 64  # enclosures are dearer than facts, and see more: that the norm of a vector is not zero, for one
SMALL = 200_000


def segment_in_domain(problem: Problem, claim: Any, chord: Any, atoms: Any) -> None:
    """J must be defined on the whole segment: the facts of small boxes along it say so."""
    for group in groups(problem, atoms):
        if not _defined(group.linked, GroupLeaves(group, claim.blocks, {})):
            for k in group.terms:
                _term_in_domain(problem, k, claim, chord, atoms)


def _defined(linked: Linked, leaf: Leaf) -> bool:
    return read_facts(linked, leaf)[linked.output] is not UNDEFINED


def _term_in_domain(problem: Problem, k: int, claim: Any, chord: Any, atoms: Any) -> None:
    linked = problem.linked(k, atoms)
    if _defined(linked, leaves(problem, k, claim.blocks, {})):
        return
    stack = [(Fraction(0), Fraction(1))]
    checked = 0
    while stack:
        s, t = stack.pop()
        checked += 1
        if _defined(linked, leaves(problem, k, claim.blocks, _hull(chord, float(s), float(t)))) or (
            checked <= TUBES and _finite(problem, k, chord, s, t, atoms)
        ):
            continue
        if checked > PIECES:
            raise Rejected("chord", "a segment in the domain", "J may be undefined somewhere between the two ends")
        stack += [(s, (s + t) / 2), ((s + t) / 2, t)]


def _finite(problem: Problem, k: int, chord: Any, s: Fraction, t: Fraction, atoms: Any) -> bool:
    """Whether the enclosure of J over a part of the segment is finite: outside its domain an operation has none."""
    linked = problem.linked(k, atoms)
    if sum(prod(shape) for shape in linked.shapes) > SMALL:
        return False
    middle, half = (s + t) / 2, (t - s) / 2
    with balls.precision(balls.PRECISION):
        u = arb(fmpq(middle.numerator, middle.denominator), arb(fmpq(half.numerator, half.denominator)).upper())
        tube = {n: balls.elementwise(lambda x, y: x + u * (y - x), a, chord.b[n]) for n, a in chord.a.items()}
        try:
            return bool(
                Points(linked, problem.terms[k].tensors, chord.others, set(tube)).value(tube).item().is_finite()
            )
        except Rejected:
            return False


def _hull(chord: Any, s: float, t: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A box around the part of the segment between s and t (dyadic), rounded outward."""
    boxes = {n: (v, v) for n, v in chord.others.items()}
    for n, a in chord.a.items():
        b = chord.b[n]
        lo, hi = np.minimum(a, b), np.maximum(a, b)
        if (s, t) != (0.0, 1.0):
            with np.errstate(over="ignore", invalid="ignore"):
                p, q = a * (1 - s) + b * s, a * (1 - t) + b * t
                slack = 8 * np.finfo(np.float64).eps * (np.abs(a) + np.abs(b)) + 1e-300
                lo = np.fmax(lo, np.minimum(p, q) - slack)
                hi = np.fmin(hi, np.maximum(p, q) + slack)
        boxes[n] = (lo, hi)
    return boxes
