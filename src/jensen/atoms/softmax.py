"""Softmax, its logarithm, and log-sum-exp."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, nextafter
from typing import Any

import numpy as np
from flint import arb

from jensen.atoms import arrays
from jensen.atoms.registry import Atom, acts, along, axes_of, count, over, reduced, register
from jensen.atoms.shared import operand
from jensen.kernel import balls, compose, ranges
from jensen.kernel.facts import CONSTANT, Fact, fact


def _shift(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """An exact number near the maximum, to keep balls tight."""
    top = arrays.reduce_pairs(lambda a, b: a.max(b), x, axes, True)
    return balls.elementwise(lambda v: v.mid(), top)


def logsumexp(x: np.ndarray, axes: tuple[int, ...], keepdim: bool = False) -> np.ndarray:
    shift = _shift(x, axes)
    terms = balls.elementwise(lambda v, s: (v - s).exp(), x, shift)
    out = balls.elementwise(lambda t, s: t.log() + s, arrays.total(terms, axes, True), shift)
    return out.reshape(reduced(x.shape, axes, keepdim))


def _same(x: tuple[int, ...], dim: int) -> tuple[int, ...]:
    axes_of(dim, len(x))
    if 0 in x:
        raise ValueError("softmax of nothing")
    return x


def _softmax(x: np.ndarray, dim: int) -> np.ndarray:
    axes = axes_of(dim, x.ndim) if x.ndim else ()
    return balls.elementwise(lambda v, s: (v - s).exp(), x, logsumexp(balls.real(x), axes, True))


def _log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    axes = axes_of(dim, x.ndim) if x.ndim else ()
    return balls.elementwise(lambda v, s: v - s, x, logsumexp(balls.real(x), axes, True))


def _softmax_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    return compose.joint([out[args[0].index]], (0.0, 1.0, True, False), cave=0)


def _log_softmax_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    return compose.joint([out[args[0].index]], (-inf, 0.0, True, False), cave=1)


def _lse_shape(x: tuple[int, ...], dims: Any, keepdim: bool = False) -> tuple[int, ...]:
    axes = axes_of(dims, len(x))
    if count(x, axes) == 0:
        raise ValueError("logsumexp of nothing")
    return reduced(x, axes, keepdim)


def _lse_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Sequence[tuple[int, ...]], i: int) -> Fact:
    shape = shapes[args[0].index]
    f = out[args[0].index]
    n = count(shape, axes_of(args[1], len(shape)))
    most = nextafter(nextafter(log(n), inf), inf)
    least = max(nextafter(nextafter(log(n), -inf), -inf), 0.0)
    r = ranges.make(ranges.add_down(f.range[0], least), ranges.add_up(f.range[1], most), f.range[2], f.range[3])
    return compose.joint([f], r, vex=1, signs=(1,))


def _lse(x: np.ndarray, dims: Any, keepdim: bool = False) -> np.ndarray:
    return logsumexp(balls.real(x), axes_of(dims, x.ndim), keepdim)


def _masked_shape(x: tuple[int, ...], mask: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return _same(np.broadcast_shapes(x, mask), dim)


def _masked_softmax(x: np.ndarray, mask: np.ndarray, dim: int) -> np.ndarray:
    """Softmax among the places where the mask is true, 0 elsewhere; 0 also in a row without any."""
    if mask.dtype != np.bool_:
        raise ValueError("a mask must be a boolean constant")
    shape = _masked_shape(x.shape, mask.shape, dim)
    x, mask = np.broadcast_to(balls.real(x), shape), np.broadcast_to(mask, shape)
    axes = axes_of(dim, len(shape)) if shape else ()
    x = balls.as_objects(np.where(mask | ~mask.any(axis=axes, keepdims=True), x, balls.as_objects(None, ())), shape)
    top = arrays.reduce_pairs(lambda a, b: b if a is None else a if b is None else a.max(b), x, axes, True)
    terms = balls.elementwise(lambda v, t: arb(0) if v is None else (v - t.mid()).exp(), x, top)
    y = balls.elementwise(lambda v, s: v / s, terms, arrays.total(terms, axes, True))
    return balls.as_objects(np.where(mask, y, balls.as_objects(arb(0), ())), shape)


def _masked_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
    """Each element is 0, or the softmax of the row's other elements: log-concave."""
    if not out[operand(args, 1)].bits & CONSTANT:
        return fact(0, (0.0, 1.0, False, False))
    return compose.joint([out[operand(args)]], (0.0, 1.0, False, False), cave=0)


register(Atom("jensen.masked_softmax", _masked_shape, _masked_facts, _masked_softmax))
register(Atom("aten.softmax.int", _same, _softmax_facts, _softmax))
register(Atom("aten.log_softmax.int", _same, _log_softmax_facts, _log_softmax))
acts("jensen.masked_softmax", "line", "", lambda shape, mask, dim: along(shape, dim), "away")
acts("aten.softmax.int", "line", "", along, "away")
acts("aten.log_softmax.int", "line", "", along, "away")
acts("aten.logsumexp.default", "fold", "", over, "through")
register(Atom("aten.logsumexp.default", _lse_shape, _lse_facts, _lse))
