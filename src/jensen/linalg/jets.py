"""The jet reading of a program: the second derivative along a line, split over the operations.

Along a line theta + t d every value y of a program has a tangent dy/dt. With the adjoint of y, the derivative of the
output in y, the chain rule gives

    d^2 J / dt^2 = sum over operations f of < adjoint of f, D^2 f [tangents, tangents] >

exactly: linear operations add nothing, a product adds twice the product of its factors' tangents, an elementwise
function f''(x) times the tangent's square (Griewank and Walther 2008, chapters 3 and 5). One generic function computes
each term: the adjoint is pulled back through the single operation, and the result differentiated once more
(reverse over reverse). Nested forward mode is never used; torch gets it wrong on some operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward_mode
from torch import Tensor

from jensen.errors import Misuse
from jensen.kernel.program import Node, Program, fill, refs
from jensen.linalg.jets_kinds import PIECES, PRODUCTS, linear, product
from jensen.linalg.jets_rows import ROWS
from jensen.linalg.torch_reading import constant, function

Value = Any  # a tensor, or a tuple of tensors where an operation has several results


@dataclass
class Local:
    """One operation with its moving inputs cut off: leaves, outputs with their graph back to the leaves."""

    leaves: dict[int, Tensor]
    outputs: Value


@dataclass
class Tape:
    """Values and tangents of every node; where nothing moves the tangent is None."""

    program: Program
    values: list[Value]
    tangents: list[Value]
    locals: dict[int, Local]


def second_order(
    program: Program, tensors: Mapping[str, np.ndarray], theta: Mapping[str, Tensor], direction: Mapping[str, Tensor]
) -> dict[int, float]:
    """The second derivative of the output along a direction, split over the nodes.

    Args:
        program: Its output has one element.
        tensors: The program's constants.
        theta: A tensor for every block, all of one dtype (float64 where precision matters) and device.
        direction: Tangents of blocks, of the blocks' shapes; blocks without one stay fixed.

    Returns:
        Node -> its term, in the order of the program, for every node that the direction moves through something other
        than a linear map. Zero where an operation is made of linear pieces.

    Raises:
        Misuse: Where an operation has no second derivative at this point, or torch has none of it.
    """
    tape = forward(program, tensors, theta, direction)
    return dict(sorted(backward(tape)))


# -- values and tangents forward -------------------------------------------------------------------------------------


def forward(
    program: Program, tensors: Mapping[str, np.ndarray], theta: Mapping[str, Tensor], direction: Mapping[str, Tensor]
) -> Tape:
    """Values and tangents of all nodes."""
    some = next(iter(theta.values()))
    tape = Tape(program, [], [], {})
    for i, node in enumerate(program.nodes):
        tangent = None
        if node.op == "block":
            value, tangent = theta[node.args[0]].detach(), direction.get(node.args[0])
        elif node.op == "const":
            value = constant(tensors[node.args[0]], some.dtype).to(some.device)
        else:
            value, tangent = _step(tape, i, node)
        tape.values.append(value)
        tape.tangents.append(tangent)
    return tape


def _step(tape: Tape, i: int, node: Node) -> tuple[Value, Value]:
    """Value and tangent of one operation; its graph is kept for the way back."""
    if node.op == "python.getitem":
        source, k = node.args[0].index, node.args[1]
        tangents = tape.tangents[source]
        return tape.values[source][k], None if tangents is None else tangents[k]
    moving = {j: tape.tangents[j] for j in refs(node.args) if isinstance(tape.tangents[j], Tensor)}
    if not moving:
        with torch.no_grad():
            return function(node.op)(*fill(node.args, tape.values)), None
    leaves = {j: tape.values[j].detach().requires_grad_() for j in moving}
    with torch.enable_grad():
        outputs, tangent = outputs_and_tangents(node, tape.values, leaves, moving)
    if not any(isinstance(o, Tensor) and o.requires_grad for o in results(outputs)):
        return outputs, None
    tape.locals[i] = Local(leaves, outputs)
    return each(outputs, Tensor.detach), tangent


def outputs_and_tangents(node: Node, values: list[Value], leaves: dict[int, Tensor], moving: dict[int, Tensor]) -> Any:
    """The operation's outputs, attached to the leaves, and their tangents."""
    f = function(node.op)
    try:
        with forward_mode.dual_level():
            duals = {j: forward_mode.make_dual(leaf, moving[j]) for j, leaf in leaves.items()}
            pairs = each(f(*fill(node.args, Patched(values, duals))), _unpacked)
    except (NotImplementedError, RuntimeError):  # torch has no forward derivative of it
        outputs = f(*fill(node.args, Patched(values, leaves)))
        return outputs, pushed(outputs, leaves, moving)
    outputs = each(pairs, lambda p: p.primal)
    return outputs, each(pairs, lambda p: _or_zeros(p.primal, p.tangent))


def _unpacked(o: Any) -> Any:
    return forward_mode.unpack_dual(o) if isinstance(o, Tensor) else forward_mode.UnpackedDualTensor(o, None)


def pushed(outputs: Value, leaves: Mapping[int, Tensor], moving: Mapping[int, Tensor]) -> Value:
    """Tangents by two reverse passes: the pullback is linear in the adjoint, and its derivative is the tangent map."""
    outs = [o for o in results(outputs) if o.requires_grad]
    if not outs:
        return each(outputs, lambda o: None)
    adjoints = [torch.zeros_like(o).requires_grad_() for o in outs]
    back = torch.autograd.grad(outs, list(leaves.values()), adjoints, create_graph=True, allow_unused=True)
    pairs = [(b, moving[j]) for j, b in zip(leaves, back, strict=True) if b is not None and b.requires_grad]
    found = torch.autograd.grad(
        [b for b, _ in pairs], adjoints, [t for _, t in pairs], retain_graph=True, allow_unused=True
    )
    tangents = {id(o): torch.zeros_like(o) if t is None else t.detach() for o, t in zip(outs, found, strict=True)}
    return each(outputs, lambda o: tangents.get(id(o)))


