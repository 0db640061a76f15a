"""Gradients of a training: of all data, or of minibatches that come in the same order for every copy and every stack."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from jensen.ask.minima.inits import generator
from jensen.ask.minima.spec import Spec
from jensen.binding import Graph
from jensen.chunks import Chunk, Source
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Term, refs
from jensen.linalg.population import Population
from jensen.linalg.recorded import Run, direct, recorded
from jensen.linalg.stacked import Stack, prepare
from jensen.trace import capture
from jensen.weights import rows


@dataclass
class Full:
    """All data in every step; one graph for each number of copies and term."""

    population: Population
    compiled: bool
    runs: dict[Any, Run] = field(default_factory=dict)

    def __call__(self, points: Tensor, step: int) -> tuple[Tensor, Tensor]:
        total: tuple[Tensor, Tensor] | None = None
        for k, stack in enumerate(self.population.stacks()):
            found = self._run(k, stack, points)(points)
            total = found if total is None else (total[0] + found[0], total[1] + found[1])
        if total is None:
            raise Misuse("the cost has no terms")
        return total

    def _run(self, k: int, stack: Stack, points: Tensor) -> Run:
        run = direct(stack, self.population.flat)
        if self.population.streamed:
            return run
        key = (k, len(points), self.compiled)
        if key not in self.runs:
            self.runs[key] = recorded(run, self.compiled, points)
        return self.runs[key]


@dataclass
class Batches:
    """Minibatches of one chunk of data, drawn without replacement, epoch by epoch; what is left of an epoch is skipped."""

    cost: Cost
    spec: Spec
    dtype: torch.dtype
    device: torch.device
    graph: Graph
    whole: Chunk
    program_rows: int
    scale: Fraction
    flat: Any
    moving: tuple[int, ...] = ()
    stack: Stack | None = None
    order: tuple[int, Tensor] | None = None
    runs: dict[int, Run] = field(default_factory=dict)

    def __call__(self, points: Tensor, step: int) -> tuple[Tensor, Tensor]:
        stack = self._stack(step)
        if self.stack is None:
            self.stack, self.moving = stack, _data_nodes(self.graph, stack)
        given = [stack.shared[i] for i in self.moving]
        if len(points) not in self.runs:
            run = direct(self.stack, self.flat, self.moving)
            self.runs[len(points)] = recorded(run, bool(self.spec.compiled), points, *given)
        return self.runs[len(points)](points, *given)

    def _stack(self, step: int) -> Stack:
        """The program on the rows of one step."""
        total, size = self.program_rows, self.spec.batch or 1
        epoch, place = divmod(step, total // size)
        if self.order is None or self.order[0] != epoch:
            numbers = generator(self.spec.seed, epoch, "batches")
            self.order = epoch, torch.randperm(total, generator=numbers)
        pick = self.order[1][place * size : (place + 1) * size]
        return prepare(self._term(_part(self.whole, pick, total)), self.dtype, self.device)

    def _term(self, chunk: Chunk) -> Term:
        fixed = {name: t.numpy() for name, t in self.cost.fixed.items()}
        return Term(self.graph.program, self.graph.bind(chunk, fixed), self.scale, self.graph.data)


def batches(cost: Cost, spec: Spec, dtype: torch.dtype, device: torch.device, flat: Any) -> Callable[..., Any]:
    """The gradients of minibatches.

    Raises:
        Misuse: For a cost without data, with several chunks, or with fewer rows than a batch.
    """
    parts = cost.parts()
    whole = parts[0][0]
    if whole is None or not whole.shapes or len(parts) > 1 or cost.streamed:
        raise Misuse(
            "batch=... needs the data as one pair (x, y) in memory: leave batch out, or give the data like that"
        )
    total = rows(whole.tensors)
    if spec.batch is None or spec.batch > total:
        raise Misuse(f"batch={spec.batch!r} is more than the {total} rows of the data")
    scale = Fraction(1) if cost._reduction == "mean" else Fraction(total, spec.batch)
    graph = capture(_penalised_by(cost, float(scale)), _part(whole, torch.arange(spec.batch), total))
    return Batches(cost, spec, dtype, device, graph, whole, total, scale, flat)


def _penalised_by(cost: Cost, scale: float) -> Cost:
    """The cost with so many times less penalty: what scales a batch's loss up to all rows scales the penalty with it."""
    penalty, other = cost._penalty, copy.copy(cost)
    if penalty is not None and scale != 1:
        other._penalty = lambda named: penalty(named) / scale
    return other


def _part(chunk: Chunk, pick: Tensor, total: int) -> Chunk:
    """Some rows of a chunk; tensors without an axis of rows stay whole."""
    tensors = tuple(t[pick] if t.dim() and t.shape[0] == total else t for t in chunk.tensors)
    source = Source(None, torch.float64)
    source.kept, source.count = [tensors], 1
    shapes, dtypes = tuple(tuple(t.shape) for t in tensors), tuple(t.dtype for t in tensors)
    return Chunk(source, 0, chunk.spec, Fraction(1), shapes, dtypes, "")


def _data_nodes(graph: Graph, stack: Stack) -> tuple[int, ...]:
    """The shared values that are made from data."""
    made: set[int] = set()
    for i, node in enumerate(stack.program.nodes):
        if (node.op == "const" and node.args[0] in graph.data) or any(j in made for j in refs(node.args)):
            made.add(i)
    found = tuple(i for i in stack.shared if i in made)
    if any(not isinstance(stack.shared[i], Tensor) for i in found):
        raise Misuse("minibatches of this cost cannot be taken: leave batch out")
    return found
