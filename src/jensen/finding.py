"""Answers: a verdict, a sentence, the reason, and the certificate that lets anyone check it again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from jensen.errors import Misuse

T = TypeVar("T")


class Verdict(str, Enum):
    """PROVED and REFUTED are accepted by the kernel; MEASURED is a number with its error; UNKNOWN has a reason."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    MEASURED = "MEASURED"
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        raise Misuse("a verdict is not a bool: unknown is not false; compare it with jensen.Verdict.PROVED")


def shown(answer: type[T]) -> type[T]:
    """Make answers of a class draw themselves, in a terminal (rich) and in a notebook.

    What draws them is loaded when it is called; how is told in :mod:`jensen.show.kinds`.
    """

    def __rich__(self: Any) -> Any:
        from jensen.show.terminal import panel

        return panel(self)

    def _repr_mimebundle_(self: Any, **kwargs: Any) -> dict[str, str]:
        from jensen.show.html import mimebundle

        return mimebundle(self)

    setattr(answer, "__rich__", __rich__)  # noqa: B010
    setattr(answer, "_repr_mimebundle_", _repr_mimebundle_)  # noqa: B010
    return answer


@dataclass(frozen=True)
class Step:
    """One operation of the program, for pictures: what is known of its value."""

    name: str
    op: str
    module: str
    inputs: tuple[int, ...]
    fact: str
    lost: bool = False  # here the asked property is lost


@shown
@dataclass(frozen=True)
class Finding:
    """The answer to one question about convexity.

    Attributes:
        verdict: PROVED, REFUTED, MEASURED or UNKNOWN.
        statement: What holds, in a sentence (written by the kernel for PROVED and REFUTED).
        reason: Why: the operation, the rule, the remedy.
        claim: What was asked: convex, concave, ...
        blocks: The asked blocks.
        evidence: ``method`` and its figures. For a chord: ``a``, ``m``, ``b`` (the cost's values as floats),
            ``violation``, ``t``, and ``line``: ``{"t": [...], "J": [...]}``, the cost along the chord.
        seconds: How long it took.
        steps: The program's operations with their facts.
        certificate: What ``save`` writes; None where there is none.
    """

    verdict: Verdict
    statement: str
    reason: str
    claim: str
    blocks: tuple[str, ...]
    evidence: Mapping[str, Any]
    seconds: float
    steps: tuple[Step, ...] = field(default=(), repr=False)
    certificate: Any = field(default=None, repr=False, compare=False)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the certificate file.

        Raises:
            Misuse: Where there is no certificate: only PROVED and REFUTED have one.
            OSError: Where the file cannot be written; nothing is left behind.
        """
        if self.certificate is None:
            raise Misuse(f"a finding with verdict {self.verdict} has no certificate to save; its reason: {self.reason}")
        from jensen.certificate import write

        write(self.certificate, path)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "verdict": self.verdict.value,
            "statement": self.statement,
            "reason": self.reason,
            "claim": self.claim,
            "blocks": list(self.blocks),
            "evidence": plain(dict(self.evidence)),
            "seconds": self.seconds,
        }


def plain(value: Any) -> Any:
    """Data as JSON can hold it: infinities as strings, large arrays and tensors as their shape and sha256."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "detach"):  # a tensor; torch is not loaded here
        return plain(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        if value.size > 1000:
            digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return {"shape": list(value.shape), "sha256": digest}
        return plain(value.tolist())
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
