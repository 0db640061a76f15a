"""The cost along segments and curves: known passes, kinks, running statistics, trees; on functions and small networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen import Cost, Misuse
from jensen.ask.paths.scan import scan
from jensen.ask.paths.tree import spanning_tree

D = torch.float64


def at(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(v, dtype=D) for name, v in values.items()}


def wells() -> Cost:
    """Two minima at x = ±1; the segment crosses the saddle, at height 1."""
    return Cost.of(lambda x, y: (x * x - 1) ** 2 + y * y, x=0.0, y=0.0)


def ring() -> Cost:
    """The segment climbs a hill of height 1; round it, at y² = 0.95, J is 0.0975."""
    return Cost.of(lambda x, y: (x * x + y * y - 1) ** 2 + 0.1 * y * y, x=0.0, y=0.0)


LEFT, RIGHT = at(x=-1.0, y=0.0), at(x=1.0, y=0.0)


@cache
def network(seed: int, norm: bool = False) -> nn.Sequential:
    """A trained network, in evaluation mode."""
    torch.manual_seed(seed)
    x, y = rows()
    model = nn.Sequential(nn.Linear(6, 8), *([nn.BatchNorm1d(8)] if norm else []), nn.ReLU(), nn.Linear(8, 3)).double()
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model.eval()


def rows() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(48, 6, generator=g, dtype=D), torch.randint(0, 3, (48,), generator=g)


def cost(norm: bool = False) -> Cost:
    return Cost(network(0, norm), nn.CrossEntropyLoss(), rows())


def fine(c: Cost, a: nn.Module, b: nn.Module, count: int = 4001) -> tuple[float, float]:
    """The barrier's height and the highest J on a fine grid."""
    pa, pb = dict(a.named_parameters()), dict(b.named_parameters())
    ts = [k / (count - 1) for k in range(count)]
    with torch.no_grad():
        js = [c({n: (1 - t) * pa[n] + t * pb[n] for n in pa}).item() for t in ts]
    return max(j - (1 - t) * js[0] - t * js[-1] for t, j in zip(ts, js, strict=True)), max(js)


def test_a_known_pass() -> None:
    b = jensen.barrier(wells(), LEFT, RIGHT)
    assert b.height == pytest.approx(1.0, abs=1e-12) and b.at == pytest.approx(0.5, abs=1e-6)
    assert b.rise == pytest.approx(1.0) and b.ends == (0.0, 0.0) and b.met and b.error <= b.tolerance
    assert (
        b.values[0][0] == 0.0 and b.values[-1][0] == 1.0 and [t for t, _ in b.values] == sorted(t for t, _ in b.values)
    )
    for t, j in b.values:
        assert j == pytest.approx(((2 * t - 1) ** 2 - 1) ** 2, abs=1e-12)


def test_a_slope_between_the_ends_is_no_barrier_and_a_hump_on_it_is() -> None:
    line = jensen.barrier(Cost.of(lambda x: 3 * x, x=0.0), at(x=0.0), at(x=1.0))
    convex = jensen.barrier(Cost.of(lambda x: (x * x).exp(), x=0.0), at(x=-1.0), at(x=2.0))
    assert line.height == convex.height == 0.0 and line.at == convex.at == 0.0 and convex.rise == 0.0
    hump = jensen.barrier(Cost.of(lambda x: x * x - x**4 / 2 + 5 * x, x=0.0), at(x=0.0), at(x=1.0))
    # above the chord 5.5 x: x² - x⁴/2 - x/2, highest where 2 x - 2 x³ = 1/2
    x = max(r.real for r in np.roots([-2, 0, 2, -0.5]) if 0 < r.real < 1)
    assert hump.height == pytest.approx(x * x - x**4 / 2 - x / 2, abs=1e-9) and hump.rise == 0.0


@pytest.mark.parametrize("where", [0.31415, 0.5, 0.97])
def test_a_kink_is_found_to_the_tolerance(where: float) -> None:
    b = jensen.barrier(Cost.of(lambda x: -(x - where).abs(), x=0.0), at(x=0.0), at(x=1.0))
    chord = -(1 - where) * where - where * (1 - where)  # at the kink, where J is 0
    assert b.height == pytest.approx(-chord, abs=2e-6)


