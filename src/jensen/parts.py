"""What is evaluated and exported: a model, its loss and a penalty as one module over a chunk's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from jensen.casts import OneFloatType


class Part(nn.Module):
    """What is exported: the loss of one chunk (and the penalty), or the penalty alone."""

    def __init__(
        self, model: nn.Module, loss: Any, penalty: Any, names: Mapping[str, str], spec: Any, floats: OneFloatType
    ):
        super().__init__()
        self.model, self.names, self.spec = model, names, spec
        self.loss, self.penalty = _as_module(loss), _as_module(penalty)  # so that a traced program tells them apart
        self.floats = floats

    def forward(self, *data: torch.Tensor) -> torch.Tensor:
        with self.floats:
            return self.total(data)

    def total(self, data: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The loss of a chunk, the penalty, or their sum."""
        parts = []
        if self.loss is not None:
            x, y = pytree.tree_unflatten(data, self.spec)
            parts.append(apply_loss(self.loss, apply_model(self.model, x), y))
        if self.penalty is not None:
            named = dict(self.model.named_parameters())
            parts.append(self.penalty({name: named[fqn] for name, fqn in self.names.items()}))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, fn: Callable[..., Any]):
        super().__init__()
        self.fn = fn

    def forward(self, *args: Any) -> Any:
        return self.fn(*args)


def _as_module(fn: Any) -> nn.Module | None:
    return fn if fn is None or isinstance(fn, nn.Module) else Called(fn)


class FunctionPart(nn.Module):
    """A function of named tensors as a module without inputs."""

    def __init__(self, fn: Callable[..., Any], tensors: Mapping[str, torch.Tensor]):
        super().__init__()
        self.fn, self.keys = fn, list(tensors)
        self.values = nn.ParameterList([nn.Parameter(t) for t in tensors.values()])

    def forward(self) -> torch.Tensor:
        with OneFloatType(self.values[0].dtype):
            return self.fn(**dict(zip(self.keys, self.values, strict=True)))


class OneArgument(nn.Module):
    """A model that is called with one argument: a tensor, a tuple of positional or a dict of keyword arguments."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return apply_model(self.model, x)


def at(module: nn.Module, values: Mapping[str, torch.Tensor], args: tuple[Any, ...]) -> Any:
    """What a module gives for other values of its parameters, and what it writes to its buffers goes to copies of them.

    torch.func.functional_call puts things back wrongly where a layer has several names. Here each layer is met under one of
    them, and what is tied is given to all that hold it.
    """
    named = dict(module.named_parameters(remove_duplicate=False))
    given = {id(named[name]): value for name, value in values.items()}
    given |= {id(b): b.clone() for b in module.buffers()}
    tensors = {}
    for prefix, layer in module.named_modules():
        for name, t in (*layer._parameters.items(), *layer._buffers.items()):
            if id(t) in given:
                tensors[f"{prefix}.{name}" if prefix else name] = given[id(t)]
    return torch.func.functional_call(module, tensors, args, tie_weights=False)


def apply_model(model: nn.Module, x: Any) -> Any:
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, (tuple, list)) else model(x)


def apply_loss(loss: Any, out: Any, y: Any) -> Any:
    """torch.nn losses take tuples as separate arguments; any other callable gets the two values as they are."""
    if isinstance(loss, nn.Module) and type(loss).__module__ == "torch.nn.modules.loss":
        outs = out if isinstance(out, tuple) else (out,)
        ys = y if isinstance(y, (tuple, list)) else () if y is None else (y,)
        return loss(*outs, *ys)
    return loss(out, y)
