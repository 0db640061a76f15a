"""The secant reading of a program: a chord's second difference, split over the operations.

For the ends a, b of a chord and its midpoint m, every operation y = f(x) of a program satisfies

    y(a) + y(b) - 2 y(m) = [ f(x(a)) + f(x(b)) - 2 f(x') ] + S [ x(a) + x(b) - 2 x(m) ],     x' = (x(a) + x(b)) / 2,

for any linear map S with S (x' - x(m)) = f(x') - f(x(m)): its own gap at the midpoint of its inputs, and what it passes on
of theirs. Parameters are linear along the chord, so that J(a) + J(b) - 2 J(m) is the sum over operations of
< secant adjoint, own gap >, the adjoints being carried back through the transposes of the maps S. The split depends on the
choice of S; the choices are in :mod:`jensen.linalg.secants_rules`. Kinks are no obstacle, and as the chord shrinks the
terms divided by its squared half length become those of :mod:`jensen.linalg.jets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.errors import Misuse
from jensen.kernel.program import Node, Program, fill, refs
from jensen.linalg.jets import Patched, inner, plus, results
from jensen.linalg.jets_kinds import LINEAR, PRODUCTS, linear, product
from jensen.linalg.secants_rules import Step, apart, passed, pullback
from jensen.linalg.torch_reading import constant, function

Theta = Mapping[str, Tensor]
Value = Any


@dataclass
class Three:
    """Values of all nodes at both ends and at the midpoint; which of them differ."""

    a: list[Value]
    b: list[Value]
    m: list[Value]
    moving: list[bool]


def second_difference(
    program: Program, tensors: Mapping[str, np.ndarray], a: Theta, b: Theta
) -> tuple[dict[int, float], float]:
    """J(a) + J(b) - 2 J(m) split over the nodes, m the midpoint.

    Args:
        program: Its output has one element.
        tensors: The program's constants.
        a: A tensor for every block (float64, on the CPU).
        b: The other end.

    Returns:
        Node -> its term, in the order of the program, for every node that the chord moves through something other than
        a linear map; and the second difference itself.

    Raises:
        Misuse: Where the midpoint of an operation's inputs leaves its domain, or torch has no derivative of it.
    """
    points = _three(program, tensors, a, b)
    terms: dict[int, float] = {}
    if points.moving[program.output]:
        _carry(program, points, terms)
    ends = [float(v[program.output].reshape(())) for v in (points.a, points.b, points.m)]
    return dict(sorted(terms.items())), ends[0] + ends[1] - 2 * ends[2]


def _three(program: Program, tensors: Mapping[str, np.ndarray], a: Theta, b: Theta) -> Three:
    points = Three([], [], [], [])
    dtype = next(iter(a.values())).dtype
    for node in program.nodes:
        if node.op == "block":
            name = node.args[0]
            values = a[name], b[name], (a[name] + b[name]) / 2
            moving = not torch.equal(a[name], b[name])
        elif node.op == "const":
            values, moving = (constant(tensors[node.args[0]], dtype),) * 3, False
        else:
            moving = any(points.moving[j] for j in refs(node.args))
            with torch.no_grad():
                places = (points.a, points.b, points.m) if moving else (points.m,)
                values = tuple(function(node.op)(*fill(node.args, v)) for v in places)
        for column, value in zip((points.a, points.b, points.m), values if moving else values[-1:] * 3, strict=True):
            column.append(value)
        points.moving.append(moving)
    return points


def _carry(program: Program, points: Three, terms: dict[int, float]) -> None:
    """Secant adjoints from the output back, and each node's term."""
    adjoints: dict[int, Any] = {program.output: torch.ones_like(points.m[program.output])}
    for i in reversed(range(program.output + 1)):
        adjoint = adjoints.pop(i, None)
        node = program.nodes[i]
        if adjoint is None or not points.moving[i] or node.op in ("block", "const"):
            continue
        if node.op == "python.getitem":
            slots = adjoints.setdefault(node.args[0].index, {})
            slots[node.args[1]] = plus(slots.get(node.args[1]), adjoint)
            continue
        term, back = _step(i, node, points, adjoint)
        for j, g in back.items():
            if not torch.isfinite(g).all():
                raise Misuse(f"{node.name} ({node.op}) has no finite secant on this chord; take another one")
            adjoints[j] = plus(adjoints.get(j), g)
        if term is not None:
            terms[i] = term


def _step(i: int, node: Node, points: Three, adjoint: Any) -> tuple[float | None, dict[int, Tensor]]:
    """A node's term (None where it is linear in what moves), and the secant adjoints of its inputs."""
    inputs = [j for j in dict.fromkeys(refs(node.args)) if points.moving[j]]
    real = [j for j in inputs if _differentiable(points.m[j])]
    if len(real) == len(inputs) and linear(node, lambda j: points.moving[j]):
        return None, pullback(node, points.m, {j: points.m[j] for j in real}, adjoint)
    middle = {j: halfway(points.a[j], points.b[j]) for j in real}
    if node.op in PRODUCTS and len(real) == len(inputs):
        return _product(node, points, middle, adjoint)
    with torch.no_grad():
        value = function(node.op)(*fill(node.args, Patched(points.m, middle)))
    if not all(_inside(v, e) for v, e in zip(results(value), results(points.m[i]), strict=True)):
        raise Misuse(
            f"the midpoint of the inputs of {node.name} ({node.op}) leaves its domain: this chord cannot be split; take a "
            f"shorter one"
        )
    term = sum(
        inner(mu, apart(x, z) + apart(y, z))
        for mu, x, y, z in zip(*map(results, (_slots(adjoint, value), points.a[i], points.b[i], value)), strict=True)
        if mu is not None
    )
    if not real or node.op in LINEAR:
        return term, pullback(node, points.m, {j: points.m[j] for j in real}, adjoint)
    at = {j: points.m[j] for j in real}
    return term, passed(Step(node, points.m, at, middle, points.m[i], value), adjoint)


def _product(node: Node, points: Three, middle: dict[int, Tensor], adjoint: Any) -> tuple[float, dict[int, Tensor]]:
    """A product's gap is half the product of its factors' differences, its symmetric secant the derivative halfway."""
    spread = {j: points.a[j] - points.b[j] for j in middle}
    between = {j: halfway(x, points.m[j]) for j, x in middle.items()}
    args = product(node.op, fill(node.args, Patched(points.m, spread)))
    with torch.no_grad():
        term = inner(adjoint, function(node.op)(*args)) / 2
    return term, pullback(node, points.m, between, adjoint)


def halfway(x: Tensor, y: Tensor) -> Tensor:
    """The mean of two values, finite where both are: masks hold the lowest number that there is."""
    return x / 2 + y / 2


def _slots(adjoint: Any, value: Value) -> Any:
    """The adjoint of each result; None where nothing reads it."""
    return tuple(adjoint.get(k) for k in range(len(value))) if isinstance(adjoint, dict) else adjoint


def _differentiable(value: Value) -> bool:
    return all(isinstance(v, Tensor) and (v.is_floating_point() or v.is_complex()) for v in results(value))


def _inside(value: Any, near: Any) -> bool:
    """Whether a value is finite wherever the one at the chord's midpoint is."""
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        return True
    return not bool((~torch.isfinite(value) & torch.isfinite(near)).any() | value.isnan().any())
