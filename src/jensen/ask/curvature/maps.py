"""Kept tangent maps applied to columns: how many at once, compiled or not, and whether wide maps agree with narrow ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from jensen.ask.curvature.modes import (
    COMPILE_AFTER,
    COMPILE_NODE,
    GAIN,
    WIDTHS,
    Choice,
    Options,
    out_of_memory,
    timed,
)
from jensen.ask.curvature.needs import column
from jensen.ask.curvature.pieces import on
from jensen.linalg import linear_memory
from jensen.linalg.flat import Flat
from jensen.linalg.linearise import Linearised
from jensen.linalg.replay import Map, Replayed
from jensen.precision import multiplied

CAPTURE_AT = 3  # calls of one map: capturing takes about as long as two more
REPLAYED = 16  # kept terms, at most: each graph holds the memory that its map works in
FULL = frozenset({"ieee", "none"})  # of torch's words for how float32 is multiplied


class Disagrees(RuntimeError):
    """A map of several columns gives something else than the map of one."""


@dataclass
class Maps:
    """Applies linearisations to the rows of a matrix (one row a vector).

    Attributes:
        terms: How many terms the sum has; what one product costs is that many times one application.
        held: Bytes of what is kept of all terms.
        lasting: Which lists of kept tensors (by their ids) are there in every product.
        tolerance: How far, relative, a wide map may be from the narrow one.
        notes: What did not go as asked.
    """

    flat: Flat
    device: torch.device
    options: Options
    choice: Choice
    budget: int
    terms: int
    tolerance: float
    notes: list[str]
    held: int = 0
    lasting: set[int] = field(default_factory=set)
    _agreed: set[tuple[int, int, bool]] = field(default_factory=set)
    _calls: dict[Any, int] = field(default_factory=dict)
    _replays: dict[Any, Map] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.device.type == "cpu":
            linear_memory.keep_freed()

    def add(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, out: Tensor, weight: float) -> None:
        """out += weight * (the map on each row), in groups as wide as the choice says."""
        start = 0
        self._compile(linearised, kept, rows)
        before = time.perf_counter()
        while start < len(rows):
            width = self._width(linearised, kept, rows[start:])
            group = rows[start : start + max(width, 1)]
            try:
                moved = self._timed(linearised, kept, group, width)
            except Exception as e:  # the compiler raises many unrelated types
                if not self._retreats(width, e):
                    raise
                continue
            out[start : start + len(group)].add_(moved, alpha=weight)
            start += len(group)
        self.choice.total += max(time.perf_counter() - before, self._expected(len(rows)))

    def one(self, linearised: Linearised, kept: list[Tensor], row: Tensor, tf32: bool | None = None) -> Tensor:
        """The map on one vector (n,), never compiled: what the others are compared with. In TF32 as the options say, unless
        told."""
        tf32 = self.options.tf32 if tf32 is None else tf32
        with on(self.device):
            single = linearised.tangent(0)
        moved = run(single, [*kept, *self.flat.rows(row, 0)], tf32, self.device)
        return torch.cat([t.reshape(-1) for t in moved])

    def _group(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, width: int) -> Tensor:
        """The map on up to ``width`` rows at once, filled up with zeros; of the first row alone where the width is 0.

        Raises:
            Disagrees: Where its first use shows that it is not the map of one row.
        """
        rows = rows[: max(width, 1)]
        given = len(rows)
        if given < width:
            rows = torch.cat([rows, rows.new_zeros(width - given, rows.shape[1])])
        out = self._moved(linearised, kept, rows, width)[:given]
        key = (id(linearised), width, self.compiled())
        if key not in self._agreed and key[1:] != (0, False):
            narrow = torch.stack([self.one(linearised, kept, row) for row in (rows[0], rows[given - 1])])
            if not self._alike(out[[0, given - 1]], narrow):
                what = "the compiled map" if self.compiled() else f"the map of {width} columns"
                raise Disagrees(f"{what} disagrees with the eager one of one column and is not used")
            self._agreed.add(key)
        return out

    def _moved(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, width: int) -> Tensor:
        """The map on as many rows as it is wide (one where the width is 0); from a CUDA graph once it was asked for often."""

        def moved(rows: Tensor) -> Tensor:
            inputs = [*kept, *self.flat.rows(rows if width else rows[0], width)]
            with _measured(self.device):
                out = run(self._map(linearised, width), inputs, self.options.tf32, self.device)
            return torch.cat([t.reshape(len(rows), -1) for t in out], 1)

        if not self._may_replay(linearised, kept):
            return moved(rows)
        key = (id(linearised), id(kept), width, self.compiled())
        self._calls[key] = self._calls.get(key, 0) + 1
        if self._calls[key] == CAPTURE_AT:
            self._replays[key] = self._captured(moved, rows)
        return self._replays.get(key, moved)(rows)

    def _may_replay(self, linearised: Linearised, kept: list[Tensor]) -> bool:
        """Whether the map reads the same tensors in every product, has shapes that no value decides, and runs on CUDA."""
        lasts = id(kept) in self.lasting and len(self.lasting) <= REPLAYED
        return self.device.type == "cuda" and lasts and linearised.mode != "real"

    def _captured(self, moved: Map, rows: Tensor) -> Map:
        """The map as a CUDA graph, or itself where that fails or gives something else."""
        try:
            found, want = Replayed(moved, rows), moved(rows)
            if not self._alike(found(rows), want):
                raise Disagrees("the CUDA graph disagrees with the map it was captured from and is not used")
        except Exception as e:  # capturing raises many unrelated types
            self.notes.append(
                str(e) if isinstance(e, Disagrees) else f"no CUDA graph: {' '.join(str(e).split())[:100]}"
            )
            return moved
        return found

    def _alike(self, got: Tensor, want: Tensor) -> bool:
        """Whether two ways to the same products differ by rounding at most; what is no number is like nothing."""
        return float((got - want).norm()) <= self.tolerance * float(want.norm())

    @property
    def graphs(self) -> int:
        """How many maps are CUDA graphs by now."""
        return sum(isinstance(f, Replayed) for f in self._replays.values())

    def compiled(self) -> bool:
        """Whether torch.compile runs the maps."""
        return bool(self.choice.compiled if self.options.compiled is None else self.options.compiled)

    def _map(self, linearised: Linearised, width: int) -> Callable[..., Any]:
        with on(self.device):
            return linearised.compiled(width) if self.compiled() else linearised.tangent(width)

    # -- the width -----------------------------------------------------------------------------------------------

    def _width(self, linearised: Linearised, kept: list[Tensor], rows: Tensor) -> int:
        """How many columns to take next; 0 is one, without an axis of columns."""
        left, seconds = len(rows), self.choice.seconds
        fixed = self.choice.width if self.options.width is None else self.options.width
        if fixed is None and left >= WIDTHS[0] and self._worth(linearised, left):
            fixed = self.choice.width = self._measure(linearised, kept, rows)
        if fixed is None or fixed == 1 or left == 1:
            return 0
        one, many = seconds.get("1"), seconds.get(str(fixed))
        if left < fixed and one is not None and many is not None and left * one < fixed * many:
            return 0
        return fixed

    def _worth(self, linearised: Linearised, left: int) -> bool:
        """Whether the products asked for, one by one, would outweigh tracing a wider map."""
        one = self.choice.seconds.get("1")
        return one is not None and self.choice.spent + one * left * self.terms > linearised.seconds

    def _measure(self, linearised: Linearised, kept: list[Tensor], rows: Tensor) -> int:
        """The fastest width on this chunk."""
        seconds, best = self.choice.seconds, 1
        seconds["1"] = self._seconds(lambda: self._moved(linearised, kept, rows[:1], 0))
        for width in WIDTHS:
            need = column(linearised, self.flat.n, rows.element_size()) * width + self.held + linear_memory.size(kept)
            if width > len(rows) or need > self.budget:
                break
            try:
                took = self._seconds(lambda w=width: self._group(linearised, kept, rows, w))
            except (RuntimeError, MemoryError) as e:
                self.notes.append(_why_not(width, e))
                break
            seconds[str(width)] = took / width
            if seconds[str(width)] > GAIN * seconds[str(best)]:
                break
            best = width
        return best

    # -- compiling -----------------------------------------------------------------------------------------------

    def _compile(self, linearised: Linearised, kept: list[Tensor], rows: Tensor) -> None:
        """On CUDA, once products have taken as long as compiling does: measure whether it pays, and remember."""
        if self.options.compiled is not None or self.choice.compiled is not None:
            return
        if not self._may_compile(linearised):
            return
        width = self._width(linearised, kept, rows)
        own = self._seconds(lambda: self._group(linearised, kept, rows, width))
        want = self._group(linearised, kept, rows, width)
        self.choice.compiled = True
        try:
            got = self._group(linearised, kept, rows, width)
            if not self._alike(got, want):
                raise Disagrees("the compiled map disagrees with the eager one and is not used")
            faster = self._seconds(lambda: self._group(linearised, kept, rows, width)) < GAIN * own
        except Exception as e:  # the compiler raises many unrelated types
            self.notes.append(_not_compiled(e))
            faster = False
        self.choice.compiled = faster

    def _may_compile(self, linearised: Linearised) -> bool:
        expected = max(COMPILE_AFTER, COMPILE_NODE * len(linearised.single.graph.nodes))
        return self.device.type == "cuda" and self.choice.total >= expected

    def _expected(self, columns: int) -> float:
        """Seconds that so many columns of one chunk take on a device that works on while its caller goes on."""
        return (
            columns * self.choice.seconds.get(str(self.choice.width or 1), 0.0) if self.device.type == "cuda" else 0.0
        )

    def _seconds(self, f: Callable[[], Any]) -> float:
        """The shortest of three runs after a first; on CUDA after those before the graph is captured."""
        for _ in range(CAPTURE_AT if self.device.type == "cuda" else 1):
            f()
        return min(timed(f, self.device)[1] for _ in range(3))

    def _timed(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, width: int) -> Tensor:
        """A group; the time that one column takes is noted until a width is chosen."""
        if width or self.choice.width is not None:
            return self._group(linearised, kept, rows, width)
        self._map(linearised, 0)
        if self.compiled() and (id(linearised), 0, True) not in self._agreed:  # the first call compiles
            self._group(linearised, kept, rows, 0)
        out, took = timed(lambda: self._group(linearised, kept, rows, 0), self.device)
        self.choice.seconds["1"] = min(took, self.choice.seconds.get("1", took))
        self.choice.spent += took
        return out

    def _retreats(self, width: int, e: Exception) -> bool:
        """Whether a failed group can be done otherwise: not compiled, or with fewer columns at once."""
        if self.compiled() and not out_of_memory(e):
            self.notes.append(_not_compiled(e))
            self.options.compiled = False
            return True
        if width and isinstance(e, (RuntimeError, MemoryError)):
            self._narrower(width, e)
            return True
        return False

    def _narrower(self, width: int, e: BaseException) -> None:
        """Fewer columns at once after a failure: an eighth of them where memory ran out, else one."""
        self.notes.append(_why_not(width, e))
        self.options.width = None
        self.choice.width = WIDTHS[0] if out_of_memory(e) and width > WIDTHS[0] else 1


def _not_compiled(e: Exception) -> str:
    return str(e) if isinstance(e, Disagrees) else f"torch.compile failed: {' '.join(str(e).split())[:100]}"


def _why_not(width: int, e: BaseException) -> str:
    if isinstance(e, Disagrees):
        return str(e)
    if out_of_memory(e):
        return f"{width} columns at once ran out of memory"
    return f"{width} columns at once cannot be computed: {' '.join(str(e).split())[:100]}"


def run(module: Callable[..., Any], inputs: list[Tensor], tf32: bool, device: torch.device) -> Any:
    """Without gradients; float32 products in float32, whatever torch was told, unless TF32 is asked for (on CUDA)."""
    call = (
        module.forward if isinstance(module, fx.GraphModule) else module
    )  # not as torch calls modules while it traces
    with torch.no_grad(), _precision(tf32, device):
        return call(*inputs)


@contextmanager
def _measured(device: torch.device) -> Iterator[None]:
    """On CUDA cuDNN measures which of its convolutions is the fastest, for products repeat the same ones."""
    own = torch.backends.cudnn
    if device.type != "cuda" or own.benchmark or own.deterministic:
        yield
        return
    own.benchmark = True
    try:
        yield
    finally:
        own.benchmark = False


@contextmanager
def _precision(tf32: bool, device: torch.device) -> Iterator[None]:
    """Nothing is written that is so already."""
    places = [p for p in _settings(device) if hasattr(p, "fp32_precision")]
    if not tf32 and FULL.issuperset(p.fp32_precision for p in places):
        yield
        return
    with multiplied(places, "tf32" if tf32 else "ieee"):
        yield


def _settings(device: torch.device) -> list[Any]:
    """Where torch keeps the precision of float32 products on a device."""
    if device.type == "cuda":
        return [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv")]  # noqa: B009
    return [getattr(torch.backends.mkldnn, name, None) for name in ("matmul", "conv", "rnn")]
