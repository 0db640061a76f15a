"""Matrix products with many rows and few columns, rows last in memory where that is faster.

A network of few units on many examples multiplies tall matrices by small ones. In float64 BLAS may compute
(b' a')' faster than a b, and several columns of a product then stack without being moved. What follows a product keeps its
layout, but for reshapes, which put the numbers in order; both are measured on the shapes at hand, when a map is traced.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from jensen.linalg.linear_kernels import seconds
from jensen.linalg.linear_layout import RESHAPES, traced

aten = torch.ops.aten
GAIN = 0.9  # of the products' time, reorderings included
TALL = 4  # times as many rows as columns
SMALL, ROWS = 2**14, 4096  # multiplications worth a measurement; rows that are measured, at most
PRODUCTS: dict[Any, int] = {aten.mm.default: 0, aten.addmm.default: 1}  # and the place of the left factor

_TIMES: dict[Any, tuple[float, float, float]] = {}


def turned(t: Tensor) -> bool:
    """Whether a matrix has its rows last in memory, and nothing else."""
    return t.dim() == 2 and t.t().is_contiguous() and not t.is_contiguous()


def multiply(a: Tensor, b: Tensor, rows_last: bool) -> Tensor:
    """a @ b in the wanted layout."""
    return aten.t.default(aten.mm.default(aten.t.default(b), aten.t.default(a))) if rows_last else aten.mm.default(a, b)


def add_multiply(c: Tensor, a: Tensor, b: Tensor, rows_last: bool, **scale: float) -> Tensor:
    """beta * c + alpha * a @ b in the wanted layout; c broadcasts."""
    if not rows_last:
        return aten.addmm.default(c, a, b, **scale)
    c = aten.t.default(c) if c.dim() == 2 else aten.unsqueeze.default(c, 1) if c.dim() == 1 else c
    return aten.t.default(aten.addmm.default(c, aten.t.default(b), aten.t.default(a), **scale))


def value(node: fx.Node, args: Any, kwargs: Any) -> Any:
    """What a node computes from these values, laid out as ``choose`` wants it."""
    if not node.meta.get("rows last"):
        return node.target(*args, **kwargs)  # type: ignore[operator]
    f = multiply if node.target is aten.mm.default else add_multiply
    return f(*args, rows_last=True, **kwargs)


def choose(graph: fx.Graph) -> None:
    """Mark the tall products of a gradient's graph where all of them together are faster with their rows last."""
    tall = [n for n in graph.nodes if n.target in PRODUCTS and _may(n)]
    times = [_times(n) for n in tall]
    plain, other = (sum(t[k] for t in times) for k in (0, 1))
    pace = max((t[2] for t in times), default=0.0)
    other += pace * sum(_reordered(n) for n in graph.nodes if n.target in RESHAPES)
    if other < GAIN * plain:
        for node in tall:
            node.meta["rows last"] = True


def _may(node: fx.Node) -> bool:
    place = PRODUCTS[node.target]
    a, b = (traced(n) for n in node.args[place : place + 2])
    if a is None or b is None or not _is_tall(traced(node)):
        return False
    return a.numel() * b.shape[1] >= SMALL and a.dtype == torch.float64 and a.device.type == "cpu"


def _is_tall(t: Tensor | None) -> bool:
    return t is not None and t.dim() == 2 and t.shape[1] > 1 and t.shape[0] >= TALL * t.shape[1]


def _times(node: fx.Node) -> tuple[float, float, float]:
    """Seconds as it is and with rows last, and to put one number in order."""
    place = PRODUCTS[node.target]
    a, b = (n.meta["val"] for n in node.args[place : place + 2])  # type: ignore[union-attr]
    rows, (k, m) = min(a.shape[0], ROWS), b.shape
    key = rows, k, m, b.is_contiguous(), torch.get_num_threads()
    if key not in _TIMES:
        left, right = torch.ones(rows, k, dtype=a.dtype), torch.ones(k, m, dtype=a.dtype)
        right = right if b.is_contiguous() else torch.ones(m, k, dtype=a.dtype).t()
        plain, other = (seconds(lambda last=last: multiply(left, right, last)) for last in (False, True))
        _TIMES[key] = plain / rows, other / rows, seconds(lambda: left.t().contiguous()) / left.numel()
    plain, other, pace = _TIMES[key]
    return plain * a.shape[0], other * a.shape[0], pace


def _reordered(node: fx.Node) -> int:
    """How many numbers a reshape puts in order where rows are last."""
    sides = (traced(node.args[0]), traced(node))
    return max((t.numel() for t in sides if t is not None and _is_tall(t) and t.dtype == torch.float64), default=0)
