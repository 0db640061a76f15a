"""Whether J over data in chunks is J over the same data as one batch, tried on a few rows of two chunks."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch.utils import _pytree as pytree

from jensen.errors import ChunkWarning, Misuse
from jensen.weights import counted

ROWS = (32, 21)  # of the first chunk and the second, at most: unlike, as a ragged last batch is


def warn_of_cuts(cost: Any) -> None:
    """Warn where a loss takes its mean over something else than rows, or a model looks at its batch.

    Class weights and ignored labels inside a function, subclasses of torch's losses, and statistics of the batch do. Where
    a chunk's value depends on the order of its rows, the first axis holds no rows (sequences first), and nothing is said;
    nor is it of rows that cannot be joined. There the shapes of the targets tell.
    """
    chunks = cost._chunks
    unlike = () if cost.streamed else _unlike(chunks)
    others = chunks[1:2] if cost.streamed else {c.index: c for c in (*chunks[1:2], chunks[-1], *unlike)}.values()
    for other in others if len(chunks) > 1 else ():
        found = _values(cost, chunks[0], other)
        if found is not None and _differ(cost, *found):
            return
    _warn_of_lengths(cost)


def warn_of_shares(cost: Any) -> None:
    """The same of data that several processes have one chunk each of: its rows are tried beside the first of them."""
    if len(cost._chunks) > 1 or cost._weight is not None:
        return
    only = cost._chunks[0]
    few = max(1, min(ROWS[1], only.shapes[0][0] // 3)) if only.shapes and only.shapes[0] else 0
    found = _values(cost, only, only, (ROWS[0], few)) if few else None
    if found is not None:
        _differ(cost, *found)


def _warn_of_lengths(cost: Any) -> None:
    """A function's mean is weighted by the rows of its chunk; of targets of unlike length, it may be over all of them."""
    if cost._reduction != "mean":
        return
    lengths = sorted({shape[1:] for c in cost._chunks for shape in _of_targets(c)[:1]})
    if len(lengths) < 2:  # nothing is read then
        return
    first = cost._chunks[0]
    _, y = pytree.tree_unflatten(first.tensors, first.spec)
    if counted(cost._loss, y) is None:
        warnings.warn(
            f"the targets of the chunks differ beside their rows, the first axis ({lengths[0]} and {lengths[-1]}), and the loss's "
            f"mean is weighted by rows. If it is over something else (tokens, or the rows are another axis), J is not that of all "
            f"data: give weight=(x, y) -> a chunk's share, or the loss as a torch.nn loss",
            ChunkWarning,
            stacklevel=5,  # past Cost.__init__ and its decorator
        )


def _of_targets(chunk: Any) -> list[tuple[int, ...]]:
    """The shapes of a chunk's targets."""
    places = pytree.tree_unflatten(range(len(chunk.shapes)), chunk.spec)
    return [chunk.shapes[i] for i in pytree.tree_leaves(places[1])]


def _differ(cost: Any, cut: float, whole: float, turned: float) -> bool:
    """Whether the value of all depends on the cut and not on the order; then it is told."""
    close = torch.finfo(cost.dtype).eps ** 0.5 * max(abs(cut), abs(whole))
    differ = abs(turned - whole) <= close < abs(cut - whole)
    if differ:
        how = "weighted by their rows" if cost._reduction == "mean" else "added up"
        warnings.warn(
            f"the cost over chunks is not that of all data as one batch: {cut:.6g} and {whole:.6g} on the first rows. The loss "
            f"takes no mean over rows (class weights, ignored labels), or the model looks at its batch. J is the chunks' values "
            f"{how}: give the loss as a torch.nn loss, or weight=(x, y) -> a chunk's share, or one chunk",
            ChunkWarning,
            stacklevel=5,  # past Cost.__init__ and its decorator
        )
    return differ


def _unlike(chunks: Any) -> tuple[Any, ...]:
    """The chunk whose share of ignored labels differs most from the first one's."""
    shares = [_share(c) for c in chunks]
    most = max(range(len(chunks)), key=lambda i: abs(shares[i] - shares[0]))
    return (chunks[most],) if shares[most] != shares[0] else ()


def _share(chunk: Any) -> float:
    found = _negative(chunk)
    return float(found.double().mean()) if found is not None and found.numel() else 0.0


def _negative(chunk: Any) -> torch.Tensor | None:
    """Which classes among a chunk's targets are negative, as ignored ones are."""
    _, y = pytree.tree_unflatten(chunk.tensors, chunk.spec)
    classes = [t for t in pytree.tree_leaves(y) if isinstance(t, torch.Tensor) and t.dtype == torch.int64 and t.dim()]
    return classes[0] < 0 if classes else None


def _marked(chunk: Any) -> torch.Tensor:
    """Which rows have a negative class among their targets."""
    found = _negative(chunk)
    return torch.zeros(0, dtype=torch.bool) if found is None else found.reshape(len(found), -1).any(1)


def _rows(chunk: Any, rows: int, most: int) -> torch.Tensor:
    """The first rows of a chunk; half of them marked ones, where there are such."""
    marked = _marked(chunk)
    if len(marked) != rows or not bool(marked.any()):
        return torch.arange(min(rows, most))
    some, plain = (m.nonzero()[:, 0] for m in (marked, ~marked))
    return torch.cat([plain[: most - len(some[: most // 2])], some[: most // 2]]).sort().values


def _values(cost: Any, first: Any, second: Any, most: tuple[int, int] = ROWS) -> tuple[float, float, float] | None:
    """J of a few rows as two chunks, as one batch, and with that batch's rows in another order; None where that is no cost."""
    pieces = [
        [t[: most[0]].clone() for t in first.tensors if t.dim()],
        [t[_rows(second, len(t), most[1])].clone() for t in second.tensors if t.dim()],
    ]
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
