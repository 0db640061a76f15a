"""A question that was refused: the sentence that says why."""

from __future__ import annotations

from typing import Any

from jensen.show.section import Page, Section
from jensen.show.summary import OPEN, Summary


def summary(answer: Any) -> Summary:
    """Why there is no answer."""
    return Summary("NOT ANSWERED", OPEN, f"{answer.question}: {answer.refusal}")


def section(answer: Any, page: Page) -> Section:
    """Why there is no answer."""
    return Section("unanswered.html", f"Not answered: {answer.question}", {"answer": answer})
