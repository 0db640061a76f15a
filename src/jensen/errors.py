"""What jensen raises at its users."""

from __future__ import annotations


class Misuse(ValueError):
    """The question cannot be asked like this; the message names the thing, the reason and the remedy."""
