"""An answer as a small piece of HTML, for notebooks: no scripts, no style sheets, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from jensen.show.kinds import summary
from jensen.show.summary import BAD, GOOD, OPEN, PLAIN, Grid, Row

COLOURS = {GOOD: "#12805c", BAD: "#c2362b", OPEN: "#a16207", PLAIN: "#2f6fd6"}
CELL = "padding:.1em 1.2em .1em 0;vertical-align:top"


def mimebundle(answer: Any) -> dict[str, str]:
    """What ``_repr_mimebundle_`` returns: a line of text, and a card."""
    s = summary(answer)
    return {"text/plain": f"{s.title}: {s.headline}" if s.headline else s.title, "text/html": card(answer)}


def card(answer: Any) -> str:
    """A card with the title, the headline, the figures and the tables."""
    s = summary(answer)
    colour = COLOURS[s.tone]
    headline = f'<div style="font-size:1.1em;margin:.2em 0 .5em">{escape(s.headline)}</div>' if s.headline else ""
    return (
        f'<div style="border-left:4px solid {colour};padding:.4em 0 .4em 1em;max-width:60em">'
        f'<strong style="color:{colour};letter-spacing:.06em">{escape(s.title)}</strong>{headline}'
        f"{_rows(s.rows)}{''.join(map(_grid, s.grids))}{_rows(s.foot)}</div>"
    )


def _rows(rows: Sequence[Row]) -> str:
    body = "".join(
        f'<tr><td style="opacity:.65;text-align:left;{CELL}">{escape(k)}</td>'
        f'<td style="text-align:left;{CELL}">{escape(v)}</td></tr>'
        for k, v in rows
    )
    return f'<table style="border:0;font-size:.92em">{body}</table>' if rows else ""


def _grid(grid: Grid) -> str:
    side = ["right" if k in grid.right else "left" for k in range(len(grid.columns))]
    head = "".join(
        f'<th style="text-align:{a};{CELL}">{escape(c)}</th>' for a, c in zip(side, grid.columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{a};{CELL}">{escape(t)}</td>' for a, t in zip(side, row, strict=True))
        + "</tr>"
        for row in grid.rows
    )
    more = f'<div style="opacity:.65">and {grid.more} more</div>' if grid.more else ""
    return (
        f'<div style="font-weight:600;margin:.7em 0 .1em">{escape(grid.title)}</div>'
        f'<table style="border:0;font-size:.92em"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'
    )
