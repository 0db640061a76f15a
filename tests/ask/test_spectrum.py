"""The spectrum against the full float64 Hessian: ends within bounds, bands and intervals that cover, resume, misuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.ask.curvature import subset as subsets
from jensen.ask.curvature.answers import Estimate, Spectrum
from jensen.ask.curvature.checkpoint import _of_state, _state
from jensen.linalg.ends import Wanted, ends
from jensen.linalg.operators import Counted
from small_networks import data, full_hessian, network
from spectra import SPECTRA, operator


def gaussian(grid: np.ndarray, values: np.ndarray, width: float) -> np.ndarray:
    bumps = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return bumps.mean(1)


def inside(e: Estimate, truth: float) -> bool:
    return e.low - 1e-12 <= truth <= e.high + 1e-12


@pytest.mark.parametrize("name", ["mlp", "relu", "gated"])
def test_ends_against_the_full_hessian(name: str) -> None:
    values = torch.linalg.eigvalsh(full_hessian(name)).numpy()
    s = jensen.spectrum(network(name), k=4, density=False, trace=False, method="iterative")
    norm = np.abs(values).max()
    assert s.norm == pytest.approx(norm, rel=1e-3) and s.parameters == len(values)
    for got, want in ((s.lowest, values[:4]), (s.highest, values[::-1][:4])):
        for e, truth in zip(got, want, strict=True):
            assert abs(e.value - truth) <= e.bound <= 1.001e-3 * norm
    assert s.complete["lowest"] and s.complete["highest"] and 0 < s.products < len(values)


def test_a_whole_spectrum_against_the_full_hessian() -> None:
    values = torch.linalg.eigvalsh(full_hessian("mlp")).numpy()
    s = jensen.spectrum(network("mlp"), method="iterative", seed=1)
    d = s.density
    assert d is not None and s.trace and s.squared_norm and s.negative and s.zero
    truth = gaussian(d.grid, values, d.bandwidth)
    assert ((d.low <= truth) & (truth <= d.high)).mean() >= 0.95
    assert np.trapezoid(d.density, d.grid) == pytest.approx(1.0, abs=0.02)
    assert inside(s.trace, values.sum()) and inside(s.squared_norm, (values**2).sum())
    assert inside(s.negative, (values < -s.zero_width).mean())
    assert inside(s.zero, (np.abs(values) <= s.zero_width).mean())
    c = d.cumulative
    assert (
        (c.low <= (values <= c.grid[:, None]).mean(1)) & ((values < c.grid[:, None]).mean(1) <= c.high)
    ).mean() >= 0.9
    assert 0 < d.bandwidth <= -values[0]


def test_the_negative_side_is_visible() -> None:
    """Bandwidth and grid follow the negative part, however small beside the largest eigenvalue."""
    values = SPECTRA["a network"]
    d = jensen.spectrum(operator(values), method="iterative").density
    assert d is not None and d.bandwidth <= 1e-3
    below = d.grid < -0.3e-3
    assert below.sum() > 5 and d.density[below].max() > 0.01 * d.density.max()
    assert (d.cumulative.high[d.cumulative.grid < -0.5e-3] > 0).all()


@pytest.mark.parametrize("method", ["dense", "iterative"])
@pytest.mark.parametrize("negative", [1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("n", [40, 300])
def test_the_grid_shows_all_of_the_density(n: int, negative: float, method: str) -> None:
    """However small the negative part beside a wide positive one: no bump lies between the grid's points."""
    rest = np.abs(np.random.default_rng(0).standard_normal(n - 3))
    values = np.r_[10.0, rest, -negative, -negative / 2]
    d = jensen.spectrum(operator(values), method=method, probes=4).density
    assert d is not None and (np.diff(d.grid) > 0).all() and d.bandwidth <= negative / 3 * 1.001
    assert np.trapezoid(d.density, d.grid) == pytest.approx(1.0, abs=0.02)
    if method == "dense":
        assert (np.abs(d.grid[:, None] - values).min(0) < d.bandwidth).all()
        assert d.density == pytest.approx(gaussian(d.grid, values, d.bandwidth), rel=1e-6, abs=1e-6)


def test_dense_is_exact() -> None:
    values = torch.linalg.eigvalsh(full_hessian("relu")).numpy()
    s = jensen.spectrum(network("relu"))
    assert s.products == len(values) and "matrix" in s.method
    assert [e.value for e in s.highest] == pytest.approx(values[::-1][:5], abs=1e-12)
    assert s.trace is not None and s.trace.value == pytest.approx(values.sum(), abs=1e-12)
    assert s.density is not None and s.density.probes == 0
    assert s.density.density == pytest.approx(gaussian(s.density.grid, values, s.density.bandwidth), abs=1e-9)


def test_intervals_cover_over_repetitions() -> None:
    """What ``tools/campaign_spectrum.py`` does 200 times on a network, on fewer and a smaller one."""
    values, repeats = SPECTRA["a network"], 12
    op, covered, points = operator(values), 0, []
    for seed in range(repeats):
        s = jensen.spectrum(op, k=2, method="iterative", seed=seed, probes=6, steps=24, bandwidth=3e-4)
        d = s.density
        assert d is not None and s.trace is not None
        truth = gaussian(d.grid, values, d.bandwidth)
        points.append(((d.low <= truth) & (truth <= d.high)).mean())
        covered += inside(s.trace, values.sum())
    assert np.mean(points) >= 0.93 and covered >= 10


