"""Intervals of shares, of what was not seen, of spread and correlation: known values, and how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jensen.ask.minima.shares import missing, wilson
from jensen.ask.minima.spread import correlation, deviation, spread
from jensen.errors import Misuse


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (1, 10, 0.01788, 0.40415), (81, 263, 0.25524, 0.36619)],
)
def test_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    """The last is Newcombe's (1998) example; the others by hand from the formula."""
    got = wilson(count, of)
    assert got == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))
    assert wilson(of - count, of) == (pytest.approx(1 - got[1]), pytest.approx(1 - got[0]))


def test_no_runs_and_no_counts() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert (missing([]).value, missing([0]).high) == (1.0, 1.0)
    for count, of in ((3, 2), (-1, 2)):
        with pytest.raises(Misuse, match="is no share"):
            wilson(count, of)
    with pytest.raises(Misuse, match="level"):
        wilson(1, 2, level=1.0)


def test_the_chance_of_a_new_class_is_the_share_of_those_seen_once() -> None:
    got = missing([5, 1, 1, 1, 1, 2, 9])
    assert got.value == 4 / 20
    assert 0 < got.low < got.value < got.high < 1
    assert missing([50, 50]).value == 0 and missing([50, 50]).low == 0
    assert missing([50, 50]).high == pytest.approx(1.96**2 / (100 + 1.96**2), abs=1e-4)


CLASSES = {
    "equal": np.ones(30),
    "one rare": np.array([0.99, 0.01]),
    "halving": 0.7 ** np.arange(60),
    "long tail": 1 / np.arange(1.0, 400),
    "few and many": np.r_[np.ones(3), np.ones(300) / 300],
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("runs", [20, 200])
def test_the_interval_of_what_was_not_seen_holds_as_often_as_it_says(name: str, runs: int) -> None:
    """Its upper end above all: a census must not say that it has seen everything when it has not."""
    rng, weights = np.random.default_rng(runs), CLASSES[name] / CLASSES[name].sum()
    inside = above = 0
    for counts in rng.multinomial(runs, weights, size=400):
        truth, got = weights[counts == 0].sum(), missing(counts)
        inside += got.low <= truth <= got.high
        above += truth > got.high
    assert above <= 0.05 * 400
    assert inside >= 0.89 * 400


def test_wilsons_interval_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for share in (0.003, 0.05, 0.126, 0.5):
        got = [wilson(int(c), 1000) for c in rng.binomial(1000, share, size=500)]
        assert sum(low <= share <= high for low, high in got) >= 0.92 * 500


def test_spread_of_values() -> None:
    got = spread([3.0, 1.0, 2.0, math.inf, math.nan])
    assert got is not None
    assert (got.count, got.least, got.median, got.greatest) == (3, 1.0, 2.0, 3.0)
    assert got.mean.value == 2.0 and got.deviation.value == 1.0
    assert (got.deviation.low, got.deviation.high) == (0.0, math.inf), "three values tell little"
    assert spread([math.nan]) is None


def test_intervals_of_spread_and_correlation_hold() -> None:
    rng = np.random.default_rng(1)
    held = {"deviation": 0, "correlation": 0}
    for _ in range(100):
        x = rng.standard_normal(100)
        y = 0.8 * x + 0.6 * rng.standard_normal(100)
        s, c = deviation(x), correlation(list(x), list(y))
        assert c is not None
        held["deviation"] += s.low <= 1.0 <= s.high
        held["correlation"] += c.low <= 0.8 <= c.high
    assert min(held.values()) >= 85


def test_no_correlation_is_told_of_rounding() -> None:
    assert correlation([1.0, 1.0 + 1e-15, 1.0], [1.0, 2.0, 3.0]) is None
    few = correlation([1.0, 2.0] * 10, [5.0, 1.0] * 10)
    assert few is not None and few.value == pytest.approx(-1)
    assert (few.low, few.high) == (-1.0, 1.0), "through two points there is always a line"
