"""The gradient of a convolution in its input, by the fastest of three equal ways on this processor.

torch's own kernel scatters, and on CPUs it is slow: at stride 1 the same numbers are a convolution with the flipped
kernel; at any stride a matrix product and col2im. Which is fastest depends on the shapes and the processor, so it is
measured once for each geometry, on a few rows, before a map is traced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
Pairs = Sequence[tuple[Tensor, Tensor]]  # output gradients and kernels; the results are added up
ROWS = 64

_CHOSEN: dict[Any, str] = {}


def input_gradient(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """Sum over the pairs of the input's gradient.

    Args:
        pairs: Gradients of the output (N, O, ...) and kernels (O, C, ...).
        like: A tensor of the input's shape.
        how: stride, padding, dilation, transposed, output padding, groups.
    """
    return WAYS[_CHOSEN.get(_geometry(pairs[0][0], like, pairs[0][1], how), "direct")](pairs, like, how)


def _direct(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    out: Tensor | None = None
    for g, w in pairs:
        part = aten.convolution_backward.default(g, like, w, None, *how, [True, False, False])[0]
        out = part if out is None else out + part
    return out  # pyright: ignore[reportReturnType]


def _flipped(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """At stride 1: a convolution with the kernel turned round, its two channel axes exchanged."""
    _, padding, dilation, *_ = how
    out: Tensor | None = None
    for g, w in pairs:
        axes = list(range(2, w.dim()))
        pad = [d * (k - 1) - p for d, k, p in zip(dilation, w.shape[2:], padding, strict=True)]
        turned = aten.transpose.int(aten.flip.default(w, axes), 0, 1)
        part = aten.convolution.default(g, turned, None, [1] * len(axes), pad, dilation, False, [0] * len(axes), 1)
        out = part if out is None else out + part
    return out  # pyright: ignore[reportReturnType]


def _columns(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """In two dimensions: one matrix product for all pairs, and the sum of its columns where they belong."""
    stride, padding, dilation, *_ = how
    w = torch.cat([w for _, w in pairs])
    g = torch.cat([g for g, _ in pairs], 1)
    columns = torch.matmul(w.reshape(w.shape[0], -1).t(), g.reshape(g.shape[0], g.shape[1], -1))
    return aten.col2im.default(columns, list(like.shape[2:]), list(w.shape[2:]), dilation, padding, stride)


WAYS: dict[str, Callable[[Pairs, Tensor, Sequence[Any]], Tensor]] = {
    "direct": _direct, "flipped": _flipped, "columns": _columns,
}  # fmt: skip


def prepare(graph: fx.Graph) -> None:
    """Measure the ways for every convolution on the CPU whose input has a gradient in this graph."""
    for node in graph.nodes:
        if node.target is not aten.convolution_backward.default or not node.args[-1][0]:  # type: ignore[index]
            continue
        g, x, w = (a.meta["val"] for a in node.args[:3])  # type: ignore[union-attr]
        how = node.args[4:-1]
        key = _geometry(g, x, w, how)
        if x.device.type == "cpu" and key not in _CHOSEN:
            _CHOSEN[key] = _fastest(g, x, w, how)


def _fastest(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any]) -> str:
    stride, padding, dilation, transposed, _, groups = how
    if transposed or groups != 1:
        return "direct"
    ways = ["direct"]
    if all(s == 1 for s in stride) and all(
        p <= d * (k - 1) for d, k, p in zip(dilation, w.shape[2:], padding, strict=True)
    ):
        ways.append("flipped")
    if w.dim() == 4:
        ways.append("columns")
    rows = min(x.shape[0], ROWS)
    pairs = [(_random(g, rows), _random(w)) for _ in range(2)]
    like = _random(x, rows)
    return min(ways, key=lambda way: _seconds(lambda: WAYS[way](pairs, like, how))) if len(ways) > 1 else ways[0]


def _random(t: Tensor, rows: int | None = None) -> Tensor:
    shape = t.shape if rows is None else (rows, *t.shape[1:])
    return torch.rand(tuple(shape), dtype=t.dtype)


def _seconds(f: Callable[[], Any]) -> float:
    f()
    took = []
    for _ in range(3):
        start = time.perf_counter()
        f()
        took.append(time.perf_counter() - start)
    return min(took)


def _geometry(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any]) -> Any:
    plain = tuple(tuple(h) if isinstance(h, (list, tuple)) else h for h in how)
    return tuple(g.shape), tuple(x.shape), tuple(w.shape), plain, x.dtype, x.device.type
