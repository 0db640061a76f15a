"""A captured program must compute the cost: both are run at random points and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value

Theta = Mapping[str, torch.Tensor]


def replay(cost: Cost, problem: Problem) -> tuple[str, ...]:
    """The programs must compute the cost, with every block moved.

    Values and gradients are compared at random points; a block whose gradients differ (custom backward passes, detach)
    is moved on its own and its values compared.

    Returns:
        The blocks in which torch's gradient of the cost is not the derivative of its value.
    """
    generator = torch.Generator().manual_seed(20)
    compared = False
    different: list[str] = []
    for scale in (0.05, 0.0, 0.5):  # gradients once, where nothing is special
        found = _finite_point(cost, problem, scale, generator)
        if found is None:
            continue
        theta, want, got = found
        _agree(cost, theta, want, got, "at a random point" if scale else "at the current parameters")
        if compared:
            continue
        compared = True
        different = _different_gradients(want, got, theta)
        for name in different:
            moved = {n: t.detach() for n, t in theta.items()}
            moved[name] = moved[name] + 0.1 * torch.randn(
                moved[name].shape, generator=generator, dtype=moved[name].dtype
            )
            _agree(cost, moved, cost(moved), _program_value(problem, moved), f"with {name} moved")
    if not compared:
        raise Misuse(
            "the captured program has no finite value where the cost has one: it cannot be compared with the cost"
        )
    return tuple(different)


def _program_value(problem: Problem, theta: Theta) -> torch.Tensor:
    try:
        return program_value(problem, theta)
    except (RuntimeError, TypeError, ValueError, IndexError) as e:
        text = " ".join(str(e).split())[:200]
        raise Misuse(
            f"the captured program cannot be computed ({text}): jensen has no normal form of one of its operations"
        ) from e


def _finite_point(cost: Cost, problem: Problem, scale: float, generator: torch.Generator) -> Any:
    """A random point, nearer where the cost has no finite value, and both values there; None where none is found."""
    for nearer in (1.0, 0.1, 0.01) if scale else (1.0,):
        theta = {
            n: t + nearer * scale * torch.randn(t.shape, generator=generator, dtype=t.dtype) * (t.abs().mean() + 0.1)
            for n, t in cost.theta.items()
        }
        for t in theta.values():
            t.requires_grad_()
        try:
            want = cost(theta)
        except Misuse:  # torch checks the domain of some losses
            if not scale:
                raise
            continue
        got = _program_value(problem, theta)
        if torch.isfinite(want) and torch.isfinite(got):
            return theta, want, got
    return None


def _agree(cost: Cost, theta: Theta, want: torch.Tensor, got: torch.Tensor, where: str) -> None:
    a, b = float(want.detach()), float(got.detach())
    if abs(a - b) <= 1e-6 * max(abs(a), abs(b)) or abs(a - b) <= 1e3 * _noise(cost, theta, a):
        return
    raise Misuse(
        f"the captured program gives {b!r} {where}, the cost {a!r}: torch.export did not capture this cost "
        f"(state outside the model, or values baked in while tracing)"
    )


def _noise(cost: Cost, theta: Theta, value: float) -> float:
    """By how much the cost moves when its parameters move by rounding errors: where it cancels, that is all there is."""
    moved = [{n: t.detach() * (1 + k * 1e-13) for n, t in theta.items()} for k in (-3, -1, 1, 3)]
    return max(abs(float(cost(m).detach()) - value) for m in moved)


def _different_gradients(want: torch.Tensor, got: torch.Tensor, theta: Theta) -> list[str]:
    leaves = list(theta.values())
    if not want.requires_grad or not got.requires_grad:
        return list(theta) if want.requires_grad != got.requires_grad else []
    try:
        g = torch.autograd.grad(want, leaves, allow_unused=True)
        h = torch.autograd.grad(got, leaves, allow_unused=True)
    except (RuntimeError, NotImplementedError):  # an operation without a derivative: compare values, block by block
        return list(theta)
    size = sum(float(p.norm()) for p in g if p is not None)
    out = []
    for name, p, q in zip(theta, g, h, strict=True):
        p = torch.zeros(()) if p is None else p
        q = torch.zeros(()) if q is None else q
        if not torch.isfinite(p).all() or (p - q).norm() > 1e-6 * (p.norm() + q.norm()) + 1e-12 * size:
            out.append(name)
    return out
