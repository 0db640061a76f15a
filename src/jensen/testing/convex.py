"""Convexity as an assertion, for users' tests."""

from __future__ import annotations

from typing import Any

from jensen.ask.convexity import check
from jensen.cost import Cost
from jensen.finding import Finding, Verdict


def assert_convex(cost: Cost, of: Any = None, claim: str = "convex", **options: Any) -> Finding:
    """Pass where the claim is PROVED, and return the finding.

    Args:
        cost: The cost.
        of: Which blocks vary, as in :func:`jensen.check`.
        claim: convex, or any other claim that :func:`jensen.check` knows.
        options: ``within``, ``ideal``, ``budget``, as there.

    Raises:
        AssertionError: Where it is refuted or undecided, with the statement and the reason.
        Misuse: For a question that cannot be asked like this.
    """
    finding = check(cost, of=of, claim=claim, **options)
    if finding.verdict is not Verdict.PROVED:
        raise AssertionError(f"{finding.verdict}: {finding.statement}: {finding.reason}")
    return finding
