"""``jensen.connect``: a curve of low cost between two points, on modules as they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jensen.ask.paths.answers import Connection
from jensen.ask.paths.barrier import along, moved, possible
from jensen.ask.paths.bezier import aside, middle
from jensen.ask.paths.curve import Curve, bezier
from jensen.ask.paths.neb import band
from jensen.ask.paths.points import Point, read, value_and_gradient
from jensen.ask.paths.scan import Scan
from jensen.ask.paths.statistics import Statistics, in_batches
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.flat import Flat

METHODS = ("bezier", "neb")
CORNERS = 9  # of a band, the ends among them
COARSE, FEW = 1e-2, 60  # tolerance and evaluations of a look at an unfinished curve


def connect(
    cost: Cost,
    a: Any,
    b: Any,
    method: str | None = None,
    *,
    aligned: bool = False,
    steps: int = 100,
    tolerance: float = 1e-6,
    statistics: str = "interpolated",
    evaluations: int = 600,
    seed: int = 0,
) -> Connection:
    """A curve of low cost between two points.

    Args:
        cost: A :class:`jensen.Cost`; its model stays as it is and is called with the curve's parameters.
        a, b: Points, as for :func:`jensen.barrier`.
        method: ``"bezier"`` (Garipov et al. 2018), ``"neb"`` (a polyline; Draxler et al. 2018), or None: both, the second
            started from the first, and the lower one.
        aligned: Whether to align b to a first.
        steps: Of descent, in each of three rounds.
        tolerance, statistics, evaluations: Of the final look along the curve, as in a barrier. With
            ``statistics="recomputed"`` the descent uses the statistics of the batch, as in training.
        seed: Of the descent and of the alignment.

    Raises:
        Misuse: For points that are no points of this cost, or a method that is not known.
    """
    begun = time.perf_counter()
    if method is not None and method not in METHODS:
        raise Misuse(f"method={method!r} is not known; give one of {', '.join(METHODS)}, or None for the better one")
    if steps < 1:
        raise Misuse(f"steps={steps} leaves nothing to descend; give at least 1")
    again = possible(cost, tolerance, statistics)
    first, last = read(cost, a, "a"), read(cost, b, "b")
    alignment = None
    if aligned:
        alignment, last = moved(cost, first, last, seed)
    search = _Search(cost, (first, last), again, steps, seed)
    straight = search.look(Curve("segment", search.ends), tolerance, evaluations)
    curves, spent = search.curves(method, straight.top)
    looks = [(search.look(c, tolerance, evaluations), c) for c in curves]
    found, curve = min([*looks, (straight, Curve("segment", search.ends))], key=lambda pair: pair[0].top)
    return _answer(cost, found, curve, straight, spent, statistics, alignment, begun)


class _Search:
    """What the methods share: J with its gradient, and looks along curves."""

    def __init__(self, cost: Cost, points: tuple[Point, Point], again: Statistics | None, steps: int, seed: int):
        self.cost, self.points, self.again, self.steps, self.seed = cost, points, again, steps, seed
        self.ends = (points[0].flat(cost), points[1].flat(cost))
        held = {n: (b + points[1].buffers[n]) / 2 for n, b in points[0].buffers.items()}
        self.descended = in_batches(cost) if again is not None else cost.holding(held) if held else cost

    def gradient(self, x: Tensor) -> tuple[float, Tensor]:
        return value_and_gradient(self.descended, x)

    def look(self, curve: Curve, tolerance: float = COARSE, evaluations: int = FEW) -> Scan:
        return along(self.cost, curve, self.points, self.again, tolerance, evaluations)

    def curves(self, method: str | None, straight: float) -> tuple[list[Curve], int]:
        """The curves found, and the gradients spent; ``straight`` is the highest J on the segment."""
        a, b = self.ends
        if torch.equal(a, b):
            return [], 0
        curves, spent = [], 0
        if method != "neb":
            w, used = middle(self.gradient, a, b, self.steps, self.seed, lambda m: self.look(self._bezier(m)).at)
            curves, spent = [self._bezier(w)], used
        if method != "bezier":
            places = [k / (CORNERS - 1) for k in range(CORNERS)]
            bent = bool(curves) and self.look(curves[0]).top < straight
            corners = [bezier(curves[0].controls, t) if bent else (1 - t) * a + t * b for t in places]
            corners[0], corners[-1] = a, b
            if not bent:
                corners[1:-1] = [c + aside(a, b, self.seed) for c in corners[1:-1]]
            corners, used = band(
                self.gradient, corners, self.steps, lambda c: self.look(Curve("polyline", tuple(c))).at
            )
            curves, spent = [*curves, Curve("polyline", tuple(corners))], spent + used
        return curves, spent

    def _bezier(self, w: Tensor) -> Curve:
        return Curve("bezier", (self.ends[0], w, self.ends[1]))


def _answer(
    cost: Cost, found: Scan, curve: Curve, straight: Scan, spent: int, statistics: str, alignment: Any, begun: float
) -> Connection:
    ends = found.values[0][1], found.values[-1][1]
    height = max(found.top - max(ends), 0.0)
    method = {"polyline": "neb"}.get(curve.kind, curve.kind)
    points = tuple(Flat(cost.blocks).split(c) for c in curve.controls)
    return Connection(
        height, found.at, found.values, found.top, straight.top, ends, method, points, found.error, found.tolerance,
        found.met, spent, statistics, _statement(found, method, height, straight), time.perf_counter() - begun,
        straight.values, alignment,
    )  # fmt: skip


def _statement(found: Scan, method: str, height: float, straight: Scan) -> str:
    way: Callable[[str], str] = {
        "bezier": "a quadratic Bezier curve", "neb": "a polyline (nudged elastic band)", "segment": "the segment",
    }.__getitem__  # fmt: skip
    lower = "" if method == "segment" else f" (on the segment {straight.top:.6g})"
    return (
        f"On {way(method)} between the two points J is at most {found.top:.6g}{lower}, {height:.6g} above the higher end, "
        f"as far as it was evaluated: the lowest pass between them is no higher; it may be lower."
    )
