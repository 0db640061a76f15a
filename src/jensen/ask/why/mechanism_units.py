"""Hidden units that may be exchanged: where they stand in the blocks, and an order that singles out one of the copies.

Read off the program as for :func:`jensen.symmetries`, and believed only after a random permutation has left the cost unchanged
at a random point. Nothing here enters a certificate: the claim there is about a cone of points, whatever made us look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.find import read_problem
from jensen.ask.symmetry.group import Factor, Site
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value

Theta = dict[str, Tensor]
Key = tuple[str, tuple[int, ...], int]


@dataclass(frozen=True)
class Units:
    """Interchangeable units.

    Attributes:
        factor: Where they stand.
        key: The block that orders them: name, shape with its axes split, axis; None where no block is left for that.
    """

    factor: Factor
    key: Key | None = None

    @property
    def size(self) -> int:
        """How many."""
        return self.factor.size

    def act(self, order: Tensor, theta: Mapping[str, Tensor]) -> Theta:
        """The point with the units in another order."""
        return self.factor.act(order, theta)

    def first(self, theta: Mapping[str, Tensor]) -> Tensor:
        """The numbers by which the units are ordered: the key block's first entries."""
        if self.key is None:
            raise ValueError("these units have no key")
        name, shape, axis = self.key
        return theta[name].reshape(shape).movedim(axis, 0).reshape(self.size, -1)[:, 0]


def find_units(problem: Problem, theta: Mapping[str, Tensor]) -> list[Units]:
    """All classes of interchangeable units of a cost, each with a key block of its own where there is one."""
    distinct = {id(t.program): t for t in reversed(problem.terms)}
    problem = Problem(tuple(distinct.values())[::-1], problem.blocks)  # one chunk of each shape, and the penalty
    try:
        read = read_problem(problem, problem.blocks).found
    except Misuse:  # an operation that no atom models
        return []
    every = [*read.factors, *(f for more in read.instead.values() for f in more)]
    point = _random(theta)
    with torch.no_grad():
        value = float(program_value(problem, point))
    found = [f for f in every if f.kind == "permutation" and f.size > 1 and _holds(f, problem, point, value)]
    taken: set[str] = set()
    out = []
    for factor in found:
        key = _key(factor, theta, taken)
        taken |= {key[0]} if key else set()
        out.append(Units(factor, key))
    return out


def _random(theta: Mapping[str, Tensor]) -> Theta:
    """A random point near another."""
    generator = torch.Generator().manual_seed(1952)
    return {
        n: t + 0.1 * (t.abs().mean() + 0.1) * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        for n, t in theta.items()
    }


def _holds(factor: Factor, problem: Problem, point: Mapping[str, Tensor], value: float) -> bool:
    """Whether the cost is the same after a random permutation at a random point (and the point is not the same)."""
    order = torch.randperm(factor.size, generator=torch.Generator().manual_seed(1952))
    if torch.equal(order, torch.arange(factor.size)):
        order = order.flip(0)
    with torch.no_grad():
        other = float(program_value(problem, factor.act(order, point)))
    return abs(value - other) <= 1e-9 * (abs(value) + abs(other))


def _key(factor: Factor, theta: Mapping[str, Tensor], taken: set[str]) -> Key | None:
    """A block in which the units stand once: one with distinct numbers before all, then one with few axes."""
    choices = []
    names = [s.block for s in factor.sites]
    for site in factor.sites:
        split = _split(site, theta) if names.count(site.block) == 1 and site.block not in taken else None
        if split is None:
            continue
        key = (site.block, *split)
        ties = factor.size - Units(factor, key).first(theta).unique().numel()
        choices.append((ties > 0, len(split[0]), len(choices), key))
    return min(choices)[-1] if choices else None


def _split(site: Site, theta: Mapping[str, Tensor]) -> tuple[tuple[int, ...], int] | None:
    """The shape of a block with its axis split so that the units' first places run along one axis; None where they do not."""
    n, whole = len(site.positions), tuple(theta[site.block].shape)
    at = site.positions[:, 0]
    step = int(at[1] - at[0])
    axis = site.axes[0]
    if len(site.axes) > 1 or step < 1 or whole[axis] % (n * step) or not np.array_equal(at, step * np.arange(n)):
        return None
    parts = [whole[axis] // (n * step), n, step]
    before = [*whole[:axis], *([parts[0]] if parts[0] > 1 else [])]
    return (*before, n, *([step] if step > 1 else []), *whole[axis + 1 :]), len(before)
