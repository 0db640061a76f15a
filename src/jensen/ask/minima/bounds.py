"""A number that J is never below, from the ranges that the kernel's reading of its programs gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jensen.atoms import registry
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import UNDEFINED
from jensen.kernel.program import Problem
from jensen.kernel.readings import read_facts


@dataclass(frozen=True)
class Bound:
    """A number that J is never below, and whether it may be attained; None where none is known."""

    value: float | None = None
    closed: bool = True


def bound_of(problem: Problem) -> Bound:
    """The sum of the terms' lower ends, which holds for all values of the blocks; attained only if each of them is."""
    total, closed = 0.0, True
    try:
        for k, term in enumerate(problem.terms):
            linked = problem.linked(k, registry())
            fact = read_facts(linked, leaves(problem, k, tuple(problem.blocks), {}))[linked.output]
            if fact is UNDEFINED or not math.isfinite(fact.range[0]):
                return Bound()
            total += float(term.weight) * fact.range[0]
            closed = closed and not fact.range[2]
    except Rejected:
        return Bound()
    return Bound(total, closed)
