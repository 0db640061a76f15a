"""The second-order part of a run: steps, with a look now and then whether a copy is on its way to infinity."""

from __future__ import annotations

from torch import Tensor

from jensen.ask.minima import infinity
from jensen.ask.minima.polish import WINDOW, Path, begin, critical, further
from jensen.ask.minima.spec import Spec
from jensen.linalg.population import Population

FLOOR = 1e-20  # of the fall from the start: below it a tail can soon not be told from rounding


def polished(population: Population, spec: Spec, points: Tensor, heights: Tensor, bound: float | None) -> Path:
    """The paths from where the training stopped; copies on their way to infinity stop while rounding does not hide it.

    Args:
        population: J in float64.
        spec: Says where to: a minimum, any critical point, or nowhere.
        points: (k, n).
        heights: J where the runs started, (k,).
        bound: What J is never below.
    """
    if spec.polish == "saddle":
        path = critical(population, points, spec.polish_steps)
        infinity.watch(population, path, points)
        return path
    path, taken, steps = begin(points), 0, WINDOW
    if bound is not None:
        path.floor = bound + FLOOR * (heights - bound)
    while spec.polish and taken < spec.polish_steps and not bool(path.done.all()):
        further(population, path, min(steps, spec.polish_steps - taken))
        taken, steps = taken + steps, max(WINDOW, taken // 2)
        infinity.watch(population, path, points)
    return path
