"""Faces of operations that work place by place, and of reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import isclose
from typing import Any

import numpy as np

from jensen.ask.symmetry.reader import MINUS, ONE, Reader
from jensen.ask.symmetry.system import Number, number
from jensen.ask.symmetry.values import Grid, Shape, Value, over, renamed
from jensen.atoms import registry
from jensen.atoms.registry import Nature


@lru_cache(maxsize=512)
def nature(op: str, attributes: tuple[Any, ...]) -> Nature:
    """What the atoms say; of powers the degree that a rounded exponent such as 1/3 stands for, which is tried before it is believed."""
    if op == "aten.pow.Tensor_Scalar":
        p = float(attributes[0])
        near = Fraction(p).limit_denominator(10**6)
        return Nature(
            number(near) if isclose(float(near), p, rel_tol=1e-15) else None, int(p) % 2 if p.is_integer() else None
        )
    rule = registry().natures.get(op)
    return Nature() if rule is None or any(isinstance(a, (tuple, Value)) for a in attributes) else rule(*attributes)


def unary(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """f(x) for an elementwise f."""
    x = args[0]
    n = nature(op, tuple(args[1:]))
    if x.zero and n.parity == 1:
        return x
    r.freeze(x)
    axes = {a for g in x.sign for a in g.axes}
    flip = r.flippable.get(r.node[1], {}).get(next(iter(axes))) if len(axes) == 1 else None
    if flip is not None:
        r.flipped.append((flip, x.sign))
        n = Nature(n.degree, 1)
    return characters(r, x, n)


def characters(r: Reader, x: Value, n: Nature) -> Value:
    """The value after a function of that nature, place by place."""
    if n.degree is None:
        r.fixed(x, "scale")
    if n.parity is None:
        r.fixed(x, "sign")
    scale = () if not n.degree else tuple(Grid(g.axes, r.scale.combine([(n.degree, g.ids)])) for g in x.scale)
    return Value(x.shape, x.grids, scale, x.sign if n.parity == 1 else ())


def embedded(v: Value, shape: Shape) -> Value:
    """A value broadcast to a shape."""
    lead = len(shape) - len(v.shape)
    axes = [lead + k if n == shape[lead + k] else -1 for k, n in enumerate(v.shape)]
    return renamed(v, axes, shape)


def _numbers(args: Sequence[Any]) -> list[float]:
    return [a for a in args if not isinstance(a, Value)]


def add(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """x + y and x - y, maximum, minimum, where: characters are equal."""
    values = [embedded(a, shape) for a in args if isinstance(a, Value)]
    live = [v for v in values if not v.zero]
    if not live:
        return Value(shape, zero=not any(_numbers(args)))
    x = live[0]
    for y in live[1:]:
        r.align(x, y)
        r.equal(r.scale, x.scale, y.scale)
        r.equal(r.sign, x.sign, y.sign)
    if len(live) > 2:
        r.align(live[1], live[2])
    if any(_numbers(args)):
        r.fixed(x)
        r.freeze(x)
    return Value(shape, r.merged(live), x.scale, x.sign)


def extreme(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """max(x, y), min(x, y): positive scales alone; 0 fits every scale."""
    for v in (a for a in args if isinstance(a, Value)):
        r.fixed(v, "sign")
        r.freeze(v)
    return add(r, args, shape, op)


def mapped(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Any other function that works place by place, of one value or several: it allows no character."""
    values = [embedded(a, shape) for a in args if isinstance(a, Value)]
    if len(values) == 1 and isinstance(args[0], Value):
        return unary(r, args, shape, op)
    for v in values:
        r.fixed(v)
        r.freeze(v)
    for k, v in enumerate(values):
        for w in values[k + 1 :]:
            r.align(v, w)
    return Value(shape, r.merged(values))