def test_random_polygons_are_scanned_to_the_tolerance() -> None:
    """Sums of kinks: the maximum lies at one of them, and is known."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        weights, places = rng.normal(size=12), rng.random(12)

        def piece(t: float, w: np.ndarray = weights, x: np.ndarray = places) -> tuple[float, float]:
            return float((w * np.maximum(t - x, 0)).sum()), float((w * (t > x)).sum())

        found = scan([piece])
        values = [piece(t)[0] for t in (0.0, 1.0, *places)]
        spread = max(j for _, j in found.values) - min(j for _, j in found.values)
        assert max(values) - found.top <= 1.01e-6 * spread


def test_waves_hide_between_no_evaluations() -> None:
    found = scan([lambda t: (math.sin(32 * math.pi * t) ** 2, 32 * math.pi * math.sin(64 * math.pi * t))])
    assert found.top == pytest.approx(1.0, abs=1e-6) and found.met


def test_where_j_is_not_finite_the_barrier_has_no_end() -> None:
    c = Cost.of(lambda x: ((x - 0.5).abs() - 0.2).log(), x=1.0)
    b = jensen.barrier(c, at(x=0.0), at(x=1.0))
    assert math.isinf(b.height) and "not a finite number" in b.statement
    assert b.to_dict()["height"] == "inf"
    with pytest.raises(Misuse, match="J is nan at b"):
        jensen.barrier(c, at(x=0.0), at(x=0.5))


def test_a_networks_barrier_against_a_fine_grid() -> None:
    a, b = network(0), network(1)
    found = jensen.barrier(cost(), a, b)
    height, top = fine(cost(), a, b)
    assert found.height >= height - found.tolerance and found.height == pytest.approx(height, rel=1e-4)
    assert found.rise + max(found.ends) == pytest.approx(top, rel=1e-4) and len(found.values) < 200


def test_modules_bring_their_running_statistics_along() -> None:
    a, b = network(0, True), network(1, True)
    c = cost(True)
    found = jensen.barrier(c, a, b)
    with torch.no_grad():
        x, y = rows()
        for end, model in zip(found.ends, (a, b), strict=True):
            assert end == pytest.approx(nn.functional.cross_entropy(model(x), y).item(), rel=1e-12)
    t, j = min(found.values, key=lambda pair: abs(pair[0] - 0.5))
    between = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double().eval()
    other = b.state_dict()
    state = {n: (1 - t) * v + t * other[n] if v.is_floating_point() else v for n, v in a.state_dict().items()}
    between.load_state_dict(state)
    assert abs(t - 0.5) < 0.05 and j == pytest.approx(nn.functional.cross_entropy(between(x), y).item(), rel=1e-12)
    again = jensen.barrier(c, a, b, statistics="recomputed")
    assert again.statistics == "recomputed" and again.height != found.height
    before = {n: t.clone() for n, t in a.state_dict().items()}
    assert all(torch.equal(t, before[n]) for n, t in a.state_dict().items())


def test_recomputed_statistics_are_those_of_the_data() -> None:
    from jensen.ask.paths.statistics import recomputed

    model, (x, y) = network(0, True), rows()
    c = Cost(model, nn.CrossEntropyLoss(), [(x[:24], y[:24]), (x[24:], y[24:])])
    found = recomputed(c)(c.theta)
    hidden = torch.stack([model[0](part).mean(0) for part in (x[:24], x[24:])])
    assert torch.allclose(found["1.running_mean"], hidden.mean(0).detach())
    assert torch.equal(model[1].running_mean, c.buffers["1.running_mean"])


def test_several_minima_and_the_tree_of_their_lowest_passes() -> None:
    c = Cost.of(lambda x: (x * x - 1) ** 2 * (x - 3) ** 2 / 10, x=0.0)
    found = jensen.barriers(c, [at(x=-1.0), at(x=1.0), at(x=3.0)])
    assert found.heights.shape == (3, 3) and (found.heights == found.heights.T).all()
    assert len(found.edges) == 2 and found.bottlenecks[0, 2] == pytest.approx(found.passes.max())
    zero = jensen.barriers(Cost.of(lambda x: 0 * x, x=0.0), [at(x=0.0), at(x=1.0), at(x=2.0)])
    assert len(zero.edges) == 2 and not zero.heights.any()  # barriers of 0 are edges too


def test_a_spanning_tree_against_all_trees() -> None:
    weights = np.random.default_rng(1).random((5, 5))
    weights = weights + weights.T
    edges = spanning_tree(weights)
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]

    def tree(chosen: list[tuple[int, int]]) -> bool:
        group = list(range(5))
        for i, j in chosen:
            if group[i] == group[j]:
                return False
            group = [group[i] if g == group[j] else g for g in group]
        return True

    from itertools import combinations

    best = min(sum(weights[e] for e in c) for c in combinations(pairs, 4) if tree(list(c)))
    assert sum(weights[e] for e in edges) == pytest.approx(best)
    assert all(weights[a] <= weights[b] for a, b in pairwise(edges))


@pytest.mark.parametrize(("method", "close"), [("bezier", 2e-3), ("neb", 1e-4), (None, 1e-4)])
def test_the_way_round_a_hill(method: str | None, close: float) -> None:
    found = jensen.connect(ring(), LEFT, RIGHT, method, steps=60)
    assert 0.0975 <= found.height <= 0.0975 + close and found.segment == pytest.approx(1.0)
    assert found.method in ("bezier", "neb") and found.top == max(j for _, j in found.values)
    for t, j in found.values[:: len(found.values) // 5]:
        assert ring()(found.point(t)).item() == pytest.approx(j, abs=1e-12)
    ends = [found.point(0.0), found.point(1.0)]
    assert all(torch.equal(p[n], e[n]) for p, e in zip(ends, (LEFT, RIGHT), strict=True) for n in p)


def test_no_curve_goes_below_a_pass() -> None:
    """Between the wells every way crosses x = 0, where J is at least 1: the bound is never lower."""
    found = jensen.connect(wells(), LEFT, RIGHT, steps=20)
    assert found.height == pytest.approx(1.0, abs=1e-9) and "upper bound" not in found.statement
    assert "no higher" in found.statement


def test_a_curve_between_networks_lies_below_their_segment() -> None:
    found = jensen.connect(cost(), network(0), network(1), "bezier", steps=15)
    straight = jensen.barrier(cost(), network(0), network(1))
    assert found.top < straight.rise + max(straight.ends) and found.evaluations > 0
    assert set(found.to_dict()) >= {"height", "at", "values", "method", "points", "statement"}


def test_a_curve_with_recomputed_statistics_is_looked_at_with_them() -> None:
    a, b, c = network(0, True), network(1, True), cost(True)
    before = {n: t.clone() for n, t in a.state_dict().items()}
    found = jensen.connect(c, a, b, "bezier", steps=2, statistics="recomputed", evaluations=60)
    t, j = found.values[len(found.values) // 2]
    theta = found.point(t)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=None), nn.ReLU(), nn.Linear(8, 3)).double()
    model.load_state_dict(theta, strict=False)
    x, y = rows()
    model(x)
    assert j == pytest.approx(nn.functional.cross_entropy(model.eval()(x), y).item(), rel=1e-9)
    assert not a.training and all(torch.equal(v, before[n]) for n, v in a.state_dict().items())


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c: jensen.barrier(c, 3, LEFT), "a is int"),
        (lambda c: jensen.barrier(c, LEFT, at(z=1.0)), "'z' in b is no block"),
        (lambda c: jensen.barrier(c, LEFT, {"x": torch.zeros(2)}), "shape"),
        (lambda c: jensen.barrier(c, LEFT, at(x=math.nan)), "not finite"),
        (lambda c: jensen.barrier(c, LEFT, RIGHT, tolerance=0.0), "tolerance"),
        (lambda c: jensen.barrier(c, LEFT, RIGHT, statistics="guessed"), "statistics='guessed'"),
        (lambda c: jensen.barrier(c, LEFT, RIGHT, statistics="recomputed"), "none"),
        (lambda c: jensen.barrier(c, LEFT, nn.Linear(1, 1)), "no parameter 'x'"),
        (lambda c: jensen.barriers(c, [LEFT]), "at least two"),
        (lambda c: jensen.connect(c, LEFT, RIGHT, "straight"), "method='straight'"),
        (lambda c: jensen.connect(c, LEFT, RIGHT, steps=0), "steps=0"),
    ],
)
def test_refusals(ask: Callable[[Cost], object], words: str) -> None:
    with pytest.raises(Misuse, match=words):
        ask(wells())
