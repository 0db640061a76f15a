"""``jensen.barrier``: how high the cost rises on the straight way between two points."""

from __future__ import annotations

import math
import time
from typing import Any

from jensen.ask.paths.answers import Barrier
from jensen.ask.paths.curve import Curve, cost_along
from jensen.ask.paths.points import Point, read
from jensen.ask.paths.scan import Scan, scan
from jensen.ask.paths.statistics import Statistics, recomputed
from jensen.cost import Cost
from jensen.errors import Misuse

COARSE = 1e-2  # tolerance of the way before the alignment, which is only drawn
STATISTICS = ("interpolated", "recomputed")


def barrier(
    cost: Cost,
    a: Any,
    b: Any,
    aligned: bool = False,
    *,
    tolerance: float = 1e-6,
    statistics: str = "interpolated",
    evaluations: int = 600,
    seed: int = 0,
) -> Barrier:
    """The cost along the segment theta(t) = (1 - t) a + t b, and how far it rises above the line between its ends.

    Args:
        cost: A :class:`jensen.Cost`.
        a, b: Dicts of tensors named like the blocks (what is missing is as it is now; float buffers may be given by
            name too), or modules of the cost's architecture, which bring their running statistics along.
        aligned: Whether to align b to a first (:func:`jensen.align`).
        tolerance: To which the height is wanted, relative to the spread of J along the segment.
        statistics: ``"recomputed"`` computes batch norm's running statistics anew at every t, the ends too.
        evaluations: At most about so many gradients of J.
        seed: Of the alignment.

    Raises:
        Misuse: For points that are no points of this cost.
    """
    begun = time.perf_counter()
    again = possible(cost, tolerance, statistics)
    first, last = read(cost, a, "a"), read(cost, b, "b")
    alignment, before = None, ()
    if aligned:
        straight = Curve("segment", (first.flat(cost), last.flat(cost)))
        before = along(cost, straight, (first, last), again, COARSE, evaluations).values
        alignment, last = moved(cost, first, last, seed)
    found = along(
        cost, Curve("segment", (first.flat(cost), last.flat(cost))), (first, last), again, tolerance, evaluations
    )
    ends = found.values[0][1], found.values[-1][1]
    rise = max(found.top - max(ends), 0.0)
    return Barrier(
        found.height, found.peak, found.values, rise, ends, found.error, found.tolerance, found.met, aligned, statistics,
        _statement(found, aligned), time.perf_counter() - begun, before, alignment,
    )  # fmt: skip


def possible(cost: Cost, tolerance: float, statistics: str) -> Statistics | None:
    """What recomputes statistics, where that is asked for.

    Raises:
        Misuse: For options that mean nothing.
    """
    if statistics not in STATISTICS:
        raise Misuse(f"statistics={statistics!r} is not known; give one of {', '.join(STATISTICS)}")
    if not 0 < tolerance < 1:
        raise Misuse(f"tolerance={tolerance} is no share of the spread of J; give a number between 0 and 1, like 1e-6")
    return recomputed(cost) if statistics == "recomputed" else None


def moved(cost: Cost, first: Point, last: Point, seed: int) -> tuple[Any, Point]:
    """The alignment of the second point to the first, and where it brings it."""
    from jensen.ask.paths.align import align

    answer = align(cost, first, last, seed=seed)
    return answer, read(cost, {**answer.theta, **answer.buffers})


def along(
    cost: Cost, curve: Curve, ends: tuple[Point, Point], again: Statistics | None, tolerance: float, evaluations: int
) -> Scan:
    """J along a curve.

    Raises:
        Misuse: Where J is not a finite number at an end.
    """
    pieces = cost_along(cost, curve, ends, again)
    for name, (j, _) in (("a", pieces[0](0.0)), ("b", pieces[-1](1.0))):
        if not math.isfinite(j):
            raise Misuse(f"J is {j} at {name}; give points at which the cost is a finite number")
    return scan(pieces, tolerance, evaluations)


def _statement(found: Scan, aligned: bool) -> str:
    ends = "the two points, the second aligned to the first" if aligned else "the two points"
    if found.height == float("inf"):
        return f"J is not a finite number everywhere on the segment between {ends}: it is not at t = {found.peak:.6g}."
    if found.height == 0:
        return f"Nowhere that was evaluated does J rise above the straight line between its values at {ends}."
    sure = (
        f"within {found.error:.2g} by estimate"
        if found.met
        else f"at least; the estimate leaves {found.error:.2g} open"
    )
    return f"Between {ends} J rises by {found.height:.6g} ({sure}) above the straight line, at t = {found.peak:.6g}."
