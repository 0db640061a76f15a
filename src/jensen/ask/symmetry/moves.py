"""Faces of operations that move, copy, join or look up entries, and of windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jensen.ask.symmetry.pointwise import kept
from jensen.ask.symmetry.reader import ONE, Reader, inert
from jensen.ask.symmetry.system import System
from jensen.ask.symmetry.values import Grid, Shape, Value, gathered, moved, renamed, spread
from jensen.atoms import registry

BATCHED = ("aten.view.default",)  # these leave a leading axis alone where it has the same size before and after


def move(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """One value moved by an operation whose other arguments are numbers."""
    x, rest = args[0], args[1:]
    f = registry().atoms[op].balls
    if op in BATCHED and len(shape) > 1 and len(x.shape) > 1 and x.shape[0] == shape[0] > 1 and not _on_axis(x, 0):
        one = Value((1, *x.shape[1:]), x.grids, x.scale, x.sign, x.zero, x.block, x.facts)
        out = moved(one, lambda a: a.reshape(1, *shape[1:]), (1, *shape[1:]))
        return r.tidy(Value(shape, out.grids, out.scale, out.sign, out.zero, out.block, out.facts))
    out = moved(x, lambda a: f(a, *rest), shape)
    if len(out.units) < len(x.units):
        for g in x.units:
            left = np.unique(f(spread(g, x.shape), *rest))
            if len(left) == 1:
                r.alone.append((int(left[0]), r.node))
    return r.tidy(out)


def _on_axis(x: Value, axis: int) -> bool:
    return any(axis in g.axes for g in (*x.grids, *x.scale, *x.sign))


def join(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """cat and stack: one axis runs over all parts; on the other axes the parts are paired."""
    stack = op == "aten.stack.default"
    dim = (args[1] if len(args) > 1 else 0) % len(shape)
    numbers = [k for k, p in enumerate(args[0]) if stack or p.shape[dim]]
    parts = [_opened(args[0][k], dim) if stack else args[0][k] for k in numbers]
    live = [p for p in parts if not p.zero]
    if not live:
        return Value(shape, zero=True)
    others = [Value(p.shape, tuple(g for g in p.grids if dim not in g.axes)) for p in live]
    for p in others[1:]:
        r.align(others[0], p)
    slots = dict.fromkeys(g.axes for p in parts for g in p.units if dim in g.axes)
    grids = [_side_by_side([_units(r, p, axes) for p in parts], dim) for axes in slots]
    labels = Grid((dim,), np.repeat([r.slot(k) for k in numbers], [p.shape[dim] for p in parts]), True)
    inside = [_labels(p, dim) for p in parts]
    if any(x.max(initial=0) for x in inside):
        labels = Grid(
            (dim,),
            np.unique(np.stack([labels.ids, np.concatenate(inside)]), axis=1, return_inverse=True)[1].reshape(-1),
            True,
        )
    scale, sign = (_characters(s, parts, live, dim, k) for s, k in ((r.scale, "scale"), (r.sign, "sign")))
    both = (*grids, *r.merged(others), labels)
    return Value(shape, tuple(g for g in both if g.axes), scale, sign)


def _opened(v: Value, dim: int) -> Value:
    """With one more axis, of size 1."""
    shape = (*v.shape[:dim], 1, *v.shape[dim:])
    return renamed(v, [a + (a >= dim) for a in range(len(v.shape))], shape)


def _units(r: Reader, p: Value, axes: tuple[int, ...]) -> np.ndarray:
    """A part's units on some axes; places without units get fresh ones, each told apart unless all of them are 0."""
    own = tuple(n if a in axes else 1 for a, n in enumerate(p.shape))
    found = [g for g in p.units if g.axes == axes]
    if found:
        return found[0].ids.reshape(own)
    fresh = r.new(own)
    if p.zero:
        return fresh
    r.colour(fresh, np.arange(fresh.size).reshape(own), (r.node, "joined"))
    return fresh


def _labels(p: Value, dim: int) -> np.ndarray:
    """Labels of a part along the joined axis; those that hang on other axes too count as labels of their own."""
    out = np.zeros(p.shape[dim], dtype=np.int64)
    for g in p.labels:
        if dim in g.axes:
            rows = np.moveaxis(g.ids, g.axes.index(dim), 0).reshape(p.shape[dim], -1)
            own = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
            out = out * (int(own.max(initial=0)) + 1) + own
    return out


