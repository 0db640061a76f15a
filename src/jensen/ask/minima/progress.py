"""How far a census has come: units, runs, rate, time left, and what was found so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any


class Progress:
    """Counts finished units and tells of each.

    Args:
        watch: Called with the figures.

    Attributes:
        units: How many there are.
        before: Runs that were in the journal when we began.
    """

    def __init__(self, watch: Callable[[dict[str, Any]], None] | None):
        self._watch, self.units = watch, 0
        self._done, self._fresh, self._counts = 0, 0, Counter[str]()
        self._runs, self.before = 0, 0
        self._begun = time.perf_counter()

    def told(self, key: str, record: dict[str, Any], new: bool) -> None:
        """One more unit."""
        runs = len(record["ends"])
        self._done, self._runs, self._fresh = self._done + 1, self._runs + runs, self._fresh + new
        self.before += 0 if new else runs
        self._counts.update(e["kind"] for e in record["ends"])
        if self._watch is not None:
            self._watch(self.figures())

    def figures(self) -> dict[str, Any]:
        """Units finished and in all, runs, runs a second, seconds left (None until it can be told), counts by kind."""
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        rate = (self._runs - self.before) / seconds
        left = (self.units - self._done) * seconds / self._fresh if self._fresh else None
        told = {"units": self._done, "of": self.units, "runs": self._runs, "rate": rate, "left": left}
        return {**told, "counts": dict(self._counts)}
