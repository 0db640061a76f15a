"""What jensen raises at its users."""

from __future__ import annotations


class Misuse(ValueError):
    """The question cannot be asked like this; the message names the thing, the reason and the remedy."""


class ChunkWarning(UserWarning):
    """J over data in chunks is not what it would be over the same data as one batch."""


def spendable(budget: object) -> None:
    """Refuse a budget that is no number of seconds."""
    if not isinstance(budget, (int, float)) or not budget >= 0:
        raise Misuse(f"budget={budget!r}: give the seconds for the search as a number that is not negative")
