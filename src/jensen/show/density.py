"""A spectral density as data for drawing, and its figure: logarithmic height, both sides of zero plainly seen.

Most Hessians have a few large eigenvalues and a bulk around zero, so the horizontal axis is drawn as asinh(x / 2c): linear
within the resolution c, logarithmic beyond, the same for both signs. A second figure has a linear axis.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jensen.show.canvas import axis, canvas
from jensen.show.words import minus, number

DECADES = 9  # of height
TICKS = 4  # on each side of zero

Place = Callable[[float], float]


@dataclass(frozen=True)
class Curve:
    """A density on a grid with its band, and the eigenvalues at the ends with their bounds.

    Attributes:
        x: Eigenvalues, ascending.
        y: Density there.
        low: The band's lower edge; empty without a band.
        high: Its upper edge.
        ends: Pairs of an eigenvalue and its bound.
        width: Below this nothing is resolved.
        band: What the band covers, in words.
        beyond: Left of the first and right of the second there are no eigenvalues, only what smoothing spreads.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    ends: tuple[tuple[float, float], ...]
    width: float
    band: str
    beyond: tuple[float, float] = (-math.inf, math.inf)


def curve(answer: Any) -> Curve | None:
    """What a spectrum answer gives to draw; None where there is nothing."""
    density = answer.density
    lowest, highest = _pairs(answer.lowest), _pairs(answer.highest)
    ends = tuple(sorted({*lowest, *highest}))
    if density is None:
        width = max((abs(v) for v, _ in ends), default=0.0) / 1e4
        return Curve((), (), (), (), ends, width or 1.0, "", _beyond(answer, lowest, highest)) if ends else None
    x, y, low, high = (tuple(map(float, v)) for v in (density.grid, density.density, density.low, density.high))
    banded = density.probes > 0
    band = f"pointwise 95 % band from {density.probes} random probes"
    low, high = (low, high) if banded else ((), ())
    return Curve(x, y, low, high, ends, density.bandwidth, band, _beyond(answer, lowest, highest))


def _pairs(ends: Sequence[Any]) -> list[tuple[float, float]]:
    """Eigenvalues and bounds as floats."""
    found = [(e.value, e.bound) for e in ends]
    return [e for e in found if all(map(math.isfinite, e))]


