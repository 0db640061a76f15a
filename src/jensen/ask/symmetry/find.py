"""The symmetry group of a cost, read off its program and tried."""

from __future__ import annotations

import copy
import time
from typing import Any

from jensen.ask.symmetry.answer import Symmetries
from jensen.ask.symmetry.factors import candidates
from jensen.ask.symmetry.group import Theta
from jensen.ask.symmetry.read import read
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.tried import sifted
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value
from jensen.trace import trace


def symmetries(cost: Cost, penalty: bool = True) -> Symmetries:
    """The group of moves of the parameters that leave the cost unchanged at every point, whatever the data.

    Args:
        cost: The cost.
        penalty: Whether the penalty counts; without it, the group of the function alone.

    Raises:
        Misuse: Where the cost cannot be captured, or has an operation that no atom models.
    """
    start = time.perf_counter()
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    cost = cost if penalty else without_penalty(cost)
    problem = trace(cost).problem
    reader = read_problem(problem)
    found = candidates(reader)
    theta = cost.theta

    def value(point: Theta) -> float:
        return float(program_value(problem, point))

    good, bad = sifted(value, found.factors, (), theta)
    more, worse = sifted(value, [f for b in bad for f in found.instead.get(id(b), ())], (), theta)
    kept = [f for f in found.factors if any(f is g for g in good)] + more
    refused = tuple(f"{f.kind} {f.size} on {f.label}" for f in (*bad, *worse))
    return Symmetries(
        tuple(kept), (), cost.blocks, refused, tuple(dict.fromkeys(reader.unread)), time.perf_counter() - start
    )


def read_problem(problem: Problem) -> Reader:
    """All distinct programs of a problem, read together."""
    reader = Reader()
    seen: set[int] = set()
    for k, term in enumerate(problem.terms):
        if id(term.program) in seen:
            continue
        seen.add(id(term.program))
        linked = problem.linked(k, registry())
        if linked.unmodelled is not None:
            raise Misuse(f"the group cannot be read: {linked.unmodelled}")
        reader.term = k
        read(linked, term.tensors, term.data, reader, {})
    return reader


def without_penalty(cost: Cost) -> Cost:
    """The cost without its penalty."""
    other: Any = copy.copy(cost)
    other._penalty, other._programs = None, {}
    other.__dict__.pop("_shares", None)
    return other
