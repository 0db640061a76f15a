"""The sum over the data of kept or recomputed tangent maps, applied to columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jensen.ask.curvature.checking import TF32_TOLERANCE, TOLERANCE, Check, check, kinked
from jensen.ask.curvature.maps import Maps, run
from jensen.ask.curvature.modes import Choice, Options, out_of_memory, timed
from jensen.ask.curvature.needs import Needs, needs
from jensen.ask.curvature.pieces import Piece, Point, piece, prepared
from jensen.errors import Misuse
from jensen.linalg import linear_memory
from jensen.linalg.flat import Flat
from jensen.linalg.linearise import Linearised

SPOTS = 8  # terms of one graph whose maps are checked


@dataclass
class Products:
    """The map of one process's terms at one point.

    Attributes:
        owned: Which terms of the cost are this process's.
        scale: What its terms' weights are multiplied by (shards).
        mode: kept where all fits, recomputed where some terms do not, reverse where the map cannot be traced.
        kept: For each term that is kept, its linearisation and what the tangent map needs; ``size`` is their bytes.
        working: Bytes that one column of one term takes beside that, at most; ``needs`` has the other steps.
    """

    point: Point
    flat: Flat
    options: Options
    owned: range
    scale: float
    choice: Choice
    budget: int
    kept: dict[int, tuple[Linearised, list[Tensor]]] = field(default_factory=dict)
    size: int = 0
    checks: list[Check] = field(default_factory=list)
    mode: str = "kept"
    notes: list[str] = field(default_factory=list)
    needs: Needs = field(default_factory=Needs)
    tf32_error: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _checked: set[int] = field(default_factory=set)  # graphs
    _due: set[int] = field(default_factory=set)  # terms whose maps are checked though their graph was
    _taken: int | None = None  # by what the process grew before anything was kept; None until then
    _tight: bool | None = None  # whether all terms and the check do not fit together; None until a term is seen

    def __post_init__(self) -> None:
        self.mode = self.options.mode or "kept"
        self._due = set(_spread(self.owned))
        self.maps = Maps(
            self.flat, self.point.device, self.options, self.choice, self.budget, len(self.owned), self.tolerance(),
            self.notes,
        )  # fmt: skip

    def tolerance(self) -> float:
        """What a product's relative error may be: that of the coarser of the operator's type and the cost's."""
        if self.options.tf32:
            return TF32_TOLERANCE
        return max(TOLERANCE[self.point.dtype], TOLERANCE.get(self.point.cost.dtype, 1e-2))

    @property
    def working(self) -> int:
        return self.needs.product

    def weight(self, k: int) -> float:
        return float(self.point.term(k).weight) * self.scale

    # -- the first pass ------------------------------------------------------------------------------------------

    def start(self) -> tuple[Tensor, Tensor]:
        """J and its gradient over this process's terms; keeps what fits."""
        first = self.point.theta[self.point.asked[0]]
        value, gradient = first.new_zeros(()), first.new_zeros(self.flat.n)
        for k in self._order():
            (v, g), seconds = timed(lambda k=k: self._first(k), self.point.device)
            self.seconds["first pass"] = self.seconds.get("first pass", 0.0) + seconds
            value.add_(v, alpha=self.weight(k))
            gradient.add_(g, alpha=self.weight(k))
        self.maps.held = self.size
        return value, gradient

    def _order(self) -> Iterator[int]:
        """This process's terms. Where memory is tight, maps are checked on those that are due before anything is kept."""
        yield from self.owned[:1]
        if self._tight and self.mode == "kept" and len(self.owned) > 1:
            firsts = {id(self.point.term(k).program): k for k in reversed(self.owned)}.values()
            for k in sorted({*self._due, *firsts} - {self.owned[0]}):
                self._due.add(k)
                self._first(k, keep=False)
            self._first(self.owned[0])  # its value is known, but nothing of it was kept
        yield from self.owned[1:]

    def _first(self, k: int, keep: bool = True) -> tuple[Tensor, Tensor]:
        if self.mode != "reverse":
            try:
                found = piece(self.point, k)
                if found is not None:
                    return self._primal(k, found, keep)
                self._due.discard(k)
            except (Misuse, RuntimeError) as e:
                if self.options.mode is not None or out_of_memory(e) or isinstance(e, TooBig):
                    raise
                self._reverse_from_here(" ".join(str(e).split())[:300])
        return self._reverse(k, None)

    def _primal(self, k: int, found: Piece, keep: bool) -> tuple[Tensor, Tensor]:
        """Run a term's primal graph; keep its result if it fits beside what the products need, and no check is due."""
        self._fits(found)
        out = run(found.linearised.primal, found.inputs, self.options.tf32, self.point.device)
        moving = len(self.point.asked)
        value, gradient, kept = out[0], torch.cat([t.reshape(-1) for t in out[1 : 1 + moving]]), out[1 + moving :]
        del out  # the gradient's pieces
        if self._early(kept) and not self._right(
            k, id(found.linearised), lambda v: self.maps.one(found.linearised, kept, v)
        ):
            return value, gradient
        if keep and self.mode == "kept" and not (self._tight and self._due):
            self._keep(k, found.linearised, kept)
        return value, gradient

    def _early(self, kept: list[Tensor]) -> bool:
        """Whether maps are checked now: a check takes memory that what is kept would need."""
        if self._tight is None:
            whole = len(self.owned) * linear_memory.size(kept, apart=self.point.theta.values())
            self._tight = self.mode == "recomputed" or whole + self._reserve(True) > self.budget
        return self._tight

    def _reserve(self, checks: bool) -> int:
        return self.needs.most(self.options.width or 1, checks)

    def _keep(self, k: int, linearised: Linearised, kept: list[Tensor]) -> None:
        """Hold what a term's map needs if it fits beside what the other terms and the products take."""
        size = linear_memory.size(kept, apart=self.point.theta.values())
        if self._taken is None:
            self._taken = self._grown(size)
        if self._taken + self.size + size + self._reserve(not self._tight) <= self.budget:
            self.kept[k] = linearised, kept
            self.maps.lasting.add(id(kept))
            self.size += size
            return
        self.mode = "recomputed"
        self.notes.append(f"{len(self.kept)} of {len(self.owned)} terms fit the memory; the others are recomputed")

    def _grown(self, size: int) -> int:
        """What a stated budget has lost to the capture of the cost and to tracing, and to gaps in the heap."""
        if self.options.memory is None or self.point.device.type != "cpu":
            return 0
        return max(linear_memory.resident() - self.options.before - size, 0) + self.budget // 20

    def _fits(self, found: Piece) -> None:
        """What one term needs while it is computed; refused where even that is over a stated budget."""
        own = needs(found.linearised, self.flat.n, self.point.dtype.itemsize, self.point.cost.dtype.itemsize)
        self.needs = self.needs.with_those_of(own)
        need = max(own.primal, own.product)
        if self.options.memory is not None and need > self.options.memory:
            raise TooBig(
                f"one chunk alone needs {need / 2**20:.0f} MiB, the budget is {self.options.memory / 2**20:.0f} MiB; "
                f"give the data in smaller chunks (a DataLoader with fewer rows in a batch), or more memory"
            )

    # -- products ------------------------------------------------------------------------------------------------

    def apply(self, rows: Tensor) -> Tensor:
        """The map on vectors that are the rows of a (k, n) tensor."""
        out = torch.zeros_like(rows)
        for k in self.owned:
            if self.mode == "reverse":
                self._add_reverse(k, rows, out)
            elif not self._add(k, rows, out):
                return self.apply(rows)  # what the same map gave of earlier terms is dropped
        return out

    def _add(self, k: int, rows: Tensor, out: Tensor) -> bool:
        """Add a term's products; false where its map was found wrong at its first use."""
        linearised, kept = self.kept.get(k) or self._recomputed(k)
        if linearised is None:
            return True
        if not self._right(k, id(linearised), lambda v: self.maps.one(linearised, kept, v)):
            return False
        if self.options.tf32 and self.tf32_error is None:
            exact, rounded = (self.maps.one(linearised, kept, rows[0], tf32) for tf32 in (False, True))
            self.tf32_error = float((rounded - exact).norm() / exact.norm()) if exact.any() else 0.0
        self.maps.add(linearised, kept, rows, out, self.weight(k))
        return True

    def _recomputed(self, k: int) -> tuple[Linearised | None, list[Tensor]]:
        found = piece(self.point, k)
        if found is None:
            return None, []
        out = run(found.linearised.primal, found.inputs, self.options.tf32, self.point.device)
        return found.linearised, out[1 + len(self.point.asked) :]

    def _add_reverse(self, k: int, rows: Tensor, out: Tensor) -> None:
        self._right(k, id(self.point.term(k).program), lambda v: self._reverse(k, v)[1])
        for row, o in zip(rows, out, strict=True):
            o.add_(self._reverse(k, row)[1], alpha=self.weight(k))

    def _right(self, k: int, key: int, apply: object) -> bool:
        """Check a term's map against the cost: once for each graph, and kept maps on some terms more, for the others' data may
        hide what is wrong with it.

        Raises:
            Misuse: Where double backward of the program disagrees with the cost, or the mode was asked for.
        """
        due = k in self._due and self.mode != "reverse"
        self._due.discard(k)
        if key in self._checked and not due:
            return True
        self._checked.add(key)
        if self.point.cost.modes() != self.point.modes:
            raise Misuse("the model changed between H and its first product (train/eval mode or buffers): make H again")
        done = check(self.point, self.flat, k, apply, self.tolerance())  # pyright: ignore[reportArgumentType]
        self.checks.append(done)
        if done.passed:
            return True
        text = f"the {self.mode} map of term {k} differs from {done.reference} by {done.error:.1e} relative"
        if self.mode == "reverse" and not math.isfinite(done.error):
            raise Misuse(
                "a second derivative of J is not finite at this point (a root or a power at zero, an overflow), or torch has "
                "none: ask at another point"
            )
        if self.mode == "reverse" or self.options.mode is not None:
            if kinked(self.point, self.flat, k):
                raise Misuse(
                    f"{text}, and the gradient of J bends there: the point may lie on a kink (a rectifier's edge, a tie of a "
                    f"maximum), where J has no second derivative; ask at another point"
                )
            raise Misuse(f"{text} (allowed {done.tolerance:.0e}); its products cannot be trusted: please report this")
        self._reverse_from_here(text)
        return False

    def _reverse_from_here(self, why: str) -> None:
        self.notes.append(f"{why}: double backward is used instead")
        self.mode = "reverse"
        self.kept.clear()
        self.size = 0

    def _reverse(self, k: int, v: Tensor | None) -> tuple[Tensor, Tensor]:
        """Double backward of the program: (J, gradient) without a vector, (J, product) with one."""
        zero = self.point.theta[self.point.asked[0]].new_zeros
        found = prepared(self.point, k)
        if found is None:
            return zero(()), zero(self.flat.n)
        _, f, inputs = found
        moving = tuple(inputs[: len(self.point.asked)])

        def gradient(*t: Tensor) -> tuple[Tensor, ...]:
            return tuple(f(*t, *inputs[len(moving) :]))

        with self.point.device, _said():
            if v is None:
                outs = gradient(*moving)
                rows = outs[1:]
            else:
                outs, pull, *_ = torch.func.vjp(gradient, *moving)
                # complex views of a tensor need that it begins where memory is even
                rows = pull((torch.zeros_like(outs[0]), *(t.clone() for t in self.flat.rows(v, 0))))
        return outs[0].detach(), torch.cat([t.reshape(-1) for t in rows]).detach()


def _spread(terms: range) -> list[int]:
    """Up to ``SPOTS`` terms, the first and the last among them."""
    count = min(SPOTS, len(terms))
    return [terms[round(i * (len(terms) - 1) / max(count - 1, 1))] for i in range(count)]


@contextmanager
def _said() -> Iterator[None]:
    """torch's word that an operation has no second derivative, as what can be done about it."""
    try:
        yield
    except RuntimeError as e:
        found = re.search(r"derivative for '?(\S+?)'? is not implemented", str(e))
        if found is None:
            raise
        raise Misuse(
            f"torch has no derivative of {found[1]}, which J's second derivative needs: write that operation of the cost in "
            f"others that torch differentiates twice"
        ) from e


class TooBig(Misuse):
    """One chunk does not fit the stated memory."""
