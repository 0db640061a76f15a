"""What ``jensen.watch`` saw over training: first and last figures, and their course."""

from __future__ import annotations

from typing import Any

from jensen.show.section import Page, Section
from jensen.show.summary import PLAIN, Grid, Summary
from jensen.show.trajectory import Course, course, ends, figure
from jensen.show.words import minus, number

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 32


def summary(answer: Any) -> Summary:
    """First and last value of each quantity, and its course in small bars."""
    c = course(answer.records)
    lines = {line.name: [v for v in line.y if v is not None] for panel in c.panels for line in panel.lines}
    rows = tuple((name, _figure(a), _figure(b), spark(lines[name])) for name, a, b in ends(c))
    grids = (Grid("over training", ("", "first", "last", ""), rows, (1, 2), drawn=(3,)),) if rows else ()
    notes = tuple(("note", n) for n in getattr(answer, "notes", ()))
    return Summary("TRAINING", PLAIN, headline(c), (), grids, notes)


def headline(c: Course) -> str:
    """How long it was watched."""
    if not c.steps:
        return "Nothing was recorded yet."
    count = len(c.steps)
    return f"{count} record{'s' if count > 1 else ''} from step {number(c.steps[0])} to step {number(c.steps[-1])}."


def _figure(value: float | None) -> str:
    return "not measured" if value is None else number(value, 4)


def spark(values: list[float]) -> str:
    """Values as a row of bars."""
    if not values:
        return ""
    low, high = min(values), max(values)
    picked = values if len(values) <= WIDTH else [values[i * (len(values) - 1) // (WIDTH - 1)] for i in range(WIDTH)]
    if high <= low:
        return BARS[0] * len(picked)
    return "".join(BARS[round((v - low) / (high - low) * (len(BARS) - 1))] for v in picked)


def section(answer: Any, page: Page) -> Section:
    """The course over the steps, and first and last figures."""
    c = course(answer.records)
    data = {
        "headline": headline(c),
        "rows": [(name, minus(_figure(a)), minus(_figure(b))) for name, a, b in ends(c)],
        "notes": tuple(getattr(answer, "notes", ())),
    }
    return Section("trajectory.html", "Over training", data, {"course": figure(c)} if c.panels and c.steps else {})
