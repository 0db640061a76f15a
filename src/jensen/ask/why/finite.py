"""The finite ledger: what a chord violates, J(a) + J(b) - 2 J(m), split over the operations, kinks included."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jensen.ask.why.answer import Finite
from jensen.ask.why.independent import EXACT, Disagreement
from jensen.ask.why.ledger import Book, differentiable, double
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.secants import second_difference
from jensen.linalg.torch_reading import program_value

ROUNDING = 64 * torch.finfo(torch.float64).eps  # of the three values
SHORT = 1e-3  # of the parameters' size


def finite(cost: Cost, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Finite:
    """The finite ledger of a chord, checked against the cost's own values.

    Args:
        cost: The cost.
        a: One end, block -> tensor; blocks left out are at their current values.
        b: The other.

    Raises:
        Misuse: Where the ends are one point, the chord leaves the cost's domain, an operation cannot be split on it, the
            chord is too short for float64, or the shares do not sum to the violation. Where J is affine along a chord
            that is not short, all shares are zero.
    """
    traced = differentiable(cost)
    ends = [double({**cost.theta, **point}) for point in (a, b)]
    if all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0]):
        raise Misuse("the two ends of the chord are the same point; give two points that differ")
    values = _values(cost, traced.problem, *ends)
    violation = values[0] + values[1] - 2 * values[2]
    book = Book()
    for k, term in enumerate(traced.problem.terms):
        found, _ = second_difference(term.program, term.tensors, *ends)
        book.add(term.program, traced.roles[k], {i: v * float(term.weight) for i, v in found.items()})
    total, size = book.total(), book.size()
    floor = ROUNDING * (abs(values[0]) + abs(values[1]) + 2 * abs(values[2]))
    if abs(total - violation) > EXACT * size:
        if max(size, abs(violation)) > floor or _short(*ends):
            raise _wrong(total, violation, size, floor)
        violation, size = 0.0, 0.0  # affine along the chord, but for rounding
        book.clear()
    loss, network, penalty = book.parts(model=any("model" in roles or "loss" in roles for roles in traced.roles))
    defect = abs(total - violation) / size if size > 0 else 0.0
    return Finite(violation, book.shares(), defect, ends[0], ends[1], loss, network, penalty)


def _short(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether the ends are so near that rounding hides how J bends between them."""
    step = max(float((t - b[n]).abs().max()) for n, t in a.items() if t.numel())
    return step < SHORT * max(float(t.abs().max()) for p in (a, b) for t in p.values() if t.numel())


def _values(cost: Cost, problem: Problem, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[float]:
    """J at both ends and between them; by the captured program where the cost computes in a smaller type."""
    middle = {n: (t + b[n]) / 2 for n, t in a.items()}
    with torch.no_grad():
        values = [float(cost(p) if cost.dtype == torch.float64 else program_value(problem, p)) for p in (a, b, middle)]
    if not all(abs(v) < float("inf") for v in values):
        raise Misuse(
            f"J is not finite on this chord ({values[0]}, {values[1]} and {values[2]} between); take a shorter one"
        )
    return values


def _wrong(total: float, violation: float, size: float, floor: float) -> Misuse:
    if EXACT * size < floor:
        return Misuse(
            f"the second difference of this chord, {violation!r}, drowns in the rounding of J: J is affine along it as far "
            f"as float64 can tell, or it is too short; take a longer one"
        )
    return Disagreement(
        f"the finite shares sum to {total!r}, but J(a) + J(b) - 2 J(m) is {violation!r}: no ledger is given"
    )
