"""Proof for rational functions of one variable: signs of polynomials on an interval, decided exactly.

The cost is read as p / q with rational coefficients, and every divisor must be free of roots in the box. Each claim is
then a sign of one polynomial, because a / b and a b have the same sign where b is not zero:

- convex (concave): J'' >= 0 (<= 0) inside the box; J is continuous on it, so this carries to the ends.
- affine: J'' = 0.
- quasiconvex: J' changes sign at most once inside, and then from minus to plus: J falls, then rises.
- log-convex (log-concave): J > 0 on the box and J J'' - J'^2 >= 0 (<= 0), that is J^2 times (log J)''.

A polynomial changes sign exactly at its roots of odd multiplicity. Yun's factorisation gives the squarefree polynomial
with just these roots, and Sturm's theorem counts those inside the interval, so that touching zero is settled exactly.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
from flint import fmpq, fmpq_poly

from jensen.kernel.claims.objects import read_objects
from jensen.kernel.claims.words import subject
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Node, Problem

DEGREE = 64

Interval = tuple[float, float]


class Quotient:
    """p / q, and the divisors that were met on the way, which must not vanish."""

    __slots__ = ("divisors", "p", "q")

    def __init__(self, p: Any, q: Any, divisors: frozenset[Any] = frozenset()):
        if max(p.degree(), q.degree()) > DEGREE:
            raise Rejected("degree", "a rational function of low degree", "the degree is too high")
        common = p.gcd(q) if q.degree() > 0 else fmpq_poly([1])
        self.p, self.q, self.divisors = p // common, q // common, divisors

    def __add__(self, other: Quotient) -> Quotient:
        p = self.p * other.q + other.p * self.q
        return Quotient(p, self.q * other.q, self.divisors | other.divisors)

    def __neg__(self) -> Quotient:
        return Quotient(-self.p, self.q, self.divisors)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + (-other)

    def __mul__(self, other: Quotient) -> Quotient:
        return Quotient(self.p * other.p, self.q * other.q, self.divisors | other.divisors)

    def __truediv__(self, other: Quotient) -> Quotient:
        if other.p == 0:
            raise Rejected("division", "a divisor that is not zero", "a divisor is zero")
        divisor = frozenset([tuple(other.p.coeffs())])  # polynomials themselves have no hash
        return Quotient(self.p * other.q, self.q * other.p, self.divisors | other.divisors | divisor)

    def power(self, n: int) -> Quotient:
        up = Quotient(self.p ** abs(n), self.q ** abs(n), self.divisors)
        return up if n >= 0 else Quotient(fmpq_poly([1]), fmpq_poly([1])) / up

    def derivative(self) -> Quotient:
        p, q = self.p, self.q
        return Quotient(p.derivative() * q - p * q.derivative(), q * q, self.divisors)

    def sign(self) -> Any:
        """A polynomial of the same sign wherever this is defined."""
        return self.p * self.q


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a rational function needs no evidence beyond its name")
    box = _box(problem, claim)
    f = read(problem, atoms)
    for divisor in f.divisors:
        if count(fmpq_poly(list(divisor)), box, closed=True):
            raise Rejected("division", "J defined on the box", "a divisor has a root in the box")
    if not shows(f, claim.kind, box):
        raise Rejected("sign", claim.kind, f"the signs of its derivatives do not make this quotient {claim.kind}")
    return f"J is {claim.kind} {subject(problem, claim)}: a rational function, by the exact signs of its derivatives"


def _box(problem: Problem, claim: Any) -> Interval:
    if sum(int(np.prod(s, dtype=int)) for s in problem.blocks.values()) != 1:
        raise Rejected("blocks", "one variable", "rational functions are read in one variable")
    (name,) = [n for n, s in problem.blocks.items() if int(np.prod(s, dtype=int)) == 1]
    lo, hi = claim.within.get(name, (-inf, inf))
    box = float(np.min(lo)), float(np.max(hi))
    if not box[0] < box[1]:
        raise Rejected("box", "a box with an inside", "the box is a point")
    return box


def read(problem: Problem, atoms: Any) -> Quotient:
    """The cost as a rational function of its only variable."""
    one = fmpq_poly([1])
    total = Quotient(fmpq_poly([0]), one)

    def lift(x: Any) -> Quotient:
        return Quotient(fmpq_poly([fmpq(*Fraction(x).as_integer_ratio())]), one)

    def shaped(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
        out = np.empty(len(items), dtype=object)
        out[:] = items
        return out.reshape(shape)

    for k, term in enumerate(problem.terms):

        def leaf(node: Node, tensors: Any = term.tensors) -> np.ndarray:
            if node.op == "block":
                size = int(np.prod(problem.blocks[node.args[0]], dtype=int))
                return shaped([Quotient(fmpq_poly([0, 1]), one)] * size, problem.blocks[node.args[0]])
            value = tensors[node.args[0]]
            return shaped([lift(v) for v in value.ravel().tolist()], value.shape) if value.dtype.kind == "f" else value

        value = read_objects(problem.linked(k, atoms), leaf, lift, _unary, limit=256)
        total = total + lift(term.weight) * value
    return total


def _unary(op: str, attributes: tuple[Any, ...], x: Quotient) -> Quotient:
    if op == "aten.pow.Tensor_Scalar" and attributes[0] == attributes[0] and abs(attributes[0]) <= DEGREE:
        n = int(attributes[0])
        if n == attributes[0]:
            return x.power(n)
    raise Rejected(op, "a rational function", f"{op} is not a rational function")


def shows(f: Quotient, kind: str, box: Interval) -> bool:
    """Whether the signs on the box are those that a claim needs."""
    first = f.derivative()
    second = first.derivative()
    if kind == "affine":
        return bool(second.p == 0)
    if kind in ("convex", "concave"):
        return nonnegative(second.sign() if kind == "convex" else -second.sign(), box)
    if kind.startswith("quasi"):
        return falls_then_rises(first.sign() if kind == "quasiconvex" else -first.sign(), box)
    if f.p == 0 or count(f.sign(), box, closed=True) or start_sign(f.sign(), box) <= 0:
        return False
    bent = f * second - first * first
    return nonnegative(bent.sign() if kind == "log-convex" else -bent.sign(), box)


def nonnegative(poly: Any, box: Interval) -> bool:
    """Whether a polynomial is nowhere negative inside the box."""
    return bool(poly == 0) or (start_sign(poly, box) > 0 and count(odd_part(poly), box) == 0)


def falls_then_rises(poly: Any, box: Interval) -> bool:
    """Whether a polynomial changes sign at most once inside the box, and then from minus to plus."""
    if poly == 0:
        return True
    changes = count(odd_part(poly), box)
    return changes == 0 or (changes == 1 and start_sign(poly, box) < 0)


def odd_part(poly: Any) -> Any:
    """The squarefree polynomial whose roots are those of odd multiplicity."""
    out = fmpq_poly([1])
    for factor, m in poly.factor_squarefree()[1]:
        out = out * factor if m % 2 else out
    return out


def start_sign(poly: Any, box: Interval) -> int:
    """The sign just right of the lower end: of the first Taylor coefficient there that is not zero."""
    if box[0] == -inf:
        return _sign(poly.leading_coefficient()) * (-1 if poly.degree() % 2 else 1)
    x = _exact(box[0])
    while poly != 0:
        value = poly(x)
        if value != 0:
            return _sign(value)
        poly = poly.derivative()
    return 0


def count(poly: Any, box: Interval, closed: bool = False) -> int:
    """How many different roots a polynomial that is not zero has inside the box, or in it with its ends."""
    squarefree, ends = poly // poly.gcd(poly.derivative()) if poly.degree() > 0 else poly, 0
    for x in box:
        if abs(x) < inf and squarefree(_exact(x)) == 0:
            squarefree, ends = squarefree // fmpq_poly([-_exact(x), 1]), ends + 1
    chain = [squarefree, squarefree.derivative()]
    while chain[-1] != 0:
        chain.append(-(chain[-2] % chain[-1]))
    inside = _variations(chain[:-1], box[0]) - _variations(chain[:-1], box[1])
    return inside + (ends if closed else 0)


def _variations(chain: list[Any], x: float) -> int:
    """Sign changes along a Sturm chain at a point or at infinity."""
    if x == inf:
        signs = [_sign(p.leading_coefficient()) for p in chain]
    elif x == -inf:
        signs = [_sign(p.leading_coefficient()) * (-1 if p.degree() % 2 else 1) for p in chain]
    else:
        signs = [_sign(p(_exact(x))) for p in chain]
    signs = [s for s in signs if s]
    return sum(a != b for a, b in pairwise(signs))


def _exact(x: float) -> Any:
    return fmpq(*Fraction(x).as_integer_ratio())


def _sign(v: Any) -> int:
    return (v > 0) - (v < 0)
