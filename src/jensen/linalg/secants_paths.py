"""Maxima along a straight path: for how long does each element lead?

The maximum of finitely many values that move linearly in t is their upper envelope; its rise over [0, 1] is the sum of
each value's own step times the share of time for which it leads, exactly. That is the average of the derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jensen.kernel.program import Ref


def leads(start: Tensor, move: Tensor) -> Tensor:
    """The share of [0, 1] for which each of the values start + t move is the largest.

    Args:
        start: (groups, values), minus infinity for none.
        move: (groups, values).

    Returns:
        (groups, values), rows summing to one. Among equal values the fastest leads, then the first.
    """
    shares = torch.zeros_like(start)
    top = start == start.max(1, keepdim=True).values
    leader = torch.where(top, move, -torch.inf).argmax(1)
    now = start.new_zeros(len(start))
    left = torch.arange(len(start))
    while left.numel():
        p, q = start[left], move[left]
        at, slope = p.gather(1, leader[left, None]), q.gather(1, leader[left, None])
        meets = torch.where(q > slope, (at - p) / (q - slope), torch.inf)  # lines through the leader's, from below
        when = torch.maximum(meets.min(1).values, now[left])
        until = when.clamp(max=1.0)
        shares[left] = shares[left].scatter_add(1, leader[left, None], (until - now[left])[:, None])
        first = meets <= when[:, None]
        leader[left] = torch.where(first, q, -torch.inf).argmax(1)
        now[left] = until
        left = left[when < 1.0]
    return shares


def _pair(sign: float) -> Callable[..., dict[int, Tensor]]:
    """Of two values the larger (or, for a negative sign, the smaller)."""

    def rule(step: Any, adjoint: Tensor) -> dict[int, Tensor]:
        at = [step.values[a.index] if type(a) is Ref else torch.tensor(a, dtype=adjoint.dtype) for a in step.node.args]
        to = [step.stop.get(a.index, v) if type(a) is Ref else v for a, v in zip(step.node.args, at, strict=True)]
        before, after = sign * (at[0] - at[1]), sign * (to[0] - to[1])
        rest = (before > 0).to(adjoint.dtype) + 0.5 * (before == 0).to(adjoint.dtype)
        share = torch.where(after == before, rest, (after.relu() - before.relu()) / (after - before))
        out: dict[int, Tensor] = {}
        for a, v, w in zip(step.node.args, at, (share, 1 - share), strict=True):
            if type(a) is Ref and a.index in step.start:
                g = (adjoint * w).sum_to_size(v.shape)
                out[a.index] = out[a.index] + g if a.index in out else g
        return out

    return rule


def _axes(sign: float) -> Callable[..., dict[int, Tensor]]:
    def rule(step: Any, adjoint: Tensor) -> dict[int, Tensor]:
        ((j, x),) = step.start.items()
        dims = step.node.args[1] if len(step.node.args) > 1 else ()
        dims = (dims,) if isinstance(dims, int) else dims
        axes = sorted(d % x.dim() for d in dims) if dims else list(range(x.dim()))
        order = [d for d in range(x.dim()) if d not in axes] + axes
        size = 1
        for d in axes:
            size *= x.shape[d]

        def groups(t: Tensor) -> Tensor:
            return (sign * t).permute(order).reshape(-1, size)

        shares = leads(groups(x), groups(step.stop[j]) - groups(x)) * adjoint.reshape(-1, 1)
        moved = shares.reshape([x.shape[d] for d in order])
        return {j: moved.permute([order.index(d) for d in range(x.dim())])}

    return rule


def _windows(nd: int, adaptive: bool) -> Callable[..., dict[int, Tensor]]:
    def rule(step: Any, adjoint: Tensor) -> dict[int, Tensor]:
        ((j, x),) = step.start.items()
        sizes, outs = x.shape[-nd:], adjoint.shape[-nd:]
        index = torch.zeros((1, 1), dtype=torch.int64)
        valid = torch.ones((1, 1), dtype=torch.bool)
        for axis in range(nd):
            at = _spans(sizes[axis], outs[axis]) if adaptive else _window(step.node.args, nd, axis, outs[axis])
            ok = (at >= 0) & (at < sizes[axis])
            index = (
                (index[:, None, :, None] * sizes[axis] + at.clamp(0, sizes[axis] - 1)[None, :, None, :])
                .flatten(2)
                .flatten(0, 1)
            )
            valid = (valid[:, None, :, None] & ok[None, :, None, :]).flatten(2).flatten(0, 1)
        flat = x.reshape(-1, sizes.numel())
        move = step.stop[j].reshape(flat.shape) - flat
        p = torch.where(valid, flat[:, index], -torch.inf)
        q = torch.where(valid, move[:, index], 0.0)
        shares = leads(p.flatten(0, 1), q.flatten(0, 1)) * adjoint.reshape(-1, 1)
        out = torch.zeros_like(flat).index_add(1, index.reshape(-1), shares.reshape(len(flat), -1))
        return {j: out.reshape(x.shape)}

    return rule


def _window(args: tuple[Any, ...], nd: int, axis: int, out: int) -> Tensor:
    """The places in each window along one axis; those outside are padding."""

    def part(k: int, default: Any) -> int:
        v = args[k] if len(args) > k and args[k] is not None and args[k] != () else default
        return int(v if isinstance(v, int) else v[axis] if len(v) > 1 else v[0])

    kernel = part(1, None)
    stride, padding, dilation = part(2, args[1]), part(3, 0), part(4, 1)
    return (torch.arange(out) * stride - padding)[:, None] + (torch.arange(kernel) * dilation)[None, :]


def _spans(size: int, out: int) -> Tensor:
    """Adaptive windows, filled up with places outside."""
    start = torch.arange(out) * size // out
    stop = -(-(torch.arange(out) + 1) * size // out)
    at = start[:, None] + torch.arange(int((stop - start).max()))[None, :]
    return torch.where(at < stop[:, None], at, -1)


LEADING: dict[str, Callable[..., dict[int, Tensor]]] = {
    "aten.maximum.default": _pair(1.0),
    "aten.minimum.default": _pair(-1.0),
    "aten.amax.default": _axes(1.0),
    "aten.amin.default": _axes(-1.0),
}
for _nd in (1, 2, 3):
    LEADING[f"aten.max_pool{_nd}d.default"] = _windows(_nd, False)
    LEADING[f"jensen.adaptive_max_pool{_nd}d"] = _windows(_nd, True)
