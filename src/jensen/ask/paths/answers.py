"""What ``barrier``, ``barriers``, ``connect`` and ``align`` answer, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from jensen.ask.curvature.answers import Record
from jensen.ask.paths.curve import Curve
from jensen.finding import shown


@shown
@dataclass(frozen=True)
class Barrier(Record):
    """The cost along the segment theta(t) = (1 - t) a + t b.

    Attributes:
        height: max over t of J(theta(t)) - ((1 - t) J(a) + t J(b)), at least 0: how far J rises above the straight line
            between its values at the ends (Frankle et al. 2020, Entezari et al. 2022). Attained at a point that was
            evaluated, hence a lower bound.
        at: The t where it was attained; 0 where there is no barrier.
        values: Pairs (t, J), increasing in t, all that were evaluated.
        rise: max over t of J(theta(t)), less the larger of J(a) and J(b).
        ends: J(a) and J(b).
        error: What height and rise may be larger, by estimate from values and slopes; no proof.
        tolerance: What the error had to reach.
        met: Whether it did.
        aligned: Whether b was aligned to a first; ``alignment`` tells how, ``before`` holds (t, J) on the way to b itself.
        statistics: ``"interpolated"`` or ``"recomputed"``: the running statistics of batch norm between the ends.
        statement: What holds, in a sentence.
        seconds: How long it took.
    """

    height: float
    at: float
    values: tuple[tuple[float, float], ...] = field(repr=False)
    rise: float
    ends: tuple[float, float]
    error: float
    tolerance: float
    met: bool
    aligned: bool
    statistics: str
    statement: str
    seconds: float
    before: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    alignment: Any = field(default=None, repr=False)


@shown
@dataclass(frozen=True, eq=False)
class Barriers(Record):
    """The barriers between several points, and the tree that joins them over the lowest passes.

    Attributes:
        heights: (k, k): ``Barrier.height`` of each pair.
        passes: (k, k): the highest J on each segment; J of the point itself on the diagonal.
        edges: The minimum spanning tree by ``passes``, as pairs of positions, lowest first. Between any two points it
            holds the way whose highest segment is lowest among all ways over these segments.
        bottlenecks: (k, k): the highest J on that way.
        seconds: How long it took.
    """

    heights: np.ndarray
    passes: np.ndarray
    edges: tuple[tuple[int, int], ...]
    bottlenecks: np.ndarray
    statement: str
    seconds: float


@shown
@dataclass(frozen=True, eq=False)
class Connection(Record):
    """A curve of low cost between two points.

    Attributes:
        height: The highest J on the curve, less the larger of J(a) and J(b). The lowest pass between the two points is
            no higher than this (up to ``error``): an upper bound of it, not the height of the pass.
        at: The t where it was found.
        values: Pairs (t, J) along the curve, increasing in t.
        top: The highest J on the curve.
        segment: The highest J on the straight segment between the two points.
        ends: J(a) and J(b).
        method: ``"bezier"``, ``"neb"`` or ``"segment"`` (no curve was lower).
        points: The control points, as dicts of blocks: the ends first and last. Three of a Bezier curve, the corners
            of a polyline.
        error, tolerance, met: As in a barrier.
        evaluations: Gradients spent on finding the curve.
        statistics: As in a barrier.
        statement: What holds, in a sentence.
        seconds: How long it took.
        before: Pairs (t, J) along the segment.
        alignment: How b was aligned to a, where that was asked for: then the curve leads to that copy of b.
    """

    height: float
    at: float
    values: tuple[tuple[float, float], ...] = field(repr=False)
    top: float
    segment: float
    ends: tuple[float, float]
    method: str
    points: tuple[Mapping[str, Tensor], ...] = field(repr=False)
    error: float
    tolerance: float
    met: bool
    evaluations: int
    statistics: str
    statement: str
    seconds: float
    before: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    alignment: Any = field(default=None, repr=False)

    def point(self, t: float) -> dict[str, Tensor]:
        """The blocks at t in [0, 1] on the curve."""
        kind = "bezier" if self.method == "bezier" else "polyline"
        curves = {n: Curve(kind, tuple(p[n] for p in self.points)) for n in self.points[0]}
        return {n: c.at(*c.place(t))[0] for n, c in curves.items()}


@shown
@dataclass(frozen=True, eq=False)
class Alignment(Record):
    """A copy of b, moved by an element of the group, that lies well with a.

    Attributes:
        theta: The copy's blocks, and ``buffers``: its running statistics, which follow their units.
        move: The element of the group, in the running statistics of the cost.
        method: How it was found: ``"weights"``, ``"activations"``, ``"gradient"``, or ``"none"``: b itself is best.
        before, after: The largest rise of J above the straight line between its ends, at a quarter, a half and three
            quarters of the way from a to b, and to the copy; below zero where J lies under that line. To what is not the
            best copy J rises at least so much: no more places are looked at than show it.
        distance_before, distance_after: Euclidean distances of the blocks of b, and of the copy, from those of a.
        scores: The lowest such rise that each method came to, of those that were tried.
        statement: What holds, in a sentence.
        seconds: How long it took.
    """

    theta: Mapping[str, Tensor] = field(repr=False)
    buffers: Mapping[str, Tensor] = field(repr=False)
    move: Any = field(repr=False)
    method: str
    before: float
    after: float
    distance_before: float
    distance_after: float
    scores: Mapping[str, float]
    statement: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON; large tensors as their shape and sha256."""
        steps = [{"factor": s.factor.label, "kind": s.factor.kind} for s in self.move.steps]
        return {**super().to_dict(), "move": steps}
