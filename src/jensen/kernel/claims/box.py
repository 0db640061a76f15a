"""Proof on a box: an enclosure of first and second derivatives settles the claim on every piece of a subdivision.

All blocks, asked and other, are at most a few numbers in all. A box may be unbounded: its tails are pieces too, and
midpoints are taken after the map x / (1 + |x|). With value f, gradient g and Hessian H, every piece shows

- convex (concave): H >= 0 (-H >= 0) in the order of symmetric matrices;
- log-convex (log-concave): f > 0 and f H - g g' >= 0 (<= 0), which is f^2 times the Hessian of log f;
- quasiconvex: H + c g g' >= 0 for some c >= 0 of the piece's own. Then this holds with the largest c of all pieces:
  exp(c f) has a semidefinite Hessian everywhere, is convex, and f is an increasing function of it. In one asked
  number a piece may instead show f' > 0 or f' < 0. For then the derivative of exp(c f), which has the sign of f', cannot go from
  plus to minus: it does not fall on a piece of the first sort, keeps its sign on one of the second, and two pieces that
  meet share the point where they do. So f falls, then rises;
- quasiconcave: -f is quasiconvex.

Convex kinks have second derivatives in [0, infinity) and keep all of this; concave kinks fail it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.kernel import ranges
from jensen.kernel.claims import jets
from jensen.kernel.claims.jets import Jet
from jensen.kernel.claims.objects import elements, read_objects
from jensen.kernel.claims.words import subject
from jensen.kernel.errors import Narrow, Rejected
from jensen.kernel.program import Node, Problem
from jensen.kernel.ranges import Range

VARIABLES = 6
PIECES = 3000
BENDS = tuple(2.0**k for k in range(-24, 61, 6))
KINDS = ("convex", "concave", "quasiconvex", "quasiconcave", "log-convex", "log-concave")
WORK = 5_000_000  # jets, over all pieces

Piece = tuple[tuple[float, float], ...]


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected."""
    if set(evidence) != {"method"}:
        raise Rejected("evidence", "no unknown fields", "a proof on a box needs no evidence beyond its name")
    if claim.kind not in KINDS:
        raise Rejected("evidence", "a known method of proof", f"boxes do not prove {claim.kind}")
    names = [*claim.blocks, *(n for n in problem.blocks if n not in claim.blocks)]
    start = _box(problem, claim, names)
    most = min(PIECES, WORK // max(sum(elements(problem.linked(k, atoms)) for k in range(len(problem.terms))), 1))
    stack, used = [start], 0
    while stack:
        piece = stack.pop()
        used += 1
        why = _missing(problem, claim, names, piece, atoms)
        if why is None:
            continue
        if used > most:
            raise Rejected(
                "box", "derivatives that show it", f"not shown with {most} pieces; near {_centre(piece)}{why}"
            )
        stack += _halves(piece, start, why)
    words = f"J is {claim.kind} {subject(problem, claim)}"
    return f"{words}: enclosures of its derivatives show it on {used} pieces of the box"


def _box(problem: Problem, claim: Any, names: list[str]) -> Piece:
    out: list[tuple[float, float]] = []
    sizes = {n: int(np.prod(problem.blocks[n], dtype=int)) for n in names}
    for n, size in sizes.items() if sum(sizes.values()) <= VARIABLES else ():  # millions of intervals take seconds
        free = (np.full(size, -np.inf), np.full(size, np.inf))
        lo, hi = (np.asarray(v).ravel().tolist() for v in claim.within.get(n, free))
        out += zip(lo, hi, strict=True)
    if not 0 < len(out) <= VARIABLES:
        raise Rejected("box", "a small problem", f"boxes are read with at most {VARIABLES} parameters")
    return tuple(out)


def _squash(x: float) -> float:
    return float(np.sign(x)) if np.isinf(x) else x / (1.0 + abs(x))


def middle_of(lo: float, hi: float) -> float:
    if np.isfinite(lo) and np.isfinite(hi):
        return lo + (hi - lo) / 2
    y = (_squash(lo) + _squash(hi)) / 2
    return y / (1.0 - abs(y)) if abs(y) < 1.0 else hi


def _centre(piece: Piece) -> str:
    return "(" + ", ".join(f"{middle_of(lo, hi):.4g}" for lo, hi in piece) + ")"


def _halves(piece: Piece, start: Piece, why: str) -> list[Piece]:
    widths = [_width(p, q) for p, q in zip(piece, start, strict=True)]
    k = int(np.argmax(widths))
    lo, hi = piece[k]
    middle = middle_of(lo, hi)
    if not lo < middle < hi:
        raise Rejected("box", "derivatives that show it", f"not shown near {_centre(piece)}{why}")
    return [(*piece[:k], part, *piece[k + 1 :]) for part in ((lo, middle), (middle, hi))]


def _width(part: tuple[float, float], whole: tuple[float, float]) -> float:
    """How large a part of its side a piece takes up."""
    if np.isinf(whole[0]) or np.isinf(whole[1]):
        part, whole = (_squash(part[0]), _squash(part[1])), (_squash(whole[0]), _squash(whole[1]))
    return (part[1] - part[0]) / (whole[1] - whole[0]) if part[1] > part[0] else -1.0


def _missing(problem: Problem, claim: Any, names: list[str], piece: Piece, atoms: Any) -> str | None:
    """None where the enclosures on a piece settle the claim there; else what is known of why not."""
    asked = sum(int(np.prod(problem.blocks[n], dtype=int)) for n in claim.blocks)
    total: Jet | None = None
    for k, term in enumerate(problem.terms):
        try:
            jet = _term(problem, k, names, piece, asked, atoms)
        except Narrow as e:
            return f": {e.why}"
        scaled = jet if term.weight == 1 else jet * jets.constant(ranges.of_fraction(term.weight), asked)
        total = scaled if total is None else total + scaled
    return None if total is not None and _shows(total, claim.kind, asked) else ""


def _shows(f: Jet, kind: str, asked: int) -> bool:
    """Whether the enclosures on one piece settle the claim there."""
    if kind in ("concave", "quasiconcave"):
        return _shows(-f, "convex" if kind == "concave" else "quasiconvex", asked)
    if kind == "convex":
        return jets.semidefinite(f.hessian, asked)
    if kind == "quasiconvex":
        if asked == 1 and (_positive(f.gradient[0]) or _positive(ranges.neg(f.gradient[0]))):
            return True
        bent = (jets.bent(f.hessian, f.gradient, (c, c, False, False)) for c in (0.0, *BENDS))
        return any(jets.semidefinite(m, asked) for m in bent)
    if not _positive(f.value):
        return False
    matrix = jets.bent(tuple(jets.mul(f.value, h) for h in f.hessian), f.gradient, (-1.0, -1.0, False, False))
    return jets.semidefinite(matrix if kind == "log-convex" else tuple(map(ranges.neg, matrix)), asked)


def _positive(r: Range) -> bool:
    return r[0] > 0.0 or (r[0] == 0.0 and r[2])


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
