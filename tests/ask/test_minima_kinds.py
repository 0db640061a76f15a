"""What the ends of runs are, on functions whose critical points are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jensen
from jensen.ask.minima import polish
from jensen.ask.minima.bounds import bound_of
from jensen.ask.minima.end import KINDS, End
from jensen.ask.minima.judge import judge
from jensen.ask.minima.polishing import polished
from jensen.ask.minima.spec import Spec, spec
from jensen.ask.minima.unit import plan, run_unit
from jensen.linalg.population import Population
from jensen.trace import trace


def himmelblau(x, y):
    return (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2


def kinds(f, starts, to="minimum", bound=None, expected=0):
    """Polish and judge from given starts: (kind, how, index) of each, and the points."""
    start = torch.tensor(starts, dtype=torch.float64).reshape(len(starts), -1)
    names = "xyzuv"[: start.shape[1]]
    many = Population(trace(jensen.Cost.of(f, **dict.fromkeys(names, 0.1))).problem)
    heights = many.values(start)
    path = polished(many, Spec(polish=to), start, heights, bound)
    found = judge(many, path, heights, bound, expected)
    return [(j.kind, j.how, j.index) for j in found], path.points


def test_minima_saddles_and_maxima_are_told_apart():
    found, points = kinds(himmelblau, [[1.0, 1.0], [-3.0, 3.0]])
    assert found == [("minimum", "strict", 0)] * 2
    torch.testing.assert_close(points[0], torch.tensor([3.0, 2.0], dtype=torch.float64))
    found, points = kinds(himmelblau, [[0.0, 0.0], [3.0, -0.1], [-3.0, 3.0]], to="saddle")
    assert found == [("maximum", "strict", 2), ("saddle", "strict", 1), ("minimum", "strict", 0)]
    torch.testing.assert_close(points[0], torch.tensor([-0.270845, -0.923039], dtype=torch.float64), rtol=0, atol=1e-6)


def test_the_gradient_is_polished_to_rounding():
    _, points = kinds(lambda x, y: 100 * (y - x * x) ** 2 + (1 - x) ** 2, [[-1.2, 1.0]])
    torch.testing.assert_close(points, torch.ones(1, 2, dtype=torch.float64), rtol=0, atol=1e-11)


@pytest.mark.parametrize("factor", [1e-20, 1.0, 1e20])
def test_thresholds_have_a_scale(factor):
    found, _ = kinds(lambda x, y: factor * himmelblau(x, y), [[0.3, -0.2]])
    assert found == [("minimum", "strict", 0)]
    found, _ = kinds(lambda x, y: factor * (x * x - y * y + y**4), [[0.3, 0.0]], to="saddle")
    assert found == [("saddle", "strict", 1)]


@pytest.mark.parametrize(
    ("f", "start", "answer"),
    [
        (lambda x: 1 + x**4, [1.0], ("minimum", "higher order", 0)),
        (lambda x: 1 + x**6, [0.7], ("minimum", "higher order", 0)),
        (lambda x: -(x**4), [0.0], ("maximum", "higher order", 0)),
        (lambda x, y: y * y - x**4, [0.0, 0.0], ("saddle", "higher order", 0)),
        (lambda x, y: -(x**4) - y**4, [0.0, 0.0], ("degenerate", "falls", 0)),
        (lambda x: x**3, [0.0], ("saddle", "higher order", 0)),
        (lambda x, y: (y - x * x) * (y - 3 * x * x), [0.0, 0.0], ("saddle", "higher order", 0)),  # Peano
        (lambda x, y: x**3 - 3 * x * y * y, [0.0, 0.0], ("saddle", "higher order", 0)),  # a monkey's
        (lambda x, y: x**4 - 0.01 * y**4, [0.0, 0.0], ("saddle", "higher order", 0)),
        (lambda x, y: x**4 + y**4, [0.3, -0.2], ("degenerate", "rises", 0)),
        (lambda x, y: x * x * y * y, [0.0, 0.0], ("degenerate", "rises and flat", 0)),
        (lambda x, y: 1 + y * y - (x - 10) ** 16, [10.0, 0.0], ("saddle", "higher order", 0)),  # no kink can hide it
        (lambda x, y: (1 - x * y) ** 2, [1.0, 3.0], ("minimum", "flat", 0)),
        (lambda x, y: (x * x + y * y - 1) ** 2, [0.3, 0.1], ("minimum", "flat", 0)),
        (lambda x, y: x.abs() + y * y, [0.3, -0.2], ("degenerate", "kink", 0)),
        (lambda x, y: x * x - torch.relu(x) / 10 + y * y, [0.0, 0.1], ("degenerate", "kink", 0)),
    ],
)  # fmt: skip
def test_beyond_second_order(f, start, answer):
    found, _ = kinds(f, [start])
    assert found[0] == answer


@pytest.mark.parametrize(
    ("f", "answer"),
    [
        (lambda x, y: -(x**4) - y * y, ("maximum", "higher order", 1)),
        (lambda x, y: x**3 - y * y, ("saddle", "higher order", 1)),
        (lambda x, y: x**4 - y * y, ("saddle", "higher order", 1)),
        (lambda x, y: x * y * y - y * y, ("maximum", "flat", 1)),
    ],
)
def test_beyond_second_order_from_above(f, answer):
    """Negative eigenvalues and null ones: -J is looked at."""
    found, _ = kinds(f, [[0.0, 0.0]], to="saddle")
    assert found == [answer]


def test_a_kink_at_the_lower_bound_is_a_global_minimum():
    found, _ = kinds(lambda x, y: torch.relu(x - 1) ** 2 + torch.relu(-1 - x) ** 2 + y * y, [[3.0, 0.5]], bound=0.0)
    assert found == [("minimum", "global", 0)]
    found, _ = kinds(lambda x, y: 1e8 * x.abs() + y * y, [[-3.0, 2.0]], bound=0.0)
    assert found == [("degenerate", "kink", 0)], "the polishing stops at the kink, where y is still 2"


def test_a_value_near_a_bound_is_not_at_it():
    """The fall is long and J ends a little above: that is no rounding."""
    found, _ = kinds(lambda x, y: 1e8 * (x - 1) ** 2 + y * y + 1e-9, [[-3.0, 2.0]], bound=0.0)
    assert found == [("minimum", "strict", 0)]
    found, _ = kinds(lambda x, y: 1e8 * (x * y - 1) ** 2 + 1e-9, [[-3.0, 2.0]], bound=0.0)
    assert found == [("minimum", "flat", 0)]


def test_a_cubic_approached_from_above_is_no_minimum():
    """At 1e-8 from an inflection the Hessian is positive and the gradient is rounding."""
    found, _ = kinds(lambda x, y: 1 + x**3 + y * y, [[1e-8, 0.0]], to="saddle")
    assert found[0][0] == "saddle"


def test_zero_modes_that_symmetry_explains():
    found, _ = kinds(lambda x, y: (1 - x * y) ** 2, [[1.0, 3.0]], expected=1)
    assert found == [("minimum", "symmetry", 0)]


@pytest.mark.parametrize(
    ("f", "start"),
    [
        (lambda x: torch.exp(-x), [0.3]),
        (lambda x: 1 + torch.exp(-x), [30.0]),
        (lambda x: 1 / (1 + x * x), [1.5]),
        (lambda x: 1 / torch.log(3 + x * x), [1.5]),
        (lambda x, y: x**2 + (1 - x * y) ** 2, [1.0, 1.0]),  # the infimum is 0 and is not attained
        (lambda x, y: 1 + torch.exp(-x) + (y - 1) ** 2, [100.0, 0.2]),  # asleep from the start
        (lambda x, y: y * y - x, [0.0, 1.0]),
    ],
)  # fmt: skip
def test_ends_at_infinity(f, start):
    found, _ = kinds(f, [start])
    assert found[0][0] == "at infinity"


@pytest.mark.parametrize("far", [1e2, 1e6])
def test_a_minimum_far_away_is_not_at_infinity(far):
    found, points = kinds(lambda x, y: (x - far) ** 2 / far + (y - 1) ** 2, [[0.0, 0.0]])
    assert found == [("minimum", "strict", 0)]
    assert float(points[0, 0]) == pytest.approx(far)


def test_a_gradient_that_is_flat_is_not_zero():
    """The gradient's norm has a minimum at x = 0, where it is 1: Newton-MR ends there."""
    found, points = kinds(lambda x, y: x + x**3 + y * y, [[0.8, 0.3]], to="saddle")
    assert found[0][:2] == ("not critical", "gradient-flat")
    assert abs(float(points[0, 0])) < 1e-3


