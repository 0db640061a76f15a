"""The same products by another road: double backward of the cost itself, not of the captured program.

Slow and plain: it is what a kept map is checked against at its first use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from jensen.ambient import alone
from jensen.chunks import Chunk
from jensen.cost import Cost
from jensen.inline import inline
from jensen.parts import FunctionPart, OneArgument, Part, apply_loss, at

Blocks = dict[str, Tensor]


@alone()
def product(
    cost: Cost, theta: Mapping[str, Tensor], k: int, asked: tuple[str, ...], v: Blocks, part: str
) -> tuple[Blocks, float]:
    """The k-th part's matrix times a vector, in the cost's type, on the CPU; and the size that errors are relative to.

    The residual is a difference: its errors are relative to what it is the difference of.

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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with torch.backends.mkldnn.flags(enabled=False):
                    return _product(cost, values, k, chunk, asked, vectors, part)


def _product(
    cost: Cost, values: Blocks, k: int, chunk: Chunk | None, asked: tuple[str, ...], v: Blocks, part: str
) -> tuple[Blocks, float]:
    if part == "gauss-newton":
        newton = _gauss_newton(cost, values, chunk, asked, v)
        return newton, norm(newton)
    whole = twice(lambda t: cost.part_value({**values, **t}, k, chunk), values, asked, v)
    if part == "hessian":
        return whole, norm(whole)
    newton = _gauss_newton(cost, values, chunk, asked, v)
    return {n: whole[n] - newton[n] for n in asked}, norm(whole) + norm(newton)


def norm(blocks: Blocks) -> float:
    """The Euclidean norm of all blocks together."""
    return float(torch.stack([t.double().norm() for t in blocks.values()]).norm())


def twice(f: Any, values: Blocks, asked: tuple[str, ...], v: Blocks) -> Blocks:
    """The Hessian of ``f(blocks)`` in the asked blocks times a vector, by reverse over reverse."""
    leaves = {n: values[n].clone().requires_grad_() for n in asked}
    g = grads(f(leaves), list(leaves.values()), True)
    return dict(zip(asked, _grads_along(g, list(leaves.values()), [v[n] for n in asked]), strict=True))


def grads(y: Tensor, x: list[Tensor], graph: bool = False) -> list[Tensor]:
    if not y.requires_grad:
        return [torch.zeros_like(t) for t in x]
    return _dense(torch.autograd.grad(y, x, create_graph=graph, allow_unused=True, materialize_grads=True))


def _dense(grads: Iterable[Tensor]) -> list[Tensor]:
    """Embeddings may give sparse gradients, which cannot be reshaped."""
    return [g.to_dense() if g.is_sparse else g for g in grads]


def _grads_along(ys: list[Tensor], x: list[Tensor], v: list[Tensor], graph: bool = False) -> list[Tensor]:
    pairs = [(y, u) for y, u in zip(ys, v, strict=True) if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(t) for t in x]
    outs, along = zip(*pairs, strict=True)
    return _dense(torch.autograd.grad(outs, x, along, create_graph=graph, allow_unused=True, materialize_grads=True))


@alone()
def newton_by_differences(cost: Cost, theta: Mapping[str, Tensor], k: int, asked: tuple[str, ...], v: Blocks) -> Blocks:
    """The k-th part's Gauss-Newton matrix times a vector, where no operation of the model is differentiated twice.

    J v comes from differences of the model's output, J' from one backward pass.
    """
    values = {n: t.detach().to("cpu", cost.dtype) for n, t in {**cost.fixed, **theta}.items()}
    vectors = {n: t.to("cpu", cost.dtype) for n, t in v.items()}
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        return _gauss_newton(cost, values, cost.parts()[k][0], asked, vectors, differences=True)


