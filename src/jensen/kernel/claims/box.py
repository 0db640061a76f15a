"""Placeholder, filled below."""

from __future__ import annotations

from typing import Any

from jensen.kernel.errors import Rejected


def check(problem: Any, claim: Any, evidence: Any, atoms: Any) -> str:
    raise Rejected("evidence", "a known method of proof", "not available yet")
