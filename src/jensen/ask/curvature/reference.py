"""The same products by another road: double backward of the cost itself, not of the captured program.

Slow and plain: it is what a kept map is checked against at its first use.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from jensen.casts import OneFloatType
from jensen.cost import Chunk, Cost, FunctionPart, Part, _apply_loss, _apply_model

Blocks = dict[str, Tensor]


def product(cost: Cost, theta: Mapping[str, Tensor], k: int, asked: tuple[str, ...], v: Blocks, part: str) -> Blocks:
    """The k-th part's matrix times a vector, in the cost's type, on the CPU.

    Args:
        theta: Values of all blocks.
        v: One tensor for each asked block, of its shape.
        part: "hessian", "gauss-newton" or "residual".
    """
    values = {n: t.detach().to("cpu", cost.dtype) for n, t in {**cost.fixed, **theta}.items()}
    vectors = {n: t.to("cpu", cost.dtype) for n, t in v.items()}
    chunk = cost.parts()[k][0]
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        try:
            return _product(cost, values, k, chunk, asked, vectors, part)
        except RuntimeError:  # some fused kernels have no second derivative
            with torch.backends.mkldnn.flags(enabled=False):
                return _product(cost, values, k, chunk, asked, vectors, part)


def _product(
    cost: Cost, values: Blocks, k: int, chunk: Chunk | None, asked: tuple[str, ...], v: Blocks, part: str
) -> Blocks:
    if part == "gauss-newton":
        return _gauss_newton(cost, values, chunk, asked, v)
    whole = _twice(lambda t: cost.part_value({**values, **t}, k, chunk), values, asked, v)
    if part == "hessian":
        return whole
    newton = _gauss_newton(cost, values, chunk, asked, v)
    return {n: whole[n] - newton[n] for n in asked}


def _twice(f: Any, values: Blocks, asked: tuple[str, ...], v: Blocks) -> Blocks:
    leaves = {n: values[n].clone().requires_grad_() for n in asked}
    g = _grads(f(leaves), list(leaves.values()), True)
    return dict(zip(asked, _grads_along(g, list(leaves.values()), [v[n] for n in asked]), strict=True))


def _grads(y: Tensor, x: list[Tensor], graph: bool = False) -> list[Tensor]:
    if not y.requires_grad:
        return [torch.zeros_like(t) for t in x]
    return list(torch.autograd.grad(y, x, create_graph=graph, allow_unused=True, materialize_grads=True))


def _grads_along(ys: list[Tensor], x: list[Tensor], v: list[Tensor], graph: bool = False) -> list[Tensor]:
    pairs = [(y, u) for y, u in zip(ys, v, strict=True) if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(t) for t in x]
    outs, along = zip(*pairs, strict=True)
    return list(
        torch.autograd.grad(outs, x, along, create_graph=graph, allow_unused=True, materialize_grads=True)
    )


def _gauss_newton(cost: Cost, values: Blocks, chunk: Chunk | None, asked: tuple[str, ...], v: Blocks) -> Blocks:
    """J'(H_L (J v)); J v is the derivative of u -> J'u, taken backward twice."""
    module = copy.copy(cost.part_module(chunk))
    if chunk is None or isinstance(module, FunctionPart) or not isinstance(module, Part):
        return {n: torch.zeros_like(values[n]) for n in asked}
    x, y = pytree.tree_unflatten(chunk.tensors, chunk.spec)
    leaves = {n: values[n].clone().requires_grad_() for n in asked}
    named = {cost._names[n]: leaves.get(n, values[n]) for n in values}
    buffers = {n: b.clone() for n, b in module.model.named_buffers(remove_duplicate=False)}
    with OneFloatType(cost.dtype):
        out = torch.func.functional_call(_Called(module.model), {f"m.{n}": t for n, t in (named | buffers).items()}, (x,))
        flat, spec = pytree.tree_flatten(out)
        where = [i for i, t in enumerate(flat) if isinstance(t, Tensor) and t.is_floating_point()]
        z = [flat[i] for i in where]
        cut = [t.detach().requires_grad_() for t in z]
        for i, t in zip(where, cut, strict=True):
            flat[i] = t
        loss = _apply_loss(module.loss, pytree.tree_unflatten(flat, spec), y)
    params = list(leaves.values())
    u = [torch.zeros_like(t, requires_grad=True) for t in z]
    pulled = _grads_along(z, params, u, True)
    moved = _grads_along(pulled, u, [v[n] for n in asked])
    curved = _grads_along(_grads(loss, cut, True), cut, moved)
    return dict(zip(asked, _grads_along(z, params, curved), strict=True))


class _Called(nn.Module):
    """The model, called with a tuple as positional and a dict as keyword arguments."""

    def __init__(self, m: nn.Module):
        super().__init__()
        self.m = m

    def forward(self, x: Any) -> Any:
        return _apply_model(self.m, x)
