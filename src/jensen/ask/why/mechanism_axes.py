"""The reading of axes: which axes of the blocks run over the same interchangeable units.

Every axis of every value is a term: a variable, or the product of several (a view merged them). Operations unify the
axes that they pair (Robinson 1965); what looks at single places of an axis fixes it, and so does data that differs
along it. Variables that stay free run over units that may be exchanged everywhere at once without changing the cost.
An operation that is not known here fixes all axes of its inputs, so that little knowledge finds few units, not wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from jensen.ask.why.surgery_linear import ELEMENTWISE, REDUCTIONS
from jensen.atoms import registry
from jensen.kernel.program import Node, Program, fill, refs


class Axis:
    """One axis: a variable of some size, bound to another axis, or to several that it is the product of."""

    __slots__ = ("bound", "fixed", "size")

    def __init__(self, size: int, fixed: bool = False):
        self.size, self.fixed = size, fixed
        self.bound: tuple[Axis, ...] | None = None

    def factors(self) -> list[Axis]:
        """The variables that it consists of."""
        return [self] if self.bound is None else [v for b in self.bound for v in b.factors()]

    def fix(self) -> None:
        for v in self.factors():
            v.fixed = True

    def bind(self, to: Sequence[Axis]) -> None:
        """This variable is that product."""
        if self.fixed:
            for v in to:
                v.fix()
        self.bound = tuple(to)


Axes = list[Axis]


def unify(a: Axis, b: Axis) -> None:
    """The two run over the same units."""
    left, right = a.factors(), b.factors()
    if len(left) == 1 and left[0] not in right:
        left[0].bind(right)
    elif len(right) == 1 and right[0] not in left:
        right[0].bind(left)
    elif [v.size for v in left] == [v.size for v in right]:
        for v, w in zip(left, right, strict=True):
            if v is not w:
                unify(v, w)
    else:
        a.fix()
        b.fix()


def regroup(axes: Axes, sizes: Sequence[int]) -> Axes:
    """The axes of a view: the same variables in the same order, in other products."""
    todo = [v for a in axes for v in a.factors() if v.size != 1][::-1]
    out = []
    for size in sizes:
        taken: Axes = []
        while prod(v.size for v in taken) < size and todo:
            v = todo.pop()
            rest = size // prod(w.size for w in taken)
            if v.size > rest:
                if size % prod(w.size for w in taken) or v.size % rest:
                    break
                parts = (Axis(rest), Axis(v.size // rest))
                v.bind(parts)
                todo.append(parts[1])
                v = parts[0]
            taken.append(v)
        if prod(v.size for v in taken) != size:
            return _unknown([axes], sizes)
        out.append(_product(taken, size))
    return out


def _product(factors: Axes, size: int) -> Axis:
    if len(factors) == 1:
        return factors[0]
    axis = Axis(size)
    if factors:
        axis.bound = tuple(factors)
    return axis


def _unknown(inputs: Sequence[Axes], shape: Sequence[int]) -> Axes:
    for axes in inputs:
        for a in axes:
            a.fix()
    return [Axis(n, fixed=True) for n in shape]


def read_axes(program: Program, tensors: Mapping[str, np.ndarray], values: Sequence[Any]) -> dict[str, Axes]:
    """The axes of every block, after reading the whole program; values give the shapes."""
    out: list[Any] = []
    blocks: dict[str, Axes] = {}
    for i, node in enumerate(program.nodes):
        shape = tuple(values[i].shape) if isinstance(values[i], Tensor) else ()
        if node.op == "block":
            axes = blocks.setdefault(node.args[0], [Axis(n) for n in shape])
        elif node.op == "const":
            axes = [Axis(n, fixed=not _same_along(tensors[node.args[0]], k)) for k, n in enumerate(shape)]
        else:
            axes = _apply(node, out, shape)
        out.append(axes)
    return blocks


def _same_along(value: np.ndarray, axis: int) -> bool:
    return value.shape[axis] > 0 and bool((value == value.take([0], axis)).all())


def _apply(node: Node, out: Sequence[Axes], shape: tuple[int, ...]) -> Axes:
    inputs = [out[j] for j in refs(node.args)]
    rule = RULES.get(node.op)
    if rule is None:
        row = getattr(registry().get(node.op), "row", None)
        rule = _broadcast if row is not None or node.op in ELEMENTWISE else None
    if rule is None:
        return _unknown(inputs, shape)
    args = fill(node.args, out)
    found = rule(args, shape)
    if found is None or [a.size for a in found] != list(shape):
        return _unknown(inputs, shape)
    return found


# -- rules: (arguments with axes in place of values, shape of the result) -> axes of the result, or None ---------------

Rule = Callable[[list[Any], tuple[int, ...]], "Axes | None"]


def _broadcast(args: list[Any], shape: tuple[int, ...]) -> Axes:
    axes: list[Axis | None] = [None] * len(shape)
    for a in (a for a in args if isinstance(a, list)):
        for k, axis in enumerate(a, start=len(shape) - len(a)):
            if axis.size == 1 and shape[k] != 1:
                continue
            old = axes[k]
            if old is None:
                axes[k] = axis
            else:
                unify(old, axis)
    return [Axis(n) if a is None else a for a, n in zip(axes, shape, strict=True)]


def _linear(args: list[Any], shape: tuple[int, ...]) -> Axes:
    x, w, b = args[0], args[1], args[2] if len(args) > 2 else None
    unify(x[-1], w[-1])
    if b is not None and len(w) == 2:
        unify(b[0], w[0])
    return [*x[:-1], *w[:-1]]


def _matmul(args: list[Any], shape: tuple[int, ...]) -> Axes:
    x, y = args
    unify(x[-1], y[-2] if len(y) > 1 else y[0])
    batch = shape[: len(shape) - (len(x) > 1) - (len(y) > 1)]
    lead = _broadcast([x[:-2], y[:-2]], batch)
    return [*lead, *(x[-2:-1] if len(x) > 1 else []), *(y[-1:] if len(y) > 1 else [])]


def _conv(n: int) -> Rule:
    def rule(args: list[Any], shape: tuple[int, ...]) -> Axes | None:
        x, w, b = args[0], args[1], args[2] if len(args) > 2 else None
        if (args[6] if len(args) > 6 else 1) != 1:
            return None
        unify(x[len(x) - n - 1], w[1])
        if b is not None:
            unify(b[0], w[0])
        return [*x[: len(x) - n - 1], w[0], *_unknown([x[len(x) - n :], w[2:]], shape[len(shape) - n :])]

    return rule


def _window(n: int) -> Rule:
    """Pooling: places on the last axes are looked at one by one, the leading axes are left alone."""

    def rule(args: list[Any], shape: tuple[int, ...]) -> Axes:
        x = args[0]
        return [*x[: len(x) - n], *_unknown([x[len(x) - n :]], shape[len(shape) - n :])]

    return rule


def _reduce(where: int = 1, kept: int = 2) -> Rule:
    def rule(args: list[Any], shape: tuple[int, ...]) -> Axes:
        x = args[0]
        dims = args[where] if len(args) > where else None
        dims = (dims,) if isinstance(dims, int) else dims or tuple(range(len(x)))
        gone = {d % len(x) for d in dims} if x else set()
        keepdim = len(args) > kept and args[kept]
        return [Axis(1) if k in gone else a for k, a in enumerate(x) if keepdim or k not in gone]

    return rule


def _slice(args: list[Any], shape: tuple[int, ...]) -> Axes:
    """One of several equal pieces of an axis (the gates of an LSTM, queries and keys) has the units of every other piece."""
    x, dim = args[0], (args[1] if len(args) > 1 else 0) % len(args[0])
    start, step, length, whole = (
        args[2] or 0 if len(args) > 2 else 0,
        args[4] if len(args) > 4 else 1,
        shape[dim],
        x[dim].size,
    )
    if length == whole:
        return x
    if length and step == 1 and whole % length == 0 and start % length == 0:
        piece, units = regroup([x[dim]], (whole // length, length))
        piece.fix()
    else:
        (units,) = _unknown([[x[dim]]], [length])
    return [*x[:dim], units, *x[dim + 1 :]]


def _select(args: list[Any], shape: tuple[int, ...]) -> Axes:
    x, dim = args[0], args[1] % len(args[0])
    x[dim].fix()
    return [*x[:dim], *x[dim + 1 :]]


def _cat(args: list[Any], shape: tuple[int, ...]) -> Axes:
    parts, dim = args[0], (args[1] if len(args) > 1 else 0) % len(shape)
    whole = _unknown([[p[dim]] for p in parts], [shape[dim]])
    rest = _broadcast([[*p[:dim], *p[dim + 1 :]] for p in parts], (*shape[:dim], *shape[dim + 1 :]))
    return [*rest[:dim], *whole, *rest[dim:]]


def _stack(args: list[Any], shape: tuple[int, ...]) -> Axes:
    parts, dim = args[0], (args[1] if len(args) > 1 else 0) % len(shape)
    rest = _broadcast(parts, (*shape[:dim], *shape[dim + 1 :]))
    return [*rest[:dim], Axis(shape[dim], fixed=True), *rest[dim:]]


def _swap(args: list[Any], shape: tuple[int, ...]) -> Axes:
    x = list(args[0])
    if x:
        x[args[1]], x[args[2]] = x[args[2]], x[args[1]]
    return x


def _embedding(args: list[Any], shape: tuple[int, ...]) -> Axes:
    table, index = args[0], args[1]
    table[0].fix()
    return [*index, table[1]]


RULES: dict[str, Rule] = {
    "aten.add.Tensor": _broadcast, "aten.sub.Tensor": _broadcast, "aten.mul.Tensor": _broadcast,
    "aten.neg.default": _broadcast, "aten.where.self": _broadcast, "jensen.real": _broadcast,
    "aten.softmax.int": lambda args, shape: args[0], "aten.log_softmax.int": lambda args, shape: args[0],
    "aten.linear.default": _linear, "aten.matmul.default": _matmul, "aten.embedding.default": _embedding,
    "aten.sum.dim_IntList": _reduce(), "aten.mean.dim": _reduce(),
    "aten.view.default": lambda args, shape: regroup(args[0], shape),
    "aten.unsqueeze.default": lambda args, shape: regroup(args[0], shape),
    "aten.squeeze.dims": lambda args, shape: regroup(args[0], shape),
    "aten.expand.default": lambda args, shape: _broadcast(args[:1], shape),
    "aten.cat.default": _cat, "aten.stack.default": _stack,
    "aten.permute.default": lambda args, shape: [args[0][k] for k in args[1]],
    "aten.transpose.int": _swap, "aten.slice.Tensor": _slice, "aten.select.int": _select,
}  # fmt: skip
RULES |= {op: _reduce(*where) for op, where in REDUCTIONS.items()}
RULES |= {f"aten.conv{n}d.default": _conv(n) for n in (1, 2, 3)}
RULES |= {f"aten.{kind}_pool{n}d.default": _window(n) for n in (1, 2, 3) for kind in ("max", "avg", "adaptive_avg")}
RULES |= {f"jensen.adaptive_max_pool{n}d": _window(n) for n in (1, 2, 3)}
