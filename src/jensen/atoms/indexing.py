"""Picking elements by constant integer indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.atoms.registry import Atom, register, structural
from jensen.atoms.shared import Facts, Shapes, axis_of, index_is_safe, integers, no_values, operand
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import CONSTANT, UNDEFINED, Fact
from jensen.kernel.program import Ref

Shape = tuple[int, ...]


def _axis(x: Shape, dim: int, index: Shape) -> int:
    if len(x) != len(index):
        raise ValueError(f"indices of shape {index} into {x}")
    a = axis_of(dim, len(x))
    if any(n > m for j, (n, m) in enumerate(zip(index, x, strict=True)) if j != a):
        raise ValueError(f"indices of shape {index} into {x}")
    return a


def _gather_shape(x: Shape, dim: int, index: Shape) -> Shape:
    _axis(x, dim, index)
    return index


def _gather(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    a = _axis(x.shape, dim, index.shape)
    if x.ndim == 0:
        return x
    at = integers(index, x.shape[a])
    part = x[tuple(slice(n) if j != a else slice(None) for j, n in enumerate(at.shape))]
    return np.take_along_axis(part, at, a)


def picked(f: Fact, index: Fact, n: int) -> Fact:
    """Elements of a value at a constant place."""
    return f if index_is_safe(index, n) else UNDEFINED


def _gather_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    no_values(args[1:2])
    x = shapes[operand(args)]
    n = x[axis_of(args[1], len(x))] if x else 1
    return picked(out[operand(args)], out[operand(args, 2)], n)


def _select_shape(x: Shape, dim: int, index: Shape) -> Shape:
    a = axis_of(dim, len(x))
    if len(index) > 1:
        raise ValueError("indices in one list")
    return (*x[:a], index[0] if index else 1, *x[a + 1 :]) if x else x


def _select(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    return x if x.ndim == 0 else np.take(x, integers(index, x.shape[dim]).reshape(-1), axis=dim)


def _embedding_shape(w: Shape, index: Shape) -> Shape:
    if len(w) != 2:
        raise ValueError("an embedding's weight is a matrix")
    return (*index, w[1])


def _embedding_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    return picked(out[operand(args)], out[operand(args, 1)], shapes[operand(args)][0])


def index_layout(x: Shape, index: tuple[Shape | None, ...]) -> tuple[Shape, Shape, bool]:
    """Of an advanced index: the broadcast shape of the lists, and the axes they index; None stands for a whole axis."""
    if len(index) > len(x):
        raise ValueError("more indices than axes")
    used = [k for k, a in enumerate(index) if a is not None]
    if not used:
        raise ValueError("an index without lists")
    return (
        np.broadcast_shapes(*(a for a in index if a is not None)),
        tuple(used),
        used == list(range(used[0], used[-1] + 1)),
    )


def _index_shape(x: Shape, index: tuple[Shape | None, ...]) -> Shape:
    picked_shape, used, adjacent = index_layout(x, index)
    rest = [n for k, n in enumerate(x) if k not in used]
    at = used[0] if adjacent else 0
    return (*rest[:at], *picked_shape, *rest[at:])


def lists(x: np.ndarray, index: Any) -> tuple[Any, ...]:
    """numpy's form of an advanced index."""
    return tuple(slice(None) if a is None else integers(a, x.shape[k]) for k, a in enumerate(index))


def _index(x: np.ndarray, index: Any) -> np.ndarray:
    out = x[lists(x, index)]
    if isinstance(out, np.ndarray):
        return out
    scalar = np.empty((), dtype=x.dtype)
    scalar[()] = out
    return scalar


def index_facts_are_safe(index: Any, out: Facts, shape: Shape) -> bool:
    """Whether all lists of an advanced index are constants within their axes."""
    if type(index) is not tuple:
        raise Unmodelled("index", "a list of indices", "the index is not a list")
    for k, a in enumerate(index):
        if a is None:
            continue
        if type(a) is not Ref:
            raise Unmodelled("index", "indices are constants", "an index is not a value of the program")
        if not index_is_safe(out[a.index], shape[k]):
            return False
    return True


def _index_facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
    x = operand(args)
    return out[x] if index_facts_are_safe(args[1], out, shapes[x]) else UNDEFINED


def _take(x: np.ndarray, dim: int, index: tuple[int, ...]) -> np.ndarray:
    a = axis_of(dim, x.ndim)
    return np.take(x, integers(np.array(index, dtype=np.int64), x.shape[a]), axis=a)


def is_constant(f: Fact) -> bool:
    return bool(f.bits & CONSTANT)


register(Atom("aten.gather.default", _gather_shape, _gather_facts, _gather, moves=True))
register(Atom("aten.index_select.default", _select_shape, _gather_facts, _select, moves=True))
register(
    Atom(
        "aten.embedding.default",
        _embedding_shape,
        _embedding_facts,
        lambda w, index: np.take(w, integers(index, w.shape[0]), axis=0).reshape(
            _embedding_shape(w.shape, index.shape)
        ),
    )
)
register(Atom("aten.index.Tensor", _index_shape, _index_facts, _index, moves=True))
structural("jensen.take", _take)