def test_a_lower_bound_that_is_met_is_global():
    found, _ = kinds(lambda x, y: (x * y - 1) ** 2, [[1.0, 2.0]], bound=0.0)
    assert found == [("minimum", "global", 0)]
    found, _ = kinds(lambda x, y: (x * y - 1) ** 2, [[1.0, 2.0]], bound=5.0)
    assert found == [("minimum", "flat", 0)], "what J falls below is no bound"


def test_bounds_come_from_ranges():
    def bound(f):
        return bound_of(trace(jensen.Cost.of(f, x=0.5, y=0.5)).problem)

    assert bound(himmelblau) == 0.0
    assert bound(lambda x, y: torch.exp(x) + y * y) is None, "0 is not attained"
    assert bound(lambda x, y: x * y) is None


def linear_network() -> jensen.Cost:
    torch.manual_seed(3)
    model = nn.Sequential(*[nn.Linear(i, o, bias=False) for i, o in ((2, 1), (1, 2), (2, 2))])
    return jensen.Cost(model, nn.MSELoss(), (torch.randn(8, 2), torch.randn(8, 2)))


def test_every_end_of_a_deep_linear_network_is_global_or_a_saddle():
    cost = linear_network()
    x, y = cost.parts()[0][0].tensors
    full = torch.linalg.lstsq(x, y).solution
    u, s, v = torch.linalg.svd(x @ full)  # the best of rank one: Baldi and Hornik 1989
    best = float(((u[:, :1] * s[:1] @ v[:1] - y) ** 2).mean())
    p = plan(cost, spec(stack=6, steps=300))
    for end in run_unit(cost, p, range(6)):
        assert end.kind in ("minimum", "saddle")
        if end.kind == "minimum":
            assert end.value == pytest.approx(best, rel=1e-9)
            assert end.how == "flat"


