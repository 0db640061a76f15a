"""Which entries of a program's operations lie at a kink or a jump that moves with the parameters and that J can feel.

Sampling cannot tell: the part of space in which a kink is felt may be narrow, and beside many parameters its share of a
random direction is small. So the program is read entry by entry, a little beside the point and *opened*: an operation at a
kink passes on the slopes of both its sides. If an entry's distance from its kink stays zero there (a zero-padded pixel,
rows that are equal), or the adjoint of its result does (what follows is dead on every side), it is no kink of J.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.kernel.program import Node, Program, Term, fill, refs
from jensen.linalg.jets import Patched, outputs_and_tangents
from jensen.linalg.kinks_kinds import ELEMENTWISE, JUMPING, KINKED, TIPS, bends, choice, chooses
from jensen.linalg.torch_reading import constant, function, run_all

UNIT = 64 * torch.finfo(torch.float64).eps  # of the inputs' size: what rounding can be
BESIDE = (1.0, 0.125)  # two distances: what falls off faster than the square is no curvature
CUBIC = 200.0  # between the squares of their ratio and its cube
ROUNDED = 1e-8  # of the move: a kink so near to the point is at it
JOINT = 64  # draws of sides for all jumps together: they may be felt where others lie on another side only
TINY = 1e-200  # beside inputs that are all zero
SHARE = 0.7  # of the other side's slopes in what an opened operation passes on

Theta = Mapping[str, Tensor]


@dataclass(frozen=True)
class Spot:
    """Entries of one node at a kink. ``gap`` counts its places; None for a choice between equal values."""

    node: int
    op: str
    gap: int | None
    which: Tensor
    jumps: bool


@dataclass(frozen=True)
class Seen:
    """What one look beside the point shows of a node's place: by how much entries at the kink move, where they lie there."""

    moved: Tensor
    out: Tensor


@dataclass
class Beside:
    """A program's values beside the point, opened."""

    values: list[Any]
    seen: dict[tuple[int, int | None], Seen]
    sides: dict[int, list[Any]]  # results on either side, of operations that have no derivative
    jumps: dict[int, list[Any]]  # the same of those whose real value jumps


def spots(term: Term, theta: Theta, moves: Theta, far: float, cubic: bool) -> list[Spot]:
    """Entries at kinks of a term.

    Args:
        term: The term.
        theta: All blocks, in float64.
        moves: A small random move of the blocks that are asked about.
        far: How many of these moves away a kink still counts: the point itself may be off by that much.
        cubic: Whether what J feels only in third order counts.
    """
    with torch.no_grad():
        here = run_all(term.program, term.tensors, theta)
    if not any(_sharp(node, value) for node, value in zip(term.program.nodes, here, strict=True)):
        return []
    felt: list[dict[tuple[int, int | None], Tensor]] = []
    walk = _Walk(term.program, term.tensors, here, theta, far)
    for size in BESIDE:
        both = [_felt(walk, {n: sign * size * m for n, m in moves.items()}, size) for sign in (1.0, -1.0)]
        felt.append({k: _larger(both[0].get(k), both[1].get(k)) for k in both[0].keys() | both[1].keys()})
    found = []
    for key, large in felt[0].items():
        op, small, which = term.program.nodes[key[0]].op, felt[1].get(key), large > 0
        jumps = op in JUMPING or small is None or bool((2 * small >= large)[which].any())
        if not (cubic or jumps or small is None):
            which = which & (CUBIC * small >= large)
        if bool(which.any()):
            found.append(Spot(key[0], op, key[1], which, jumps))
    return sorted(found, key=lambda s: (s.node, s.gap or 0))


