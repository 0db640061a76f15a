"""Jensen's picture as data: the cost along a chord, the straight line between its ends, and the gap.

What is drawn in a report and in a terminal is computed here once; a drawing only places it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from jensen.finding import Finding
from jensen.show.canvas import axis, canvas

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Picture:
    """The cost along a chord, from ``a`` at s = 0 to ``b`` at s = 1.

    Attributes:
        s: Positions on the chord, ascending.
        cost: J at these positions.
        ends: J at a and at b.
        middle: The position of the middle point.
        value: J at the middle point.
    """

    s: tuple[float, ...]
    cost: tuple[float, ...]
    ends: tuple[float, float]
    middle: float
    value: float

    def chord(self, s: float) -> float:
        """The height of the straight line between the ends."""
        return (1 - s) * self.ends[0] + s * self.ends[1]

    @property
    def gap(self) -> float:
        """How far the cost at the middle point lies above the chord; negative below it."""
        return self.value - self.chord(self.middle)

    @property
    def gaps(self) -> tuple[float, ...]:
        """Cost less chord at all positions."""
        return tuple(j - self.chord(s) for s, j in zip(self.s, self.cost, strict=True))


def picture(finding: Finding) -> Picture | None:
    """The picture that a finding's evidence holds, or None."""
    evidence = finding.evidence
    line = evidence.get("line")
    if not isinstance(line, Mapping) or not {"a", "b", "m"} <= set(evidence):
        return None
    t, cost = _floats(line.get("t")), _floats(line.get("J"))
    a, m, b = (float(evidence[key]) for key in ("a", "m", "b"))
    if len(t) != len(cost) or len(t) < 3 or not all(map(math.isfinite, (*t, *cost, a, m, b))):
        return None
    if _backwards(t, cost, a, b):
        t = tuple(1.0 - x for x in t)
    order = sorted(range(len(t)), key=t.__getitem__)
    middle = 1.0 - float(Fraction(str(evidence.get("t", "1/2"))))  # m = t a + (1 - t) b
    return Picture(tuple(t[i] for i in order), tuple(cost[i] for i in order), (a, b), middle, m)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values) if values is not None else ()


def _backwards(t: Sequence[float], cost: Sequence[float], a: float, b: float) -> bool:
    """Whether the line's parameter is 1 at a, as in m = t a + (1 - t) b: its values at the two ends tell."""
    at_zero = cost[min(range(len(t)), key=lambda i: abs(t[i]))]
    at_one = cost[min(range(len(t)), key=lambda i: abs(t[i] - 1.0))]
    return abs(at_zero - b) + abs(at_one - a) < abs(at_zero - a) + abs(at_one - b)


def sparkline(p: Picture, width: int = 32) -> str:
    """Cost less chord as a row of bars."""
    gaps = p.gaps
    low, high = min(gaps), max(gaps)
    if high <= low:
        return BARS[0] * width
    picked = (gaps[round(i * (len(gaps) - 1) / (width - 1))] for i in range(width))
    return "".join(BARS[round((g - low) / (high - low) * (len(BARS) - 1))] for g in picked)


def figure(p: Picture) -> dict[str, Any]:
    """A plotly figure: the cost and the chord above, their difference below."""
    tone = "--refuted" if p.gap > 0 else "--proved"
    return {"data": [*_above(p, tone), *_below(p, tone)], "layout": _layout(p)}


def _above(p: Picture, tone: str) -> list[dict[str, Any]]:
    """The cost, the chord, and the gap between them at the middle point."""
    chord = p.chord(p.middle)
    cost = {
        "mode": "lines",
        "name": "cost J",
        "x": p.s,
        "y": p.cost,
        "line": {"color": "--curve", "width": 3},
        "hovertemplate": "J = %{y:.10g}<extra></extra>",
    }
    ends = {
        "mode": "lines+markers",
        "name": "chord",
        "x": (0.0, 1.0),
        "y": p.ends,
        "line": {"color": "--chord", "width": 2, "dash": "6px,5px"},
        "marker": {"color": "--chord", "size": 9},
        "hovertemplate": "end of the chord: J = %{y:.10g}<extra></extra>",
    }
    gap = {
        "mode": "lines+markers",
        "name": "gap at the middle point",
        "x": (p.middle, p.middle),
        "y": (chord, p.value),
        "line": {"color": tone, "width": 3},
        "marker": {"color": tone, "size": (7, 11), "symbol": ("circle-open", "circle")},
        "customdata": (f"chord: {chord:.10g}", f"J = {p.value:.10g}"),
        "hovertemplate": f"%{{customdata}}<br>gap = {p.gap:.6g}<extra></extra>",
    }
    return [{"type": "scatter", "xaxis": "x", "yaxis": "y", **trace} for trace in (cost, ends, gap)]


def _below(p: Picture, tone: str) -> list[dict[str, Any]]:
    """Cost less chord; only what lies above the chord is filled."""
    common = {"type": "scatter", "xaxis": "x", "yaxis": "y2", "mode": "lines", "x": p.s, "showlegend": False}
    filled = {
        "name": "above the chord",
        "y": tuple(max(g, 0.0) for g in p.gaps),
        "line": {"color": "--clear", "width": 0},
        "fill": "tozeroy",
        "fillcolor": f"{tone}-soft",
        "hoverinfo": "skip",
    }
    line = {
        "name": "cost less chord",
        "y": p.gaps,
        "line": {"color": tone, "width": 2},
        "hovertemplate": "J less chord = %{y:.6g}<extra></extra>",
    }
    return [{**common, **filled}, {**common, **line}]


def _layout(p: Picture) -> dict[str, Any]:
    low, high = p.s[0], p.s[-1]
    pad = 0.03 * (high - low)
    points = {
        "range": (low - pad, high + pad),
        "anchor": "y2",
        "tickvals": (0.0, p.middle, 1.0),
        "ticktext": ("a", "m", "b"),
        "tickfont": {"size": 15, "color": "--ink"},
    }
    return canvas(
        520,
        xaxis=axis(**points),
        yaxis=axis("cost J", domain=(0.40, 1.0)),
        yaxis2=axis("J less chord", domain=(0.0, 0.28), nticks=4),
    )
