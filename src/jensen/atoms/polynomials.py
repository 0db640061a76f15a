"""Exact identities of polynomials: squares completed, and piecewise polynomials written with relu.

An expression is expanded into monomials of the nodes that are not + - * or whole powers, with rational coefficients.
Both sides of each identity are the same polynomial (or piecewise polynomial) of these nodes, which all stay in use, so
that values, domain and shape agree. An identity is used only where every number in it is exactly a float.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb, inf
from typing import Any

from jensen.atoms.identities import _build, _named, operand, pattern
from jensen.kernel.program import Merger, Node, Ref

Monomial = tuple[tuple[int, int], ...]  # (node, power), by node
Poly = dict[Monomial, Fraction]

DEGREE, TERMS, VARIABLES = 6, 24, 4
POW = "aten.pow.Tensor_Scalar"


class TooLarge(Exception):
    """The expansion has too many terms, too high a degree, or numbers that are not real."""


def _times(p: Poly, q: Poly) -> Poly:
    out: Poly = {}
    for a, c in p.items():
        for b, d in q.items():
            powers = dict(a)
            for node, n in b:
                powers[node] = powers.get(node, 0) + n
            key = tuple(sorted(powers.items()))
            out[key] = out.get(key, Fraction(0)) + c * d
    if len(out) > TERMS or any(sum(n for _, n in key) > DEGREE for key in out):
        raise TooLarge
    return out


def _plus(p: Poly, q: Poly, sign: int = 1) -> Poly:
    out = dict(p)
    for key, c in q.items():
        out[key] = out.get(key, Fraction(0)) + sign * c
    return out


def expand(m: Merger, a: Any, whole: int | None = None) -> Poly:
    """An argument as a polynomial; the node ``whole`` is not looked into, and x**2 is its square where it is abs(x)."""
    if type(a) in (int, float):
        if a - a != 0:
            raise TooLarge
        return {(): Fraction(a)}
    if type(a) is not Ref:
        raise TooLarge
    node = m.nodes[a.index]
    if a.index == whole:
        return {((a.index, 1),): Fraction(1)}
    if node.op in ("aten.add.Tensor", "aten.sub.Tensor"):
        sign = 1 if node.op == "aten.add.Tensor" else -1
        return _plus(expand(m, node.args[0], whole), expand(m, node.args[1], whole), sign)
    if node.op == "aten.mul.Tensor":
        return _times(expand(m, node.args[0], whole), expand(m, node.args[1], whole))
    if node.op == "aten.neg.default":
        return _times({(): Fraction(-1)}, expand(m, node.args[0], whole))
    if node.op == "aten.div.Tensor" and type(node.args[1]) in (int, float) and 0 < abs(node.args[1]) < inf:
        return _times({(): 1 / Fraction(node.args[1])}, expand(m, node.args[0], whole))
    if node.op == POW and node.args[1] in (1, 2, 3, 4, 5, 6):
        if whole is not None and node.args[1] % 2 == 0 and m.nodes[whole][1:3] == ("aten.abs.default", node.args[:1]):
            return {((whole, int(node.args[1])),): Fraction(1)}
        base, out = expand(m, node.args[0], whole), {(): Fraction(1)}
        for _ in range(int(node.args[1])):
            out = _times(out, base)
        return out
    return {((a.index, 1),): Fraction(1)}


def number(c: Fraction) -> float:
    """A coefficient as a float, exactly."""
    try:
        value = float(c)
    except OverflowError:
        raise TooLarge from None
    if Fraction(value) != c:
        raise TooLarge
    return value


def scaled(m: Merger, node: Node, x: Ref, c: Fraction) -> Ref:
    """c x for c that is not zero."""
    if c == 1:
        return x
    return _build(m, node, "aten.neg.default", x) if c == -1 else _build(m, node, "aten.mul.Tensor", x, number(c))


def total(m: Merger, node: Node, parts: list[Ref], c: Fraction) -> Ref:
    """The sum of some values and a number."""
    out = parts[0]
    for p in parts[1:]:
        out = _build(m, node, "aten.add.Tensor", out, p)
    return out if c == 0 else _build(m, node, "aten.add.Tensor", out, number(c))


# -- squares -----------------------------------------------------------------------------------------------


@pattern(POW, "aten.log.default")
def of_squares(m: Merger, node: Node) -> int | None:
    """f(x^2 + x + 1) = f((x + 1/2)^2 + 3/4), and the same in several variables, for roots, powers and logarithms.

    Exact elimination: a x_k^2 + x_k l(rest) + q(rest) with a > 0 equals a (x_k + l / (2a))^2 + (q - l^2 / (4a)).
    """
    x = node.args[0]
    if type(x) is not Ref or m.nodes[x.index].op not in ("aten.add.Tensor", "aten.sub.Tensor"):
        return None
    if node.op == POW and not (-inf < node.args[1] < inf and (node.args[1] < 0 or node.args[1] % 1)):
        return None
    try:
        poly = {k: c for k, c in expand(m, x).items() if c}
        mixed = any(len(k) > 1 or (len(k) == 1 and k[0][1] == 1) for k in poly)
        if not mixed or max((sum(n for _, n in k) for k in poly), default=0) != 2:
            return None
        squares, rest = complete(poly)
        names = {v for k in expand(m, x) for v, _ in k}
        if not squares or names - {v for form, _ in squares for v in form}:
            return None
        done = total(m, node, [_square(m, node, form, a) for form, a in squares], rest)
        return None if done == x else _build(m, node, node.op, done, *node.args[1:]).index
    except TooLarge:
        return None


def complete(poly: Poly) -> tuple[list[tuple[dict[Any, Fraction], Fraction]], Fraction]:
    """[(l, a), ...] and c with poly = sum of a l^2 + c, each l as {node: coefficient, None: constant}, each a > 0."""
    poly, squares = dict(poly), []
    for v in sorted({v for k in poly for v, _ in k}):
        a = poly.get(((v, 2),), Fraction(0))
        linear = {tuple((w, n) for w, n in k if w != v): c for k, c in poly.items() if (v, 1) in k and c}
        if a <= 0:
            if a or linear:
                raise TooLarge
            continue
        form: dict[Any, Fraction] = {v: Fraction(1)}
        for k, c in linear.items():
            form[k[0][0] if k else None] = c / (2 * a)
        squares.append((form, a))
        one = {(((w, 1),) if w is not None else ()): c for w, c in form.items()}
        poly = {k: c for k, c in _plus(poly, _times({(): a}, _times(one, one)), -1).items() if c}
    if len(squares) > VARIABLES or any(poly.get(k) for k in poly if k):
        raise TooLarge
    return squares, poly.get((), Fraction(0))


def _square(m: Merger, node: Node, form: dict[Any, Fraction], a: Fraction) -> Ref:
    parts = [scaled(m, node, Ref(v), c) for v, c in form.items() if v is not None]
    return scaled(m, node, _build(m, node, POW, total(m, node, parts, form.get(None, Fraction(0))), 2.0), a)


# -- pieces ------------------------------------------------------------------------------------------------


@pattern("aten.where.self")
def pieces(m: Merger, node: Node) -> int | None:
    """where(u > k, f, g) = max(f, g) or min(f, g) for f - g = c (u - k), by the sign of c; in general it is

        g + c1 relu(u - k) + c2 relu(u - k)^2 + ...   for   f - g = c1 (u - k) + c2 (u - k)^2 + ...

    The difference vanishes at u = k, so that it does not matter whether the test is strict. From the other side it is
    f + d1 relu(k - u) + d2 relu(k - u)^2 + ... with d_j = -c_j (-1)^j; the side with coefficients of one sign is taken.
    """
    found = _sides(m, node)
    if found is None:
        return None
    u, k, above, below = found
    try:
        f, g = expand(m, above, u.index), expand(m, below, u.index)
        huber = _huber(m, node, u, k, f, g)
        if huber is not None:
            return huber
        c = shifted(_plus(f, g, -1), u.index, k)
        if not c or 0 in c:
            return None
        if set(c) == {1}:
            return _named(m, node, "aten.maximum.default" if c[1] > 0 else "aten.minimum.default", above, below)
        d = {j: -v * (-1) ** j for j, v in c.items()}
        minus_k = total(m, node, [u], -k)
        if len({v > 0 for v in c.values()}) == 1:
            ramp, start = minus_k, below
        else:
            ramp, start, c = _build(m, node, "aten.neg.default", minus_k), above, d
        step = _build(m, node, "aten.relu.default", ramp)
        parts = [scaled(m, node, step if j == 1 else _build(m, node, POW, step, float(j)), v) for j, v in c.items()]
        base, number = ([start], Fraction(0)) if isinstance(start, Ref) else ([], Fraction(start))
        return total(m, node, [*base, *parts], number).index
    except TooLarge:
        return None


def _sides(m: Merger, node: Node) -> tuple[Ref, Fraction, Any, Any] | None:
    """u, k and the values above and below of where(u > k, ...), the test written in any direction."""
    if len(node.args) != 3 or type(node.args[0]) is not Ref:
        return None
    test = m.nodes[node.args[0].index]
    name = test.op.removeprefix("aten.").removesuffix(".Tensor")
    if name not in ("gt", "ge", "lt", "le") or len(test.args) != 2:
        return None
    (u, k), up = test.args, name in ("gt", "ge")
    if type(u) is not Ref:
        u, k, up = k, u, not up
    if type(u) is not Ref or type(k) not in (int, float) or k - k != 0:
        return None
    above, below = (node.args[1], node.args[2]) if up else (node.args[2], node.args[1])
    return u, Fraction(k), above, below


def shifted(p: Poly, u: int, k: Fraction) -> dict[int, Fraction] | None:
    """Coefficients of a polynomial of u alone in powers of u - k; None where others occur."""
    out: dict[int, Fraction] = {}
    for key, c in p.items():
        if c and any(node != u for node, _ in key):
            return None
        n = sum(power for _, power in key)
        for j in range(n + 1):
            out[j] = out.get(j, Fraction(0)) + c * comb(n, j) * k ** (n - j)
    return {j: c for j, c in sorted(out.items()) if c}


def _huber(m: Merger, node: Node, u: Ref, k: Fraction, f: Poly, g: Poly) -> int | None:
    """where(|x| > k, 2 a k |x| - a k^2, a x^2) = 2 a huber(x, k)."""
    inner = operand(m, u, "aten.abs.default")
    a = g.get(((u.index, 2),), Fraction(0))
    if inner is None or not a or k <= 0:
        return None
    want_g, want_f = {((u.index, 2),): a}, {((u.index, 1),): 2 * a * k, (): -a * k * k}
    if {x: c for x, c in g.items() if c} != want_g or {x: c for x, c in f.items() if c} != want_f:
        return None
    return scaled(m, node, _build(m, node, "jensen.huber", inner[0], number(k)), 2 * a).index
