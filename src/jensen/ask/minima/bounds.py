"""A number that J is never below and may attain, from the ranges that the kernel's reading of its programs gives."""

from __future__ import annotations

import math

from jensen.atoms import registry
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import UNDEFINED
from jensen.kernel.program import Problem
from jensen.kernel.readings import read_facts


def bound_of(problem: Problem) -> float | None:
    """The sum of the terms' lower ends, which holds for all values of the blocks; None where one of them is not attained."""
    total = 0.0
    try:
        for k, term in enumerate(problem.terms):
            linked = problem.linked(k, registry())
            fact = read_facts(linked, leaves(problem, k, tuple(problem.blocks), {}))[linked.output]
            if fact is UNDEFINED or not math.isfinite(fact.range[0]) or fact.range[2]:
                return None
            total += float(term.weight) * fact.range[0]
    except Rejected:
        return None
    return total
