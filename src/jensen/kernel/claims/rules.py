"""Proof by the composition rules: the facts of the program's output are enough. The evidence is empty."""

from __future__ import annotations

from functools import reduce
from typing import Any

from jensen.kernel import compose, ranges
from jensen.kernel.claims.explain import explain
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
from jensen.kernel.readings import leaf_facts, read_facts


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected at the node where the property is lost."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a proof by rules needs no evidence beyond its name")
    facts = [term_fact(problem, k, claim, atoms) for k in range(len(problem.terms))]
    output = reduce(
        compose.add, (compose.times_constant(_weight(t), f) for t, f in zip(problem.terms, facts, strict=True))
    )
    if not shows(output, claim.kind):
        for k, f in enumerate(facts):
            if not shows(f, claim.kind):
                raise explain(problem, k, claim, atoms)
        raise Rejected(
            "sum of chunks", "sums keep convex, concave, affine and log-convex", "the sum over chunks loses it"
        )
    programs = [problem.linked(k, atoms) for k in range(len(problem.terms))]
    used = {n.args[0] for p in programs for n in p.nodes if n.op == "block"}
    if not used & set(claim.blocks):
        return f"J does not depend on {listing(claim.blocks)}: as a constant it is {claim.kind}"
    return f"J is {claim.kind} {subject(problem, claim)}"


def term_fact(problem: Problem, k: int, claim: Any, atoms: Any) -> Fact:
    """The fact of one term's output."""
    linked = problem.linked(k, atoms)
    leaf = leaf_facts(problem.terms[k].tensors, claim.blocks, claim.within)
    return read_facts(linked, leaf)[linked.output]


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
