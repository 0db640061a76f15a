"""Where operations are not smooth: the distance of their inputs from there, which is zero at a kink or a jump."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import torch
from torch import Tensor

Gaps = Callable[[list[Any]], list[Any]]  # arguments -> distances, each of the result's shape


def _number(args: list[Any], k: int, default: float) -> Any:
    return args[k] if len(args) > k and args[k] is not None else default


def _at(*places: float) -> Gaps:
    return lambda args: [args[0] - c for c in places]


def _either(k: int, default: float) -> Gaps:
    """At plus and at minus an argument."""
    return lambda args: [args[0] - _number(args, k, default), args[0] + _number(args, k, default)]


def _between(low: float | None, high: float | None) -> Gaps:
    """At the arguments of two bounds, where they are given."""

    def gaps(args: list[Any]) -> list[Any]:
        bounds = [_number(args, 1, low), _number(args, 2, high)]  # type: ignore[arg-type]
        return [args[0] - b for b in bounds if b is not None]

    return gaps


def _bound(args: list[Any]) -> list[Any]:
    return [args[0] - args[1]]


def _whole(args: list[Any]) -> list[Any]:
    return [args[0] - args[0].detach().round()]


def _whole_but_zero(args: list[Any]) -> list[Any]:
    nearest = args[0].detach().round()
    return [args[0] - torch.where(nearest == 0, 1.0, nearest)]


def _half(args: list[Any]) -> list[Any]:
    unit = 10.0 ** -_number(args, 1, 0)  # decimals
    return [args[0] - ((args[0].detach() / unit).floor() + 0.5) * unit]


def _multiple(args: list[Any]) -> list[Any]:
    """Of the second argument: where a remainder starts anew."""
    return [args[0] - (args[0].detach() / args[1]).round() * args[1]]


def _quotient(args: list[Any]) -> list[Any]:
    """Where a quotient that is rounded jumps."""
    if len(args) < 3 or args[2] is None:
        return []
    return (_whole if args[2] == "floor" else _whole_but_zero)([args[0] / args[1]])


def _half_line(args: list[Any]) -> list[Any]:
    """Of a point (y, x) from the negative x axis, where its angle jumps."""
    y, x = args[:2]
    return [torch.where(x < 0, y, torch.hypot(y, x))]


def _threshold(args: list[Any]) -> list[Any]:
    """Where softplus becomes a straight line, which does not quite meet it."""
    return [args[0] * _number(args, 1, 1.0) - _number(args, 2, 20.0)]


def _to_whole(args: list[Any]) -> list[Any]:
    """Where a number is cut to a whole one, or to whether it is zero."""
    kind = getattr(torch, args[1])
    if kind.is_floating_point or kind.is_complex:
        return []
    return [args[0]] if kind is torch.bool else _whole_but_zero(args)


def _distance(args: list[Any]) -> list[Any]:
    """Of a point from the origin, where a norm has its tip."""
    if len(args) > 1 and isinstance(args[1], Tensor):
        return [torch.hypot(args[0], args[1])]
    dims, keep = _number(args, 2, None), _number(args, 3, False)  # type: ignore[arg-type]
    return [torch.linalg.vector_norm(args[0], 2, dims, keep)]


ELEMENTWISE: dict[str, Gaps] = {
    **{f"aten.{name}.default": _at(0.0) for name in ("relu", "abs", "leaky_relu", "elu", "celu", "sign")},
    "jensen.softsign": _at(0.0),
    "aten.linalg_vector_norm.default": _distance,
    "aten.hypot.default": _distance,
    "aten.hardsigmoid.default": _at(-3.0, 3.0),
    "aten.hardswish.default": _at(-3.0, 3.0),
    "aten.hardtanh.default": _between(-1.0, 1.0),
    "aten.clamp.default": _between(None, None),
    "aten.clamp_min.default": _bound,
    "aten.clamp_max.default": _bound,
    "aten.threshold.default": _bound,
    "aten.maximum.default": _bound,
    "aten.minimum.default": _bound,
    "jensen.softshrink": _either(1, 0.5),
    "jensen.hardshrink": _either(1, 0.5),
    "jensen.huber": _either(1, 1.0),
    "jensen.smooth_l1": _either(1, 1.0),
    "aten.floor.default": _whole,
    "aten.ceil.default": _whole,
    "aten.trunc.default": _whole_but_zero,
    "aten.round.default": _half,
    "aten.round.decimals": _half,
    "jensen.cast": _to_whole,
    "aten.div.Tensor_mode": _quotient,
    "aten.atan2.default": _half_line,
    "aten.softplus.default": _threshold,
    "aten.copysign.Tensor": lambda args: [args[1]] if isinstance(args[1], Tensor) else [],
    **{f"aten.{name}.{kind}": _multiple for name in ("fmod", "remainder") for kind in ("Scalar", "Tensor")},
    **{f"aten.{name}.Tensor": _bound for name in ("gt", "ge", "lt", "le", "eq", "ne")},
}

# They take one of several values: not smooth where two of the largest are equal.
CHOOSING = frozenset(
    f"aten.{name}.default"
    for name in (
        "amax", "amin", "max_pool1d", "max_pool2d", "max_pool3d", "median", "nanmedian", "argmax", "argmin", "sort", "topk",
    )
) | {
    "aten.scatter_reduce.two", "jensen.sorted", "jensen.cummax", "jensen.cummin", "jensen.adaptive_max_pool1d",
    "jensen.adaptive_max_pool2d", "jensen.adaptive_max_pool3d",
}  # fmt: skip

KINKED = CHOOSING | frozenset(ELEMENTWISE)

# Their value itself jumps, or can.
JUMPING = frozenset(
    f"aten.{name}"
    for name in (
        "sign.default", "floor.default", "ceil.default", "trunc.default", "round.default", "round.decimals",
        "threshold.default", "copysign.Tensor", "fmod.Scalar", "fmod.Tensor", "remainder.Scalar", "remainder.Tensor",
        "div.Tensor_mode", "atan2.default", "softplus.default",
    )
) | {"jensen.hardshrink"}  # fmt: skip

# Only the second derivative jumps; that of elu as well, where its slopes are equal.
BENDING = frozenset({"jensen.softsign", "jensen.huber", "jensen.smooth_l1", "aten.celu.default"})

# Their whole numbers come from what these choose.
CHOSEN = {"aten.argmax.default": "aten.amax.default", "aten.argmin.default": "aten.amin.default"}

# Where the distance is zero it has no gradient of its own.
TIPS = frozenset({"aten.linalg_vector_norm.default", "aten.hypot.default"})


def bends(op: str, args: tuple[Any, ...]) -> bool:
    """Whether the operation has slopes that are continuous, and only its curvature jumps."""
    if op == "aten.elu.default":
        alpha, inner = _number([*args], 1, 1.0), _number([*args], 3, 1.0)
        return alpha * inner == 1.0
    return op in BENDING and not (op == "jensen.smooth_l1" and _number([*args], 1, 1.0) == 0.0)


def chooses(op: str, args: tuple[Any, ...]) -> bool:
    """Whether the operation takes one of several values; so do the norms that are made of linear pieces."""
    return op in CHOOSING or (op == "aten.linalg_vector_norm.default" and _number([*args], 1, 2.0) in (1, inf, -inf))


def choice(op: str, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The operation whose values show between which inputs this one chooses, with its arguments."""
    if op not in CHOSEN:
        return op, args
    x, dim, *keep = *args, *(None,) * (len(args) < 2)
    return CHOSEN[op], (x, () if dim is None else (dim,), *keep)


def name_of(op: str) -> str:
    """What torch calls it."""
    return op.split(".")[1]
