"""Convolutions and their transposes in one to three dimensions: bilinear, like matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from jensen.atoms import arrays
from jensen.atoms.contraction import contract
from jensen.atoms.registry import Atom, register
from jensen.atoms.shared import Facts, Shapes, ints, no_values, operand, partial, take, windows
from jensen.kernel import balls, compose
from jensen.kernel.facts import Fact

Shape = tuple[int, ...]
ROWS = 400_000  # entries of one matrix of windows; larger products are done piece by piece


def _split(nd: int, x: Shape, w: Shape, bias: Shape | None, out_axis: int, groups: int) -> tuple[Shape, Shape]:
    """The input as a batch, and the kernel's size; refused where channels do not fit."""
    if len(w) != nd + 2 or len(x) not in (nd + 1, nd + 2) or type(groups) is not int or groups < 1:
        raise ValueError(f"a convolution of shapes {x} and {w}")
    batch = x if len(x) == nd + 2 else (1, *x)
    fits = batch[1] == w[1] * groups if out_axis == 0 else batch[1] == w[0]
    channels = w[0] if out_axis == 0 else w[1] * groups
    if not fits or w[0] % groups or (bias is not None and bias != (channels,)):
        raise ValueError(f"channels of {x}, {w} and {bias} in {groups} groups do not fit")
    return batch, w[2:]


