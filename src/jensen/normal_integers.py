"""Integers and truth values that depend on parameters: real arithmetic where it is the same, an operation of torch's where it is not.

The kernel reads + as the sum of numbers. torch's integers wrap around, its truth values are joined by *or*, and ``|`` joins
bits. So an operation whose result is no float is left to the kernel only where bounds of its operands show that none of them,
and no result, leaves its type. Anything else keeps torch's meaning as "whole.OPERATION", which no atom models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from jensen.constants import base_name, number
from jensen.exact import MOVE
from jensen.kernel.program import Ref
from jensen.linalg.torch_reading import UNSTORED, WHOLE

Bounds = tuple[int, int]

TESTS = {"gt", "ge", "lt", "le", "eq", "ne"}
POSITIONS = {
    "argmax", "argmin", "argsort", "nonzero", "bucketize", "searchsorted", "multinomial", "getitem", "max", "min", "scatter", "fill",
}  # fmt: skip
OPERANDS = {
    "where": (1, 2), "masked_fill": (0, 2), "maximum": (0, 1), "minimum": (0, 1), "scatter": (0, 3), "fill": (0, 1),
    "slice_scatter": (0, 1), "select_scatter": (0, 1),
    "clamp": (0, 1, 2), "clamp_min": (0, 1), "clamp_max": (0, 1), **dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne"), (0, 1)),
}  # fmt: skip
SAME = {
    "expand",
    "view",
    "reshape",
    "unsqueeze",
    "squeeze",
    "select",
    "slice",
    "permute",
    "transpose",
    "clone",
    "alias",
    "detach",
}
JOINS = {"copy", "index_put", "neg", "abs"}  # moves elsewhere; here they may add, or leave the type
LOGICAL = {"logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf", "isfinite"}
CHOICES = (MOVE | POSITIONS | LOGICAL) - JOINS
BITS = {"bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor"}
CASTS = {"_to_copy", "to", "type_as"}


def meant(b: Any, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What stands for a node in the program where the kernel's reading of it would be another; nothing where it is the same."""
    value: Any = node.meta.get("val")
    if not _counts(value):
        return None
    name, kinds = base_name(node), [_kind(a) for a in node.args]
    if _truths(value, kinds) and name in BITS | {"mul", "add"} and len(args) < 3:
        return _logical(b, name, args)
    if name in CASTS and value.dtype == torch.bool and not _truths(value, kinds[:1]):
        return b.emit("aten.ne.Tensor", args[0], 0)
    if (
        name not in CASTS
        and "dtype" not in node.kwargs
        and not any(_counts(n.meta.get("val")) for n in node.all_input_nodes)
    ):
        return None  # tests of floats
    if name in TESTS | CHOICES:
        if not _kept(b, name, node):
            return _whole(b, node, spelled(node, args, kwargs), kinds)
        b.bounds[node] = _found(b, node)
        return None
    if name in CASTS and kinds[0] is not None and kinds[0].is_floating_point:  # "jensen.cast"
        return None
    found = _result(b, name, node)
    if found is None or not _within(found, value.dtype):
        return _whole(b, node, spelled(node, args, kwargs), kinds)
    b.bounds[node] = found
    return None