def _beyond(
    answer: Any, lowest: Sequence[tuple[float, float]], highest: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Where the spectrum ends, where that is known."""
    low = min((v - b for v, b in lowest), default=-math.inf) if answer.complete["lowest"] else -math.inf
    high = max((v + b for v, b in highest), default=math.inf) if answer.complete["highest"] else math.inf
    return low, high


def symmetric(c: Curve) -> Place:
    """The symmetric logarithmic axis of a curve."""
    return lambda v: math.asinh(v / (2 * c.width))


def cells(c: Curve, count: int) -> tuple[list[float], int]:
    """The highest density in each of so many cells of the symmetric axis, and the cell in which zero lies."""
    place = symmetric(c)
    low, high = place(min(c.x[0], 0.0)), place(max(c.x[-1], 0.0))
    where = [min(int((place(v) - low) / (high - low) * count), count - 1) for v in c.x]
    heights: list[float] = []
    for k in range(count):
        inside = [y for w, y in zip(where, c.y, strict=True) if w == k]
        heights.append(max(inside) if inside else heights[-1] if heights else 0.0)
    return heights, min(int(-low / (high - low) * count), count - 1)


def figure(c: Curve, linear: bool = False) -> dict[str, Any]:
    """A plotly figure: the density above, the ends with their error bars below."""
    place: Place = float if linear else symmetric(c)
    floor = _floor(c)
    values = [*c.x, *(v - b for v, b in c.ends), *(v + b for v, b in c.ends), 0.0]
    left, right = place(min(values)), place(max(values))
    pad = 0.03 * ((right - left) or 1.0)
    ticks = {} if linear else _ticks(place, min(values), max(values), c.width)
    above = (0.26, 1.0) if c.x else (0.9, 1.0)
    layout = canvas(
        480 if c.x else 200,
        xaxis=axis("eigenvalue of the Hessian", range=(left - pad, right + pad), anchor="y2", zeroline=False, **ticks),
        yaxis=axis("density", type="log", domain=above, exponentformat="power", **_height(c, floor), visible=bool(c.x)),
        yaxis2=axis("ends", domain=(0.0, 0.14), range=(-1, 1), showticklabels=False, showgrid=False, zeroline=True),
        shapes=(_zero(place), _negative(place, left - pad)),
    )
    return {"data": [*_density(c, place, floor), _ends(c, place)], "layout": layout}


def _floor(c: Curve) -> float:
    positive = [v for v in (*c.y, *c.low) if v > 0]
    top = max((*c.y, *c.high), default=1.0)
    return max(min(positive, default=top), top * 10.0**-DECADES)


def _height(c: Curve, floor: float) -> dict[str, Any]:
    top = max((*c.y, *c.high), default=1.0)
    if top <= 0 or floor <= 0:
        return {}
    return {"range": (math.log10(floor), math.log10(top) + 0.3)}


def _ticks(place: Place, low: float, high: float, width: float) -> dict[str, Any]:
    values = [0.0, *(-v for v in _powers(-low, width)), *_powers(high, width)]
    values.sort()
    return {"tickvals": tuple(map(place, values)), "ticktext": tuple(map(_power, values))}


def _powers(end: float, width: float) -> list[float]:
    """Some powers of ten between the resolution and an end; where there is none, the roundest number before the end."""
    if end <= width:
        return []
    exponents = range(math.ceil(math.log10(width)), math.floor(math.log10(end)) + 1)
    if not exponents:
        tens = 10.0 ** math.floor(math.log10(end))
        return [max(digit * tens for digit in (1, 2, 5) if digit * tens <= end)]
    every = max(math.ceil(len(exponents) / TICKS), 1)
    return [10.0**k for k in exponents[::-1][::every]]


def _power(value: float) -> str:
    return minus(f"{value:g}") if value else "0"


def _density(c: Curve, place: Place, floor: float) -> list[dict[str, Any]]:
    """The bands and the curve, piece by piece."""
    traces: list[dict[str, Any]] = []
    named: set[str] = set()
    for piece in pieces(c):
        name, tone, dash = PIECES[piece.kind]
        common = {
            "type": "scatter",
            "mode": "lines",
            "yaxis": "y",
            "legendgroup": name,
            "x": tuple(map(place, piece.x)),
        }
        if piece.low:
            edge = {**common, "line": {"width": 0, "color": tone}, "hoverinfo": "skip", "showlegend": False}
            traces.append({**edge, "y": tuple(max(v, floor) for v in piece.low)})
            high = tuple(max(v, floor) for v in piece.high)
            traces.append({**edge, "y": high, "fill": "tonexty", "fillcolor": f"{tone}-soft"})
        traces.append({
            **common,
            "name": name,
            "showlegend": name not in named,
            "y": tuple(v if v > floor else None for v in piece.y),
            "line": {"color": tone, "width": 2.5 if dash == "solid" else 1.5, "dash": dash},
            "customdata": tuple(minus(number(v, 4)) for v in piece.x),
            "hovertemplate": "density %{y:.3g} at %{customdata}<extra></extra>",
        })  # fmt: skip
        named.add(name)
    return traces


@dataclass(frozen=True)
class Piece:
    """A stretch of the density: negative, positive, or beyond the ends, where it is the smoothing's alone."""

    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


PIECES = {
    "negative": ("negative eigenvalues", "--against", "solid"),
    "positive": ("positive eigenvalues", "--holds", "solid"),
    "beyond": ("beyond the ends: smoothing alone", "--chord", "dot"),
}


def pieces(c: Curve) -> list[Piece]:
    """The density cut at zero and at the ends."""
    if not c.x:
        return []
    left, right = c.beyond
    cuts = [v for v in sorted({left, 0.0, right}) if c.x[0] < v < c.x[-1]]
    edges = [c.x[0], *cuts, c.x[-1]]
    found = []
    for a, b in itertools.pairwise(edges):
        kind = "beyond" if b <= left or a >= right else "negative" if b <= 0 else "positive"
        x = (a, *(v for v in c.x if a < v < b), b)
        found.append(Piece(kind, x, *(_at(x, c.x, row) if row else () for row in (c.y, c.low, c.high))))
    return found


def _at(points: Sequence[float], x: Sequence[float], y: Sequence[float]) -> tuple[float, ...]:
    """Values at points of a row, on straight lines between its grid."""
    values = []
    for p in points:
        k = min(max(bisect.bisect_left(x, p), 1), len(x) - 1)
        t = (p - x[k - 1]) / (x[k] - x[k - 1])
        values.append((1 - t) * y[k - 1] + t * y[k])
    return tuple(values)


def _ends(c: Curve, place: Place) -> dict[str, Any]:
    """Ritz values with their bounds: some eigenvalue lies within each."""
    x = tuple(place(v) for v, _ in c.ends)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "ends, with bounds",
        "yaxis": "y2",
        "x": x,
        "y": (0,) * len(x),
        "marker": {
            "color": tuple(_tone(v) for v, _ in c.ends),
            "size": 9,
            "symbol": "line-ns-open",
            "line": {"width": 2},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": tuple(place(v + b) - place(v) for v, b in c.ends),
            "arrayminus": tuple(place(v) - place(v - b) for v, b in c.ends),
            "color": "--chord",
            "thickness": 1.5,
            "width": 5,
        },
        "customdata": tuple(f"{number(v, 8)} ± {number(b, 2)}" for v, b in c.ends),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _tone(value: float) -> str:
    return "--against" if value < 0 else "--holds"


def _zero(place: Place) -> dict[str, Any]:
    line = {"color": "--chord", "width": 1.5}
    return {"type": "line", "x0": place(0.0), "x1": place(0.0), "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _negative(place: Place, left: float) -> dict[str, Any]:
    """A tint over the negative side."""
    side = {"type": "rect", "x0": left, "x1": place(0.0), "yref": "paper", "y0": 0, "y1": 1}
    return {**side, "fillcolor": "--against-faint", "line": {"width": 0}, "layer": "below"}


def rows(ends: Sequence[Any]) -> list[tuple[str, str]]:
    """Eigenvalues and bounds as texts."""
    return [(number(e.value, 10), number(e.bound, 2)) for e in ends]
