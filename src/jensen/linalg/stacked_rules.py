"""Rules of the stacked reading: operations on (k, *shape) values that are faster than torch.vmap of them.

A rule is called with flags that tell which arguments are stacked, the number of copies and the arguments; it returns None
where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Flags = tuple[bool, ...]
Rule = Callable[..., Any]

ELEMENTWISE = (
    "tanh", "sigmoid", "relu", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "sin", "cos", "asin", "acos", "atan",
    "abs", "neg", "reciprocal", "erf", "silu", "square",
)  # fmt: skip
PAIRS = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}


def _elementwise(f: Callable[..., Tensor]) -> Rule:
    return lambda flags, copies, x, *rest: None if any(isinstance(r, Tensor) for r in rest) else f(x, *rest)


def _pair(f: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    """Elementwise functions of two values: axes of one are added after the copies' axis until both have as many."""

    def rule(flags: Flags, copies: int, x: Any, y: Any) -> Any:
        if not isinstance(x, Tensor):
            return f(torch.tensor(x, dtype=y.dtype), y)
        if not isinstance(y, Tensor):
            return f(x, torch.tensor(y, dtype=x.dtype))
        axes = max(x.dim() - flags[0], y.dim() - flags[1])
        return f(_widened(x, flags[0], axes), _widened(y, flags[1], axes))

    return rule


def _widened(x: Tensor, stacked: bool, axes: int) -> Tensor:
    """A stacked value with so many axes besides the copies'."""
    missing = axes - (x.dim() - 1)
    return x.reshape(x.shape[0], *(1,) * missing, *x.shape[1:]) if stacked and missing else x


def _linear(flags: Flags, copies: int, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor | None:
    """x (rows, in), w (out, in), b (out), kept with the rows innermost: products and what follows are faster so.

    Where the data is shared, one product does for all copies.
    """
    flags = (*flags, False)[:3]
    if not flags[1] or x.dim() - flags[0] != 2 or w.dim() != 3:
        return None
    if not flags[0]:
        out = (w.reshape(-1, w.shape[2]) @ x.T).reshape(copies, w.shape[1], len(x))
        return (out if b is None else out + _column(b, flags[2])).transpose(1, 2)
    rows = x.transpose(1, 2)
    out = torch.bmm(w, rows) if b is None else torch.baddbmm(_column(b, flags[2]), w, rows)
    return out.transpose(1, 2)


def _column(b: Tensor, stacked: bool) -> Tensor:
    return b[:, :, None] if stacked else b[None, :, None]


def _along(f: Callable[..., Tensor]) -> Rule:
    """Softmax and its logarithm over the last axis of (k, rows, classes), with the rows innermost."""

    def rule(flags: Flags, copies: int, x: Tensor, dim: int, *rest: Any) -> Tensor | None:
        if x.dim() != 3 or dim not in (1, -1) or any(r not in (None, False) for r in rest):
            return None
        return f(x.transpose(1, 2), 1).transpose(1, 2)

    return rule


RULES: dict[str, Rule] = {f"aten.{n}.default": _elementwise(getattr(torch.ops.aten, n).default) for n in ELEMENTWISE}
RULES |= {f"aten.{n}.Tensor": _pair(f) for n, f in PAIRS.items()}
RULES["aten.linear.default"] = _linear
RULES["aten.log_softmax.int"] = _along(torch.log_softmax)
RULES["aten.softmax.int"] = _along(torch.softmax)
