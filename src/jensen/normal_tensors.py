"""Normal-form rules of tensor operations: indices, joins, windows, extremes, masks.

A rule gets the builder and the operation's arguments in its program's terms, and returns what stands for the result: a
reference, or a tuple of them for several results. Results that no atom models (positions of maxima) become operations of
their own, which only matter where something uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from jensen.kernel.program import Ref
from jensen.normal_masks import softmax

aten = torch.ops.aten
Rule = Callable[..., Any]


def shape_now(b: Any) -> tuple[int, ...]:
    """Shape of the result being converted."""
    return tuple(int(n) for n in b.current.meta["val"].shape)


def _rank(b: Any) -> int:
    """Rank of the first argument of the operation being converted."""
    return b.current.args[0].meta["val"].dim()


def _length(b: Any, dim: int) -> int:
    shape = b.current.args[0].meta["val"].shape
    return int(shape[dim]) if len(shape) else 1


def _plain(b: Any, a: Any) -> Any:
    """A constant all of whose elements are one number, as that number."""
    if type(a) is Ref:
        found = b.sources.number(a.index)
        return a if found is None else found
    return a


def _pair(values: str, positions: str) -> Rule:
    """An extreme along an axis, with positions."""
    return lambda b, x, dim, keepdim=False: (b.emit(values, x, (dim,), keepdim), b.emit(positions, x, dim, keepdim))


def _second(b: Any, op: str, *args: Any) -> Any:
    """The positions that an operation of two results gives; no atom models them."""
    return b.emit("python.getitem", b.emit(op, *args), 1)


def _topk(b: Any, x: Any, k: int, dim: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    return b.emit("jensen.sorted", x, k, dim, bool(largest)), _second(b, "aten.topk.default", x, k, dim, largest)


def _sort(b: Any, x: Any, dim: int = -1, descending: bool = False) -> Any:
    return b.emit("jensen.sorted", x, _length(b, dim), dim, bool(descending)), _second(
        b, "aten.sort.default", x, dim, descending
    )


def _stable_sort(b: Any, x: Any, stable: Any = None, dim: int = -1, descending: bool = False) -> Any:
    return _sort(b, x, dim, descending)


def _aminmax(b: Any, x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    axes = () if dim is None else (dim,)
    return b.emit("aten.amin.default", x, axes, keepdim), b.emit("aten.amax.default", x, axes, keepdim)


def _product(b: Any, x: Any, **kw: Any) -> Any:
    n = 1
    for k in b.current.args[0].meta["val"].shape:
        n *= int(k)
    return b.emit("aten.prod.dim_int", b.emit("aten.view.default", x, (n,)), 0, False)


def _compare(op: str) -> Rule:
    return lambda b, x, y: b.emit(op, x, _plain(b, y))


def _where(b: Any, c: Any, x: Any, y: Any) -> Any:
    sizes = [tuple(a.meta["val"].shape) for a in b.current.args if isinstance(a, torch.fx.Node)]
    full = shape_now(b)
    for k, a in enumerate((x, y)):
        others = [s for j, s in enumerate(sizes) if j != k + 1]
        value = _plain(b, a)
        # a filled tensor may become a number where the others still give the shape
        if type(value) is float and abs(value) < float("inf") and tuple(torch.broadcast_shapes(*others)) == full:
            x, y = (value, y) if k == 0 else (x, value)
            if k == 0:
                sizes[1] = ()
    return b.emit("aten.where.self", c, x, y)


def _fill(b: Any, x: Any, mask: Any, value: Any) -> Any:
    value = _plain(b, value)
    if type(value) is Ref:
        return b.emit("aten.where.self", mask, value, x)
    return b.emit("aten.masked_fill.Scalar", x, mask, value)


def _index(b: Any, x: Any, index: Any) -> Any:
    lists = _int_lists(b, index)
    return b.emit("aten.index.Tensor", x, lists)


def _int_lists(b: Any, index: Any) -> tuple[Any, ...]:
    """Boolean constants among indices as the lists of their true places."""
    out: list[Any] = []
    for a in index:
        source = b.sources.nodes.get(a.index) if type(a) is Ref else None
        if source is None or source.meta["val"].dtype != torch.bool:
            out.append(a)
            continue
        for j in range(source.meta["val"].dim()):
            out.append(b.leaf(source, f"{source.name}.places{j}", lambda m, j=j: m.nonzero()[:, j]))
    while out and out[-1] is None:
        out.pop()
    return tuple(out)


def _index_put(b: Any, x: Any, index: Any, values: Any, accumulate: bool = False, unsafe: bool = False) -> Any:
    return b.emit("aten.index_put.default", x, _int_lists(b, index), values, bool(accumulate))


def _index_add(b: Any, x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    source = source if alpha == 1 else b.emit("aten.mul.Tensor", source, float(alpha))
    return b.emit("aten.index_put.default", x, (*[None] * (dim % _rank(b)), index), source, True)


def _index_copy(b: Any, x: Any, dim: int, index: Any, source: Any) -> Any:
    return b.emit("aten.index_put.default", x, (*[None] * (dim % _rank(b)), index), source, False)


def _scatter(add: bool) -> Rule:
    return lambda b, x, dim, index, source: b.emit("jensen.scatter", x, dim, index, source, add)


def _slice_place(b: Any, x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    n = _length(b, dim)
    start, stop, step = slice(start, end, step).indices(n)
    return b.emit("jensen.place", x, source, "slice", dim, start, stop, step)


def _diagonal_place(b: Any, x: Any, source: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return b.emit("jensen.place", x, source, "diagonal", offset, dim1, dim2)


def _padded(mode: str) -> Rule:
    return lambda b, x, pad, value=None: _pad(b, x, pad, mode, value)


def _pad(b: Any, x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    return b.emit("aten.pad.default", x, pad, mode, *(() if mode != "constant" else (float(value or 0.0),)))


def _same_conv(nd: int) -> Rule:
    """A convolution whose padding is a word: ``same`` pads more on the right where the total is odd."""

    def rule(
        b: Any,
        x: Any,
        w: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: str = "valid",
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        def spread(v: Any) -> tuple[int, ...]:
            return (v,) * nd if isinstance(v, int) else tuple(v) * (nd if len(v) == 1 else 1)

        pads = [0] * nd
        if padding == "same":
            kernel = b.current.args[1].meta["val"].shape[2:]
            totals = [d * (int(k) - 1) for d, k in zip(spread(dilation), kernel, strict=True)]
            pads = [t // 2 for t in totals]
            if any(t % 2 for t in totals):
                x = _pad(b, x, tuple(v for t in reversed(totals) for v in (0, t % 2)))
        return b.emit(f"aten.conv{nd}d.default", x, w, bias, spread(stride), tuple(pads), spread(dilation), groups)

    return rule


def _convolution(
    b: Any,
    x: Any,
    w: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    extra: Any,
    groups: int,
) -> Any:
    nd = b.current.args[1].meta["val"].dim() - 2
    if transposed:
        name = "aten.conv_transpose1d.default" if nd == 1 else f"aten.conv_transpose{nd}d.input"
        return b.emit(name, x, w, bias, stride, padding, extra, groups, dilation)
    return b.emit(f"aten.conv{nd}d.default", x, w, bias, stride, padding, dilation, groups)


def _max_pool_pair(nd: int) -> Rule:
    op = getattr(aten, f"max_pool{nd}d_with_indices" if nd > 1 else "max_pool1d_with_indices").default

    def rule(b: Any, x: Any, *how: Any) -> Any:
        return b.emit(f"aten.max_pool{nd}d.default", x, *how), _second(b, str(op), x, *how)

    return rule


def _adaptive_max(nd: int) -> Rule:
    def rule(b: Any, x: Any, size: Any) -> Any:
        return b.emit(f"jensen.adaptive_max_pool{nd}d", x, size), _second(
            b, f"aten.adaptive_max_pool{nd}d.default", x, size
        )

    return rule


def _renamed(op: str, n: int | None = None) -> Rule:
    return lambda b, *args, **kw: b.emit(op, *args[:n])


def _clamp(b: Any, x: Any, low: Any = None, high: Any = None) -> Any:
    """torch: min(max(x, low), high)."""
    if low is not None:
        x = b.emit("aten.maximum.default", x, low)
    return x if high is None else b.emit("aten.minimum.default", x, high)


def _baddbmm(b: Any, c: Any, x: Any, y: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    product = b.emit("aten.matmul.default", x, y)
    product = product if alpha == 1 else b.emit("aten.mul.Tensor", product, float(alpha))
    if beta == 0:
        return product
    return b.emit("aten.add.Tensor", product, c if beta == 1 else b.emit("aten.mul.Tensor", c, float(beta)))


def _addr(b: Any, c: Any, x: Any, y: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    product = b.emit("aten.mul.Tensor", b.emit("aten.unsqueeze.default", x, 1), b.emit("aten.unsqueeze.default", y, 0))
    product = product if alpha == 1 else b.emit("aten.mul.Tensor", product, float(alpha))
    if beta == 0:
        return product
    return b.emit("aten.add.Tensor", product, c if beta == 1 else b.emit("aten.mul.Tensor", c, float(beta)))


def _copy(b: Any, x: Any, source: Any, *rest: Any) -> Any:
    return b.emit("aten.expand.default", source, shape_now(b))


def _running(values: str, op: str) -> Rule:
    return lambda b, x, dim: (b.emit(values, x, dim), _second(b, op, x, dim))


def _nearest(nd: int, kind: str) -> Rule:
    """Nearest-neighbour resizing: which element each place shows is asked of torch, one axis at a time."""
    one = getattr(aten, "upsample_nearest1d" if kind == "nearest" else "_upsample_nearest_exact1d").default

    def rule(b: Any, x: Any, size: Any, *scales: Any) -> Any:
        out = shape_now(b)
        if scales and isinstance(scales[0], (list, tuple)):
            scales = tuple(scales[0])
        for j in range(nd):
            axis = len(out) - nd + j
            n = _length(b, axis)
            scale = scales[j] if j < len(scales) else None
            at = one(torch.arange(n, dtype=torch.float64).reshape(1, 1, n), [out[axis]], scale).reshape(-1)
            x = b.emit("jensen.take", x, axis, tuple(int(v) for v in at))
        return x

    return rule


def _linear(nd: int) -> Rule:
    """Linear interpolation, one axis at a time."""

    def rule(b: Any, x: Any, size: Any, corners: bool, *scales: Any) -> Any:
        out = shape_now(b)
        factors = scales[0] if len(scales) == 1 and isinstance(scales[0], (list, tuple)) else scales
        for j in range(nd):
            axis = len(out) - nd + j
            scale = factors[j] if j < len(factors) else None
            x = b.emit("jensen.resample", x, axis, out[axis], bool(corners), None if corners else scale)
        return x

    return rule


RULES: dict[Any, Rule] = {
    aten.softmax.int: softmax, aten._softmax.default: softmax, aten._safe_softmax.default: softmax,
    aten.max.default: lambda b, x: b.emit("aten.amax.default", x, (), False),
    aten.min.default: lambda b, x: b.emit("aten.amin.default", x, (), False),
    aten.max.dim: _pair("aten.amax.default", "aten.argmax.default"),
    aten.min.dim: _pair("aten.amin.default", "aten.argmin.default"),
    aten.max.other: _renamed("aten.maximum.default"), aten.min.other: _renamed("aten.minimum.default"),
    aten.fmax.default: _renamed("aten.maximum.default"), aten.fmin.default: _renamed("aten.minimum.default"),
    aten.aminmax.default: _aminmax, aten.topk.default: _topk, aten.sort.default: _sort, aten.sort.stable: _stable_sort,
    aten.cummax.default: _running("jensen.cummax", "aten.cummax.default"),
    aten.cummin.default: _running("jensen.cummin", "aten.cummin.default"),
    aten.prod.default: _product, aten.cumsum.default: _renamed("aten.cumsum.default", 2),
    aten.prod.dim_int: lambda b, x, dim, keepdim=False: b.emit("aten.prod.dim_int", x, dim, keepdim),
    aten.cumprod.default: _renamed("aten.cumprod.default", 2),
    aten.where.self: _where, aten.masked_fill.Scalar: _fill, aten.masked_fill.Tensor: _fill,
    aten.clamp.Tensor: _clamp, aten.clamp_min.Tensor: _clamp,
    aten.clamp_max.Tensor: lambda b, x, high: _clamp(b, x, None, high),
    aten.logical_not.default: _renamed("aten.logical_not.default"),
    aten.index.Tensor: _index, aten._unsafe_index.Tensor: _index,
    aten.index_put.default: _index_put, aten._unsafe_index_put.default: _index_put,
    aten.index_add.default: _index_add, aten.index_copy.default: _index_copy,
    aten.gather.default: lambda b, x, dim, index, sparse_grad=False: b.emit("aten.gather.default", x, dim, index),
    aten.embedding.default: _renamed("aten.embedding.default", 2),
    aten.scatter.src: _scatter(False), aten.scatter.value: _scatter(False), aten.scatter_add.default: _scatter(True),
    aten.slice_scatter.default: _slice_place, aten.diagonal_scatter.default: _diagonal_place,
    aten.select_scatter.default: lambda b, x, s, dim, at: b.emit("jensen.place", x, s, "select", dim, at),
    aten.copy.default: _copy, aten.pad.default: _pad, aten.constant_pad_nd.default: _padded("constant"),
    aten.convolution.default: _convolution, aten.baddbmm.default: _baddbmm, aten.addr.default: _addr,
    aten.conv1d.padding: _same_conv(1), aten.conv2d.padding: _same_conv(2), aten.conv3d.padding: _same_conv(3),
    aten.max_pool2d_with_indices.default: _max_pool_pair(2), aten.max_pool3d_with_indices.default: _max_pool_pair(3),
    aten.max_pool1d_with_indices.default: _max_pool_pair(1),
}  # fmt: skip
for _name in ("gt", "ge", "lt", "le", "eq", "ne"):
    RULES[getattr(aten, _name).Tensor] = RULES[getattr(aten, _name).Scalar] = _compare(f"aten.{_name}.Tensor")
for _nd in (1, 2, 3):
    RULES[getattr(aten, f"adaptive_max_pool{_nd}d").default] = _adaptive_max(_nd)
    RULES[getattr(aten, f"reflection_pad{_nd}d").default] = _padded("reflect")
    RULES[getattr(aten, f"replication_pad{_nd}d").default] = _padded("replicate")
    for _kind in ("nearest", "nearest_exact"):
        _op = getattr(aten, f"upsample_nearest{_nd}d" if _kind == "nearest" else f"_upsample_nearest_exact{_nd}d")
        RULES[_op.default] = RULES[_op.vec] = _nearest(_nd, _kind)
for _nd, _name in ((1, "upsample_linear1d"), (2, "upsample_bilinear2d"), (3, "upsample_trilinear3d")):
    RULES[getattr(aten, _name).default] = RULES[getattr(aten, _name).vec] = _linear(_nd)
