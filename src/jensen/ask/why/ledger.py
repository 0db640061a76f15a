"""The curvature ledger: d'Hd split over the operations of the cost's programs, and checked.

The gradient's chain rule once more: see :mod:`jensen.linalg.jets`. The loss part is (Jd)' H_loss (Jd), with Jd the
tangent of the model's output (Schraudolph 2002): the terms of the operations past that output; the network part is the
terms of those before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from jensen.ask.why.answer import Ledger, Share
from jensen.ask.why.independent import Disagreement, confirm
from jensen.ask.why.labels import labels, sides
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Program
from jensen.linalg.jets import second_order
from jensen.trace import Traced, trace

Key = tuple[str, str, str, int]


def ledger(
    cost: Cost, direction: Mapping[str, Tensor], at: Mapping[str, Tensor] | None = None, source: str = "given"
) -> Ledger:
    """The ledger along one direction, checked against an independent Hessian product.

    Args:
        cost: The cost.
        direction: Block -> tensor of its shape, float64, of norm one over all blocks; blocks left out stay fixed.
        at: The point, block -> tensor; the current parameters for None.
        source: What to call the direction.

    Raises:
        Misuse: Where torch's gradient of the cost is not the derivative of its value (detach and its like), where there
            is no second derivative, or where the shares do not sum to the independent product.
    """
    traced = differentiable(cost)
    theta = double({**cost.theta, **(at or {})})
    moves = {n: d for n, d in direction.items() if bool(d.any())}
    book = entries(traced, theta, moves)
    total, size = book.total(), book.size()
    try:
        found = confirm(cost, theta, moves, traced.problem, total, size)
    except Disagreement as e:
        raise Disagreement(book.disagreement(str(e))) from e
    if found.flat:
        total, size = 0.0, 0.0
        book.clear()
    defect = found.distance / size if size > 0 else 0.0
    parts = book.parts(model=any("model" in roles or "loss" in roles for roles in traced.roles))
    return Ledger(source, dict(direction), total, book.shares(), *parts, defect, found.notes)


def differentiable(cost: Cost) -> Traced:
    """The cost's programs; refused where torch's derivative of the cost is not that of its value."""
    traced = trace(cost)
    cut = [n for n in traced.detached if n in cost.blocks]
    if cut:
        raise Misuse(
            f"torch's gradient of this cost is not the derivative of its value in {', '.join(cut[:4])} (detach, no_grad, "
            f"a custom backward pass, an operation without one, or BCELoss of a probability that is 0 or 1 to rounding: use "
            f"BCEWithLogitsLoss): no second derivative can be split there; fix these "
            f"blocks with cost.restrict(...), or write the cost without the cut"
        )
    return traced


def double(theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are, in float64 on the CPU, where programs are read."""
    return {n: t.detach().to(device="cpu", dtype=torch.float64) for n, t in theta.items()}


def entries(traced: Traced, theta: Mapping[str, Tensor], direction: Mapping[str, Tensor]) -> Book:
    """All terms' second-order terms, one term alive at a time."""
    book = Book()
    for k, term in enumerate(traced.problem.terms):
        found = second_order(term.program, term.tensors, theta, direction)
        book.add(term.program, traced.roles[k], {i: v * float(term.weight) for i, v in found.items()})
    return book


@dataclass
class Entry:
    """What one operation adds, over all terms that have it."""

    operation: str
    mechanism: str
    side: str
    values: list[float] = field(default_factory=list)


class Book:
    """Shares by operation; the same operation of several terms (chunks of data) is one entry."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self._known: dict[int, tuple[Program, list[Key], list[str], list[str]]] = {}

    def add(self, program: Program, roles: Sequence[str], values: Mapping[int, float]) -> None:
        """Add the values of a term's nodes."""
        _, keys, kinds, where = self._names(program, roles)
        for i, value in values.items():
            entry = self.entries.setdefault(keys[i], Entry(program.nodes[i].op, kinds[i], where[i]))
            entry.values.append(value)

    def _names(self, program: Program, roles: Sequence[str]) -> tuple[Program, list[Key], list[str], list[str]]:
        found = self._known.get(id(program))
        if found is None:
            keys, count = [], {}
            for (
                node
            ) in program.nodes:  # several operations of a program may come from one of torch's and share its name
                head = (node.name, node.op, node.module)
                count[head] = count.get(head, -1) + 1
                keys.append((*head, count[head]))
            found = self._known[id(program)] = (program, keys, labels(program, roles), sides(program, roles))
        return found

    def shares(self) -> tuple[Share, ...]:
        return tuple(
            Share(name, module, e.mechanism, math.fsum(e.values), op)
            for (name, op, module, _), e in self.entries.items()
        )

    def clear(self) -> None:
        """Zeros for all that is there."""
        for entry in self.entries.values():
            entry.values = [0.0]

    def total(self) -> float:
        return math.fsum(s.share for s in self.shares())

    def size(self) -> float:
        """The sum of the absolute shares."""
        return math.fsum(abs(s.share) for s in self.shares())

    def part(self, side: str) -> float:
        return math.fsum(math.fsum(e.values) for e in self.entries.values() if e.side == side)

    def parts(self, model: bool) -> tuple[float | None, float | None, float]:
        """Loss, network and penalty part; without a model there is no cut, and the first two are None."""
        return (self.part("loss"), self.part("model"), self.part("penalty")) if model else (None, None, 0.0)

    def disagreement(self, text: str) -> str:
        largest = sorted(self.shares(), key=lambda s: -abs(s.share))[:3]
        names = ", ".join(f"{s.node} ({s.operation}, {s.share:.6g})" for s in largest)
        return (
            f"{text}: one of them is wrong at this point (a kink, or an operation whose derivative torch gets wrong), and "
            f"no ledger is given; the largest shares are {names}"
        )


def mean_of(books: Iterable[Ledger]) -> tuple[Share, ...]:
    """The mean of ledgers of one cost."""
    every = list(books)
    sums: dict[tuple[str, str, str, str, int], list[float]] = {}
    for book in every:
        count: dict[tuple[str, str, str, str], int] = {}
        for s in book.shares:
            head = (s.node, s.module, s.mechanism, s.operation)
            count[head] = count.get(head, -1) + 1
            sums.setdefault((*head, count[head]), []).append(s.share)
    return tuple(Share(n, m, k, math.fsum(v) / len(every), op) for (n, m, k, op, _), v in sums.items())