def where(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """One of two values, place by place; the condition counts for units alone (comparisons have fixed what they compare)."""
    condition, rest = embedded(args[0], shape), args[1:]
    finite = [a for a in rest if isinstance(a, Value) or abs(a) < float("inf")]
    if len(finite) < len(rest):
        for v in (a for a in finite if isinstance(a, Value)):
            r.fixed(v, "sign")
    out = add(r, finite, shape, op)
    for v in (embedded(a, shape) for a in finite if isinstance(a, Value)):
        r.align(v, condition)
        if condition.units:
            r.freeze(v)
    return Value(shape, r.merged([out, condition]), out.scale, out.sign)


def fill(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """masked_fill(x, mask, number)."""
    return where(r, [args[1], args[2], args[0]], shape, op)


def compare(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """x > y: the same for all positive multiples of both."""
    values = [embedded(a, shape) for a in args if isinstance(a, Value)]
    for v in values:
        r.fixed(v, "sign")
        r.freeze(v)
    out = add(r, args, shape, op)
    return Value(shape, out.grids)


def logical(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Truth values, place by place: comparisons have fixed what they compare."""
    return Value(shape, add(r, args, shape, op).grids)


def multiply(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """x * y and x / y: characters add up, or are taken away."""
    if not isinstance(args[1], Value):
        return args[0] if args[1] else Value(shape, zero=True)
    if not isinstance(args[0], Value):
        one = args[1]
        if op == "aten.mul.Tensor":
            return one if args[0] else Value(shape, zero=True)
        return characters(r, one, Nature(MINUS, 1))
    x, y = (embedded(a, shape) for a in args)
    if x.zero or (y.zero and op == "aten.mul.Tensor"):
        return Value(shape, zero=True)
    return product(r, x, y, shape, MINUS if op == "aten.div.Tensor" else ONE)


def product(r: Reader, x: Value, y: Value, shape: Shape, power: Number = ONE, gone: Sequence[int] = ()) -> Value:
    """x * y ** power in one space, before a sum over the axes ``gone``."""
    gain = x.block is not None or y.block is not None
    r.align(x, y, product="gain" if gain else "function", gone=gone)
    scale = _tidy(r.scale, [(ONE, g) for g in x.scale] + [(power, g) for g in y.scale])
    sign = _tidy(r.sign, [(ONE, g) for g in (*x.sign, *y.sign)])
    return Value(shape, r.merged([x, y]), scale, sign)


def _tidy(system: Any, parts: list[tuple[Number, Grid]]) -> tuple[Grid, ...]:
    """Characters on equal axes added up; those that are 0 are left out."""
    out = []
    for axes in dict.fromkeys(g.axes for _, g in parts):
        ids = system.combine([(f, g.ids) for f, g in parts if g.axes == axes])
        if ids.any():
            out.append(Grid(axes, ids))
    return tuple(out)


# -- reductions ----------------------------------------------------------------------------------------------------------


def dims_of(args: list[Any], where: int, ndim: int) -> tuple[int, ...]:
    dims = args[where] if len(args) > where else None
    dims = (dims,) if isinstance(dims, int) else dims
    return tuple(range(ndim)) if not dims else tuple(sorted(d % ndim for d in dims)) if ndim else ()


def summed(r: Reader, x: Value, gone: Sequence[int], keepdim: bool, shape: Shape, pin: bool = False) -> Value:
    """A sum over some axes: characters do not change along them; what is kept of a larger grid is a parent."""
    if x.zero:
        return Value(shape, zero=True)
    scale, sign = (r.constant(s, c, gone, pin) for s, c in ((r.scale, x.scale), (r.sign, x.sign)))
    grids = [kept(r, g, gone) for g in x.grids]
    names = [a if keepdim else a - sum(b < a for b in gone) for a in range(len(x.shape))]
    rest = Value(x.shape, tuple(g for g in grids if g is not None and g.axes), scale, sign)
    return renamed(r.tidy(rest), names, shape)


def kept(r: Reader, g: Grid, gone: Sequence[int]) -> Grid | None:
    """What is left of a grid without some axes: units there are parents of those that stood along them."""
    if not set(g.axes) & set(gone):
        return g
    keep = tuple(a for a in g.axes if a not in gone)
    if not keep:
        return None
    shape = tuple(n for a, n in zip(g.axes, g.ids.shape, strict=True) if a in keep)
    rows = r.rows(g, keep)
    alike = np.unique(rows, axis=0, return_inverse=True)[1].reshape(shape)
    if g.inert:
        return Grid(keep, alike, True)
    parents = Grid(keep, r.new((int(alike.max(initial=0)) + 1,))[alike])  # copies along a batch are one
    r.parent(g.ids, over(parents, g.axes), (r.node, "part"))
    return parents


def reduce(positive: bool = False) -> Callable[..., Value]:
    """sum and mean; amax and amin (positive scales alone)."""

    def face(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
        x = args[0]
        gone = dims_of(args, 1, len(x.shape))
        if positive:
            r.fixed(x, "sign")
        if "products" in x.facts:  # the sum of a contraction, which has frozen what it had to
            pass
        elif "squares" not in x.facts:
            r.freeze(x, gone, "mean" if op == "aten.mean.dim" else "function")
        else:  # sums of squares over all of some units; others are squared one by one
            r.frozen += [(g.ids.reshape(-1), "function") for g in x.units if not set(g.axes) <= set(gone)]
        return summed(r, x, gone, bool(len(args) > 2 and args[2]), shape)

    return face


def power(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """x ** p; squares that are then summed over all units allow orthogonal matrices, so that they freeze nothing yet."""
    x, n = args[0], nature(op, tuple(args[1:]))
    if x.zero and args[1] > 0:
        return x
    if args[1] != 2.0:
        r.freeze(x)
        return characters(r, x, n)
    out = characters(r, x, n)
    return Value(out.shape, out.grids, out.scale, out.sign, facts=frozenset({"squares"}))


def norm(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """A vector norm along some axes."""
    x, p = args[0], args[1] if len(args) > 1 else 2
    gone = dims_of(args, 2, len(x.shape))
    if p != 2 or not all(set(g.axes) <= set(gone) or not set(g.axes) & set(gone) for g in x.units):
        r.freeze(x)
    even = Value(x.shape, x.grids, x.scale, ())
    return summed(r, even, gone, bool(len(args) > 3 and args[3]), shape)


def softmax(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    """Softmax, log-softmax: no character, no matrices."""
    x = args[0]
    r.fixed(x)
    r.freeze(x)
    grids = [x]
    if op == "jensen.masked_softmax":
        mask = embedded(args[1], shape)
        r.align(x, mask)
        grids.append(mask)
    return Value(shape, r.merged(grids))


def logsumexp(r: Reader, args: list[Any], shape: Shape, op: str) -> Value:
    x = args[0]
    r.fixed(x)
    r.freeze(x)
    gone = dims_of(args, 1, len(x.shape))
    return summed(r, Value(x.shape, x.grids), gone, bool(len(args) > 2 and args[2]), shape)
