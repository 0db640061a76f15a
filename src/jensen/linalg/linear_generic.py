"""Tangents of operations without a rule: by torch's forward mode, or by its reverse mode twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from jensen.linalg.linear_form import LOST, of


def generic(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], forms: Sequence[Any], out: Any) -> Any:
    """torch's forward mode on the one operation; its reverse mode twice where that is missing."""
    flat, spec = pytree.tree_flatten(args)
    moves = _flat_forms(args, forms)
    where = [i for i, f in enumerate(moves) if f is not None]
    primals, tangents = tuple(flat[i] for i in where), tuple(moves[i].value() for i in where)

    def f(*moving: Tensor) -> Any:
        full = list(flat)
        for i, t in zip(where, moving, strict=True):
            full[i] = t
        result = op(*pytree.tree_unflatten(full, spec), **kwargs)
        outs = result if isinstance(result, (tuple, list)) else (result,)
        return tuple(t for t in outs if isinstance(t, Tensor) and t.is_floating_point())

    try:
        moved = torch.func.jvp(f, primals, tangents)[1]
    except (NotImplementedError, RuntimeError):
        moved = twice_reversed(f, primals, tangents)
    if not isinstance(out, (tuple, list)):
        return of(moved[0]) if moved else None
    known = [of(t) if sure else LOST for t, sure in zip(moved, _differentiated(f, primals), strict=True)]
    found = iter(known)
    return [next(found) if isinstance(t, Tensor) and t.is_floating_point() else None for t in out]


def _differentiated(f: Callable[..., Any], primals: tuple[Tensor, ...]) -> list[bool]:
    """Which outputs torch differentiates; tangents of the others are zeros, which says nothing."""
    found: list[bool] = []

    def seen(*moving: Tensor) -> Any:
        outs = f(*moving)
        found.extend(t.requires_grad for t in outs)
        return outs

    with torch.enable_grad():
        torch.func.vjp(seen, *primals)
    return found


def twice_reversed(f: Callable[..., Any], primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> Any:
    """J v as the derivative of u -> J'u: for operations without a forward formula."""
    outs, pull, *_ = torch.func.vjp(f, *primals)
    return torch.func.vjp(lambda *u: pull(u), *(torch.zeros_like(t) for t in outs))[1](tangents)


def _flat_forms(args: tuple[Any, ...], forms: Sequence[Any]) -> list[Any]:
    out: list[Any] = []
    for a, f in zip(args, forms, strict=True):
        if isinstance(a, (list, tuple)):
            leaves = pytree.tree_leaves(a)
            out += list(f) if isinstance(f, (list, tuple)) else [None] * len(leaves)
        else:
            out += [f] * len(pytree.tree_leaves(a))
    return out
