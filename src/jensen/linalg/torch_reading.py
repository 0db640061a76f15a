"""The torch reading of a program: each operation's schema name looked up in torch.ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from jensen.kernel.program import Program, fill
from jensen.linalg.tensor_readings import READINGS


def _arithmetic(f: Callable[..., Any]) -> Callable[..., Any]:
    def apply(x: Any, y: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            x = torch.tensor(x, dtype=y.dtype)
        if not isinstance(y, torch.Tensor):
            y = torch.tensor(y, dtype=x.dtype)
        return f(x, y)

    return apply


def _huber(d: torch.Tensor, delta: float = 1.0) -> torch.Tensor:
    return F.huber_loss(d, torch.zeros_like(d), "none", delta)


def _smooth_l1(d: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    return F.smooth_l1_loss(d, torch.zeros_like(d), "none", beta)


def _softplus(x: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    return -F.logsigmoid(-beta * x) / beta


OWN: dict[str, Callable[..., Any]] = {
    "jensen.clamped_log": lambda x, low: torch.log(x).clamp(min=low),
    "jensen.softplus": _softplus,
    "jensen.softsign": F.softsign,
    "jensen.tanhshrink": F.tanhshrink,
    "jensen.huber": _huber,
    "jensen.smooth_l1": _smooth_l1,
    "jensen.xlogx": lambda x: x * torch.log(x),
    "jensen.rel_entr": lambda x, y: x * torch.log(x / y),
    "aten.gelu.default": lambda x, approximate="none": F.gelu(x, approximate=approximate),
    "aten.add.Tensor": _arithmetic(torch.add),
    "aten.sub.Tensor": _arithmetic(torch.sub),
    "aten.mul.Tensor": _arithmetic(torch.mul),
    "aten.div.Tensor": _arithmetic(torch.div),
}
OWN |= READINGS
OWN |= {f"aten.{n}.Tensor": _arithmetic(getattr(torch, n)) for n in ("gt", "ge", "lt", "le", "eq", "ne")}
OWN |= {f"aten.{n}.default": _arithmetic(getattr(torch, n)) for n in ("maximum", "minimum")}


@lru_cache(maxsize=1024)
def function(op: str) -> Callable[..., Any]:
    """The torch function behind a program's operation."""
    if op in OWN:
        return OWN[op]
    space, name, overload = op.split(".")
    return getattr(getattr(getattr(torch.ops, space), name), overload)


def _tensor(a: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    t = torch.from_numpy(np.ascontiguousarray(a)).reshape(a.shape)
    return t.to(dtype) if t.is_floating_point() else t


def run(program: Program, tensors: Mapping[str, np.ndarray], theta: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The program's output at given blocks."""
    dtype = next(iter(theta.values())).dtype
    values: list[Any] = []
    for node in program.nodes:
        if node.op == "block":
            values.append(theta[node.args[0]])
        elif node.op == "const":
            values.append(_tensor(tensors[node.args[0]], dtype))
        else:
            values.append(function(node.op)(*fill(node.args, values)))
    return values[program.output]