def _forward_size(n: int, k: int, stride: int, padding: int, dilation: int) -> int:
    out = (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1
    if out < 0 or n + 2 * padding < dilation * (k - 1) + 1:
        raise ValueError("the kernel is larger than the padded input")
    return out


def _conv(nd: int) -> None:
    def shape(
        x: Shape,
        w: Shape,
        bias: Shape | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Shape:
        batch, kernel = _split(nd, x, w, bias, 0, groups)
        steps = zip(batch[2:], kernel, ints(stride, nd, 1), ints(padding, nd), ints(dilation, nd, 1), strict=True)
        out = (batch[0], w[0], *(_forward_size(*s) for s in steps))
        return out if len(x) == nd + 2 else out[1:]

    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        x, w = operand(args, 0), operand(args, 1)
        no_values(args[3:])
        n = int(np.prod(shapes[w][1:]))
        padded = len(args) > 4 and any(ints(args[4], nd))
        product = contract(out[x], out[w], 1, False)
        # windows on the border have fewer terms
        f = partial(product, n) if padded else compose.total(product, n)
        return _biased(f, args, out)

    def enclose(
        x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> np.ndarray:
        size = shape(x.shape, w.shape, None, stride, padding, dilation, groups)
        batch = balls.real(x if x.ndim == nd + 2 else x[None])
        out = size[-nd:]
        steps = zip(
            batch.shape[2:],
            out,
            w.shape[2:],
            ints(stride, nd, 1),
            ints(padding, nd),
            ints(dilation, nd, 1),
            strict=True,
        )
        y = _correlate(batch, balls.real(w), [windows(*s) for s in steps], groups)
        return _add_bias(y.reshape(size), bias, nd)

    register(Atom(f"aten.conv{nd}d.default", shape, facts, enclose, bilinear=True))


def _biased(f: Fact, args: tuple[Any, ...], out: Facts) -> Fact:
    return f if len(args) < 3 or args[2] is None else compose.add(f, out[operand(args, 2)])


def _add_bias(y: np.ndarray, bias: Any, nd: int) -> np.ndarray:
    return y if bias is None else balls.elementwise(lambda u, v: u + v, y, bias.reshape(-1, *[1] * nd))


def _correlate(x: np.ndarray, w: np.ndarray, index: list[np.ndarray], groups: int) -> np.ndarray:
    """(N, C, ...) with windows along each axis, times (O, C / groups, ...): (N, O, ...)."""
    nd, n, channels = len(index), x.shape[0], w.shape[1]
    out = tuple(a.shape[0] for a in index)
    result = np.empty((n, w.shape[0], *out), dtype=object)
    each = w.shape[0] // groups
    per_image = max(1, channels * int(np.prod([a.size for a in index])))
    step = max(1, ROWS // per_image)
    for g in range(groups):
        kernel = w[g * each : (g + 1) * each].reshape(each, -1).T
        for a in range(0, n, step):
            part = x[a : a + step, g * channels : (g + 1) * channels]
            for d in range(nd):  # axes become (N, C, out1, k1, out2, k2, ...)
                part = take(part, index[d], 2 + 2 * d, arb(0))
            order = [0, *range(2, 2 + 2 * nd, 2), 1, *range(3, 3 + 2 * nd, 2)]
            rows = part.transpose(order).reshape(-1, kernel.shape[0])
            y = arrays.matmul(rows, kernel).reshape(part.shape[0], *out, each)
            result[a : a + step, g * each : (g + 1) * each] = np.moveaxis(y, -1, 1)
    return result


def _backward_size(n: int, k: int, stride: int, padding: int, extra: int, dilation: int) -> int:
    out = (n - 1) * stride - 2 * padding + dilation * (k - 1) + extra + 1
    if out < 0 or n < 1 or min(stride, dilation, k) < 1 or padding < 0 or not 0 <= extra < max(stride, dilation):
        raise ValueError("a transposed convolution of this size")
    return out


def _transpose(nd: int, op: str) -> None:
    def sizes(x: Shape, w: Shape, stride: Any, padding: Any, extra: Any, dilation: Any) -> tuple[int, ...]:
        steps = zip(
            x[-nd:], w[2:], ints(stride, nd, 1), ints(padding, nd), ints(extra, nd), ints(dilation, nd, 1), strict=True
        )
        return tuple(_backward_size(*s) for s in steps)

    def shape(
        x: Shape, w: Shape, bias: Shape | None = None, stride: Any = 1, padding: Any = 0, extra: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Shape:  # fmt: skip
        batch, _ = _split(nd, x, w, bias, 1, groups)
        out = (batch[0], w[1] * groups, *sizes(x, w, stride, padding, extra, dilation))
        return out if len(x) == nd + 2 else out[1:]

    def facts(args: tuple[Any, ...], out: Facts, shapes: Shapes, i: int) -> Fact:
        x, w = operand(args, 0), operand(args, 1)
        no_values(args[3:])
        groups = args[6] if len(args) > 6 else 1
        n = shapes[w][0] // groups * int(np.prod(shapes[w][2:]))
        return _biased(partial(contract(out[x], out[w], 1, False), n), args, out)

    def enclose(
        x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, extra: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> np.ndarray:  # fmt: skip
        full = shape(x.shape, w.shape, None, stride, padding, extra, groups, dilation)
        batch = balls.real(x if x.ndim == nd + 2 else x[None])
        index = [
            _sources(*s)
            for s in zip(
                batch.shape[2:], full[-nd:], w.shape[2:], ints(stride, nd, 1), ints(padding, nd), ints(dilation, nd, 1),
                strict=True,
            )
        ]  # fmt: skip
        each = w.shape[0] // groups
        kernel = balls.real(w).reshape(groups, each, w.shape[1], *w.shape[2:]).swapaxes(1, 2)
        y = _correlate(batch, kernel.reshape(groups * w.shape[1], each, *w.shape[2:]), index, groups)
        return _add_bias(y.reshape(full), bias, nd)

    register(Atom(op, shape, facts, enclose, bilinear=True))


def _sources(n: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """Which input meets kernel element k in output o: i with o = i * stride - padding + k * dilation; -1 for none."""
    at = np.arange(out)[:, None] + padding - np.arange(kernel)[None, :] * dilation
    found = at // stride
    return np.where((at % stride == 0) & (found >= 0) & (found < n), found, -1)


for _nd in (1, 2, 3):
    _conv(_nd)
    _transpose(_nd, "aten.conv_transpose1d.default" if _nd == 1 else f"aten.conv_transpose{_nd}d.input")
