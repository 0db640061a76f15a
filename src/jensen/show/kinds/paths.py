"""Ways between points: the answers of ``barrier``, ``barriers``, ``align`` and ``connect``."""

from __future__ import annotations

import math
from typing import Any

from jensen.show.kinds.trajectory import spark
from jensen.show.path import Way, even, figure
from jensen.show.section import Page, Section
from jensen.show.summary import BAD, GOOD, PLAIN, Grid, Row, Summary
from jensen.show.words import duration, minus, number, signed

SHOWN = 12  # points of a matrix
WAYS = {"bezier": "quadratic Bezier curve", "neb": "polyline (nudged elastic band)", "segment": "the segment"}


def barrier_summary(answer: Any) -> Summary:
    """The height of a barrier, its place, and how sure it is."""
    return Summary("BARRIER", _tone(answer.height), answer.statement, tuple(_barrier_facts(answer)))


def _tone(height: float) -> str:
    return GOOD if height == 0 else BAD if math.isinf(height) else PLAIN


def _barrier_facts(answer: Any) -> list[Row]:
    rows = [
        ("height", f"{number(answer.height, 6)} at t = {number(answer.at, 4)}"),
        ("above the higher end", number(answer.rise, 6)),
        ("J at the ends", ", ".join(number(j, 6) for j in answer.ends)),
        ("along the segment", spark(even(answer.values))),
    ]
    return [*rows, *_sure(answer)]


def _sure(answer: Any) -> list[Row]:
    """What is known of the maximum: it is attained, and how much more there may be by estimate."""
    found = f"attained; at most {number(answer.error, 2)} more by estimate, from {len(answer.values)} evaluations"
    rows = [
        ("the maximum", found if answer.met else f"{found}: the tolerance of {number(answer.tolerance, 2)} was not met")
    ]
    return [*rows, ("running statistics", answer.statistics), ("time", duration(answer.seconds))]


def barrier_section(answer: Any, page: Page) -> Section:
    """J along the segment; before and after the alignment where b was aligned."""
    ways = [Way("aligned" if answer.aligned else "segment", "--curve", answer.values)]
    if answer.before:
        ways.append(Way("before alignment", "--refuted", answer.before, dash=True))
    facts = _barrier_facts(answer) + (_alignment_facts(answer.alignment) if answer.alignment is not None else [])
    return _section(
        "The cost between two points", answer.statement, _tone(answer.height), facts, {"path": figure(ways)}
    )


def connection_summary(answer: Any) -> Summary:
    """The curve, and the bound that it gives."""
    return Summary("CONNECTION", _tone(answer.height), answer.statement, tuple(_connection_facts(answer)))


def _connection_facts(answer: Any) -> list[Row]:
    rows = [
        ("curve", f"{WAYS.get(answer.method, answer.method)} with {len(answer.points)} control points"),
        ("highest J on it", f"{number(answer.top, 6)} at t = {number(answer.at, 4)}"),
        ("above the higher end", f"{number(answer.height, 6)}: an upper bound of the lowest pass"),
        ("highest J on the segment", number(answer.segment, 6)),
        ("J at the ends", ", ".join(number(j, 6) for j in answer.ends)),
        ("along the curve", spark(even(answer.values))),
        ("gradients spent", number(answer.evaluations)),
    ]
    return [*rows, *_sure(answer)]


def connection_section(answer: Any, page: Page) -> Section:
    """J along the curve and along the segment."""
    ways = [Way("curve", "--curve", answer.values), Way("segment", "--refuted", answer.before, dash=True)]
    figures = {"path": figure(ways)}
    return _section(
        "A way between two points", answer.statement, _tone(answer.height), _connection_facts(answer), figures
    )


def alignment_summary(answer: Any) -> Summary:
    """How the copy lies."""
    return Summary("ALIGNMENT", PLAIN, answer.statement, tuple(_alignment_facts(answer)))


def _alignment_facts(answer: Any) -> list[Row]:
    scores = ", ".join(f"{name} {signed(score)}" for name, score in answer.scores.items())
    return [
        ("found by", answer.method),
        ("distance", f"{number(answer.distance_before, 5)} before, {number(answer.distance_after, 5)} after"),
        ("rise at ¼, ½, ¾", f"{signed(answer.before)} before, {signed(answer.after)} after"),
        ("by method", scores),
        ("time to align", duration(answer.seconds)),
    ]


def alignment_section(answer: Any, page: Page) -> Section:
    """The figures of an alignment."""
    return _section("Alignment", answer.statement, PLAIN, _alignment_facts(answer), {})


def barriers_summary(answer: Any) -> Summary:
    """The tree of lowest passes, and the matrix of heights."""
    edges = tuple((f"{i}, {j}", number(float(answer.passes[i, j]), 6)) for i, j in answer.edges[:SHOWN])
    tree = Grid("tree of the lowest passes", ("points", "highest J"), edges, (1,), max(len(answer.edges) - SHOWN, 0))
    return Summary("BARRIERS", PLAIN, answer.statement, (("time", duration(answer.seconds)),), (tree, _matrix(answer)))


def _matrix(answer: Any) -> Grid:
    k = min(len(answer.heights), SHOWN)
    rows = tuple((str(i), *(number(float(answer.heights[i, j]), 4) for j in range(k))) for i in range(k))
    columns = ("", *(str(j) for j in range(k)))
    return Grid("heights of the barriers", columns, rows, tuple(range(1, k + 1)), len(answer.heights) - k)


def barriers_section(answer: Any, page: Page) -> Section:
    """The matrix of heights and the tree."""
    s = barriers_summary(answer)
    return _section("Barriers between several points", answer.statement, PLAIN, list(s.rows), {}, s.grids)


def _section(
    heading: str, statement: str, tone: str, facts: list[Row], figures: dict[str, Any], grids: tuple[Grid, ...] = ()
) -> Section:
    data = {
        "tone": tone,
        "heading": heading,
        "headline": statement,
        "facts": [(k, minus(v)) for k, v in facts if not k.startswith("along the")],
        "grids": grids,
    }
    return Section("path.html", heading, data, figures)
