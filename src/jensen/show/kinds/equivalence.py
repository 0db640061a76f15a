"""The answer of ``jensen.equivalent``: the verdict, the move or the input that tells two points apart."""

from __future__ import annotations

from typing import Any

from jensen.show.section import Page, Section
from jensen.show.summary import BAD, GOOD, OPEN, Row, Summary
from jensen.show.words import duration, minus, number

TONES = {"EQUIVALENT": GOOD, "INEQUIVALENT": BAD}
STEPS = 8


def summary(answer: Any) -> Summary:
    """The verdict and its reason."""
    verdict = str(answer.verdict)
    return Summary(verdict, TONES.get(verdict, OPEN), answer.statement, tuple(facts(answer)))


def facts(answer: Any) -> list[Row]:
    """Why, the move's factors, and the figures."""
    rows = [("why", answer.reason)]
    if answer.move is not None:
        labels = [f"{s.factor.kind} of {s.factor.label}" for s in answer.move.steps]
        more = f", and {len(labels) - STEPS} more" if len(labels) > STEPS else ""
        rows.append(("move", "; ".join(labels[:STEPS]) + more if labels else "nothing moves"))
    if answer.witness is not None:
        left, right = answer.witness.losses
        rows.append(("losses there", f"{number(left)} and {number(right)}"))
    rows += [(k.replace("_", " "), number(v, 3)) for k, v in answer.evidence.items()]
    return [*rows, ("time", duration(answer.seconds))]


def section(answer: Any, page: Page) -> Section:
    """The verdict in large, and the figures."""
    s = summary(answer)
    data = {
        "tone": s.tone,
        "heading": f"{str(answer.verdict).capitalize()}: the same network?",
        "headline": answer.statement,
        "facts": [(k, minus(v)) for k, v in s.rows],
        "grids": (),
    }
    return Section("path.html", "The same network?", data)
