"""What can be claimed, and which claims are refused before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from jensen.kernel.claims.factor import Factor
from jensen.kernel.errors import Rejected
from jensen.kernel.program import ELEMENTS, Problem

KINDS = ("convex", "concave", "affine", "quasiconvex", "quasiconcave", "log-concave", "log-convex")
INVARIANT = "invariant"
Box = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Claim:
    """What is said of a problem.

    Attributes:
        kind: One of KINDS, ``not `` and one of them, or ``invariant``.
        blocks: The blocks that vary (that are moved); the others take any value, in their boxes.
        within: For some blocks, lower and upper bounds (float64 arrays of the block's shape; infinite where free).
        ideal: Whether torch's numerical constants (softplus's threshold, log clamps) are read as what they stand for.
        statement: The claim in words, written by the kernel when it accepts.
        factors: The groups of moves of which invariance is claimed.
    """

    kind: str
    blocks: tuple[str, ...]
    within: Box
    ideal: bool = False
    statement: str = ""
    factors: tuple[Factor, ...] = ()


def validate(problem: Problem, claim: Claim) -> None:
    """Refuse claims that are malformed or about nothing."""
    if claim.kind.removeprefix("not ") not in KINDS and claim.kind != INVARIANT:
        raise Rejected("claim", "a known claim", f"{claim.kind!r} is not one of {', '.join((*KINDS, INVARIANT))}")
    if claim.factors and claim.kind != INVARIANT:
        raise Rejected(
            "claim", "moves where invariance is claimed", f"a claim that J is {claim.kind} is not about moves"
        )
    if not problem.terms:
        raise Rejected("claim", "a cost", "the problem has no terms")
    if not claim.blocks:
        raise Rejected("claim", "a non-empty set of blocks", "the claim is about no block")
    if len(set(claim.blocks)) != len(claim.blocks):
        raise Rejected("claim", "distinct blocks", "a block is named twice")
    for name, shape in problem.blocks.items():
        if not name.isprintable() or not 0 < len(name) < 1000 or prod(shape) > ELEMENTS:
            raise Rejected(
                "blocks", "blocks with printable names and bounded sizes", f"block {name[:60]!r} of shape {shape}"
            )
    if not any(prod(problem.blocks[n]) for n in claim.blocks if n in problem.blocks):
        raise Rejected(
            "claim", "a non-empty set of blocks", f"{', '.join(claim.blocks[:6])} hold no number, or are no blocks"
        )
    programs = {id(term.program): term.program for term in problem.terms}
    used = {name for program in programs.values() for name in program.leaves("block")}
    for name in claim.blocks:
        if name not in problem.blocks:
            raise Rejected(name, "blocks of the cost", f"{name!r} is not a block of this cost")
        if name not in used:
            raise Rejected(name, "blocks are inputs of the program", f"no program has {name!r} as an input")
    for name, (lo, hi) in claim.within.items():
        _validate_box(problem, name, np.asarray(lo), np.asarray(hi))
    for k, term in enumerate(problem.terms):
        if term.weight <= 0:
            raise Rejected("weight", "positive weights", f"a term has weight {term.weight}")
        for key, seen in problem.seen(k).items():
            if seen.dtype.itemsize > 8 or not np.isfinite(seen.lo) or not np.isfinite(seen.hi):
                raise Rejected(key, "finite real tensors", f"tensor {key!r} holds NaN, infinity or no real numbers")


def _validate_box(problem: Problem, name: str, lo: np.ndarray, hi: np.ndarray) -> None:
    if name not in problem.blocks:
        raise Rejected(name, "blocks of the cost", f"the box names {name!r}, which is not a block of this cost")
    shape = tuple(problem.blocks[name])
    if lo.shape != shape or hi.shape != shape or lo.dtype != np.float64 or hi.dtype != np.float64:
        raise Rejected(name, "a box per block", f"bounds for {name!r} must be float64 of shape {shape}")
    if np.isnan(lo).any() or np.isnan(hi).any() or (lo > hi).any() or (lo == np.inf).any() or (hi == -np.inf).any():
        raise Rejected(name, "a non-empty box", f"the bounds of {name!r} leave no value")
