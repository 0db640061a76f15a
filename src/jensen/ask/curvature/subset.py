"""How much the spectrum would move with other data of the same kind: the variation between groups of rows.

An eigenvalue with eigenvector x is, to first order, the mean of x'H_g x over groups g of rows; its standard error is that
of this mean, times the finite population correction where the data is a known part of a known whole.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from jensen import chunks
from jensen.ask.curvature.answers import Subset
from jensen.chunks import Chunk
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.operators import draw
from jensen.weights import chunk_weight, rows

GROUPS = 10
PROBES = 4
STREAM = 4  # of random numbers


def subset(
    cost: Any, operator: Any, at: Any, of: Any, population: float, highest: Tensor, lowest: Tensor, seed: int
) -> Subset:
    """Standard errors of the eigenvalues with given eigenvectors (n, k), and of the trace.

    Args:
        cost: The cost; a map without one is refused.
        operator: Its Hessian.
        at: Where, as in ``spectrum``.
        of: The blocks, as in ``spectrum``.
        population: How many rows there are in all; infinity for a distribution.
        highest: Eigenvectors.
        lowest: Eigenvectors.
        seed: Of the probes for the trace.
    """
    if not isinstance(cost, Cost):
        raise Misuse("population=... needs the data: give the jensen.Cost, not its Hessian")
    groups, used = _grouped(cost)
    if population < used:
        raise Misuse(
            f"population={population} is less than the {used} rows that the cost has; give the number of all rows"
        )
    probes = draw(operator, PROBES, seed, STREAM)
    block = torch.cat([highest, lowest, probes], 1).to("cpu", cost.dtype)
    parts, shares = _forms(groups, at, of, block)
    if len(parts) < 2:
        raise Misuse("population=... needs data in at least two chunks to see how they vary; cut it into more")
    total, count = parts.sum(0), len(parts)
    spread = np.sqrt(count / (count - 1) * ((parts - shares[:, None] * total) ** 2).sum(0))
    spread = spread * math.sqrt(max(1.0 - used / population, 0.0))
    k = highest.shape[1]
    trace = parts[:, -PROBES:].mean(1)
    error = math.sqrt(
        count / (count - 1) * float(((trace - shares * trace.sum()) ** 2).sum()) * (1.0 - used / population)
    )
    statement = (
        f"Standard errors from having {used} rows of {population:g}, by the variation between {count} groups of rows, to "
        f"first order. The highest eigenvalues of a part of the data are also biased upwards, the lowest downwards."
    )
    return Subset(count, tuple(map(float, spread[:k])), tuple(map(float, spread[k:-PROBES])), error, statement)


def _grouped(cost: Cost) -> tuple[Cost, int]:
    """The same cost with its data in at least so many chunks, and its rows."""
    found = cost._chunks
    sizes = [rows(pytree.tree_unflatten(c.tensors, c.spec)[0]) if c.spec is not None else 0 for c in found]
    if sum(sizes) < 2:
        raise Misuse("population=... needs a cost with at least two rows of data")
    if len(found) >= GROUPS or cost.streamed:
        return cost, sum(sizes)
    pieces = max(-(-GROUPS // len(found)), 2)
    pairs = [pair for chunk, size in zip(found, sizes, strict=True) for pair in _cut(chunk, size, pieces)]
    other = copy.copy(cost)
    other.__dict__.pop("_parts", None)
    other._programs = {}
    other._chunks = chunks.read(pairs, cost.dtype, partial(chunk_weight, cost._loss, cost._reduction, cost._weight))
    whole, cut = float(cost().detach()), float(other().detach())
    if not math.isclose(whole, cut, rel_tol=1e-8, abs_tol=1e-300):
        raise Misuse(
            f"the rows of this cost cannot be told apart: J is {whole} on all and {cut} cut in groups; "
            f"call model.eval(), or give the data in {GROUPS} chunks"
        )
    return other, sum(sizes)


def _cut(chunk: Chunk, size: int, pieces: int) -> Iterable[Any]:
    order = torch.from_numpy(np.random.default_rng(0).permutation(size))
    for index in torch.tensor_split(order, min(pieces, size)):
        tensors = [t[index] if t.dim() and len(t) == size else t for t in chunk.tensors]
        yield pytree.tree_unflatten(tensors, chunk.spec)


def _forms(cost: Cost, at: Mapping[str, Tensor] | None, of: Any, block: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Each group's share of v'Hv for every column v, and its share of the data."""
    names = cost.match(of)
    values = {n: t.detach().to("cpu", cost.dtype) for n, t in cost._values(at).items()}
    parts, sizes = [], []
    for k, (chunk, weight) in enumerate(cost.parts()):
        if chunk is None:
            continue
        parts.append(float(weight) * _quadratic(cost, values, names, k, chunk, block))
        x, _ = pytree.tree_unflatten(chunk.tensors, chunk.spec)
        sizes.append(float(chunk.weight) if cost._reduction == "mean" else rows(x))
    return np.array(parts), np.array(sizes) / sum(sizes)


def _quadratic(
    cost: Cost, values: Mapping[str, Tensor], names: tuple[str, ...], k: int, chunk: Chunk, block: Tensor
) -> np.ndarray:
    leaves = {n: values[n].clone().requires_grad_() for n in names}
    value = cost.part_value({**values, **leaves}, k, chunk)
    grads = torch.autograd.grad(
        value, list(leaves.values()), create_graph=True, materialize_grads=True, allow_unused=True
    )
    flat = torch.cat([g.reshape(-1) for g in grads])
    out = []
    for v in block.unbind(1):
        if not flat.requires_grad:
            return np.zeros(block.shape[1])
        rows_ = torch.autograd.grad(
            flat @ v, list(leaves.values()), retain_graph=True, materialize_grads=True, allow_unused=True
        )
        out.append(float(torch.cat([g.reshape(-1) for g in rows_]) @ v))
    return np.array(out)
