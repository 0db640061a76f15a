"""Faces of products that sum over an axis: linear layers, matrix products, convolutions. All are one product and one sum in a
space that has an axis for every letter of the contraction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jensen.ask.symmetry.pointwise import add, embedded, kept, product, summed
from jensen.ask.symmetry.reader import Reader, inert
from jensen.ask.symmetry.values import Shape, Value, moved, renamed


def contract(
    r: Reader,
    x: Value,
    y: Value,
    space: Shape,
    places: tuple[Sequence[int], Sequence[int]],
    gone: Sequence[int],
    shape: Shape,
) -> Value:
    """Sum over the axes ``gone`` of x * y, whose own axes are ``places`` of the space; the result in the given shape."""
    x, y = (renamed(v, p, space) for v, p in zip((x, y), places, strict=True))
    if x.zero or y.zero:
        r.align(x, y, product="function", gone=gone)
        return Value(shape, zero=True)
    pin = False
    for v in (y, x):
        own = set() if v.block is None or pin else _redundant(v, gone)
        if v.block is not None and own and not own & r.pinned.setdefault(v.block, set()):
            r.pinned[v.block] |= own
            pin = True
    return summed(r, _multiplied(r, x, y, space, gone), gone, False, shape, pin)


def _multiplied(r: Reader, x: Value, y: Value, space: Shape, gone: Sequence[int]) -> Value:
    """x * y, before a sum over the axes ``gone``."""
    out = product(r, x, y, space, gone=gone)
    for v in (x, y):  # a sum with units that no second factor has is no contraction
        other = y if v is x else x
        for g in v.units:
            if set(g.axes) & set(gone) and not any(set(h.axes) & set(g.axes) & set(gone) for h in other.units):
                r.frozen.append((g.ids.reshape(-1), "function"))
    return out


def meet(args: Sequence[Any], shape: Shape, gone: Sequence[int]) -> bool:
    """Whether both factors of a product have units on an axis that is summed."""
    x, y = ({a for g in embedded(v, shape).units for a in g.axes} if isinstance(v, Value) else set() for v in args)
    return bool(x & y & set(gone))


def dot(r: Reader, args: list[Any], shape: Shape, gone: Sequence[int]) -> Value:
    """x * y that is then summed over some axes and not read otherwise: a scalar product, which leaves room for matrices."""
    x, y = (embedded(a, shape) for a in args)
    if x.zero or y.zero:
        return Value(shape, zero=True)
    out = _multiplied(r, x, y, shape, gone)
    return Value(shape, out.grids, out.scale, out.sign, facts=frozenset({"products"}))


def _redundant(v: Value, gone: Sequence[int]) -> set[int]:
    """The parameter's characters on the axes that are summed, where a number may move between them and those on others."""
    inside = [g for g in v.scale if set(g.axes) & set(gone)]
    kept = {a for g in inside for a in g.axes} - set(gone)
    free = any(not set(g.axes) & set(gone) and kept <= set(g.axes) for g in v.scale)
    return {int(e) for g in inside for e in np.unique(g.ids) if e} if free else set()


def linear(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """x W' + b."""
    x, w = args[0], args[1]
    b = args[2] if len(args) > 2 else None
    n = len(x.shape)
    space = (*x.shape, *w.shape[:-1])
    out = contract(r, x, w, space, (range(n), [*range(n, n + len(w.shape) - 1), n - 1]), (n - 1,), shape)
    return out if b is None else add(r, [out, b], shape, op)


def matmul(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """torch.matmul, with broadcast leading axes."""
    x, y = args
    p, q = len(x.shape), len(y.shape)
    rows, columns = (1 if p > 1 else 0), (1 if q > 1 else 0)
    batch = shape[: len(shape) - rows - columns]
    m = len(batch)
    k = x.shape[-1]
    space = (*batch, *x.shape[p - 1 - rows : p - 1], k, *(y.shape[-1:] if columns else ()))
    at = m + rows  # where the summed axis lies
    lead_x, lead_y = _lead(x.shape[: max(p - 2, 0)], batch), _lead(y.shape[: max(q - 2, 0)], batch)
    places = ([*lead_x, *([m] if rows else []), at], [*lead_y, at, *([at + 1] if columns else [])])
    return contract(r, x, y, space, places, (at,), shape)


def _lead(own: Shape, batch: Shape) -> list[int]:
    start = len(batch) - len(own)
    return [start + i if n == batch[start + i] else -1 for i, n in enumerate(own)]


def convolution(transposed: bool = False) -> Any:
    """Convolutions: windows tell places apart; channels in groups are axes of their own."""

    def face(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
        x, w = args[0], args[1]
        b = args[2] if len(args) > 2 else None
        groups = args[6] if len(args) > 6 else 1
        nd = len(w.shape) - 2
        lead = x.shape[: len(x.shape) - nd - 1]
        n = len(lead)
        ci = x.shape[n] // groups
        co = w.shape[1] if transposed else w.shape[0] // groups
        x = _flat(r, x, n + 1, (*lead, groups, ci))
        w = _flat(r, w, 2, (groups, ci, co) if transposed else (groups, co, ci))
        space = (*lead, groups, co, ci)
        at = [n, n + 2, n + 1] if transposed else [n, n + 1, n + 2]
        out = contract(r, x, w, space, ([*range(n), n, n + 2], at), (n + 2,), (*lead, groups, co))
        out = moved(out, lambda a: a.reshape(*lead, groups * co), (*lead, groups * co))
        places = inert(shape, range(n + 1, len(shape))).grids
        out = Value(shape, (*out.grids, *places), out.scale, out.sign, out.zero)
        return out if b is None else add(r, [out, renamed(b, [n], shape)], shape, op)

    return face


def _flat(r: Reader, v: Value, keep: int, shape: Shape) -> Value:
    """Input or kernel with channels in groups and without the axes from ``keep`` on, whose places are told apart."""
    last = range(keep, len(v.shape))
    r.apart(v, last)
    scale, sign = r.constant(r.scale, v.scale, last), r.constant(r.sign, v.sign, last)
    grids = tuple(k for g in v.grids if (k := kept(r, g, last)) is not None)
    flat = Value(v.shape[:keep], grids, scale, sign, v.zero, v.block)
    return moved(flat, lambda a: a.reshape(shape), shape)
