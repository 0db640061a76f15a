"""What a function of one real variable does on an interval: convex, concave, monotone, falling and then rising.

Each part of the interval is shown by enclosures of the derivatives on a subdivision. Two parts fit together where the
function is continuous, by exact values at the point between them, and its slopes there are in the right order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from math import inf
from typing import NamedTuple

from jensen.kernel import ranges
from jensen.kernel.claims import jets
from jensen.kernel.claims.box import middle_of
from jensen.kernel.claims.cone import HERE, Cone, Part
from jensen.kernel.claims.jets import Jet
from jensen.kernel.compose import QUASI
from jensen.kernel.facts import CONCAVE, CONVEX, QUASICONCAVE, QUASICONVEX, Fact, Index, fact, swap
from jensen.kernel.ranges import Range

PIECES, HALVINGS = 128, 3
MINUS = (-1.0, -1.0, False, False)


class Piece(NamedTuple):
    """A part of a part, and what is known of the function there."""

    part: Part
    range: Range
    jet: Jet | None


class Joint(NamedTuple):
    """A point, its value and the slopes on its two sides; whether the function jumps there (0: no, 1: up, -1: down,
    None: not known); whether the point lies inside the interval."""

    value: Range
    left: Range
    right: Range
    jump: int | None
    inner: bool


def _bent(f: Jet) -> Range:
    """f f'' - f'^2, which has the sign of (log f)'' where f > 0."""
    return jets.bent((jets.mul(f.value, f.hessian[0]),), f.gradient, MINUS)[0]


def _positive(r: Range) -> bool:
    return r[0] > 0.0 or (r[0] == 0.0 and r[2])


SHOWS: dict[str, Callable[[Jet], bool]] = {
    "convex": lambda f: f.hessian[0][0] >= 0.0,
    "concave": lambda f: f.hessian[0][1] <= 0.0,
    "up": lambda f: f.gradient[0][0] >= 0.0,
    "down": lambda f: f.gradient[0][1] <= 0.0,
    "log-convex": lambda f: _positive(f.value) and _bent(f)[0] >= 0.0,
    "log-concave": lambda f: _positive(f.value) and _bent(f)[1] <= 0.0,
}
DENIES: dict[str, Callable[[Jet], bool]] = {
    "convex": lambda f: f.hessian[0][1] < 0.0,
    "concave": lambda f: f.hessian[0][0] > 0.0,
    "up": lambda f: f.gradient[0][1] < 0.0,
    "down": lambda f: f.gradient[0][0] > 0.0,
    "log-convex": lambda f: f.value[1] <= 0.0 or _bent(f)[1] < 0.0,
    "log-concave": lambda f: f.value[1] <= 0.0 or _bent(f)[0] > 0.0,
}


def image(cone: Cone, g: Fact) -> Fact | None:
    """The fact of the function of a value with fact g; None where nothing is shown."""
    affine = g.bits & CONVEX and g.bits & CONCAVE
    if not g.bits & QUASI or not g.range[0] < g.range[1]:
        return None
    parts = cone.parts(g.range)
    joints = _joints(cone, g.range, parts)
    if not parts or joints is None:
        return None
    pieces = [Piece(part, r, cone.jet(r, part.way)) for part in parts for r in _grid(part.range)]
    names = [s for s in SHOWS if _joined(s, joints) and not any(p.jet and DENIES[s](p.jet) for p in pieces)]
    found = {s for s in names if _holds(cone, s, pieces)}
    up, down = "up" in found, "down" in found
    bits = g.bits & QUASI if up else swap(g.bits) & QUASI if down else 0
    vex: Index = inf
    cave: Index = -inf
    if affine or (up and g.bits & CONVEX) or (down and g.bits & CONCAVE):
        bits |= CONVEX if "convex" in found else 0
        vex = 0 if "log-convex" in found else inf
    if affine or (up and g.bits & CONCAVE) or (down and g.bits & CONVEX):
        bits |= CONCAVE if "concave" in found else 0
        cave = 0 if "log-concave" in found else -inf
    if affine and not bits:
        bits = (QUASICONVEX if _valley(cone, pieces, joints, 1) else 0) | (
            QUASICONCAVE if _valley(cone, pieces, joints, -1) else 0
        )
    if not bits and vex == inf and cave == -inf:
        return None
    values = [p.jet.value if p.jet else ranges.REALS for p in pieces] + [j.value for j in joints.values()]
    return fact(bits, reduce(ranges.union, values), vex, cave)


