"""Matrix products in float32 on CPUs, in the fastest of three ways.

``torch.mm`` asks the BLAS, often MKL, whose widest kernels run on its maker's processors alone; oneDNN's run on all. A product
with few columns can be slow in the BLAS where its transpose, with few rows, is not. Which is fastest depends on the
processor and the shape, so it is measured once for each shape, when a map is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
SMALL = 2**18  # multiplications below which calling costs more than multiplying
LONG = 512  # rows and columns that are measured, at most
GAIN = 0.9

Shape = tuple[int, int, int, bool, bool, int]

Table = dict[Any, Callable[..., Tensor]]

_CHOSEN: dict[Shape, Table] = {}


def onednn(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a @ b + bias in oneDNN: a is (n, k), b (k, m) with one of its two axes contiguous, bias (m,)."""
    b = b if 1 in b.stride() else b.contiguous()
    return torch.ops.mkldnn._linear_pointwise.default(a, b.t(), bias, "none", [], "")


def _affine(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return onednn(a, b, bias) if bias.shape == b.shape[1:] else onednn(a, b).add_(bias)


def _added(to: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return to.add_(onednn(a, b))


def turned(a: Tensor, b: Tensor) -> Tensor:
    """a @ b by its transpose: the result lies in memory column by column."""
    return torch.mm(b.t(), a.t()).t()


def _turned_affine(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return torch.addmm(bias.expand(a.shape[0], b.shape[1]).t(), b.t(), a.t()).t()


PLAIN: Table = {}
ONEDNN: Table = {aten.mm.default: onednn, aten.addmm.default: _affine, aten.addmm_.default: _added}
TURNED: Table = {aten.mm.default: turned, aten.addmm.default: _turned_affine}  # the BLAS sees how a sum in place lies
WAYS: dict[Callable[..., Tensor], Table] = {turned: TURNED, onednn: ONEDNN}
ANY_ORDER = {  # what gives the same, however its operands lie in memory; and of these what lies as they do
    aten.mm.default, aten.addmm.default, aten.sum.dim_IntList, turned, _turned_affine, onednn, _affine,
}  # fmt: skip
ALIKE = {
    aten.add.Tensor, aten.add_.Tensor, aten.mul.Tensor, aten.mul_.Tensor, aten.addcmul.default, aten.addcmul_.default,
    aten.addmm_.default, aten.t.default, _added,
}  # fmt: skip


def available() -> bool:
    """Whether this build of torch can be asked for oneDNN's products of ordinary tensors, and nobody has switched them off."""
    own = torch.backends.mkldnn
    return bool(own.is_available() and own.enabled) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def choose(graph: fx.Graph) -> None:
    """Put oneDNN's products, or turned ones, where they are faster."""
    for node in graph.nodes:
        shape = _shape(node)
        if shape is None:
            continue
        if shape not in _CHOSEN:
            _CHOSEN[shape] = _fastest(shape)
        own = _CHOSEN[shape]
        if own is not TURNED or _any_order(node):
            node.target = own.get(node.target, node.target)


def _any_order(node: fx.Node) -> bool:
    """Whether all that reads a result, or what lies as it does, reads it in whatever order it lies."""
    seen, due = {node}, [node]
    while due:
        users = set(due.pop().users) - seen
        if not all(u.target in ANY_ORDER | ALIKE for u in users):
            return False
        seen |= users
        due += [u for u in users if u.target in ALIKE]
    return True


def _shape(node: fx.Node) -> Shape | None:
    """The sizes of a product that may be moved: (n, k) @ (k, m), how both lie in memory, and the number of threads."""
    if (
        node.op != "call_function"
        or node.target not in ONEDNN
        or any(node.kwargs.get(c, 1) != 1 for c in ("beta", "alpha"))
    ):
        return None
    a, b = (n.meta.get("val") for n in node.args[-2:])  # type: ignore[union-attr]
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return None
    if a.dtype != torch.float32 or a.device.type != "cpu" or a.shape[0] * a.shape[1] * b.shape[1] < SMALL:
        return None
    n, k, m = (min(s, LONG) for s in (*a.shape, b.shape[1]))
    return n, k, m, a.is_contiguous(), b.is_contiguous(), torch.get_num_threads()


def _fastest(shape: Shape) -> Table:
    n, k, m, plain_a, plain_b, _ = shape
    a = torch.ones(n, k, dtype=torch.float32) if plain_a else torch.ones(k, n, dtype=torch.float32).t()
    b = torch.ones(k, m, dtype=torch.float32) if plain_b else torch.ones(m, k, dtype=torch.float32).t()
    took = {own: seconds(lambda own=own: own(a, b)) for own in WAYS if own is not onednn or available()}
    best = min(took, key=lambda own: took[own])
    return WAYS[best] if took[best] < GAIN * seconds(lambda: torch.mm(a, b)) else PLAIN


def seconds(f: Callable[[], Any], runs: int = 5) -> float:
    """The shortest of some runs after a first; other work on the machine makes single ones longer."""
    f()
    took = []
    for _ in range(runs):
        start = time.perf_counter()
        f()
        took.append(time.perf_counter() - start)
    return min(took)
