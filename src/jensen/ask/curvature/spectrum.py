"""The spectrum of a Hessian: both ends with bounds, the density with bands, trace and shares with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.curvature.answers import Cumulative, Density, Eigenvalue, Estimate, Spectrum
from jensen.ask.curvature.checkpoint import Checkpoint
from jensen.ask.curvature.counts import matrix_of
from jensen.ask.curvature.operator import hessian
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg import density as densities
from jensen.linalg import krylov
from jensen.linalg.density import Measure
from jensen.linalg.ends import Ends, State, Wanted, ends
from jensen.linalg.operators import Counted, Deflated
from jensen.linalg.quadrature import Progress, Rule, Sampling, sample

STEPS = 128  # at most, for each probe
POINTS = 900
MEMORY = 2**31

Watch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Asked:
    """The question, checked."""

    k: int
    tolerance: float
    probes: int
    steps: int | None
    density: bool
    trace: bool
    sides: tuple[str, ...]
    bandwidth: float | None
    zero: float
    failure: float
    method: str | None
    width: int | None
    memory: int
    seed: int


def spectrum(
    cost: Cost | Any,
    at: Mapping[str, Tensor] | None = None,
    of: str | Iterable[str] | None = None,
    k: int = 5,
    tolerance: float = 1e-3,
    probes: int = 10,
    density: bool = True,
    trace: bool = True,
    steps: int | None = None,
    sides: str | Iterable[str] = ("lowest", "highest"),
    bandwidth: float | None = None,
    zero: float = 1e-4,
    failure: float = 1e-3,
    method: str | None = None,
    width: int | None = None,
    memory: int = MEMORY,
    checkpoint: str | PathLike[str] | None = None,
    every: float = 60.0,
    progress: Watch | None = None,
    seed: int = 0,
) -> Spectrum:
    """Both ends of the Hessian's spectrum to a tolerance, and its density, trace and shares with error bars.

    The ends come from thick-restart block Lanczos, which stops when the residual bounds are met and a fresh random
    vector shows that nothing was missed; see ``jensen.linalg.ends``. Density and shares come from stochastic Lanczos
    quadrature on what the converged eigenvectors leave, trace and squared norm from the same probes (the deflation of
    Hutch++, Meyer, Musco, Musco and Woodruff 2021, with Lanczos vectors). Where forming the matrix takes fewer
    products than that, it is formed, and everything is exact up to rounding.

    Args:
        cost: A cost, or a symmetric map with ``n, dtype, device`` and ``map @ block``, for example ``jensen.hessian``.
        at: Where; by default at the current parameters.
        of: Patterns of the blocks in which the Hessian is taken; by default all.
        k: So many eigenvalues at each end.
        tolerance: What the bounds have to reach, relative to the spectral norm.
        probes: Random vectors for density, trace and shares.
        density: Whether the density and the shares are asked for; trace and squared norm alone take two products a probe.
        trace: Whether trace and squared norm are asked for.
        steps: Lanczos steps of each probe; by default as many as make the quadrature's error small beside the probes'.
        sides: The ends that are asked for, "lowest" and "highest".
        bandwidth: Standard deviation of the Gaussian that smooths the density; by default a hundredth of the spectrum's
            width, and no more than a third of the width of its negative and of its positive part.
        zero: Eigenvalues up to this, relative to the spectral norm, count as zero.
        failure: Allowed probability of missing an eigenvalue beyond the listed ones.
        method: "dense" or "iterative"; by default what takes fewer products.
        width: Columns multiplied at once; by default one on a CPU and eight elsewhere for the ends, eight for probes.
        memory: Bytes for the vectors.
        checkpoint: A file for the state of a long solve, written every ``every`` seconds; where it exists, the solve goes
            on from there. It is removed when the answer is there.
        progress: Called after every step with a dict of figures; what it raises stops the solve.
        seed: Of all random numbers.

    Raises:
        Misuse: For a question that cannot be asked like this, with the remedy.
    """
    sides = (sides,) if isinstance(sides, str) else tuple(sides)
    asked = Asked(
        k, tolerance, probes, steps, density, trace or density, sides, bandwidth, zero, failure, method, width, memory, seed
    )
    _check(asked)
    start = time.perf_counter()
    operator = Counted(_operator(cost, at, of))
    if _dense(asked, operator.n):
        return _finish(_from_matrix(asked, operator, progress), operator, start)
    keeper = Checkpoint(checkpoint, _question(asked, operator), every)
    answer = Solve(asked, operator, keeper, progress, start).run()
    keeper.clear()
    return answer


def _check(a: Asked) -> None:
    positive = {"tolerance": a.tolerance, "zero": a.zero, "failure": a.failure}
    for name, value in positive.items():
        if not 0 < value < 1:
            raise Misuse(f"{name}={value!r} must lie between 0 and 1: it is relative to the spectral norm, or a probability")
    if a.k < 1 or a.probes < 2:
        raise Misuse(f"k={a.k} and probes={a.probes}: ask for at least one eigenvalue, and two probes to see their spread")
    if a.steps is not None and a.steps < 2:
        raise Misuse(f"steps={a.steps}: a probe takes at least two steps")
    if not a.sides or not set(a.sides) <= {"lowest", "highest"}:
        raise Misuse(f"sides={a.sides!r}: the ends of a spectrum are 'lowest' and 'highest'")
    if a.method not in (None, "dense", "iterative"):
        raise Misuse(f"method={a.method!r}: it is 'dense' or 'iterative', or None for the cheaper one")
    if a.bandwidth is not None and not a.bandwidth > 0:
        raise Misuse(f"bandwidth={a.bandwidth!r}: the Gaussian's standard deviation must be positive")


def _operator(cost: Any, at: Any, of: Any) -> Any:
    if isinstance(cost, Cost):
        return hessian(cost, at, of)
    if all(hasattr(cost, name) for name in ("n", "dtype", "device", "__matmul__")):
        if at is not None or of is not None:
            raise Misuse("at and of belong to a cost; a Hessian that is given has its point and its blocks")
        return cost
    raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost and no map with n, dtype and device")


def _question(a: Asked, operator: Counted) -> dict[str, Any]:
    inner = operator.inner
    out = {name: getattr(a, name) for name in ("k", "tolerance", "probes", "steps", "density", "trace", "seed", "width")}
    out |= {"sides": list(a.sides), "n": operator.n, "dtype": str(operator.dtype), "bandwidth": a.bandwidth}
    out |= {"zero": a.zero, "failure": a.failure}
    if hasattr(inner, "value") and hasattr(inner, "gradient"):
        out |= {"value": float(inner.value), "gradient": float(inner.gradient.norm())}
    return out


def _dense(a: Asked, n: int) -> bool:
    if a.method is not None:
        return a.method == "dense"
    planned = 6 * a.k * len(a.sides) + (32 * a.probes if a.density else 2 * a.probes if a.trace else 0)
    return n <= planned and 8 * n * n <= a.memory


def _from_matrix(a: Asked, operator: Counted, progress: Watch | None) -> Spectrum:
    """Everything from the matrix itself."""
    n = operator.n
    matrix = matrix_of(operator, progress)
    values = np.linalg.eigvalsh(((matrix + matrix.T) / 2).numpy())
    norm = float(np.abs(values).max())
    noise = n * torch.finfo(operator.dtype).eps * norm + float((matrix - matrix.T).norm())
    low = tuple(Eigenvalue(float(v), noise) for v in values[: a.k]) if "lowest" in a.sides else ()
    high = tuple(Eigenvalue(float(v), noise) for v in values[::-1][: a.k]) if "highest" in a.sides else ()
    measure = Measure(values, noise, n * noise, (), n)
    fine = Spectrum(
        low, high, None, None, 0, 0.0, None, None, None, a.zero * norm, None, n, norm, a.tolerance, 0.0,
        {"lowest": True, "highest": True, "density": True}, "all eigenvalues of the matrix, exact up to rounding",
    )  # fmt: skip
    return _with_measure(fine, a, measure, values)


class Solve:
    """An iterative solve, its products, its clock and its checkpoint."""

    def __init__(self, asked: Asked, operator: Counted, keeper: Checkpoint, progress: Watch | None, start: float):
        self.asked, self.operator, self.keeper, self.progress = asked, operator, keeper, progress
        self.state, self.sampling, figures = keeper.load()
        operator.products = figures.get("products", 0)
        self.start = start - figures.get("seconds", 0.0)

    def run(self) -> Spectrum:
        """Both stages, and what they give."""
        a, operator = self.asked, self.operator
        found, self.state = ends(operator, self.wanted(), self.state, self.on_ends)
        answer = _ends_answer(a, found, operator.n)
        if a.density or a.trace:
            measure, ritz = self.measure(found, self.state)
            answer = _with_measure(answer, a, measure, ritz)
        return _finish(answer, operator, self.start)

    def wanted(self) -> Wanted:
        """The ends that are asked for, within the memory."""
        a, operator = self.asked, self.operator
        vectors = max(a.memory // (operator.n * torch.finfo(operator.dtype).bits // 8), 8)
        low, high = (a.k if side in a.sides else 0 for side in ("lowest", "highest"))
        width = a.width or (1 if operator.device.type == "cpu" else 8)
        room = min(max(64, 4 * (low + high)), max(vectors // 2, low + high + 2 * width))
        return Wanted(low, high, a.tolerance, a.failure, width, room, max(vectors // 2, 8), a.seed)

    def figures(self) -> dict[str, Any]:
        """Products and seconds until now, those of earlier runs included."""
        return {"products": self.operator.products, "seconds": time.perf_counter() - self.start}

    def on_ends(self, state: State, figures: dict[str, Any]) -> None:
        """After a step of the first stage."""
        self.state = state
        self.keeper.keep(state, None, self.figures())
        self.tell(figures)

    def on_density(self, sampling: Progress, figures: dict[str, Any]) -> None:
        """After a step of the second stage."""
        self.sampling = sampling
        self.keeper.keep(self.state, sampling, self.figures())
        self.tell(figures)

    def tell(self, figures: dict[str, Any]) -> None:
        """The caller's progress."""
        if self.progress is not None:
            self.progress({**figures, **self.figures()})

    def measure(self, found: Ends, state: State) -> tuple[Measure, np.ndarray]:
        """The spectral distribution: converged eigenvalues apart, the rest sampled; and all Ritz values."""
        a, operator = self.asked, self.operator
        values, vectors = krylov.ritz(state.space)
        sigma = _bandwidth(a, values, found.noise)
        radii = np.linalg.norm(state.space.coupling @ vectors, axis=0)
        sharp = (radii <= max(0.01 * sigma, found.noise)) | state.space.full
        residual = state.space.coupling @ vectors[:, sharp]
        shift = (float(np.linalg.norm(residual, 2)) if residual.size else 0.0) + found.noise
        spread = 2 * (float(np.linalg.svd(residual, compute_uv=False).sum()) if residual.size else 0.0) + found.noise
        deflated = Deflated(operator, krylov.vectors_of(state.space, vectors[:, sharp]))
        rest = operator.n - int(sharp.sum())
        rules = sample(deflated, self.plan(values[sharp], values, sigma, rest), self.sampling, self.on_density) if rest else ()
        return Measure(values[sharp], shift, spread, rules, operator.n), values

    def plan(self, known: np.ndarray, ritz: np.ndarray, sigma: float, rest: int) -> Sampling:
        """How many probes and steps, and when the steps are enough."""
        a, operator = self.asked, self.operator
        if not a.density:
            return Sampling(a.probes, min(2, rest), a.width or a.probes, a.seed)
        most = min(a.steps or STEPS, rest)
        vectors = a.memory // (operator.n * torch.finfo(operator.dtype).bits // 8)
        width = max(min(a.width or 8, a.probes, vectors // (2 * most)), 1)
        grid = _grid(ritz, sigma)

        def enough(rules: list[Rule]) -> bool:
            pair = rules if len(rules) > 1 else rules * 2
            _, half, wrong = densities.smoothed(Measure(known, 0.0, 0.0, tuple(pair), operator.n), grid, sigma)
            noise = half * np.sqrt(len(pair) / a.probes)
            return bool(np.trapezoid(wrong, grid) <= 0.2 * np.trapezoid(noise, grid))

        return Sampling(a.probes, most, width, a.seed, None if a.steps else enough)


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
        low, high, None, None, 0, 0.0, None, None, None, a.zero * found.norm, None, n, found.norm, a.tolerance, failure,
        complete, words,
    )  # fmt: skip


def _with_measure(answer: Spectrum, a: Asked, m: Measure, ritz: np.ndarray) -> Spectrum:
    """The answer with what the spectral distribution says."""
    trace, norm = _moment(m, 1), _moment(m, 2)
    answer = replace(answer, trace=trace, squared_norm=norm)
    if m.rules:
        answer = replace(answer, method=f"{answer.method}; {len(m.rules)} probes beside {len(m.known)} eigenvectors")
    if not a.density:
        return answer
    width = answer.zero_width
    found = _density(m, ritz, _bandwidth(a, ritz, m.shift))
    negative = _estimate(m, *(part[0] for part in densities.cumulative(m, np.array([-width]))))
    zero = _estimate(m, *(part[0] for part in densities.within(m, width)))
    complete = {**answer.complete, "density": found.resolved}
    return replace(answer, density=found, negative=negative, zero=zero, complete=complete)


def _density(m: Measure, ritz: np.ndarray, sigma: float) -> Density:
    grid = _grid(ritz, sigma)
    value, half, wrong = densities.smoothed(m, grid, sigma)
    floor = densities.gaussian(grid, m.known, sigma).sum(1) / m.n - wrong
    low, high = np.maximum(value - half - wrong, np.maximum(floor, 0.0)), value + half + wrong
    points = _cumulative_grid(ritz)
    share, down, up = densities.cumulative(m, points)
    steps = max((r.steps for r in m.rules), default=0)
    resolved = bool((wrong <= half + 0.01 * value.max()).all())
    return Density(
        grid, value, low, high, sigma, len(m.rules), steps, resolved, Cumulative(points, share, down, up)
    )  # fmt: skip


def _moment(m: Measure, power: int) -> Estimate:
    value, error, half = densities.moment(m, power)
    moved = m.spread * (2 * float(np.abs(m.known).max(initial=0.0)) if power == 2 else 1.0)
    low = value - half - moved
    return Estimate(value, error, max(low, 0.0) if power == 2 else low, value + half + moved)


def _estimate(m: Measure, value: float, low: float, high: float) -> Estimate:
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(m.rules) - 1, 0.975)) if m.rules else 2.0
    return Estimate(float(value), float(high - low) / 2 / quantile, float(low), float(high))


