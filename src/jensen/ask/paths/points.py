"""Points of parameter space as people hold them: dicts of block tensors, or modules of the cost's architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.flat import Flat


@dataclass(frozen=True, eq=False)
class Point:
    """Values of all asked blocks and of all float buffers (running statistics), in the cost's dtype, on the CPU."""

    theta: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]

    def flat(self, cost: Cost) -> Tensor:
        """The blocks as one vector, in their order."""
        return Flat(cost.blocks).join(self.theta)


def read(cost: Cost, thing: Any, name: str = "the point") -> Point:
    """A point: a dict of tensors named like the blocks (and buffers), or a module; what is missing is as it is now.

    Raises:
        Misuse: For a name or a shape that the cost does not have, or a value that is not finite.
    """
    if isinstance(thing, Point):
        return thing
    if isinstance(thing, nn.Module):
        given = _of_module(cost, thing, name)
    elif isinstance(thing, Mapping):
        given = thing
    else:
        raise Misuse(f"{name} is {type(thing).__name__}; give a dict of block tensors, or a module like the cost's")
    theta, buffers = cost.theta, cost.buffers
    shapes = {**{n: tuple(b.shape) for n, b in buffers.items()}, **cost.blocks}
    for key, value in given.items():
        t = torch.as_tensor(value).detach()
        if key not in shapes:
            if not t.is_floating_point() or key in cost.fixed:
                continue  # a counter of batches; a block that a restriction fixes
            raise Misuse(f"{key!r} in {name} is no block of this cost; the blocks are {', '.join(cost.blocks)}")
        if tuple(t.shape) != shapes[key]:
            raise Misuse(f"{key!r} in {name} has shape {tuple(t.shape)}, in the cost {shapes[key]}")
        if not torch.isfinite(t).all():
            raise Misuse(f"{key!r} in {name} has entries that are not finite; give real numbers")
        target = theta if key in theta else buffers
        target[key] = t.to(device="cpu", dtype=cost.dtype, copy=True)
    return Point(theta, buffers)


def _of_module(cost: Cost, module: nn.Module, name: str) -> dict[str, Tensor]:
    """The parameters and float buffers of a module, by the names that the cost gives them."""
    named = dict(module.named_parameters(remove_duplicate=False))
    missing = [n for n in cost.blocks if n not in named]
    if missing:
        raise Misuse(f"{name} has no parameter {missing[0]!r}; give a module of the cost's own architecture")
    floats = {n: b for n, b in module.named_buffers() if b.is_floating_point() and n in cost.buffers}
    return {**{n: named[n] for n in cost.blocks}, **floats}


def between(a: Mapping[str, Tensor], b: Mapping[str, Tensor], t: float) -> dict[str, Tensor]:
    """(1 - t) a + t b, tensor by tensor; exactly a or b at the ends."""
    return {n: a[n] if t == 0 else b[n] if t == 1 else (1 - t) * a[n] + t * b[n] for n in a}


def value(cost: Cost, theta: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> float:
    """J at blocks and buffers."""
    with torch.no_grad():
        return (cost.holding(buffers) if buffers else cost)(theta).item()


def value_and_gradient(cost: Cost, x: Tensor) -> tuple[float, Tensor]:
    """J and its gradient at a flat vector (n,)."""
    flat = Flat(cost.blocks)
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        j = cost(flat.split(leaf))
        (g,) = torch.autograd.grad(j, leaf, allow_unused=True) if j.requires_grad else (None,)
    return j.item(), torch.zeros_like(x) if g is None else g
