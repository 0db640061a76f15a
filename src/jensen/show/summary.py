"""What a terminal, a pipe and a notebook say of an answer, as data: a title, a headline, rows and small tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Row = tuple[str, str]

GOOD, BAD, OPEN, PLAIN = "good", "bad", "open", "plain"  # tones


@dataclass(frozen=True)
class Grid:
    """A small table.

    Attributes:
        title: What it shows.
        columns: Their headings.
        rows: Texts, one for each column.
        right: Which columns hold figures, set flush right.
        more: How many rows were left out.
        drawn: Which columns hold drawings, which only a terminal shows.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    more: int = 0
    drawn: tuple[int, ...] = ()


@dataclass(frozen=True)
class Summary:
    """An answer in brief.

    Attributes:
        title: A word or two, in capitals on a terminal.
        tone: good, bad, open or plain; becomes a colour.
        headline: The answer in a sentence; may be empty.
        rows: Labels and texts.
        grids: Tables.
        foot: Rows below the tables.
    """

    title: str
    tone: str
    headline: str = ""
    rows: tuple[Row, ...] = ()
    grids: tuple[Grid, ...] = ()
    foot: tuple[Row, ...] = ()


def listed(label: str, items: Sequence[str], shown: int) -> list[Row]:
    """Items under one label; at most ``shown`` of them."""
    rows = [(label if i == 0 else "", item) for i, item in enumerate(items[:shown])]
    return rows + ([("", f"and {len(items) - shown} more")] if len(items) > shown else [])
