"""A shift walked through a program: one rule for each operation; what has no rule must not be shifted."""

from __future__ import annotations

from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import LAYERS, SOFTMAX, Flow, State, Taken, constant_along, numbered, thin
from jensen.ask.symmetry.pointwise import dims_of
from jensen.kernel.program import Ref


def walk(flow: Flow, s: State, v: int, where: np.ndarray, factor: float = 1.0) -> None:
    """Follow ``factor * c[where]`` on node v to all its users."""
    users = flow.users[v]
    if len(s.dead) == s.n:
        return
    if not users:
        s.kill(where)
    centred = [
        k
        for k in users
        if flow.linked.nodes[k].op == "aten.sub.Tensor" and flow.args(k)[0] == Ref(v) and _own_mean(flow, v, k)
    ]
    means = {flow.args(k)[1].index for k in centred}
    for k in users:
        if k in centred:
            dims = flow.is_mean_of(flow.args(k)[1], v)
            tie(s, where, dims or ())
        elif k in means and all(j in centred for j in flow.users[k]):
            continue
        else:
            step(flow, s, k, v, where, factor)


def _own_mean(flow: Flow, v: int, k: int) -> bool:
    return flow.is_mean_of(flow.args(k)[1], v) is not None


def tie(s: State, where: np.ndarray, dims: tuple[int, ...]) -> None:
    """Only what is constant along some axes is killed there: components that meet on a line are equal."""
    if s.free:
        dims = tuple(d % where.ndim for d in dims)
        line = int(np.prod([where.shape[d] for d in dims]))
        moved = np.moveaxis(where, dims, range(-len(dims), 0))
        (small,) = thin(moved)
        rows = small.reshape(-1, int(np.prod(small.shape[len(small.shape) - len(dims) :])))
        if rows.shape[1] != line or (np.diff(np.sort(rows, axis=1), axis=1) == 0).any():
            s.kill(where)
            return
    join(s, where, where[tuple(slice(0, 1) if d in dims else slice(None) for d in range(where.ndim))])


def join(s: State, where: np.ndarray, first: np.ndarray) -> None:
    """Components are equal to those at other places, which broadcast."""
    a, b = thin(*np.broadcast_arrays(where, np.broadcast_to(first, where.shape)))
    pairs = np.unique(np.stack([a.reshape(-1), b.reshape(-1)]), axis=1)
    for x, y in pairs.T.tolist():
        if x >= 0 and y >= 0:
            s.links.join(x, y)
        else:
            s.dead.update(i for i in (x, y) if i >= 0)


def step(flow: Flow, s: State, k: int, v: int, where: np.ndarray, factor: float) -> None:
    """One user of a shifted value."""
    node = flow.linked.nodes[k]
    args = node.args
    at = [p for p, a in enumerate(args) if type(a) is Ref and a.index == v]
    rule = RULES.get(node.op)
    if flow._moves(k):
        walk(flow, s, k, flow.move(k, where), factor)
    elif node.op in ("aten.cat.default", "aten.stack.default"):
        _join(flow, s, k, v, where, factor)
    elif rule is None or len(at) != 1:
        s.kill(where)
    else:
        rule(flow, s, k, at[0], where, factor)


def _join(flow: Flow, s: State, k: int, v: int, where: np.ndarray, factor: float) -> None:
    parts = [where if a.index == v else np.broadcast_to(np.int64(-1), flow.shape(a.index)) for a in flow.args(k)[0]]
    walk(flow, s, k, joined(flow, k, parts), factor)


def joined(flow: Flow, k: int, parts: list[np.ndarray]) -> np.ndarray:
    """Arrays joined as a cat or a stack joins its values."""
    join = np.stack if flow.linked.nodes[k].op == "aten.stack.default" else np.concatenate
    return join(parts, axis=flow.arg(k, 1) or 0)


