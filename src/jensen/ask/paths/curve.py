"""Curves between two points: a segment, a quadratic Bezier curve, a polyline. All are given by control points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jensen.ask.paths.points import Point, between, value, value_and_gradient
from jensen.ask.paths.scan import Piece
from jensen.ask.paths.statistics import Statistics
from jensen.cost import Cost
from jensen.linalg.flat import Flat

DIFFERENCE = 1e-6  # of a piece, for slopes where J is no differentiable function of the blocks alone


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve in parameter space over t from 0 to 1.

    Attributes:
        kind: ``"segment"``, ``"bezier"`` (one curve) or ``"polyline"`` (each part takes the same share of t).
        controls: Flat vectors (n,): the ends first and last.
    """

    kind: str
    controls: tuple[Tensor, ...]

    @property
    def pieces(self) -> int:
        """How many smooth parts it has."""
        return 1 if self.kind == "bezier" else len(self.controls) - 1

    def place(self, t: float) -> tuple[int, float]:
        """The part in which t lies, and where in it."""
        k = min(int(t * self.pieces), self.pieces - 1)
        return k, t * self.pieces - k

    def at(self, piece: int, s: float) -> tuple[Tensor, Tensor]:
        """The point at s in [0, 1] of a part, and its velocity; the ends exactly."""
        p = self.controls
        if self.kind == "bezier":
            x = bezier(p, s)
            velocity = 2 * (1 - s) * (p[1] - p[0]) + 2 * s * (p[2] - p[1])
        else:
            p = p[piece : piece + 2]
            x, velocity = (1 - s) * p[0] + s * p[1], p[1] - p[0]
        return (p[0] if s == 0 else p[-1] if s == 1 else x), velocity


def bezier(p: Sequence[Tensor], s: float | Tensor) -> Tensor:
    """The quadratic Bezier curve of three control points."""
    return (1 - s) ** 2 * p[0] + 2 * s * (1 - s) * p[1] + s**2 * p[2]


def cost_along(cost: Cost, curve: Curve, ends: tuple[Point, Point], statistics: Statistics | None) -> list[Piece]:
    """J and its slope along the parts of a curve.

    Args:
        cost: J.
        curve: A curve between the two ends.
        ends: Their buffers; in between those lie on the straight line over t.
        statistics: Gives the running statistics at each point instead, where they are computed again.
    """
    known: dict[tuple[int, float], tuple[float, float]] = {}

    def once(piece: int, s: float) -> tuple[float, float]:
        if (piece, s) not in known:
            known[piece, s] = _evaluate(cost, curve, ends, statistics, piece, s)
        return known[piece, s]

    return [partial(once, k) for k in range(curve.pieces)]


def _evaluate(
    cost: Cost, curve: Curve, ends: tuple[Point, Point], statistics: Statistics | None, piece: int, s: float
) -> tuple[float, float]:
    moving = statistics is not None or any(not torch.equal(b, ends[1].buffers[n]) for n, b in ends[0].buffers.items())
    if not moving:
        x, velocity = curve.at(piece, s)
        fixed = cost.holding(ends[0].buffers) if ends[0].buffers else cost
        j, gradient = value_and_gradient(fixed, x)
        return j, (gradient @ velocity).item()

    def j_at(u: float) -> float:
        x, _ = curve.at(piece, u)
        theta = Flat(cost.blocks).split(x)
        t = (piece + u) / curve.pieces
        return value(cost, theta, statistics(theta) if statistics else between(ends[0].buffers, ends[1].buffers, t))

    low, high = max(s - DIFFERENCE, 0.0), min(s + DIFFERENCE, 1.0)
    return j_at(s), (j_at(high) - j_at(low)) / (high - low)
