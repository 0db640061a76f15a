"""One cone of the hidden units' permutations, as a box of steps.

Exchangeable units give every point many copies, and a cost that is the same at all of them cannot be convex unless it is
flat between them. Is that all that breaks convexity? Keep only the points at which the units stand in the order of one
coordinate u, u_1 <= u_2 <= ...: one copy of each point. There u is the running sum of steps of which all but the first are
not negative, a linear change of variables, so that convexity on the cone is convexity on a box of the new cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.ask.why.mechanism_units import Theta, Units, find_units
from jensen.ask.why.surgery import ordered
from jensen.kernel.claims.words import listing
from jensen.kernel.program import Problem

ROUNDS = 5
APART = 0.1


@dataclass(frozen=True)
class Cone:
    """A cost in steps, a point, and the box that is the cone."""

    problem: Problem
    theta: Theta
    within: Mapping[str, tuple[np.ndarray, np.ndarray]]
    names: Mapping[str, str]
    surgery: str
    note: str

    def renamed(self, blocks: Sequence[str]) -> tuple[str, ...]:
        """The asked blocks of the new cost."""
        return tuple(self.names.get(n, n) for n in blocks)


def cone(problem: Problem, theta: Mapping[str, Tensor], asked: Sequence[str]) -> Cone | str:
    """The cost on one ordered cone, around a copy of a point; or why there is none."""
    found = find_units(problem, theta)
    classes = [u for u in found if u.key is not None and set(u.factor.blocks) <= set(asked)]
    if not found:
        return "no interchangeable hidden units are known in this program"
    point, classes = _sorted(classes, theta)
    if not classes:
        return "no asked block orders the interchangeable units, or a class of them reaches blocks that are not asked"
    keys = {u.key[0]: (*u.key[1:], f"steps of {u.key[0]}") for u in classes if u.key is not None}
    spread = [u for u in classes if bool((u.first(point).diff() == 0).any())]
    for units in spread:
        point = _spread(units, point)
    new = {n: t for n, t in point.items() if n not in keys}
    within = {}
    for name, (shape, axis, steps) in keys.items():
        new[steps], within[steps] = _steps(point[name], shape, axis)
    names = {n: s for n, (_, _, s) in keys.items()}
    return Cone(ordered(problem, keys), new, within, names, _words(classes), _note(found, classes, spread))


def _sorted(classes: list[Units], theta: Mapping[str, Tensor]) -> tuple[Theta, list[Units]]:
    """A copy of the point on the cone, and the classes that could be ordered at once."""
    point = dict(theta)
    for _ in range(ROUNDS):
        for units in classes:
            point = units.act(torch.argsort(units.first(point), stable=True), point)
    return point, [u for u in classes if bool((u.first(point).diff() >= 0).all())]


def _spread(units: Units, point: Theta) -> Theta:
    """Units with equal keys moved apart, so that the point lies inside the cone: no copy of it is near."""
    if units.key is None:
        return point
    name, shape, axis = units.key
    value = point[name].clone()
    size = APART * (float(value.abs().mean()) or 1.0) / units.size
    _front(value, shape, axis).add_(size * torch.arange(units.size, dtype=value.dtype))
    return {**point, name: value}


def _front(value: Tensor, shape: tuple[int, ...], axis: int) -> Tensor:
    """The first entries along an axis, as a view of a block."""
    return value.view(shape).movedim(axis, 0)[(slice(None), *(0,) * (len(shape) - 1))]


def _steps(value: Tensor, shape: tuple[int, ...], axis: int) -> tuple[Tensor, tuple[np.ndarray, np.ndarray]]:
    """The block in steps, and the bounds: steps after the first are not negative."""
    steps, low = value.clone(), torch.full_like(value, -torch.inf)
    _front(steps, shape, axis)[1:] = _front(value, shape, axis).diff()
    _front(low, shape, axis)[1:] = 0.0
    return steps, (low.numpy(), np.full(value.shape, np.inf))


def _words(classes: Sequence[Units]) -> str:
    keys = [u.key[0] for u in classes if u.key is not None]
    return (
        f"the hidden units kept in increasing order of {listing(keys)} "
        f"(one coordinate a unit, as a running sum of steps that are not negative)"
    )


def _note(found: Sequence[Units], classes: Sequence[Units], spread: Sequence[Units]) -> str:
    words = [f"{len(classes)} of {len(found)} known classes of interchangeable units are ordered"]
    if spread:
        words.append("units with equal coordinates were moved apart for the search")
    words.append("copies by other symmetries (signs, scales) are not excluded")
    return "; ".join(words)