def spelled(node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """An operation's arguments in its schema's order, those that say types and places and defaults at the end left out."""
    known, full = node.target._schema.arguments, list(args)  # type: ignore[union-attr]
    known = known[: len(args)] + [a for a in known[len(args) :] if a.name not in UNSTORED]
    full += [kwargs.get(a.name, a.default_value) for a in known[len(args) :]]
    while (
        len(full) > len(args)
        and known[len(full) - 1].has_default_value()
        and full[-1] == known[len(full) - 1].default_value
    ):
        full.pop()
    return full


def _counts(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_floating_point() and not value.is_complex()


def _kind(a: Any) -> torch.dtype | None:
    value = a.meta.get("val") if isinstance(a, fx.Node) else None
    return value.dtype if isinstance(value, torch.Tensor) else None


def _truths(value: torch.Tensor, kinds: Sequence[torch.dtype | None]) -> bool:
    """Whether an operation takes truth values to truth values."""
    return value.dtype == torch.bool and all(k == torch.bool for k in kinds)


def _logical(b: Any, name: str, args: Sequence[Any]) -> Ref:
    word = {"mul": "and", "add": "or"}.get(name, name.removeprefix("bitwise_"))
    return b.emit(f"aten.logical_{word}.default", *args)


def _whole(b: Any, node: fx.Node, args: Sequence[Any], kinds: Sequence[torch.dtype | None]) -> Ref:
    """The operation as torch computes it: its operands in their types, or in the one that it is told to compute in."""
    told = node.kwargs.get("dtype")
    b.bounds[node] = _range(node.meta["val"].dtype)
    names = tuple(_word(told if k is not None and isinstance(told, torch.dtype) else k) for k in kinds)
    return b.emit(f"{WHOLE}{node.target}", _word(node.meta["val"].dtype), names, *args)


def _word(kind: torch.dtype | None) -> str:
    return "" if kind is None else str(kind).removeprefix("torch.")


def _kept(b: Any, name: str, node: fx.Node) -> bool:
    """Whether what is compared or chosen among stays what it is in the type that torch does it in: 257 becomes 1 in int8."""
    operands: list[Any] = [node.args[i] for i in OPERANDS.get(name, ()) if i < len(node.args)]
    kind = node.meta["val"].dtype
    if name in TESTS:
        first, second = (a.meta["val"] if isinstance(a, fx.Node) else a for a in operands)
        kind = torch.result_type(first, second)
    if kind.is_floating_point or kind.is_complex:
        return True
    given = [_bounds(b, a) for a in operands if a is not None]
    return all(found is not None and _within(found, kind) for found in given)  # floats lose their digits


# -- bounds ----------------------------------------------------------------------------------------------------------


def _range(kind: torch.dtype) -> Bounds:
    return (0, 1) if kind == torch.bool else (torch.iinfo(kind).min, torch.iinfo(kind).max)


def _within(found: Bounds, kind: torch.dtype) -> bool:
    least, most = _range(kind)
    return least <= found[0] and found[1] <= most


def _bounds(b: Any, a: Any) -> Bounds | None:
    """Between which numbers an operand lies; nothing for floats and lists."""
    if isinstance(a, int):
        return int(a), int(a)
    if not isinstance(a, fx.Node) or not _counts(a.meta.get("val")):
        return None
    if a not in b.bounds:
        b.bounds[a] = _found(b, a)
    return b.bounds[a]


def _found(b: Any, node: fx.Node) -> Bounds:
    """From a filled constant, from what is chosen among, or from the type."""
    least, most = _range(node.meta["val"].dtype)
    fill = number(node, b.sources.attributes)
    if fill is not None:
        return max(int(fill), least), min(int(fill), most)
    among = [_bounds(b, a) for a in _chosen(node)]
    if not among or None in among:
        return least, most
    return max(min(a[0] for a in among if a), least), min(max(a[1] for a in among if a), most)


def _chosen(node: fx.Node) -> Sequence[Any]:
    """The operands of which each element of a result is one, where that is known."""
    name = base_name(node)
    if name in ("stack", "cat"):
        return node.args[0]  # type: ignore[return-value]
    if name in SAME:
        return node.args[:1]
    return [node.args[i] for i in OPERANDS.get(name, ()) if i < len(node.args)] if name not in TESTS else ()


def _result(b: Any, name: str, node: fx.Node) -> Bounds | None:
    """Between which numbers the result would lie in real arithmetic; nothing where that is not known."""
    arithmetic = ARITHMETIC.get(name)
    if arithmetic is None or "alpha" in node.kwargs:
        return None
    operands = [_bounds(b, a) for a in node.args[: 1 if arithmetic in ALONE else 2]]
    if any(o is None for o in operands) or len(operands) < (1 if arithmetic in ALONE else 2):
        return None
    return arithmetic(node, *operands)


def _product(node: fx.Node, x: Bounds, y: Bounds) -> Bounds:
    corners = [i * j for i in x for j in y]
    return min(corners), max(corners)


def _difference(node: fx.Node, x: Bounds, y: Bounds) -> Bounds:
    return x[0] - y[1], x[1] - y[0]


def _sum(node: fx.Node, x: Bounds) -> Bounds:
    count = max(node.args[0].meta["val"].numel(), 1)  # type: ignore[union-attr]
    return min(x[0] * count, x[0], 0), max(x[1] * count, x[1], 0)


def _size(node: fx.Node, x: Bounds) -> Bounds:
    return 0 if x[0] <= 0 <= x[1] else min(abs(x[0]), abs(x[1])), max(abs(x[0]), abs(x[1]))


def _same(node: fx.Node, x: Bounds) -> Bounds:
    return x


def _negative(node: fx.Node, x: Bounds) -> Bounds:
    return -x[1], -x[0]


ALONE: set[Callable[..., Bounds]] = {_sum, _size, _same, _negative}
ARITHMETIC: dict[str, Callable[..., Bounds]] = {
    "add": lambda node, x, y: (x[0] + y[0], x[1] + y[1]), "sub": _difference, "mul": _product,
    "rsub": lambda node, x, y: _difference(node, y, x), "sum": _sum, "cumsum": _sum, "abs": _size, "neg": _negative,
    **dict.fromkeys(CASTS, _same),
}  # fmt: skip
