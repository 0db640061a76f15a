"""Figures, durations and names as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def number(value: Any, digits: int = 10) -> str:
    """A figure with the digits that matter to a reader."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return str(value) if isinstance(value, int) or not math.isfinite(value) else f"{value:.{digits}g}"


def signed(value: float, digits: int = 4) -> str:
    """A figure with its sign, in four digits."""
    if value == 0 or not math.isfinite(value):
        return number(float(value), digits)
    return f"{value:+.{digits}g}"


def minus(text: str) -> str:
    """A figure's text with true minus signs, for pages; a terminal keeps the sign that programs read."""
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share of one, without hiding what is small."""
    if share == 0 or abs(share) >= 0.0995:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.2g} %" if abs(share) >= 1e-4 else "< 0.01 %"


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds >= 90:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def size(n: int) -> str:
    """Bytes in words."""
    if n >= 1 << 20:
        return f"{n / (1 << 20):.1f} MB"
    return f"{n / 1024:.1f} kB" if n >= 1024 else f"{n} bytes"


def names(blocks: Iterable[str]) -> str:
    """Block names in a row."""
    return ", ".join(blocks)


def listing(blocks: Iterable[str], limit: int = 4) -> str:
    """Names in a sentence; many of them as the first, the last and their number."""
    names = list(blocks)
    if len(names) > limit:
        return f"all of {names[0]}, …, {names[-1]} ({len(names)} blocks)"
    if not names:
        return "its blocks"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def place(node: str, module: str) -> str:
    """Where in the program."""
    return f"{node} in {module}" if module else node