def _or_zeros(value: Tensor, tangent: Tensor | None) -> Tensor | None:
    if tangent is not None:
        return tangent.detach()
    return torch.zeros_like(value) if isinstance(value, Tensor) and value.requires_grad else None


class Patched:
    """Values by node, some of them replaced."""

    def __init__(self, values: list[Value], instead: Mapping[int, Value]):
        self.values, self.instead = values, instead

    def __getitem__(self, i: int) -> Value:
        found = self.instead.get(i)
        return self.values[i] if found is None else found


# -- adjoints back ---------------------------------------------------------------------------------------------------


def backward(tape: Tape) -> Iterator[tuple[int, float]]:
    """Nodes from the output back, with their second-order terms."""
    nodes, output = tape.program.nodes, tape.program.output
    if tape.tangents[output] is None:
        return
    adjoints: dict[int, Any] = {output: torch.ones_like(tape.values[output])}
    for i in reversed(range(output + 1)):
        adjoint = adjoints.pop(i, None)
        if adjoint is None:
            continue
        node = nodes[i]
        if node.op == "python.getitem":
            slots = adjoints.setdefault(node.args[0].index, {})
            slots[node.args[1]] = plus(slots.get(node.args[1]), adjoint)
        elif i in tape.locals:
            term, back = _pull(tape, i, node, adjoint)
            for j, g in back.items():
                adjoints[j] = plus(adjoints.get(j), g)
            if term is not None:
                yield i, term


def _pull(tape: Tape, i: int, node: Node, adjoint: Any) -> tuple[float | None, dict[int, Tensor]]:
    """One operation's second-order term (None where it is linear), and the adjoints of its inputs."""
    local = tape.locals.pop(i)
    simple = linear(node, lambda j: tape.tangents[j] is not None)
    pieces = node.op in PIECES and not any(leaf.is_complex() for leaf in local.leaves.values())  # |z| is curved
    generic = not (simple or node.op in PRODUCTS or node.op in ROWS or pieces)
    back = pulled(node, local, adjoint, generic)
    if simple:
        return None, _detached(back)
    moving = {j: tape.tangents[j] for j in local.leaves}
    if generic:
        term = _again(node, local, back, moving)
    elif pieces:
        term = 0.0
    elif node.op in PRODUCTS:
        args = fill(node.args, Patched(tape.values, moving))
        with torch.no_grad():
            term = 2 * inner(adjoint, function(node.op)(*product(node.op, args)))
    else:
        args = fill(node.args, tape.values)
        term = ROWS[node.op](adjoint, tape.values[i], tape.tangents[node.args[0].index], *args)
    if not np.isfinite(term):
        raise Misuse(
            f"{node.name} ({node.op}) has no finite second derivative at this point; ask at another one, or along a "
            f"direction that leaves the blocks behind it alone"
        )
    return term, _detached(back)


def pulled(node: Node, local: Local, adjoint: Any, again: bool = False) -> dict[int, Tensor | None]:
    """Adjoints of an operation's moving inputs."""
    outs = results(local.outputs)
    slots = [adjoint.get(k) for k in range(len(outs))] if isinstance(adjoint, dict) else [adjoint]
    used = [(o, torch.zeros_like(o) if a is None else a) for o, a in zip(outs, slots, strict=True) if o.requires_grad]
    try:
        found = torch.autograd.grad(
            [o for o, _ in used],
            list(local.leaves.values()),
            [a for _, a in used],
            create_graph=again,
            allow_unused=True,
        )
    except (NotImplementedError, RuntimeError) as e:
        raise Misuse(_missing(node, "derivative", e)) from e
    return dict(zip(local.leaves, found, strict=True))


def _again(node: Node, local: Local, back: Mapping[int, Tensor | None], moving: Mapping[int, Tensor]) -> float:
    """The derivative of < pullback, tangents > along the tangents: < adjoint, D^2 f [tangents, tangents] >."""
    pairs = [(g, moving[j]) for j, g in back.items() if g is not None and g.requires_grad]
    if not pairs:
        return 0.0
    try:
        found = torch.autograd.grad(
            [g for g, _ in pairs], list(local.leaves.values()), [t for _, t in pairs], allow_unused=True
        )
    except (NotImplementedError, RuntimeError) as e:
        raise Misuse(_missing(node, "second derivative", e)) from e
    return sum(inner(h, moving[j]) for j, h in zip(local.leaves, found, strict=True) if h is not None)


def _detached(back: Mapping[int, Tensor | None]) -> dict[int, Tensor]:
    return {j: g.detach() for j, g in back.items() if g is not None}


def _missing(node: Node, what: str, e: Exception) -> str:
    text = " ".join(str(e).split())[:160]
    return f"torch has no {what} of {node.op} ({node.name}): {text}; write it in other operations"


# -- small things ----------------------------------------------------------------------------------------------------


def results(outputs: Value) -> list[Any]:
    """An operation's results as a list."""
    return [*outputs] if isinstance(outputs, (tuple, list)) else [outputs]


def each(outputs: Value, f: Any) -> Any:
    """The same function of every result."""
    several = isinstance(outputs, (tuple, list)) and not hasattr(outputs, "primal")
    return tuple(f(o) for o in outputs) if several else f(outputs)


def inner(a: Tensor, b: Tensor) -> float:
    """The real inner product of two tensors of one shape."""
    if a.is_complex() or b.is_complex():
        return float((a.conj() * b).real.sum())
    return float(torch.dot(a.reshape(-1), b.reshape(-1)))


def plus(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
