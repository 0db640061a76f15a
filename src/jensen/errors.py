"""What jensen raises at its users."""

from __future__ import annotations


class Misuse(ValueError):
    """The question cannot be asked like this; the message names the thing, the reason and the remedy."""


class ChunkWarning(UserWarning):
    """J over data in chunks is not what it would be over the same data as one batch."""
