"""Batch norm in evaluation mode: its buffers are constants, which no permutation leaves alone. Taken into the norm's weight and
bias they disappear, and in these coordinates the norm is a plain gain and bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import torch

from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.frame import Frame
from jensen.kernel.program import Linked, Ref, fill
from jensen.linalg.torch_reading import constant, function


def frames(flow: Flow, tensors: Mapping[str, np.ndarray], data: frozenset[str]) -> tuple[dict[int, int], list[Frame]]:
    """Nodes that stand for an earlier one once the buffers are taken in, and the coordinates."""
    linked = flow.linked
    fixed = _fixed(linked, data)
    same: dict[int, int] = {}
    out: list[Frame] = []
    for i, node in enumerate(linked.nodes):
        if node.op != "aten.sub.Tensor" or not all(type(a) is Ref for a in node.args):
            continue
        x, c = (a.index for a in node.args)
        found = None if fixed[x] or not fixed[c] else _norm(flow, fixed, i)
        if found is None:
            continue
        rate, weight, bias = found
        values = [_value(linked, tensors, k).double().reshape(-1).numpy() for k in (c, rate)]
        n = next(
            prod(s) for m, s in zip(linked.nodes, linked.shapes, strict=True) if m.op == "block" and m.args[0] == weight
        )
        if all(v.size == n for v in values) and (values[1] != 0).all():
            same[i] = x
            same[flow.users[i][0]] = i
            out.append(Frame(weight, bias, values[0], values[1]))
    return same, out


def _norm(flow: Flow, fixed: Sequence[bool], i: int) -> tuple[int, str, str] | None:
    """The rest of (x - mean) * rate * weight + bias, where nothing else reads what lies between or the two blocks."""
    scaled = _only(flow, i, "aten.mul.Tensor")
    rate = None if scaled is None else _other(flow, scaled, i)
    if scaled is None or rate is None or not fixed[rate]:
        return None
    gained = _only(flow, scaled, "aten.mul.Tensor")
    gain = None if gained is None else _other(flow, gained, scaled)
    if gained is None or gain not in flow.origin:
        return None
    summed = _only(flow, gained, "aten.add.Tensor")
    bias = None if summed is None else _other(flow, summed, gained)
    if summed is None or bias not in flow.origin:
        return None
    names = flow.origin[gain][0], flow.origin[bias][0]
    return (rate, *names) if all(len(flow.deliveries[n]) == 1 for n in names) else None


def _only(flow: Flow, i: int, op: str) -> int | None:
    users = flow.users[i]
    return users[0] if len(users) == 1 and flow.linked.nodes[users[0]].op == op else None


def _other(flow: Flow, k: int, i: int) -> int | None:
    others = [a for a in flow.args(k) if a != Ref(i)]
    return others[0].index if len(others) == 1 and type(others[0]) is Ref else None


def _fixed(linked: Linked, data: frozenset[str]) -> list[bool]:
    """Which nodes are made of constants alone that are no data."""
    out: list[bool] = []
    for i, node in enumerate(linked.nodes):
        if node.op == "const":
            out.append(node.args[0] not in data)
        else:
            out.append(node.op != "block" and all(out[j] for j in linked.inputs[i]))
    return out


def _value(linked: Linked, tensors: Mapping[str, np.ndarray], i: int) -> torch.Tensor:
    node = linked.nodes[i]
    if node.op == "const":
        return constant(tensors[node.args[0]], torch.float64)
    values = {j: _value(linked, tensors, j) for j in linked.inputs[i]}
    return function(node.op)(*fill(node.args, values))
