"""How a stack is trained: on which data, in which type, how many copies at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from jensen.ask.minima.lbfgs import lbfgs
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.train import Gradients, Trained, train
from jensen.cost import Cost
from jensen.linalg.population import Population
from jensen.trace import trace

DTYPES = {"float64": torch.float64, "float32": torch.float32}
MEMORY = 2**28  # bytes of what one stack keeps for its derivatives
MOST = 64


def choose(cost: Cost, spec: Spec) -> Spec:
    """The spec with its stack and its choices made."""
    stack = spec.stack or max(1, min(MOST, MEMORY // max(_bytes(cost), 1)))
    return replace(spec, stack=stack, compiled=bool(spec.compiled))


def _bytes(cost: Cost) -> int:
    """What one copy's values and Hessian take in float64, about."""
    problem = trace(cost).problem
    from jensen.atoms import registry

    values = sum(prod(s) for s in problem.linked(0, registry()).shapes)
    n = sum(prod(s) for s in cost.blocks.values())
    return 8 * (3 * values + 3 * n * n)


def trained(cost: Cost, spec: Spec, start: Tensor, runs: Sequence[int]) -> Trained:
    """The first-order training of one stack."""
    dtype = DTYPES[spec.dtype]
    population = Population(trace(cost).problem, dtype, spec.device)
    gradients = full(population)
    with torch.no_grad():
        if spec.optimiser == "lbfgs":
            return lbfgs(gradients, start.to(dtype), spec, population.flat)
        return train(gradients, start.to(dtype), spec, population.flat)


def full(population: Population) -> Gradients:
    """All data in every step."""
    return lambda points, step: population.gradients(points)
