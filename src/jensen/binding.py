"""The constants of a program, computed from a chunk of data: at once, or each time they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.fx.node import map_arg

from jensen.chunks import Chunk
from jensen.constants import inputs_first
from jensen.errors import Misuse
from jensen.kernel.program import Program

Arrays = dict[str, np.ndarray]


@dataclass
class Graph:
    """An exported part of the cost in normal form, and how to compute its constants for a chunk.

    ``buffers`` names those of the constants' sources that are buffers of the part.
    """

    program: Program
    fx_graph: fx.Graph
    inputs: list[fx.Node]
    attributes: dict[fx.Node, torch.Tensor]
    wanted: dict[str, tuple[fx.Node, Callable[[torch.Tensor], Any] | None]]
    roles: tuple[str, ...] = ()
    buffers: dict[fx.Node, str] = field(default_factory=dict)

    def moved(self, buffers: Mapping[str, torch.Tensor]) -> Graph | None:
        """The same program with its part's buffers at other values; None where the program may depend on them."""
        new = {node: buffers[name].detach().clone() for node, name in self.buffers.items()}
        changed = [(self.attributes[n], t) for n, t in new.items() if not torch.equal(self.attributes[n], t)]
        if any(_shaping(t) for pair in changed for t in pair):
            return None
        return replace(self, attributes={**self.attributes, **new})

    def bind(self, chunk: Chunk | None, fixed: Mapping[str, np.ndarray]) -> Arrays:
        """Values of the program's constants for one chunk."""
        return {**self.steady, **self.of_data(chunk), **self.of_blocks(fixed)}

    def of_data(self, chunk: Chunk | None) -> Arrays:
        """Those that are made from the chunk's data."""
        data = () if chunk is None else chunk.tensors
        if len(data) != len(self.inputs):
            raise Misuse(
                "torch.export found inputs that are not tensors of the data: make no generators or modules in the cost"
            )
        values = {**self.attributes, **dict(zip(self.inputs, data, strict=True))}
        return {name: self._value(name, values) for name in sorted(self.data)}

    def of_blocks(self, fixed: Mapping[str, np.ndarray]) -> Arrays:
        """Those that are blocks which a restriction has fixed."""
        return {f"fixed.{n}": value for n, value in fixed.items() if f"fixed.{n}" in self.program.leaves("const")}

    @cached_property
    def data(self) -> frozenset[str]:
        """Names of the constants that are made from the chunk's data."""
        made: dict[fx.Node, Any] = dict.fromkeys(self.inputs, True)

        def step(n: fx.Node) -> bool:
            return any(made[m] for m in n.all_input_nodes)

        leaves = self.program.leaves("const")
        return frozenset(n for n, (node, _) in self.wanted.items() if n in leaves and inputs_first(node, made, step))

    @cached_property
    def steady(self) -> Arrays:
        """Those that are the same for every chunk."""
        values: dict[fx.Node, Any] = dict(self.attributes)
        names = [n for n in self.wanted if n in self.program.leaves("const") and n not in self.data]
        return {name: self._value(name, values) for name in names}

    def _value(self, name: str, values: dict[fx.Node, Any]) -> np.ndarray:
        node, f = self.wanted[name]
        value = _evaluate(node, values)
        return _array(value if f is None else f(value))


def _shaping(t: torch.Tensor) -> bool:
    """Whether a program may be built upon a tensor's values: single numbers stand in it, masks hold minus infinity."""
    if not t.is_floating_point():
        return t.dtype == torch.bool  # as an index, its true places decide shapes
    return t.dim() == 0 or bool((t == -torch.inf).any())


def _evaluate(node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """Run an exact constant computation with torch, in memory that the caller keeps."""

    def run(n: fx.Node) -> Any:
        args, kwargs = map_arg((n.args, n.kwargs), lambda m: values[m])
        return n.target(*args, **{k: v for k, v in kwargs.items() if k != "device"})  # type: ignore[operator]

    return inputs_first(node, values, run)


def _array(t: torch.Tensor) -> np.ndarray:
    t = t.detach().cpu()
    if t.is_complex():
        return t.to(torch.complex128).numpy().copy()
    kind = torch.float64 if t.is_floating_point() else torch.bool if t.dtype == torch.bool else torch.int64
    return t.to(kind).numpy().copy()


@dataclass
class Last:
    """The constants of the chunk that was read last: of all terms that share this, only one has its own in memory."""

    owner: Any = None
    values: Arrays = field(default_factory=dict)


class Streamed(Mapping[str, np.ndarray]):
    """A term's constants, made from its chunk when they are asked for; a chunk that has changed is refused."""

    streamed = True

    def __init__(self, graph: Graph, chunk: Chunk | None, fixed: Mapping[str, np.ndarray], last: Last):
        self._graph, self._chunk, self._last = graph, chunk, last
        self._fixed = graph.of_blocks(fixed)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._fixed:
            return self._fixed[name]
        if name not in self._graph.data:
            return self._graph.steady[name]
        if self._last.owner is not self:
            self._last.owner, self._last.values = None, {}
            self._last.values = self._graph.of_data(self._chunk)
            self._last.owner = self
        return self._last.values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fixed or name in self._graph.data or name in self._graph.steady

    def __iter__(self) -> Iterator[str]:
        return iter((*self._graph.steady, *sorted(self._graph.data), *self._fixed))

    def __len__(self) -> int:
        return len(self._graph.steady) + len(self._graph.data) + len(self._fixed)
