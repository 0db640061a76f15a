"""What an operator did: the mode and why, times, memory, and how the map was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jensen.finding import plain


@dataclass(frozen=True)
class Report:
    """How the products of an operator are computed.

    Attributes:
        mode: kept, recomputed or reverse.
        kept: How many of the data's terms are kept, of ``terms``.
        width: Columns at once, or None where nothing was measured yet (one at a time until then).
        compiled: Whether torch.compile runs the map.
        memory: Bytes: ``kept``, ``working`` (one product's own, estimated), ``budget``.
        seconds: ``trace``, ``first pass`` (J, gradient, what is kept), and per column and chunk for each measured width.
        checks: Of each graph: ``term``, ``error`` (relative), ``tolerance``, ``reference``.
        tf32_error: The relative error that TF32 brings, measured on the first vector; None where it is not used.
        shard: "own" or "replicated" with the number of processes; None for one process.
        notes: What did not go as asked, in sentences.
        graphs: How many maps are replayed as CUDA graphs.
    """

    part: str
    mode: str
    kept: int
    terms: int
    width: int | None
    compiled: bool
    memory: dict[str, int]
    seconds: dict[str, float]
    checks: tuple[dict[str, Any], ...]
    tf32_error: float | None
    shard: str | None
    dtype: str
    device: str
    notes: tuple[str, ...]
    graphs: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return plain(dict(self.__dict__))
