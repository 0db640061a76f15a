"""A captured program must compute the cost: both are run at random points and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from jensen.chunks import Changed
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem, Term
from jensen.linalg.torch_reading import term_value

Theta = Mapping[str, torch.Tensor]
SCALES = (0.05, 0.0, 0.5)


@dataclass(frozen=True)
class Walk:
    """Parts of the cost at one point, by the model and by the captured program, and the sums of their gradients."""

    cost: Cost
    problem: Problem
    theta: dict[str, torch.Tensor]
    parts: Sequence[int]
    want: list[float]
    got: list[float]
    gradients: tuple[list[torch.Tensor], list[torch.Tensor]] | None  # None where torch has none

    def finite(self) -> bool:
        return all(math.isfinite(v) for v in (*self.want, *self.got))


def replay(cost: Cost, problem: Problem) -> tuple[str, ...]:
    """The programs must compute the cost, part by part, with every block moved.

    Values and gradients are compared at random points; a block whose gradients differ (custom backward passes, detach)
    is moved on its own and its values compared. Streamed data is walked once; at the other points its first chunk
    stands for it.

    Returns:
        The blocks in which torch's gradient of the cost is not the derivative of its value.
    """
    generator = torch.Generator().manual_seed(20)
    parts = cost.parts()
    all_parts = range(len(parts))
    few = [k for k in all_parts if k == 0 or parts[k][0] is None] if cost.streamed else all_parts
    first: Walk | None = None
    different: list[str] = []
    for scale in SCALES:  # gradients once, where nothing is special
        found = _finite_point(cost, problem, scale, generator, all_parts if first is None else few, first is None)
        if found is None:
            continue
        _agree(found, "at a random point" if scale else "at the current parameters")
        if first is not None:
            continue
        first, different = found, _different_gradients(found)
        for name in different:
            _agree(_with_moved(found, name, generator, few), f"with {name} moved")
    if first is None:
        with torch.no_grad():
            value = float(cost())
        if not math.isfinite(value):
            raise Misuse(
                f"J is {value} at the current parameters; it must be finite: look at the data, or the parameters"
            )
        raise Misuse(
            "the captured program has no finite value where the cost has one: it cannot be compared with the cost"
        )
    return tuple(different)


def _finite_point(
    cost: Cost, problem: Problem, scale: float, generator: torch.Generator, parts: Sequence[int], derive: bool
) -> Walk | None:
    """A random point, nearer where the cost has no finite value, and both values there; None where none is found."""
    for nearer in (1.0, 0.1, 0.01) if scale else (1.0,):
        theta = {
            n: t + nearer * scale * torch.randn(t.shape, generator=generator, dtype=t.dtype) * (t.abs().mean() + 0.1)
            for n, t in cost.theta.items()
        }
        try:
            walk = _walk(cost, problem, theta, parts, derive)
        except (Changed, Uncomputable):
            raise
        except Misuse:  # torch checks the domain of some losses
            if not scale:
                raise
            continue
        if walk.finite():
            return walk
    return None


def _with_moved(at: Walk, name: str, generator: torch.Generator, parts: Sequence[int]) -> Walk:
    """Both values with one block moved alone, by less where the cost has no finite value there."""
    block = at.theta[name]
    move = 0.1 * torch.randn(block.shape, generator=generator, dtype=block.dtype)
    for nearer in (1.0, 0.1, 0.01):
        walk = _walk(at.cost, at.problem, {**at.theta, name: block + nearer * move}, parts)
        if walk.finite():
            return walk
    raise Misuse(
        f"J is not finite near the current parameters, with {name} moved by {float(nearer * move.norm()):.1g}: the captured "
        f"program cannot be compared with it; ask at other parameters"
    )


class Uncomputable(Misuse):
    """The captured program cannot be run."""


def _walk(
    cost: Cost, problem: Problem, theta: dict[str, torch.Tensor], parts: Sequence[int], derive: bool = False
) -> Walk:
    """Both values of each part, while its chunk is in memory."""
    leaves = {n: t.detach().requires_grad_(derive) for n, t in theta.items()}
    values, weighted = cost._values(leaves), cost.parts()
    sums: Any = tuple([torch.zeros_like(t) for t in leaves.values()] for _ in range(2)) if derive else None
    want, got = [], []
    for k in parts:
        a = cost.weighted_part(k, *weighted[k], values)
        b = _program_value(problem.terms[k], leaves)
        want.append(float(a.detach()))
        got.append(float(b.detach()))
        if sums is not None and not (_add(sums[0], a, leaves) and _add(sums[1], b, leaves)):
            sums = None
    return Walk(cost, problem, {n: t.detach() for n, t in leaves.items()}, parts, want, got, sums)


def _add(sums: list[torch.Tensor], value: torch.Tensor, leaves: Theta) -> bool:
    """Add a part's gradient; False where an operation has no derivative."""
    if not value.requires_grad:
        return True
    try:
        grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return False
    for s, g in zip(sums, grads, strict=True):
        if g is not None:
            s += g
    return True


