"""Answers for a terminal: the verdict at a glance, then why, then the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jensen.finding import Finding, Verdict
from jensen.show.picture import picture, sparkline

STYLES = {Verdict.PROVED: "green", Verdict.REFUTED: "red", Verdict.MEASURED: "yellow", Verdict.UNKNOWN: "yellow"}
CHORD = {"a", "b", "m", "t", "violation", "margin", "line", "method"}
SHOWN_SETS = 6


def finding_panel(finding: Finding) -> Panel:
    """A finding in a box, its border in the verdict's colour."""
    style = STYLES[finding.verdict]
    title = Text(f" {finding.verdict} ", style=f"bold reverse {style}")
    body = Group(Text(finding.statement, style="bold"), Text(), _grid(finding_rows(finding)))
    return Panel(body, title=title, title_align="left", border_style=style, padding=(1, 2))


def finding_lines(finding: Finding) -> list[str]:
    """The same as plain lines, one thing a line, for pipes and files."""
    return [f"{finding.verdict}: {finding.statement}", *(f"{k}: {v}" for k, v in finding_rows(finding))]


def finding_rows(finding: Finding) -> list[tuple[str, str]]:
    """Labels and texts below the statement."""
    rows = [("why", finding.reason)] if finding.reason else []
    evidence = finding.evidence
    if "method" in evidence:
        rows.append(("method", str(evidence["method"])))
    if {"a", "b", "m"} <= set(evidence):
        a, m, b = (number(evidence[k]) for k in ("a", "m", "b"))
        rows.append(("chord", f"J(a) = {a}, J(m) = {m}, J(b) = {b}"))
        if "violation" in evidence:
            rows.append(("gap", f"J(m) is off the chord by {number(evidence['violation'])}"))
        drawn = picture(finding)
        if drawn is not None:
            rows.append(("a → b", f"{sparkline(drawn)}  J less chord"))
    rows += [(k, number(v)) for k, v in evidence.items() if k not in CHORD and _is_figure(v)]
    rows.append(("time", duration(finding.seconds)))
    return rows


def blocks_panel(blocks: Any) -> Panel:
    """Maximal sets, conflicts and what is undecided, in a box."""
    body = Group(_grid([(label, text) for label, text in blocks_rows(blocks)]))
    title = Text(" WHERE J IS CONVEX ", style="bold reverse blue")
    return Panel(body, title=title, title_align="left", border_style="blue", padding=(1, 2))


def blocks_lines(blocks: Any) -> list[str]:
    """The same as plain lines."""
    return [f"{label}: {text}" if label else f"  {text}" for label, text in blocks_rows(blocks)]


def blocks_rows(blocks: Any, shown: int = SHOWN_SETS) -> list[tuple[str, str]]:
    """Labels and texts of a Blocks answer; at most ``shown`` of each kind."""
    rows: list[tuple[str, str]] = []
    rows += _listed("convex in", [names(s) for s in blocks.maximal], shown)
    if not blocks.maximal:
        rows.append(("convex in", "no set of blocks that jensen could prove"))
    rows += _listed("not in", [f"{names(c.blocks)}: {conflict_reason(c)}" for c in blocks.conflicts], shown)
    rows += _listed("undecided", [names(s) for s in blocks.unknown], shown)
    if not blocks.complete:
        rows.append(("", "the search stopped early: there may be more maximal sets"))
    rows.append(("time", duration(blocks.seconds)))
    return rows


def _listed(label: str, items: Sequence[str], shown: int) -> list[tuple[str, str]]:
    rows = [(label if i == 0 else "", item) for i, item in enumerate(items[:shown])]
    return rows + ([("", f"and {len(items) - shown} more")] if len(items) > shown else [])


def conflict_reason(conflict: Any) -> str:
    """Why a conflict is one, or at least where."""
    where = conflict.node + (f" in {conflict.module}" if conflict.module else "")
    return conflict.why or f"lost at {where}"


def names(blocks: Iterable[str]) -> str:
    """Block names in a row."""
    return ", ".join(blocks)


def number(value: Any) -> str:
    """A figure with the digits that matter to a reader."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return str(value) if isinstance(value, int) or not math.isfinite(value) else f"{value:.10g}"


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds >= 90:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _is_figure(value: Any) -> bool:
    return isinstance(value, (str, int, float)) or (isinstance(value, Mapping) and not value)


def _grid(rows: Sequence[tuple[str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(Text(label), Text(text))
    return grid
