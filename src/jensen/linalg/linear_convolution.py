"""The gradients of a convolution in its input and in its kernel, by the fastest of some equal ways on this processor.

torch's own kernel for the input scatters, and on CPUs it is slow: at stride 1 the same numbers are a convolution with the
flipped kernel, beyond it one with more channels; at any stride a matrix product and col2im. Several kernels may be joined
along their channels. For the kernel, channels that come last in memory may be read faster. Which is fastest depends on the
shapes and the processor, so it is measured once for each geometry, on a few rows, before a map is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from jensen.linalg import linear_layout
from jensen.linalg.linear_kernels import seconds
from jensen.linalg.linear_layout import ROWS, WORK, channels_last

aten = torch.ops.aten
Pairs = Sequence[tuple[Tensor, Tensor]]  # output gradients and kernels; the results are added up

_CHOSEN: dict[Any, str] = {}


def input_gradient(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """Sum over the pairs of the input's gradient.

    Args:
        pairs: Gradients of the output (N, O, ...) and kernels (O, C, ...).
        like: A tensor of the input's shape.
        how: stride, padding, dilation, transposed, output padding, groups.
    """
    g, w = pairs[0]
    return WAYS[_CHOSEN.get(("input", *_geometry(g, like, w, how)), "direct")](pairs, like, how)


def weight_gradient(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """Sum over the pairs of the kernel's gradient.

    Args:
        pairs: Gradients of the output (N, O, ...) and inputs (N, C, ...).
        like: A tensor of the kernel's shape.
        how: As above.
    """
    g, x = pairs[0]
    last = _CHOSEN.get(("weight", *_geometry(g, x, like, how))) == "channels last"
    return _kernels(pairs, like, how, last or linear_layout.last(x))


def _kernels(pairs: Pairs, like: Tensor, how: Sequence[Any], last: bool) -> Tensor:
    out: Tensor | None = None
    for g, x in pairs:
        if linear_layout.fragile(x, like, how[0]):
            x = linear_layout.channels_first(x)
        elif last:
            g, x = channels_last(g), channels_last(x)
        part = aten.convolution_backward.default(g, x, like, None, *how, [False, True, False])[1]
        out = part if out is None else out + part
    return out  # pyright: ignore[reportReturnType]


def _direct(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    out: Tensor | None = None
    for g, w in pairs:
        part = aten.convolution_backward.default(g, like, w, None, *how, [True, False, False])[0]
        out = part if out is None else out + part
    return out  # pyright: ignore[reportReturnType]


def _joined(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """All pairs at once, as one output with the channels of all."""
    return _direct([(torch.cat([g for g, _ in pairs], 1), torch.cat([w for _, w in pairs]))], like, how)


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


def _phases(pairs: Pairs, like: Tensor, how: Sequence[Any]) -> Tensor:
    """In two dimensions: at stride s, inputs s apart see the same part of the kernel.

    So the gradient is one convolution at stride 1 with s * s times the channels, interleaved (Shi and others 2016, "Is the
    deconvolution layer the same as a convolutional layer?").
    """
    stride, padding, *_ = how
    sides = [
        _Side(*t)
        for t in zip(like.shape[2:], pairs[0][0].shape[2:], pairs[0][1].shape[2:], stride, padding, strict=True)
    ]
    y, x = sides
    g = torch.cat([aten.constant_pad_nd.default(g, [*x.around, *y.around]) for g, _ in pairs], 1)
    w = torch.cat([_phased(w, y, x) for _, w in pairs], 1)
    out = aten.convolution.default(g, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    out = _interleaved(out.reshape(out.shape[0], -1, y.stride, x.stride, y.count, x.count))
    return out[:, :, : y.inputs, : x.inputs]


def _interleaved(t: Tensor) -> Tensor:
    """(N, C, s, t, Q, R) as (N, C, Q s, R t)."""
    n, c, s, r, height, width = t.shape
    if r == 2:  # pairs of neighbours as complex numbers, which torch copies in half the time
        pairs = torch.complex(t.select(3, 0), t.select(3, 1)).permute(0, 1, 3, 2, 4).contiguous()
        t = torch.view_as_real(pairs)
    else:
        t = t.permute(0, 1, 4, 2, 5, 3)
    return t.reshape(n, c, height * s, width * r)


@dataclass(frozen=True)
class _Side:
    """One axis: the input i = stride q + phase sees the outputs q + e by the tap padding + phase - stride e of the kernel."""

    inputs: int
    outputs: int
    taps: int
    stride: int
    padding: int

    @property
    def count(self) -> int:
        """How many q there are."""
        return -(-self.inputs // self.stride)

    @property
    def first(self) -> int:
        """The least e."""
        return -((self.taps - 1 - self.padding) // self.stride)

    @property
    def last(self) -> int:
        """The largest e."""
        return (self.padding + self.stride - 1) // self.stride

    @property
    def around(self) -> tuple[int, int]:
        """Zeros before and after the outputs."""
        return -self.first, self.count + self.last - self.outputs

    @property
    def zeros(self) -> tuple[int, int]:
        """Zeros before and after the taps, for a whole number of strides."""
        before = self.stride * self.last - self.padding
        return before, self.stride * (self.last - self.first + 1) - before - self.taps


def _phased(w: Tensor, y: _Side, x: _Side) -> Tensor:
    """The kernel (O, C, ., .) as (C * phases, O, ., .)."""
    w = aten.constant_pad_nd.default(w, [*x.zeros, *y.zeros])
    w = w.reshape(*w.shape[:2], -1, y.stride, w.shape[3] // x.stride, x.stride)
    w = aten.flip.default(w, [2, 4]).permute(1, 3, 5, 0, 2, 4)
    return w.reshape(-1, *w.shape[3:])


WAYS: dict[str, Callable[[Pairs, Tensor, Sequence[Any]], Tensor]] = {
    "direct": _direct, "joined": _joined, "flipped": _flipped, "columns": _columns, "phases": _phases,
}  # fmt: skip


def prepare(graph: fx.Graph) -> None:
    """Measure the ways for every convolution on the CPU that this graph goes back through, and how it is best laid out."""
    linear_layout.choose(graph, _together)
    for node in graph.nodes:
        if node.target is not aten.convolution_backward.default:
            continue
        g, x, w = (a.meta["val"] for a in node.args[:3])  # type: ignore[union-attr]
        how, mask, last = node.args[4:-1], node.args[-1], node.meta.get("channels last", False)
        rows = max(WORK // max(w.numel() * g[0, 0].numel(), 1), ROWS)
        for kind, wanted in zip(MEASURED, mask, strict=False):  # type: ignore[arg-type]
            key = (kind, *_geometry(g, x, w, how)[:-1], last)
            if wanted and x.device.type == "cpu" and key not in _CHOSEN:
                few_g, few_x = (channels_last(t) if last else t for t in (_ones(g, rows), _ones(x, rows)))
                _CHOSEN[key] = MEASURED[kind](few_g, few_x, _ones(w, None), how)


def _together(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any], mask: Sequence[bool]) -> float:
    """Seconds for what a product computes at a convolution; its input moves where the gradient asks for its gradient."""
    outward = seconds(lambda: aten.convolution.default(x, w, None, *how), 2)
    total = outward * (1 + mask[0])
    if mask[1]:
        total += seconds(lambda: _kernels([(g, x)], w, how, linear_layout.last(x)), 2) * (1 + mask[0])
    if mask[0]:
        ways = ["direct", *possible(x, w, how)]
        total += min(seconds(lambda way=way: WAYS[way]([(g, w), (g, w)], x, how), 1) for way in ways)
    return total


def _fastest(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any]) -> str:
    ways = ["direct", *possible(x, w, how)]
    pairs = [(g, w), (g, w)]
    return min(ways, key=lambda way: seconds(lambda: WAYS[way](pairs, x, how))) if len(ways) > 1 else ways[0]


def possible(x: Tensor, w: Tensor, how: Sequence[Any]) -> list[str]:
    """The ways besides the direct one that a geometry allows."""
    stride, padding, dilation, transposed, _, groups = how
    if transposed or groups != 1:
        return []
    inside = all(p <= d * (k - 1) for d, k, p in zip(dilation, w.shape[2:], padding, strict=True))
    plane = w.dim() == 4
    ways = {
        "joined": True,
        "flipped": inside and all(s == 1 for s in stride),
        "columns": plane,
        "phases": plane and inside and all(d == 1 for d in dilation) and any(s > 1 for s in stride),
    }
    return [way for way, may in ways.items() if may]


def _order(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any]) -> str:
    """For the kernel's gradient: the order of channels, putting in order included."""
    if x.dim() != 4 or g.dim() != 4 or linear_layout.last(x) or linear_layout.fragile(x, w, how[0]):
        return "direct"
    plain, last = (seconds(lambda order=order: _kernels([(g, x)], w, how, order)) for order in (False, True))
    return "channels last" if last < plain else "direct"


MEASURED: dict[str, Callable[[Tensor, Tensor, Tensor, Sequence[Any]], str]] = {"input": _fastest, "weight": _order}


def _ones(t: Tensor, rows: int | None) -> Tensor:
    shape = t.shape if rows is None else (min(rows, t.shape[0]), *t.shape[1:])
    return torch.ones(tuple(shape), dtype=t.dtype)


def _geometry(g: Tensor, x: Tensor, w: Tensor, how: Sequence[Any]) -> tuple[Any, ...]:
    plain = tuple(tuple(h) if isinstance(h, (list, tuple)) else h for h in how)
    return tuple(g.shape), tuple(x.shape), tuple(w.shape), plain, x.dtype, x.device.type, linear_layout.last(x)