def gaps(program: Program, tensors: Mapping[str, np.ndarray], theta: Theta, found: list[Spot]) -> list[Tensor]:
    """The distances of found entries from their kinks, (m,) for each spot, with their graph back to ``theta``."""
    values = run_all(program, tensors, theta)
    out = []
    for spot in found:
        node = program.nodes[spot.node]
        if spot.op in TIPS and spot.gap is not None:
            inside = values[next(refs(node.args))]
            out.append(inside[inside == 0])
            continue
        if spot.op not in KINKED:
            out.append(torch.zeros(int(spot.which.sum()), dtype=torch.float64))
            continue
        if spot.gap is not None:
            distance = ELEMENTWISE[node.op](fill(node.args, values))[spot.gap]
        else:
            still = {j: torch.zeros_like(values[j]) for j in _moving(node, values)}
            by = max(4 * UNIT * _size(node, values), TINY)
            (_, high), (_, low) = (_side(node, values, values, still, by * sign) for sign in (1.0, -1.0))
            distance = high - low
        out.append(distance.expand(spot.which.shape)[spot.which])
    return out


@dataclass(frozen=True)
class _Walk:
    program: Program
    tensors: Mapping[str, np.ndarray]
    here: list[Any]
    theta: Theta
    far: float

    def beside(
        self, moves: Theta, size: float, instead: Mapping[int, Any] | None = None
    ) -> tuple[Beside, list[Tensor]]:
        """Opened values; some nodes' may be given instead. Also the moved blocks, to which their graph leads."""
        leaves = {n: (self.theta[n] + m).requires_grad_() for n, m in moves.items()}
        blocks, at = {**self.theta, **leaves}, Beside([], {}, {}, {})
        for i, node in enumerate(self.program.nodes):
            if node.op == "block":
                value = blocks[node.args[0]]
            elif node.op == "const":
                value = constant(self.tensors[node.args[0]], torch.float64)
            elif instead and i in instead:
                value = instead[i]
            elif _sharp(node, self.here[i]) and _moving(node, at.values):
                value = _opened(i, node, self.here, at, self.far / size + ROUNDED)
            else:
                value = function(node.op)(*fill(node.args, at.values))
            at.values.append(value)
        return at, list(leaves.values())


def _sharp(node: Node, value: Any) -> bool:
    """Whether an operation can have kinks or jumps: those of the tables, and whatever gives whole numbers or truth values."""
    if node.op in KINKED or not isinstance(value, Tensor):
        return node.op in KINKED
    return node.op not in ("block", "const") and not (value.is_floating_point() or value.is_complex())


def _larger(a: Tensor | None, b: Tensor | None) -> Tensor:
    return torch.maximum(a, b) if a is not None and b is not None else a if b is None else b  # type: ignore[return-value]


def _felt(walk: _Walk, moves: Theta, size: float) -> dict[tuple[int, int | None], Tensor]:
    """By how much J feels each entry at a kink: the adjoint of its result times its distance from the kink."""
    at, _ = walk.beside(moves, size)
    keys = [k for k in at.seen if k[0] not in at.sides]
    output = at.values[walk.program.output]
    adjoints: list[Tensor | None] = [None] * len(keys)
    if keys and output.requires_grad:
        adjoints = list(torch.autograd.grad(output, [at.seen[k].out for k in keys], allow_unused=True))
    felt = {}
    for key, adjoint in zip(keys, adjoints, strict=True):
        moved = at.seen[key].moved
        size_ = torch.zeros_like(moved) if adjoint is None else adjoint.detach().abs().expand(moved.shape)
        size_ = torch.where(size_ > UNIT * size_.amax(), size_, 0.0) if size_.numel() else size_
        felt[key] = torch.where(moved > 0, size_ * _change(walk.program.nodes[key[0]], moved), 0.0)
    with torch.no_grad():
        for key in at.seen.keys() - felt.keys():
            moved = at.seen[key].moved
            turned = _turned(walk, moves, size, at.sides[key[0]], key[0]) if bool((moved > 0).any()) else 0.0
            felt[key] = torch.where(moved > 0, turned, 0.0)
        _feel_together(walk, moves, size, at, felt)
    return felt


