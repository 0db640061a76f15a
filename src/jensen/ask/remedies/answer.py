"""What the search for remedies answers: small changes under which the cost is proved convex, and what was tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jensen.finding import Finding, Verdict, shown


@dataclass(frozen=True)
class Remedy:
    """One change under which the kernel accepts a proof of convexity.

    Attributes:
        kind: What sort of change; two changes at once are joined by ``+``.
        change: The change in a sentence, naming the modules and blocks of the user's model.
        price: What is lost, in a sentence: frozen parameters, values given up, a changed function.
        size: How much changes, a number for ranking: the share of the parameters that is frozen, plus what the change
            itself counts: 1 for each exchanged operation, loss or penalty and each layer taken away, 2 for the
            linearisation, half the share of the parameters that are held or logarithms, 0.5 for a box, 0.01 for a change
            that leaves the function as it was but for a numerical constant.
        blocks: The blocks in which the changed cost is proved convex, jointly.
        how: The edit as Python text, where ``model``, ``loss`` and ``data`` are what the cost is made of. Its lines stand
            before the line that makes the cost, down to the first that begins with ``cost =`` or ``from jensen``; from
            there on after it. A line ``cost = jensen.Cost(...)`` stands in its place.
        finding: The proof about the changed cost, with the kernel's certificate.
        frozen: The blocks that do not vary. The finding's statement says whether they take any value or stay as they are.
        options: What :func:`jensen.check` needs once the edit is made: ``of``, ``within``, ``ideal``; nothing for most.
        cost: The changed cost, whose frozen blocks are blocks still: ask it about ``of=remedy.blocks``. None where the change
            was made on the program, because no module can be exchanged.
    """

    kind: str
    change: str
    price: str
    size: float
    blocks: tuple[str, ...]
    how: str
    finding: Finding
    frozen: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    cost: Any = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        from jensen.finding import plain

        return {
            "kind": self.kind,
            "change": self.change,
            "price": self.price,
            "size": self.size,
            "blocks": list(self.blocks),
            "frozen": list(self.frozen),
            "how": self.how,
            "options": plain(self.options),
            "finding": self.finding.to_dict(),
        }


@dataclass(frozen=True)
class Tried:
    """A kind of change, how many remedies it gave, and where none, why."""

    kind: str
    found: int
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {"kind": self.kind, "found": self.found, "why": self.why}


@dataclass(frozen=True)
class Reformulation:
    """A convex problem that a theorem ties to this cost.

    Attributes:
        name: What it is called.
        theorem: The source.
        applies: What of this cost makes it apply.
        price: What is lost, or where it is not exact.
        finding: The proof that the reformulated cost is convex; None where it was not built: then nothing is claimed
            beyond the theorem.
    """

    name: str
    theorem: str
    applies: str
    price: str
    finding: Finding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "name": self.name,
            "theorem": self.theorem,
            "applies": self.applies,
            "price": self.price,
            "finding": None if self.finding is None else self.finding.to_dict(),
        }


@shown
@dataclass(frozen=True)
class Remedies:
    """The answer to: what could I change to make it convex?

    Attributes:
        remedies: Changes under which the cost is PROVED convex, the smallest first.
        tried: Every kind that was searched, and why it gave none where it gave none.
        verdict: On the cost as it stands, in all its blocks jointly.
        statement: The outcome in a sentence.
        reformulations: Convex problems that theorems tie to this cost.
        seconds: How long it took.
    """

    remedies: tuple[Remedy, ...]
    tried: tuple[Tried, ...]
    verdict: Verdict
    statement: str
    seconds: float
    reformulations: tuple[Reformulation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "remedies": [r.to_dict() for r in self.remedies],
            "tried": [t.to_dict() for t in self.tried],
            "verdict": self.verdict.value,
            "statement": self.statement,
            "reformulations": [r.to_dict() for r in self.reformulations],
            "seconds": self.seconds,
        }
