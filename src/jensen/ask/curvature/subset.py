"""How much the spectrum would move with other data of the same kind: the variation between groups of rows.

An eigenvalue with eigenvector x is, to first order, the mean of x'H_g x over groups g of rows; its standard error is that
of this mean, times the finite population correction where the data is a known part of a known whole. The trace is the sum
of v'H_g v over a basis where that is small, and estimated with random v where it is not. Then the differences between the
groups have a variance of their own, which the spread between the groups' values at one v would count as the data's. The
product of two values at independent v does not, on average: the estimate is the mean of these products over all pairs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from jensen import chunks
from jensen.ask.curvature.answers import Subset
from jensen.ask.curvature.shards import Shard, together
from jensen.chunks import Chunk
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.operators import draw
from jensen.weights import chunk_weight, rows

GROUPS = 10
PROBES = 16  # for the trace at first; twice as many again and again
MOST = 256  # probes at most
EXACT = 1024  # up to so many parameters the traces are exact
ENOUGH = 0.5  # of the variance less its standard error: what the probes may leave uncertain, as a standard error
STREAM = 4  # of random numbers


def subset(
    cost: Any, operator: Any, at: Any, of: Any, population: float, highest: Tensor, lowest: Tensor, seed: int
) -> Subset:
    """Standard errors of the eigenvalues with given eigenvectors (n, k), and of the trace.

    Args:
        cost: The cost; a map without one is refused.
        operator: Its Hessian, counting; under torch.distributed the groups are of all processes' data.
        at: Where, as in ``spectrum``.
        of: The blocks, as in ``spectrum``.
        population: How many rows there are in all; infinity for a distribution.
        highest: Eigenvectors.
        lowest: Eigenvectors.
        seed: Of the probes for the trace.
    """
    if not isinstance(cost, Cost):
        raise Misuse("population=... needs the data: give the jensen.Cost, not its Hessian")
    groups = Groups(cost, operator.inner.shard, at, of)
    if isinstance(population, bool) or not isinstance(population, Real) or math.isnan(population):
        raise Misuse(f"population={population!r} is no number of rows; infinity stands for a distribution")
    if population < groups.used:
        raise Misuse(
            f"population={population} is less than the {groups.used} rows that the cost has; give the number of all rows"
        )
    left = max(1.0 - groups.used / population, 0.0)  # the finite population correction
    k = highest.shape[1]
    found = groups.deviations(lambda: torch.cat([highest, lowest], 1).T)
    spread = np.sqrt(left * (found**2).sum(0))
    trace, sure = _trace(groups, operator, seed)
    statement = (
        f"Standard errors from having {groups.used} rows of {population:g}, by the variation between {len(found)} groups of "
        f"rows, to first order. The highest eigenvalues of a part of the data are also biased upwards, the lowest downwards."
        + ("" if sure else f" That of the trace is an upper limit: {MOST} random vectors do not tell it more closely.")
    )
    error = math.sqrt(left * trace)
    return Subset(len(found), tuple(map(float, spread[:k])), tuple(map(float, spread[k:])), error, statement)


def _trace(groups: Groups, operator: Any, seed: int) -> tuple[float, bool]:
    """The variance of the trace, and whether it is that or an upper limit; without the finite population correction."""
    n = operator.n
    if n <= EXACT:
        exact = groups.deviations(lambda: torch.eye(n, dtype=torch.float64)).sum(1)
        return float((exact**2).sum()), True
    found, size = np.zeros((groups.count, 0)), PROBES
    while True:
        new = range(found.shape[1], size)
        more = groups.deviations(lambda new=new: (draw(operator, 1, seed, STREAM, i)[:, 0] for i in new))
        found = np.concatenate([found, more], 1)
        value, error = _squared_mean(found)
        if error <= ENOUGH * (value - error):
            return value, True
        if size >= MOST:
            return max(value, 0.0) + 2 * error, False
        size *= 2


def _squared_mean(found: np.ndarray) -> tuple[float, float]:
    """The square of a vector's mean without the variance of its samples, which are columns, and a jackknife error of it."""
    p, total, squares = found.shape[1], found.sum(1), (found**2).sum(0)
    value = (total @ total - squares.sum()) / (p * (p - 1))
    rest = total[:, None] - found
    without = ((rest**2).sum(0) - (squares.sum() - squares)) / ((p - 1) * (p - 2))
    return float(value), math.sqrt((p - 1) / p * float(((without - without.mean()) ** 2).sum()))


