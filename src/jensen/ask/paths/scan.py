"""The highest point of J along a path, by adaptive evaluation of values and slopes.

Values and slopes at both ends of an interval give a cubic (Hermite). How far the next value and slope lie from the cubic
that foretold them is the doubt of the interval; it is halved with the interval, as at a kink (elsewhere it falls faster).
An interval may also reach as high as its tangents meet, which bounds J wherever it is concave between the two ends. The
interval that may reach highest is cut first, until none reaches above the highest value found by more than the tolerance.
This is the branch and bound of Piyavskii (1972) with an estimate in the place of a Lipschitz constant: the highest value is
attained, hence a lower bound of the maximum; that nothing higher lies between is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Piece = Callable[[float], tuple[float, float]]  # a place in [0, 1] -> J and its slope there

START = 21  # intervals to begin with, unequal ones, so that no period of J hides between them
GOLDEN = (math.sqrt(5) - 1) / 2
CLOSEST = 1e-11  # of a piece; what is closer is one place
ROUNDING = 1e-13  # relative, of values of J
POLISH = 2  # last evaluations, for the place of a smooth summit
EVEN = 3  # so often is a cut in the middle, whatever the cubic says


@dataclass(frozen=True)
class Scan:
    """J along a path, which runs over t from 0 to 1.

    Attributes:
        values: Pairs (t, J), increasing in t.
        top: The highest value found, and ``at`` where.
        height: The highest value above the straight line between the values at the ends, at least 0; ``peak`` where.
        error: What the maxima may lie above these, by estimate.
        tolerance: What the error had to reach.
        met: Whether it did within the evaluations.
    """

    values: tuple[tuple[float, float], ...]
    top: float
    at: float
    height: float
    peak: float
    error: float
    tolerance: float
    met: bool


@dataclass(frozen=True)
class _Node:
    s: float
    value: float
    slope: float


@dataclass(frozen=True)
class _Interval:
    """Two neighbouring nodes of a piece, how far J may lie from their cubic, and the cubic's highest points."""

    piece: int
    left: _Node
    right: _Node
    doubt: float
    cuts: int
    top: tuple[float, float]  # of J, and its place
    above: tuple[float, float]  # of J less the chord
    reach: tuple[float, float]  # how high J and J less the chord may come

    @property
    def width(self) -> float:
        return self.right.s - self.left.s


@dataclass
class _Course:
    """What is known so far."""

    pieces: Sequence[Piece]
    values: dict[float, float] = field(default_factory=dict)
    ends: tuple[float, float] = (0.0, 0.0)
    top: tuple[float, float] = (-math.inf, 0.0)
    above: tuple[float, float] = (0.0, 0.0)

    def node(self, piece: int, s: float) -> _Node:
        value, slope = self.pieces[piece](s)
        if not math.isfinite(value):
            value, slope = math.inf, 0.0
        t = (piece + s) / len(self.pieces)
        self.values[t] = value
        if t == 0:
            self.ends = (value, self.ends[1])
        elif t == 1:
            self.ends = (self.ends[0], value)
        return _Node(s, value, slope)

    def judge(self, t: float) -> None:
        """Compare a value with the highest points; the chord is known by then."""
        value = self.values[t]
        self.top = max(self.top, (value, -t))
        gap = value - self.chord(t)
        if math.isinf(value) or gap > max(self.above[0], ROUNDING * max(map(abs, (value, *self.ends)))):
            self.above = (gap, t)

    def chord(self, t: float) -> float:
        return (1 - t) * self.ends[0] + t * self.ends[1]

    def interval(self, piece: int, left: _Node, right: _Node, doubt: float, cuts: int) -> _Interval:
        fall = (self.ends[1] - self.ends[0]) / len(self.pieces)
        less = [
            _Node(n.s, n.value - self.chord((piece + n.s) / len(self.pieces)), n.slope - fall) for n in (left, right)
        ]
        top, above = _summit(left, right), _summit(*less)
        reach = max(top[0] + doubt, _meet(left, right)[0]), max(above[0] + doubt, _meet(*less)[0])
        return _Interval(piece, left, right, doubt, cuts, top, above, reach)

    def excess(self, i: _Interval) -> float:
        """By how much an interval may reach above the highest points found."""
        if i.width < CLOSEST:
            return -math.inf
        return max(i.reach[0] - self.top[0], i.reach[1] - self.above[0])