def _side_by_side(arrays: Sequence[np.ndarray], dim: int) -> Grid:
    """Arrays joined; their other axes broadcast."""
    whole = np.broadcast_shapes(*((*a.shape[:dim], 1, *a.shape[dim + 1 :]) for a in arrays))
    full = [np.broadcast_to(a, (*whole[:dim], a.shape[dim], *whole[dim + 1 :])) for a in arrays]
    return gathered(np.concatenate(full, axis=dim))


def _characters(system: System, parts: Sequence[Value], live: Sequence[Value], dim: int, kind: str) -> tuple[Grid, ...]:
    """Characters of all parts side by side; a part that is 0 has any along the axis, and those of another along the others."""
    arrays = []
    for p in parts:
        grids = getattr(live[0] if p.zero else p, kind)
        own = [g for g in grids if not (p.zero and dim in g.axes)]
        shapes = [tuple(n if a in g.axes else 1 for a, n in enumerate(p.shape)) for g in own]
        terms = [(ONE, g.ids.reshape(s)) for g, s in zip(own, shapes, strict=True)]
        if p.zero:
            terms.append((ONE, system.new(tuple(n if a == dim else 1 for a, n in enumerate(p.shape)))))
        whole = system.combine(terms)
        arrays.append(
            np.broadcast_to(
                whole.reshape(whole.shape or (1,) * len(p.shape)),
                [max(n, p.shape[a] if a == dim else 1) for a, n in enumerate(whole.shape or (1,) * len(p.shape))],
            )
        )
    out = _side_by_side(arrays, dim)
    return (out,) if out.ids.any() else ()


def lookup(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Places chosen by a constant are moved; a choice by data tells the places apart."""
    x = args[0]
    rest = [_content(a) for a in args[1:]]
    if any(a is NotImplemented for a in rest):
        return _chosen(r, x, shape)
    f = registry().atoms[op].balls
    return moved(x, lambda a: f(a, *rest), shape)


def _content(a: Any) -> Any:
    if isinstance(a, Value):
        return NotImplemented if a.content is None else a.content
    if isinstance(a, (list, tuple)):
        inner = [_content(b) for b in a]
        return NotImplemented if any(b is NotImplemented for b in inner) else type(a)(inner)
    return a


def _chosen(r: Reader, x: Value, shape: Shape) -> Value:
    r.apart(x, range(len(x.shape)))
    r.fixed(x)
    r.freeze(x)
    return inert(shape)


def embedding(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Rows of a table: the rows are told apart, the columns are units."""
    w = args[0]
    r.apart(w, (0,))
    scale, sign = r.constant(r.scale, w.scale, (0,)), r.constant(r.sign, w.sign, (0,))
    last = len(shape) - 1
    go = lambda grids: tuple(Grid((last,) if g.axes else (), g.ids, g.inert) for g in grids)  # noqa: E731
    units = tuple(g for g in w.grids if g.axes == (1,))
    return Value(shape, (*go(units), *inert(shape, range(last)).grids), go(scale), go(sign))


def window(axes_of: Callable[[list[Any], Shape], Sequence[int]], positive: bool = False) -> Callable[..., Value]:
    """Operations along some axes that treat the others alike (pooling, padding, cumulative sums): places there are told apart."""

    def face(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
        x = args[0]
        axes = axes_of(args, x.shape)
        r.apart(x, axes)
        if positive:
            r.fixed(x, "sign")
        scale, sign = r.constant(r.scale, x.scale, axes), r.constant(r.sign, x.sign, axes)
        if any(set(g.axes) & set(axes) for g in x.units) or positive:
            r.freeze(x)
        grids = tuple(k for g in x.grids if (k := kept(r, g, axes)) is not None)
        return Value(shape, (*grids, *inert(shape, axes).grids), scale, sign, x.zero)

    return face


def pad(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Padding with 0 is linear; with another number it fixes every character."""
    x = args[0]
    number = args[3] if len(args) > 3 and args[3] is not None else 0
    mode = args[2] if len(args) > 2 else "constant"
    if mode == "constant" and number:
        r.fixed(x)
        r.freeze(x)
    axes = [a for a, (n, m) in enumerate(zip(x.shape, shape, strict=True)) if n != m]
    return window(lambda args, s: axes)(r, args, shape, op)
