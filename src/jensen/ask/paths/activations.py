"""Permutations from what the units say: correlations of two networks' activations on the data (Li et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jensen.ask.equivalence.layout import Placed
from jensen.ask.paths.matching import assignment
from jensen.ask.paths.points import Point
from jensen.ask.symmetry.group import Site, Step
from jensen.cost import Cost

SAMPLES = 2048  # values of each unit
CHANNELS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def permutations(cost: Cost, factors: Sequence[Placed], a: Point, b: Point) -> list[Step]:
    """For each permutation whose units are outputs of linear or convolution layers: the one of highest correlation."""
    moving = [f for f in factors if f.factor.kind == "permutation"]
    part = cost.part_module(cost.parts()[0][0])
    model = getattr(part, "model", None)
    if model is None:
        return []
    layers = {id(f): [(m, s) for s in f.factor.sites for m in [_layer(model, s)] if m is not None] for f in moving}
    names = {m for found in layers.values() for m, _ in found}
    heard = [_outputs(cost, p, names) for p in (a, b)]
    steps = []
    for f in moving:
        values = [[_units(h[m], model.get_submodule(m), s) for m, s in layers[id(f)] if m in h] for h in heard]
        if values[0]:
            left, right = (_standard(torch.cat(v, 1)) for v in values)
            steps.append(Step(f.factor, assignment((left @ right.T).abs())))
    return steps


def _layer(model: nn.Module, site: Site) -> str | None:
    """The layer whose outputs the units of a site are; None where they are not a layer's outputs one by one."""
    name, _, last = site.block.rpartition(".")
    if last != "weight" or site.axes != (0,) or site.positions.shape[1] != 1:
        return None
    try:
        layer = model.get_submodule(name)
    except AttributeError:
        return None
    return name if isinstance(layer, (nn.Linear, *CHANNELS)) else None


def _outputs(cost: Cost, point: Point, names: set[str]) -> Mapping[str, Tensor]:
    """Outputs of some layers on the first chunk of the data."""
    chunk = cost.parts()[0][0]
    part: Any = (cost.holding(point.buffers) if point.buffers else cost).part_module(chunk)
    heard: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        return lambda module, inputs, out: heard.__setitem__(name, out.detach())

    handles = [part.model.get_submodule(n).register_forward_hook(hook(n)) for n in names]
    try:
        values = {f"model.{n}": t for n, t in {**cost.fixed, **point.theta}.items()}
        with torch.no_grad():
            torch.func.functional_call(part, values, () if chunk is None else chunk.tensors)
    finally:
        for h in handles:
            h.remove()
    return heard


def _units(out: Tensor, layer: nn.Module, site: Site) -> Tensor:
    """(n, samples)"""
    axis = 1 if isinstance(layer, CHANNELS) and out.dim() > 2 else -1
    rows = out.movedim(axis, 0).reshape(out.shape[axis], -1)
    step = max(rows.shape[1] // SAMPLES, 1)
    return rows[torch.from_numpy(site.positions[:, 0]), ::step].double()


def _standard(rows: Tensor) -> Tensor:
    rows = rows - rows.mean(1, keepdim=True)
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(1e-300)
