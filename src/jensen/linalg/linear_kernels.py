"""Matrix products in float32 on CPUs, by the faster of the two libraries that torch carries.

``torch.mm`` asks the BLAS, often MKL, whose widest kernels run on its maker's processors alone; oneDNN's run on all. Which
is faster depends on the processor and the shape, so it is measured once for each shape, when a map is made.
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

_CHOSEN: dict[Shape, bool] = {}


def onednn(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a @ b + bias in oneDNN: a is (n, k), b (k, m) with one of its two axes contiguous, bias (m,)."""
    b = b if 1 in b.stride() else b.contiguous()
    return torch.ops.mkldnn._linear_pointwise.default(a, b.t(), bias, "none", [], "")


def _affine(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return onednn(a, b, bias) if bias.shape == b.shape[1:] else onednn(a, b).add_(bias)


def _added(to: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return to.add_(onednn(a, b))


OWN: dict[Any, Callable[..., Tensor]] = {
    aten.mm.default: onednn, aten.addmm.default: _affine, aten.addmm_.default: _added,
}  # fmt: skip


def available() -> bool:
    """Whether this build of torch can be asked for oneDNN's products of ordinary tensors, and nobody has switched them off."""
    own = torch.backends.mkldnn
    return bool(own.is_available() and own.enabled) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def choose(graph: fx.Graph) -> None:
    """Put oneDNN's products where they are faster."""
    if not available():
        return
    for node in graph.nodes:
        shape = _shape(node)
        if shape is None:
            continue
        if shape not in _CHOSEN:
            _CHOSEN[shape] = _faster(shape)
        if _CHOSEN[shape]:
            node.target = OWN[node.target]


def _shape(node: fx.Node) -> Shape | None:
    """The sizes of a product that may be moved: (n, k) @ (k, m), how both lie in memory, and the number of threads."""
    if (
        node.op != "call_function"
        or node.target not in OWN
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


def _faster(shape: Shape) -> bool:
    n, k, m, plain_a, plain_b, _ = shape
    a = torch.ones(n, k, dtype=torch.float32) if plain_a else torch.ones(k, n, dtype=torch.float32).t()
    b = torch.ones(k, m, dtype=torch.float32) if plain_b else torch.ones(m, k, dtype=torch.float32).t()
    return seconds(lambda: onednn(a, b)) < GAIN * seconds(lambda: torch.mm(a, b))


def seconds(f: Callable[[], Any], runs: int = 5) -> float:
    """The shortest of some runs after a first; other work on the machine makes single ones longer."""
    f()
    took = []
    for _ in range(runs):
        start = time.perf_counter()
        f()
        took.append(time.perf_counter() - start)
    return min(took)
