"""Every factor is tried: a random element at random points must leave the cost as it is, to rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jensen.ask.symmetry.elements import stretched
from jensen.ask.symmetry.group import Coordinates, Factor, Move, Step, Theta

TOLERANCE = 1e-9
LARGE = 2_000_000  # parameters from which fewer rounds are made

Value = Callable[[Theta], float]


Drawn = tuple[Theta, float]  # a random point, and J there


def holds(
    value: Value,
    factors: Sequence[Factor],
    frames: Sequence[Coordinates],
    theta: Theta,
    seed: int = 0,
    at: Drawn | None = None,
) -> bool:
    """Whether these factors keep the cost at a random point, each of them on its own.

    In every round some of the factors act, chosen so that any two are told apart: factors that only hold together fail. A
    permutation's two generators (a cycle and a swap) take turns, everything else is drawn anew. ``at``: a random point
    and J there, where they are known already.
    """
    generator = torch.Generator().manual_seed(seed)
    point, before = at or drawn(value, theta, generator)
    turns = [0] * len(factors)
    for active in rounds(len(factors), not large(theta)):
        steps = []
        for i in active:
            steps.append(Step(factors[i], generic(factors[i], generator, turns[i])))
            turns[i] += 1
        after = value(Move(tuple(steps), tuple(frames)).act(point))
        if not abs(after - before) <= TOLERANCE * (abs(after) + abs(before)):
            return False
    return True


def drawn(value: Value, theta: Theta, generator: torch.Generator) -> Drawn:
    """A random point near a given one, and J there."""
    point = scattered(theta, generator)
    return point, value(point)


def large(theta: Theta) -> bool:
    """Whether drawing a point takes so long that fewer are drawn."""
    return sum(t.numel() for t in theta.values()) >= LARGE


def rounds(n: int, both: bool) -> list[list[int]]:
    """Which factors act in which round: those whose number has a bit, and those who have it not."""
    everyone = list(range(n))
    out = [everyone, everyone] if both else [everyone]
    for bit in range(max(n - 1, 0).bit_length()):
        out.append([i for i in everyone if i >> bit & 1])
        if both:
            out.append([i for i in everyone if not i >> bit & 1])
    return [active for active in out if active]


def generic(f: Factor, generator: torch.Generator, turn: int) -> Tensor:
    """An element that is not the identity."""
    if f.kind == "permutation":
        order = torch.arange(f.size)
        if turn % 2:
            order[:2] = order[:2].flip(0)
            return order
        return order.roll(1)
    element = f.sample(generator)
    if f.kind in ("sign", "flip"):
        element[turn % f.size] = -1.0
    if f.kind == "shear" and (torch.linalg.det(element) > 0) == (turn % 2 == 0):  # of both signs, the negative first
        element = element @ stretched(torch.zeros(f.size, dtype=torch.float64), -1.0)
    return element


def scattered(theta: Theta, generator: torch.Generator, size: float = 0.3) -> Theta:
    """A random point near a given one, generic: biases that are 0 and gains that are 1 are moved too."""
    return {
        n: t + size * (_size(t) + 0.1) * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        for n, t in theta.items()
    }


def _size(t: Tensor) -> float:
    return float(t.abs().mean()) if t.numel() else 0.0


def sifted(
    value: Value, factors: Sequence[Factor], frames: Sequence[Coordinates], theta: Theta
) -> tuple[list[Factor], list[Factor]]:
    """The factors that hold and those that do not: all at once, and by halves where that fails."""
    factors = list(factors)
    if not factors:
        return [], []
    if holds(value, factors, frames, theta, len(factors)):
        return factors, []
    if len(factors) == 1:
        return [], factors
    half = len(factors) // 2
    good, bad = [], []
    for part in (factors[:half], factors[half:]):
        g, b = sifted(value, part, frames, theta)
        good, bad = good + g, bad + b
    return good, bad