def _gauss_newton(
    cost: Cost, values: Blocks, chunk: Chunk | None, asked: tuple[str, ...], v: Blocks, differences: bool = False
) -> Blocks:
    """J'(H_L (J v))."""
    module = cost.part_module(chunk)
    if chunk is None or isinstance(module, FunctionPart) or not isinstance(module, Part):
        return {n: torch.zeros_like(values[n]) for n in asked}
    x, y = pytree.tree_unflatten(chunk.tensors, chunk.spec)
    leaves = {n: values[n].clone().requires_grad_() for n in asked}
    params = list(leaves.values())
    flat, spec = _output(cost, module.model, {**values, **leaves}, x)
    where = [i for i, t in enumerate(flat) if isinstance(t, Tensor) and t.is_floating_point()]
    z = [flat[i] for i in where]
    cut = [t.detach().requires_grad_() for t in z]

    def loss(outputs: list[Tensor]) -> Tensor:
        for i, t in zip(where, outputs, strict=True):
            flat[i] = t
        with cost.floats:
            return apply_loss(module.loss, pytree.tree_unflatten(flat, spec), y)

    def output(h: float) -> list[Tensor]:
        with torch.no_grad():
            flat, _ = _output(cost, module.model, {**values, **{n: values[n] + h * v[n] for n in asked}}, x)
        return [flat[i] for i in where]

    if not differences:
        moved = _pushed(z, params, [v[n] for n in asked])
        return dict(
            zip(asked, _grads_along(z, params, _grads_along(grads(loss(cut), cut, True), cut, moved)), strict=True)
        )
    step = _step(values, asked, v)
    moved = steadiest([_differences(output, share * step) for share in (1.0, 0.1, 0.01)])
    return dict(zip(asked, _grads_along(z, params, _bent(loss, cut, moved)), strict=True))


def steadiest(found: Sequence[list[Tensor]]) -> list[Tensor]:
    """Of derivatives by shorter and shorter steps, the one that agrees best with the next: long steps meet kinks, short ones
    show rounding."""
    off = [sum(float((a - b).norm()) ** 2 for a, b in zip(*pair, strict=True)) for pair in pairwise(found)]
    return found[off.index(min(off))]


def _step(values: Blocks, asked: tuple[str, ...], v: Blocks) -> float:
    """How far to go for differences, in multiples of the vector: relative to the point, and as fine as the type allows."""
    asked_values = {n: values[n] for n in asked}
    fine = 0.1 * max(torch.finfo(t.dtype).eps for t in asked_values.values()) ** 0.2
    return fine * (norm(asked_values) + 1) / max(norm(v), 1e-300)


def _bent(loss: Callable[[list[Tensor]], Tensor], cut: list[Tensor], moved: list[Tensor]) -> list[Tensor]:
    """The loss's Hessian in the model's outputs, times a vector; by differences where torch has no second derivative."""
    try:
        return _grads_along(grads(loss(cut), cut, True), cut, moved)
    except (RuntimeError, NotImplementedError):

        def slope(h: float) -> list[Tensor]:
            at = [(t.detach() + h * d).requires_grad_() for t, d in zip(cut, moved, strict=True)]
            return grads(loss(at), at)

        return _differences(slope, 1e-4)


def _pushed(z: list[Tensor], params: list[Tensor], v: list[Tensor]) -> list[Tensor]:
    """J v as the derivative of u -> J'u, which is linear in u."""
    u = [torch.zeros_like(t, requires_grad=True) for t in z]
    return _grads_along(_grads_along(z, params, u, True), u, v)


def _differences(f: Any, h: float) -> list[Tensor]:
    """The derivative of f at zero by central differences, with one Richardson step."""
    near, far = zip(f(h), f(-h), strict=True), zip(f(2 * h), f(-2 * h), strict=True)
    return [(8 * (a - b) - (c - d)) / (12 * h) for (a, b), (c, d) in zip(near, far, strict=True)]


def _output(cost: Cost, model: nn.Module, values: Blocks, x: Any) -> tuple[list[Any], Any]:
    """What the model gives at these values of the blocks, as a flat list."""
    named = {f"model.{cost._names[n]}": t for n, t in values.items()}
    with cost.floats, inline():
        out = at(OneArgument(model), named, (x,))
    return pytree.tree_flatten(out)
