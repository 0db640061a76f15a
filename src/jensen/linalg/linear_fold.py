"""Products of a stack with one matrix that all columns share: the columns go into the matrix product's own axis.

torch.vmap repeats the shared matrix for every column: a copy as large as all columns together where attention's weights are
(n, n), and many narrow products where one wide one would do. On CPUs a product is rewritten where that moves less memory; on
CUDA both are measured, once for each shape, since small results of long sums leave most of the device idle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from jensen.linalg.linear_kernels import seconds
from jensen.linalg.replay import Map, Replayed

aten = torch.ops.aten
THROUGH = {aten.reshape.default, aten.clone.default}
GAIN, CALLS = 0.85, 10  # less is not worth the sums that products take up in one pass

_CHOSEN: dict[Any, bool] = {}


@dataclass(frozen=True)
class Product:
    """``count`` matrices that all columns share, each times ``width`` others.

    Attributes:
        shared: The shape of a shared matrix.
        other: That of a matrix of the stack.
        right: Whether the shared one is the right factor.
    """

    width: int
    count: int
    shared: tuple[int, int]
    other: tuple[int, int]
    right: bool

    @property
    def out(self) -> tuple[int, int]:
        """The shape of one result."""
        return (self.other[0], self.shared[1]) if self.right else (self.shared[0], self.other[1])

    @property
    def lighter(self) -> bool:
        """Whether what is repeated is larger than the other factor and the result, which are copied instead."""
        sizes = [a * b for a, b in (self.shared, self.other, self.out)]
        return self.count > 1 and sizes[0] > sizes[1] + sizes[2]

    def repeated(self, shared: Tensor, other: Tensor) -> Tensor:
        """The results (width * count, ., .) of (count, ., .) and (width * count, ., .), as torch.vmap computes them."""
        many = shared.expand(self.width, *shared.shape).reshape(-1, *self.shared)
        return torch.bmm(other, many) if self.right else torch.bmm(many, other)

    def folded(self, shared: Any, other: Any, call: Callable[..., Any] = lambda op, *args: op(*args)) -> Any:
        """The same with the columns beside the rows (or the columns) of a stack's matrices."""
        (n, m), (rows, columns) = self.other, self.out
        stack = call(aten.reshape.default, other, [self.width, self.count, n, m])
        if self.right:
            stack = call(aten.permute.default, stack, [1, 0, 2, 3])
            stack = call(aten.reshape.default, stack, [self.count, self.width * n, m])
            out = self._times(stack, shared, call)
            out = call(aten.reshape.default, out, [self.count, self.width, rows, columns])
            out = call(aten.permute.default, out, [1, 0, 2, 3])
        else:
            stack = call(aten.permute.default, stack, [1, 2, 0, 3])
            stack = call(aten.reshape.default, stack, [self.count, n, self.width * m])
            out = self._times(shared, stack, call)
            out = call(aten.reshape.default, out, [self.count, rows, self.width, columns])
            out = call(aten.permute.default, out, [2, 0, 1, 3])
        return call(aten.reshape.default, out, [self.width * self.count, rows, columns])

    def _times(self, a: Any, b: Any, call: Callable[..., Any]) -> Any:
        """A product of two stacks; libraries cut the long sums of a single one to pieces."""
        if self.count > 1:
            return call(aten.bmm.default, a, b)
        one, two = (call(aten.select.int, t, 0, 0) for t in (a, b))
        return call(aten.mm.default, one, two)


def fold(graph: fx.Graph, width: int) -> None:
    """Rewrite the products of a map of ``width`` columns where that pays."""
    for node in graph.find_nodes(op="call_function", target=aten.bmm.default):
        left, right = node.args
        for one, other, turned in ((left, right, False), (right, left, True)):
            shared = _shared(one, width)
            if shared is None:
                continue
            product = _product(one, other, width, turned)
            if _pays(product, shared.meta["val"], other.meta["val"]):
                with graph.inserting_before(node):
                    matrix = _call(graph, aten.reshape.default, shared, [product.count, *product.shared])
                    new = product.folded(matrix, other, lambda *a: _call(graph, *a))
                node.replace_all_uses_with(new)
                break
    graph.eliminate_dead_code()


def _shared(node: Any, width: int) -> fx.Node | None:
    """What a stack of matrices was made of by repeating it ``width`` times, in front."""
    whole = _shape(node)
    while isinstance(node, fx.Node) and node.target in THROUGH:
        node = node.args[0]
    if not isinstance(node, fx.Node) or node.target is not aten.expand.default:
        return None
    source, shape = node.args[0], _shape(node)
    inner = _shape(source)
    if inner is None or shape is None or whole is None or len(shape) < 3 or shape[0] != width:
        return None
    if tuple(shape[-2:]) != tuple(whole[-2:]):
        return None
    return source if tuple(inner) in (tuple(shape[1:]), (1, *shape[1:])) else None  # type: ignore[return-value]


def _shape(node: Any) -> tuple[int, ...] | None:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _product(one: fx.Node, other: fx.Node, width: int, right: bool) -> Product:
    count, *shared = one.meta["val"].shape
    return Product(width, count // width, tuple(shared), tuple(other.meta["val"].shape[1:]), right)


def _pays(product: Product, shared: Tensor, other: Tensor) -> bool:
    if other.device.type != "cuda":
        return product.lighter
    key = (product, shared.stride(), other.stride(), other.dtype, other.device)
    if key not in _CHOSEN:
        _CHOSEN[key] = _faster(product, *(_ones(t) for t in (shared, other)))
    return _CHOSEN[key]


def _faster(product: Product, shared: Tensor, other: Tensor) -> bool:
    """Whether the folded product takes less time on the device."""
    shared = shared.reshape(product.count, *product.shared)
    try:
        folded, repeated = (_seconds(lambda x, f=f: f(shared, x), other) for f in (product.folded, product.repeated))
        return folded < GAIN * repeated
    except RuntimeError:  # no memory for it now
        return product.lighter


def _ones(t: Tensor) -> Tensor:
    """As a traced tensor lies in memory."""
    size = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
    return torch.ones(size, dtype=t.dtype, device=t.device).as_strided(t.shape, t.stride())


def _seconds(f: Map, other: Tensor) -> float:
    """Of some calls in a CUDA graph, as maps run: to start kernels one by one takes longer than the smaller of them."""

    def calls(x: Tensor) -> Tensor:
        for _ in range(CALLS - 1):
            f(x)
        return f(x)

    replayed = Replayed(calls, other)

    def run() -> None:
        replayed(other)
        torch.cuda.synchronize(other.device)

    return seconds(run)


def _call(graph: fx.Graph, op: Any, *args: Any) -> fx.Node:
    node = graph.call_function(op, args)
    node.meta["val"] = op(*(a.meta["val"] if isinstance(a, fx.Node) else a for a in args))
    return node