def _bandwidth(a: Asked, values: np.ndarray, noise: float) -> float:
    """A hundredth of the width, and a third of the negative and of the positive part where they are more than rounding."""
    if a.bandwidth is not None:
        return a.bandwidth
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high), 1e-300)
    sides = [abs(v) / 3 for v in (min(low, 0.0), max(high, 0.0)) if abs(v) > max(100 * noise, 1e-7 * size)]
    return min([max((high - low) / 100, 1e-3 * size), *sides])


def _grid(values: np.ndarray, sigma: float) -> np.ndarray:
    """Points where something can be seen: around every Ritz value, and over the whole range."""
    low, high = float(values.min()) - 5 * sigma, float(values.max()) + 5 * sigma
    near = (values[:, None] + sigma * np.linspace(-4, 4, 17)).ravel()
    reach = np.arcsinh(np.array([low, high]) / sigma)
    points = np.sort(np.concatenate([near, np.linspace(low, high, 200), sigma * np.sinh(np.linspace(*reach, 400))]))
    points = points[(points >= low) & (points <= high)]
    gap = sigma / 4
    while True:
        kept = [points[0]]
        for p in points[1:]:
            if p - kept[-1] >= gap:
                kept.append(p)
        if len(kept) <= POINTS:
            return np.array(kept)
        gap *= 1.25


def _cumulative_grid(values: np.ndarray) -> np.ndarray:
    """Zero, and points in equal ratios on both sides of it."""
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high), 1e-300)
    ladder = size * np.geomspace(1e-7, 1.0, 22)
    points = np.concatenate([-ladder[::-1], [0.0], ladder])
    return points[(points >= 1.01 * min(low, 0.0)) & (points <= 1.01 * max(high, 0.0))]


def _finish(answer: Spectrum, operator: Counted, start: float) -> Spectrum:
    return replace(answer, products=operator.products, seconds=time.perf_counter() - start)
