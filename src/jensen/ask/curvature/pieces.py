"""The cost's terms as linearised gradients: one graph for all chunks that share a program, remembered with the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Program, Term
from jensen.linalg.linear_parts import Layout, gradient, handed, model_nodes
from jensen.linalg.linearise import Linearised, linearise
from jensen.linalg.torch_reading import constant
from jensen.trace import Traced

_GRAPHS: WeakKeyDictionary[Cost, dict[Any, tuple[Program, Any]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Point:
    """Where and in which part of the cost's curvature: all blocks' values, on one device, in one type.

    ``traced`` and ``modes`` are the cost's program and what it depended on when the point was taken.
    """

    cost: Cost
    theta: Mapping[str, Tensor]
    asked: tuple[str, ...]
    part: str
    traced: Traced
    modes: Any

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.traced.problem.terms

    def term(self, k: int) -> Term:
        return self.traced.problem.terms[k]

    @property
    def dtype(self) -> torch.dtype:
        return self.theta[self.asked[0]].dtype

    @property
    def device(self) -> torch.device:
        return self.theta[self.asked[0]].device


@dataclass(frozen=True)
class Piece:
    """One term at a point: its linearisation and the inputs of its graph."""

    linearised: Linearised
    inputs: list[Tensor]


def piece(point: Point, k: int) -> Piece | None:
    """The k-th term at a point; None where it has no share in the part."""
    term, found = point.term(k), prepared(point, k)
    if found is None:
        return None
    layout, f, inputs = found
    key = (id(term.program), layout, point.part, point.dtype, point.device, _shapes(inputs))
    graphs = _GRAPHS.setdefault(point.cost, {})
    for extra in ((), (k,)):  # graphs whose shapes depend on values belong to one term
        if (*key, *extra) in graphs:
            return Piece(graphs[(*key, *extra)][1], inputs)
    linearised = _linearised(f, layout, inputs, point.device)
    own = (k,) if linearised.mode == "real" else ()
    graphs[(*key, *own)] = (term.program, linearised)
    return Piece(linearised, inputs)


def prepared(point: Point, k: int) -> tuple[Layout, Any, list[Tensor]] | None:
    """The gradient of a term as a function, the meaning of its inputs, and the inputs."""
    term, part, inside = point.term(k), point.part, frozenset()
    program = term.program
    if part != "hessian":
        program, roles = handed(program, point.traced.roles[k])
        inside = model_nodes(program, roles)
        if not inside and part == "gauss-newton":
            return None
        part = part if inside else "hessian"
    own = term.program.leaves("block")
    others = tuple(n for n in own if n not in point.asked)
    consts = {n: constant(term.tensors[n], point.dtype).to(point.device) for n in term.program.leaves("const")}
    layout = Layout(point.asked, others, tuple(consts), part != "hessian")
    return layout, gradient(program, layout, part, inside), layout.inputs(point.theta, consts)


def _linearised(f: Any, layout: Layout, inputs: list[Tensor], device: torch.device) -> Linearised:
    moving = len(layout.asked)
    problem: Exception | None = None
    for mode in ("fake", "real"):
        try:
            with on(device):
                return linearise(f, inputs, moving, layout.twins, mode)
        except Misuse:
            raise
        except Exception as e:  # torch's tracing raises many unrelated types
            problem = problem or e
    text = " ".join(str(problem).split())[:200]
    raise Misuse(
        f"torch cannot linearise the gradient of this cost ({type(problem).__name__}: {text}); use mode='reverse'"
    ) from problem


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Without gradients, new tensors on the device."""
    with torch.no_grad(), nullcontext() if device.type == "cpu" else device:
        yield


def _shapes(inputs: list[Tensor]) -> tuple[Any, ...]:
    return tuple((tuple(t.shape), t.stride(), t.dtype) for t in inputs)
