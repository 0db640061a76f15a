"""Largest and smallest elements: along axes, so far, and sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jensen.atoms import arrays
from jensen.atoms.registry import Atom, acts, along, axes_of, count, over, reduced, register
from jensen.atoms.shared import Facts, Shapes, axis_of, extreme, no_values, operand
from jensen.kernel import balls
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONSTANT, Fact, constant, fact

Shape = tuple[int, ...]


def _shape(x: Shape, dims: Any = None, keepdim: bool = False) -> Shape:
    axes = axes_of(dims, len(x))
    if count(x, axes) == 0:
        raise ValueError("the largest of nothing")
    return reduced(x, axes, keepdim)


def _reduction(op: str, up: bool) -> None:
    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        no_values(args[1:])
        shape = shapes[operand(args)]
        return extreme(out[operand(args)], count(shape, axes_of(args[1] if len(args) > 1 else None, len(shape))), up)

    def enclose(x: np.ndarray, dims: Any = None, keepdim: bool = False) -> np.ndarray:
        return arrays.reduce_pairs(_pick(up), x, axes_of(dims, x.ndim), keepdim)

    register(Atom(op, _shape, facts, enclose))
    acts(op, "fold", "largest", over, "through")


def _pick(up: bool) -> Callable[[Any, Any], Any]:
    return (lambda a, b: a.max(b)) if up else (lambda a, b: a.min(b))


def _along(x: Shape, dim: int) -> Shape:
    axis_of(dim, len(x))
    return x


def running(x: np.ndarray, dim: int, f: Callable[[Any, Any], Any]) -> np.ndarray:
    """Fold along an axis, keeping every partial result."""
    x = balls.real(x)
    if x.ndim == 0 or x.shape[dim] == 0:
        return x
    rows = np.moveaxis(x, dim, 0)
    flat = rows.reshape(rows.shape[0], -1).copy()
    for k in range(1, flat.shape[0]):
        flat[k] = balls.elementwise(f, flat[k - 1], flat[k])
    return np.moveaxis(flat.reshape(rows.shape), 0, dim)


def _running(op: str, up: bool) -> None:
    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        no_values(args[1:])
        return extreme(out[operand(args)], 2, up)

    register(Atom(op, _along, facts, lambda x, dim: running(x, dim, _pick(up))))
    acts(op, "window", "largest", along, "through")


def _sort_shape(x: Shape, k: int, dim: int, largest: bool) -> Shape:
    a = axis_of(dim, len(x))
    if not x:
        return x
    if type(k) is not int or not 0 <= k <= x[a]:
        raise ValueError(f"{k} largest of {x[a]}")
    return (*x[:a], k, *x[a + 1 :])


def _sort_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    """The k largest in order: the first is convex; the others (differences of convex functions) are neither."""
    no_values(args[1:])
    f = out[operand(args)]
    if f.bits & CONSTANT:
        return constant(f.range)
    return extreme(f, 2, bool(args[3])) if args[1] == 1 else fact(0, f.range)


def _sort(x: np.ndarray, k: int, dim: int, largest: bool) -> np.ndarray:
    """By a sorting network of max and min, so that ties need no decision."""
    if x.ndim == 0:
        return x
    rows = np.moveaxis(balls.real(x), dim, 0)
    n, flat = rows.shape[0], rows.reshape(rows.shape[0], -1).copy()
    if n * k > 20_000:
        raise Rejected("sort", "a short sort", f"{k} largest of {n} elements are too many to enclose")
    first, second = (_pick(True), _pick(False)) if largest else (_pick(False), _pick(True))
    for i in range(k):
        for j in range(n - 1, i, -1):
            a, b = flat[j - 1], flat[j]
            flat[j - 1], flat[j] = balls.elementwise(first, a, b), balls.elementwise(second, a, b)
    return np.moveaxis(flat[:k].reshape(k, *rows.shape[1:]), 0, dim)


_reduction("aten.amax.default", True)
_reduction("aten.amin.default", False)
_running("jensen.cummax", True)
_running("jensen.cummin", False)
register(Atom("jensen.sorted", _sort_shape, _sort_facts, _sort))
