"""Groups of elementwise operations over one value, which are functions of one variable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jensen.kernel.claims.cone import Cone
from jensen.kernel.claims.pieces import ARITHMETIC, COMPARISONS, EXTREMES, LOGIC, OTHERS
from jensen.kernel.facts import AFFINE, Fact
from jensen.kernel.program import Linked, Node, Ref

LONGEST = 64


def elementwise(node: Node, atoms: Any) -> bool:
    if any(type(a) not in (Ref, int, float, bool) and a is not None for a in node.args):
        return False
    if node.op in ARITHMETIC or node.op in COMPARISONS or node.op in EXTREMES or node.op in LOGIC or node.op in OTHERS:
        return None not in node.args
    known = node.op in atoms.branches or node.op in atoms.slopes
    return known and not any(type(a) is Ref for a in node.args[1:])


def cones(
    linked: Linked, atoms: Any, out: list[Fact], varying: list[bool], work: list[int]
) -> Iterator[tuple[int, Cone]]:
    """Maximal groups of elementwise operations over one value, of more than one operation that is not affine."""
    roots, ends = list(range(len(out))), set()
    for i, node in enumerate(linked.nodes):
        above = {roots[j] for j in linked.inputs[i] if varying[j]}
        plain = len(above) == 1 and elementwise(node, atoms) and all(
            varying[j] or out[j].range[0] == out[j].range[1] for j in linked.inputs[i]
        )  # fmt: skip
        if plain:
            roots[i] = above.pop()
        else:
            ends |= {j for j in linked.inputs[i] if varying[j]}
    for i in sorted(ends | {linked.output}):
        if roots[i] == i or out[i].bits & AFFINE == AFFINE or not out[roots[i]].bits & AFFINE:
            continue
        cone = _group(linked, out, varying, roots[i], i)
        bent = [k for k in cone if out[k].bits & AFFINE != AFFINE]
        if len(cone) <= LONGEST and (len(bent) > 1 or linked.nodes[i].op not in atoms.slopes):
            nodes = {k: linked.nodes[k] for k in cone}
            numbers = {j: out[j].range[0] for k in cone for j in linked.inputs[k] if not varying[j]}
            yield i, Cone(nodes, roots[i], i, numbers, atoms, work)


def _group(linked: Linked, out: list[Fact], varying: list[bool], root: int, top: int) -> list[int]:
    found, stack = {top}, [top]
    while stack and len(found) <= LONGEST:
        for j in linked.inputs[stack.pop()]:
            if varying[j] and j != root and j not in found:
                found.add(j)
                stack.append(j)
    return sorted(found)