@pytest.mark.parametrize("method", ["dense", "iterative"])
def test_tiny_and_empty_spectra(method: str) -> None:
    flat = jensen.spectrum(jensen.Cost.of(lambda x: 2 * x.sum(), x=torch.zeros(7)), method=method)
    assert [e.value for e in flat.highest] == [0.0] * 5 and flat.norm == 0.0
    assert flat.zero and flat.zero.value == 1.0 and flat.negative and flat.negative.high == 0.0
    one = jensen.spectrum(jensen.Cost.of(lambda x: -x * x, x=1.0), method=method)
    assert len(one.lowest) == len(one.highest) == 1 and one.negative and one.negative.value == 1.0
    copies = jensen.spectrum(jensen.Cost.of(lambda x: (x * x).sum(), x=torch.zeros(60)), method=method)
    assert [e.value for e in copies.lowest] == pytest.approx([2.0] * 5)
    assert copies.trace and copies.trace.value == pytest.approx(120.0)
    for s in (flat, one, copies):
        assert s.density is not None and np.isfinite(s.density.high).all()


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [5, 60, 120])
def test_kill_and_resume_gives_the_same_answer(tmp_path: Path, after: int) -> None:
    asked = {"k": 3, "method": "iterative", "probes": 4, "steps": 20, "checkpoint": tmp_path / "s.json", "every": 0.0}
    whole = jensen.spectrum(operator(SPECTRA["pairs"]), **{**asked, "checkpoint": None})
    count = 0

    def stop(figures: dict) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise Stop

    with pytest.raises(Stop):
        jensen.spectrum(operator(SPECTRA["pairs"]), progress=stop, **asked)
    assert json.loads((tmp_path / "s.json").read_text())["version"] == 1
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(jensen.Misuse, match="another question"):
        jensen.spectrum(operator(SPECTRA["pairs"]), **{**asked, "k": 4})
    again = jensen.spectrum(operator(SPECTRA["pairs"]), **asked)
    assert again.highest == whole.highest and again.lowest == whole.lowest and again.trace == whole.trace
    assert again.density is not None and whole.density is not None
    assert (again.density.density == whole.density.density).all()
    assert list(tmp_path.iterdir()) == []


def test_a_state_kept_before_limits_were_looks_for_missed_values_again() -> None:
    """Older states kept two numbers in the place of the limits of single values."""
    _, state = ends(operator(SPECTRA["pairs"]), Wanted(2, 2, 1e-3))
    old = {**_of_state(state), "ends": torch.tensor([1.0, -0.1, 5.0], dtype=torch.float64)}
    del old["ends.lows"], old["ends.highs"]
    kept = _state(old, "cpu")
    assert kept is not None and kept.sweeps == 1 and kept.beyond is None
    again = _state(_of_state(state), "cpu")
    assert again is not None and again.beyond is not None and state.beyond is not None
    assert (again.beyond.highs == state.beyond.highs).all() and (again.beyond.lows == state.beyond.lows).all()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(jensen.Misuse, match="cannot be read"):
        jensen.spectrum(operator(SPECTRA["pairs"]), method="iterative", checkpoint=tmp_path / "s.json")


def test_progress_counts_products() -> None:
    seen: list[dict] = []
    s = jensen.spectrum(network("relu"), method="iterative", k=2, probes=2, steps=8, progress=seen.append)
    assert {f["stage"] for f in seen} == {"ends", "missed", "density"}
    assert seen[-1]["products"] == s.products and s.seconds > 0


def test_the_effect_of_a_subset() -> None:
    """Its standard errors are those over many draws of rows, to a factor."""
    torch.manual_seed(0)
    x, y = torch.randn(4000, 4, dtype=torch.float64), torch.randn(4000, 1, dtype=torch.float64)
    model = nn.Linear(4, 1).double()
    one = jensen.Cost(model, nn.MSELoss(), (x[:200], y[:200]))
    s = jensen.spectrum(one, k=2, population=4000)
    assert s.subset is not None and s.subset.groups >= 10
    # The Hessian is twice the mean of the outer products of (x, 1), so its trace needs no solve.
    traces = [float((2 * (x[i : i + 200] ** 2).sum(1) + 2).mean()) for i in range(0, 4000, 200)]
    assert 0.4 * np.std(traces) < s.subset.trace < 2.5 * np.std(traces)
    assert len(s.subset.highest) == len(s.subset.lowest) == 2 and min(s.subset.highest) > 0
    whole = jensen.spectrum(jensen.Cost(model, nn.MSELoss(), (x, y)), k=1, population=4000).subset
    assert whole is not None and whole.highest == (0.0,)


