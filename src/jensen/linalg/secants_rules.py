"""Secant maps of single operations: linear maps S with S (x' - x) = f(x') - f(x), here their transposes.

- elementwise functions of one value: the difference quotient; the derivative halfway where it gives the same difference
  to rounding (torch's subgradient where a kink is met at rest);
- quotients: numerator times reciprocal, split symmetrically;
- maxima and minima, of pairs, along axes and in windows: the share of the straight path on which each element leads,
  exactly (at rest the first of equal ones);
- anything else: the derivative averaged along the straight path by Gauss and Legendre's rule, each output's row then
  scaled so that its difference is exact; what remains of the sum is laid along the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.kernel.program import Node, Ref, fill
from jensen.linalg.jets import Local, Patched, inner, plus, pulled, pushed, results
from jensen.linalg.jets_kinds import UNARY
from jensen.linalg.secants_paths import LEADING
from jensen.linalg.torch_reading import function

POINTS = (8, 64)  # of the quadrature: more where fewer do not do
ROUNDING = 16 * torch.finfo(torch.float64).eps
CLOSE = 1e-9


@dataclass(frozen=True)
class Step:
    """One operation from its inputs' values at the chord's midpoint to the midpoint of their values at the ends.

    Attributes:
        node: The operation.
        values: All nodes' values at the chord's midpoint.
        start: The moving inputs there.
        stop: The midpoints of the moving inputs.
        before: The operation's value at ``start``.
        after: The operation's value at ``stop``.
    """

    node: Node
    values: Sequence[Any]
    start: Mapping[int, Tensor]
    stop: Mapping[int, Tensor]
    before: Any
    after: Any

    def at(self, t: float) -> dict[int, Tensor]:
        """The inputs on the straight path."""
        return {j: x + t * apart(self.stop[j], x) for j, x in self.start.items()}


def passed(step: Step, adjoint: Any) -> dict[int, Tensor]:
    """Secant adjoints of an operation's moving inputs."""
    op, args = step.node.op, step.node.args
    numbers = not any(type(a) is Ref for a in args[1:])
    real = not any(x.is_complex() for x in (*step.start.values(), *results(step.after)) if isinstance(x, Tensor))
    if real and numbers and op in elementwise():
        return _elementwise(step, adjoint)
    if real and op == "aten.div.Tensor":
        return _quotient(step, adjoint)
    if real and op in LEADING:
        return LEADING[op](step, adjoint)
    return _average(step, adjoint)


@lru_cache(maxsize=1)
def elementwise() -> frozenset[str]:
    """Operations that are functions of one value, element by element."""
    from jensen.atoms import registry

    rows = {op for op, atom in registry().atoms.items() if atom.row is not None}
    numbers = {"aten.maximum.default", "aten.minimum.default", "aten.pow.Tensor_Scalar"}  # the other is a number
    return frozenset(rows | UNARY | numbers)


def apart(x: Tensor, y: Tensor) -> Tensor:
    """x - y, zero where the two are equal, infinite ones too."""
    return torch.where(x == y, torch.zeros((), dtype=x.dtype), x - y)


def attached(node: Node, values: Any, points: Mapping[int, Tensor]) -> Local:
    """The operation at given inputs, with its graph."""
    leaves = {j: x.detach().requires_grad_() for j, x in points.items()}
    with torch.enable_grad():
        return Local(leaves, function(node.op)(*fill(node.args, Patched(values, leaves))))


def pullback(node: Node, values: Any, points: Mapping[int, Tensor], adjoint: Any) -> dict[int, Tensor]:
    """The transposed derivative at given inputs, applied to the adjoint."""
    if not points:
        return {}
    local = attached(node, values, points)
    if not any(isinstance(o, Tensor) and o.requires_grad for o in results(local.outputs)):
        return {}
    return {j: g.detach() for j, g in pulled(node, local, adjoint).items() if g is not None}


def _elementwise(step: Step, adjoint: Tensor) -> dict[int, Tensor]:
    ((j, x),) = step.start.items()
    d, df = apart(step.stop[j], x), apart(step.after, step.before)
    slope = pullback(step.node, step.values, step.at(0.5), torch.ones_like(adjoint)).get(j, torch.zeros_like(x))
    noise = ROUNDING * (step.after.abs() + step.before.abs())
    smooth = ((df - slope * d).abs() <= noise) | (d == 0)
    return {j: adjoint * torch.where(smooth, slope, df / d)}