def _add(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    sub = flow.linked.nodes[k].op == "aten.sub.Tensor"
    signed = factor * (-1 if sub and p == 1 else 1)
    whole = np.broadcast_to(where, flow.shape(k))
    other = flow.args(k)[1 - p]
    if sub and not s.free and _same_source(flow, k):
        return
    if s.carry and type(other) is Ref:
        found = flow.sourced(other.index)
        if found is not None and _takes(flow, k, p, found):
            name, entries = found
            a, e = thin(*np.broadcast_arrays(whole, np.broadcast_to(entries, flow.shape(k))))
            back = -signed * (-1 if sub and p == 0 else 1)
            rows = np.unique(np.stack([a.reshape(-1), np.full(a.size, -1), e.reshape(-1)]), axis=1).T
            s.taken.append(Taken(k, name, None, back, rows))
            return
    walk(flow, s, k, whole, signed)


def _extreme(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    """The larger of two values passes a shift that both have: the other one's bias follows."""
    other = flow.args(k)[1 - p]
    found = flow.sourced(other.index) if s.carry and type(other) is Ref else None
    if found is None or not _takes(flow, k, p, found):
        s.kill(where)
        return
    whole = np.broadcast_to(where, flow.shape(k))
    a, e = thin(*np.broadcast_arrays(whole, np.broadcast_to(found[1], flow.shape(k))))
    rows = np.unique(np.stack([a.reshape(-1), np.full(a.size, -1), e.reshape(-1)]), axis=1).T
    s.taken.append(Taken(k, found[0], None, factor, rows))
    walk(flow, s, k, whole, factor)


def _same_source(flow: Flow, k: int) -> bool:
    """Whether two values are subtracted to which the same entries of one bias are added: its shift is not felt."""
    a, b = (flow.sourced(x.index) if type(x) is Ref else None for x in flow.args(k))
    if a is None or b is None or a[0] != b[0]:
        return False
    left, right = (np.broadcast_to(e, flow.shape(k)) for e in (a[1], b[1]))
    return np.array_equal(left, right)


def _takes(flow: Flow, k: int, p: int, found: tuple[str, np.ndarray]) -> bool:
    """Whether the other side's bias takes the shift up here; of two that could, the second takes up the first's."""
    theirs = flow.terminals(*found)
    mine = flow.sourced(flow.args(k)[p].index)
    if mine is None:
        return True
    own = flow.terminals(*mine)
    return theirs <= own and (theirs != own or p == 0)


def _scaled(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    """Times a number, or times a gain that a bias follows."""
    op, other = flow.linked.nodes[k].op, flow.args(k)[1 - p]
    if type(other) is not Ref:
        number = float(other)
        if op == "aten.div.Tensor" and (p == 1 or not number):
            s.kill(where)
        else:
            walk(flow, s, k, where, factor / number if op == "aten.div.Tensor" else factor * number)
        return
    found = flow.only_add(k) if s.carry and op == "aten.mul.Tensor" and other.index in flow.origin else None
    if found is None:
        s.kill(where)
        return
    n, name, entries = found
    source, gains = flow.origin[other.index]
    shape = flow.shape(n)
    a, g, e = thin(*np.broadcast_arrays(np.broadcast_to(where, shape), np.broadcast_to(gains, shape), entries))
    rows = np.unique(np.stack([a.reshape(-1), g.reshape(-1), e.reshape(-1)]), axis=1).T
    s.taken.append(Taken(n, name, source, -factor, rows))


def _negated(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    walk(flow, s, k, where, -factor)


def _linear(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    if p == 0 and constant_along(where, range(where.ndim - 1)):
        own = where.reshape(-1, where.shape[-1])[0]
        w = flow.args(k)[1].index
        weights = flow.origin.get(w)
        outputs = flow.shape(k)[-1]
        _read(
            flow,
            s,
            k,
            factor,
            own,
            None if weights is None else (weights[0], weights[1].T.reshape(len(own), outputs)),
            where,
        )
    else:
        s.kill(where)


def _read(
    flow: Flow,
    s: State,
    k: int,
    factor: float,
    own: np.ndarray,
    weights: tuple[str, np.ndarray] | None,
    where: np.ndarray,
) -> None:
    """A layer whose input channels j are shifted by c[own[j]]; weights[1] are its entries (channel, output)."""
    b = flow.arg(k, 2) if flow.linked.nodes[k].op in LAYERS else None
    target = None
    if type(b) is Ref:
        target = (k, *flow.origin[b.index]) if b.index in flow.origin else None
    elif weights is not None:
        found = flow.only_add(k)
        target = None if found is None else (found[0], found[1], _on_channels(flow, k, found[2]))
    if (
        s.carry
        and weights is not None
        and target is not None
        and target[2] is not None
        and target[2].size == weights[1].shape[1]
    ):
        outputs = np.broadcast_to(target[2].reshape(-1), weights[1].shape)
        a = np.broadcast_to(own[:, None], outputs.shape)
        rows = np.stack([a.reshape(-1), weights[1].reshape(-1), outputs.reshape(-1)], axis=1)
        s.taken.append(Taken(target[0], target[1], weights[0], -factor, rows[(rows[:, 0] >= 0) & (rows[:, 1] >= 0)]))
        return
    axis = _channel(flow, k)
    n = flow.shape(k)[axis]
    inner = State(n, carry=False, free=s.free)
    walk(flow, inner, k, numbered(flow.shape(k), axis))
    if inner.dead or len(inner.cells()) < n:
        s.kill(where)


def _channel(flow: Flow, k: int) -> int:
    node = flow.linked.nodes[k]
    shape = flow.shape(k)
    return (
        len(shape) - (len(flow.linked.shapes[node.args[1].index]) - 1)
        if node.op.startswith("aten.conv")
        else len(shape) - 1
    )


def _on_channels(flow: Flow, k: int, entries: np.ndarray) -> np.ndarray | None:
    """Entries over a sum's places as entries of channels, where they do not change along the other axes."""
    axis = _channel(flow, k)
    if not constant_along(entries, [a for a in range(entries.ndim) if a != axis]):
        return None
    return np.moveaxis(entries, axis, -1).reshape(-1, entries.shape[axis])[0]


def _convolved(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    w = flow.args(k)[1].index
    nd = len(flow.linked.shapes[w]) - 2
    padding = flow.arg(k, 4) or 0
    padded = any((padding,) if isinstance(padding, int) else padding)
    axis = where.ndim - nd - 1
    if p != 0 or padded or not constant_along(where, [a for a in range(where.ndim) if a != axis]):
        s.kill(where)
        return
    own = np.moveaxis(where, axis, -1).reshape(-1, where.shape[axis])[0]
    groups = flow.arg(k, 6) or 1
    if w not in flow.origin:
        _read(flow, s, k, factor, own, None, where)
        return
    name, entries = flow.origin[w]
    outputs, each = entries.shape[0], entries.shape[1]
    taps = int(np.prod(entries.shape[2:]))
    table = np.full((groups * each, taps, outputs), -1)
    for o in range(outputs):
        g = o // (outputs // groups)
        table[g * each : (g + 1) * each, :, o] = entries[o].reshape(each, taps)
    _read(flow, s, k, factor, np.repeat(own, taps), (name, table.reshape(-1, outputs)), where)


def _matmul(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    """Rows that add up to one pass what is constant down the columns; scores only feel what changes along their softmax."""
    x, y = flow.args(k)
    other = (y if p == 0 else x).index
    if p == 1 and where.ndim > 1 and constant_along(where, [where.ndim - 2]) and _is_softmax(flow, other):
        shape = flow.shape(k)
        walk(flow, s, k, np.broadcast_to(where[..., :1, :], shape), factor)
        return
    axis = where.ndim - 1 if p == 1 else where.ndim - 2
    if (
        not s.free
        and where.ndim > 1
        and constant_along(where, [axis])
        and softened(flow, k, len(flow.shape(k)) - (1 if p == 1 else 2))
    ):
        return
    if p == 0 and other in flow.origin and len(flow.shape(other)) == 2 and constant_along(where, range(where.ndim - 1)):
        name, entries = flow.origin[other]
        _read(flow, s, k, factor, where.reshape(-1, where.shape[-1])[0], (name, entries), where)
        return
    s.kill(where)


def _is_softmax(flow: Flow, i: int) -> bool:
    node = flow.linked.nodes[i]
    return (
        node.op in ("aten.softmax.int", "jensen.masked_softmax")
        and node.args[-1] % len(flow.shape(i)) == len(flow.shape(i)) - 1
    )


def softened(flow: Flow, v: int, axis: int) -> bool:
    """Whether everything that reads v is a softmax along an axis, so that nothing constant along it matters."""
    for k in flow.users[v]:
        node = flow.linked.nodes[k]
        other = [a for a in node.args if not (type(a) is Ref and a.index == v)]
        if node.op in SOFTMAX and node.args[0] == Ref(v):
            if node.args[-1] % len(flow.shape(k)) != axis:
                return False
        elif node.op in ("aten.add.Tensor", "aten.sub.Tensor") or (
            node.op in ("aten.mul.Tensor", "aten.div.Tensor") and type(other[0]) is not Ref
        ):
            if len(flow.shape(k)) != len(flow.shape(v)) or not softened(flow, k, axis):
                return False
        elif (node.op == "aten.where.self" and _hidden(node.args)) or (
            node.op == "aten.masked_fill.Scalar" and node.args[2] == -np.inf
        ):
            if not softened(flow, k, axis):
                return False
        else:
            return False
    return bool(flow.users[v])


def _hidden(args: tuple[Any, ...]) -> bool:
    """A choice between values and minus infinity."""
    return sum(type(a) is not Ref and a == -np.inf for a in args[1:]) == 1


def _softmax(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    if p == 0:
        tie(s, where, (flow.args(k)[-1] % where.ndim,))
    else:
        s.kill(where)


def _mean(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    dims = dims_of(list(flow.args(k)), 1, where.ndim)
    if not constant_along(where, dims):
        s.kill(where)
        return
    small = where[tuple(slice(0, 1) if d in dims else slice(None) for d in range(where.ndim))]
    count = int(np.prod([where.shape[d] for d in dims])) if "sum" in flow.linked.nodes[k].op else 1
    walk(flow, s, k, small.reshape(flow.shape(k)), factor * count)


def _largest(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    """The largest of values passes a shift that all of them have: components that meet along the axes are equal."""
    dims = dims_of(list(flow.args(k)), 1, where.ndim)
    if s.free:
        s.kill(where)
        return
    first = where[tuple(slice(0, 1) if d in dims else slice(None) for d in range(where.ndim))]
    join(s, where, first)
    walk(flow, s, k, first.reshape(flow.shape(k)), factor)


def _pooled(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    op = flow.linked.nodes[k].op
    nd = int(op[op.index("pool") + 4])
    last = range(where.ndim - nd, where.ndim)
    padding = flow.arg(k, 3) if op.startswith("aten.avg_pool") else 0
    padded = any((padding,) if isinstance(padding, int) else padding or ())
    if (s.free and "max" in op) or padded or not constant_along(where, last):
        s.kill(where)
        return
    small = where[tuple(slice(0, 1) if d in last else slice(None) for d in range(where.ndim))]
    walk(flow, s, k, np.broadcast_to(small, flow.shape(k)), factor)


def _wrapped(flow: Flow, s: State, k: int, p: int, where: np.ndarray, factor: float) -> None:
    """Padding with entries of the value itself."""
    shape = flow.shape(k)
    axes = [a for a, (n, m) in enumerate(zip(where.shape, shape, strict=True)) if n != m]
    if s.free or flow.arg(k, 2) not in ("circular", "reflect", "replicate") or not constant_along(where, axes):
        s.kill(where)
        return
    small = where[tuple(slice(0, 1) if a in axes else slice(None) for a in range(where.ndim))]
    walk(flow, s, k, np.broadcast_to(small, shape), factor)


RULES = {
    "aten.pad.default": _wrapped,
    "aten.add.Tensor": _add, "aten.sub.Tensor": _add, "aten.mul.Tensor": _scaled, "aten.div.Tensor": _scaled,
    "aten.neg.default": _negated, "aten.linear.default": _linear, "aten.matmul.default": _matmul,
    "aten.mean.dim": _mean, "aten.sum.dim_IntList": _mean,
    "aten.maximum.default": _extreme, "aten.minimum.default": _extreme, "aten.amax.default": _largest, "aten.amin.default": _largest,
}  # fmt: skip
RULES |= dict.fromkeys(SOFTMAX, _softmax)
RULES |= {f"aten.conv{n}d.default": _convolved for n in (1, 2, 3)}
RULES |= {f"aten.{kind}_pool{n}d.default": _pooled for n in (1, 2, 3) for kind in ("avg", "adaptive_avg", "max")}
RULES |= {f"jensen.adaptive_max_pool{n}d": _pooled for n in (1, 2, 3)}
