"""Assertions for users' tests, and the laws that atoms, journals and engines must pass, for whoever adds one.

``assert_convex(cost)`` fails with jensen's reason unless the cost is proved convex; ``check_row("aten.tanh.default")`` and
its kin attack an atom; ``check_journal(make, folder)`` and ``check_engine(make, folder)`` put a journal or an engine through its laws.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.testing.atoms import attack as attack
    from jensen.testing.atoms import check_facts as check_facts
    from jensen.testing.atoms import check_row as check_row
    from jensen.testing.atoms import check_torch as check_torch
    from jensen.testing.atoms import violation as violation
    from jensen.testing.convex import assert_convex as assert_convex
    from jensen.testing.engines import check_engine as check_engine
    from jensen.testing.journals import check_journal as check_journal
    from jensen.testing.laws import LawBroken as LawBroken

_HOMES = {
    "LawBroken": "jensen.testing.laws",
    "assert_convex": "jensen.testing.convex",
    "attack": "jensen.testing.atoms",
    "check_engine": "jensen.testing.engines",
    "check_facts": "jensen.testing.atoms",
    "check_journal": "jensen.testing.journals",
    "check_row": "jensen.testing.atoms",
    "check_torch": "jensen.testing.atoms",
    "violation": "jensen.testing.atoms",
}
__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jensen.testing' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
