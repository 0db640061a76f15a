"""Shares of a second derivative over the layers of a model, as a waterfall: each bar starts where the last one ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jensen.show.canvas import axis, canvas, text
from jensen.show.words import minus, signed

PAD, ROOM = 0.22, 0.7  # beside the bars for their numbers, in wide and in narrow windows
LETTERS = 18, 9  # of a layer's name
LAYERS = 28  # at most so many bars, where the modules allow it


@dataclass(frozen=True)
class Bar:
    """One layer: its share, where it starts, how many operations it has, and of which mechanisms."""

    label: str
    start: float
    share: float
    count: int
    mechanisms: tuple[str, ...]

    @property
    def end(self) -> float:
        """Where the next one starts."""
        return self.start + self.share


def bars(shares: Iterable[Any], limit: int = LAYERS) -> tuple[Bar, ...]:
    """Shares summed over the layers in the order of the program, as deep into the modules as fits.

    What belongs to no module goes by its mechanism: the loss, the penalty. Beyond ``limit`` the smallest are one bar.
    """
    found = list(shares)
    deepest = max((s.module.count(".") + 1 for s in found if s.module), default=1)
    groups = _sums(found, lambda s: layer(s, 1))
    for depth in range(2, deepest + 1):
        finer = _sums(found, lambda s, depth=depth: layer(s, depth))
        if len(finer) > limit:
            break
        groups = finer
    return tuple(_stacked(_fewer(groups, limit)))


def layer(share: Any, depth: int | None = None) -> str:
    """The layer that a share belongs to, so many modules deep."""
    if not share.module:
        return share.mechanism
    return ".".join(share.module.split(".")[:depth]) if depth else share.module


def _sums(shares: Sequence[Any], label: Callable[[Any], str]) -> list[tuple[str, list[Any]]]:
    groups: dict[str, list[Any]] = {}
    for s in shares:
        groups.setdefault(label(s), []).append(s)
    return [*groups.items()]


def _fewer(groups: list[tuple[str, list[Any]]], limit: int) -> list[tuple[str, list[Any]]]:
    if len(groups) <= limit:
        return groups
    kept = {g[0] for g in sorted(groups, key=lambda g: -abs(_sum(g[1])))[: limit - 1]}
    rest = [g for g in groups if g[0] not in kept]
    return [*(g for g in groups if g[0] in kept), (f"{len(rest)} others", [s for _, part in rest for s in part])]


def _stacked(groups: Sequence[tuple[str, list[Any]]]) -> Iterable[Bar]:
    start = 0.0
    for label, part in groups:
        total = _sum(part)
        yield Bar(label, start, total, len(part), tuple(dict.fromkeys(s.mechanism for s in part)))
        start += total


def _sum(shares: Iterable[Any]) -> float:
    return math.fsum(s.share for s in shares)


def figure(layers: Sequence[Bar], total: float, name: str, unit: str = "J") -> dict[str, Any]:
    """A plotly figure: one bar a layer from above to below, and their sum.

    Args:
        layers: The bars.
        total: Their sum, as the answer states it.
        name: What the sum is called.
        unit: What it is a quantity of, for the axis.
    """
    rows = len(layers)
    ends = [0.0, total, *(b.start for b in layers), *(b.end for b in layers)]
    low, high = min(ends), max(ends)
    size = (high - low) or 1.0
    wide = (low - PAD * size, high + PAD * size)
    down, up = (any(sign * x > 0 for x in (total, *(b.share for b in layers))) for sign in (-1, 1))
    narrow = (low - (ROOM if down else 0.1) * size, high + (ROOM if up or not down else 0.1) * size)
    labels, brief = ((*(text(_short(b.label, n)) for b in layers), text(name)) for n in LETTERS)
    layout = canvas(
        96 + 34 * (rows + 1),
        showlegend=False,
        bargap=0.35,
        barmode="overlay",
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        meta={"narrow": {"range": narrow, "ticktext": brief}},
        xaxis=axis(f"sum so far, {unit}", range=wide, zerolinecolor="--chord", zerolinewidth=1.5),
        yaxis=axis(
            range=(rows + 0.6, -0.6),
            tickvals=tuple(range(rows + 1)),
            ticktext=labels,
            tickfont={"color": "--ink"},
            showgrid=False,
            zeroline=False,
        ),
    )
    return {"data": [_steps(layers), _bars(layers), _total(rows, total, name)], "layout": layout}


def _short(label: str, limit: int) -> str:
    return label if len(label) <= limit else f"…{label[1 - limit :]}"


def _tone(share: float) -> str:
    return "--against" if share < 0 else "--holds"


def _bars(layers: Sequence[Bar]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": tuple(range(len(layers))),
        "x": tuple(b.share for b in layers),
        "base": tuple(b.start for b in layers),
        "marker": {"color": tuple(_tone(b.share) for b in layers)},
        "text": tuple(minus(signed(b.share, 3)) for b in layers),
        "textposition": "outside",
        "textfont": {"color": "--ink"},
        "cliponaxis": False,
        "customdata": tuple(map(_told, layers)),
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _told(bar: Bar) -> str:
    """What a bar says when it is pointed at."""
    count = f"{bar.count} operation{'s' if bar.count > 1 else ''}"
    return f"{text(bar.label)}<br>{minus(signed(bar.share, 6))}<br>{count}: {text(', '.join(bar.mechanisms))}"


def _total(row: int, total: float, name: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": (row,),
        "x": (total,),
        "marker": {"color": ("--chord",)},
        "text": (minus(signed(total, 3)),),
        "textposition": "outside",
        "textfont": {"color": "--ink", "weight": 700},
        "cliponaxis": False,
        "hovertemplate": f"{text(name)} = {minus(signed(total, 8))}<extra></extra>",
    }


def _steps(layers: Sequence[Bar]) -> dict[str, Any]:
    """Thin lines from each bar's end to the next."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row, bar in enumerate(layers):
        xs += [bar.end, bar.end, None]
        ys += [row, row + 1, None]
    line = {"color": "--chord", "width": 1, "dash": "dot"}
    return {"type": "scatter", "mode": "lines", "x": tuple(xs), "y": tuple(ys), "line": line, "hoverinfo": "skip"}
