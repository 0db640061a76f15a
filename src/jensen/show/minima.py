"""A census as data for drawing: values of the ends over widths, train against test loss, index against cost, widths.

What is drawn is gathered here once; a figure only places it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jensen.show.canvas import axis, canvas
from jensen.show.words import number, percent

TONES = {
    "minimum": "--proved",
    "saddle": "--against",
    "maximum": "--concave",
    "degenerate": "--quasi",
    "at infinity": "--holds",
    "not critical": "--constant",
    "not converged": "--chord",
}
CRITICAL = ("minimum", "saddle", "maximum", "degenerate")
WIDTHS = ("--curve", "--against", "--proved", "--concave", "--quasi", "--holds", "--refuted", "--unknown")
BINS, PANEL, DOTS = 41, 96, 6000  # bins in odd number: what is one value lies inside one
DECADES = 100.0  # from the least to the greatest, and an axis is logarithmic


@dataclass(frozen=True)
class Bars:
    """How many runs of one width ended in each bin, by kind.

    Attributes:
        title: The width's name.
        heights: Runs in each bin, by kind.
    """

    title: str
    heights: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Histogram:
    """Values at the ends, width by width over the same bins.

    Attributes:
        edges: Of the bins; the axis is logarithmic where ``log``.
        left_out: Runs whose value is not a number.
    """

    edges: tuple[float, ...]
    log: bool
    panels: tuple[Bars, ...]
    left_out: int


@dataclass(frozen=True)
class Dots:
    """Pairs of one group."""

    name: str
    tone: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def histogram(answer: Any) -> Histogram | None:
    """Values of all runs; None where no value is a number."""
    finite = [p for p in answer.points if math.isfinite(p.value)]
    if not finite:
        return None
    values = [p.value for p in finite]
    log = _decades(values)
    edges = _edges(values, log)
    panels = tuple(_bars(w.width, [p for p in finite if p.width == w.width], edges) for w in answer.widths)
    return Histogram(edges, log, panels, len(answer.points) - len(finite))


def _edges(values: Sequence[float], log: bool) -> tuple[float, ...]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # they differ by rounding: one bar in the middle
        pad = 0.5 * max(abs(low), abs(high), 1e-300)
        low, high = (low / 2, high * 2) if log else (low - pad, high + pad)
    if log:
        return tuple(math.exp(math.log(low) + (math.log(high) - math.log(low)) * i / BINS) for i in range(BINS + 1))
    return tuple(low + (high - low) * i / BINS for i in range(BINS + 1))


def _bars(width: int | None, points: Sequence[Any], edges: Sequence[float]) -> Bars:
    heights: dict[str, list[int]] = {}
    for p in points:
        row = heights.setdefault(p.kind, [0] * (len(edges) - 1))
        row[bisect_right(edges, p.value, 1, len(row)) - 1] += 1
    kinds = [k for k in TONES if k in heights]
    return Bars(name_of(width), {k: tuple(heights[k]) for k in kinds})


def _decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) >= DECADES * min(values)


def name_of(width: int | None) -> str:
    """A width in words."""
    return "all runs" if width is None else f"width {width}"


def losses(answer: Any) -> tuple[Dots, ...]:
    """Test loss over train loss, a group a width; nothing without test data."""
    groups = []
    for k, w in enumerate(answer.widths):
        pairs = [(p.train, p.test) for p in answer.points if p.width == w.width and p.test is not None]
        groups.append(_dots(name_of(w.width), WIDTHS[k % len(WIDTHS)], pairs, len(answer.widths)))
    return tuple(d for d in groups if d.x)


def indices(answer: Any) -> tuple[Dots, ...]:
    """Over J, the share of negative directions of the critical points found; nothing where none has any."""
    sizes = {w.width: w.parameters for w in answer.widths}
    critical = [p for p in answer.points if p.kind in CRITICAL]
    if not any(p.index for p in critical):
        return ()
    groups = []
    for kind in CRITICAL:
        pairs = [(p.value, p.index / sizes[p.width]) for p in critical if p.kind == kind]
        groups.append(_dots(kind, TONES[kind], pairs, len(CRITICAL)))
    return tuple(d for d in groups if d.x)


def _dots(name: str, tone: str, pairs: Sequence[tuple[float, float]], groups: int) -> Dots:
    """Of very many pairs only every second, third, ..."""
    finite = [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]
    every = max(1, math.ceil(len(finite) * groups / DOTS))
    picked = finite[::every]
    name = name if every == 1 else f"{name} (one of {every})"
    return Dots(name, tone, tuple(x for x, _ in picked), tuple(y for _, y in picked))


# -- figures --------------------------------------------------------------------------------------------------------


def values_figure(h: Histogram) -> dict[str, Any]:
    """A plotly figure: a row of bars for each width, stacked by kind, over the same values."""
    count = len(h.panels)
    gap = 0.3 / count if count > 1 else 0.0
    height = (1.0 - gap * (count - 1)) / count
    middles = [math.sqrt(a * b) if h.log else (a + b) / 2 for a, b in zip(h.edges, h.edges[1:], strict=False)]
    sizes = [b - a for a, b in zip(h.edges, h.edges[1:], strict=False)]
    data, axes, titles, named = [], {}, [], set()
    for k, panel in enumerate(h.panels):
        name, top = ("y" if k == 0 else f"y{k + 1}"), 1.0 - k * (height + gap)
        axes[f"yaxis{name[1:]}"] = axis(domain=(max(top - height, 0.0), top), nticks=3, rangemode="tozero")
        titles.append(_title(panel.title, top))
        for kind, heights in panel.heights.items():
            data.append({**_bar(kind, heights, middles, sizes), "yaxis": name, "showlegend": kind not in named})
            named.add(kind)
    kind = {"type": "log", "exponentformat": "power"} if h.log else {}
    below = axis("J where the run ended", anchor=f"y{count}" if count > 1 else "y", **kind)
    layout = canvas(150 + PANEL * count, barmode="stack", bargap=0.0, xaxis=below, annotations=titles, **axes)
    return {"data": data, "layout": layout}


def _bar(kind: str, heights: Sequence[int], middles: Sequence[float], sizes: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": kind,
        "legendgroup": kind,
        "x": middles,
        "y": heights,
        "width": sizes,
        "marker": {"color": TONES[kind]},
        "hovertemplate": f"%{{y}} {kind} near J = %{{x:.5g}}<extra></extra>",
    }


def _title(words: str, top: float) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left", "yanchor": "bottom"}
    return {**place, "text": words, "showarrow": False, "font": {"size": 13}}


def dots_figure(groups: Sequence[Dots], x: str, y: str, log: bool = True) -> dict[str, Any]:
    """A plotly figure of groups of dots; logarithmic axes where they span decades, and ``log`` allows it."""
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": g.name,
            "x": g.x,
            "y": g.y,
            "marker": {"color": g.tone, "size": 6, "opacity": 0.6},
            "hovertemplate": f"{g.name}: {x} %{{x:.6g}}, {y} %{{y:.6g}}<extra></extra>",
        }
        for g in groups
    ]
    axes = {}
    for name, title, pick in (("xaxis", x, lambda g: g.x), ("yaxis", y, lambda g: g.y)):
        axes[name] = axis(title, **_scale([v for g in groups for v in pick(g)], log))
    return {"data": data, "layout": canvas(420, **axes)}


def _scale(values: Sequence[float], log: bool) -> dict[str, Any]:
    return {"type": "log", "exponentformat": "power"} if log and _decades(values) else {}


MEASURES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("standard deviation of the train loss", "--curve", lambda w: w.train.deviation if w.train else None),
    ("correlation of train and test loss", "--holds", lambda w: w.correlation),
    ("share of bad minima", "--against", lambda w: _as_estimate(w.bad)),
    ("share of failed runs", "--chord", lambda w: _as_estimate(w.failed)),
)


@dataclass(frozen=True)
class _Interval:
    value: float
    low: float
    high: float


def _as_estimate(share: Any) -> _Interval | None:
    return _Interval(share.share, *share.interval) if share.of else None


def widths_figure(answer: Any) -> dict[str, Any] | None:
    """A plotly figure: spread, correlation and shares over the widths, below each other, with their intervals."""
    if len(answer.widths) < 2:
        return None
    rows = [(title, tone, [get(w) for w in answer.widths]) for title, tone, get in MEASURES]
    rows = [row for row in rows if any(e is not None for e in row[2])]
    count, gap = len(rows), 0.09
    height = (1.0 - gap * (count - 1)) / count
    x = [w.width for w in answer.widths]
    data, axes, titles = [], {}, []
    for k, (title, tone, found) in enumerate(rows):
        name, top = ("y" if k == 0 else f"y{k + 1}"), 1.0 - k * (height + gap)
        spreads = [e.value for e in found if e is not None]
        scale = _scale(spreads, k == 0)
        axes[f"yaxis{name[1:]}"] = axis(domain=(max(top - height, 0.0), top), **{"nticks": 4, **scale})
        titles.append({**_title(f"● {title}", top), "yshift": 4, "font": {"color": tone, "size": 13}})
        data.append({**_line(x, found, tone, title), "yaxis": name})
    below = axis("width", anchor=f"y{count}" if count > 1 else "y", type="log" if x[-1] >= 8 * x[0] else "linear", tickvals=x, ticktext=[str(w) for w in x])  # fmt: skip
    return {"data": data, "layout": canvas(70 + 160 * count, showlegend=False, xaxis=below, annotations=titles, **axes)}


def _line(x: Sequence[Any], found: Sequence[Any], tone: str, title: str) -> dict[str, Any]:
    """Estimates with their intervals; an end that is not finite is left out."""
    known = [(w, e) for w, e in zip(x, found, strict=True) if e is not None and math.isfinite(e.value)]
    up = [e.high - e.value if math.isfinite(e.high) else 0.0 for _, e in known]
    down = [e.value - e.low if math.isfinite(e.low) else 0.0 for _, e in known]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": title,
        "x": tuple(w for w, _ in known),
        "y": tuple(e.value for _, e in known),
        "line": {"color": tone, "width": 2},
        "marker": {"color": tone, "size": 7},
        "error_y": {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": tone, "thickness": 1},
        "hovertemplate": f"{title} at width %{{x}}: %{{y:.4g}}<extra></extra>",
    }


# -- tables ---------------------------------------------------------------------------------------------------------


def interval(low: float, high: float, form: Callable[[float], str] = percent) -> str:
    """Two ends in words."""
    return f"{form(low)} to {form(high)}"


def estimate(e: Any, digits: int = 3) -> str:
    """An estimate with its interval."""
    if e is None:
        return "none"
    return f"{number(e.value, digits)} ({interval(e.low, e.high, lambda v: number(v, digits))})"
