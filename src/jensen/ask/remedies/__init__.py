"""What could I change to make the cost convex? One kind of remedy a file."""

from jensen.ask.remedies.answer import Reformulation, Remedies, Remedy, Tried

__all__ = ["Reformulation", "Remedies", "Remedy", "Tried"]