def _program_value(term: Term, theta: Theta) -> torch.Tensor:
    try:
        return term_value(term, theta)
    except Changed:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as e:
        text = " ".join(str(e).split())[:200]
        raise Uncomputable(
            f"the captured program cannot be computed ({text}): jensen has no normal form of one of its operations"
        ) from e


def _agree(walk: Walk, where: str) -> None:
    for k, a, b in zip(walk.parts, walk.want, walk.got, strict=True):
        if abs(a - b) <= 1e-6 * max(abs(a), abs(b)) or abs(a - b) <= 1e3 * _noise(walk, k, a):
            continue
        part = f" of part {k}" if len(walk.problem.terms) > 1 else ""
        raise Misuse(
            f"the captured program gives {b!r}{part} {where}, the cost {a!r}: torch.export did not capture this cost "
            f"(state outside the model, or values baked in while tracing)"
        )


def _noise(walk: Walk, k: int, value: float) -> float:
    """By how much a part moves when its parameters move by rounding errors: where it cancels, that is all there is."""
    chunk, weight = walk.cost.parts()[k]
    moved = [walk.cost._values({n: t * (1 + i * 1e-13) for n, t in walk.theta.items()}) for i in (-3, -1, 1, 3)]
    return max(abs(float(walk.cost.weighted_part(k, chunk, weight, m)) - value) for m in moved)


def _different_gradients(walk: Walk) -> list[str]:
    if walk.gradients is None:  # an operation without a derivative: compare values, block by block
        return list(walk.theta)
    size = sum(float(p.norm()) for p in walk.gradients[0])
    out = []
    for name, p, q in zip(walk.theta, *walk.gradients, strict=True):
        if not torch.isfinite(p).all() or (p - q).norm() > 1e-6 * (p.norm() + q.norm()) + 1e-12 * size:
            out.append(name)
    return _beyond_rounding(walk, out) if out and walk.cost.dtype != torch.float64 else out


def _beyond_rounding(walk: Walk, names: list[str]) -> list[str]:
    """Those blocks in which the gradients differ by more than rounding moves the cost's own (kinks are met elsewhere)."""
    if walk.gradients is None:
        return names
    unit = 64 * torch.finfo(walk.cost.dtype).eps
    noise = dict.fromkeys(walk.theta, 0.0)
    for shift in (-unit, unit):
        moved = _walk(walk.cost, walk.problem, {n: t * (1 + shift) for n, t in walk.theta.items()}, walk.parts, True)
        if moved.gradients is None:
            return names
        for name, p, q in zip(walk.theta, walk.gradients[0], moved.gradients[0], strict=True):
            noise[name] = max(noise[name], float((p - q).norm()))
    pairs = dict(zip(walk.theta, zip(*walk.gradients, strict=True), strict=True))
    return [n for n in names if not float((pairs[n][0] - pairs[n][1]).norm()) <= noise[n]]