def _joints(cone: Cone, whole: Range, parts: list[Part]) -> dict[float, Joint] | None:
    """What happens where two parts meet, and at ends where the function may jump; None where that is not known."""
    out: dict[float, Joint] = {}
    ends = [(None, p) for p in parts if p.range[0] == whole[0]] + [(p, None) for p in parts if p.range[1] == whole[1]]
    inner = [(p, q) for p in parts for q in parts if p.range[1] == q.range[0]]
    for left, right in [*inner, *(ends if cone.jumps() else [])]:
        at = left.range[1] if left else right.range[0] if right else inf
        if abs(at) == inf or (whole[2] and at == whole[0]) or (whole[3] and at == whole[1]):
            continue
        point = ranges.make(at, at)
        here = cone.jet(point, HERE)
        sides = [cone.jet(point, p.way) if p else here for p in (left, right)]
        if sides[0] is None or sides[1] is None or (cone.jumps() and here is None):
            return None
        values = [s.value for s in (sides[0], here, sides[1]) if s is not None]
        value, slopes = (here or sides[0]).value, (sides[0].gradient[0], sides[1].gradient[0])
        out[at] = Joint(value, *slopes, _jump(values) if cone.jumps() else 0, bool(left and right))
    return out


def _jump(values: list[Range]) -> int | None:
    """0 where values are one and the same number, 1 where they rise, -1 where they fall."""
    if len({v[:2] for v in values}) == 1 and values[0][0] == values[0][1]:
        return 0
    if all(p[1] <= q[0] for p, q in pairwise(values)):
        return 1
    return -1 if all(p[0] >= q[1] for p, q in pairwise(values)) else None


def _joined(shape: str, joints: dict[float, Joint]) -> bool:
    """Whether parts of a shape make a whole of that shape."""
    if shape in ("up", "down"):
        return all(j.jump in (0, 1 if shape == "up" else -1) for j in joints.values())
    return all(j.jump == 0 and (_bends(j, shape.endswith("convex")) or not j.inner) for j in joints.values())


def _bends(j: Joint, up: bool) -> bool:
    """Whether the slope jumps upward (downward)."""
    return j.left[1] <= j.right[0] if up else j.left[0] >= j.right[1]


def _grid(r: Range) -> list[Range]:
    out = [r]
    for _ in range(HALVINGS):
        out = [h for q in out for h in _halves(q)]
    return out


def _halves(r: Range) -> list[Range]:
    """Two pieces that share their middle; a piece that cannot be divided stays."""
    middle = middle_of(r[0], r[1])
    return [(r[0], middle, r[2], False), (middle, r[1], False, r[3])] if r[0] < middle < r[1] else [r]


def _holds(cone: Cone, shape: str, pieces: list[Piece]) -> bool:
    """Whether the function has the shape on each piece; pieces where that is not seen are divided."""
    return _refine(cone, pieces, SHOWS[shape], DENIES[shape])


def _refine(cone: Cone, pieces: list[Piece], good: Callable[[Jet], bool], bad: Callable[[Jet], bool]) -> bool:
    i = 0
    while i < len(pieces):
        part, r, f = pieces[i]
        if f is not None and good(f):
            i += 1
            continue
        halves = _halves(r)
        if (f is not None and bad(f)) or len(halves) < 2 or len(pieces) >= PIECES or cone.work[0] <= 0:
            return False
        pieces[i : i + 1] = [Piece(part, h, cone.jet(h, part.way)) for h in halves]
    return True


def _valley(cone: Cone, pieces: list[Piece], joints: dict[float, Joint], sign: int) -> bool:
    """Whether the function (times the sign) falls, then is convex, then rises, without jumps."""
    falls, bends, rises = (SHOWS[s] for s in (("down", "convex", "up") if sign > 0 else ("up", "concave", "down")))
    if any(j.jump != 0 for j in joints.values()):
        return False
    if not _refine(cone, pieces, lambda f: falls(f) or bends(f) or rises(f), lambda f: False):
        return False
    jets_ = [p.jet for p in pieces if p.jet is not None]
    i = next((k for k, f in enumerate(jets_) if not falls(f)), len(jets_))
    j = next((k + 1 for k in reversed(range(i, len(jets_))) if not rises(jets_[k])), i)
    inside = [p.range[0] for p in pieces[i + 1 : j]]
    return all(bends(f) for f in jets_[i:j]) and all(_bends(joints[x], sign > 0) for x in inside if x in joints)