class Groups:
    """The data of all processes in groups of rows, each process holding some of them.

    Attributes:
        used: The rows of data in all.
        count: The groups in all.
    """

    def __init__(self, cost: Cost, shard: Shard, at: Mapping[str, Tensor] | None, of: Any):
        self.shard, self.names = shard, cost.match(of)
        self.values = {n: t.detach().to("cpu", cost.dtype) for n, t in cost._values(at).items()}
        with together(shard.processes):
            self.cost, held = _alone(cost), _sizes(cost)
        own = shard.kind == "own"
        chunks_, self.used = (sum(shard.gather([v])) if own else v for v in (len(held), sum(held)))
        streamed = any(shard.gather([cost.streamed]))
        with together(shard.processes):
            if self.used < 2:
                raise Misuse("population=... needs a cost with at least two rows of data")
            if chunks_ < GROUPS and not streamed:
                self.cost = _cut_up(self.cost, held, max(-(-GROUPS // chunks_), 2))
        parts = [(k, chunk, float(w)) for k, (chunk, w) in enumerate(self.cost.parts()) if chunk is not None]
        self.parts = [parts[k] for k in shard.owned(len(parts))]
        shares = np.array(shard.gather([self._size(chunk) for _, chunk, _ in self.parts]))
        self.shares, self.count = shares / shares.sum(), len(shares)
        if self.count < 2:
            raise Misuse("population=... needs data in at least two chunks to see how they vary; cut it into more")

    def _size(self, chunk: Chunk) -> float:
        if self.cost._reduction == "mean":
            return float(chunk.weight)
        return rows(pytree.tree_unflatten(chunk.tensors, chunk.spec)[0])

    def deviations(self, vectors: Callable[[], Iterable[Tensor]]) -> np.ndarray:
        """How far each group's part of v'Hv is from its share of the whole, for every v in a column.

        The squares in a column sum to the variance of v'Hv over other data of as many rows; where these are independent,
        without bias whatever the groups' sizes. The vectors are drawn anew for each group: only one is in memory.
        """
        scale = self.shard.scale
        mine = [weight * scale * self._forms(k, chunk, vectors()) for k, chunk, weight in self.parts]
        parts = np.array(self.shard.gather(mine))
        return (parts - self.shares[:, None] * parts.sum(0)) / math.sqrt(1.0 - float((self.shares**2).sum()))

    def _forms(self, k: int, chunk: Chunk, vectors: Iterable[Tensor]) -> np.ndarray:
        """v'Hv of one chunk."""
        leaves = {n: self.values[n].clone().requires_grad_() for n in self.names}
        inputs = list(leaves.values())
        value = self.cost.part_value({**self.values, **leaves}, k, chunk)
        grad = partial(torch.autograd.grad, inputs=inputs, allow_unused=True, materialize_grads=True)
        flat = _flat(grad(value, create_graph=True))

        def form(v: Tensor) -> float:
            v = v.to("cpu", flat.dtype)
            if not flat.requires_grad:
                return 0.0
            return float(_flat(grad(flat @ v, retain_graph=True)) @ v)

        return np.array([form(v) for v in vectors])


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def _sizes(cost: Cost) -> list[int]:
    """The rows of each chunk; the data has to be there."""
    return [rows(pytree.tree_unflatten(c.tensors, c.spec)[0]) if c.spec is not None else 0 for c in cost._chunks]


def _alone(cost: Cost) -> Cost:
    """The cost without its penalty, which does not vary with the data."""
    other = copy.copy(cost)
    other._penalty, other._programs = None, {}
    other.__dict__.pop("_shares", None)
    return other


def _cut_up(cost: Cost, sizes: list[int], pieces: int) -> Cost:
    """The same cost with each of its chunks in so many."""
    pairs = [pair for chunk, size in zip(cost._chunks, sizes, strict=True) for pair in _cut(chunk, size, pieces)]
    other = copy.copy(cost)
    other._programs = {}
    other._chunks = chunks.read(pairs, cost.dtype, partial(chunk_weight, cost._loss, cost._reduction, cost._weight))
    whole, cut = float(cost().detach()), float(other().detach())
    if not math.isclose(whole, cut, rel_tol=1e-8, abs_tol=1e-300):
        raise Misuse(
            f"the rows of this cost cannot be told apart: J is {whole} on all and {cut} cut in groups; "
            f"call model.eval(), or give the data in {GROUPS} chunks"
        )
    return other


def _cut(chunk: Chunk, size: int, pieces: int) -> Iterable[Any]:
    order = torch.from_numpy(np.random.default_rng(0).permutation(size))
    for index in torch.tensor_split(order, min(pieces, size)):
        tensors = [t[index] if t.dim() and len(t) == size else t for t in chunk.tensors]
        yield pytree.tree_unflatten(tensors, chunk.spec)
