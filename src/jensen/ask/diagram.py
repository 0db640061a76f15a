"""The program with its facts, for pictures."""

from __future__ import annotations

from jensen.atoms import registry
from jensen.finding import Step
from jensen.kernel.check import Claim
from jensen.kernel.claims.explain import describe
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem, Program, refs
from jensen.kernel.readings import read_facts


def steps(problem: Problem, claim: Claim, lost: str | None) -> tuple[Step, ...]:
    """Every operation of the first term, with what the claim's reading knows of it."""
    atoms = registry().ideal() if claim.ideal else registry()
    linked = problem.linked(0, atoms)
    try:
        facts = [describe(f) for f in read_facts(linked, leaves(problem, 0, claim.blocks, claim.within))]
    except Rejected:
        facts = ["not modelled"] * len(linked.nodes)
    return tuple(
        Step(n.name, n.op, n.module, linked.inputs[i], facts[i], n.name == lost) for i, n in enumerate(linked.nodes)
    )


def bare(program: Program) -> tuple[Step, ...]:
    """Every operation of a program, with nothing known of its value."""
    return tuple(Step(n.name, n.op, n.module, tuple(refs(n.args)), "") for n in program.nodes)
