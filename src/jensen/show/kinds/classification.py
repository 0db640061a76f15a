"""The answer of ``jensen.classify``: what kind of point this is, with the evidence and what would settle it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.finding import plain
from jensen.show.section import Page, Section
from jensen.show.summary import BAD, GOOD, OPEN, PLAIN, Row, Summary
from jensen.show.words import duration, number

TONES = {"minimum": GOOD, "saddle": BAD, "maximum": BAD}
COUNTS = ("negative", "zero", "positive")  # of eigenvalues, as bounds
SETTLED = ("minimum", "saddle", "maximum", "not critical", "at infinity")


def summary(answer: Any) -> Summary:
    """The kind of point, and the figures behind it."""
    title = str(answer.kind).upper()
    return Summary(title, _tone(answer), answer.statement, (*_why(answer), *facts(answer)))


def _tone(answer: Any) -> str:
    return TONES.get(str(answer.kind), PLAIN if str(answer.kind) in SETTLED else OPEN)


def _why(answer: Any) -> list[Row]:
    rows = [("why", answer.reason)] if answer.reason else []
    return rows + ([("settle", answer.settle)] if answer.settle else [])


def facts(answer: Any) -> list[Row]:
    """Labels and figures: index, gradient, zero modes, and the plain figures of the evidence."""
    least = "at least " if answer.evidence.get("exact") is False else ""
    rows = [("index", least + _count(answer.index)), ("gradient norm", number(answer.gradient_norm, 6))]
    rows.append(("zero modes", least + _count(answer.zero_modes)))
    rows += [(str(k).replace("_", " "), span(v) if k in COUNTS else words(v)) for k, v in answer.evidence.items()]
    return [*rows, ("time", duration(answer.seconds))]


def _count(value: Any) -> str:
    return "not known" if value is None else words(value)


def span(value: Any) -> str:
    """A count between two bounds."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return words(value)
    low, high = value
    return words(low) if low == high else f"{words(low)} to {words(high)}"


def words(value: Any) -> str:
    """A figure, an interval or a few of them, in words."""
    value = plain(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {words(v)}" for k, v in value.items())
    if isinstance(value, list):
        shown = ", ".join(words(v) for v in value[:6])
        return f"{shown}, … ({len(value)})" if len(value) > 6 else shown
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else number(value, 6)


def section(answer: Any, page: Page) -> Section:
    """The kind of point in large, then the evidence."""
    data = {
        "answer": answer,
        "tone": _tone(answer),
        "kind": _capital(str(answer.kind)),
        "why": _why(answer),
        "facts": facts(answer),
    }
    return Section("classification.html", "What kind of point", data)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
