"""Proof by the composition rules: the facts of the program's output are enough. The evidence is empty."""

from __future__ import annotations

from functools import reduce
from typing import Any

from jensen.kernel import compose, ranges
from jensen.kernel.claims.words import listing, subject
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import (
    AFFINE,
    CONCAVE,
    CONSTANT,
    CONVEX,
    QUASICONCAVE,
    QUASICONVEX,
    UNDEFINED,
    Fact,
    describe,
    fact,
)
from jensen.kernel.program import Linked, Problem
from jensen.kernel.readings import blame, depends_on, leaf_facts, read_facts


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
    used = {b for k in range(len(problem.terms)) for b in depends_on(problem.linked(k, atoms))}
    if not used & set(claim.blocks):
        return f"J does not depend on {listing(claim.blocks)}: as a constant it is {claim.kind}"
    return f"J is {claim.kind} {subject(problem, claim)}"


def term_fact(problem: Problem, k: int, claim: Any, atoms: Any) -> Fact:
    """The fact of one term's output."""
    linked = problem.linked(k, atoms)
    leaf = leaf_facts(problem.terms[k].tensors, claim.blocks, claim.within)
    return read_facts(linked, leaf)[linked.output]


def _weight(term: Any) -> Fact:
    return compose.constant(ranges.of_fraction(term.weight))


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


def explain(problem: Problem, k: int, claim: Any, atoms: Any) -> Rejected:
    """Why a term's fact is not enough: the node, the rule, and what was known of its inputs."""
    linked = problem.linked(k, atoms)
    out = read_facts(linked, leaf_facts(problem.terms[k].tensors, claim.blocks, claim.within))
    i = blame(linked, out, 3)
    node, atom = linked.nodes[i], linked.atoms[i]
    where = f" in {node.module}" if node.module else ""
    if atom is None:
        return Rejected(node.name, claim.kind, f"{node.name} alone is {describe(out[i])}, which is not {claim.kind}")
    known = ", ".join(
        f"{linked.nodes[j].name} is {describe(out[j])} on {ranges.show(out[j].range)}" for j in linked.inputs[i]
    )
    if out[i] is UNDEFINED:
        why = f"{_short(node.op)}{where} may leave its domain: {known}; ask within a box that keeps it inside"
    elif out[i].bits & (CONVEX | CONCAVE):
        why = f"{_short(node.op)}{where} is {describe(out[i])}, and nothing after it makes it {claim.kind}"
    else:
        why = _loss(linked, i, out, where, known)
    return Rejected(node.name, f"composition of {_short(node.op)}", why)


def _loss(linked: Linked, i: int, out: list[Fact], where: str, known: str) -> str:
    node = linked.nodes[i]
    varying = [j for j in linked.inputs[i] if not out[j].bits & CONSTANT]
    if len(varying) > 1 and linked.atoms[i].bilinear:
        left, right = (_source(linked, j, out) for j in varying[:2])
        if left == right:
            return f"two values that both depend on {left} are multiplied in {node.name}{where}"
        return (
            f"{left} and {right} are multiplied in {node.name}{where}: a product of two non-constant values; "
            f"freeze {left} or {right}"
        )
    sources = _source(linked, i, out)
    everything = sources == listing([n.args[0] for j, n in enumerate(linked.nodes) if n.op == "block" and not out[j].bits & CONSTANT])
    remedy = "" if everything else f"; freeze {sources}"
    if linked.atoms[i].row is not None and varying:
        bare = compose.unary(linked.atoms[i].row(*node.args[1:]), fact(AFFINE, out[varying[0]].range))
        if not bare.bits & (CONVEX | CONCAVE):
            r = ranges.show(out[varying[0]].range)
            lost = f"{_short(node.op)}{where} is neither convex nor concave on {r}"
            return f"{lost}; freeze {sources}, or restrict that range"
    return f"{_short(node.op)}{where} loses it ({known}){remedy}"


def _source(linked: Linked, j: int, out: list[Fact]) -> str:
    """The asked blocks that a value depends on, or its name."""
    seen, stack, found = {j}, [j], []
    while stack:
        n = stack.pop()
        if linked.nodes[n].op == "block" and not out[n].bits & CONSTANT:
            found.append((n, linked.nodes[n].args[0]))
        for m in linked.inputs[n]:
            if m not in seen:
                seen.add(m)
                stack.append(m)
    names = [name for _, name in sorted(found)]
    return listing(names) if names else linked.nodes[j].name


def _short(op: str) -> str:
    return op.split(".")[1] if "." in op else op
