"""J along ways between two points, as a plotly figure: the straight segment before and after alignment, and a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jensen.show.canvas import axis, canvas


@dataclass(frozen=True)
class Way:
    """J along one way.

    Attributes:
        name: What it is.
        tone: Its colour.
        values: Pairs (t, J), increasing in t.
        dash: Whether it is drawn dashed.
    """

    name: str
    tone: str
    values: Sequence[tuple[float, float]]
    dash: bool = False


def figure(ways: Sequence[Way]) -> dict[str, Any]:
    """All ways over the same t, and the straight line between the values at the first one's ends."""
    data = [_trace(w) for w in ways if w.values]
    first = ways[0].values
    data.append(
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "straight line between the ends",
            "x": (0.0, 1.0),
            "y": (_finite(first[0][1]), _finite(first[-1][1])),
            "line": {"color": "--chord", "width": 1, "dash": "6px,5px"},
            "marker": {"color": "--chord", "size": 9},
            "hovertemplate": "J = %{y:.8g}<extra></extra>",
        }
    )
    ticks = {"tickvals": (0.0, 0.25, 0.5, 0.75, 1.0), "ticktext": ("a", "¼", "½", "¾", "b")}
    return {"data": data, "layout": canvas(420, xaxis=axis("t", range=(-0.02, 1.02), **ticks), yaxis=axis("cost J"))}


def _trace(w: Way) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": w.name,
        "x": [t for t, _ in w.values],
        "y": [_finite(j) for _, j in w.values],
        "line": {"color": w.tone, "width": 3, **({"dash": "8px,6px"} if w.dash else {})},
        "hovertemplate": f"t = %{{x:.4f}}, J = %{{y:.8g}}<extra>{w.name}</extra>",
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def even(values: Sequence[tuple[float, float]], width: int = 32) -> list[float]:
    """J at even places of t: the highest value near each; empty where none is finite."""
    finite = [(t, j) for t, j in values if math.isfinite(j)]
    heights = []
    for k in range(width if finite else 0):
        t = k / (width - 1)
        near = [j for s, j in finite if abs(s - t) <= 0.5 / (width - 1)]
        heights.append(max(near) if near else _between(finite, t))
    return heights


def _between(values: Sequence[tuple[float, float]], t: float) -> float:
    """J at t, on the straight line between its neighbours."""
    right = next((k for k, (s, _) in enumerate(values) if s >= t), len(values) - 1)
    (s0, j0), (s1, j1) = values[max(right - 1, 0)], values[right]
    return j1 if s1 == s0 else j0 + (j1 - j0) * (t - s0) / (s1 - s0)
