"""Whether J over data in chunks is J over the same data as one batch, tried on a few rows of the first two chunks."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch.utils import _pytree as pytree

from jensen.errors import ChunkWarning, Misuse

ROWS = (32, 21)  # of the first chunk and the second, at most: unlike, as a ragged last batch is


def warn_of_cuts(cost: Any) -> None:
    """Warn where a loss takes its mean over something else than rows, or a model looks at its batch.

    Class weights and ignored labels inside a function, subclasses of torch's losses, and statistics of the batch do. Where
    a chunk's value depends on the order of its rows, the first axis holds no rows (sequences first), and nothing is said.
    """
    found = _values(cost)
    if found is None:
        return
    cut, whole, turned = found
    close = torch.finfo(cost.dtype).eps ** 0.5 * max(abs(cut), abs(whole))
    if abs(turned - whole) <= close < abs(cut - whole):
        how = "weighted by their rows" if cost._reduction == "mean" else "added up"
        warnings.warn(
            f"the cost over chunks is not that of all data as one batch: {cut:.6g} and {whole:.6g} on the first rows. The loss "
            f"takes no mean over rows (class weights, ignored labels), or the model looks at its batch. J is the chunks' values "
            f"{how}: give the loss as a torch.nn loss, or weight=(x, y) -> a chunk's share, or one chunk",
            ChunkWarning,
            stacklevel=4,  # past Cost.__init__ and its decorator
        )


def _values(cost: Any) -> tuple[float, float, float] | None:
    """J of a few rows as two chunks, as one batch, and with that batch's rows in another order; None where that is no cost."""
    if len(cost._chunks) < 2:
        return None
    first, second = cost._chunks[:2]
    pieces = [[t[:n].clone() for t in c.tensors if t.dim()] for c, n in zip((first, second), ROWS, strict=True)]
    if first.spec != second.spec or any(len(p) != len(first.shapes) for p in pieces):
        return None
    if any(len({len(t) for t in p}) > 1 for p in pieces):
        return None
    try:
        joined = [torch.cat(pair) for pair in zip(*pieces, strict=True)]
        turned = [t.flip(0) for t in joined]
        pairs = [tuple(pytree.tree_unflatten(p, first.spec)) for p in (*pieces, joined, turned)]
        with torch.no_grad():
            values = [float(cost._with(data)()) for data in (pairs[:2], pairs[2], pairs[3])]
    except (Misuse, RuntimeError):  # rows of other shapes cannot be joined; of few rows there may be no cost
        return None
    return (values[0], values[1], values[2]) if all(map(math.isfinite, values)) else None
