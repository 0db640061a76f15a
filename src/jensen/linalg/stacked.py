"""The stacked reading of a program: J at many points at once, as one row of numbers.

Every value carries one more axis in front, the copies'; what no block enters is computed once. Matrix products, which
take nearly all the time, have rules of their own (one product for all copies where the data is shared); any other
operation is mapped over the copies by torch.vmap, or done copy by copy where torch cannot map it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jensen.kernel.program import Program, Ref, Term, refs
from jensen.linalg.stacked_rules import RULES
from jensen.linalg.torch_reading import constant, function


@dataclass
class Step:
    """One operation on copies: the node it computes, its function, its arguments, and which of them are stacked."""

    index: int
    op: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    inputs: tuple[int, ...]
    stacked: tuple[int, ...]
    looped: bool = False


@dataclass
class Stack:
    """A term prepared for many points.

    Attributes:
        steps: The operations that depend on blocks, in order.
        shared: Values of the other nodes that the steps read; constants are among them.
        blocks: The blocks' nodes.
        looped: Operations that torch cannot map over copies and that are done one copy at a time, filled while running.
    """

    program: Program
    steps: list[Step]
    shared: dict[int, Any]
    blocks: dict[str, int]
    weight: float
    last: dict[int, int] = field(default_factory=dict)
    looped: set[str] = field(default_factory=set)

    def __call__(self, theta: dict[str, Tensor], other: dict[int, Any] | None = None) -> Tensor:
        """The term's weighted values (k,) at k points, given as (k, *shape) tensors; ``other`` replaces shared values."""
        copies = len(next(iter(theta.values())))
        values: dict[int, Any] = {**self.shared, **(other or {})}
        values |= {i: theta[n] for n, i in self.blocks.items()}
        for step in self.steps:
            values[step.index] = _apply(self, step, values, copies)
            for i in step.inputs:
                if self.last.get(i) == step.index:
                    del values[i]  # autograd keeps what it needs
        out = values[self.program.output]
        if not self.steps:  # the output is a block or no function of one
            out = out if self.program.output in self.blocks.values() else out.expand(copies)
        return out.reshape(copies) * self.weight


def prepare(term: Term, dtype: torch.dtype, device: torch.device) -> Stack:
    """A term ready to be read at many points, its constants on the device."""
    program = term.program
    shared: dict[int, Any] = {}
    steps: list[Step] = []
    depends: set[int] = set()
    with torch.no_grad(), nullcontext() if device.type == "cpu" else device:
        for i, node in enumerate(program.nodes):
            inputs = tuple(dict.fromkeys(refs(node.args)))
            stacked = tuple(j for j in inputs if j in depends)
            if node.op == "block":
                depends.add(i)
            elif node.op == "const":
                shared[i] = constant(term.tensors[node.args[0]], dtype).to(device)
            elif stacked:
                depends.add(i)
                steps.append(Step(i, node.op, function(node.op), node.args, inputs, stacked))
            else:
                shared[i] = function(node.op)(*_fill(node.args, shared))
    read = {j for s in steps for j in s.inputs} | {program.output}
    shared = {i: v for i, v in shared.items() if i in read}
    last = {j: s.index for s in steps for j in s.inputs if j not in shared and j != program.output}
    blocks = {node.args[0]: i for i, node in enumerate(program.nodes) if node.op == "block"}
    return Stack(program, steps, shared, blocks, float(term.weight), last)


def _fill(args: Any, values: dict[int, Any]) -> list[Any]:
    return [values[a.index] if type(a) is Ref else tuple(_fill(a, values)) if type(a) is tuple else a for a in args]


def _apply(stack: Stack, step: Step, values: dict[int, Any], copies: int) -> Any:
    rule = RULES.get(step.op)
    if rule is not None:
        stacked = frozenset(step.stacked)
        flags = tuple(type(a) is Ref and a.index in stacked for a in step.args)
        plain = all(type(a) is not tuple or not any(refs(a)) for a in step.args)
        out = rule(flags, copies, *_fill(step.args, values)) if plain else None
        if out is not None:
            return out
    ins = [values[j] for j in step.stacked]

    def one(*rows: Any) -> Any:
        return step.f(*_fill(step.args, {**values, **dict(zip(step.stacked, rows, strict=True))}))

    if not step.looped:
        try:
            return torch.vmap(one)(*ins)
        except (RuntimeError, NotImplementedError, ValueError):
            step.looped = True
            stack.looped.add(step.op)
    return _one_by_one(one, ins, copies)


def _one_by_one(one: Callable[..., Any], ins: list[Any], copies: int) -> Any:
    """An operation done copy by copy; its values may be tuples."""
    rows = [one(*(_row(v, k) for v in ins)) for k in range(copies)]
    if isinstance(rows[0], (tuple, list)):
        return tuple(torch.stack(list(parts)) for parts in zip(*rows, strict=True))
    return torch.stack(rows)


def _row(value: Any, k: int) -> Any:
    return tuple(v[k] for v in value) if isinstance(value, (tuple, list)) else value[k]
