"""Refutation by a chord: the definition of the claim fails on one segment.

For "not convex" the chord from a to b has a point m = t a + (1-t) b with J(m) > t J(a) + (1-t) J(b). The three
values are enclosed in Arb balls; the claim is accepted only when the balls separate, at a precision that doubles up
to a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from jensen.kernel import balls
from jensen.kernel.claims.domain import segment_in_domain
from jensen.kernel.claims.points import Points
from jensen.kernel.claims.words import subject
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem


@dataclass(frozen=True)
class Chord:
    """Two end points in the asked blocks, the other blocks' values, and where on the segment the middle point is."""

    a: Mapping[str, np.ndarray]
    b: Mapping[str, np.ndarray]
    others: Mapping[str, np.ndarray]
    t: Fraction = Fraction(1, 2)


@dataclass(frozen=True)
class Values:
    """Enclosures of J at a, at the middle point and at b."""

    a: Any
    m: Any
    b: Any
    t: Any


def check(problem: Problem, claim: Any, chord: Chord, atoms: Any) -> str:
    """The statement, or Rejected."""
    validate(problem, claim, chord)
    kind = claim.kind.removeprefix("not ")
    separated = VIOLATIONS[kind]
    segment_in_domain(problem, claim, chord, atoms)
    bits = balls.PRECISION
    while True:
        with balls.precision(bits):
            v = _try(problem, claim, chord, atoms, bits)
            if v is not None and separated(v):
                return f"J is not {kind} {subject(problem, claim, exists=True)}: {_show(v)}"
            if v is not None and not _undecided(v, kind):
                raise Rejected("chord", f"not {kind}", f"the values on the chord do not violate {kind}: {_show(v)}")
            if v is not None and bits >= balls.LIMIT:
                raise Rejected(
                    "chord", "separated values", f"the values cannot be told apart with {bits} bits: {_show(v)}"
                )
        bits *= 2


def _try(problem: Problem, claim: Any, chord: Chord, atoms: Any, bits: int) -> Values | None:
    """The values, or None where they may need more precision: deep networks widen balls until nothing is finite."""
    try:
        return enclose(problem, claim, chord, atoms)
    except Rejected:
        if bits >= balls.LIMIT:
            raise
        return None


def validate(problem: Problem, claim: Any, chord: Chord) -> None:
    """The points must be complete, finite, of the right shapes, inside the boxes, and differ."""
    if not isinstance(chord.t, Fraction) or not 0 < chord.t < 1:
        raise Rejected("chord", "a point between the ends", f"t = {chord.t} does not lie between 0 and 1")
    asked = set(claim.blocks)
    if set(chord.a) != asked or set(chord.b) != asked or set(chord.others) != set(problem.blocks) - asked:
        raise Rejected("chord", "points differ only in the asked blocks", "the points do not name each block once")
    for part in (chord.a, chord.b, chord.others):
        for name, value in part.items():
            _validate_point(problem, claim, name, value)
    if all(np.array_equal(chord.a[n], chord.b[n]) for n in asked):
        raise Rejected("chord", "two different points", "the two ends are the same point")


def _validate_point(problem: Problem, claim: Any, name: str, value: np.ndarray) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or value.shape != tuple(problem.blocks[name]):
        raise Rejected(
            name, "points of the blocks' shapes", f"{name!r} must be float64 of shape {problem.blocks[name]}"
        )
    if not np.isfinite(value).all():
        raise Rejected(name, "finite points", f"a point holds NaN or infinity in {name!r}")
    if name in claim.within:
        lo, hi = claim.within[name]
        if (value < lo).any() or (value > hi).any():
            raise Rejected(name, "points inside the boxes", f"a point leaves the box of {name!r}")


def enclose(problem: Problem, claim: Any, chord: Chord, atoms: Any) -> Values:
    """The cost at the three points, at the current precision."""
    t = arb(fmpq(chord.t.numerator, chord.t.denominator))
    moved = {n for n in claim.blocks if not np.array_equal(chord.a[n], chord.b[n])}
    fixed = {**chord.others, **{n: chord.a[n] for n in claim.blocks if n not in moved}}
    ends = [{n: balls.from_array(p[n]) for n in moved} for p in (chord.a, chord.b)]
    middle = {n: balls.elementwise(lambda x, y: t * x + (1 - t) * y, ends[0][n], ends[1][n]) for n in moved}
    sums = [arb(0)] * 3
    for k, term in enumerate(problem.terms):
        points = Points(problem.linked(k, atoms), term.tensors, fixed, moved)
        w = arb(fmpq(term.weight.numerator, term.weight.denominator))
        sums = [s + w * points.value(p).item() for s, p in zip(sums, (ends[0], middle, ends[1]), strict=True)]
    for name, s in zip(("a", "the middle point", "b"), sums, strict=True):
        if not s.is_finite():
            raise Rejected("chord", "points in the domain", f"J has no finite enclosure at {name}")
    return Values(sums[0], sums[1], sums[2], t)


def _mean(v: Values) -> Any:
    return v.t * v.a + (1 - v.t) * v.b


def _log_side(v: Values) -> Any:
    return v.t * v.a.log() + (1 - v.t) * v.b.log()


def _not_positive(v: Values) -> bool:
    return bool(v.a <= 0 or v.b <= 0 or v.m <= 0)


VIOLATIONS: dict[str, Callable[[Values], bool]] = {
    "convex": lambda v: bool(v.m > _mean(v)),
    "concave": lambda v: bool(v.m < _mean(v)),
    "affine": lambda v: bool(v.m > _mean(v) or v.m < _mean(v)),
    "quasiconvex": lambda v: bool(v.m > v.a and v.m > v.b),
    "quasiconcave": lambda v: bool(v.m < v.a and v.m < v.b),
    "log-concave": lambda v: _not_positive(v) or bool(v.m.log() < _log_side(v)),
    "log-convex": lambda v: _not_positive(v) or bool(v.m.log() > _log_side(v)),
}


def _undecided(v: Values, kind: str) -> bool:
    """Whether more precision could still separate the values."""
    if kind in ("convex", "concave", "affine"):
        return bool(v.m.overlaps(_mean(v)))
    if kind in ("quasiconvex", "quasiconcave"):
        return bool(v.m.overlaps(v.a) or v.m.overlaps(v.b))
    return not (v.a > 0 and v.b > 0 and v.m > 0) or bool(v.m.log().overlaps(_log_side(v)))


def _show(v: Values) -> str:
    with balls.precision(balls.PRECISION):
        a, m, b, line = (x.str(12, radius=False) for x in (v.a, v.m, v.b, _mean(v)))
    return f"J = {a} and {b} at the ends of a chord, and {m} between them, where the straight line has {line}"
