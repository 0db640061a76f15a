"""Every factor is tried: a random element at random points must leave the cost as it is, to rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Frame, Move, Step, Theta

TOLERANCE = 1e-9
POINTS = 2

Value = Callable[[Theta], float]


def holds(value: Value, factors: Sequence[Factor], frames: Sequence[Frame], theta: Theta, seed: int = 0) -> bool:
    """Whether a random element of the group that these factors generate keeps the cost at random points."""
    for k in range(POINTS):
        generator = torch.Generator().manual_seed(1000 * seed + k)
        point = scattered(theta, generator)
        move = Move(tuple(Step(f, f.sample(generator)) for f in factors), tuple(frames))
        a, b = value(point), value(move.act(point))
        if not abs(a - b) <= TOLERANCE * (abs(a) + abs(b)):
            return False
    return True


def scattered(theta: Theta, generator: torch.Generator, size: float = 0.3) -> Theta:
    """A random point near a given one, generic: biases that are 0 and gains that are 1 are moved too."""
    return {
        n: t + size * (_size(t) + 0.1) * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        for n, t in theta.items()
    }


def _size(t: Tensor) -> float:
    return float(t.abs().mean()) if t.numel() else 0.0


def sifted(
    value: Value, factors: Sequence[Factor], frames: Sequence[Frame], theta: Theta
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
