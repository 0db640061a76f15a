"""The two ways in which the kernel says no."""

from __future__ import annotations


class Rejected(Exception):
    """The kernel does not accept a claim.

    Attributes:
        node: The program's node (or the certificate's part) at which the check failed.
        rule: The rule that was not met.
        why: One sentence: what was found, and what would help.
    """

    def __init__(self, node: str, rule: str, why: str):
        super().__init__(f"{node}: {why} [{rule}]")
        self.node, self.rule, self.why = node, rule, why


class Narrow(Rejected):
    """Not shown on this piece of a box; it may hold on each of two smaller ones."""


class Unmodelled(Rejected):
    """No atom models this operation, or not with these attributes: nothing can be said of it."""