def scan(pieces: Sequence[Piece], tolerance: float = 1e-6, evaluations: int = 600) -> Scan:
    """The highest point along some pieces, end to end.

    Args:
        pieces: Each gives J and its slope at a place in [0, 1] of its own; t counts them alike.
        tolerance: Of the maxima, relative to the spread of J along the path.
        evaluations: At most about so many.
    """
    course = _Course(pieces)
    intervals, used = _begin(course)
    while True:
        finite = [v for v in course.values.values() if math.isfinite(v)]
        spread, largest = max(finite, default=0.0) - min(finite, default=0.0), max(map(abs, finite), default=0.0)
        goal = max(tolerance * spread, ROUNDING * largest)
        worst = max(intervals, key=course.excess)
        error = max(course.excess(worst), 0.0)
        lost = len(finite) < len(course.values)
        if error <= goal or used >= evaluations or lost:
            break
        intervals.remove(worst)
        intervals += _cut(course, worst)
        used += 1
    for _ in range(0 if lost else POLISH):
        summit = max(intervals, key=lambda i: i.above[0])
        if summit.left.s < summit.above[1] < summit.right.s and summit.width > CLOSEST:
            intervals.remove(summit)
            intervals += _cut(course, summit, summit.above[1])
    (top, at), (height, peak) = course.top, course.above
    values = tuple(sorted(course.values.items()))
    return Scan(values, top, -at, height, peak, 0.0 if lost else error, goal, lost or error <= goal)


def _begin(course: _Course) -> tuple[list[_Interval], int]:
    """Intervals of unequal widths, each cut once, so that each has a doubt."""
    each = max(START // len(course.pieces), 2)
    nodes = []
    for k in range(len(course.pieces)):
        inner = [(i + 0.5 * (((i + 1) * GOLDEN) % 1 - 0.5)) / each for i in range(1, each)]
        nodes.append([course.node(k, s) for s in (0.0, *inner, 1.0)])
    for t in course.values:
        course.judge(t)
    found = []
    for k, row in enumerate(nodes):
        for left, right in pairwise(row):
            found += _cut(course, course.interval(k, left, right, 0.0, EVEN - 1))
    return found, len(course.values)


def _cut(course: _Course, i: _Interval, at: float | None = None) -> list[_Interval]:
    """The two parts of an interval, with the doubt that its cubic earned."""
    s = _place(course, i) if at is None else at
    middle = course.node(i.piece, s)
    course.judge((i.piece + s) / len(course.pieces))
    value, slope = _cubic(i.left, i.right, s)
    doubt = max(abs(value - middle.value), i.width / 8 * abs(slope - middle.slope)) / 2
    return [course.interval(i.piece, *pair, doubt, i.cuts + 1) for pair in ((i.left, middle), (middle, i.right))]


def _place(course: _Course, i: _Interval) -> float:
    """Where to cut: at the summit of the cubic, where the tangents meet (a kink), or in the middle."""
    left, right = i.left, i.right
    if i.cuts % EVEN == EVEN - 1:
        return (left.s + right.s) / 2
    by_chord = i.reach[1] - course.above[0] > i.reach[0] - course.top[0]
    value, s = i.above if by_chord else i.top
    peak = i.reach[1] if by_chord else i.reach[0]
    if i.doubt > 0.05 * (peak - value):
        s = _meet(left, right)[1]
    return min(max(s, left.s + 0.02 * i.width), right.s - 0.02 * i.width)


def _meet(left: _Node, right: _Node) -> tuple[float, float]:
    """The height and place where the tangents of both ends meet: no concave function reaches higher."""
    bend, h = left.slope - right.slope, right.s - left.s
    if not bend > 0:
        return max((left.value, left.s), (right.value, right.s))
    s = left.s + min(max((right.value - left.value - right.slope * h) / bend, 0.0), h)
    return max(
        left.value, right.value, min(left.value + left.slope * (s - left.s), right.value + right.slope * (s - right.s))
    ), s


def _cubic(left: _Node, right: _Node, s: float) -> tuple[float, float]:
    """Hermite's cubic through two nodes, and its slope, at a place."""
    h = right.s - left.s
    u = (s - left.s) / h
    rise, c = right.value - left.value, (left.slope * h, right.slope * h)
    two, three = 3 * rise - 2 * c[0] - c[1], c[0] + c[1] - 2 * rise
    return left.value + u * (c[0] + u * (two + u * three)), (c[0] + u * (2 * two + 3 * u * three)) / h


def _summit(left: _Node, right: _Node) -> tuple[float, float]:
    """The highest value of the cubic, and its place."""
    h, rise = right.s - left.s, right.value - left.value
    one, two, three = (
        left.slope * h,
        3 * rise - (2 * left.slope + right.slope) * h,
        (left.slope + right.slope) * h - 2 * rise,
    )
    best = max((left.value, left.s), (right.value, right.s))
    root = two * two - 3 * one * three
    if not math.isfinite(root) or root < 0:
        return best
    q = -two - math.copysign(math.sqrt(root), two)
    for part, whole in ((q, 3 * three), (one, q)):  # the roots of one + 2 two u + 3 three u^2
        if whole and 0 < part / whole < 1:
            s = left.s + part / whole * h
            best = max(best, (_cubic(left, right, s)[0], s))
    return best
