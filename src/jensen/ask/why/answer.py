"""The answer to "why is it not convex?": shares of the curvature, of a chord's violation, and the mechanisms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from jensen.errors import Misuse
from jensen.finding import Step, plain, shown

GROUPS = ("operation", "module", "mechanism")


@dataclass(frozen=True)
class Share:
    """What one operation adds to the second derivative (or to a chord's violation), in J's units."""

    node: str
    module: str
    mechanism: str
    share: float
    operation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "node": self.node,
            "module": self.module,
            "mechanism": self.mechanism,
            "share": self.share,
            "operation": self.operation,
        }


@dataclass(frozen=True)
class Mechanism:
    """One mechanism left alone by surgery on the program.

    Attributes:
        name: What is left: products only, one block alone, ...
        enough: Whether it breaks convexity by itself: "yes", "no" or "unknown".
        verdict: The verdict of ``finding``.
        statement: What was found, in a sentence.
        finding: The finding with its certificate; None where there is none.
        reason: Why: where convexity is lost, what was left out, or what is missing.
    """

    name: str
    enough: str
    verdict: Any
    statement: str
    finding: Any = field(default=None, repr=False)
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "name": self.name,
            "enough": self.enough,
            "verdict": plain(self.verdict),
            "statement": self.statement,
            "finding": None if self.finding is None else self.finding.to_dict(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Ledger:
    """The second derivative of J at a point along one direction, split over the operations.

    Attributes:
        source: Where the direction comes from: "counterexample", "most negative curvature found", "lowest curvature
            found" (where none is negative) or "given".
        direction: Block -> tensor, of norm one over all blocks.
        curvature: d'Hd.
        shares: One for each operation with a second-order term; they sum to ``curvature``.
        loss_part: (Jd)' H_loss (Jd), the Gauss-Newton part, cut at the model's output; None where there is no model.
        network_part: The curvature inside the model, carried by the loss's gradient; None where there is no model.
        penalty_part: The penalty's second derivative; 0.0 without one.
        defect: How far the shares' sum is from an independent d'Hd, over the sum of their absolute values.
        notes: What must be said about the check.
    """

    source: str
    direction: Mapping[str, torch.Tensor] = field(repr=False)
    curvature: float
    shares: tuple[Share, ...]
    loss_part: float | None
    network_part: float | None
    penalty_part: float
    defect: float
    notes: tuple[str, ...] = ()

    def grouped(self, by: str) -> dict[str, float]:
        """Sums of the shares by "operation", "module" or "mechanism", in the order of the program."""
        return grouped(self.shares, by)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "source": self.source,
            "direction": tensors(self.direction),
            "curvature": self.curvature,
            "shares": [s.to_dict() for s in self.shares],
            "loss_part": self.loss_part,
            "network_part": self.network_part,
            "penalty_part": self.penalty_part,
            "defect": self.defect,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Finite:
    """The finite ledger of a chord: J(a) + J(b) - 2 J(m) split over the operations, m the midpoint.

    Attributes:
        violation: J(a) + J(b) - 2 J(m); negative where the chord shows that J is not convex.
        shares: One for each operation; they sum to ``violation``.
        defect: How far the shares' sum is from ``violation``, over the sum of their absolute values.
        a: One end, block -> tensor.
        b: The other.
        loss_part: Sum of the shares at and past the model's output; None where there is no model.
        network_part: Sum of the shares inside the model; None where there is no model.
        penalty_part: Sum of the shares of the penalty.
    """

    violation: float
    shares: tuple[Share, ...]
    defect: float
    a: Mapping[str, torch.Tensor] = field(repr=False)
    b: Mapping[str, torch.Tensor] = field(repr=False)
    loss_part: float | None = None
    network_part: float | None = None
    penalty_part: float | None = None

    def grouped(self, by: str) -> dict[str, float]:
        """Sums of the shares by "operation", "module" or "mechanism", in the order of the program."""
        return grouped(self.shares, by)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "violation": self.violation,
            "shares": [s.to_dict() for s in self.shares],
            "defect": self.defect,
            "a": tensors(self.a),
            "b": tensors(self.b),
            "loss_part": self.loss_part,
            "network_part": self.network_part,
            "penalty_part": self.penalty_part,
        }


@dataclass(frozen=True)
class Eigenspace:
    """The ledger averaged over the directions of negative curvature that were found.

    Attributes:
        values: Ritz values, all negative, lowest first.
        residuals: For each, the norm of H v - value v: some eigenvalue of H lies within it. None missing is not claimed.
        shares: The mean of the ledgers of the Ritz vectors; they sum to the mean of ``values``.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    shares: tuple[Share, ...]

    def grouped(self, by: str) -> dict[str, float]:
        """Sums of the shares by "operation", "module" or "mechanism", in the order of the program."""
        return grouped(self.shares, by)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "values": list(self.values),
            "residuals": list(self.residuals),
            "shares": [s.to_dict() for s in self.shares],
        }