@pytest.mark.parametrize("exact", [True, False])
def test_the_error_of_a_trace_is_the_data_s_and_not_the_probes_s(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    """Here four probes' own noise is 2.7 times the trace's variation between the groups."""
    monkeypatch.setattr(subsets, "EXACT", 1024 if exact else 0)
    torch.manual_seed(0)
    x = torch.randn(4000, 200, dtype=torch.float64) * (0.75 + torch.rand(4000, 1, dtype=torch.float64) / 2)
    model, none, claimed = nn.Linear(200, 1).double(), torch.zeros(201, 0), []
    for seed in range(5):
        rows = torch.randperm(4000)[:200]
        cost = jensen.Cost(model, nn.MSELoss(), (x[rows], x[rows, :1]))
        found = subsets.subset(cost, Counted(jensen.hessian(cost)), None, None, 4000, none, none, seed)
        assert "upper limit" not in found.statement
        claimed.append(found.trace)
    truth = float((2 * (x**2).sum(1)).std()) * (0.95 / 200) ** 0.5
    assert np.sqrt(np.mean(np.square(claimed))) == pytest.approx(truth, rel=0.25)


def test_of_some_blocks_and_somewhere_else() -> None:
    cost = network("relu")
    at = {"0.bias": torch.ones(16, dtype=torch.float64)}
    s = jensen.spectrum(cost, at=at, of="2.*", k=2)
    assert s.parameters == 51 and s.lowest[0].value > -1e-12
    t = jensen.spectrum(jensen.hessian(cost, at, "2.*"), k=2)
    assert t.highest[0].value == pytest.approx(s.highest[0].value, rel=1e-12)


def test_answers_are_plain_data() -> None:
    s = jensen.spectrum(network("relu"), k=2)
    assert isinstance(s, Spectrum) and s.lowest[0]["value"] == s.lowest[0].value
    plain = json.loads(json.dumps(s.to_dict()))
    assert set(plain["highest"][0]) == {"value", "bound"} and len(plain["density"]["grid"]) == len(
        plain["density"]["low"]
    )
    for name in ("lowest", "highest", "density", "trace", "products", "seconds"):
        assert name in plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "at least one"),
        ({"probes": 1}, "two probes"),
        ({"tolerance": 0.0}, "between 0 and 1"),
        ({"sides": "top"}, "lowest"),
        ({"sides": 3}, "lowest"),
        ({"sides": [["lowest"]]}, "lowest"),
        ({"density": 3}, "density=3 must be True or False"),
        ({"method": "fast"}, "dense"),
        ({"bandwidth": -1.0}, "positive"),
        ({"nodes": 3}, "no argument 'nodes'"),
        ({"population": 10}, "number of all rows"),
        ({"of": "nothing"}, "matches no block"),
    ],
)
def test_misuse(options: dict, message: str) -> None:
    with pytest.raises(jensen.Misuse, match=message):
        jensen.spectrum(network("relu"), **options)


def test_misuse_of_maps() -> None:
    with pytest.raises(jensen.Misuse, match=r"not a jensen\.Cost"):
        jensen.spectrum(torch.eye(3))
    with pytest.raises(jensen.Misuse, match="belong to a cost"):
        jensen.spectrum(operator(SPECTRA["three"]), of="2.*")
    with pytest.raises(jensen.Misuse, match="needs the data"):
        jensen.spectrum(operator(SPECTRA["three"]), population=100)


@pytest.mark.parametrize(
    ("product", "told"),
    [(lambda v: v.numpy(), "ndarray"), (lambda v: v[:, 0], r"shape \(3,\)"), (lambda v: v.T @ v, r"shape \(1, 1\)")],
)
def test_products_that_are_none(product: Any, told: str) -> None:
    class Map:
        n, dtype, device = 3, torch.float64, "cpu"

        def __matmul__(self, block: Tensor) -> Tensor:
            return product(block)

    with pytest.raises(jensen.Misuse, match=f"the map gave .*{told}"):
        jensen.spectrum(Map(), method="iterative", width=1, k=1)


def test_rows_that_hang_together_are_told() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    with pytest.raises(jensen.Misuse, match=r"cannot be told apart|model\.eval"):
        jensen.spectrum(jensen.Cost(model, nn.CrossEntropyLoss(), data()), population=1000)


@pytest.mark.parametrize("values", [[-1e-6, 1.0], [-2e-6, -1e-6, 1.0], [-1e-5, 1.0], [-1e-9, 0.5, 1.0], [1.0, 1e6]])
def test_densities_with_wide_gaps_sum_to_one(values: list[float]) -> None:
    d = jensen.spectrum(operator(np.array(values))).density
    assert d is not None and np.trapezoid(d.density, d.grid) == pytest.approx(1.0, abs=0.02)


def test_the_matrix_is_formed_where_its_ends_take_more_products_than_it_has_columns() -> None:
    values = np.logspace(-8, 0, 500)
    op = operator(values)
    s = jensen.spectrum(op, k=2, tolerance=1e-5, density=False, trace=False)
    assert 500 < s.products <= 1002 and s.lowest[0].bound < 1e-10
    assert s.lowest[0].value == pytest.approx(1e-8, abs=1e-12)
    few = jensen.spectrum(operator(values), k=1, tolerance=0.05, density=False, trace=False)
    assert few.products < 300
