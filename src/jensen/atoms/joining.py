"""Values put together from several: joined, chosen by a mask, padded, or written into one another at constant places."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from flint import arb

from jensen.atoms.arithmetic import known
from jensen.atoms.indexing import index_facts_are_safe, index_layout, lists
from jensen.atoms.registry import Atom, acts, register
from jensen.atoms.shared import ZERO, Facts, Shapes, axis_of, index_is_safe, integers, no_values, operand, partial
from jensen.kernel import balls, compose, ranges
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact, fact, meet

Shape = tuple[int, ...]


def _parts(parts: Any) -> list[int]:
    if type(parts) is not tuple or not parts:
        raise Unmodelled("parts", "a list of values", "the operation joins nothing")
    return [operand(parts, k) for k in range(len(parts))]


def _cat_shape(parts: list[Shape], dim: int = 0) -> Shape:
    parts = [p for p in parts if p != (0,)] or [(0,)]  # torch skips empty vectors
    a = axis_of(dim, len(parts[0]))
    if not parts[0] or any(p[:a] + p[a + 1 :] != parts[0][:a] + parts[0][a + 1 :] for p in parts):
        raise ValueError(f"shapes {parts} joined along axis {dim}")
    return (*parts[0][:a], sum(p[a] for p in parts), *parts[0][a + 1 :])


def _cat(parts: list[np.ndarray], dim: int = 0) -> np.ndarray:
    kept = [balls.real(p) for p in parts if p.shape != (0,)] or [balls.real(parts[0])]
    return np.concatenate(kept, axis=dim)


def _joined(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    parts = [k for k in _parts(args[0]) if 0 not in shapes[k]] or _parts(args[0])[:1]
    return reduce(meet, (out[k] for k in parts))


def _stack_shape(parts: list[Shape], dim: int = 0) -> Shape:
    if any(p != parts[0] for p in parts):
        raise ValueError(f"shapes {parts} stacked")
    a = axis_of(dim, len(parts[0]) + 1)
    return (*parts[0][:a], len(parts), *parts[0][a:])


def _where_shape(c: Shape, x: Any, y: Any) -> Shape:
    return np.broadcast_shapes(c, *(a for a in (x, y) if isinstance(a, tuple)))


def _where(c: np.ndarray, x: Any, y: Any) -> np.ndarray:
    if c.dtype != np.bool_:
        raise ValueError("a condition must be boolean")
    shape = np.broadcast_shapes(c.shape, np.shape(x), np.shape(y))
    return balls.as_objects(np.where(c, balls.real(x), balls.real(y)), shape)


def choose(c: Fact, f: Fact, g: Fact) -> Fact:
    """One or the other by a condition: element by element where that is a constant."""
    if c.bits & CONSTANT:
        return meet(f, g)
    return fact(0, ranges.union(f.range, g.range))


def _where_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    return choose(out[operand(args)], known(args[1], out), known(args[2], out))


def _fill_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    return choose(out[operand(args, 1)], known(args[2], out), out[operand(args)])


def pad_index(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Which element each place of a padded axis shows; -1 for the constant."""
    if before + n + after < 0 or n + min(before, 0) + min(after, 0) < 0:
        raise ValueError("more is cut off than there is")
    at = np.arange(-before, n + after)
    inside = (at >= 0) & (at < n)
    if mode == "constant" or inside.all():
        return np.where(inside, at, -1)
    if mode == "replicate" and n > 0:
        return at.clip(0, n - 1)
    if mode == "reflect" and max(before, after) < n:
        at = np.abs(at)
        return np.where(at >= n, 2 * (n - 1) - at, at)
    if mode == "circular" and max(before, after) <= n:
        return at % n
    raise ValueError(f"padding {mode!r} by {before} and {after} of {n} elements")


