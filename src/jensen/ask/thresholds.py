"""Chords across a threshold of the implementation, where a function drops by a few parts in a billion.

No search on values would find them: the point is solved for, so that one element of the operation's input lies just
below the threshold at the middle of a short chord and just above it at one end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from jensen.ask.search import Search, Theta
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Node, Program, Ref, Term
from jensen.linalg.torch_reading import run


def _softplus(attributes: tuple[Any, ...]) -> float:
    beta = float(attributes[0]) if attributes else 1.0
    return (float(attributes[1]) if len(attributes) > 1 else 20.0) / beta


THRESHOLDS: dict[str, Callable[[tuple[Any, ...]], float]] = {"aten.softplus.default": _softplus}


def chords(search: Search, rounds: int = 4) -> Iterator[Chord]:
    """Short chords across each threshold in the programs."""
    for term in search.problem.terms:
        for node in term.program.nodes:
            if node.op in THRESHOLDS and type(node.args[0]) is Ref:
                for k in range(rounds):
                    yield from _across(search, term, node, search.base(k))


def _input(term: Term, node: Node, theta: Theta) -> Tensor:
    """The operation's input at a point."""
    return run(Program(term.program.nodes[: node.args[0].index + 1], node.args[0].index), term.tensors, theta)


def _across(search: Search, term: Term, node: Node, theta: Theta) -> Iterator[Chord]:
    target = THRESHOLDS[node.op](node.args[1:])
    flat = search.flat(theta)
    for aim in (0.0, 1e-9, 1e-8):  # how far below the threshold the middle point lies, relative to it
        point = _solve(search, term, node, theta, flat, target * (1 - aim))
        if point is None:
            continue
        centre, slope = point
        unit = slope / (slope @ slope)  # moves the input by one
        for e in (1e-4, 1e-5, 1e-6, 1e-7):
            yield _chord(search, theta, centre - unit * (e * 1e-3), unit * e)


def _solve(
    search: Search, term: Term, node: Node, theta: Theta, flat: Tensor, target: float
) -> tuple[Tensor, Tensor] | None:
    """A point where the largest element of the input equals the target, by Newton's method, and its gradient there."""
    x = flat.clone()
    index: int | None = None
    for _ in range(60):
        x = x.detach().requires_grad_()
        u = _input(term, node, search.move(theta, x)).reshape(-1)
        index = int(u.argmax()) if index is None else index
        (g,) = torch.autograd.grad(u[index], x, allow_unused=True) if u.requires_grad else (None,)
        if g is None or not torch.isfinite(u[index]) or not float(g @ g) > 0:
            return None
        gap = target - float(u[index].detach())
        if abs(gap) <= 1e-12 * abs(target):
            return x.detach(), g
        x = x.detach() + g * (gap / float(g @ g))
    return None


def _chord(search: Search, theta: Theta, middle: Tensor, half: Tensor) -> Chord:
    a, b = search.move(theta, middle - half), search.move(theta, middle + half)
    points = [{n: search.clip(n, p[n]).detach().numpy().copy() for n in search.names} for p in (a, b)]
    others = {n: t.detach().numpy() for n, t in theta.items() if n not in search.names}
    return Chord(points[0], points[1], others, Fraction(1, 2))
