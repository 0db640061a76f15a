"""Training as watched: cost, gradient norm, both ends of the spectrum and the index over the steps, below each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jensen.show.canvas import axis, canvas, text

PANEL = 170  # pixels of height


@dataclass(frozen=True)
class Line:
    """One quantity over the steps; None where it was not measured.

    Attributes:
        name: What it is.
        tone: Its colour.
        y: Its values.
        error: Bounds of the values; empty without.
    """

    name: str
    tone: str
    y: tuple[float | None, ...]
    error: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Quantities that share a vertical axis."""

    lines: tuple[Line, ...]
    log: bool = False


@dataclass(frozen=True)
class Course:
    """Steps, and what is drawn over them."""

    steps: tuple[float, ...]
    panels: tuple[Panel, ...]


LINES = (  # for each panel: whether its axis may be logarithmic; names, tones and fields
    (False, (("cost J", "--curve", "J"),)),
    (True, (("gradient norm", "--curve", "gradient_norm"),)),
    (False, (("highest eigenvalue", "--holds", "highest"),)),
    (False, (("lowest eigenvalue", "--against", "lowest"),)),
    (False, (("negative directions found", "--against", "index"),)),
    (
        False,
        (
            ("most negative direction: loss part", "--holds", "loss_part"),
            ("network part", "--against", "network_part"),
            ("penalty part", "--concave", "penalty_part"),
        ),
    ),
)


def course(records: Sequence[Any]) -> Course:
    """What the records of ``jensen.watch`` give to draw."""
    steps = tuple(float(r["step"]) for r in records)
    panels = []
    for log, quantities in LINES:
        lines = [_line([r.get(key) for r in records], name, tone) for name, tone, key in quantities]
        present = tuple(line for line in lines if any(v is not None for v in line.y) and not _idle(line))
        if present:
            panels.append(Panel(present, log and _decades([v for line in present for v in line.y if v is not None])))
    return Course(steps, tuple(panels))


def _idle(line: Line) -> bool:
    """Whether this is the part of a penalty that the cost does not have."""
    return line.name == "penalty part" and not any(line.y)


def _decades(values: Sequence[float]) -> bool:
    """Whether values are positive and span a factor of ten."""
    return min(values) > 0 and max(values) >= 10 * min(values)


def _line(found: Sequence[Any], name: str, tone: str) -> Line:
    """A quantity over the records: numbers, or the first of some eigenvalues with its bound."""
    if any(isinstance(v, (list, tuple)) for v in found):
        pairs = [v[0] if v else {"value": None, "bound": None} for v in found]
        return Line(name, tone, *(tuple(_finite(p[key]) for p in pairs) for key in ("value", "bound")))
    return Line(name, tone, tuple(_finite(v) for v in found))


def _finite(thing: Any) -> float | None:
    try:
        number = float(thing)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def figure(c: Course) -> dict[str, Any]:
    """A plotly figure: one panel below the other over the same steps."""
    count = len(c.panels)
    gap = 0.24 / max(count, 1)
    height = (1.0 - gap * (count - 1)) / max(count, 1)
    axes: dict[str, Any] = {}
    data: list[dict[str, Any]] = []
    titles: list[dict[str, Any]] = []
    for k, panel in enumerate(c.panels):
        top = 1.0 - k * (height + gap)
        name = "y" if k == 0 else f"y{k + 1}"
        kind: dict[str, Any] = {"type": "log", "exponentformat": "power", "dtick": 1} if panel.log else {"nticks": 4}
        span = (max(top - height, 0.0), top)
        axes[f"yaxis{name[1:]}"] = axis(domain=span, zerolinecolor="--chord", **kind)
        data += [_trace(c, line, name) for line in panel.lines]
        titles += _titles(panel, top)
    layout = canvas(
        80 + PANEL * count,
        hovermode="x",
        showlegend=False,
        xaxis=axis("step", anchor=f"y{count}" if count > 1 else "y"),
        annotations=titles,
        **axes,
    )
    return {"data": data, "layout": layout}


def _trace(c: Course, line: Line, axis_name: str) -> dict[str, Any]:
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": line.name,
        "x": c.steps,
        "y": line.y,
        "yaxis": axis_name,
        "line": {"color": line.tone, "width": 2},
        "marker": {"color": line.tone, "size": 5},
        "hovertemplate": f"{text(line.name)}: %{{y:.6g}}<extra></extra>",
    }
    if line.error:
        errors = {"type": "data", "array": line.error, "color": line.tone, "thickness": 1, "width": 3}
        return {**trace, "error_y": errors}
    return trace


def _titles(panel: Panel, top: float) -> list[dict[str, Any]]:
    """A panel's quantities above it, each in its colour; widths are guessed from their letters."""
    titles, shift = [], 0
    for line in panel.lines:
        place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "xshift": shift, "yshift": 4}
        words = {"text": f"● {text(line.name)}", "font": {"color": line.tone, "size": 13}}
        titles.append({**place, **words, "xanchor": "left", "yanchor": "bottom", "showarrow": False})
        shift += 36 + 7 * len(line.name)
    return titles


def ends(c: Course) -> list[tuple[str, float | None, float | None]]:
    """For each quantity its first and last value that was measured."""
    rows = []
    for line in (line for panel in c.panels for line in panel.lines):
        known = [v for v in line.y if v is not None]
        rows.append((line.name, known[0], known[-1]))
    return rows
