"""Answers for a terminal, in a box; for a pipe, as plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jensen.show.kinds import summary
from jensen.show.summary import BAD, GOOD, OPEN, PLAIN, Grid, Row

WIDE = 120  # beyond that the columns of a pipe are not lined up
STYLES = {GOOD: "green", BAD: "red", OPEN: "yellow", PLAIN: "blue"}


def panel(answer: Any) -> Panel:
    """An answer in a box, its border in the colour of its tone."""
    s = summary(answer)
    style = STYLES[s.tone]
    parts: list[RenderableType] = [Text(s.headline, style="bold")] if s.headline else []
    parts += [_rows(s.rows)] if s.rows else []
    parts += [_grid(grid) for grid in s.grids]
    parts += [_rows(s.foot)] if s.foot else []
    spaced = [line for part in parts for line in (Text(), part)][1:]
    title = Text(f" {s.title} ", style=f"bold reverse {style}")
    return Panel(Group(*spaced), title=title, title_align="left", border_style=style, padding=(1, 2))


def lines(answer: Any) -> list[str]:
    """The same as plain lines, one thing a line, for pipes and files."""
    s = summary(answer)
    first = [f"{s.title}: {s.headline}"] if s.headline else []
    return [*first, *map(_line, s.rows), *(line for g in s.grids for line in _plain(g)), *map(_line, s.foot)]


def _line(row: Row) -> str:
    label, text = row
    return f"{label}: {text}" if label else f"  {text}"


def _plain(grid: Grid) -> Iterator[str]:
    yield f"{grid.title}:"
    columns = [k for k in range(len(grid.columns)) if k not in grid.drawn]
    table = [grid.columns, *grid.rows] if any(grid.columns) else grid.rows
    widths = {k: max((len(row[k]) for row in table), default=0) for k in columns}
    wide = sum(widths.values()) > WIDE
    for row in table:
        if wide:
            yield f"  {' | '.join(row[k] for k in columns)}"
            continue
        cells = (row[k].rjust(widths[k]) if k in grid.right else row[k].ljust(widths[k]) for k in columns)
        yield f"  {'  '.join(cells).rstrip()}"
    if grid.more:
        yield f"  and {grid.more} more"


def _rows(rows: Sequence[Row]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(Text(label), Text(text))
    return table


def _grid(grid: Grid) -> RenderableType:
    table = Table(
        title=Text(grid.title, style="bold"), title_justify="left", box=None, padding=(0, 3, 0, 0), header_style="dim",
        show_header=any(grid.columns),
    )  # fmt: skip
    for k, heading in enumerate(grid.columns):
        figures = k in grid.right
        table.add_column(Text(heading), justify="right" if figures else "left", no_wrap=figures, overflow="fold")
    for row in grid.rows:
        table.add_row(*map(Text, row))
    if not grid.more:
        return table
    return Group(table, Text(f"and {grid.more} more", style="dim"))
