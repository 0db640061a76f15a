"""How the products are computed: kept, recomputed or reverse; how many columns at once; compiled or not.

Kept: what does not depend on the vector is computed once per chunk and held. Recomputed: chunk by chunk in every
product, so that memory is that of one chunk. Reverse: double backward of the program, where the map cannot be traced.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any
from weakref import WeakKeyDictionary

import torch

from jensen.cost import Cost
from jensen.errors import Misuse

MODES = ("kept", "recomputed", "reverse")
WIDTHS = (8, 32)
COMPILE_AFTER = 20.0  # seconds in products, at least: compiling takes about as long
COMPILE_NODE = 0.2  # and so many a node of the map of one vector
GAIN = 0.95  # a choice must be faster by this factor to be taken


@dataclass
class Options:
    """What the caller fixed; None is chosen by measurement. ``before``: the process's bytes when it was asked."""

    mode: str | None = None
    width: int | None = None
    compiled: bool | None = None
    memory: int | None = None
    tf32: bool = False
    before: int = 0


@dataclass
class Choice:
    """What was measured for one cost and its asked blocks; shared by later operators."""

    width: int | None = None  # columns at once; None until measured
    compiled: bool | None = None  # whether torch.compile runs the map; None until measured
    seconds: dict[str, float] = field(default_factory=dict)  # for one column of one chunk, by width
    spent: float = 0.0  # in products before a width was chosen
    total: float = 0.0  # in products in all


_REMEMBERED: WeakKeyDictionary[Cost, dict[Any, Choice]] = WeakKeyDictionary()


def remembered(cost: Cost, key: Any) -> Choice:
    """The choice for these blocks, part, type and device; empty at first."""
    return _REMEMBERED.setdefault(cost, {}).setdefault(key, Choice())


def checked(options: Options) -> Options:
    """Refuse options that mean nothing."""
    if options.mode is not None and options.mode not in MODES:
        raise Misuse(f"mode {options.mode!r} is none of {', '.join(MODES)}; None measures and chooses")
    if options.width is not None and (not isinstance(options.width, int) or options.width < 1):
        raise Misuse(f"width is {options.width!r}; it is the number of columns taken at once, 1 or more")
    if options.memory is not None and not (isinstance(options.memory, Real) and float(options.memory) > 0):
        raise Misuse(f"memory is {options.memory!r}; it is a budget in bytes, as in memory=4 * 2**30")
    if options.compiled not in (None, True, False):
        raise Misuse(f"compiled is {options.compiled!r}; it is True, False or None")
    return options


def timed(f: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    """The result and the seconds it took, the device's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    out = f()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return out, time.perf_counter() - start


def out_of_memory(e: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    return isinstance(e, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(e).lower()
