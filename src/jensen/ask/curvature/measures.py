"""From quadrature rules to answers: the density on a grid that shows every part, trace, shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from jensen.ask.curvature.answers import Cumulative, Density, Estimate, Spectrum
from jensen.ask.curvature.asked import Asked
from jensen.linalg import density as densities
from jensen.linalg import krylov
from jensen.linalg.density import Measure
from jensen.linalg.krylov import Krylov
from jensen.linalg.operators import Deflated
from jensen.linalg.quadrature import Rule

POINTS = 900
MOST = 20_000  # points of a density that is narrow bumps
ROOM = 20_000_000  # of these, times bumps
SEEN = 1e-6  # of a probe's weight, on one node
LEAVE = 0.4  # of the half-width that the probes make, for the quadrature


def split(operator: Any, space: Krylov, radius: float, noise: float) -> tuple[Measure, Deflated]:
    """The eigenvalues that converged to a radius as known, nothing of the rest yet, and the operator on the rest."""
    values, vectors = krylov.ritz(space)
    radii = np.linalg.norm(space.coupling @ vectors, axis=0)
    sharp = (radii <= max(radius, noise)) | space.full
    residual = space.coupling @ vectors[:, sharp]
    singular = np.linalg.svd(residual, compute_uv=False) if residual.size else np.zeros(1)
    measure = Measure(values[sharp], float(singular.max()) + noise, 2 * float(singular.sum()) + noise, (), operator.n)
    return measure, Deflated(operator, krylov.vectors_of(space, vectors[:, sharp]))


def settled(measure: Measure, grid: np.ndarray, sigma: float, probes: int) -> Callable[[list[Rule]], bool]:
    """Whether some rules have steps enough: the quadrature's error is small beside what so many probes will leave."""

    def enough(rules: list[Rule]) -> bool:
        pair = tuple(rules) if len(rules) > 1 else (*rules, *rules)
        _, half, wrong = densities.smoothed(replace(measure, shift=0.0, spread=0.0, rules=pair), grid, sigma)
        noise = half * np.sqrt(len(pair) / probes)
        return bool(np.trapezoid(wrong, grid) <= LEAVE * np.trapezoid(noise, grid))

    return enough


def with_measure(answer: Spectrum, a: Asked, m: Measure, ritz: np.ndarray, sigma: float) -> Spectrum:
    """The answer with what the spectral distribution says."""
    trace, norm = _moment(m, 1), _moment(m, 2)
    answer = replace(answer, trace=trace, squared_norm=norm)
    if m.rules:
        answer = replace(answer, method=f"{answer.method}; {len(m.rules)} probes beside {len(m.known)} eigenvectors")
    if not a.density:
        return answer
    width = answer.zero_width
    found = _density(a, m, ritz, sigma)
    negative = _estimate(m, *(part[0] for part in densities.cumulative(m, np.array([-width]))))
    zero = _estimate(m, *(part[0] for part in densities.within(m, width)))
    complete = {**answer.complete, "density": found.resolved}
    return replace(answer, density=found, negative=negative, zero=zero, complete=complete)


def _density(a: Asked, m: Measure, ritz: np.ndarray, sigma: float) -> Density:
    nodes = [nodes[weights > SEEN] for nodes, weights in (r.gauss for r in m.rules)]
    grid = grid_of(ritz, sigma, np.concatenate([*nodes, m.known])) if a.grid is None else np.array(a.grid)
    value, half, wrong = densities.smoothed(m, grid, sigma)
    floor = densities.bumps(grid, m.known, np.ones(len(m.known)), sigma)[0] / m.n - wrong
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


def bandwidth_of(a: Asked, values: np.ndarray, noise: float) -> float:
    """A hundredth of the width, and a third of the negative and of the positive part where they are more than rounding."""
    if a.bandwidth is not None:
        return a.bandwidth
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high)) or 1.0
    sides = [abs(v) / 3 for v in (min(low, 0.0), max(high, 0.0)) if abs(v) > max(100 * noise, 1e-7 * size)]
    return min([max((high - low) / 100, 1e-3 * size), *sides])


def grid_of(values: np.ndarray, sigma: float, nodes: np.ndarray | None = None) -> np.ndarray:
    """Points where something can be seen: around every Ritz value and node, and over the whole range.

    Where a quarter of the bandwidth from point to point makes too many, the density is narrow bumps with nothing between
    them. Each has points of its own out to eight bandwidths, where the trapezoidal rule may step into the gap.

    Args:
        values: Ritz values, or all eigenvalues.
        sigma: The bandwidth.
        nodes: Where else bumps lie.
    """
    low, high = float(values.min()) - 8 * sigma, float(values.max()) + 8 * sigma
    bumps = values if nodes is None else np.concatenate([values, nodes])
    near = (bumps[:, None] + sigma * np.concatenate([np.linspace(-4, 4, 17), [-8, -7, -6, -5, 5, 6, 7, 8]])).ravel()
    reach = float(np.arcsinh(low / sigma)), float(np.arcsinh(high / sigma))
    ladder = np.concatenate([np.linspace(low, high, 200), sigma * np.sinh(np.linspace(reach[0], reach[1], 400))])
    points = np.concatenate([near, ladder])
    kept = _apart(points[(points >= low) & (points <= high)], sigma / 4)
    if len(kept) <= POINTS:
        return kept
    around = (bumps[:, None] + sigma * np.arange(-8, 9)).ravel()
    points, gap, most = np.concatenate([around, ladder]), sigma / 2, max(POINTS, min(MOST, ROOM // len(bumps)))
    while len(kept := _apart(points, gap)) > most:
        gap *= 1.25
    return kept


def _apart(points: np.ndarray, gap: float) -> np.ndarray:
    """The points in order, without those nearer than the gap to the one before."""
    kept: list[float] = []
    for p in np.sort(points):
        if not kept or p - kept[-1] >= gap:
            kept.append(float(p))
    return np.array(kept)


def _cumulative_grid(values: np.ndarray) -> np.ndarray:
    """Zero, and points in equal ratios on both sides of it."""
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high)) or 1.0
    ladder = size * np.geomspace(1e-7, 1.0, 22)
    points = np.concatenate([-ladder[::-1], [0.0], ladder])
    return points[(points >= 1.01 * min(low, 0.0)) & (points <= 1.01 * max(high, 0.0))]
