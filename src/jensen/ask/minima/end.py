"""Where one run ended, as plain data and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from jensen.finding import plain

KINDS = ("minimum", "saddle", "maximum", "degenerate", "not critical", "at infinity", "not converged")


@dataclass(frozen=True)
class End:
    """Where one run ended, and what that point is.

    Attributes:
        run: Its number.
        kind: One of KINDS, the words of ``jensen.classify``.
        how: Finer. Of a minimum: "strict", "symmetry" (strict but for the symmetries' zero modes), "global" (J meets a lower
            bound), "flat" (measured: a manifold of equal critical points); of a saddle: "strict", "higher order"; of a
            point that is not critical: "gradient-flat" where the gradient's norm has a minimum that is not zero.
        value: J there.
        error: How far rounding may have put the value off.
        gradient_norm: The Euclidean norm of the gradient there.
        index: Negative eigenvalues of the Hessian.
        zero_modes: Eigenvalues that cannot be told from zero.
        steps: Steps of the training.
        trained: J where the training stopped.
        settled: The first step at which the gradient's norm was at most ``Spec.epsilon``; None for never.
        theta: All blocks, float64.
        reason: Why this kind; for a degenerate point what would settle it.
        evidence: The figures behind it, plain data.
    """

    run: int
    kind: str
    how: str
    value: float
    error: float
    gradient_norm: float
    index: int
    zero_modes: int
    steps: int
    trained: float
    settled: int | None
    theta: Mapping[str, Tensor] = field(repr=False, compare=False)
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the point."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "theta"}

    @classmethod
    def of(cls, data: Mapping[str, Any], theta: Mapping[str, Tensor]) -> End:
        """The end that ``to_dict`` described."""
        floats = {n: float(data[n]) for n in ("value", "error", "gradient_norm", "trained")}
        return cls(**{**data, **floats}, theta=theta)
