"""J and its gradient by one backward pass of the cost itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from jensen.cost import Cost


def value_and_gradient(cost: Cost, theta: Mapping[str, Tensor], names: Iterable[str]) -> tuple[Tensor, list[Tensor]]:
    """J at values of all blocks, and its gradient in some of them, each of its block's shape; zeros where it has no part."""
    leaves = {n: theta[n].detach().to("cpu", cost.dtype).clone().requires_grad_() for n in names}
    with torch.enable_grad():
        value = cost({**theta, **leaves})
        asked = list(leaves.values())
        if not value.requires_grad:
            return value, [torch.zeros_like(t) for t in asked]
        return value.detach(), list(torch.autograd.grad(value, asked, allow_unused=True, materialize_grads=True))
