"""Proof for quadratics: the cost is a polynomial whose Hessian is a constant matrix, factorised exactly.

The program is read over rational polynomials in all blocks; the Hessian in the asked ones must be free of variables,
and L D L' in rational arithmetic decides whether it is semidefinite: boundary cases are settled exactly.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import Ordering, fmpq, fmpq_mpoly_ctx

from jensen.kernel.claims.objects import read_objects
from jensen.kernel.claims.words import subject
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Node, Problem

LIMIT = 96
WORK = 20_000_000  # products of terms, in all


class Poly:
    """A polynomial of degree at most 4, with a budget of work shared by all."""

    __slots__ = ("budget", "poly")

    def __init__(self, poly: Any, budget: list[int]):
        self.poly, self.budget = poly, budget

    def __add__(self, other: Poly) -> Poly:
        self._spend(len(self.poly) + len(other.poly))
        return Poly(self.poly + other.poly, self.budget)

    def __sub__(self, other: Poly) -> Poly:
        return self + -other

    def __neg__(self) -> Poly:
        return Poly(-self.poly, self.budget)

    def __mul__(self, other: Poly) -> Poly:
        self._spend(len(self.poly) * len(other.poly))
        if len(self.poly) and len(other.poly) and self.poly.total_degree() + other.poly.total_degree() > 4:
            raise Rejected("product", "a quadratic", "the degree is too high")
        return Poly(self.poly * other.poly, self.budget)

    def __truediv__(self, other: Poly) -> Poly:
        # any other divisor would have to be shown non-zero, even where it divides exactly
        if not other.poly.is_constant() or other.poly == 0:
            raise Rejected("division", "a constant divisor", "the divisor is not a non-zero constant")
        return Poly(self.poly / other.poly, self.budget)

    def _spend(self, n: int) -> None:
        self.budget[0] -= n + 1
        if self.budget[0] < 0:
            raise Rejected("polynomials", "a small problem", "the polynomials have too many terms")


SIGNS = {"convex": (1,), "concave": (-1,), "affine": (1, -1)}


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a proof for a quadratic needs no evidence beyond its name")
    if claim.kind not in SIGNS:
        raise Rejected("evidence", "a known method of proof", f"quadratics prove convex or concave, not {claim.kind}")
    matrix = hessian(problem, claim.blocks, atoms)
    if not all(semidefinite([[s * v for v in row] for row in matrix]) for s in SIGNS[claim.kind]):
        raise Rejected(
            "hessian", "a semidefinite matrix", f"the Hessian of this quadratic shows that it is not {claim.kind}"
        )
    return f"J is {claim.kind} {subject(problem, claim)}: a quadratic with a semidefinite Hessian"


def hessian(problem: Problem, blocks: tuple[str, ...], atoms: Any) -> list[list[Any]]:
    """The constant Hessian in the asked blocks, as rationals."""
    total, variables = polynomial(problem, atoms, WORK)
    asked = [v for n in blocks for v in variables[n]]
    return [[_constant(total.derivative(i).derivative(j)) for j in asked] for i in asked]


def form(problem: Problem, atoms: Any, work: int) -> list[list[Any]]:
    """A quadratic in all blocks as the symmetric matrix M of (1, x)' M (1, x): semidefinite where it is never negative."""
    total, variables = polynomial(problem, atoms, work)
    asked = [v for places in variables.values() for v in places]
    second = [[_constant(total.derivative(i).derivative(j)) / 2 for j in asked] for i in asked]
    origin = [fmpq(0)] * len(asked)
    first = [total.derivative(i)(*origin) / 2 for i in asked]
    return [[total(*origin), *first], *([g, *row] for g, row in zip(first, second, strict=True))]


def polynomial(problem: Problem, atoms: Any, work: int) -> tuple[Any, dict[str, list[int]]]:
    """The cost as a polynomial in all blocks, and the places of each block's elements among its variables."""
    sizes = {n: int(np.prod(s, dtype=int)) for n, s in problem.blocks.items()}
    if sum(sizes.values()) > LIMIT:
        raise Rejected("blocks", "a small problem", f"quadratics are read with at most {LIMIT} parameters")
    ring = fmpq_mpoly_ctx.get([f"v{i}" for i in range(sum(sizes.values()))], Ordering.lex)
    variables, start = {}, 0
    for n, size in sizes.items():
        variables[n] = list(range(start, start + size))
        start += size
    total, budget = ring.constant(0), [work]
    for k, term in enumerate(problem.terms):
        poly = _read(problem, k, ring, variables, atoms, budget).poly
        total = total + poly * fmpq(term.weight.numerator, term.weight.denominator)
    return total, variables


def _read(problem: Problem, k: int, ring: Any, variables: dict[str, list[int]], atoms: Any, budget: list[int]) -> Any:
    generators = [Poly(g, budget) for g in ring.gens()]

    def lift(x: Any) -> Poly:
        p, q = Fraction(x).as_integer_ratio()
        return Poly(ring.constant(fmpq(p, q)), budget)

    def leaf(node: Node) -> np.ndarray:
        if node.op == "const":
            value = problem.terms[k].tensors[node.args[0]]
            flat = [lift(v) for v in value.ravel().tolist()] if value.dtype.kind == "f" else None
            return value if flat is None else _shaped(flat, value.shape)
        return _shaped([generators[i] for i in variables[node.args[0]]], problem.blocks[node.args[0]])

    return read_objects(problem.linked(k, atoms), leaf, lift, _unary, limit=4096)


def _shaped(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out.reshape(shape)


def _unary(op: str, attributes: tuple[Any, ...], x: Any) -> Any:
    if op == "aten.pow.Tensor_Scalar" and attributes[0] in (1.0, 2.0):
        return x * x if attributes[0] == 2 else x
    raise Rejected(op, "a polynomial", f"{op} is not a polynomial of low degree")


def _constant(poly: Any) -> Any:
    if len(poly) and int(poly.total_degree()) > 0:
        raise Rejected("hessian", "a constant Hessian", "the cost is not quadratic in the asked blocks")
    return poly.coefficient(0) if len(poly) else fmpq(0)


def semidefinite(matrix: list[list[Any]]) -> bool:
    """Whether a symmetric rational matrix is positive semidefinite, by exact elimination."""
    a = [list(row) for row in matrix]
    n = len(a)
    for k in range(n):
        pivot = a[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(a[k][j] != 0 for j in range(k + 1, n)):
                return False
            continue
        for i in range(k + 1, n):
            factor = a[i][k] / pivot
            if factor != 0:
                for j in range(k + 1, n):
                    a[i][j] -= factor * a[k][j]
    return True
