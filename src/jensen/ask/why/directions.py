"""Along which directions to ask why: a counterexample's, the most negative curvature's, the user's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.curvature.operator import hessian
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.claims.chord import Chord
from jensen.linalg.flat import Flat
from jensen.linalg.lanczos import Ritz, ritz

PRODUCTS = 24
ENTRIES = 6e7  # of all vectors that Lanczos keeps
KEPT = 4
NEGATIVE = 1e-10  # of the largest Ritz value: what counts as negative, above rounding
GIVEN, COUNTEREXAMPLE, LOWEST = "given", "counterexample", "most negative curvature found"
NOT_NEGATIVE = "lowest curvature found"

Blocks = dict[str, Tensor]


def unit(cost: Cost, direction: Any) -> Blocks:
    """A direction of norm one in all blocks, from tensors, arrays or numbers by block (zero where left out), or a flat
    vector in the blocks' order.

    Raises:
        Misuse: For unknown blocks, wrong shapes, numbers that are not finite, or zero.
    """
    flat = Flat(cost.blocks)
    if isinstance(direction, Mapping):
        values = {n: torch.zeros(s, dtype=torch.float64) for n, s in cost.blocks.items()}
        values |= point(cost, direction, "direction")
        vector = flat.join(values)
    else:
        vector = flat.join(flat.split(_tensor("the direction", direction)))
    length = float(vector.norm())
    if not 0 < length < float("inf"):
        raise Misuse(f"the direction has norm {length}; give one that is finite and not zero")
    return flat.split(vector / length)


def point(cost: Cost, values: Mapping[str, Any], what: str = "point") -> Blocks:
    """Tensors by block, in float64, checked."""
    if not isinstance(values, Mapping):
        raise Misuse(f"the {what} is {type(values).__name__}; give a dict from names of blocks to tensors")
    out = {}
    for name, value in values.items():
        if name not in cost.blocks:
            raise Misuse(f"the {what} names {name!r}, which is no block of this cost: {', '.join(cost.blocks)}")
        t = _tensor(name, value)
        if tuple(t.shape) != cost.blocks[name]:
            raise Misuse(f"the {what} has shape {tuple(t.shape)} in {name!r}, the block {cost.blocks[name]}")
        if not torch.isfinite(t).all():
            raise Misuse(f"the {what} holds NaN or infinity in {name!r}")
        out[name] = t
    return out


def _tensor(name: str, value: Any) -> Tensor:
    try:
        t = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
        return t.detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError) as e:
        raise Misuse(f"{name} is {type(value).__name__}, which is no tensor: {e}") from e


def ends(cost: Cost, chord: Any) -> tuple[Blocks, Blocks]:
    """The two ends of a chord: a pair of points, or a counterexample's certificate."""
    if isinstance(chord, Chord):
        others = {n: torch.from_numpy(v) for n, v in chord.others.items()}
        a, b = ({**others, **{n: torch.from_numpy(np.asarray(v)) for n, v in p.items()}} for p in (chord.a, chord.b))
    elif isinstance(chord, (tuple, list)) and len(chord) == 2 and all(isinstance(p, Mapping) for p in chord):
        a, b = chord
    else:
        raise Misuse("chord must be a pair of points, each a dict of tensors by block")
    current = cost.theta
    return {**current, **point(cost, a)}, {**current, **point(cost, b)}


def chord_of(finding: Any) -> Chord | None:
    """The counterexample of a finding, if it has one with the midpoint in the middle."""
    evidence = getattr(getattr(finding, "certificate", None), "evidence", None)
    return evidence if isinstance(evidence, Chord) and evidence.t == 0.5 else None


def lowest(cost: Cost, at: Mapping[str, Tensor], budget: float) -> tuple[list[Blocks], Ritz]:
    """The lowest directions of curvature that Lanczos finds in the blocks, with their values and residuals.

    Args:
        cost: The cost.
        at: The point.
        budget: Seconds; at least two products are made.

    Returns:
        The lowest direction, then the others with negative curvature, at most four in all; and the Ritz pairs.
    """
    operator = hessian(cost, dict(at))
    stop = time.perf_counter() + budget
    generator = torch.Generator().manual_seed(1906)
    start = torch.randn(operator.n, generator=generator, dtype=torch.float64).to(operator.dtype)
    steps = max(4, min(PRODUCTS, int(ENTRIES / operator.n)))
    pairs = ritz(lambda v: operator @ v, start, steps, lambda: time.perf_counter() > stop)
    count = max(1, min(KEPT, int((pairs.values < -NEGATIVE * pairs.values.abs().max()).sum())))
    flat = Flat(cost.blocks)
    directions = [flat.split(v / v.norm()) for v in pairs.vectors[:, :count].T.double()]
    return directions, Ritz(pairs.values[:count], pairs.vectors[:, :count], pairs.residuals[:count])
