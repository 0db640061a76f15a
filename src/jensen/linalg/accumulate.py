"""Sums of many terms, one alive at a time, also where they are differentiated.

Autograd keeps what every term computed until the derivative of the sum is taken. Here each term's derivatives are taken
when the term is computed, and only their sums are kept: first derivatives together with the value, products with the
matrix of second derivatives in one further walk over the terms for each vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Theta = Mapping[str, Tensor]
Terms = Sequence[Callable[[Theta], Tensor]]


def total(terms: Terms, theta: Theta) -> Tensor:
    """The sum of some terms at a point."""
    out: Tensor | None = None
    for term in terms:
        value = term(theta)
        out = value if out is None else out + value
    if out is None:
        raise ValueError("the sum has no terms")
    return out


def accumulated(terms: Terms, theta: Theta) -> Tensor:
    """The sum of some terms at a point, with derivatives of first and second order, one term in memory at a time.

    Args:
        terms: Functions of the point; each returns one number, shape ().
        theta: Named tensors; those that require gradients are differentiated in.
    """
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in theta.values()):
        return total(terms, theta)
    return _Value.apply(terms, tuple(theta), *theta.values())  # type: ignore[return-value]


class _Value(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, terms: Terms, names: tuple[str, ...], *leaves: Tensor) -> Tensor:
        wanted = list(ctx.needs_input_grad[2:])
        ctx.terms, ctx.names, ctx.wanted = terms, names, wanted
        ctx.save_for_backward(*leaves)
        value: Tensor | None = None
        sums = [torch.zeros_like(leaf) if w else None for leaf, w in zip(leaves, wanted, strict=True)]
        for term in terms:
            v, grads, _ = _first(term, names, leaves, wanted)
            value = v if value is None else value + v
            _add(sums, grads)
        if value is None:
            raise ValueError("the sum has no terms")
        ctx.sums = sums
        return value

    @staticmethod
    def backward(ctx: Any, *grad: Any) -> Any:
        grads = _Gradient.apply(ctx.terms, ctx.names, ctx.wanted, ctx.sums, *ctx.saved_tensors)
        return (None, None, *(None if g is None else grad[0] * g for g in grads))  # type: ignore[union-attr]


class _Gradient(torch.autograd.Function):
    """The gradient, which is known already; its derivative is a walk over the terms."""

    @staticmethod
    def forward(
        ctx: Any, terms: Terms, names: tuple[str, ...], wanted: list[bool], sums: list[Tensor | None], *leaves: Tensor
    ) -> Any:
        ctx.terms, ctx.names, ctx.wanted = terms, names, wanted
        ctx.save_for_backward(*leaves)
        return tuple(None if s is None else s.clone() for s in sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *vectors: Any) -> Any:
        leaves = ctx.saved_tensors
        sums = [torch.zeros_like(leaf) if w else None for leaf, w in zip(leaves, ctx.wanted, strict=True)]
        for term in ctx.terms:
            _, grads, own = _first(term, ctx.names, leaves, ctx.wanted, twice=True)
            with torch.enable_grad():
                pairs = [(g, v) for g, v in zip(grads, vectors, strict=True) if g is not None and v is not None]
                dot = sum((g * v).sum() for g, v in pairs if g.requires_grad)
            if isinstance(dot, Tensor):
                inner = [leaf for leaf, w in zip(own, ctx.wanted, strict=True) if w]
                found = iter(torch.autograd.grad(dot, inner, allow_unused=True))
                _add(sums, [next(found) if w else None for w in ctx.wanted])
        return (None, None, None, None, *sums)


def _first(
    term: Callable[[Theta], Tensor],
    names: tuple[str, ...],
    leaves: Sequence[Tensor],
    wanted: list[bool],
    twice: bool = False,
) -> tuple[Tensor, list[Tensor | None], list[Tensor]]:
    """A term's value and gradient, and the leaves in which it was taken."""
    with torch.enable_grad():
        own = [leaf.detach().requires_grad_(w) for leaf, w in zip(leaves, wanted, strict=True)]
        value = term(dict(zip(names, own, strict=True)))
        inner = [leaf for leaf, w in zip(own, wanted, strict=True) if w]
        found = iter(
            torch.autograd.grad(value, inner, allow_unused=True, create_graph=twice)
            if value.requires_grad
            else [None] * len(inner)
        )
    return value.detach(), [next(found) if w else None for w in wanted], own


def _add(sums: list[Tensor | None], more: Sequence[Tensor | None]) -> None:
    for s, m in zip(sums, more, strict=True):
        if s is not None and m is not None:
            s += m.detach()
