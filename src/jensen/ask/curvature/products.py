"""The sum over the data of kept or recomputed tangent maps, applied to columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature import modes
from jensen.ask.curvature.checking import TF32_TOLERANCE, TOLERANCE, Check, check
from jensen.ask.curvature.pieces import Piece, Point, on, piece, prepared, terms
from jensen.errors import Misuse
from jensen.linalg import linear_memory
from jensen.linalg.flat import Flat
from jensen.linalg.linearise import Linearised


@dataclass
class Options:
    """What the caller fixed; None is chosen by measurement."""

    mode: str | None = None
    width: int | None = None
    compiled: bool | None = None
    memory: int | None = None
    tf32: bool = False


@dataclass
class Products:
    """The map of one process's terms at one point.

    Attributes:
        owned: Which terms of the cost are this process's.
        scale: What its terms' weights are multiplied by (shards).
        kept: For each term that is kept, what its tangent map needs.
    """

    point: Point
    flat: Flat
    options: Options
    owned: range
    scale: float
    choice: modes.Choice
    budget: int
    kept: dict[int, list[Tensor]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    mode: str = "kept"
    notes: list[str] = field(default_factory=list)
    working: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _maps: dict[tuple[int, int], Any] = field(default_factory=dict)
    _checked: set[int] = field(default_factory=set)

    # -- the first pass ------------------------------------------------------------------------------------------

    def start(self) -> tuple[Tensor, Tensor]:
        """J and its gradient over this process's terms; keeps what fits."""
        first = self.point.theta[self.point.asked[0]]
        value, gradient = first.new_zeros(()), first.new_zeros(self.flat.n)
        self.mode = self.options.mode or "kept"
        for k in self.owned:
            (v, g), seconds = modes.timed(lambda k=k: self._first(k), self.point.device)
            self.seconds["first pass"] = self.seconds.get("first pass", 0.0) + seconds
            weight = self.weight(k)
            value.add_(v, alpha=weight)
            gradient.add_(g, alpha=weight)
        if self.mode == "kept" and len(self.kept) < sum(self._has(k) for k in self.owned):
            self.mode = "recomputed"
        return value, gradient

    def _has(self, k: int) -> bool:
        return self.point.part != "gauss-newton" or prepared(self.point, k, terms(self.point.cost)[k]) is not None

    def _first(self, k: int) -> tuple[Tensor, Tensor]:
        zero = self.point.theta[self.point.asked[0]].new_zeros
        if self.mode != "reverse":
            try:
                found = piece(self.point, k)
            except Misuse as e:
                if self.options.mode is not None:
                    raise
                self.mode, found = "reverse", None
                self.notes.append(str(e))
                self.kept.clear()
            else:
                if found is None:
                    return zero(()), zero(self.flat.n)
                return self._primal(k, found)
        value, grads = self._reverse(k, None)
        return value, grads

    def _primal(self, k: int, found: Piece) -> tuple[Tensor, Tensor]:
        """Run a term's primal graph; keep its result if it fits beside what the products need."""
        linearised = found.linearised
        self._fits(linearised, found)
        out = run(linearised.primal, found.inputs, self.options.tf32)
        moving = len(self.point.asked)
        grads = torch.cat([t.reshape(-1) for t in out[1 : 1 + moving]])
        if self.mode == "kept":
            kept = out[1 + moving :]
            size = linear_memory.size([*kept, *(t for ts in self.kept.values() for t in ts)])
            if size + self.working * (self.options.width or 1) <= self.budget:
                self.kept[k] = kept
        return out[0], grads

    def _fits(self, linearised: Linearised, found: Piece) -> None:
        """What one term needs while it is computed, in bytes; refused where even that is over a stated budget."""
        self.working = max(self.working, linear_memory.peak(linearised.single))
        need = linear_memory.peak(linearised.primal) + linear_memory.peak(linearised.single)
        if self.options.memory is not None and need > self.options.memory:
            raise Misuse(
                f"one chunk alone needs {need / 2**20:.0f} MiB, the budget is {self.options.memory / 2**20:.0f} MiB; "
                f"give the data in smaller chunks (a DataLoader with fewer rows in a batch), or more memory"
            )

    # -- products ------------------------------------------------------------------------------------------------

    def apply(self, rows: Tensor) -> Tensor:
        """The map on vectors that are the rows of a (k, n) tensor."""
        out = torch.zeros_like(rows)
        for k in self.owned:
            self._add(k, rows, out)
        return out

    def _add(self, k: int, rows: Tensor, out: Tensor) -> None:
        weight = self.weight(k)
        if self.mode == "reverse":
            for row, o in zip(rows, out, strict=True):
                o.add_(self._reverse(k, row)[1], alpha=weight)
            self._first_use(k)
            return
        found = piece(self.point, k)
        if found is None:
            return
        kept = self._kept(k, found)
        self._first_use(k, found, kept)
        if self.mode == "reverse":  # the map was found wrong at its first use
            self._add(k, rows, out)
            return
        self._columns(found.linearised, kept, rows, out, weight)

    def weight(self, k: int) -> float:
        return float(terms(self.point.cost)[k].weight) * self.scale

    def _kept(self, k: int, found: Piece) -> list[Tensor]:
        if k in self.kept:
            return self.kept[k]
        return run(found.linearised.primal, found.inputs, self.options.tf32)[1 + len(self.point.asked) :]

    def _columns(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, out: Tensor, weight: float) -> None:
        """In groups as wide as the choice says; a remainder is filled up with zeros where that is faster."""
        start, count = 0, rows.shape[0]
        while start < count:
            width = self._width(linearised, kept, rows, count - start)
            group = rows[start : start + max(width, 1)]
            try:
                out[start : start + len(group)].add_(self._group(linearised, kept, group, width), alpha=weight)
            except (RuntimeError, MemoryError) as e:
                if not modes.out_of_memory(e) or width == 0:
                    raise
                self.choice.width = 1 if width <= modes.WIDTHS[0] else modes.WIDTHS[0]
                self.options.width = None
                self.notes.append(f"{width} columns at once ran out of memory; {self.choice.width} from there on")
                continue
            start += len(group)

    def _group(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, width: int) -> Tensor:
        """A group of rows through the map of that width (0: one row)."""
        given = len(rows)
        if width and given < width:
            rows = torch.cat([rows, rows.new_zeros(width - given, rows.shape[1])])
        pieces = self.flat.rows(rows if width else rows[0], width)
        moved = run(self._map(linearised, width), [*kept, *pieces], self.options.tf32)
        if not width:
            return torch.cat([t.reshape(-1) for t in moved]).unsqueeze(0)
        return torch.cat([t.reshape(width, -1) for t in moved], 1)[:given]

    def _map(self, linearised: Linearised, width: int) -> Callable[..., Any]:
        key = (id(linearised), width)
        if key not in self._maps:
            with on(self.point.device):
                module = linearised.tangent(width)
            self._maps[key] = modes.compile_map(module) if self.options.compiled else module
        return self._maps[key]

    def _width(self, linearised: Linearised, kept: list[Tensor], rows: Tensor, left: int) -> int:
        """How many columns to take next; 0 is one, without an axis of columns."""
        fixed = self.options.width if self.options.width is not None else self.choice.width
        if fixed is None:
            fixed = self._measure(linearised, kept, rows) if left >= modes.WIDTHS[0] else 1
        if fixed <= 1 or left == 1:
            return 0
        one, many = self.choice.seconds.get("1"), self.choice.seconds.get(str(fixed))
        if left < fixed and one is not None and many is not None and left * one < fixed * many:
            return 0
        return fixed

    def _measure(self, linearised: Linearised, kept: list[Tensor], rows: Tensor) -> int:
        """Time one column against several on this chunk, once the work at hand outweighs the tracing."""
        device, seconds = self.point.device, self.choice.seconds
        count = len(list(self.owned))
        if "1" not in seconds:
            self._group(linearised, kept, rows[:1], 0)  # the first call prepares the map
        _, one = modes.timed(lambda: self._group(linearised, kept, rows[:1], 0), device)
        seconds["1"] = min(one, seconds.get("1", one))
        self.choice.spent += seconds["1"] * len(rows) * count
        if self.choice.spent < linearised.seconds:
            return 1
        best = 1
        for width in modes.WIDTHS:
            need = linear_memory.peak(linearised.single) * width + linear_memory.size(kept)
            if width > len(rows) or need > self.budget:
                break
            group = rows[:width]
            try:
                wide = self._group(linearised, kept, group, width)
            except (RuntimeError, NotImplementedError) as e:  # an operation that vmap does not know
                self.notes.append(f"{width} columns at once cannot be traced: {str(e)[:100]}")
                break
            single = torch.cat([self._group(linearised, kept, row.unsqueeze(0), 0) for row in group])
            if not modes.close(wide, single, self.tolerance()):
                self.notes.append(f"the map of {width} columns disagrees with that of one and is not used")
                break
            took = min(
                modes.timed(lambda g=group, w=width: self._group(linearised, kept, g, w), device)[1] for _ in "ab"
            )
            ones = min(modes.timed(lambda: self._group(linearised, kept, rows[:1], 0), device)[1] for _ in "abc")
            seconds["1"], seconds[str(width)] = min(ones, seconds["1"]), took / width
            if seconds[str(width)] > modes.GAIN * seconds[str(best)]:
                break
            best = width
        self.choice.width = best
        return best

    # -- checks --------------------------------------------------------------------------------------------------

    def tolerance(self) -> float:
        """What a product's relative error may be: that of the coarser of the operator's type and the cost's."""
        if self.options.tf32:
            return TF32_TOLERANCE
        return max(TOLERANCE[self.point.dtype], TOLERANCE.get(self.point.cost.dtype, 1e-2))

    def _first_use(self, k: int, found: Piece | None = None, kept: list[Tensor] | None = None) -> None:
        """Check a term's map against the cost, once for each graph.

        Raises:
            Misuse: Where even double backward of the program disagrees with the cost, or the mode was asked for.
        """
        key = id(terms(self.point.cost)[k].program) if found is None else id(found.linearised)
        if key in self._checked:
            return
        self._checked.add(key)

        def apply(v: Tensor) -> Tensor:
            if found is None or kept is None:
                return self._reverse(k, v)[1]
            return self._group(found.linearised, kept, v.unsqueeze(0), 0)[0]

        done = check(self.point, self.flat, k, apply, self.tolerance())
        self.checks.append(done)
        if done.passed:
            return
        text = f"the {self.mode} map of term {k} differs from {done.reference} by {done.error:.1e} relative"
        if self.mode == "reverse" or self.options.mode is not None:
            raise Misuse(f"{text} (allowed {done.tolerance:.0e}); its products cannot be trusted: please report this")
        self.notes.append(f"{text}: double backward is used instead")
        self.mode = "reverse"
        self.kept.clear()

    def _reverse(self, k: int, v: Tensor | None) -> tuple[Tensor, Tensor]:
        """Double backward of the program: (J, gradient) without a vector, (J, product) with one."""
        zero = self.point.theta[self.point.asked[0]].new_zeros
        found = prepared(self.point, k, terms(self.point.cost)[k])
        if found is None:
            return zero(()), zero(self.flat.n)
        _, f, inputs = found
        moving = tuple(inputs[: len(self.point.asked)])

        def gradient(*t: Tensor) -> tuple[Tensor, ...]:
            return tuple(f(*t, *inputs[len(moving) :]))

        with torch.device(self.point.device):
            if v is None:
                out = gradient(*moving)
                return out[0].detach(), torch.cat([t.reshape(-1) for t in out[1:]]).detach()
            outs, pull = torch.func.vjp(gradient, *moving)
            rows = pull((torch.zeros_like(outs[0]), *self.flat.rows(v, 0)))
        return outs[0].detach(), torch.cat([t.reshape(-1) for t in rows]).detach()


def run(module: Callable[..., Any], inputs: list[Tensor], tf32: bool) -> Any:
    """Without gradients; products of float32 matrices in float32, unless TF32 is asked for."""
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, conv.allow_tf32
    matmul.allow_tf32 = conv.allow_tf32 = tf32
    try:
        with torch.no_grad():
            return module(*inputs)
    finally:
        matmul.allow_tf32, conv.allow_tf32 = before
