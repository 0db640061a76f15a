"""An exchange of a value's entries, and what becomes of it when the entries are moved, combined or summed up.

The exchange of a value v of shape s is told by coordinates: for each axis an integer array that broadcasts to s, or None for the
coordinate itself. It says: v at the moved point, at the place e, is v at the point, at the place with these coordinates. An
array has length 1 along the axes on which it does not depend, so that large values cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.errors import Rejected

Shape = tuple[int, ...]
Exchange = tuple[np.ndarray | None, ...]

LARGE = 2**24  # entries that are followed one by one


def refuse(rule: str, why: str) -> Rejected:
    """To be raised; the walk puts the node's name to it."""
    return Rejected("moves", rule, why)


def bounded(shape: Sequence[int]) -> None:
    """Refuse to follow too many entries one by one."""
    if prod(shape) > LARGE:
        raise refuse("values that can be followed", f"a value of shape {tuple(shape)} is too large to follow")


def coordinate(shape: Shape, a: int) -> np.ndarray:
    """The coordinates along one axis."""
    return np.arange(shape[a]).reshape([-1 if b == a else 1 for b in range(len(shape))])


def slim(x: np.ndarray) -> np.ndarray:
    """Length 1 along the axes on which an array does not depend."""
    for a in range(x.ndim):
        if x.shape[a] > 1:
            first = x[(slice(None),) * a + (slice(0, 1),)]
            if x.strides[a] == 0 or (x == first).all():
                x = first
    return x


def depends(x: np.ndarray | None) -> set[int]:
    return set() if x is None else {a for a, n in enumerate(x.shape) if n > 1}


def tidy(found: Sequence[np.ndarray | None], shape: Shape) -> Exchange:
    """Slim arrays, and None where nothing changes."""
    out: list[np.ndarray | None] = []
    for a, x in enumerate(found):
        y = None if x is None else slim(x)
        own = coordinate(shape, a)
        out.append(None if y is None or (y.shape == own.shape and (y == own).all()) else y)
    return tuple(out)


def still(x: Exchange) -> bool:
    return all(a is None for a in x)


def alike(x: np.ndarray | None, y: np.ndarray | None) -> bool:
    return x is y or (x is not None and y is not None and np.array_equal(x, y))


def read_at(v: np.ndarray, at: Sequence[np.ndarray | None]) -> np.ndarray:
    """An array's entries at other coordinates; along an axis of length 1 there is but one."""
    one = np.zeros((1,) * v.ndim, dtype=np.int64)
    own = [coordinate(v.shape, a) if c is None else c for a, c in enumerate(at)]
    return v[tuple(one if n == 1 else c for n, c in zip(v.shape, own, strict=True))]


def pushed(f: Callable[[np.ndarray], np.ndarray], shape: Shape, x: Exchange, out: Shape) -> Exchange:
    """The exchange of f(v), for an f that only moves, copies or drops entries."""
    bounded(out)
    seen = [slim(f(np.broadcast_to(coordinate(shape, a), shape))) for a in range(len(shape))]
    moved = [s if a is None else slim(f(np.broadcast_to(a, shape))) for a, s in zip(x, seen, strict=True)]
    return solved(seen, moved, shape, out)


def joined(shapes: Sequence[Shape], xs: Sequence[Exchange], dim: int) -> Exchange:
    """The exchange of values side by side along an axis; entries stay in their own value."""
    arrays = [(b, a) for x in xs for b, a in enumerate(x) if a is not None]
    whole = {dim, *(b for b, _ in arrays), *(c for _, a in arrays for c in depends(a))}
    small = [tuple(n if b in whole else 1 for b, n in enumerate(s)) for s in shapes]
    out = list(small[0])
    out[dim] = sum(s[dim] for s in small)
    bounded(out)

    def beside(parts: Sequence[Any]) -> np.ndarray:
        return slim(np.concatenate([np.broadcast_to(p, s) for p, s in zip(parts, small, strict=True)], dim))

    part = beside([np.int64(k) for k in range(len(small))])
    seen, moved = [part], [part]
    for a in range(len(small[0])):
        own = [coordinate(s, a) for s in small]
        seen.append(beside(own))
        moved.append(beside([o if x[a] is None else x[a] for o, x in zip(own, xs, strict=True)]))
    return solved(seen, moved, (len(small), *np.max(small, axis=0).tolist()), tuple(out))


