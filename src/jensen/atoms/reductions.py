"""Sums and means over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jensen.atoms import arrays
from jensen.atoms.registry import Atom, acts, axes_of, count, over, reduced, register
from jensen.kernel import balls, compose
from jensen.kernel.facts import Fact, constant, fact


def _shape(x: tuple[int, ...], dims: Any = None, keepdim: bool = False) -> tuple[int, ...]:
    return reduced(x, axes_of(dims, len(x)), keepdim)


def _size(args: tuple[Any, ...], shapes: Sequence[tuple[int, ...]]) -> int:
    shape = shapes[args[0].index]
    return count(shape, axes_of(args[1] if len(args) > 1 else None, len(shape)))


def _sum_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Sequence[tuple[int, ...]], i: int) -> Fact:
    return compose.total(out[args[0].index], _size(args, shapes))


def _mean_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Sequence[tuple[int, ...]], i: int) -> Fact:
    f = out[args[0].index]
    if _size(args, shapes) == 1:
        return f
    g = compose.total(f, 2)  # n values: the curvature of a sum, the range of one of them
    return constant(f.range) if f.bits & 16 else fact(g.bits, f.range, g.vex, g.cave)


def _sum_balls(x: Any, dims: Any = None, keepdim: bool = False) -> Any:
    return arrays.total(x, axes_of(dims, x.ndim), keepdim)


def _mean_shape(x: tuple[int, ...], dims: Any = None, keepdim: bool = False) -> tuple[int, ...]:
    if count(x, axes_of(dims, len(x))) == 0:
        raise ValueError("the mean of nothing")
    return _shape(x, dims, keepdim)


def _mean_balls(x: Any, dims: Any = None, keepdim: bool = False) -> Any:
    axes = axes_of(dims, x.ndim)
    n = count(x.shape, axes)
    return balls.elementwise(lambda v: v / n, arrays.total(x, axes, keepdim))


register(Atom("aten.sum.dim_IntList", _shape, _sum_facts, _sum_balls))
register(Atom("aten.mean.dim", _mean_shape, _mean_facts, _mean_balls))
acts("aten.sum.dim_IntList", "fold", "sum", over, "times")
acts("aten.mean.dim", "fold", "sum", over, "through")
