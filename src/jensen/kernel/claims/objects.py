"""A reading over arrays of any objects that know + - * and /: polynomials, interval jets."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from jensen.kernel import balls
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Linked, Node, Ref, fill

LENGTH = 500

Lift = Callable[[Any], Any]
Unary = Callable[[str, tuple[Any, ...], Any], Any]


def _pairwise(f: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda lift, x, y: _map(f, _array(lift, x), _array(lift, y))


def _map(f: Callable[..., Any], *args: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(*(a.shape for a in args))
    with np.errstate(all="ignore"):  # ranges treat infinities themselves
        return balls.as_objects(np.frompyfunc(f, len(args), 1)(*args), shape)


def _array(lift: Lift, x: Any) -> np.ndarray:
    if isinstance(x, np.ndarray):
        if x.dtype == object:
            return x
        return balls.as_objects(np.frompyfunc(lambda v: lift(v.item() if hasattr(v, "item") else v), 1, 1)(x), x.shape)
    if not isinstance(x, (bool, int, float)):
        raise TypeError(f"{x!r} is not a number")
    return balls.as_objects(lift(x), ())


def _axes(x: np.ndarray, dims: Any) -> tuple[int, ...]:
    if dims is None or dims == ():
        return tuple(range(x.ndim))
    return tuple(d % x.ndim for d in ((dims,) if isinstance(dims, int) else dims))


def _sum(lift: Lift, x: Any, dims: Any = None, keepdim: bool = False) -> np.ndarray:
    x = _array(lift, x)
    axes = _axes(x, dims)
    shape = np.empty(x.shape, dtype=np.bool_).sum(axis=axes, keepdims=keepdim).shape
    return balls.as_objects(np.add.reduce(x, axis=axes, keepdims=keepdim, initial=lift(0)), shape)


def _mean(lift: Lift, x: Any, dims: Any = None, keepdim: bool = False) -> np.ndarray:
    n = int(np.prod([x.shape[i] for i in _axes(x, dims)], dtype=int))
    return _map(lambda v: v / lift(n), _sum(lift, x, dims, keepdim))


def _matmul(lift: Lift, x: Any, y: Any) -> np.ndarray:
    x, y = _array(lift, x), _array(lift, y)
    shape = np.matmul(np.zeros(x.shape, dtype=np.bool_), np.zeros(y.shape, dtype=np.bool_)).shape
    left, right = (x if x.ndim > 1 else x[None]), (y if y.ndim > 1 else y[:, None])
    return balls.as_objects(np.matmul(left, right).reshape(shape), shape)


def _linear(lift: Lift, x: Any, w: Any, b: Any = None) -> np.ndarray:
    y = _matmul(lift, x, np.swapaxes(_array(lift, w), -1, -2) if w.ndim == 2 else w)
    return y if b is None else _map(lambda u, v: u + v, y, _array(lift, b))


TABLE: dict[str, Callable[..., np.ndarray]] = {
    "aten.add.Tensor": _pairwise(lambda x, y: x + y),
    "aten.sub.Tensor": _pairwise(lambda x, y: x - y),
    "aten.mul.Tensor": _pairwise(lambda x, y: x * y),
    "aten.div.Tensor": _pairwise(lambda x, y: x / y),
    "aten.neg.default": lambda lift, x: _map(lambda v: -v, _array(lift, x)),
    "aten.sum.dim_IntList": _sum,
    "aten.mean.dim": _mean,
    "aten.matmul.default": _matmul,
    "aten.linear.default": _linear,
}


def read_objects(
    linked: Linked, leaf: Callable[[Node], np.ndarray], lift: Lift, unary: Unary, limit: int = 20_000
) -> Any:
    """The output as one object.

    Args:
        linked: The program.
        leaf: A leaf's array of objects.
        lift: An object from a number.
        unary: (operation, attributes, object) -> object, for elementwise functions; raises Rejected where it has none.
        limit: At most this many objects in one value, and LENGTH times as many in all.
    """
    if linked.unmodelled is not None:
        raise linked.unmodelled
    if elements(linked) > LENGTH * limit:
        raise Rejected("program", "a small problem", "the program is too long for this method")
    values: list[Any] = []
    for i, node in enumerate(linked.nodes):
        atom = linked.atoms[i]
        if prod(linked.shapes[i]) > limit:
            raise Rejected(node.name, "a small problem", "there are too many elements for this method")
        if atom is None:
            values.append(leaf(node))
            continue
        try:
            with np.errstate(all="ignore"):  # numpy looks at the objects' flags, not at their ranges
                values.append(_value(node, atom, values, lift, unary))
        except (ArithmeticError, ValueError, TypeError, AttributeError) as e:
            raise Rejected(node.name, "operations of this method", f"{node.op} cannot be read here: {e}") from None
    return values[linked.output].item()


def elements(linked: Linked) -> int:
    """Elements of all values of a program together."""
    return sum(prod(s) for s in linked.shapes)


def _value(node: Node, atom: Any, values: list[Any], lift: Lift, unary: Unary) -> np.ndarray:
    if atom.moves:
        return atom.balls(*fill(node.args, values))
    if node.op in TABLE:
        return TABLE[node.op](lift, *fill(node.args, values))
    return _unary(node, values, lift, unary)


def _unary(node: Node, values: list[Any], lift: Lift, unary: Unary) -> np.ndarray:
    rest = node.args[1:]
    if not node.args or type(node.args[0]) is not Ref or any(type(a) in (Ref, tuple) for a in rest):
        raise Rejected(node.name, "operations of this method", f"{node.op} is not one of them")
    x = _array(lift, values[node.args[0].index])
    try:
        return _map(lambda v: unary(node.op, rest, v), x)
    except Rejected as e:
        raise type(e)(node.name, e.rule, e.why) from None
