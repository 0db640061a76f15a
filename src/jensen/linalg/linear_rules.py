"""Tangents of single operations as forms: what is linear stays linear, what is elementwise becomes a scale.

A rule gets the operation, the values of its arguments, and the forms of those that move; it gives the form of the
output (a list for several outputs). Operations without a rule go through torch's forward mode, or, where torch has no
forward formula, through its reverse mode twice (Christianson 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from jensen.errors import Misuse
from jensen.linalg.linear_convolution import input_gradient, weight_gradient
from jensen.linalg.linear_form import LOST, ONE, Form, Scale, of, total
from jensen.linalg.linear_generic import generic
from jensen.linalg.linear_layout import like
from jensen.linalg.linear_matrices import log_determinant, solution
from jensen.linalg.linear_slopes import derivative
from jensen.linalg.linear_tall import add_multiply, multiply, turned

aten = torch.ops.aten
Forms = list[Any]  # a form each, None for what does not move, or LOST
Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


def rule(*ops: Any) -> Callable[[Rule], Rule]:
    def add(f: Rule) -> Rule:
        for op in ops:
            RULES[op] = f
        return f

    return add


def tangent(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], forms: Sequence[Any], out: Any) -> Any:
    """The form of ``out = op(*args, **kwargs)``; ``forms[i]`` belongs to ``args[i]`` (None where it does not move).

    Of several outputs, those that torch does not differentiate though they move (the factors beside a determinant) are LOST.

    Raises:
        Misuse: For complex outputs, whose tangents have no forms here.
    """
    if any(t.is_complex() for t in pytree.tree_leaves(out) if isinstance(t, Tensor)):
        raise Misuse(f"{op} gives complex numbers: the map cannot be kept; use mode='reverse'")
    if isinstance(out, Tensor) and (not out.is_floating_point() or op in FLAT):
        return None
    found = RULES.get(op)
    if found is not None:
        return found(op, args, kwargs, forms, out)
    if op in LINEAR and all(f is None for f in forms[1:]):
        return _linear(op, args, kwargs, forms, out)
    if torch.Tag.pointwise in op.tags and isinstance(out, Tensor) and not kwargs:
        return _pointwise(op, args, forms, out)
    return generic(op, args, kwargs, forms, out)


def elementwise(op: Any) -> bool:
    """Whether the operation only scales its tangents."""
    return op in SAME or op is aten.expand.default or torch.Tag.pointwise in getattr(op, "tags", ())


# -- linear in the first argument ---------------------------------------------------------------------------------

SHAPED = {aten.view.default, aten._unsafe_view.default, aten.reshape.default}
VIEWS = {*SHAPED, aten.unfold.default, aten.diagonal.default, aten.slice.Tensor, aten.select.int}
MOVES = {aten.t.default, aten.transpose.int, aten.permute.default, aten.unsqueeze.default}
SAME = {
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.contiguous.default,
    aten.lift_fresh_copy.default,
}
SUMS = {aten.sum.default, aten.sum.dim_IntList, aten.mean.default, aten.mean.dim, aten.cumsum.default}
PLAIN = {
    aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.flip.default, aten.index.Tensor,
    aten.roll.default, aten.trace.default, aten.tril.default, aten.triu.default, aten.im2col.default,
    aten.col2im.default, aten.avg_pool2d.default, aten.avg_pool3d.default, aten.avg_pool1d.default,
    aten.avg_pool2d_backward.default, aten.avg_pool3d_backward.default, aten.gather.default,
    aten.index_select.default, aten.select_backward.default, aten.slice_backward.default,
    aten.diagonal_backward.default, aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool3d.default,
    aten.adaptive_avg_pool1d.default, aten.repeat.default, aten.pixel_shuffle.default, aten.pixel_unshuffle.default,
    aten.reflection_pad1d.default, aten.reflection_pad2d.default, aten.reflection_pad3d.default,
    aten.replication_pad1d.default, aten.replication_pad2d.default, aten.replication_pad3d.default,
    aten.unfold_backward.default, aten.embedding.default, aten.embedding_dense_backward.default,
    aten.channel_shuffle.default,
}  # fmt: skip
LINEAR = VIEWS | MOVES | SAME | SUMS | PLAIN
FLAT = {aten.floor.default, aten.ceil.default, aten.round.default, aten.trunc.default, aten.sign.default,
        aten.sgn.default, aten.zeros_like.default, aten.ones_like.default, aten.full_like.default,
        aten.new_zeros.default, aten.new_ones.default, aten.new_full.default, aten.empty_like.default}  # fmt: skip


def _linear(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], forms: Sequence[Any], out: Tensor) -> Form | None:
    form = forms[0]
    if form is None:
        return None
    if op in SAME:
        return form
    if op in MOVES:
        full = len(form.shape)
        return Form(tuple(out.shape), [(_moved(op, s, full, args), _moved(op, b, full, args)) for s, b in form.terms])
    apply = aten.reshape.default if op in SHAPED else op  # the tangent's strides may differ from the value's
    scale, base = form.terms[0]
    if len(form.terms) == 1 and tuple(base.shape) == form.shape:
        if not isinstance(scale, Tensor):
            return of(apply(base, *args[1:], **kwargs)).scaled(scale, out.shape)
        if op in VIEWS:
            new = apply(scale.expand(form.shape), *args[1:])
            return Form(tuple(out.shape), [(new, apply(base, *args[1:]))])
    return of(apply(form.value(), *args[1:], **kwargs))


@rule(aten.copy.default)
def _copy(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    return None if forms[1] is None else Form(tuple(out.shape), forms[1].terms)


@rule(aten.constant_pad_nd.default)
def _pad(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    return None if forms[0] is None else of(op(forms[0].value(), args[1], 0.0))


@rule(aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int, aten.chunk.default)
def _pieces(op: Any, args: Any, kwargs: Any, forms: Any, out: Any) -> Forms:
    if forms[0] is None:
        return [None] * len(out)
    return [of(t) for t in op(forms[0].value(), *args[1:], **kwargs)]


@rule(aten.scatter_add.default, aten.index_add.default, aten.slice_scatter.default, aten.select_scatter.default,
      aten.scatter.src)  # fmt: skip
def _placed(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    k = next(i for i, a in enumerate(args[1:], 1) if isinstance(a, Tensor) and a.is_floating_point())
    if forms[0] is None and forms[k] is None:
        return None
    moved = [torch.zeros_like(args[i]) if forms[i] is None else forms[i].value() for i in (0, k)]
    return of(op(moved[0], *args[1:k], moved[1], *args[k + 1 :], **kwargs))


def _moved(op: Any, t: Scale, full: int, args: tuple[Any, ...]) -> Any:
    if not isinstance(t, Tensor) or t.dim() == 0:
        return t
    if t.dim() < full:
        t = t.reshape((1,) * (full - t.dim()) + tuple(t.shape))
    return op(t, *args[1:])


@rule(aten.expand.default)
def _expand(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    return None if forms[0] is None else Form(tuple(out.shape), forms[0].terms)


# -- elementwise --------------------------------------------------------------------------------------------------


@rule(aten.add.Tensor, aten.sub.Tensor, aten.add.Scalar, aten.sub.Scalar)
def _add(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
    alpha = -alpha if op in (aten.sub.Tensor, aten.sub.Scalar) else alpha
    x, y = (*forms, None)[:2]
    if y is not None and alpha != 1:
        y = y.scaled(float(alpha), y.shape)
    return total([x, y], out.shape)


@rule(aten.mul.Tensor, aten.mul.Scalar)
def _mul(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    x, y = forms[:2]
    return total(
        [x and x.scaled(_scale(args[1], out), out.shape), y and y.scaled(_scale(args[0], out), out.shape)], out.shape
    )


@rule(aten.div.Tensor, aten.div.Scalar)
def _div(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    x, y = forms[:2]
    inverse = 1 / _scale(args[1], out)
    return total([x and x.scaled(inverse, out.shape), y and y.scaled(-out * inverse, out.shape)], out.shape)


@rule(aten.neg.default)
def _neg(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    return None if forms[0] is None else forms[0].scaled(-1.0, out.shape)


def _scale(t: Any, out: Tensor) -> Scale:
    return t.to(out.dtype) if isinstance(t, Tensor) else float(t)


@rule(aten.where.self)
def _where(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    chosen, zero = args[0], torch.zeros((), dtype=out.dtype, device=out.device)
    x = forms[1] and _kept(forms[1], lambda s: torch.where(chosen, s, zero), out)
    y = forms[2] and _kept(forms[2], lambda s: torch.where(chosen, zero, s), out)
    return total([x, y], out.shape)


@rule(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def _masked_fill(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    chosen, zero = args[1], torch.zeros((), dtype=out.dtype, device=out.device)
    x = forms[0] and _kept(forms[0], lambda s: torch.where(chosen, zero, s), out)
    y = forms[2] and _kept(forms[2], lambda s: torch.where(chosen, s, zero), out)
    return total([x, y], out.shape)


def _kept(form: Form, select: Callable[[Tensor], Tensor], out: Tensor) -> Form:
    """Scales are selected, not multiplied by zero: what is not chosen may be infinite."""
    one = torch.ones((), dtype=out.dtype, device=out.device)
    terms = [(select(s if isinstance(s, Tensor) else one * s), b) for s, b in form.terms]
    return Form(tuple(out.shape), terms)  # pyright: ignore[reportArgumentType]


def _pointwise(op: Any, args: tuple[Any, ...], forms: Sequence[Any], out: Tensor) -> Form | None:
    """f(x, y): the derivatives times the tangents."""
    parts = [None if f is None else f.scaled(derivative(op, args, i, out), out.shape) for i, f in enumerate(forms)]
    return total(parts, out.shape)


# -- products -----------------------------------------------------------------------------------------------------


def _value(form: Form | None) -> Any:
    return None if form is None else form.value()


@rule(aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mv.default, aten.dot.default)
def _product(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    (x, y), (dx, dy) = args[:2], (_value(f) for f in forms[:2])
    if op is aten.mm.default:
        op = partial(multiply, rows_last=turned(out))
    first = None if dx is None else op(dx, y)
    if dy is None:
        return first if first is None else of(first)
    if first is None:
        return of(op(x, dy))
    if isinstance(op, partial):
        return of(add_multiply(first, x, dy, turned(out)))
    if op is aten.bmm.default:
        return of(torch.baddbmm(first, x, dy))
    return of(first + op(x, dy))


@rule(aten.addmm.default, aten.baddbmm.default)
def _affine(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    beta, alpha = float(kwargs.get("beta", 1)), float(kwargs.get("alpha", 1))
    (x, y), (db, dx, dy) = args[1:3], (_value(f) for f in forms[:3])
    if dx is None and dy is None:
        return None if db is None else Form(tuple(out.shape), [(ONE if beta == 1 else beta, db)])
    product: Callable[..., Tensor] = aten.bmm.default
    if op is aten.addmm.default:
        last = turned(out)
        product, op = partial(multiply, rows_last=last), partial(add_multiply, rows_last=last)
    acc, scale = db, {"beta": beta, "alpha": alpha}
    for a, b in ((dx, y), (x, dy)):
        if a is not None and b is not None:
            acc = of(product(a, b)).scaled(alpha, out.shape).value() if acc is None else op(acc, a, b, **scale)
            scale = {"beta": 1.0, "alpha": alpha}
    return of(acc)


@rule(aten.convolution.default)
def _convolution(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    x, w, _, *how = args
    dx, dw, db = (_value(f) for f in forms[:3])
    if dx is None and dw is None:
        return None if db is None else Form(tuple(out.shape), [(ONE, db.view([-1] + [1] * (out.dim() - 2)))])
    dx = like(dx, x)
    if dx is None:
        return of(op(x, dw, db, *how))
    return of(op(dx, w, db, *how) if dw is None else op(dx, w, db, *how) + op(x, dw, None, *how))


@rule(aten.convolution_backward.default)
def _convolution_backward(op: Any, args: Any, kwargs: Any, forms: Any, out: Any) -> list[Form | None]:
    g, x, w, _, *how, mask = args
    dg, dx, dw = (_value(f) for f in forms[:3])
    dg, dx = like(dg, g), like(dx, x)
    outs: list[Any] = [None, None, None]
    pairs = [(a, b) for a, b in ((dg, w), (g, dw)) if a is not None and b is not None]
    if mask[0] and pairs:
        outs[0] = input_gradient(pairs, x, how)
    pairs = [(a, b) for a, b in ((dg, x), (g, dx)) if a is not None and b is not None]
    if mask[1] and pairs:
        outs[1] = weight_gradient(pairs, w, how)
    if mask[2] and dg is not None:
        outs[2] = dg.sum([0, *range(2, dg.dim())])
    return [None if t is None else of(t) for t in outs]


# -- joining, softmax ---------------------------------------------------------------------------------------------


@rule(aten.cat.default, aten.stack.default)
def _cat(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    if all(f is None for f in forms[0]):
        return None
    parts = [torch.zeros_like(x) if f is None else f.value() for x, f in zip(args[0], forms[0], strict=True)]
    return of(op(parts, *args[1:], **kwargs))


@rule(aten._softmax.default, aten._safe_softmax.default)
def _softmax(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    if forms[0] is None:
        return None
    moved = forms[0].scaled(out, out.shape)
    moved = of(moved.value())
    mean = Form(tuple(out.shape), [(-out, moved.value().sum(args[1], keepdim=True))])
    return total([moved, mean], out.shape)


@rule(aten._log_softmax.default)
def _log_softmax(op: Any, args: Any, kwargs: Any, forms: Any, out: Tensor) -> Form | None:
    if forms[0] is None:
        return None
    mean = (forms[0].value() * out.exp()).sum(args[1], keepdim=True)
    return total([forms[0], Form(tuple(out.shape), [(-1.0, mean)])], out.shape)


@rule(aten._linalg_det.default)
def _determinant(op: Any, args: Any, kwargs: Any, forms: Any, out: Any) -> Forms:
    return [of(out[0] * log_determinant(args[0], forms[0].value())), LOST, None]


@rule(aten._linalg_slogdet.default)
def _sign_and_log(op: Any, args: Any, kwargs: Any, forms: Any, out: Any) -> Forms:
    return [None, of(log_determinant(args[0], forms[0].value())), LOST, None]


@rule(aten._linalg_solve_ex.default)
def _solution(op: Any, args: Any, kwargs: Any, forms: Any, out: Any) -> Forms:
    (a, b), (da, db) = args[:2], (_value(f) for f in forms[:2])
    vector = b.dim() == 1 or b.shape == a.shape[:-1]
    return [of(solution(a, out[0], da, db, vector, kwargs.get("left", True))), LOST, None, None]
