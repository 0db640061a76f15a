"""How far values lie apart, and how far two go together, with intervals.

Values at the ends of trainings have long tails, so nothing normal is assumed of them: intervals are the bootstrap's
percentiles (Efron 1979), from resamples drawn with a fixed seed. Where a few values far out make up most of a standard
deviation, such intervals are too short; where most runs end at one value, they are right to be wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jensen.ask.curvature.answers import Estimate, Record

RESAMPLES, NORMAL = 2000, 1.959963984540054  # standard errors of a 95 % interval
LEAST = 8  # runs, below which there is no interval
HUGE = 1e100
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


def told(value: float) -> bool:
    """Whether a value is one: finite, and not so large that only a run that flew apart can have it."""
    return abs(value) < HUGE


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of the values that are finite (and below 1e100); None where there are none."""
    x = np.asarray([v for v in values if told(v)], dtype=np.float64)
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
    if len(x) < LEAST:
        return Estimate(found, math.inf, 0.0, math.inf)
    return _estimate(found, lambda rows: x[rows].std(axis=1, ddof=1), len(x))


def correlation(x: Sequence[float], y: Sequence[float]) -> Estimate | None:
    """Pearson's correlation of pairs; None where one of the two does not vary.

    Its interval is [-1, 1] for fewer than eight different pairs: through few points there is always a line.
    """
    pairs = np.asarray([p for p in zip(x, y, strict=True) if all(map(told, p))], dtype=np.float64)
    if len(pairs) < 2:
        return None
    unit = ROUNDING * np.abs(pairs).max(axis=0)
    if (pairs.std(axis=0) <= unit).any():
        return None
    found = float(_pearson(pairs[None, :, 0], pairs[None, :, 1])[0])
    if len(np.unique(np.round(pairs / (2 * unit)), axis=0)) < LEAST:
        return Estimate(found, math.inf, -1.0, 1.0)
    return _estimate(found, lambda rows: _pearson(pairs[rows, 0], pairs[rows, 1]), len(pairs))


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlations along the last axis; nan where one of the two does not vary."""
    a, b = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    below = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.clip((a * b).sum(axis=1) / np.where(below > 0, below, np.nan), -1.0, 1.0)


def _estimate(found: float, estimate: Callable[[np.ndarray], np.ndarray], n: int) -> Estimate:
    """The bootstrap's standard error and percentile interval of an estimate, given rows of resamples."""
    rng = np.random.default_rng(0)
    drawn = np.concatenate([estimate(rng.integers(0, n, size=(200, n))) for _ in range(RESAMPLES // 200)])
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Estimate(found, float(np.nanstd(drawn, ddof=1)), min(float(low), found), max(float(high), found))