def _quotient(step: Step, adjoint: Tensor) -> dict[int, Tensor]:
    def both(a: Any) -> tuple[Any, Any]:
        if type(a) is not Ref:
            return a, a
        return step.values[a.index], step.stop.get(a.index, step.values[a.index])

    top, bottom = step.node.args[:2]
    (x, x_), (y, y_) = both(top), both(bottom)
    out: dict[int, Tensor] = {}
    if type(top) is Ref and top.index in step.start:
        out[top.index] = (adjoint * (1 / y + 1 / y_) / 2).sum_to_size(x.shape)
    if type(bottom) is Ref and bottom.index in step.start:
        g = (-adjoint * (x + x_) / 2 / (y * y_)).sum_to_size(y.shape)
        out[bottom.index] = plus(out.get(bottom.index), g)
    return out


def _average(step: Step, adjoint: Any) -> dict[int, Tensor]:
    """The derivative averaged along the straight path, made exact."""
    moves = {j: apart(step.stop[j], x) for j, x in step.start.items()}
    rise = [_rise(x, y) for x, y in zip(results(step.after), results(step.before), strict=True)]
    weights: Any = None
    for count in POINTS if any(bool(m.any()) for m in moves.values()) else (1,):
        path = [(w, attached(step.node, step.values, step.at(t))) for t, w in legendre(count)]
        along = _sums(path, lambda local: results(pushed(local.outputs, local.leaves, moves)))
        weights = [_scale(r, s) for r, s in zip(rise, along, strict=True)]
        if all(_close(r, s) for r, s in zip(rise, along, strict=True)):
            break
    scaled = _scaled(adjoint, weights)
    back: dict[int, Tensor] = {}
    for w, local in path:
        for j, g in pulled(step.node, local, scaled).items():
            if g is not None:
                back[j] = plus(back.get(j), w * g.detach())
    return _completed(back, moves, adjoint, rise)


def _completed(
    back: dict[int, Tensor], moves: Mapping[int, Tensor], adjoint: Any, rise: Sequence[Tensor | None]
) -> dict[int, Tensor]:
    """What the sum still lacks, laid along the step."""
    slots = [adjoint.get(k) for k in range(len(rise))] if isinstance(adjoint, dict) else [adjoint]
    wanted = sum(inner(a, r) for a, r in zip(slots, rise, strict=True) if a is not None and r is not None)
    missing = wanted - sum(inner(g, moves[j]) for j, g in back.items())
    square = sum(inner(m, m) for m in moves.values())
    if missing == 0 or square == 0:
        return back
    return {j: plus(back.get(j), m * (missing / square)) for j, m in moves.items()}


def _rise(x: Any, y: Any) -> Tensor | None:
    return apart(x, y) if isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex()) else None


def _sums(path: list[tuple[float, Local]], f: Callable[[Local], list[Any]]) -> list[Any]:
    total: list[Any] = []
    for w, local in path:
        found = [None if v is None else w * v for v in f(local)]
        total = found if not total else [plus(a, b) if b is not None else a for a, b in zip(total, found, strict=True)]
    return total


def _scale(rise: Tensor | None, along: Tensor | None) -> Tensor | None:
    """By how much each output's row falls short; rows that are far off, or at rest, are left."""
    if rise is None or along is None or rise.is_complex():
        return None
    ratio = rise / along
    return torch.where((ratio > 0.5) & (ratio < 2.0), ratio, torch.ones_like(ratio))


def _close(rise: Tensor | None, along: Tensor | None) -> bool:
    if rise is None or along is None or rise.numel() == 0:
        return True
    return float((rise - along).abs().max()) <= CLOSE * float(rise.abs().max())


def _scaled(adjoint: Any, weights: Sequence[Tensor | None]) -> Any:
    if isinstance(adjoint, dict):
        return {k: a if weights[k] is None else a * weights[k] for k, a in adjoint.items()}
    return adjoint if weights[0] is None else adjoint * weights[0]


@lru_cache(maxsize=8)
def legendre(count: int) -> tuple[tuple[float, float], ...]:
    """Points in (0, 1) and weights of Gauss and Legendre's rule."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return tuple((float((1 + p) / 2), float(w / 2)) for p, w in zip(points, weights, strict=True))
