"""A unit of a census: one stack of runs, trained, polished and judged; the same wherever it is computed.

A unit is a block of ``stack`` consecutive runs. Blocks are always computed whole, so that a run's end depends on the cost,
the spec and the run's number alone, bit for bit on the same kind of device and number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jensen.ask.minima import stacks
from jensen.ask.minima.bounds import bound_of
from jensen.ask.minima.end import End
from jensen.ask.minima.inits import starts
from jensen.ask.minima.judge import Judged, judge
from jensen.ask.minima.large import judge_large
from jensen.ask.minima.polish import DENSE, Path, first
from jensen.ask.minima.polishing import polished
from jensen.ask.minima.spec import Spec, checked
from jensen.ask.minima.train import Trained
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.population import Population
from jensen.trace import trace

ESCAPES = 3  # times that a run goes on from below a point where J falls beyond second order

Progress = Callable[[dict[str, Any]], None]


def plan(cost: Cost, spec: Spec) -> Spec:
    """What the spec leaves open, chosen once for all units: the stack, and whether the gradient is compiled."""
    if not isinstance(cost, Cost):
        raise Misuse(f"the cost is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    spec = checked(spec)
    lower = bound_of(trace(cost).problem) if spec.lower is None else spec.lower
    return replace(stacks.choose(cost, spec), lower=lower, symmetries=spec.zero_modes)


def run_unit(cost: Cost, spec: Spec, runs: Iterable[int], progress: Progress | None = None) -> list[End]:
    """The ends of some runs, in their order.

    Args:
        cost: The cost.
        spec: What ``plan`` gave.
        runs: Their numbers; whole stacks are computed, and what was not asked for is thrown away.
        progress: Called after each stage with a dict of figures.
    """
    asked, size = list(runs), _size(spec)
    with threads(spec.threads):
        population, _ = stacks.population(cost, torch.float64, spec.device)
        found: dict[int, End] = {}
        for block in sorted({run // size for run in asked}):
            whole = range(block * size, (block + 1) * size)
            found |= {end.run: end for end in _stack(cost, population, spec, whole, progress)}
    return [found[run] for run in asked]


def _size(spec: Spec) -> int:
    if spec.stack is None:
        raise Misuse("the spec has no stack size: give minima's unit what plan(cost, spec) returns")
    return spec.stack


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """So many torch threads, for a while."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stack(cost: Cost, population: Population, spec: Spec, runs: Sequence[int], progress: Progress | None) -> list[End]:
    tell = progress or (lambda figures: None)
    start = starts(cost, spec, runs).to(spec.device)
    trained = stacks.trained(cost, spec, start)
    tell({"stage": "trained", "runs": len(runs), "steps": int(trained.steps.max())})
    heights = population.values(start.double())
    path = polished(population, spec, trained.points.double(), heights, spec.lower)
    tell({"stage": "polished", "runs": len(runs), "steps": int(path.taken.max())})
    judged = _judged(cost, population, spec, path, heights)
    tell({"stage": "judged", "runs": len(runs), "kinds": [j.kind for j in judged]})
    final = path.points.cpu()
    return [_end(population, spec, run, trained, i, judged[i], final[i]) for i, run in enumerate(runs)]


def _judged(cost: Cost, population: Population, spec: Spec, path: Path, heights: Tensor) -> list[Judged]:
    """The verdicts; where J was seen to fall beyond second order, a run that looks for a minimum goes on from there."""
    bound = spec.lower
    if spec.polish is None:
        return _unpolished(population, path)
    if population.n > DENSE:
        return judge_large(cost, population, path, heights, bound, spec.zero_modes)
    judged = judge(population, path, heights, bound, spec.zero_modes)
    for _ in range(ESCAPES if spec.polish == "minimum" else 0):
        rows = [i for i, j in enumerate(judged) if j.lower is not None]
        if not rows:
            break
        below = torch.stack([judged[i].lower for i in rows])  # pyright: ignore[reportArgumentType, reportCallIssue]
        again = polished(population, spec, below, heights[rows], bound)
        for i, verdict in zip(rows, judge(population, again, heights[rows], bound, spec.zero_modes), strict=True):
            judged[i] = verdict
        path.points[rows] = again.points
        path.taken[rows] += again.taken
    return judged


def _unpolished(population: Population, path: Path) -> list[Judged]:
    """Where the training stopped is no critical point, and was not asked to be one."""
    values, slopes, noise = first(population, path.points)
    reason = "the training's end was not polished, so its kind is not asked: polish='minimum' takes second-order steps"
    return [
        Judged("not converged", "", float(v), 8 * float(e), float(g.norm()), 0, 0, reason)
        for v, g, e in zip(values, slopes, noise[0], strict=True)
    ]


def _end(population: Population, spec: Spec, run: int, trained: Trained, i: int, j: Judged, point: Tensor) -> End:
    settled = int(trained.settled[i])
    if bool(trained.failed[i]):
        j = replace(
            j, kind="not converged", how="", reason="J stopped being finite in the training: a smaller step would help"
        )
    theta = {n: t[0] for n, t in population.blocks(point[None]).items()}
    return End(
        run, j.kind, j.how, j.value, j.error, j.gradient_norm, j.index, j.zero_modes, int(trained.steps[i]),
        float(trained.values[i]), None if settled < 0 else settled, theta, j.reason, j.evidence,
    )  # fmt: skip
