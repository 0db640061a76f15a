"""Moves of a cost's parameters as a claim states them: which entries of which blocks belong to which unit, and what is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.claims.words import listing
from jensen.kernel.errors import Rejected

DONE = {  # to several units, and to one
    "permutation": ("are permuted", ""),
    "sign": ("change their signs, each on its own", "changes its sign"),
    "scale": ("are multiplied by positive numbers, each by its own", "is multiplied by a positive number"),
    "linear": ("are multiplied, as vectors, by an invertible matrix", "is multiplied by a number other than 0"),
    "orthogonal": ("are multiplied, as vectors, by an orthogonal matrix", "changes its sign"),
    "shift": ("are shifted, each by a number of its own", "is shifted by a number"),
    "translation": (
        "have numbers added, each the same ones at all of its places",
        "has the same numbers added at all of its places",
    ),
}
DEGREE = 64  # larger powers are not claimed


@dataclass(frozen=True, eq=False)
class Site:
    """Where n units stand in one block.

    Attributes:
        block: The block's name.
        axes: Axes of the block, in increasing order.
        positions: int64 (n, m): the m places of each unit on these axes, flattened together in row-major order.
        degree: Under signs and scales, entries of unit i are multiplied by ``s_i ** degree``; under matrices column k of the
            entries by M (1) or by its inverse transposed (-1).
    """

    block: str
    axes: tuple[int, ...]
    positions: np.ndarray
    degree: Fraction = Fraction(1)


@dataclass(frozen=True, eq=False)
class Factor:
    """An elementary group of moves.

    Attributes:
        kind: ``permutation``: the entries at ``positions[i]`` become those that were at ``positions[g(i)]``, for all g in S_n;
            ``sign`` and ``scale``: they are multiplied by ``s_i ** degree``, for all signs, for all positive s_i; ``linear``
            and ``orthogonal``: by all matrices of GL(n), of O(n); ``shift``: ``degree * c_i`` is added to the entries of unit
            i; ``translation``: ``degree * c_ir``, where r runs over the block's other axes, flattened.
        size: n.
        sites: Where the units stand; they act one after the other. Those of a permutation commute.
        frames: Weights and biases of norms with fixed statistics, in whose place coordinates are moved; see
            invariance_frames.py.
    """

    kind: str
    size: int
    sites: tuple[Site, ...]
    frames: tuple[tuple[str, str], ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that it moves."""
        return tuple(dict.fromkeys([*(s.block for s in self.sites), *(b for pair in self.frames for b in pair)]))


def validate(factors: Sequence[Factor], blocks: Any, asked: Sequence[str]) -> None:
    """Refuse factors that are malformed, or that do not move exactly the blocks of the claim."""
    if not factors or {b for f in factors for b in f.blocks} != set(asked):
        raise Rejected(
            "claim", "moves of the claim's blocks", "the factors do not move the blocks that the claim names"
        )
    for f in factors:
        if f.kind not in DONE:
            raise Rejected("claim", "a known kind of move", f"{f.kind!r} is not one of {', '.join(DONE)}")
        if type(f.size) is not int or f.size < (2 if f.kind == "permutation" else 1) or not f.sites:
            raise Rejected("claim", "moves of something", f"a factor of kind {f.kind} moves nothing")
        for s in f.sites:
            _validate_site(f, s, tuple(blocks.get(s.block, ())))
        if f.kind == "translation" and len({_rest(s, blocks[s.block]) for s in f.sites}) > 1:
            raise Rejected(
                "claim", "as many numbers in each block", "a translation's blocks have different numbers of entries"
            )
        if f.kind == "permutation":
            _validate_apart(f)


def _validate_apart(f: Factor) -> None:
    """Sites of one block whose moves commute; others may undo each other for a swap and a cycle, and not for all of S_n."""
    for k, s in enumerate(f.sites):
        for t in (t for t in f.sites[:k] if t.block == s.block and set(t.axes) & set(s.axes)):
            if t.axes != s.axes or np.isin(t.positions, s.positions).any():
                raise Rejected(s.block, "sites that stand apart", "two sites of one block share places")


def _rest(s: Site, shape: Sequence[int]) -> int:
    """How many entries the other axes have."""
    return prod(n for a, n in enumerate(shape) if a not in s.axes)


def _validate_site(f: Factor, s: Site, shape: tuple[int, ...]) -> None:
    inside = all(type(a) is int and 0 <= a < len(shape) for a in s.axes)
    if not s.axes or not inside or list(s.axes) != sorted(set(s.axes)):
        raise Rejected(s.block, "axes of the block", f"{s.axes} are not axes of a block of shape {shape}")
    p = np.asarray(s.positions)
    if p.dtype != np.int64 or p.ndim != 2 or len(p) != f.size or not p.size:
        raise Rejected(s.block, "a row of places for each unit", f"the places are not int64 with {f.size} rows")
    if p.min() < 0 or p.max() >= prod(shape[a] for a in s.axes) or len(np.unique(p)) != p.size:
        raise Rejected(s.block, "distinct places inside the block", "a place is named twice, or lies outside the block")
    if abs(s.degree.numerator) > DEGREE or s.degree.denominator > DEGREE or not s.degree:
        raise Rejected(s.block, "powers other than 0, of bounded size", f"the degree is {s.degree}")
    whole = {
        "sign": s.degree.denominator == 1,
        "permutation": s.degree == 1,
        "scale": True,
        "shift": True,
        "translation": True,
    }
    if not whole.get(f.kind, abs(s.degree) == 1):
        raise Rejected(s.block, "powers that fit the kind", f"a factor of kind {f.kind} has degree {s.degree}")


def words(factors: Sequence[Factor]) -> str:
    """`the 5 units of a, b and c are permuted, ...`; of many factors the first and the last."""
    texts = [f"{_units(f)} of {listing(f.blocks)} {DONE[f.kind][f.size == 1]}{_framed(f)}" for f in factors]
    if len(texts) > 6:
        texts = [*texts[:2], "...", texts[-1]]
    joined = ", or when ".join(texts)
    return f"when {joined}" + (f" ({len(factors)} such groups of moves)" if len(factors) > 6 else "")


def _framed(f: Factor) -> str:
    names = listing([b for pair in f.frames for b in pair]) if f.frames else ""
    return f" (in coordinates that take the fixed statistics before {names} into them)" if f.frames else ""


def _units(f: Factor) -> str:
    return f"the {f.size} units" if f.size > 1 else "the unit"
