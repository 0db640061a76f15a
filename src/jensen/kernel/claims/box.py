"""Proof on a box: the Hessian's enclosure is semidefinite on every piece of a subdivision.

All blocks, asked and other, are at most a few numbers in all. A box may be unbounded: its tails are pieces too, and
midpoints are taken after the map x / (1 + |x|).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.kernel import ranges
from jensen.kernel.claims import jets
from jensen.kernel.claims.jets import Jet
from jensen.kernel.claims.objects import elements, read_objects
from jensen.kernel.claims.words import subject
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import UNDEFINED
from jensen.kernel.program import Node, Problem
from jensen.kernel.ranges import Range
from jensen.kernel.readings import leaf_facts, read_facts

VARIABLES = 6
PIECES = 3000
WORK = 5_000_000  # jets, over all pieces

Piece = tuple[tuple[float, float], ...]


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a proof on a box needs no evidence beyond its name")
    if claim.kind not in ("convex", "concave"):
        raise Rejected("evidence", "a known method of proof", f"boxes prove convex or concave, not {claim.kind}")
    names = [*claim.blocks, *(n for n in problem.blocks if n not in claim.blocks)]
    start = _box(problem, claim, names)
    for k, term in enumerate(problem.terms):
        facts = read_facts(problem.linked(k, atoms), leaf_facts(term.tensors, claim.blocks, claim.within))
        if facts[problem.linked(k, atoms).output] is UNDEFINED:
            raise Rejected("box", "J defined on the box", "J may be undefined somewhere in the box")
    most = min(PIECES, WORK // max(sum(elements(problem.linked(k, atoms)) for k in range(len(problem.terms))), 1))
    stack, used = [start], 0
    while stack:
        piece = stack.pop()
        used += 1
        if _holds(problem, claim, names, piece, atoms):
            continue
        if used > most:
            raise Rejected("box", "a semidefinite Hessian", f"not shown with {most} pieces; near {_centre(piece)}")
        stack += _halves(piece, start)
    why = f"its Hessian's enclosure is semidefinite on {used} pieces of the box"
    return f"J is {claim.kind} {subject(problem, claim)}: {why}"


def _box(problem: Problem, claim: Any, names: list[str]) -> Piece:
    out: list[tuple[float, float]] = []
    for n in names:
        size = int(np.prod(problem.blocks[n], dtype=int))
        free = (np.full(size, -np.inf), np.full(size, np.inf))
        lo, hi = (np.asarray(v).ravel().tolist() for v in claim.within.get(n, free))
        out += zip(lo, hi, strict=True)
    if not 0 < len(out) <= VARIABLES:
        raise Rejected("box", "a small problem", f"boxes are read with at most {VARIABLES} parameters")
    return tuple(out)


def _squash(x: float) -> float:
    return float(np.sign(x)) if np.isinf(x) else x / (1.0 + abs(x))


def _middle(lo: float, hi: float) -> float:
    if np.isfinite(lo) and np.isfinite(hi):
        return lo + (hi - lo) / 2
    y = (_squash(lo) + _squash(hi)) / 2
    return y / (1.0 - abs(y)) if abs(y) < 1.0 else hi


def _centre(piece: Piece) -> str:
    return "(" + ", ".join(f"{_middle(lo, hi):.4g}" for lo, hi in piece) + ")"


def _halves(piece: Piece, start: Piece) -> list[Piece]:
    widths = [_width(p, q) for p, q in zip(piece, start, strict=True)]
    k = int(np.argmax(widths))
    lo, hi = piece[k]
    middle = _middle(lo, hi)
    if not lo < middle < hi:
        raise Rejected("box", "a semidefinite Hessian", f"not shown near {_centre(piece)}")
    return [(*piece[:k], part, *piece[k + 1 :]) for part in ((lo, middle), (middle, hi))]


def _width(part: tuple[float, float], whole: tuple[float, float]) -> float:
    """How large a part of its side a piece takes up."""
    if np.isinf(whole[0]) or np.isinf(whole[1]):
        part, whole = (_squash(part[0]), _squash(part[1])), (_squash(whole[0]), _squash(whole[1]))
    return (part[1] - part[0]) / (whole[1] - whole[0]) if part[1] > part[0] else -1.0


def _holds(problem: Problem, claim: Any, names: list[str], piece: Piece, atoms: Any) -> bool:
    asked = sum(int(np.prod(problem.blocks[n], dtype=int)) for n in claim.blocks)
    total: Jet | None = None
    for k, term in enumerate(problem.terms):
        jet = _term(problem, k, names, piece, asked, atoms)
        scaled = jet if term.weight == 1 else jet * jets.constant(ranges.of_fraction(term.weight), asked)
        total = scaled if total is None else total + scaled
    if total is None:
        return False
    hessian = total.hessian if claim.kind == "convex" else (-total).hessian
    return jets.semidefinite(hessian, asked)


def _term(problem: Problem, k: int, names: list[str], piece: Piece, asked: int, atoms: Any) -> Jet:
    leaves: dict[str, list[Jet]] = {}
    position = 0
    for n in names:
        size = int(np.prod(problem.blocks[n], dtype=int))
        parts = [ranges.make(*bounds) for bounds in piece[position : position + size]]
        leaves[n] = [
            jets.variable(r, position + i, asked) if position + i < asked else jets.constant(r, asked)
            for i, r in enumerate(parts)
        ]
        position += size

    def lift(x: Any) -> Jet:
        v = float(x)
        if v != x or not np.isfinite(v):
            raise Rejected("constant", "exact finite constants", f"{x!r} is not a finite float")
        return jets.constant((v, v, False, False), asked)

    def leaf(node: Node) -> np.ndarray:
        if node.op == "const":
            value = problem.terms[k].tensors[node.args[0]]
            return value if value.dtype.kind != "f" else _shaped([lift(v) for v in value.ravel().tolist()], value.shape)
        return _shaped(leaves[node.args[0]], problem.blocks[node.args[0]])

    def unary(op: str, attributes: tuple[Any, ...], x: Jet) -> Jet:
        slopes = atoms.slopes.get(op)
        if slopes is None:
            raise Rejected(op, "known derivatives", f"{op} has no derivatives here")
        found: tuple[Range, Range, Range] = slopes(x.value, *attributes)
        return x.chain(*found)

    return read_objects(problem.linked(k, atoms), leaf, lift, unary, limit=2048)


def _shaped(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out.reshape(shape)
