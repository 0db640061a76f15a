"""Whether the convolutions of a map on the CPU have their channels last in memory.

oneDNN's kernels for few channels may be faster so, but flattening, and norms over groups of channels, then have to put
the numbers in order. Both are measured on the shapes at hand: once for each geometry, when a map is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from jensen.linalg.linear_kernels import seconds

aten = torch.ops.aten
ROWS, WORK = 8, 2**25  # at least so many rows are measured, and as many as make so many multiplications
GAIN = 0.95  # of the convolutions' time, reorderings included
RESHAPES = {aten.reshape.default, aten.view.default, aten._unsafe_view.default}
CONVOLUTIONS: dict[Any, int] = {
    aten.convolution.default: 2,
    aten.convolution_backward.default: 3,
}  # and their arguments with channels

Measure = Callable[[Tensor, Tensor, Tensor, Any, Any], float]  # a gradient of the output, input, kernel, how, mask
_TIMES: dict[Any, tuple[float, float, float]] = {}


def last(t: Tensor) -> bool:
    """Whether channels are last in memory, and nothing else."""
    return t.dim() == 4 and t.is_contiguous(memory_format=torch.channels_last) and not t.is_contiguous()


def channels_last(t: Tensor) -> Tensor:
    """The same in that order; what is kept is put in order once."""
    return t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def fragile(x: Tensor, w: Tensor, stride: Any) -> bool:
    """Whether oneDNN writes past the end of the kernel's gradient where the input's channels are last: at 1 x 1 with a stride."""
    where = x.dtype == torch.float32 and x.device.type == "cpu"
    return where and all(n == 1 for n in w.shape[2:]) and any(s > 1 for s in stride)


def channels_first(t: Tensor) -> Tensor:
    """The same in torch's own order, also where a trace without values does not see that it runs in another."""
    return aten.clone.default(t, memory_format=torch.contiguous_format)


def like(t: Tensor | None, other: Tensor) -> Any:
    """A tensor laid out as another, where that has its channels last."""
    return channels_last(t) if t is not None and last(other) else t


def laid(node: fx.Node, args: Any) -> Any:
    """A convolution's arguments as ``choose`` wants them."""
    if node.target is aten.convolution_backward.default and fragile(args[1], args[2], args[4]):
        return (args[0], channels_first(args[1]), *args[2:])
    if not node.meta.get("channels last"):
        return args
    count = CONVOLUTIONS[node.target] - 1  # the kernel stays as it is
    return (*(channels_last(t) for t in args[:count]), *args[count:])


def choose(graph: fx.Graph, measure: Measure) -> None:
    """Mark the convolutions of a gradient's graph where all of them together are faster with channels last."""
    back = [n for n in graph.find_nodes(op="call_function", target=aten.convolution_backward.default) if _may(n)]
    if not back:
        return
    plain = turned = 0.0
    paces = []
    for node in back:
        one, other, copied = _times(node, measure)
        numbers = node.args[1].meta["val"].numel()  # type: ignore[union-attr]
        plain, turned = plain + one * numbers, turned + other * numbers
        paces.append(copied)
    turned += max(paces) * sum(_reordered(n) for n in graph.nodes if n.target in RESHAPES)
    if turned < GAIN * plain:
        for node in graph.nodes:
            if node.target in CONVOLUTIONS and _may(node):
                node.meta["channels last"] = True


def _may(node: fx.Node) -> bool:
    """Whether it is a plain convolution in two dimensions, in float32 on the CPU."""
    place = CONVOLUTIONS[node.target]
    x, w = (traced(a) for a in node.args[place - 2 : place])
    transposed = node.args[place + 4]
    if x is None or w is None or fragile(x, w, node.args[place + 1]):
        return False
    return x.dim() == 4 and x.dtype == w.dtype == torch.float32 and x.device.type == "cpu" and not transposed


def _times(node: fx.Node, measure: Measure) -> tuple[float, float, float]:
    """Seconds for each number of the input: as it is, with channels last, and to put them in order."""
    g, x, w = (a.meta["val"] for a in node.args[:3])  # type: ignore[union-attr]
    how, mask = node.args[4:-1], node.args[-1]
    key = (tuple(g.shape), tuple(x.shape), tuple(w.shape), repr(how), repr(mask), torch.get_num_threads())
    if key not in _TIMES:
        rows = max(min(x.shape[0], WORK // max(w.numel() * g[0, 0].numel(), 1)), min(x.shape[0], ROWS))
        g, x = (torch.ones((rows, *t.shape[1:]), dtype=t.dtype) for t in (g, x))
        w = torch.ones(w.shape, dtype=w.dtype)
        took = [measure(f(g), f(x), w, how, mask) for f in (lambda t: t, channels_last)]
        pace = seconds(lambda: channels_last(x), 2) / x.numel()
        _TIMES[key] = took[0] / x.numel(), took[1] / x.numel(), pace
    return _TIMES[key]


def _reordered(node: fx.Node) -> int:
    """How many numbers a reshape puts in order where channels are last."""
    for t in (traced(node.args[0]), traced(node)):
        if t is not None and t.dim() == 4 and t.shape[1] > 1 and prod(t.shape[2:]) > 1 and t.is_floating_point():
            return t.numel()
    return 0


def traced(node: Any) -> Tensor | None:
    """The tensor that a node was traced with, where it is known."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return value if isinstance(value, Tensor) else None