def _pad_indices(x: Shape, pad: tuple[int, ...], mode: str) -> list[tuple[int, np.ndarray]]:
    if len(pad) % 2 or len(pad) > 2 * len(x) or any(type(p) is not int for p in pad):
        raise ValueError(f"padding {pad} of shape {x}")
    return [
        (a, pad_index(x[a], pad[2 * j], pad[2 * j + 1], mode))
        for j, a in enumerate(range(len(x) - 1, len(x) - 1 - len(pad) // 2, -1))
    ]


def _pad_shape(x: Shape, pad: tuple[int, ...], mode: str = "constant", value: Any = None) -> Shape:
    out = list(x)
    for a, at in _pad_indices(x, pad, mode):
        out[a] = len(at)
    return tuple(out)


def _pad_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    f, widths = out[operand(args)], args[1] if len(args) > 1 else ()
    if len(args) > 2 and args[2] != "constant":
        return f
    if all(p <= 0 for p in widths):
        return f
    value = args[3] if len(args) > 3 and args[3] is not None else 0.0
    return meet(f, known(value, out))


def _pad(x: np.ndarray, pad: tuple[int, ...], mode: str = "constant", value: Any = None) -> np.ndarray:
    x = balls.real(x)
    for a, at in _pad_indices(x.shape, pad, mode):
        mask = at < 0
        y = np.take(x, at, axis=a) if x.shape[a] else np.empty((*x.shape[:a], len(at), *x.shape[a + 1 :]), dtype=object)
        y[(slice(None),) * a + (mask,)] = balls.real(float(value or 0.0))
        x = y
    return x


def _place_shape(x: Shape, source: Any, *where: Any) -> Shape:
    """Shape of a written-to value; the write is tried on nothing, for its checks."""
    dummy = np.empty(x, dtype=bool)
    _region(dummy, *where)[...] = np.empty(source if isinstance(source, tuple) else (), dtype=bool)
    return x


def _region(x: np.ndarray, kind: str, *where: Any) -> np.ndarray:
    if kind == "slice":
        dim, start, end, step = where
        return x[(slice(None),) * axis_of(dim, x.ndim) + (slice(start, end, step),)]
    if kind == "select":
        dim, at = where
        a = axis_of(dim, x.ndim)
        i = int(integers(at, x.shape[a]))
        return np.squeeze(x[(slice(None),) * a + (slice(i, i + 1),)], axis=a)
    if kind == "diagonal":
        offset, a, b = where
        out = np.diagonal(x, offset, a, b)
        out.flags.writeable = True
        return out
    raise ValueError(f"a place of kind {kind!r}")


def _place(x: np.ndarray, source: Any, *where: Any) -> np.ndarray:
    out = balls.real(x).copy()
    _region(out, *where)[...] = balls.real(source)
    return out


def _either(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[2:])
    return meet(out[operand(args)], known(args[1], out))


def _put_shape(x: Shape, index: tuple[Any, ...], values: Shape, add: bool = False) -> Shape:
    shape, used, adjacent = index_layout(x, index)
    rest = [n for k, n in enumerate(x) if k not in used]
    at = used[0] if adjacent else 0
    full = (*rest[:at], *shape, *rest[at:])
    if np.broadcast_shapes(full, values) != full:
        raise ValueError(f"values of shape {values} put into {full}")
    return x


def _put(x: np.ndarray, index: Any, values: np.ndarray, add: bool = False) -> np.ndarray:
    at, out, values = lists(x, index), balls.real(x).copy(), balls.real(values)
    places = np.arange(out.size).reshape(out.shape)[at]
    return _write(out, places, np.broadcast_to(values, places.shape), add)


def _write(out: np.ndarray, places: np.ndarray, values: np.ndarray, add: bool) -> np.ndarray:
    flat, at, source = out.reshape(-1), places.reshape(-1), values.reshape(-1)
    if add:
        for k, v in zip(at.tolist(), source.tolist(), strict=True):
            flat[k] = flat[k] + v
    else:
        if len(np.unique(at)) != len(at):
            raise ValueError("two values are written to one place")
        flat[at] = source
    return flat.reshape(out.shape)


def _put_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    x, values = operand(args), operand(args, 2)
    if not index_facts_are_safe(args[1], out, shapes[x]):
        return UNDEFINED
    n = int(np.prod(index_layout(shapes[x], tuple(None if a is None else shapes[a.index] for a in args[1]))[0]))
    return _written(out[x], out[values], n, len(args) > 3 and bool(args[3]))


def _written(f: Fact, g: Fact, n: int, add: bool) -> Fact:
    return compose.add(f, partial(g, n)) if add else meet(f, g)


def _scatter_shape(x: Shape, dim: int, index: Shape, source: Any, add: bool = False) -> Shape:
    a = axis_of(dim, len(x))
    if len(index) != len(x) or any(n > m for j, (n, m) in enumerate(zip(index, x, strict=True)) if j != a):
        raise ValueError(f"indices of shape {index} into {x}")
    if isinstance(source, tuple) and (
        len(source) != len(index) or any(n > m for n, m in zip(index, source, strict=True))
    ):
        raise ValueError(f"indices of shape {index} for a source of shape {source}")
    return x


def _scatter(x: np.ndarray, dim: int, index: np.ndarray, source: Any, add: bool = False) -> np.ndarray:
    out = balls.real(x).copy()
    if out.ndim == 0:
        value = balls.real(source)
        return balls.as_objects(out[()] + value if add else value, ())
    at = integers(index, x.shape[dim])
    grid: list[Any] = list(np.indices(at.shape))
    grid[dim] = at
    places = np.arange(out.size).reshape(out.shape)[tuple(grid)]
    if not isinstance(source, np.ndarray):
        flat = out.reshape(-1)
        for k in set(places.reshape(-1).tolist()):
            flat[k] = flat[k] + balls.real(source) if add else balls.real(source)
        return flat.reshape(out.shape)
    return _write(out, places, balls.real(source)[tuple(slice(n) for n in at.shape)], add)


def _scatter_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    x, index = operand(args), operand(args, 2)
    no_values(args[1:2])
    n = shapes[x][axis_of(args[1], len(shapes[x]))] if shapes[x] else 1
    if not index_is_safe(out[index], n):
        return UNDEFINED
    along = shapes[index][axis_of(args[1], len(shapes[x]))] if shapes[index] else 1
    return _written(out[x], known(args[3], out), along, len(args) > 4 and bool(args[4]))


def _with_zero(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:])
    return meet(out[operand(args)], ZERO)


def _triangle(x: np.ndarray, k: int, lower: bool) -> np.ndarray:
    keep = (
        np.tri(x.shape[-2], x.shape[-1], k, dtype=bool)
        if lower
        else ~np.tri(x.shape[-2], x.shape[-1], k - 1, dtype=bool)
    )
    return balls.as_objects(np.where(keep, balls.real(x), balls.as_objects(arb(0), ())), x.shape)


def _matrix(x: Shape, k: int = 0) -> Shape:
    if len(x) < 2 or type(k) is not int:
        raise ValueError("a triangle of a vector")
    return x


def _diag_shape(x: Shape, offset: int = 0, a: int = -2, b: int = -1) -> Shape:
    ndim = len(x) + 1
    a, b = axis_of(a, ndim), axis_of(b, ndim)
    if a == b or not x:
        raise ValueError("a diagonal needs two axes")
    out: list[int] = list(x[:-1])
    for axis in sorted((a, b)):
        out.insert(axis, x[-1] + abs(offset))
    return tuple(out)


def _diag(x: np.ndarray, offset: int = 0, a: int = -2, b: int = -1) -> np.ndarray:
    out = balls.as_objects(arb(0), _diag_shape(x.shape, offset, a, b))
    view = np.diagonal(out, offset, a, b)
    view.flags.writeable = True
    view[...] = balls.real(x)
    return out


register(Atom("aten.cat.default", _cat_shape, _joined, _cat, moves=True))
register(
    Atom(
        "aten.stack.default",
        _stack_shape,
        _joined,
        lambda parts, dim=0: np.stack([balls.real(p) for p in parts], dim),
        moves=True,
    )
)
register(Atom("aten.where.self", _where_shape, _where_facts, _where, moves=True))
register(
    Atom("aten.masked_fill.Scalar", lambda x, c, v: _where_shape(c, x, v), _fill_facts, lambda x, c, v: _where(c, v, x))
)
acts("aten.where.self", "map", "choice")
acts("aten.masked_fill.Scalar", "map", "fill")
register(Atom("aten.pad.default", _pad_shape, _pad_facts, _pad))
acts(
    "aten.pad.default",
    "window",
    "padding",
    lambda shape, pad, *how: tuple(len(shape) - 1 - k for k in range(len(pad) // 2)),
)
register(Atom("jensen.place", _place_shape, _either, _place))
register(Atom("aten.index_put.default", _put_shape, _put_facts, _put))
register(Atom("jensen.scatter", _scatter_shape, _scatter_facts, _scatter))
register(Atom("aten.tril.default", _matrix, _with_zero, lambda x, k=0: _triangle(x, k, True)))
register(Atom("aten.triu.default", _matrix, _with_zero, lambda x, k=0: _triangle(x, k, False)))
register(Atom("aten.diag_embed.default", _diag_shape, _with_zero, _diag))
