"""Do two points give the same losses and outputs? Tried on rows of the data and on random inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from jensen.ask.paths.points import Point
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.parts import OneArgument

ROWS = 16  # of a batch; batch norm in training needs more than one
BATCHES = 9
WIDTHS = (1.0, 1.0, 3.0, 10.0)  # of random inputs, in standard deviations of the data
MORE = (10, 40)  # batches where nothing told the two apart, for large models and for small ones,
LONG = 256  # rows of each,
WORK = 4e9  # and what rows times parameters may come to for more than the least
SLACK = {
    torch.float64: 1e4,
    torch.float32: 1e2,
}  # how far beyond what rounding the parameters does a difference must be
FEW, SHAKES = (
    3,
    8,
)  # of so few losses each is shaken several times: where J cancels to 0, one change may happen to be none
AGREE = 1e2  # and up to where two losses agree


@dataclass(frozen=True, eq=False)
class Witness:
    """An input on which two points differ.

    Attributes:
        x, y: Input and targets, as the model and the loss take them; None where only the cost as a whole tells.
        losses: The losses there, or the costs, at a and b.
        outputs: The model's outputs at a and b, where it has an input.
        noise: What rounding explains.
    """

    x: Any
    y: Any
    losses: tuple[float, float]
    outputs: tuple[Any, Any] | None
    noise: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was tried.

    Attributes:
        witness: Where the difference was largest compared with rounding, if it was beyond it.
        tried: How many batches of inputs and targets, the cost itself among them.
        largest: The largest difference of two losses, relative to the loss.
        beyond: The largest difference of two losses, in multiples of what the parameters' last digits do.
        unsure: Whether some difference lies between what rounding gives and what it cannot.
    """

    witness: Witness | None
    tried: int
    largest: float
    beyond: float
    unsure: bool

    def after(self, other: Comparison) -> Comparison:
        """Both, of the same points, in one."""
        return Comparison(
            self.witness or other.witness,
            self.tried + other.tried,
            max(self.largest, other.largest),
            max(self.beyond, other.beyond),
            self.unsure or other.unsure,
        )


