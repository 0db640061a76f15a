"""Both ends of spectra with traps: every value within its bound, copies counted, nothing missed, nothing twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jensen.errors import Misuse
from jensen.linalg import krylov, missed
from jensen.linalg.ends import Ends, State, Wanted, ends, group_bounds
from jensen.linalg.lanczos import lowest
from jensen.linalg.operators import Counted, Dense
from spectra import SPECTRA, matrix, operator


def check(found: Ends, values: np.ndarray, k: int, tolerance: float) -> None:
    values = np.sort(values)
    k = min(k, len(values))
    assert len(found.low) == len(found.high) == k
    goal = tolerance * np.abs(values).max() + 4 * found.noise
    for got, bounds, want in ((found.low, found.low_bounds, values), (found.high, found.high_bounds, values[::-1])):
        assert (np.abs(got - want[:k]) <= bounds + 1e-14 * np.abs(values).max()).all()
        assert (bounds <= goal * (1 + 1e-9)).all()
    assert max(found.low_failure, found.high_failure) <= 1e-3


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("name", SPECTRA)
def test_ends_of_traps(name: str, width: int) -> None:
    values = SPECTRA[name]
    found, _ = ends(operator(values), Wanted(5, 5, 1e-3, width=width))
    check(found, values, 5, 1e-3)


@pytest.mark.parametrize("seed", [15, 135, 151, 161, 197])
def test_the_last_value_listed_is_the_last_within_its_bound(seed: int) -> None:
    """Two bumps: a value found may stand for the next eigenvalue but one, with the tolerance between."""
    g = torch.Generator().manual_seed(0)
    _ = torch.randn(795, generator=g), torch.rand(40, generator=g), torch.rand(788, generator=g)
    bumps = [torch.randn(400, generator=g) * 0.05 + centre for centre in (-1, 3)]
    values = torch.cat(bumps).double().numpy()
    found, _ = ends(Dense(torch.diag(torch.from_numpy(values))), Wanted(4, 4, 1e-3, seed=seed))
    check(found, values, 4, 1e-3)


@pytest.mark.parametrize("name", ["ten equal on top", "pairs", "equal at both ends", "a cluster", "a network"])
def test_ends_to_a_tight_tolerance(name: str) -> None:
    values = SPECTRA[name]
    found, _ = ends(operator(values), Wanted(4, 6, 1e-9, seed=3))
    low, high = np.sort(values)[:4], np.sort(values)[::-1][:6]
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("low", "high"), [(2, 0), (0, 2)])
def test_one_end_of_a_matrix_of_low_rank(seed: int, low: int, high: int) -> None:
    """A block of directions finds zeros at once, and its images hardly differ: the norm is that of the matrix all the same."""
    x = torch.randn(4, 300, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found, _ = ends(Dense(x.T @ x), Wanted(low, high, 1e-3, width=8, seed=seed))
    norm = float(torch.linalg.matrix_norm(x, 2)) ** 2
    assert found.norm == pytest.approx(norm, rel=1e-2) and found.noise <= 1e-10 * norm
    assert (np.abs(found.low) <= found.low_bounds).all() and (found.low_bounds <= 1e-3 * norm).all()
    assert (found.high_bounds <= 1e-3 * norm).all()


def test_no_ghosts_after_many_steps() -> None:
    values = np.r_[100.0, np.linspace(0, 1, 199)]
    found, _ = ends(operator(values), Wanted(0, 3, 1e-12))
    assert found.high == pytest.approx([100.0, 1.0, 1 - 1 / 198], abs=1e-8)
    vectors = found.high_vectors
    assert torch.allclose(vectors.T @ vectors, torch.eye(3, dtype=torch.float64), atol=1e-12)


def test_restarts_reach_the_same_values_in_little_room() -> None:
    values = SPECTRA["uniform"]
    found, state = ends(operator(values), Wanted(3, 3, 1e-3, room=24))
    assert state.space.size <= 24
    check(found, values, 3, 1e-3)


def test_products_are_few_for_outliers() -> None:
    values = np.r_[np.linspace(0, 0.05, 995), [0.3, 0.5, 0.6, 0.8, 1.0]]
    counted = Counted(Dense(torch.from_numpy(np.diag(values))))
    ends(counted, Wanted(0, 5, 1e-3))
    assert counted.products <= 40


def test_the_sweep_reports_when_it_may_not_finish() -> None:
    found, _ = ends(operator(SPECTRA["uniform"]), Wanted(3, 3, 1e-3, sweep=3))
    assert found.low_failure == found.high_failure == 1.0


def test_float32() -> None:
    values = SPECTRA["pairs"]
    found, _ = ends(operator(values, torch.float32), Wanted(2, 5, 1e-3))
    assert (np.abs(found.high - np.sort(values)[::-1][:5]) <= found.high_bounds + 1e-5).all()
    assert (np.abs(found.low - np.sort(values)[:2]) <= found.low_bounds + 1e-5).all()


@pytest.mark.parametrize("outliers", [0, 1, 3])
@pytest.mark.parametrize("n", [5, 300])
def test_the_rest_is_a_multiple_of_one(n: int, outliers: int) -> None:
    """As with a penalty of squares: one vector spans nothing but itself there, and in float32 shows too little."""
    values = np.r_[1.0 + np.arange(outliers, 0, -1), np.ones(n - outliers)]
    found, _ = ends(operator(values, torch.float32), Wanted(1, max(outliers, 1), 1e-3))
    assert (np.abs(found.high - values[: max(outliers, 1)]) <= found.high_bounds + 1e-6).all()
    assert abs(found.low[0] - 1) <= found.low_bounds[0] + 1e-6
    assert max(found.high_bounds.max(), found.low_bounds.max()) <= 2e-3 * found.norm
    assert max(found.low_failure, found.high_failure) <= 1e-3


def test_several_vectors_miss_as_seldom_as_they_say() -> None:
    """Three products with a map that is one but for a hidden direction, each of whose residuals is no larger than noise."""
    n, noise, failure = 100, 1e-2, 0.5
    _, up = missed.between([(np.ones(1), np.full(1, noise))] * 3, n, failure)
    draws = np.random.default_rng(0).standard_normal((20_000, 3, n))
    share = np.abs(draws[..., 0]) / np.linalg.norm(draws, axis=-1)
    hidden = ((up - 1) * share <= noise).all(1).mean()
    assert hidden <= failure / 8 * 1.2
    assert hidden >= failure / 8 * 0.8


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_scale_changes_nothing_else(scale: float) -> None:
    values = SPECTRA["a network"]
    one, _ = ends(operator(values), Wanted(3, 3, 1e-3))
    other, _ = ends(operator(values * scale), Wanted(3, 3, 1e-3))
    assert other.high == pytest.approx(one.high * scale, rel=1e-6)


class Diagonal:
    def __init__(self, values: np.ndarray):
        self.values = torch.from_numpy(values)[:, None]
        self.n, self.dtype, self.device = len(values), self.values.dtype, self.values.device

    def __matmul__(self, block: torch.Tensor) -> torch.Tensor:
        return self.values * block


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_rounding_is_counted_where_squares_have_no_single_precision_float(scale: float) -> None:
    for seed in (114, 132, 240, 284, 289, 329):
        rest = np.random.default_rng(seed).uniform(-1, 1, 2)
        values = (scale * np.r_[rest, 1.5, 1.4, np.full(4, 1.3)]).astype(np.float32)
        found, _ = ends(Diagonal(values), Wanted(8, 0, 1e-6, 0.3, 4, seed=seed))
        assert (np.abs(found.low - np.sort(values)) <= found.low_bounds).all()


def test_a_kept_state_goes_on_to_the_same_answer() -> None:
    values = SPECTRA["uniform"]
    whole, _ = ends(operator(values), Wanted(3, 3, 1e-4))
    kept: list[State] = []

    def stop(state: State, figures: dict) -> None:
        kept.append(state)
        if len(kept) == 90:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends(operator(values), Wanted(3, 3, 1e-4), None, stop)
    again, _ = ends(operator(values), Wanted(3, 3, 1e-4), kept[-1])
    assert (again.high == whole.high).all() and (again.low == whole.low).all()


def test_not_a_number() -> None:
    broken = Counted(Dense(torch.full((5, 5), float("nan"), dtype=torch.float64)))
    with pytest.raises(Misuse, match="not finite"):
        ends(broken, Wanted(1, 1, 1e-3))


def test_krylov_relation_survives_growth_injection_and_restart() -> None:
    a = matrix(SPECTRA["a network"])
    op = Dense(a)
    g = torch.Generator().manual_seed(0)
    k = krylov.begin(torch.randn(len(a), 2, generator=g, dtype=torch.float64))
    for step in range(30):
        if step == 10:
            k = krylov.inject(k, torch.randn(len(a), 1, generator=g, dtype=torch.float64))
        if step == 20:
            values, vectors = krylov.ritz(k)
            k = krylov.shrink(k, vectors[:, -8:], values[-8:])
        k = krylov.grow(k, op, 2)
    v, f = k.basis.T, k.pending.T
    t, c = torch.from_numpy(k.projected), torch.from_numpy(k.coupling)
    assert torch.allclose(a @ v, v @ t + f @ c, atol=1e-13)
    both = torch.cat([v, f], 1)
    assert torch.allclose(both.T @ both, torch.eye(both.shape[1], dtype=torch.float64), atol=1e-13)


def test_bounds_of_groups_count_copies() -> None:
    """Two Ritz values of one eigenvalue: each alone would have a small bound, together they have not."""
    a = np.diag([1.0, 0.0])
    x = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    theta = np.sort(np.diag(x.T @ a @ x))
    order = np.argsort(np.diag(x.T @ a @ x))
    residuals = (a @ x - x * np.diag(x.T @ a @ x))[:, order]
    assert (np.abs(theta - [0.0, 1.0]) <= group_bounds(theta, residuals)).all()


def test_missed_bound_holds_as_often_as_it_says() -> None:
    """With failure 0.2 the bound may be wrong in a fifth of the draws, and is not in many more."""
    values = np.r_[np.linspace(-1, 1, 300), 1.3]
    d = missed.share(len(values), 0.2)
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        chain = krylov.begin(torch.from_numpy(rng.standard_normal((len(values), 1))))
        for _ in range(6):
            chain = krylov.grow(chain, Dense(torch.from_numpy(np.diag(values))))
        betas = np.append(np.diag(chain.projected, -1), np.linalg.norm(chain.coupling))
        wrong += missed.above(krylov.ritz(chain)[0], betas, d) < 1.3
    assert 0 < wrong <= 0.2 * 200 + 3 * np.sqrt(200 * 0.2 * 0.8)


def test_lowest_for_the_search() -> None:
    a = matrix(SPECTRA["equal at both ends"])
    value, vector = lowest(lambda v: a @ v, torch.ones(len(a), dtype=torch.float64), 60)
    assert value == pytest.approx(-2.0, abs=1e-6)
    assert torch.allclose(a @ vector, value * vector, atol=1e-3)
    assert lowest(lambda v: v * float("nan"), torch.ones(3, dtype=torch.float64), 5)[0] == 0.0


@pytest.mark.parametrize("sides", [(1, 0), (0, 1), (2, 2)])
@pytest.mark.parametrize("different", [1, 2])
@pytest.mark.parametrize("n", [3, 60])
def test_few_different_values_in_single_precision(n: int, different: int, sides: tuple[int, int]) -> None:
    """The space of a random vector is used up before rounding lets its bounds be met."""
    values = torch.tensor([1.0 + 0.5 * (i % different) for i in range(n)])
    turned = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(n)))[0]
    found, _ = ends(Dense((turned * values) @ turned.T), Wanted(*sides, 1e-6))
    assert (np.abs(found.low[:1] - 1.0) <= found.low_bounds[:1] + 1e-6).all()
    assert (np.abs(found.high[:1] - float(values.max())) <= found.high_bounds[:1] + 1e-6).all()
