"""How far values lie apart, and how far two go together, with intervals.

Values at the ends of trainings have long tails, so nothing normal is assumed of them: standard errors come from the
bootstrap (Efron 1979) on a scale where the estimate is nearly normal (Fisher's z for a correlation, the logarithm for a
standard deviation), from resamples drawn with a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jensen.ask.curvature.answers import Estimate, Record

RESAMPLES, NORMAL = 2000, 1.959963984540054  # of a 95 % interval
LEAST = 8  # runs, below which there is no interval
EDGE = 1 - 1e-12
ROUNDING = 1e-10  # of the values: what varies less does not vary


@dataclass(frozen=True)
class Spread(Record):
    """Some values: their mean and standard deviation with 95 % intervals, and where they lie.

    Attributes:
        count: How many; only finite ones are counted.
        mean, deviation: ``{value, error, low, high}``.
        least, quarter, median, three_quarters, greatest: Of the values.
    """

    count: int
    mean: Estimate
    deviation: Estimate
    least: float
    quarter: float
    median: float
    three_quarters: float
    greatest: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of the finite values; None where there are none."""
    x = np.asarray([v for v in values if math.isfinite(v)], dtype=np.float64)
    if not len(x):
        return None
    error = float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.inf
    mean = Estimate(float(x.mean()), error, float(x.mean()) - NORMAL * error, float(x.mean()) + NORMAL * error)
    quantiles = np.quantile(x, (0.0, 0.25, 0.5, 0.75, 1.0))
    return Spread(len(x), mean, deviation(x), *map(float, quantiles))


def deviation(values: Sequence[float] | np.ndarray) -> Estimate:
    """The standard deviation; its interval is [0, inf] for fewer than eight values."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return Estimate(0.0, math.inf, 0.0, math.inf)
    found = float(x.std(ddof=1))
    if found == 0:
        return Estimate(0.0, 0.0, 0.0, 0.0)
    if len(x) < LEAST:
        return Estimate(found, math.inf, 0.0, math.inf)
    error = _error(lambda rows: np.log(np.maximum(x[rows].std(axis=1, ddof=1), 1e-12 * found)), len(x))
    return Estimate(found, found * error, found * math.exp(-NORMAL * error), found * math.exp(NORMAL * error))


def correlation(x: Sequence[float], y: Sequence[float]) -> Estimate | None:
    """Pearson's correlation of pairs; None where one of the two does not vary, [-1, 1] for fewer than eight pairs."""
    pairs = np.asarray([p for p in zip(x, y, strict=True) if all(map(math.isfinite, p))], dtype=np.float64)
    if len(pairs) < 2 or (pairs.std(axis=0) <= ROUNDING * np.abs(pairs).max(axis=0)).any():
        return None
    found = float(_pearson(pairs[None, :, 0], pairs[None, :, 1])[0])
    if len(pairs) < LEAST:
        return Estimate(found, math.inf, -1.0, 1.0)
    error = _error(lambda rows: np.arctanh(_pearson(pairs[rows, 0], pairs[rows, 1])), len(pairs))
    middle = math.atanh(found)
    low, high = math.tanh(middle - NORMAL * error), math.tanh(middle + NORMAL * error)
    return Estimate(found, (1 - found**2) * error, low, high)


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlations along the last axis."""
    a, b = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    below = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.clip((a * b).sum(axis=1) / np.where(below > 0, below, 1.0), -EDGE, EDGE)


def _error(estimate: Callable[[np.ndarray], np.ndarray], n: int) -> float:
    """The bootstrap's standard error of an estimate, given rows of resamples."""
    rng = np.random.default_rng(0)
    pieces = [estimate(rng.integers(0, n, size=(200, n))) for _ in range(RESAMPLES // 200)]
    return float(np.concatenate(pieces).std(ddof=1))