def test_ends_of_xor_are_at_infinity():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    cost = jensen.Cost(model, nn.MSELoss(), (x, torch.tensor([[0.0], [1.0], [1.0], [0.0]])))
    p = plan(cost, spec(init="normal", stack=8, steps=300))
    ends = run_unit(cost, p, range(8))
    assert {e.kind for e in ends} == {"at infinity"}
    assert all("no critical point was found" in e.reason or "not met" in e.reason for e in ends)


def test_products_find_the_same_kinds(monkeypatch):
    """Beyond a size no Hessian is formed: conjugate gradients polish, classify judges."""
    import jensen.ask.minima.infinity as infinity
    import jensen.ask.minima.unit as unit

    for module in (polish, infinity, unit):
        monkeypatch.setattr(module, "DENSE", 1)
    cost = jensen.Cost.of(lambda x, y: 1 + himmelblau(x, y), x=0.0, y=0.0)
    options = {"init": "uniform", "scale": 5.0, "steps": 0, "stack": 4, "lower": 0.0}
    ends = run_unit(cost, plan(cost, spec(**options)), range(4))
    assert {(e.kind, e.how) for e in ends} == {("minimum", "strict")}
    assert max(abs(e.value - 1) for e in ends) < 1e-14
    ends = run_unit(cost, plan(cost, spec(**options, polish="saddle")), range(4))
    assert {e.kind for e in ends} <= {"minimum", "maximum", "saddle"}
    assert max(e.gradient_norm for e in ends) < 1e-11
    tail = jensen.Cost.of(lambda x, y: torch.exp(-x) + (y - 1) ** 2, x=0.0, y=0.0)
    ends = run_unit(tail, plan(tail, spec(stack=2, steps=50)), range(2))
    assert {e.kind for e in ends} == {"at infinity"}


def test_an_end_survives_its_data():
    cost = jensen.Cost.of(himmelblau, x=0.0, y=0.0)
    (end,) = run_unit(cost, plan(cost, spec(stack=1, steps=20, init="uniform", scale=5.0)), [0])
    again = End.of(end.to_dict(), end.theta)
    assert again == end
    assert end.kind in KINDS


@pytest.mark.parametrize(
    ("f", "start", "answer"),
    [
        (lambda x, y: (x * x).sum() + y**4 + y**5, 0.5, ("minimum", "higher order")),
        (lambda x, y: (x * x).sum() + y**3, 0.0, ("saddle", "higher order")),
        (lambda x, y: ((x - 0.1 * y) ** 2).sum() - y**4, 0.0, ("saddle", "higher order")),
        (lambda x, y: ((x * y) ** 2 - 2 * x * y).sum(), 1.0, ("minimum", "flat")),
    ],
)
def test_beyond_second_order_in_many_parameters(f, start, answer):
    """No stack of Hessians is formed beyond 256 parameters; that of an unsettled end is."""
    cost = jensen.Cost.of(f, x=torch.ones(260, dtype=torch.float64), y=0.1)
    point = {"x": start * torch.linspace(0.8, 1.2, 260, dtype=torch.float64), "y": torch.tensor(start)}
    options = {"init": lambda generator: point, "steps": 0, "stack": 1, "symmetries": 0}
    options["polish"] = "saddle" if answer[0] == "saddle" else "minimum"
    (end,) = run_unit(cost, plan(cost, spec(**options)), [0])
    assert (end.kind, end.how) == answer, end.reason


@pytest.mark.parametrize(("above", "how"), [(0.0, "global"), (1e-9, "flat")])
def test_a_value_near_a_bound_is_not_at_it_in_many_parameters_either(above, how):
    cost = jensen.Cost.of(
        lambda x, y: 1e8 * ((x * y - 1) ** 2).sum() + above, x=torch.ones(260, dtype=torch.float64), y=0.1
    )
    point = {"x": torch.linspace(0.8, 1.2, 260, dtype=torch.float64), "y": torch.tensor(0.5, dtype=torch.float64)}
    options = {"init": lambda generator: point, "steps": 0, "stack": 1, "symmetries": 0, "lower": 0.0}
    (end,) = run_unit(cost, plan(cost, spec(**options)), [0])
    assert (end.kind, end.how) == ("minimum", how), end.reason


def test_networks_that_interpolate_meet_the_bound_in_many_parameters():
    torch.manual_seed(0)
    x, y = torch.randn(10, 6, dtype=torch.float64), torch.randn(10, 2, dtype=torch.float64)
    net = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 2)).double()
    cost = jensen.Cost(net, nn.MSELoss(), (x, y))
    ends = run_unit(cost, plan(cost, spec(stack=3, steps=100, lower=0.0)), range(3))
    assert {(e.kind, e.how) for e in ends} == {("minimum", "global")}, [e.reason for e in ends]
