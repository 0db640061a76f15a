"""What of a program is made of constants alone, and its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.kernel.program import Linked, fill
from jensen.linalg.torch_reading import constant, function


@dataclass(frozen=True)
class Made:
    """Nodes that no block reaches, and those of them that data reaches."""

    fixed: frozenset[int]
    of_data: frozenset[int]


def made(linked: Linked, data: frozenset[str]) -> Made:
    """Args: ``data`` names the constants that are data; where none are named (a cost that is a function), all are."""
    fixed: set[int] = set()
    of_data: set[int] = set()
    for i, node in enumerate(linked.nodes):
        if node.op == "block" or any(j not in fixed for j in linked.inputs[i]):
            continue
        fixed.add(i)
        if (node.op == "const" and (not data or node.args[0] in data)) or any(j in of_data for j in linked.inputs[i]):
            of_data.add(i)
    return Made(frozenset(fixed), frozenset(of_data))


def made_value(linked: Linked, tensors: Mapping[str, np.ndarray], i: int) -> Tensor:
    """The value of a node that is made of constants, in float64."""
    return values(linked, tensors, (i,), {})[i]


def values(
    linked: Linked, tensors: Mapping[str, np.ndarray], wanted: tuple[int, ...], theta: Mapping[str, Tensor]
) -> dict[int, Tensor]:
    """Some nodes' values in float64 at given blocks; only what they need is computed."""
    needed = set(wanted)
    for i in range(max(wanted, default=-1), -1, -1):
        if i in needed:
            needed.update(linked.inputs[i])
    out: dict[int, Tensor] = {}
    for i in sorted(needed):
        node = linked.nodes[i]
        if node.op == "const":
            out[i] = constant(tensors[node.args[0]], torch.float64)
        elif node.op == "block":
            out[i] = theta[node.args[0]].double()
        else:
            out[i] = function(node.op)(*fill(node.args, out))
    return {i: out[i] for i in wanted}
