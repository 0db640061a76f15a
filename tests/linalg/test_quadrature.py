"""Quadrature rules, brackets that always hold, and bands that hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.linalg import density
from jensen.linalg.density import Measure
from jensen.linalg.operators import Deflated, Dense
from jensen.linalg.quadrature import Progress, Sampling, sample
from spectra import SPECTRA


def diagonal(values: np.ndarray) -> Deflated:
    return Deflated(Dense(torch.from_numpy(np.diag(values))), torch.zeros((len(values), 0), dtype=torch.float64))


def test_gauss_is_exact_for_polynomials_and_brackets_hold() -> None:
    values = SPECTRA["a network"]
    v = np.random.default_rng(5).standard_normal(len(values))
    weight = v**2 / (v @ v)
    from jensen.linalg import krylov
    from jensen.linalg.quadrature import rule_of

    chain = krylov.begin(torch.from_numpy(v[:, None]))
    for _ in range(12):
        chain = krylov.grow(chain, diagonal(values))
    rule = rule_of(chain)
    nodes, weights = rule.gauss
    for power in range(24):
        assert (weights * nodes**power).sum() == pytest.approx((weight * values**power).sum(), rel=1e-10, abs=1e-14)
    for t in np.r_[np.linspace(-0.002, 1.01, 60), 0.0, nodes]:
        low, high = rule.below(float(t))
        truth_low, truth_high = weight[values < t].sum(), weight[values <= t].sum()
        assert low <= truth_low + 1e-9 and truth_high <= high + 1e-9


def test_probes_in_batches_are_the_probes_alone() -> None:
    op = diagonal(SPECTRA["uniform"])
    one = sample(op, Sampling(5, 10, 1, seed=3))
    many = sample(op, Sampling(5, 10, 4, seed=3))
    for a, b in zip(one, many, strict=True):
        assert a.alphas == pytest.approx(b.alphas, rel=1e-10)
        assert a.betas == pytest.approx(b.betas, rel=1e-10)


def test_sampling_goes_on_from_a_kept_state() -> None:
    op = diagonal(SPECTRA["uniform"])
    whole = sample(op, Sampling(4, 12, 2))
    kept: list[Progress] = []

    def stop(state: Progress, figures: dict) -> None:
        kept.append(state)
        if len(kept) == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(op, Sampling(4, 12, 2), None, stop)
    for a, b in zip(sample(op, Sampling(4, 12, 2), kept[-1]), whole, strict=True):
        assert (a.alphas == b.alphas).all() and (a.betas == b.betas).all()


def normal(grid: np.ndarray, nodes: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((grid[:, None] - nodes) / width) ** 2) / (np.sqrt(2 * np.pi) * width)


def test_sums_of_bumps() -> None:
    """On a grid without order, with bumps that reach none of it and all of it."""
    rng = np.random.default_rng(0)
    grid, nodes, weights = rng.uniform(-2, 2, 300), np.append(rng.uniform(-2, 2, 20), 50.0), rng.uniform(-1, 1, 21)
    for width in (1e-3, 0.05, 3.0):
        one, two = density.bumps(grid, nodes, weights, width)
        each = normal(grid, nodes, width)
        assert np.abs(one - each @ weights).max() < 1e-13 * each.max()
        assert np.abs(two - each**2 @ weights).max() < 1e-13 * each.max() ** 2


def test_bands_cover() -> None:
    """Pointwise 95 % bands, with one to many eigenvalues in a bandwidth: never below nine in ten."""
    values = np.r_[np.linspace(-0.1, 0.1, 200), [0.5, 0.9, 0.95, 1.0]]
    op, grid = diagonal(values), np.array([-0.1, 0.0, 0.08, 0.5, 0.93, 1.0])
    truth = normal(grid, values, 0.03).mean(1)
    hits, cumulative, trace, repeats = np.zeros(len(grid)), np.zeros(len(grid)), 0, 60
    for seed in range(repeats):
        m = Measure(np.zeros(0), 0.0, 0.0, sample(op, Sampling(6, 24, 6, seed)), len(values))
        value, half, wrong = density.smoothed(m, grid, 0.03)
        hits += np.abs(value - truth) <= half + wrong
        _, low, high = density.cumulative(m, grid)
        cumulative += (low <= (values <= grid[:, None]).mean(1)) & ((values < grid[:, None]).mean(1) <= high)
        total, _, spread = density.moment(m, 1)
        trace += abs(total - values.sum()) <= spread
    assert hits.min() >= 0.9 * repeats and cumulative.min() >= 0.9 * repeats and trace >= 0.9 * repeats


def test_moments_are_exact_without_a_rest() -> None:
    m = Measure(np.array([1.0, -2.0, 3.0]), 0.0, 0.0, (), 3)
    assert density.moment(m, 1) == (2.0, 0.0, 0.0)
    assert density.moment(m, 2) == (14.0, 0.0, 0.0)
    share, low, high = density.within(m, 1.5)
    assert (share[0], low[0], high[0]) == pytest.approx((1 / 3,) * 3)
