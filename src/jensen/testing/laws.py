"""What a broken law raises."""

from __future__ import annotations


class LawBroken(AssertionError):
    """A claim that is wrong, with the witness."""
