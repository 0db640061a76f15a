"""Scalars in a program that are polynomials of degree two: convex or concave where an exact matrix says so."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, prod
from typing import Any

from jensen.kernel import ranges
from jensen.kernel.claims import quadratic
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONCAVE, CONVEX, Fact, fact, vex_over
from jensen.kernel.program import Linked, Problem, Program, Term, refs
from jensen.kernel.readings import Leaf

SMALL, PRODUCTS = 48, 300_000
SQUARE = "aten.pow.Tensor_Scalar"
LOW_DEGREE = {
    "aten.neg.default", "aten.sum.dim_IntList", "aten.mean.dim", "aten.add.Tensor", "aten.sub.Tensor", "aten.div.Tensor",
}  # fmt: skip
BILINEAR = {"aten.mul.Tensor", "aten.matmul.default", "aten.linear.default"}


def quadratics(linked: Linked, leaf: Leaf, atoms: Any, out: list[Fact]) -> Iterator[tuple[int, Fact]]:
    """Scalars that are polynomials of degree two in few asked numbers."""
    tensors, asked = getattr(leaf, "tensors", None), getattr(leaf, "asked", ())
    if tensors is None:
        return
    degrees = _degrees(linked, out)
    used = {j for i, js in enumerate(linked.inputs) if degrees[i] != 2 for j in js} | {linked.output}
    for i in range(len(linked.nodes)):
        if degrees[i] == 2 and linked.shapes[i] == () and i in used and not out[i].bits & (CONVEX | CONCAVE):
            part = Program(linked.nodes[: i + 1], i)
            behind = _blocks(linked, i)
            shapes = {n: linked.shapes[k] for n, k in behind.items()}
            if set(shapes) <= set(asked) and sum(prod(s) for s in shapes.values()) <= SMALL:
                f = _quadratic_fact(Problem((Term(part, tensors),), shapes), atoms)
                if f is not None:
                    yield i, f


def _degrees(linked: Linked, out: list[Fact]) -> list[int]:
    """The degree in the blocks of what is a polynomial of degree at most two, else 3."""
    degrees: list[int] = []
    for i, node in enumerate(linked.nodes):
        atom, above = linked.atoms[i], [degrees[j] for j in linked.inputs[i]]
        if atom is None:
            degrees.append(int(node.op == "block"))
        elif node.op == SQUARE and node.args[1] == 2:
            degrees.append(min(2 * above[0], 3))
        elif node.op in BILINEAR:
            degrees.append(min(sum(degrees[j] for j in refs(node.args)), 3))
        elif atom.moves or node.op in LOW_DEGREE:
            degrees.append(max(above, default=0))
        else:
            degrees.append(0 if not any(above) else 3)
    return degrees


def _blocks(linked: Linked, i: int) -> dict[str, int]:
    found, stack, names = {i}, [i], dict[str, int]()
    while stack:
        k = stack.pop()
        if linked.nodes[k].op == "block":
            names[linked.nodes[k].args[0]] = k
        for j in linked.inputs[k]:
            if j not in found:
                found.add(j)
                stack.append(j)
    return names


def _quadratic_fact(problem: Problem, atoms: Any) -> Fact | None:
    try:
        matrix = quadratic.form(problem, atoms, PRODUCTS)
    except (Rejected, AttributeError):  # a choice may leave a number that is no polynomial
        return None
    second = [row[1:] for row in matrix[1:]]
    if quadratic.semidefinite(matrix):
        return fact(CONVEX, (0.0, inf, False, True), vex_over(1, 2))
    bits = CONVEX if quadratic.semidefinite(second) else 0
    bits |= CONCAVE if quadratic.semidefinite([[-v for v in row] for row in second]) else 0
    return fact(bits, ranges.REALS) if bits else None