def _feel_together(walk: _Walk, moves: Theta, size: float, at: Beside, felt: dict[Any, Tensor]) -> None:
    """Of jumps that J does not feel one by one, by how much it changes with their sides, wherever all other jumps' are."""
    sides = at.sides | at.jumps
    lying = [k for k in felt if k[0] in sides and bool((at.seen[k].moved > 0).any())]
    silent = [k for k in lying if not bool((felt[k] > 0).any())]
    if not silent:
        return
    generator, together = torch.Generator().manual_seed(5), 0.0
    for _ in range(JOINT):
        draw = {k[0]: _drawn(sides[k[0]], generator) for k in lying}
        other = draw | {k[0]: _drawn(sides[k[0]], generator) for k in silent}
        together = max(together, _spread([_output(walk, moves, size, instead) for instead in (draw, other)]))
    for key in silent:
        felt[key] = torch.where(at.seen[key].moved > 0, together, 0.0)


def _drawn(sides: list[Any], generator: torch.Generator) -> Any:
    """Each entry of a result from one of its sides; of several results all from one."""
    if not isinstance(sides[0], Tensor):
        return sides[int(torch.randint(len(sides), (), generator=generator))]
    stacked = torch.stack([s.detach() for s in sides])
    return stacked.gather(0, torch.randint(len(sides), (1, *sides[0].shape), generator=generator))[0]


def _output(walk: _Walk, moves: Theta, size: float, instead: Mapping[int, Any]) -> Tensor:
    return walk.beside(moves, size, instead)[0].values[walk.program.output]


def _spread(outputs: list[Tensor]) -> float:
    """By how much outputs differ; at most, if not to the last bit by nothing."""
    values = [float(v) for v in outputs]
    low, high = min(values), max(values)
    return high - low + UNIT * max(abs(low), abs(high)) if high > low else 0.0


def _change(node: Node, moved: Tensor) -> Tensor:
    """The order of what another side of a kink changes in a result, so far from it."""
    if node.op in JUMPING:
        return torch.ones_like(moved)
    return moved * moved if bends(node.op, node.args) else moved


def _turned(walk: _Walk, moves: Theta, size: float, sides: list[Any], node: int) -> float:
    """By how much J changes with another of an operation's results."""
    return _spread([_output(walk, moves, size, {node: side}) for side in sides])


def _moving(node: Node, values: list[Any]) -> list[int]:
    """Real inputs that depend on the parameters."""
    tensors = [j for j in dict.fromkeys(refs(node.args)) if isinstance(values[j], Tensor)]
    return [j for j in tensors if values[j].requires_grad and values[j].is_floating_point()]


def _opened(i: int, node: Node, here: list[Any], at: Beside, far: float) -> Any:
    """A node's value with a share of the slopes on both sides of the kinks that are near; what is seen is noted."""
    value, chosen = function(node.op)(*fill(node.args, at.values)), chooses(node.op, node.args)
    rounding, near = _rounding(node, here, at.values), []
    if node.op not in KINKED:
        return _stepped(i, node, here, at, far, value)
    if not chosen:
        before, now = (ELEMENTWISE[node.op](fill(node.args, values)) for values in (here, at.values))
        moves = [(b.abs(), (n - b).detach().abs()) for b, n in zip(before, now, strict=True)]
        close = [b <= rounding + far * m for b, m in moves]
        if not any(bool(c.any()) for c in close):
            return value
        near = [torch.where(c & (m > rounding), m, 0.0) for c, (_, m) in zip(close, moves, strict=True)]
    moving = _moving(node, at.values)
    steps = {j: _finite(at.values[j].detach() - here[j]) for j in moving}
    by = max(4 * rounding, TINY) + far * max(_largest(t) for t in steps.values())
    sides = [_side(node, here, at.values, steps, by * sign) for sign in (1.0, -1.0)]
    if node.op in JUMPING:
        at.jumps[i] = [value, *_others(node, here, dict.fromkeys(moving, by), value)]
    if chosen:
        spread = (sides[0][0] - sides[1][0]).abs()
        near = [torch.where(spread > rounding, spread, 0.0)]
    if isinstance(value, Tensor) and value.is_floating_point():
        value = value + sum(SHARE * (t + (o - o.detach())) for t, o in sides)
    else:
        at.sides[i] = [value, *_others(node, here, dict.fromkeys(moving, by), value)]
    for k, moved in enumerate(near):
        at.seen[i, None if chosen else k] = Seen(moved, first(value))
    return value