class Prober:
    """The losses of a cost at any point, on given and on random data; the same ones every time.

    Args:
        cost: J.
        precision: The type in which the points were given: what rounding them does is measured.
        seed: Of the random data.
    """

    def __init__(self, cost: Cost, precision: torch.dtype = torch.float64, seed: int = 0):
        self.cost, self.precision = cost, precision
        self.generator = torch.Generator().manual_seed(seed)
        self.batches = _batches(cost, self.generator, BATCHES, ROWS)
        self.noise: list[float] = []
        self.first: tuple[Point, list[float]] = (Point({}, {}), [])

    def losses(self, point: Point) -> list[float]:
        """The cost, then the loss on each batch."""
        with torch.no_grad():
            whole = self._at(point)(point.theta).item()
        return [whole, *self._on(point, self.batches)]

    def _on(self, point: Point, batches: list[tuple[Tensor, ...]]) -> list[float]:
        """The loss on some batches."""
        if not batches:
            return []
        part = self._at(point).part_module(self.cost.parts()[0][0])
        with torch.no_grad():
            return [torch.func.functional_call(part, self._named(point), b).item() for b in batches]

    def outputs(self, point: Point, rows: tuple[Tensor, ...]) -> Any:
        """The model's outputs on some rows of data."""
        part = self._at(point).part_module(self.cost.parts()[0][0])
        x, _ = pytree.tree_unflatten(rows, self._spec())
        model: Any = OneArgument(part.model)  # type: ignore[arg-type]
        with torch.no_grad():
            return torch.func.functional_call(model, self._named(point), (x,))

    def _at(self, point: Point) -> Cost:
        return self.cost.holding(point.buffers) if point.buffers else self.cost

    def _named(self, point: Point) -> dict[str, Tensor]:
        values = {**self.cost.fixed, **point.theta}
        return {f"model.{n}": t for n, t in values.items()}

    def _shaken(self, point: Point, base: list[float], shakes: int) -> list[float]:
        """How much each loss changes at most when the parameters change in their last digit, so many times."""
        eps = torch.finfo(self.precision).eps
        most = [0.0] * len(base)
        for _ in range(shakes):
            noise = {
                n: torch.randn(t.shape, generator=self.generator, dtype=torch.float64) for n, t in point.theta.items()
            }
            moved = {n: t * (1 + eps * noise[n]).to(t.dtype) for n, t in point.theta.items()}
            changed = zip(self.losses(Point(moved, point.buffers)), base, most, strict=True)
            most = [max(abs(i - j), m) for i, j, m in changed]
        return most

    def compare(self, a: Point, b: Point, apart: float = 0.0, closely: bool = False) -> Comparison:
        """The losses of two points, against what rounding explains; or parameters that are so far apart, relatively.

        Rounding is measured several times where that is asked for, or where losses are few.
        """
        left, right = self.losses(a), self.losses(b)
        shakes = SHAKES if closely or len(left) <= FEW else 1
        worst = [
            max(pair) for pair in zip(*(self._shaken(p, j, shakes) for p, j in ((a, left), (b, right))), strict=True)
        ]
        eps = torch.finfo(self.precision).eps
        middle = sorted(worst)[len(worst) // 2] / 10
        self.noise = [max(w, middle, eps * abs(j)) for w, j in zip(worst, left, strict=True)]
        self.first = (a, left)
        return self._compared(a, b, left, right, apart)

    def search(self, a: Point, b: Point, apart: float = 0.0) -> Comparison:
        """The same on more inputs, and on wilder ones, for units that seldom switch."""
        more = Prober(self.cost, self.precision)
        size = sum(t.numel() for t in a.theta.values())
        count = max(MORE[0], min(MORE[1], int(WORK / (LONG * size))))
        more.batches = [b for wild in (True, False) for b in _batches(self.cost, self.generator, count, LONG, wild)]
        return more.compare(a, b, apart)

    def replay(self, moved: Point, apart: float) -> Comparison:
        """The losses of a moved point against those of the first one, which it should have."""
        a, left = self.first
        return self._compared(a, moved, left, self.losses(moved), apart)

    def _compared(self, a: Point, b: Point, left: list[float], right: list[float], apart: float) -> Comparison:
        far = 10 * apart / torch.finfo(self.precision).eps
        slack = max(SLACK[self.precision], far)
        noise = [slack * n for n in self.noise]
        gaps = [abs(i - j) for i, j in zip(left, right, strict=True)]
        ratios = [g / n if n else float(g > 0) for g, n in zip(gaps, noise, strict=True)]
        relative = [g / max(abs(i), abs(j), 1e-300) for g, i, j in zip(gaps, left, right, strict=True)]
        k = max(range(len(ratios)), key=ratios.__getitem__)
        witness = self._witness(a, b, k, (left[k], right[k]), noise[k]) if ratios[k] > 1 else None
        beyond = slack * max(ratios)
        return Comparison(witness, len(left), max(relative), beyond, beyond > max(AGREE, far))

    def _witness(self, a: Point, b: Point, k: int, losses: tuple[float, float], noise: float) -> Witness:
        rows = self.batches[k - 1] if k else self._rows(a, b)
        if rows is not None and not k:  # the cost as a whole tells; if these rows alone do, they are the input
            one, other = (self._on(p, [rows])[0] for p in (a, b))
            losses, rows = ((one, other), rows) if abs(one - other) > noise else (losses, None)
        if rows is None:
            return Witness(None, None, losses, None, noise)
        x, y = pytree.tree_unflatten(rows, self._spec())
        return Witness(x, y, losses, (self.outputs(a, rows), self.outputs(b, rows)), noise)

    def _rows(self, a: Point, b: Point) -> tuple[Tensor, ...] | None:
        """The rows of the first chunk on which the outputs differ most; None where they differ on none."""
        chunk = self.cost.parts()[0][0]
        if chunk is None or not self.batches:
            return None
        pairs = zip(*(pytree.tree_leaves(self.outputs(p, chunk.tensors)) for p in (a, b)), strict=True)
        n = len(chunk.tensors[0])
        gaps = [(i - j).abs().reshape(n, -1).amax(1) for i, j in pairs if i.dim() and len(i) == n]
        worst = torch.stack(gaps).amax(0) if gaps else torch.zeros(1)
        return tuple(t[worst.argsort(descending=True)[:ROWS]] for t in chunk.tensors) if worst.any() else None

    def _spec(self) -> Any:
        chunk = self.cost.parts()[0][0]
        return None if chunk is None else chunk.spec


def _batches(
    cost: Cost, generator: torch.Generator, count: int, size: int, wild: bool = False
) -> list[tuple[Tensor, ...]]:
    """Batches of a few rows: some of the data's, some random, with targets of other rows; those that the model takes."""
    chunk = cost.parts()[0][0]
    if chunk is None or not chunk.tensors or any(t.dim() == 0 for t in chunk.tensors):
        return []
    tensors = chunk.tensors
    x, _ = pytree.tree_unflatten(list(range(len(tensors))), chunk.spec)
    inputs = set(pytree.tree_leaves(x))
    rows = {len(t) for t in tensors}
    if len(rows) != 1 or min(rows) < 1:
        return [tensors]
    (n,) = rows
    part, found = cost.part_module(chunk), []
    for k in range(count):
        pick = torch.randint(0, n, (size,), generator=generator)
        width = 0.0 if k < count // 3 and not wild else WIDTHS[k % len(WIDTHS)]
        drawn = {i: _drawn(tensors[i], pick, width, generator, part, wild) for i in inputs}
        other = torch.randint(0, n, (size,), generator=generator)
        found.append(tuple(drawn.get(i, t[other]) for i, t in enumerate(tensors)))
    return _taken(cost, found) or [tensors]


def _drawn(
    t: Tensor, pick: Tensor, width: float, generator: torch.Generator, part: nn.Module, wild: bool = False
) -> Tensor:
    """Rows of an input, or random ones like them; wild ones also have offsets, channel by channel."""
    rows = t[pick]
    if width == 0 or t.dtype == torch.bool:
        return rows
    if t.is_floating_point():
        noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64).to(t.dtype)
        few = torch.rand(rows.shape, generator=generator) < 2.0 / max(rows[0].numel(), 2)
        noise[::2] *= few[::2]  # along few axes: some units listen to no others
        if wild:
            flat = (*rows.shape[: 2 if rows.dim() > 2 else 1], *(1 for _ in rows.shape[2:] or rows.shape[1:]))
            noise[::3] += 2 * torch.randn(flat, generator=generator, dtype=torch.float64).to(t.dtype)[::3]
        return t.mean() + width * (t.std() if t.numel() > 1 else 1.0) * noise
    top = int(t.max())
    known = [m.num_embeddings for m in part.modules() if isinstance(m, nn.Embedding) and m.num_embeddings > top]
    high = min(known, default=top + 1)
    return torch.randint(int(t.min()), high, rows.shape, generator=generator, dtype=t.dtype)


def _taken(cost: Cost, batches: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """The batches on which the cost is a finite number."""
    part = cost.part_module(cost.parts()[0][0])
    named = {f"model.{n}": t for n, t in {**cost.fixed, **cost.theta}.items()}
    good = []
    for b in batches:
        try:
            with torch.no_grad():
                value = torch.func.functional_call(part, named, b)
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, Misuse):
            continue  # the model takes only data of one shape or range
        if torch.isfinite(value).all():
            good.append(b)
    return good
