"""What could I change to make the cost convex? One kind of remedy a file; every remedy is proved by the kernel."""

from __future__ import annotations

from jensen.ask.remedies.answer import Reformulation, Remedies, Remedy, Tried
from jensen.ask.remedies.find import remedies

__all__ = ["Reformulation", "Remedies", "Remedy", "Tried", "remedies"]
