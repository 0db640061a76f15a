"""Running statistics of batch norm, computed again from the data at given parameters (Izmailov et al. 2018, SWA)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jensen.copies import copied
from jensen.cost import Cost
from jensen.errors import Misuse

Statistics = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


def recomputed(cost: Cost) -> Statistics:
    """A function from blocks to the running means and variances that the data has there.

    One pass over the chunks with batch norm in training mode, each chunk counted alike; everything else as it is.

    Raises:
        Misuse: Where the model has no running statistics.
    """
    chunks = [c for c, _ in cost.parts() if c is not None]
    part = copy.deepcopy(cost.part_module(chunks[0])) if chunks else None
    layers = [] if part is None else [m for m in part.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if part is None or not layers:
        raise Misuse("statistics='recomputed' needs batch norm with running statistics; this model has none")
    names = [n for n in cost.buffers if n.rpartition(".")[2] in ("running_mean", "running_var")]
    fixed = cost.fixed

    def statistics(theta: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for layer in layers:
            _begin(layer)
        values = {f"model.{n}": t.detach() for n, t in {**fixed, **theta}.items()}
        with torch.no_grad():
            for chunk in chunks:
                torch.func.functional_call(part, values, chunk.tensors)
        found = dict(part.named_buffers())
        return {n: found[f"model.{n}"].clone() for n in names}

    return statistics


def _begin(layer: nn.Module) -> None:
    layer.train()
    layer.momentum = None  # type: ignore[assignment]  # the mean over all chunks
    layer.reset_running_stats()  # type: ignore[operator]


def in_batches(cost: Cost) -> Cost:
    """The same cost with batch norm on the statistics of its own chunk, as in training; for descent alone."""
    other = copy.copy(cost)
    other._private = copied(cost._private)
    other._model = copied(cost._model)
    other._seen = tuple({} for _ in cost._seen)
    for m in other._model.modules():
        if isinstance(m, _BatchNorm):
            m.train()
    other._programs = {}
    return other
