"""How many eigenvalues lie below, within and above a band around zero: exactly from the matrix, or with bounds from Lanczos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.curvature.measures import split
from jensen.errors import Misuse
from jensen.linalg import density as densities
from jensen.linalg import inertia, krylov
from jensen.linalg.ends import Ends, State
from jensen.linalg.operators import Counted
from jensen.linalg.quadrature import Sampling, sample

Range = tuple[int, int]


@dataclass(frozen=True)
class Counts:
    """Eigenvalues below -band, within [-band, band], above band: at least, at most.

    ``failure`` is the probability that a count lies outside; 0 where the counts are exact. ``lowest`` and ``highest`` are
    the ends as (value, bound); ``figures`` what else there is to tell.
    """

    n: int
    band: float
    negative: Range
    zero: Range
    positive: Range
    failure: float
    norm: float
    rounding: float
    lowest: tuple[float, float]
    highest: tuple[float, float]
    method: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether every count is one number, for certain."""
        return self.failure == 0 and all(a == b for a, b in (self.negative, self.zero, self.positive))


def nonempty(n: int) -> None:
    """Refuse a matrix of no rows."""
    if n < 1:
        raise Misuse("the asked blocks have no entries, so that there is no eigenvalue: ask about others with of=...")


def matrix_of(operator: Counted, progress: Callable[[dict[str, Any]], None] | None = None) -> Tensor:
    """The matrix itself, column by column, in float64 on the CPU."""
    n, parts = operator.n, []
    for first in range(0, n, 256):
        width = min(256, n - first)
        columns = torch.zeros((n, width), dtype=operator.dtype, device=operator.device)
        columns[first + torch.arange(width), torch.arange(width)] = 1.0
        parts.append((operator @ columns).detach().to("cpu", torch.float64))
        if progress is not None:
            progress({"stage": "matrix", "columns": first + width, "of": n, "products": operator.products})
    matrix = torch.cat(parts, 1)
    if not bool(torch.isfinite(matrix).all()):
        raise Misuse("the Hessian is not finite: J has no curvature here; ask at another point")
    return matrix


def rounding_of(matrix: Tensor, dtype: torch.dtype) -> float:
    """What rounding may have done to the matrix, in the spectral norm: its asymmetry shows it, and some units at least."""
    skew = float((matrix - matrix.T).norm())
    return 2 * skew + 32 * torch.finfo(dtype).eps * float(matrix.abs().sum(1).max())


def from_matrix(symmetric: Tensor, found: Ends, rounding: float, band: float) -> Counts:
    """Exact counts by the inertia of H + band and H - band."""
    n = len(symmetric)
    scale = float(symmetric.abs().max())
    ends = _outermost(found, rounding)
    if scale == 0.0:
        return Counts(n, 0.0, (0, 0), (n, n), (0, 0), 0.0, 0.0, 0.0, *ends, "the Hessian is zero")
    scaled = (symmetric / scale).numpy()
    low, high = (inertia.below(scaled, x / scale, rounding / scale) for x in (-band, band))
    negative, positive = (low.least, low.most), (n - high.most, n - high.least)
    zero = (max(high.least - low.most, 0), high.most - low.least)
    return Counts(
        n, band, negative, zero, positive, 0.0, found.norm, rounding, *ends,
        "inertia of H + band and H - band by LDL' (Sylvester)", {"reach": max(low.reach, high.reach) * scale},
    )  # fmt: skip


def band_vectors(symmetric: Tensor, band: float) -> Tensor:
    """The eigenvectors (n, k) in the band."""
    from scipy.linalg import eigh

    scale = float(symmetric.abs().max()) or 1.0
    near = (-1.01 * band / scale - 1e-300, 1.01 * band / scale)
    _, vectors = eigh((symmetric / scale).numpy(), subset_by_value=near, check_finite=False)
    return torch.from_numpy(vectors)


def band_ritz(state: State, band: float) -> Tensor:
    """The Ritz vectors (n, k) whose values lie in the band."""
    values, vectors = krylov.ritz(state.space)
    return krylov.vectors_of(state.space, vectors[:, np.abs(values) <= band])


def _outermost(found: Ends, more: float) -> tuple[tuple[float, float], tuple[float, float]]:
    low = float(found.low[0]), float(found.low_bounds[0]) + more
    return low, (float(found.high[0]), float(found.high_bounds[0]) + more)


def from_ends(found: Ends, state: State, band: float) -> Counts:
    """Bounds of the counts: Ritz values bound them from below, what Lanczos can have missed from above."""
    n, noise = state.space.pending.shape[1], found.noise
    values, vectors = krylov.ritz(state.space)
    # Cauchy: as many eigenvalues as Ritz values lie beyond any number.
    negative, positive = int((values < -band - noise).sum()), int((values > band + noise).sum())
    zero = _inside(values, state.space.coupling @ vectors, band - noise)
    low = _beyond(-found.low, found.low_bounds, found.low_failure, band)
    high = _beyond(found.high, found.high_bounds, found.high_failure, band)
    most = [0 if low else n, n, 0 if high else n]
    if low:
        most[1] = min(most[1], _first(found.low - found.low_bounds > band, n))
    if high:
        most[1] = min(most[1], _first(found.high + found.high_bounds < -band, n))
    least = (negative, zero, positive)
    ranges = [(o, max(min(m, n - sum(least) + o), o)) for m, o in zip(most, least, strict=True)]
    failure = max(found.low_failure, found.high_failure)
    return Counts(
        n, band, ranges[0], ranges[1], ranges[2], failure, found.norm, noise, *_outermost(found, 0.0),
        "Ritz values, and Lanczos from random vectors", {"basis": state.space.size},
    )  # fmt: skip


def _beyond(values: np.ndarray, bounds: np.ndarray, failure: float, band: float) -> bool:
    """Whether no eigenvalue lies above the band, where the listed values come from that end."""
    return failure < 1 and bool(values[0] + bounds[0] <= band)


def _first(true: np.ndarray, n: int) -> int:
    """How many come before the first for which it is true; all n where it never is."""
    return int(np.argmax(true)) if true.any() else n


def _inside(values: np.ndarray, residuals: np.ndarray, reach: float) -> int:
    """So many eigenvalues lie within ``reach`` of zero for certain (Kahan 1967, on as many Ritz pairs as do)."""
    order = np.argsort(np.abs(values))
    for count in range(int((np.abs(values) <= reach).sum()), 0, -1):
        chosen = order[:count]
        radius = float(np.linalg.norm(residuals[:, chosen], 2)) if residuals.size else 0.0
        if abs(values[chosen[-1]]) + radius <= reach:
            return count
    return 0


def share_negative(operator: Counted, found: Ends, state: State, band: float, plan: Sampling) -> tuple[float, float]:
    """A 95 % interval of the share of eigenvalues below -band, by stochastic Lanczos quadrature."""
    measure, deflated = split(operator, state.space, 1e-3 * band, found.noise)
    measure = replace(measure, rules=sample(deflated, plan) if measure.rest else ())
    _, low, high = densities.cumulative(measure, np.array([-band]))
    return float(low[0]), float(high[0])
