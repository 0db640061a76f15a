"""Proof by the composition rules: the facts of the program's output are enough. The evidence is empty."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

from jensen.kernel import compose, ranges
from jensen.kernel.claims import closer
from jensen.kernel.claims.explain import explain
from jensen.kernel.claims.leaves import GroupLeaves, groups, leaves
from jensen.kernel.claims.words import listing, subject
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import (
    AFFINE,
    CONCAVE,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    Fact,
    constant,
)
from jensen.kernel.program import Problem
from jensen.kernel.readings import read_facts


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected at the node where the property is lost."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a proof by rules needs no evidence beyond its name")
    facts: dict[int, Fact] = {}
    for k, f in term_facts(problem, claim, atoms):
        facts[k] = f
        if not shows(f, claim.kind) and not claim.kind.startswith("log"):  # no sum has it; logarithms mind zeros only
            break
    output = reduce(compose.add, (compose.times_constant(_weight(problem.terms[k]), facts[k]) for k in sorted(facts)))
    if len(facts) < len(problem.terms) or not shows(output, claim.kind):
        for k in sorted(facts):
            if not shows(facts[k], claim.kind):
                raise explain(problem, k, claim, atoms)
        raise Rejected(
            "sum of chunks", "sums keep convex, concave, affine and log-convex", "the sum over chunks loses it"
        )
    used = {n.args[0] for g in groups(problem, atoms) for n in g.linked.nodes if n.op == "block"}
    if not used & set(claim.blocks):
        return f"J does not depend on {listing(claim.blocks)}: as a constant it is {claim.kind}"
    return f"J is {claim.kind} {subject(problem, claim)}"


def holds(problem: Problem, claim: Any, atoms: Any) -> bool:
    """Whether the rules show the claim for each term."""
    return all(shows(f, claim.kind) for _, f in term_facts(problem, claim, atoms))


def term_facts(problem: Problem, claim: Any, atoms: Any) -> Iterator[tuple[int, Fact]]:
    """The fact of each term's output.

    Terms that share a program are first read all at once, with the ranges over all of them; where that does not show
    the claim, each one alone.
    """
    for group in groups(problem, atoms):
        if len(group.terms) > 1:
            f = read_facts(group.linked, GroupLeaves(group, claim.blocks, claim.within))[group.linked.output]
            if shows(f, claim.kind):
                yield from ((k, f) for k in group.terms)
                continue
        yield from ((k, term_fact(problem, k, claim, atoms)) for k in group.terms)


def term_fact(problem: Problem, k: int, claim: Any, atoms: Any) -> Fact:
    """The fact of one term's output."""
    linked, leaf = problem.linked(k, atoms), leaves(problem, k, claim.blocks, claim.within)
    out = read_facts(linked, leaf)
    if shows(out[linked.output], claim.kind):
        return out[linked.output]
    return closer.read(linked, leaf, atoms, out)[linked.output]


def _weight(term: Any) -> Fact:
    return constant(ranges.of_fraction(term.weight))


def shows(f: Fact, kind: str) -> bool:
    """Whether a fact is enough for a claim."""
    if f is UNDEFINED:
        return False
    positive = f.range[0] > 0.0 or (f.range[0] == 0.0 and f.range[2])
    if kind == "convex":
        return bool(f.bits & CONVEX)
    if kind == "concave":
        return bool(f.bits & CONCAVE)
    if kind == "affine":
        return f.bits & AFFINE == AFFINE and bool(f.bits & CONVEX and f.bits & CONCAVE)
    if kind == "quasiconvex":
        return bool(f.bits & QUASICONVEX)
    if kind == "quasiconcave":
        return bool(f.bits & QUASICONCAVE)
    if kind == "log-convex":
        return positive and f.vex <= 0
    return kind == "log-concave" and positive and f.cave >= 0
