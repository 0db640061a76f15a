"""The torch reading of a program: each operation's schema name looked up in torch.ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from jensen.kernel.program import Problem, Program, Term, fill
from jensen.linalg.accumulate import accumulated, total
from jensen.linalg.function_readings import FUNCTIONS
from jensen.linalg.tensor_readings import READINGS


def _arithmetic(f: Callable[..., Any]) -> Callable[..., Any]:
    """With numbers as tensors, of torch's type for them: 0.9 beside truth values or whole numbers stays 0.9."""

    def apply(x: Any, y: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            x = torch.tensor(x, dtype=torch.result_type(y, x))
        if not isinstance(y, torch.Tensor):
            y = torch.tensor(y, dtype=torch.result_type(x, y))
        return f(x, y)

    return apply


def _clamped_log(x: torch.Tensor, low: float) -> torch.Tensor:
    """Its derivative below the clamp is 0, at 0 too, where that of the logarithm is infinite."""
    below = torch.log(x.detach()) <= low
    return torch.where(below, low, torch.log(torch.where(below, 1.0, x)))


WHOLE = "whole."  # in front of what torch computes on integers and truth values (jensen.normal_integers)


def _whole(f: Callable[..., Any], result: str, kinds: Sequence[str], *args: Any) -> torch.Tensor:
    """Its operands in their types first: constants of programs may have others."""
    pairs = zip(args, [*kinds, *[""] * (len(args) - len(kinds))], strict=True)
    given = [torch.as_tensor(a).to(getattr(torch, k)) if k else a for a, k in pairs]
    return f(*given).to(getattr(torch, result))


UNSTORED = ("dtype", "layout", "device", "pin_memory", "memory_format", "generator")

OWN: dict[str, Callable[..., Any]] = {
    "jensen.clamped_log": _clamped_log,
    "aten.add.Tensor": _arithmetic(torch.add),
    "aten.sub.Tensor": _arithmetic(torch.sub),
    "aten.mul.Tensor": _arithmetic(torch.mul),
    "aten.div.Tensor": _arithmetic(torch.div),
}
OWN |= READINGS
OWN |= FUNCTIONS
OWN |= {f"aten.{n}.Tensor": _arithmetic(getattr(torch, n)) for n in ("gt", "ge", "lt", "le", "eq", "ne")}
OWN |= {f"aten.{n}.default": _arithmetic(getattr(torch, n)) for n in ("maximum", "minimum")}


@lru_cache(maxsize=1024)
def function(op: str) -> Callable[..., Any]:
    """The torch function behind a program's operation."""
    if op in OWN:
        return OWN[op]
    if op.startswith(WHOLE):
        return partial(_whole, function_of(op.removeprefix(WHOLE)))
    return function_of(op)


def function_of(op: str) -> Callable[..., Any]:
    """torch's own operation of that name."""
    space, name, overload = op.split(".")
    return by_name(getattr(getattr(getattr(torch.ops, space), name), overload))


def by_name(f: Any) -> Callable[..., Any]:
    """The operation with its keyword-only arguments given in their order, as programs hold them."""
    spec = [a for a in f._schema.arguments if a.name not in UNSTORED or not a.kwarg_only]
    plain = sum(not a.kwarg_only for a in spec)
    names = [a.name for a in spec[plain:]]
    if not names:
        return f
    return lambda *args: f(*args[:plain], **dict(zip(names, args[plain:], strict=False)))


def constant(a: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """A constant of a program; floats in the given type."""
    t = torch.from_numpy(np.ascontiguousarray(a)).reshape(a.shape)
    return t.to(dtype) if t.is_floating_point() else t


def run(program: Program, tensors: Mapping[str, np.ndarray], theta: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The program's output at given blocks."""
    return run_all(program, tensors, theta)[program.output]


def run_all(program: Program, tensors: Mapping[str, np.ndarray], theta: Mapping[str, torch.Tensor]) -> list[Any]:
    """Every node's value at given blocks."""
    dtype = next(iter(theta.values())).dtype
    values: list[Any] = []
    for node in program.nodes:
        if node.op == "block":
            values.append(theta[node.args[0]])
        elif node.op == "const":
            values.append(constant(tensors[node.args[0]], dtype))
        else:
            values.append(function(node.op)(*fill(node.args, values)))
    return values


def streamed(problem: Problem) -> bool:
    """Whether the constants of some term are read again each time they are asked for."""
    return any(getattr(term.tensors, "streamed", False) for term in problem.terms)


def term_value(term: Term, theta: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One term of J, weighted, by the torch reading of its program."""
    return run(term.program, term.tensors, theta) * float(term.weight)


def program_value(problem: Problem, theta: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """J by the torch reading of the programs; of streamed data one chunk at a time is in memory."""
    terms = [partial(term_value, term) for term in problem.terms]
    return accumulated(terms, theta) if streamed(problem) else total(terms, theta)
