"""What ``jensen.equivalent`` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from jensen.ask.equivalence.probe import Witness
from jensen.ask.symmetry.group import Move
from jensen.errors import Misuse
from jensen.finding import plain, shown


class Sameness(str, Enum):
    """EQUIVALENT has a move that was replayed; INEQUIVALENT an input on which the two differ; UNKNOWN a reason."""

    EQUIVALENT = "EQUIVALENT"
    INEQUIVALENT = "INEQUIVALENT"
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        raise Misuse("a verdict is not a bool: unknown is not false; compare it with 'EQUIVALENT'")


@shown
@dataclass(frozen=True, eq=False)
class Equivalence:
    """Whether two points are one and the same up to the group of the cost.

    Attributes:
        verdict: EQUIVALENT, INEQUIVALENT or UNKNOWN.
        move: The element of the group with ``move.act(a) = b`` within the tolerance; None without one.
        statement: What holds, in a sentence.
        reason: Why, and what is missing where it is not known.
        witness: For INEQUIVALENT: ``.x``, an input, with ``.outputs`` and ``.losses`` of both points there. The losses differ
            by more than rounding explains, and no element of the group changes a loss.
        evidence: Figures: ``distance`` of the moved a to b, ``tried`` losses, their ``largest`` difference, ``trials``.
        seconds: How long it took.
    """

    verdict: Sameness
    move: Move | None = field(repr=False)
    statement: str
    reason: str
    witness: Witness | None = field(repr=False)
    evidence: Mapping[str, Any]
    seconds: float

    @property
    def input(self) -> Any:
        """The input on which the two points differ; None without one."""
        return None if self.witness is None else self.witness.x

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        steps = [{"factor": s.factor.label, "kind": s.factor.kind} for s in self.move.steps] if self.move else None
        w = self.witness
        return {
            "verdict": self.verdict.value,
            "move": steps,
            "statement": self.statement,
            "reason": self.reason,
            "witness": None if w is None else {"input": plain(w.x), "losses": list(w.losses), "noise": w.noise},
            "evidence": plain(dict(self.evidence)),
            "seconds": self.seconds,
        }
