"""The sentences of claims; the prover never writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jensen.kernel import ranges


def subject(problem: Any, claim: Any, *, exists: bool = False) -> str:
    """`J as a function of ..., for every value of the other blocks`."""
    names = listing(claim.blocks)
    others = [b for b in problem.blocks if b not in claim.blocks]
    text = f"in {names} jointly" if len(claim.blocks) > 1 else f"in {names}"
    if others:
        quantifier = "for some value" if exists else "for every value"
        text += f", {quantifier} of the other {'blocks' if len(others) > 1 else 'block'}"
    if claim.within:
        text += f", within {'; '.join(_box(name, *claim.within[name]) for name in claim.within)}"
    if claim.ideal:
        text += ", torch's numerical thresholds and clamps read as the functions they stand for"
    return text


def listing(names: Sequence[str]) -> str:
    words = [word(n) for n in names]
    if len(words) > 6:
        return f"{words[0]}, {words[1]}, ..., {words[-1]} ({len(words)} blocks)"
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]


def word(name: str) -> str:
    """A block's name; in quotes where it could be read as part of the sentence."""
    return repr(name) if any(c.isspace() or c in ",;:'\"" for c in name) else name


def _box(name: str, lo: Any, hi: Any) -> str:
    lo, hi = np.asarray(lo), np.asarray(hi)
    if lo.size and (lo == lo.flat[0]).all() and (hi == hi.flat[0]).all():
        return f"{word(name)} in {ranges.show(ranges.make(float(lo.flat[0]), float(hi.flat[0])))}"
    return f"{word(name)} in a box"