def _stepped(i: int, node: Node, here: list[Any], at: Beside, far: float, value: Tensor) -> Tensor:
    """Whole numbers from an operation whose jumps are not known: entries that change with a bit of what moves are at one."""
    rounding, moving = _rounding(node, here, at.values), _moving(node, at.values)
    steps = {j: _finite(at.values[j].detach() - here[j]).abs() for j in moving}
    largest = max(_largest(t) for t in steps.values())
    by = max(4 * rounding, TINY) + far * largest
    others = _others(node, here, {j: by * (t > rounding) for j, t in steps.items()}, value)
    changes = torch.stack([other != value for other in others]).any(0)
    if bool(changes.any()):
        at.sides[i] = [value, *others]
        at.seen[i, 0] = Seen(changes * largest, value)
    return value


def _side(
    node: Node, here: list[Any], values: list[Any], steps: Mapping[int, Tensor], by: float
) -> tuple[Tensor, Tensor]:
    """An operation's tangent a random bit beside its inputs, so on one side of each kink, and its result's graph there."""
    op, args = choice(node.op, node.args)
    at = {j: here[j].detach() + by * _random(here[j], j) for j in steps}
    finite = {j: torch.where(values[j].isfinite(), values[j], 0.0) for j in steps}
    same = {j: t + (finite[j] - finite[j].detach()) for j, t in at.items()}
    result = first(function(op)(*fill(args, Patched(values, same))))
    if not result.is_floating_point():  # no slopes to pass on
        return torch.zeros_like(result, dtype=torch.float64), torch.zeros_like(result, dtype=torch.float64)
    leaves = {j: t.clone().requires_grad_() for j, t in at.items()}
    with torch.enable_grad():
        _, tangent = outputs_and_tangents(Node("", op, args), here, leaves, dict(steps))
    return first(tangent), result


def _finite(t: Tensor) -> Tensor:
    """Zero where masks of infinities move by nothing."""
    return torch.nan_to_num(t, nan=0.0, posinf=0.0, neginf=0.0)


def _others(node: Node, here: list[Any], by: Mapping[int, Any], value: Any) -> list[Any]:
    """Results that are no real numbers on other sides; also with all inputs moved the same way, and at the kink itself."""
    found = []
    for sign, same in ((1.0, False), (-1.0, False), (1.0, True), (-1.0, True), (0.0, True)):
        draws = {j: _random(here[j], j) for j in by}
        at = {j: here[j].detach() + by[j] * sign * (r.abs() if same else r) for j, r in draws.items()}
        other = function(node.op)(*fill(node.args, Patched(here, at)))
        found.append((value[0], *other[1:]) if isinstance(value, tuple) else other)
    return found


def _random(like: Tensor, seed: int) -> Tensor:
    """Numbers between a half and one and a half, of either sign; the same ones each time.

    Each input has a seed of its own, for a shift that two inputs share leaves equal ones equal.
    """
    draw = torch.rand(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)
    return torch.where(draw < 0.5, draw + 0.5, -draw)


def _rounding(node: Node, here: list[Any], now: list[Any]) -> float:
    """What rounding can be of an operation's inputs: of those that move, for a mask's large numbers are exact."""
    moved = [torch.where(now[j].detach() != here[j], here[j], 0.0) for j in _moving(node, now)]
    return UNIT * max((_largest(t) for t in moved), default=0.0)


def _size(node: Node, values: list[Any]) -> float:
    """The largest modulus of an operation's real inputs."""
    tensors = [values[j] for j in refs(node.args) if isinstance(values[j], Tensor) and not values[j].is_complex()]
    return max((_largest(t) for t in tensors), default=0.0)


def _largest(t: Tensor) -> float:
    return float(_finite(t.detach().double()).abs().amax()) if t.numel() else 0.0


def first(value: Any) -> Any:
    """Of several results the first."""
    return value[0] if isinstance(value, (tuple, list)) else value
