"""How a stack is trained: on which data, in which type, how many copies at once."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from jensen.ask.curvature.modes import GAIN, timed
from jensen.ask.minima.batches import Full, batches
from jensen.ask.minima.inits import starts
from jensen.ask.minima.lbfgs import lbfgs
from jensen.ask.minima.polish import DENSE
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.train import Trained, train
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.linalg.population import Population
from jensen.trace import trace

DTYPES = {"float64": torch.float64, "float32": torch.float32}
MEMORY = 2**28  # bytes of what one stack keeps for its derivatives
SHARE = 16  # on CUDA, of all the device's memory
MOST = {"cpu": 64, "cuda": 256}
COMPILE_AFTER = 60.0  # seconds of one stack's training: compiling takes about as long where the machine is busy

_KNOWN: WeakKeyDictionary[Cost, dict[Any, Any]] = WeakKeyDictionary()


def choose(cost: Cost, spec: Spec) -> Spec:
    """The spec with its stack and its choices made; on CUDA as much memory is taken as the device has, whatever is free, so
    that the choice is the same each time."""
    kind = torch.device(spec.device).type
    memory = MEMORY if kind == "cpu" else torch.cuda.get_device_properties(spec.device).total_memory // SHARE
    stack = spec.stack or max(1, min(MOST[kind], memory // max(_bytes(cost, spec), 1)))
    chosen = replace(spec, stack=stack, compiled=bool(spec.compiled))
    return chosen if spec.compiled is not None else replace(chosen, compiled=_pays(cost, chosen))


def _pays(cost: Cost, spec: Spec) -> bool:
    """Whether torch.compile makes a stack's training faster by more than it takes itself, as far as one step tells.

    With minibatches it does not: their steps are too short for it to matter.
    """
    if spec.batch is not None or spec.optimiser == "lbfgs" or cost.streamed:
        return False
    many, graphs = population(cost, DTYPES[spec.dtype], spec.device)
    start = starts(cost, spec, range(spec.stack or 1)).to(many.device, many.dtype)
    with torch.no_grad():
        plain = seconds(Full(many, False, graphs), start)
        if plain * spec.steps < COMPILE_AFTER:
            return False
        return seconds(Full(many, True, graphs), start) < GAIN * plain


def seconds(gradients: Full, start: Tensor) -> float:
    """The shortest of three steps after a first."""
    gradients(start, 0)
    return min(timed(lambda: gradients(start, 0), start.device)[1] for _ in range(3))


def _bytes(cost: Cost, spec: Spec) -> int:
    """What one copy's values, and its Hessian where one is formed, take in float64, about."""
    problem = trace(cost).problem
    values = sum(prod(s) for s in problem.linked(0, registry()).shapes)
    if spec.batch is not None:
        data = max((c.shapes[0][0] for c, _ in cost.parts() if c is not None and c.shapes and c.shapes[0]), default=1)
        values = values * min(spec.batch, data) // max(data, 1)
    n = sum(prod(s) for s in cost.blocks.values())
    formed = spec.polish is not None and n <= DENSE
    return 8 * (3 * values + (3 * n * n if formed else 30 * n))


def population(cost: Cost, dtype: torch.dtype, device: str) -> tuple[Population, dict[Any, Any]]:
    """J at many points, and its recorded graphs; both are remembered with the cost."""
    problem, known = trace(cost).problem, _KNOWN.setdefault(cost, {})
    found = known.get((dtype, device))
    if found is None or found[0] is not problem:
        found = known[dtype, device] = (problem, Population(problem, dtype, device), {})
    return found[1], found[2]


def trained(cost: Cost, spec: Spec, start: Tensor) -> Trained:
    """The first-order training of one stack."""
    dtype = DTYPES[spec.dtype]
    many, graphs = population(cost, dtype, spec.device)
    if spec.batch is None:
        gradients = Full(many, bool(spec.compiled), graphs)
    else:
        gradients = batches(cost, spec, dtype, many.device, many.flat)
    with torch.no_grad():
        method = lbfgs if spec.optimiser == "lbfgs" else train
        return method(gradients, start.to(dtype), spec, many.flat)
