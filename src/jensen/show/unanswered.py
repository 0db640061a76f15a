"""A question that was refused, kept in its place so that a page does not pass over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unanswered:
    """What was asked, why there is no answer, and whether that is a fault of jensen's."""

    question: str
    refusal: str
    broken: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {"question": self.question, "refusal": self.refusal, "broken": self.broken}
