"""The user's cost with another model, loss or penalty; the user's own model is never changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.parts import FunctionPart

KEEP: Any = object()  # the user's own


def is_function(cost: Cost) -> bool:
    """Whether the cost was made with ``Cost.of``."""
    return isinstance(cost._model, FunctionPart)


def model_of(cost: Cost) -> nn.Module:
    """A copy of the user's model, in its modes and with its parameters; those that are blocks require gradients."""
    model = copy.deepcopy(cost._model)
    blocks = set(cost._names.values())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in blocks)
    return model


class Pairs:
    """The chunks of a cost as data that can be walked again."""

    def __init__(self, cost: Cost):
        self.chunks = cost._chunks

    def __iter__(self) -> Iterator[Any]:
        return (tuple(pytree.tree_unflatten(list(c.tensors), c.spec)) for c in self.chunks)


def data_of(cost: Cost) -> Any:
    """The data of a cost, in a form that can be read again."""
    return Pairs(cost) if cost.streamed else list(Pairs(cost))


def arguments(cost: Cost) -> str:
    """What else the user's own line hands to ``jensen.Cost``, besides model, loss, data and penalty, as Python text."""
    text = f", reduction={cost._reduction!r}" if cost._reduction != "mean" else ""
    text += ", weight=weight" if cost._weight is not None else ""
    return text + (f", dtype={cost.dtype}" if cost.dtype != torch.float64 else "")


def with_parts(cost: Cost, model: nn.Module | None = None, loss: Any = None, penalty: Any = KEEP) -> Cost:
    """The cost with some of its parts exchanged; blocks that were fixed stay fixed, where they still exist.

    Raises:
        Misuse: Where the changed parts make no cost.
    """
    new = Cost(
        model_of(cost) if model is None else model,
        cost._loss if loss is None else loss,
        data_of(cost),
        cost._penalty if penalty is KEEP else penalty,
        cost._reduction,
        cost._weight,
        cost._dtype,
    )
    return _refixed(new, cost)


def _refixed(new: Cost, old: Cost) -> Cost:
    gone = {n: t for n, t in old.fixed.items() if n in new.blocks and tuple(t.shape) == new.blocks[n]}
    if not gone:
        return new
    kept = [n for n in new.blocks if n not in gone]
    if not kept:
        raise Misuse("the change leaves no block that varies")
    out = new.restrict(kept)
    out._fixed.update(gone)
    return out


def with_penalty(cost: Cost, extra: Callable[[Mapping[str, Any]], Any]) -> Cost:
    """The cost plus a function of its blocks."""
    if not is_function(cost):
        old = cost._penalty
        return with_parts(cost, penalty=extra if old is None else lambda blocks: old(blocks) + extra(blocks))
    part: Any = cost._model
    fn = part.fn
    return function(cost, lambda **blocks: fn(**blocks) + extra(blocks))


def function(cost: Cost, fn: Callable[..., Any], values: Mapping[str, Any] | None = None) -> Cost:
    """A cost made with ``Cost.of``, with another function."""
    return _refixed(Cost.of(fn, **(values or {**cost.fixed, **cost.theta})), cost)
