"""The spectrum of a Hessian: both ends with bounds, the density with bands, trace and shares with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ambient import differentiable
from jensen.ask.curvature.answers import Eigenvalue, Spectrum
from jensen.ask.curvature.asked import Asked, asked, told
from jensen.ask.curvature.checkpoint import Checkpoint, question
from jensen.ask.curvature.counts import matrix_of, nonempty
from jensen.ask.curvature.measures import bandwidth_of, grid_of, settled, split, with_measure
from jensen.ask.curvature.operator import hessian
from jensen.ask.curvature.shards import ALONE
from jensen.ask.curvature.subset import subset
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg import krylov
from jensen.linalg.density import Measure
from jensen.linalg.ends import Ends, State, Wanted, ends, fitted, vector_bytes
from jensen.linalg.operators import Counted
from jensen.linalg.quadrature import Progress, Sampling, sample

STEPS = 128  # at most, for each probe
AT_ONCE = 8  # probes

Watch = Callable[[dict[str, Any]], None]
Vectors = tuple[Tensor, Tensor]  # of the highest and of the lowest eigenvalues, (n, k) each


@differentiable()
def spectrum(
    cost: Cost | Any,
    at: Mapping[str, Tensor] | None = None,
    of: str | Iterable[str] | None = None,
    k: int = 5,
    tolerance: float = 1e-3,
    probes: int = 10,
    density: bool = True,
    population: float | None = None,
    checkpoint: str | PathLike[str] | None = None,
    progress: Watch | None = None,
    seed: int = 0,
    **options: Any,
) -> Spectrum:
    """Both ends of the Hessian's spectrum to a tolerance, and its density, trace and shares with error bars.

    The ends come from thick-restart block Lanczos, which stops when the residual bounds are met and a fresh random
    vector shows that nothing was missed; see ``jensen.linalg.ends``. Density and shares come from stochastic Lanczos
    quadrature on what the converged eigenvectors leave, trace and squared norm from the same probes (the deflation of
    Hutch++, Meyer, Musco, Musco and Woodruff 2021, with Lanczos vectors). Where forming the matrix takes fewer
    products than that, it is formed, and everything is exact up to rounding.

    Args:
        cost: A cost, or a symmetric map with ``n, dtype, device`` and ``map @ block``, for example ``jensen.hessian``.
        at, of: Where, and in which blocks; by default at the current parameters, in all.
        k, tolerance, probes, density, seed, options: See ``jensen.ask.curvature.asked.Asked``.
        population: How many rows of data there are in all, where the cost has a part of them; infinity for a
            distribution. Then ``subset`` says how much the answer would vary with other data.
        checkpoint: A file for the state of a long solve; where it exists, the solve goes on from there. It is removed
            when the answer is there. Of several processes, the first one's file is used.
        progress: Called after every step with a dict of figures; what it raises stops the solve.

    Raises:
        Misuse: For a question that cannot be asked like this, with the remedy.
    """
    start = time.perf_counter()
    a = asked(k=k, tolerance=tolerance, probes=probes, density=density, seed=seed, **options)
    operator = Counted(_operator(cost, at, of))
    nonempty(operator.n)
    shard = getattr(operator.inner, "shard", ALONE)
    told(progress)
    checkpoint = shard.gather([checkpoint])[0]
    asks = {} if checkpoint is None else question(a, operator)
    keeper = Checkpoint(checkpoint, asks, a.every, operator.device, shard)
    answer, vectors, start = _solve(a, operator, keeper, progress, start)
    if population is not None:
        answer = replace(answer, subset=subset(cost, operator, at, of, population, *vectors, seed))
    keeper.clear()
    return replace(answer, products=operator.products, seconds=time.perf_counter() - start)


def _solve(
    a: Asked, operator: Counted, keeper: Checkpoint, progress: Watch | None, start: float
) -> tuple[Spectrum, Vectors, float]:
    if a.is_dense(operator.n):
        keeper.load()  # a state of another question is refused, and not removed
        return *_from_matrix(a, operator, progress), start
    solve = Solve(a, operator, keeper, progress, start)
    try:
        return *solve.run(), solve.start
    except Formable:
        return *_from_matrix(a, operator, progress), solve.start


def _operator(cost: Any, at: Any, of: Any) -> Any:
    if isinstance(cost, Cost):
        return hessian(cost, at, of)
    if all(hasattr(cost, name) for name in ("n", "dtype", "device", "__matmul__")):
        if at is not None or of is not None:
            raise Misuse("at and of belong to a cost; a Hessian that is given has its point and its blocks")
        return cost
    raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost and no map with n, dtype and device")


def _from_matrix(a: Asked, operator: Counted, progress: Watch | None) -> tuple[Spectrum, Vectors]:
    """Everything from the matrix itself, and the vectors of the ends."""
    n = operator.n
    matrix = matrix_of(operator, progress)
    krylov.computable(float(matrix.abs().max()))
    values, vectors = np.linalg.eigh(((matrix + matrix.T) / 2).numpy())
    norm = float(np.abs(values).max())
    noise = n * torch.finfo(operator.dtype).eps * norm + float((matrix - matrix.T).norm())
    low = tuple(Eigenvalue(float(v), noise) for v in values[: a.k]) if "lowest" in a.sides else ()
    high = tuple(Eigenvalue(float(v), noise) for v in values[::-1][: a.k]) if "highest" in a.sides else ()
    measure = Measure(values, noise, n * noise, (), n)
    fine = Spectrum(
        low, high, None, None, 0, 0.0, None, None, None, a.width_of_zero(norm), None, n, norm, a.tolerance, 0.0,
        {"lowest": True, "highest": True, "density": True}, "all eigenvalues of the matrix, exact up to rounding",
    )  # fmt: skip
    columns = torch.from_numpy(vectors)
    sigma = bandwidth_of(a, values, noise)
    return with_measure(fine, a, measure, values, sigma), (columns.flip(1)[:, : len(high)], columns[:, : len(low)])


class Formable(Exception):
    """The ends have taken as many products as the matrix has columns, and it fits: with as many again all of it is known."""


class Solve:
    """An iterative solve, its products, its clock and its checkpoint."""

    def __init__(self, asked: Asked, operator: Counted, keeper: Checkpoint, progress: Watch | None, start: float):
        self.asked, self.operator, self.keeper, self.progress = asked, operator, keeper, progress
        self.state, self.sampling, figures = keeper.load()
        operator.products += figures.get("products", 0)
        self.start = start - figures.get("seconds", 0.0)

    def run(self) -> tuple[Spectrum, Vectors]:
        """Both stages, what they give, and the vectors of the ends."""
        a, operator = self.asked, self.operator
        found, self.state = ends(operator, self.wanted(), self.state, self.on_ends)
        answer = _ends_answer(a, found, operator.n)
        if a.density or a.trace:
            ritz, _ = krylov.ritz(self.state.space)
            sigma = bandwidth_of(a, ritz, found.noise)
            answer = with_measure(answer, a, self.measure(found, self.state, ritz, sigma), ritz, sigma)
        return answer, (found.high_vectors, found.low_vectors)

    def wanted(self) -> Wanted:
        """The ends that are asked for, within the memory."""
        a, operator = self.asked, self.operator
        low, high = (a.k if side in a.sides else 0 for side in ("lowest", "highest"))
        width = a.width or (1 if operator.device.type == "cpu" else 8)
        return fitted(Wanted(low, high, a.tolerance, a.failure, width, seed=a.seed), operator, a.memory)

    def figures(self) -> dict[str, Any]:
        """Products and seconds until now, those of earlier runs included."""
        return {"products": self.operator.products, "seconds": time.perf_counter() - self.start}

    def on_ends(self, state: State, figures: dict[str, Any]) -> None:
        """After a step of the first stage."""
        self.state = state
        self.keeper.keep(state, None, self.figures())
        self.tell(figures)
        if self.operator.products > self.operator.n and self.asked.may_form(self.operator.n):
            raise Formable

    def on_density(self, sampling: Progress, figures: dict[str, Any]) -> None:
        """After a step of the second stage."""
        self.sampling = sampling
        self.keeper.keep(self.state, sampling, self.figures())
        self.tell(figures)

    def tell(self, figures: dict[str, Any]) -> None:
        """The caller's progress."""
        if self.progress is not None:
            self.progress({**figures, **self.figures()})

    def measure(self, found: Ends, state: State, ritz: np.ndarray, sigma: float) -> Measure:
        """The spectral distribution: converged eigenvalues apart, the rest sampled."""
        measure, deflated = split(self.operator, state.space, 0.01 * sigma, found.noise)
        if not measure.rest:
            return measure
        plan = self.plan(measure, grid_of(ritz, sigma), sigma)
        return replace(measure, rules=sample(deflated, plan, self.sampling, self.on_density))

    def plan(self, measure: Measure, grid: np.ndarray, sigma: float) -> Sampling:
        """How many probes and steps, and when the steps are enough."""
        a, operator = self.asked, self.operator
        if not a.density:
            return Sampling(a.probes, min(2, measure.rest), a.width or a.probes, a.seed)
        vectors = a.memory // vector_bytes(operator)
        most = max(min(a.steps or STEPS, measure.rest, vectors // 2), 2)
        width = max(min(a.width or AT_ONCE, a.probes, vectors // (2 * most)), 1)
        enough = None if a.steps else settled(measure, grid, sigma, a.probes)
        return Sampling(a.probes, most, width, a.seed, enough)


def _ends_answer(a: Asked, found: Ends, n: int) -> Spectrum:
    goal = max(a.tolerance * found.norm, 0.0)
    low = tuple(Eigenvalue(float(v), float(b)) for v, b in zip(found.low, found.low_bounds, strict=True))
    high = tuple(Eigenvalue(float(v), float(b)) for v, b in zip(found.high, found.high_bounds, strict=True))
    wide = goal * (1 + 1e-9) + found.noise
    complete = {
        "lowest": found.low_failure < 1 and all(e.bound <= wide for e in low),
        "highest": found.high_failure < 1 and all(e.bound <= wide for e in high),
    }
    words = "thick-restart block Lanczos"
    failure = max([found.low_failure] * bool(low) + [found.high_failure] * bool(high))
    return Spectrum(
        low, high, None, None, 0, 0.0, None, None, None, a.width_of_zero(found.norm), None, n, found.norm, a.tolerance, failure,
        complete, words,
    )  # fmt: skip