@shown
@dataclass(frozen=True)
class Why:
    """The curvature ledger of a cost at a point along a direction.

    Attributes:
        direction: Block -> tensor, of norm one over all blocks.
        curvature: d'Hd, the second derivative of J along the direction.
        shares: One for each operation with a second-order term; they sum to ``curvature``.
        mechanisms: What breaks convexity by itself.
        loss_part: (Jd)' H_loss (Jd), the Gauss-Newton part, cut at the model's output; None where there is no model.
        network_part: The curvature inside the model, carried by the loss's gradient; None where there is no model.
        penalty_part: The penalty's second derivative; 0.0 without one.
        defect: How far the shares' sum is from an independent d'Hd, over the sum of their absolute values.
        source: Where the direction comes from; see :class:`Ledger`.
        finite: The finite ledger of the chord; None without one.
        eigenspace: The summary over the directions of negative curvature found; None where there are none.
        seconds: How long it took.
        ledgers: One for each direction looked along, the one told above first.
        notes: What could not be done, in sentences.
        steps: The first chunk's program, for pictures.
    """

    direction: Mapping[str, torch.Tensor] = field(repr=False)
    curvature: float
    shares: tuple[Share, ...]
    mechanisms: tuple[Mechanism, ...]
    loss_part: float | None
    network_part: float | None
    penalty_part: float
    defect: float
    source: str
    finite: Finite | None
    eigenspace: Eigenspace | None
    seconds: float
    ledgers: tuple[Ledger, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    def grouped(self, by: str) -> dict[str, float]:
        """Sums of the shares by "operation", "module" or "mechanism", in the order of the program.

        Raises:
            Misuse: For any other word.
        """
        return grouped(self.shares, by)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "direction": tensors(self.direction),
            "curvature": self.curvature,
            "shares": [s.to_dict() for s in self.shares],
            "mechanisms": [m.to_dict() for m in self.mechanisms],
            "loss_part": self.loss_part,
            "network_part": self.network_part,
            "penalty_part": self.penalty_part,
            "defect": self.defect,
            "source": self.source,
            "finite": None if self.finite is None else self.finite.to_dict(),
            "eigenspace": None if self.eigenspace is None else self.eigenspace.to_dict(),
            "seconds": self.seconds,
            "ledgers": [x.to_dict() for x in self.ledgers],
            "notes": list(self.notes),
        }


def grouped(shares: Iterable[Share], by: str) -> dict[str, float]:
    """Sums of shares with one operation, module or mechanism, in the order of their first share."""
    if by not in GROUPS:
        raise Misuse(f"by={by!r} is no way to group shares; use one of {', '.join(GROUPS)}")
    sums: dict[str, float] = {}
    for s in shares:
        key = getattr(s, by)
        sums[key] = sums.get(key, 0.0) + s.share
    return sums


def tensors(named: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Named tensors as JSON can hold them."""
    return {name: plain(t.detach().cpu().numpy()) for name, t in named.items()}
