"""What is left out of a look for missed values: the limits it gives hold for the whole matrix, and the look is shorter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jensen.linalg import krylov
from jensen.linalg.aside import Aside, aside, unknown
from jensen.linalg.ends import State, Wanted, ends
from jensen.linalg.operators import Dense
from spectra import SPECTRA, matrix, operator


def rest_of(a: torch.Tensor, left_out: Aside) -> np.ndarray:
    """The eigenvalues of the matrix on the complement of what is left out."""
    whole = torch.linalg.qr(left_out.vectors, mode="complete")[0][:, left_out.vectors.shape[1] :]
    return torch.linalg.eigvalsh(whole.T @ a @ whole).numpy()


@given(
    st.sampled_from(["a network", "pairs", "uniform", "a cluster", "ten equal on top", "range of 1e12"]),
    st.integers(0, 4), st.integers(0, 4), st.integers(5, 40), st.integers(1, 3), st.integers(0, 1000),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_limits_hold_for_the_whole_matrix(name: str, low: int, high: int, size: int, width: int, seed: int) -> None:
    """Whatever is left out, converged or not: counted from each end, no eigenvalue is beyond its limit."""
    a = matrix(SPECTRA[name])
    k = krylov.begin(torch.randn(len(a), width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    while k.size < size:
        k = krylov.grow(k, Dense(a), width)
    left_out = aside(k, low, high, 1e-3, k.noise, most=100)
    rest, values = rest_of(a, left_out), np.sort(SPECTRA[name])
    assert len(rest) + left_out.vectors.shape[1] == len(a)
    reach = left_out.reach(rest[0], rest[-1])
    rounding = 1e-12 * np.abs(values).max()
    assert (reach.lows <= values[: low + 1] + rounding).all() and (np.diff(reach.lows) >= 0).all()
    assert (reach.highs >= values[::-1][: high + 1] - rounding).all() and (np.diff(reach.highs) <= 0).all()


def test_limits_allow_for_rounding_of_the_residuals() -> None:
    """Residuals that are off by their noise in the worst direction still give limits that hold."""
    noise = 1e-3
    a = np.array([[1.0, 2 * noise], [2 * noise, 0.9]])
    given = Aside(torch.eye(2)[:, :1], np.array([1.0]), np.array([[noise]]), noise, 0, 1, 0.1, 0, (0.0, 0.9))
    assert given.reach(0.9, 0.9).highs[0] >= np.linalg.eigvalsh(a)[-1]
    exact = Aside(torch.eye(2)[:, :1], np.array([1.0]), np.array([[noise]]), 0.0, 0, 1, 0.1, 0, (0.0, 0.9))
    assert exact.reach(0.9, 0.9).highs[0] < np.linalg.eigvalsh(a)[-1]


def test_a_value_before_the_last_can_be_what_is_missing() -> None:
    """No eigenvalue lies beyond the last value, but the second one stands for the third: that is not settled."""
    given = Aside(torch.eye(3), np.array([1.0, 2.0, 3.0]), np.zeros((1, 3)), 0.0, 0, 3, 0.1, 0, (0.0, 0.5))
    assert given.clear(given.reach(0.0, 1.05))
    assert not given.clear(given.reach(0.0, 1.2))
    limits = given.reach(0.0, 1.05)
    limits.highs[1] = 2.2
    assert not given.clear(limits)
    assert not given.clear(unknown(0, 3))


@pytest.mark.parametrize("sides", [(0, 5), (5, 0), (5, 5)])
def test_a_look_is_shorter_with_more_left_out(sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def products() -> int:
        counted = operator(np.r_[0.1 * SPECTRA["uniform"], 0.7 ** -np.arange(10), -(0.6 ** -np.arange(8.0))])
        found, _ = ends(counted, Wanted(*sides, 1e-3))
        assert max(found.low_failure, found.high_failure) <= 1e-3
        return counted.products

    shorter = products()
    monkeypatch.setattr("jensen.linalg.aside._more", lambda *_: (0, 0))
    assert shorter < products()


def test_where_it_is_not_shorter_the_values_alone_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spread, a Ritz value stands for many eigenvalues, and the rest begins right behind what was found all the same."""
    values = SPECTRA["uniform"]
    monkeypatch.setattr("jensen.linalg.aside.ALONE", np.inf)
    found, state = ends(operator(values), Wanted(0, 5, 1e-3))
    assert state.sweeps > 1 and found.high_failure <= 1e-3
    assert (np.abs(found.high - np.sort(values)[::-1][:5]) <= found.high_bounds).all()


def test_a_look_that_runs_out_of_room_is_made_with_the_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 1 / np.arange(1.0, 201.0)
    monkeypatch.setattr("jensen.linalg.ends.FEW", 2)
    for seed in range(10):
        found, _ = ends(Dense(torch.diag(torch.from_numpy(values))), Wanted(0, 5, 0.01, sweep=10, seed=seed))
        assert found.high_failure <= 1e-3
        assert (np.abs(found.high - values[:5]) <= found.high_bounds + 1e-14).all()


def test_wrong_as_seldom_as_it_says() -> None:
    """What is found starts blind to the outermost eigenvalue: the look alone can see it, and may miss it in three of ten."""
    values = np.r_[np.linspace(0, 1, 400), 1.06]
    wrong = 0
    for seed in range(100):
        start = torch.randn(401, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        start[-1] = 0.0
        asked = Wanted(0, 1, 0.03, failure=0.3, seed=seed)
        found, _ = ends(Dense(torch.diag(torch.from_numpy(values))), asked, State(krylov.begin(start)))
        wrong += abs(found.high[0] - 1.06) > found.high_bounds[0]
    assert 0 < wrong <= 0.3 * 100 + 3 * np.sqrt(100 * 0.3 * 0.7)