def solved(seen: Sequence[np.ndarray], moved: Sequence[np.ndarray], sizes: Shape, out: Shape) -> Exchange:
    """Places e' of the result with seen(e') = moved(e) for each place e: the entry that stands at e after the move.

    Args:
        seen: For each coordinate of what the entries come from, that of each entry of the result.
        moved: The same after the move.
        sizes: The lengths of these coordinates.
        out: The result's shape.
    """
    found: list[np.ndarray | None] = [None] * len(out)
    for axes, own in _apart(seen, moved, len(out)):
        dims = tuple(out[a] if a in axes else 1 for a in range(len(out)))
        k, t = np.zeros(dims, dtype=np.int64), np.zeros(dims, dtype=np.int64)
        for a in own:
            k, t = k * sizes[a] + seen[a], t * sizes[a] + moved[a]
        source = _matched(k.reshape(-1), t.reshape(-1))
        for a, c in enumerate(np.unravel_index(source, dims)):
            if a in axes:
                found[a] = c.reshape(dims)
    return tidy(found, out)


def _apart(seen: Sequence[np.ndarray], moved: Sequence[np.ndarray], ndim: int) -> list[tuple[set[int], list[int]]]:
    """Axes of the result that hang together through coordinates, with these; those along which nothing moves are left out."""
    parts: list[tuple[set[int], list[int]]] = [({a}, []) for a in range(ndim)]
    for a, (s, m) in enumerate(zip(seen, moved, strict=True)):
        near = depends(s) | depends(m)
        inside = [p for p in parts if p[0] & near]
        if not inside:
            if not np.array_equal(s, m):
                raise refuse("units that stay together", "some of the units are picked out of the others")
            continue
        parts = [p for p in parts if not p[0] & near]
        parts.append((set().union(*(p[0] for p in inside)), [*(b for p in inside for b in p[1]), a]))
    return [p for p in parts if any(not np.array_equal(seen[a], moved[a]) for a in p[1])]


def _matched(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each wanted key a place that has it, the k-th one for the k-th of equals."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.searchsorted(ordered, ordered, "left")
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys)) - first
    at = np.searchsorted(ordered, wanted, "left") + rank
    inside = at < len(keys)
    if not inside.all() or (ordered[at] != wanted).any():
        raise refuse("units that stay together", "a unit leaves the part of the value that is read here")
    return order[at]


def summed(x: Exchange, shape: Shape, axes: Sequence[int]) -> Exchange:
    """The exchange where some axes are folded by an operation that minds no order: it must only exchange what is folded."""
    for a, c in enumerate(x):
        if a not in axes and depends(c) & set(axes):
            raise refuse(
                "sums over all that is exchanged", "units are exchanged with others than those that are summed up"
            )
    if any(x[a] is not None for a in axes):
        own = [x[a] if x[a] is not None else coordinate(shape, a) for a in axes]
        dims = tuple(n if a in axes or any(a in depends(c) for c in own) else 1 for a, n in enumerate(shape))
        bounded(dims)
        flat = np.zeros(dims, dtype=np.int64)
        for a, c in zip(axes, own, strict=True):
            flat = flat * shape[a] + c
        rows = np.sort(np.moveaxis(flat, axes, range(-len(axes), 0)).reshape(-1, prod(shape[a] for a in axes)), axis=1)
        if (rows != np.arange(rows.shape[1])).any():
            raise refuse("sums over all that is exchanged", "a unit is exchanged with one outside the sum")
    return tuple(None if a in axes else c for a, c in enumerate(x))
