"""Why a fact is not enough: the node, the rule, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from jensen.kernel import ranges
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.claims.words import listing
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import AFFINE, CONCAVE, CONSTANT, CONVEX, QUASICONCAVE, QUASICONVEX, UNDEFINED, Fact, fact
from jensen.kernel.program import Linked, Node, Problem, Ref
from jensen.kernel.ranges import Range
from jensen.kernel.readings import read_facts

BOXES = ((0.0, inf), (0.001, inf), (-0.999, 0.999), (0.001, 0.999), (1.001, inf), (-inf, -0.001))
WORK = 20_000  # nodes, over all blocks behind one


def explain(problem: Problem, k: int, claim: Any, atoms: Any) -> Rejected:
    """Why a term's fact is not enough: the node, the rule, and what was known of its inputs."""
    linked = problem.linked(k, atoms)
    out = read_facts(linked, leaves(problem, k, claim.blocks, claim.within))
    i = blame(linked, out)
    node, atom = linked.nodes[i], linked.atoms[i]
    where = f" in {node.module}" if node.module else ""
    if atom is None:
        return Rejected(node.name, claim.kind, f"{node.name} alone is {describe(out[i])}, which is not {claim.kind}")
    known = ", ".join(
        f"{linked.nodes[j].name} is {describe(out[j])} on {ranges.show(out[j].range)}" for j in linked.inputs[i]
    )
    if out[i] is UNDEFINED:
        names = _blocks(linked, i)
        of = f"it depends on {listing(names)}: " if names else ""
        remedy = _box_inside(problem, k, claim, atoms, i, names)
        why = f"{_short(node.op)}{where} may leave its domain: {known}; {of}{remedy}, or fix other blocks with cost.restrict"
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
    everything = sources == listing(
        [n.args[0] for j, n in enumerate(linked.nodes) if n.op == "block" and not out[j].bits & CONSTANT]
    )
    remedy = "" if everything else f"; freeze {sources}"
    if linked.atoms[i].row is not None and varying:
        bare = _bare(linked.atoms[i], node, out[varying[0]].range)
        if not bare.bits & (CONVEX | CONCAVE):
            r = ranges.show(out[varying[0]].range)
            lost = f"{_short(node.op)}{where} is neither convex nor concave on {r}"
            return f"{lost}; freeze {sources}, or restrict that range"
    return f"{_short(node.op)}{where} loses it ({known}){remedy}"


def _box_inside(problem: Problem, k: int, claim: Any, atoms: Any, i: int, names: Sequence[str]) -> str:
    """A box for the blocks behind a node that keeps it inside its domain, if a simple one does; in words."""
    linked = problem.linked(k, atoms)
    for lo, hi in BOXES if names and len(linked.nodes) * len(names) <= WORK else ():
        boxes = dict(claim.within)
        for name in names:
            low, high = claim.within.get(name, (-inf, inf))
            boxes[name] = (max(lo, float(np.min(low))), min(hi, float(np.max(high))))
        if any(low > high for low, high in (boxes[n] for n in names)):
            continue
        if read_facts(linked, leaves(problem, k, claim.blocks, boxes))[i] is not UNDEFINED:
            pair = tuple(None if abs(v) == inf else v for v in (lo, hi))
            return f"within={dict.fromkeys(names, pair)} keeps it inside"
    return "ask within a box that keeps it inside"


def _source(linked: Linked, j: int, out: list[Fact]) -> str:
    """The asked blocks that a value depends on, or its name."""
    names = _blocks(linked, j, out)
    return listing(names) if names else linked.nodes[j].name


def _blocks(linked: Linked, j: int, out: list[Fact] | None = None) -> list[str]:
    """The blocks that a value depends on; with facts, those that vary."""
    seen, stack, found = {j}, [j], []
    while stack:
        n = stack.pop()
        if linked.nodes[n].op == "block" and (out is None or not out[n].bits & CONSTANT):
            found.append((n, linked.nodes[n].args[0]))
        for m in linked.inputs[n]:
            if m not in seen:
                seen.add(m)
                stack.append(m)
    return [name for _, name in sorted(found)]


def _short(op: str) -> str:
    return op.split(".")[1] if "." in op else op


def _bare(atom: Any, node: Node, r: Range) -> Fact:
    """What an elementwise function makes of a variable on a range."""
    return atom.facts((Ref(0), *node.args[1:]), [fact(AFFINE, r)], [()], 1)


def blame(linked: Linked, out: Sequence[Fact]) -> int:
    """The node at which a wanted property is lost: the deepest one lacking it all of whose inputs are fine.

    Walks from the output through inputs of unknown curvature to one whose inputs all have some.
    """
    i = linked.output
    while True:
        worse = [j for j in linked.inputs[i] if _lost(out[j])]
        if not worse:
            return i
        i = worse[0]


def _lost(f: Fact) -> bool:
    return f is UNDEFINED or not f.bits & (CONVEX | CONCAVE)


def describe(f: Fact) -> str:
    """In words, the strongest first."""
    if f is UNDEFINED:
        return "possibly undefined"
    if f.bits & CONSTANT:
        return "constant"
    if f.bits & CONVEX and f.bits & CONCAVE:
        return "affine"
    if f.bits & CONVEX:
        return "log-convex" if f.vex <= 0 and f.range[0] >= 0 else "convex"
    if f.bits & CONCAVE:
        return "concave"
    if f.cave >= 0 and f.range[0] >= 0:
        return "log-concave"
    if f.bits & QUASICONVEX:
        return "quasilinear" if f.bits & QUASICONCAVE else "quasiconvex"
    return "quasiconcave" if f.bits & QUASICONCAVE else "of unknown curvature"
