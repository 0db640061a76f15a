"""What users give a cost, looked at before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from jensen.errors import Misuse


def sensible(model: Any, loss: Any, penalty: Any, weight: Any, dtype: Any) -> None:
    """Refuse what cannot make a cost, by its name."""
    if not isinstance(model, nn.Module):
        raise Misuse(f"model is {type(model).__name__}, not a torch.nn.Module; for a function use Cost.of(fn, ...)")
    if isinstance(loss, type):
        raise Misuse(f"loss is the class {loss.__name__}, not an instance; write {loss.__name__}()")
    if not callable(loss):
        raise Misuse(f"loss is {type(loss).__name__}, which cannot be called; give a torch.nn loss or a function")
    for name, value, form in (
        ("penalty", penalty, "lambda p: p['weight'].square().sum()"),
        ("weight", weight, "lambda x, y: len(x)"),
    ):
        if value is not None and not callable(value):
            raise Misuse(f"{name} is {type(value).__name__}, which cannot be called; give a function, such as {form}")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise Misuse(f"dtype={dtype!r} is no type of real floats; use torch.float64 or torch.float32")


def scalar(out: Any) -> torch.Tensor:
    """What a cost returned, as one real number."""
    if not isinstance(out, torch.Tensor):
        raise Misuse(f"the cost returned {type(out).__name__}, not a tensor; return one number as a tensor")
    if out.numel() != 1:
        raise Misuse(
            f"the cost has shape {tuple(out.shape)}; it must be one number: reduce it, for example with .mean()"
        )
    if out.is_complex():
        raise Misuse("the cost is complex; it must be a real number")
    return out.reshape(())


def block(name: str, value: Any) -> torch.Tensor:
    """A function's named value as a float64 tensor."""
    try:
        if isinstance(value, (bool, int, float)):
            return torch.tensor(float(value), dtype=torch.float64)
        t = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as e:
        raise Misuse(f"block {name!r} is {type(value).__name__}, which is no tensor of floats: {e}") from e
    if not t.is_floating_point():
        raise Misuse(f"block {name!r} has dtype {t.dtype}; blocks are real floats: use .double(), or close over it")
    return t.detach().cpu().double()


def share(weight: Callable[..., Any], x: Any, y: Any) -> Fraction:
    """A chunk's weight by the user's own function."""
    value = weight(x, y)
    try:
        number = float(value.item() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError) as e:
        raise Misuse(f"weight gave {type(value).__name__} for a chunk, which is no number: {e}") from e
    if not math.isfinite(number):
        raise Misuse(f"weight gave {number} for a chunk; it must be finite")
    return Fraction(number)
