"""Hidden units that may be exchanged: where they stand in the blocks, and an order that singles out one of the copies.

Found by the reading of axes, and believed only after a random permutation has left the cost unchanged at a random point.
Nothing here enters a certificate: the claim there is about a cone of points, whatever made us look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.why.mechanism_axes import Axis, read_axes
from jensen.ask.why.surgery_linear import values_at
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value

Theta = dict[str, Tensor]
Key = tuple[str, tuple[int, ...], int]


@dataclass(frozen=True)
class Units:
    """Interchangeable units.

    Attributes:
        size: How many.
        places: Block -> pairs (shape of the block with its axes split, axes over these units).
        key: The block that orders them: name, shape with its axes split, axis; None where no block is left for that.
    """

    size: int
    places: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    key: Key | None = None

    def act(self, order: Tensor, theta: Mapping[str, Tensor]) -> Theta:
        """The point with the units in another order."""
        out = dict(theta)
        for name, (shape, axes) in self.places.items():
            value = theta[name].reshape(shape)
            for k in axes:
                value = value.index_select(k, order)
            out[name] = value.reshape(theta[name].shape).clone()
        return out

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
    term = problem.terms[0]
    blocks = read_axes(term.program, term.tensors, values_at(term.program, term.tensors, theta))
    classes: dict[int, Axis] = {}
    for axes in blocks.values():
        for axis in axes:
            classes.update({id(v): v for v in axis.factors() if not v.fixed and v.size > 1})
    point = _random(theta)
    with torch.no_grad():
        value = float(program_value(problem, point))
    known = (_places(v, blocks) for v in classes.values())
    found = [u for u in known if u is not None and _holds(u, problem, point, value)]
    taken: set[str] = set()
    out = []
    for units in found:
        key = _key(units, theta, taken)
        taken |= {key[0]} if key else set()
        out.append(Units(units.size, units.places, key))
    return out


def _places(unit: Axis, blocks: Mapping[str, list[Axis]]) -> Units | None:
    places = {}
    for name, axes in blocks.items():
        factors = [v for a in axes for v in a.factors()]
        where = tuple(k for k, v in enumerate(factors) if v is unit)
        if where:
            places[name] = (tuple(v.size for v in factors), where)
    return Units(unit.size, places) if places else None


def _random(theta: Mapping[str, Tensor]) -> Theta:
    """A random point near another."""
    generator = torch.Generator().manual_seed(1952)
    return {
        n: t + 0.1 * (t.abs().mean() + 0.1) * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        for n, t in theta.items()
    }


def _holds(units: Units, problem: Problem, point: Mapping[str, Tensor], value: float) -> bool:
    """Whether the cost is the same after a random permutation at a random point (and the point is not the same)."""
    order = torch.randperm(units.size, generator=torch.Generator().manual_seed(1952))
    if torch.equal(order, torch.arange(units.size)):
        order = order.flip(0)
    with torch.no_grad():
        other = float(program_value(problem, units.act(order, point)))
    return abs(value - other) <= 1e-9 * (abs(value) + abs(other))


def _key(units: Units, theta: Mapping[str, Tensor], taken: set[str]) -> Key | None:
    """A block in which the units stand once: one with distinct numbers before all, then one with few axes."""
    choices = []
    for name, (shape, where) in units.places.items():
        if name in taken or len(where) != 1:
            continue
        key = (name, shape, where[0])
        ties = units.size - Units(units.size, {}, key).first(theta).unique().numel()
        choices.append((ties > 0, len(shape), len(choices), key))
    return min(choices)[-1] if choices else None
