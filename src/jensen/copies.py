"""The copies that a cost works on, so that it never touches the model: on the CPU, of one type, with dense gradients."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from jensen.errors import Misuse
from jensen.keys import harness


def copied(module: Any, shared: Iterable[Tensor] = ()) -> Any:
    """A deep copy. What layers have computed and keep as attributes (pruning, weight norm, activations) comes along as values;
    tensors that are shared are not copied, and a trainer that a module is attached to stays behind, with its data."""
    held = [v for m in module.modules() for v in vars(m).values()]
    made = {id(v): v.detach().clone() for v in held if isinstance(v, Tensor) and not v.is_leaf}
    return copy.deepcopy(module, {id(v): v for v in shared} | made | {id(v): None for v in held if harness(v)})


def _dense(module: nn.Module) -> nn.Module:
    """With embeddings that give dense gradients: sparse ones have no second derivative."""
    for m in module.modules():
        if isinstance(m, (nn.Embedding, nn.EmbeddingBag)):
            m.sparse = False
    return module


def private_loss(loss: nn.Module, model: nn.Module, dtype: torch.dtype) -> Any:
    """A loss's copy. One that hides the model in a list or the like goes on reading the model itself, which the gate sees."""
    own = {id(p): n for n, p in model.named_parameters()}
    shared = next((own[id(p)] for p in loss.parameters() if id(p) in own), None)
    if shared is not None:
        raise Misuse(
            f"the loss holds {shared} of the model: J's derivative would miss what it does with it; give that part as "
            f"penalty=lambda p: ... of p[{shared!r}], and the loss without the model"
        )
    return private(loss, dtype, model.parameters())


def _type(t: Tensor, dtype: torch.dtype) -> torch.dtype:
    """A tensor's type in a copy whose floats have this one."""
    return dtype if t.is_floating_point() else dtype.to_complex() if t.is_complex() else t.dtype


def private(module: nn.Module, dtype: torch.dtype, shared: Iterable[Tensor] = ()) -> Any:
    """The copy of a model that a cost works on, on the CPU and of one type."""
    if any(isinstance(m, torch.jit.ScriptModule) for m in module.modules()):
        raise Misuse(
            f"{type(module).__name__} is compiled by torch.jit, so that its layers cannot be read: give the nn.Module that it "
            f"was made from"
        )
    try:
        return _dense(copied(module, shared)._apply(lambda t: t.to("cpu", _type(t, dtype))))
    except (RuntimeError, TypeError, NotImplementedError) as e:
        raise Misuse(
            f"{type(module).__name__} cannot be copied: {e}; jensen works on a copy and never on the model"
        ) from e
