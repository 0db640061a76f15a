"""Both ends of a spectrum by thick-restart block Lanczos, to a tolerance and not to a count.

Every value has a bound from its residual: for orthonormal X with R = H X - X Theta there are as many eigenvalues of H,
each within ||R|| of its partner in Theta (Kahan 1967; Parlett 1980, theorem 11.5.1). Nothing is listed twice, because the
Ritz vectors are orthonormal. That none is missed is checked apart: Lanczos from a fresh random vector on H deflated by X,
and by what else has been found (see ``aside``), until what it could have overlooked lies within the tolerance (see
``missed``). Copies of a repeated eigenvalue, which Lanczos from one vector cannot see, show up there and are taken in. What
still cannot be excluded widens the bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.linalg import krylov, missed
from jensen.linalg.aside import Reach, aside, unknown
from jensen.linalg.krylov import Krylov
from jensen.linalg.operators import Deflated, draw

START, SWEEP = 1, 2  # streams of random numbers
NORM = 0.1  # of the spectral norm may be the residual of the value that gives it, where that end is not asked for
FEW = 16  # one vector more is left out for so many that there is room for
CLOSE = 0.5  # of the tolerance: residuals shrink to it, missed values count from it, and both together keep within


@dataclass(frozen=True)
class Wanted:
    """What is asked: so many values at each end, to bounds of ``tolerance`` times the spectral norm."""

    low: int
    high: int
    tolerance: float
    failure: float = 1e-3
    width: int = 1
    room: int = 64
    sweep: int = 1000
    seed: int = 0


def fitted(wanted: Wanted, operator: Any, memory: int) -> Wanted:
    """The same question with the space and the look for missed values kept within so many bytes, half for each."""
    half = max(memory // (2 * vector_bytes(operator)), 8)
    least = wanted.low + wanted.high + 2 * wanted.width
    return replace(wanted, room=max(min(max(64, 4 * (wanted.low + wanted.high)), half), least), sweep=half)


def vector_bytes(operator: Any) -> int:
    """The size of one vector."""
    return operator.n * torch.finfo(operator.dtype).bits // 8


@dataclass(frozen=True)
class Ends:
    """Values and vectors (n, k) at both ends, outermost first.

    Attributes:
        low, high: Ritz values.
        low_bounds, high_bounds: How far an eigenvalue can be from each.
        low_vectors, high_vectors: Orthonormal columns.
        norm: The spectral norm of H (its largest Ritz value in modulus).
        noise: The level of rounding.
        low_failure, high_failure: The probability that more eigenvalues lie beyond the last value by the tolerance.
    """

    low: np.ndarray
    high: np.ndarray
    low_bounds: np.ndarray
    high_bounds: np.ndarray
    low_vectors: Tensor
    high_vectors: Tensor
    norm: float
    noise: float
    low_failure: float
    high_failure: float


@dataclass(frozen=True)
class State:
    """Where a solve stands: enough to go on from. ``beyond`` is what the last look for missed values gave."""

    space: Krylov
    sweeps: int = 0
    beyond: Reach | None = None


Report = Callable[[State, dict[str, Any]], None]


def ends(operator: Any, wanted: Wanted, state: State | None = None, report: Report | None = None) -> tuple[Ends, State]:
    """Solve, from the start or from a kept state; the answer, and where the solve stands at its end.

    Args:
        operator: A symmetric map with ``n, dtype, device`` and ``@``.
        wanted: What is asked.
        state: Where an earlier solve stood.
        report: Called after every step with the state and what is known; what it raises stops the solve.
    """
    n = operator.n
    wanted = replace(wanted, low=min(wanted.low, n), high=min(wanted.high, n))
    if state is None:
        state = State(krylov.begin(draw(operator, min(wanted.width, n), wanted.seed, START)))
    report = report or (lambda state, figures: None)
    while state.beyond is None:
        state = _converge(operator, wanted, state, report)
        if state.space.full:
            break
        beyond, fresh = _sweep(operator, wanted, _collect(state.space, wanted), state, report)
        state = replace(state, sweeps=state.sweeps + 1, beyond=beyond)
        if fresh is not None:
            state = replace(state, space=krylov.inject(state.space, fresh))
    figures = _figures(state.space, wanted, *krylov.ritz(state.space))
    report(state, {"stage": "ends", "basis": state.space.size, **figures})
    return _certified(_collect(state.space, wanted), wanted, state), state


def _converge(operator: Any, wanted: Wanted, state: State, report: Report) -> State:
    """Grow the space until the bounds of all wanted values are met."""
    space = state.space
    values, vectors = krylov.ritz(space)
    while not space.full:
        if _met(space, values, vectors, wanted):
            break
        if space.size + wanted.width > max(wanted.room, wanted.low + wanted.high + 2 * wanted.width):
            space = _restart(space, values, vectors, wanted)
            values, vectors = krylov.ritz(space)
        if len(space.pending):
            space = _ordered(space, vectors[:, _wanted(space.size, wanted)])
        else:
            space = krylov.inject(space, draw(operator, 1, wanted.seed, START, space.size))
        space = krylov.grow(space, operator, wanted.width)
        values, vectors = krylov.ritz(space)
        figures = _figures(space, wanted, values, vectors)
        report(replace(state, space=space), {"stage": "ends", "basis": space.size, **figures})
    return replace(state, space=space)


def _wanted(size: int, wanted: Wanted) -> np.ndarray:
    """Positions of the wanted values among ``size`` increasing ones."""
    low, high = min(wanted.low, size), min(wanted.high, size)
    return np.unique(np.concatenate([np.arange(low), np.arange(size - high, size)]).astype(int))


def _met(space: Krylov, values: np.ndarray, vectors: np.ndarray, wanted: Wanted) -> bool:
    n, index = space.pending.shape[1], _wanted(space.size, wanted)
    if space.size < min(wanted.low + wanted.high, n) or space.fresh:
        return False
    residuals = space.coupling @ vectors[:, index]
    joint = float(np.linalg.norm(residuals, 2)) if residuals.size else 0.0
    far = int(np.argmax(np.abs(values)))  # what the tolerance is relative to
    norm, loose = float(abs(values[far])), float(np.linalg.norm(space.coupling @ vectors[:, far]))
    return bool(joint <= max(CLOSE * wanted.tolerance * norm, space.noise) and loose <= max(NORM * norm, space.noise))


def _restart(space: Krylov, values: np.ndarray, vectors: np.ndarray, wanted: Wanted) -> Krylov:
    """Keep the wanted Ritz vectors, as many again towards them as leave half of the room, and one at an end not asked for."""
    spare = max((wanted.room // 2 - wanted.low - wanted.high) // 2, 0)
    more = replace(wanted, low=wanted.low + spare if wanted.low else 1, high=wanted.high + spare if wanted.high else 1)
    keep = _wanted(space.size, more)[: max(space.size - wanted.width, 1)]
    return krylov.shrink(space, vectors[:, keep], values[keep])


def _ordered(space: Krylov, coefficients: np.ndarray) -> Krylov:
    """Fresh directions first, then by what they add to the residuals of the wanted values."""
    if len(space.pending) < 2:
        return space
    score = np.abs(space.coupling @ coefficients).max(1, initial=0.0)
    score[: space.fresh] = np.inf
    order = np.argsort(-score, kind="stable")
    return replace(space, pending=space.pending[torch.from_numpy(order)], coupling=space.coupling[order])


def group_bounds(values: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """How far an eigenvalue can be from each Ritz value, with as many eigenvalues as values where intervals overlap.

    Args:
        values: k Ritz values, increasing.
        residuals: (f, k), the residuals in an orthonormal basis.
    """
    groups = [[i] for i in range(len(values))]
    while True:
        radii = [float(np.linalg.norm(residuals[:, g], 2)) if residuals.size else 0.0 for g in groups]
        merged: list[list[int]] = []
        reach = -np.inf
        for g, r in zip(groups, radii, strict=True):
            if merged and values[g[0]] - r <= reach:
                merged[-1] += g
            else:
                merged.append(list(g))
            reach = max(reach, values[g[-1]] + r)
        if len(merged) == len(groups):
            out = np.zeros(len(values))
            for g, r in zip(groups, radii, strict=True):
                out[g] = r
            return out
        groups = merged


def _figures(space: Krylov, wanted: Wanted, values: np.ndarray, vectors: np.ndarray) -> dict[str, Any]:
    index = _wanted(space.size, wanted)
    worst = np.linalg.norm(space.coupling @ vectors[:, index], axis=0).max(initial=0.0)
    norm = float(np.abs(values).max())
    return {"lowest": float(values[0]), "highest": float(values[-1]), "bound": float(worst), "norm": norm}


def _collect(space: Krylov, wanted: Wanted) -> Ends:
    values, vectors = krylov.ritz(space)
    index = _wanted(space.size, wanted)
    residuals = space.coupling @ vectors
    noise = space.noise * float(np.sqrt(space.size))
    bounds = np.zeros(space.size)
    bounds[index] = group_bounds(values[index], residuals[:, index]) + noise
    low, high = min(wanted.low, space.size), min(wanted.high, space.size)
    down = np.arange(space.size)[::-1][:high]
    return Ends(
        values[:low],
        values[down],
        bounds[:low],
        bounds[down],
        krylov.vectors_of(space, vectors[:, :low]),
        krylov.vectors_of(space, vectors[:, down]),
        float(np.abs(values).max()),
        noise,
        1.0,
        1.0,
    )


def _sweep(
    operator: Any, wanted: Wanted, found: Ends, state: State, report: Report
) -> tuple[Reach | None, Tensor | None]:
    """Look for eigenvalues beyond the last values: how low and how high they can still lie, or new directions.

    Neither where leaving out more than the wanted vectors turned out to make it longer: next time these alone are.
    """
    slack = max(wanted.tolerance * found.norm, found.noise)
    most = 0 if state.sweeps else wanted.sweep // FEW
    left_out = aside(state.space, wanted.low, wanted.high, slack, found.noise, most)
    inside = [float(v[-1]) for v in (found.low, found.high) if len(v)]
    deflated = Deflated(operator, left_out.vectors, sum(inside) / max(len(inside), 1))
    chain = krylov.begin(deflated.project(draw(operator, 1, wanted.seed, SWEEP, state.sweeps)))
    sides, left = max(int(wanted.low > 0) + int(wanted.high > 0), 1), operator.n - left_out.vectors.shape[1]
    failure, chains = wanted.failure / 2.0 ** min(state.sweeps + 1, 60) / sides, []
    for step in range(min(wanted.sweep - left_out.extra, left)):
        if not len(chain.pending):  # what the vector spans is invariant, as where the rest is a multiple of one
            chain = krylov.begin(deflated.project(draw(operator, 1, wanted.seed, SWEEP, state.sweeps, step)))
        chain = krylov.grow(chain, deflated)
        values, coefficients = krylov.ritz(chain)
        betas = np.append(np.diag(chain.projected, -1), np.linalg.norm(chain.coupling[:, -1:]))
        chains = [*chains[: len(chains) - (chain.size > 1)], (values, np.maximum(betas, found.noise))]
        down, up = missed.between(chains, left, failure)
        report(state, {"stage": "missed", "basis": chain.size, "above": up, "below": down})
        residuals = np.linalg.norm(chain.coupling @ coefficients, axis=0)
        far = _beyond(values, found, wanted, CLOSE * slack)
        if far.any() and (residuals[far] <= slack).all():
            take = _beyond(values, found, wanted, found.noise) & (residuals <= slack)
            return None, krylov.vectors_of(chain, coefficients[:, take])
        if left_out.near(down, up) and left_out.clear(reach := left_out.reach(down, up)):
            return reach, None
        due = left_out.extra and not far.any() and chain.size & (chain.size - 1) == 0  # at 1, 2, 4, 8, ... steps
        if due and not left_out.fair(left_out.reach(values[0], values[-1])):
            return None, None
    return None if left_out.extra else unknown(len(found.low), len(found.high)), None


def _certified(found: Ends, wanted: Wanted, state: State) -> Ends:
    """The answer, its bounds widened to what could not be excluded."""
    if state.beyond is None:
        return replace(found, low_failure=0.0, high_failure=0.0)
    if not np.isfinite(state.beyond.highs).all():
        return found
    low = np.maximum(found.low_bounds, found.low - state.beyond.lows[:-1] + found.noise)
    high = np.maximum(found.high_bounds, state.beyond.highs[:-1] - found.high + found.noise)
    return replace(found, low_bounds=low, high_bounds=high, low_failure=wanted.failure, high_failure=wanted.failure)


def _beyond(values: np.ndarray, found: Ends, wanted: Wanted, slack: float) -> np.ndarray:
    """Which Ritz values of the deflated map lie beyond the last ones found, so that these were not the last."""
    out = np.zeros(len(values), dtype=bool)
    if wanted.high:
        out |= values > found.high[-1] + slack
    if wanted.low:
        out |= values < found.low[-1] - slack
    return out
