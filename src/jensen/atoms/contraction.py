"""Matrix products of every kind: bilinear maps whose coefficients are zeros and ones."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from jensen.atoms import arrays
from jensen.atoms.registry import Atom, register
from jensen.kernel import balls, compose
from jensen.kernel.facts import CONSTANT, Fact


def contract(f: Fact, g: Fact, n: int, same: bool) -> Fact:
    """A sum of n products f * g; ``same``: each product is a square."""
    if same and not f.bits & CONSTANT:
        from jensen.atoms.powers import power_fact

        return compose.total(power_fact(f, 2.0), n)
    return compose.total(compose.multiply(f, g), n)


def _matmul_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    if not a or not b:
        raise ValueError("a matrix product of a scalar")
    left = a if len(a) > 1 else (1, *a)
    right = b if len(b) > 1 else (*b, 1)
    if left[-1] != right[-2]:
        raise ValueError(f"shapes {a} and {b} do not fit")
    lead = np.broadcast_shapes(left[:-2], right[:-2])
    return lead + (left[-2:-1] if len(a) > 1 else ()) + (right[-1:] if len(b) > 1 else ())


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    shape = _matmul_shape(a.shape, b.shape)
    left = a if a.ndim > 1 else a[None]
    right = b if b.ndim > 1 else b[:, None]
    if right.ndim == 2:
        return arrays.matmul(left.reshape(-1, left.shape[-1]), right).reshape(shape)
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, lead + left.shape[-2:]).reshape(-1, *left.shape[-2:])
    right = np.broadcast_to(right, lead + right.shape[-2:]).reshape(-1, *right.shape[-2:])
    out = np.empty((left.shape[0], left.shape[1], right.shape[2]), dtype=object)
    for k in range(left.shape[0]):
        out[k] = arrays.matmul(left[k], right[k])
    return out.reshape(shape)


def _matmul_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Sequence[tuple[int, ...]], i: int) -> Fact:
    a, b = args[0].index, args[1].index
    n = shapes[a][-1]
    return contract(out[a], out[b], n, a == b and len(shapes[a]) == 1)


def _linear_shape(x: tuple[int, ...], w: tuple[int, ...], bias: tuple[int, ...] | None = None) -> tuple[int, ...]:
    if len(w) not in (1, 2) or x[-1] != w[-1] or (bias is not None and bias not in (w[:-1], ())):
        raise ValueError(f"shapes {x}, {w} and {bias} do not fit")
    return x[:-1] + w[:-1]


def _linear(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    shape = _linear_shape(x.shape, w.shape)
    matrix = w if w.ndim == 2 else w[None]
    y = arrays.matmul(x.reshape(-1, x.shape[-1]), matrix.T).reshape(shape)
    return y if bias is None else balls.elementwise(operator.add, y, bias)


def _linear_facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Sequence[tuple[int, ...]], i: int) -> Fact:
    x, w = args[0].index, args[1].index
    f = contract(out[x], out[w], shapes[x][-1], False)
    return f if len(args) < 3 or args[2] is None else compose.add(f, out[args[2].index])


register(Atom("aten.matmul.default", _matmul_shape, _matmul_facts, _matmul, bilinear=True))
register(Atom("aten.linear.default", _linear_shape, _linear_facts, _linear, bilinear=True))
