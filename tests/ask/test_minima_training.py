"""Training of whole stacks: the optimisers are torch's, copy by copy; stops, starts and blocks of runs."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import jensen
from jensen.ask.minima import stacks
from jensen.ask.minima.batches import batches
from jensen.ask.minima.inits import generator, starts
from jensen.ask.minima.spec import Spec, spec
from jensen.ask.minima.stacks import trained
from jensen.ask.minima.unit import plan, run_unit
from jensen.linalg.population import Population
from jensen.trace import trace

ROWS = 30


def classifier() -> tuple[nn.Module, jensen.Cost]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x = torch.randn(ROWS, 3, dtype=torch.float64)
    return model, jensen.Cost(model, nn.CrossEntropyLoss(), (x, torch.randint(0, 3, (ROWS,))))


def by_hand(model, cost, start, make, steps, batch=None):
    model = copy.deepcopy(model)
    torch.nn.utils.vector_to_parameters(start, model.parameters())
    optimiser = make(model.parameters())
    x, y = cost.parts()[0][0].tensors
    for step in range(steps):
        rows = slice(None)
        if batch:
            epoch, place = divmod(step, ROWS // batch)
            order = torch.randperm(ROWS, generator=generator(0, epoch, "batches"))
            rows = order[place * batch : (place + 1) * batch]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize(
    ("options", "make"),
    [
        ({"optimiser": "adam", "step": 0.01}, lambda p: torch.optim.Adam(p, lr=0.01)),
        ({"optimiser": "sgd", "step": 0.1, "momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
        ({"optimiser": "gd", "step": 0.2}, lambda p: torch.optim.SGD(p, lr=0.2)),
        ({"optimiser": "adam", "step": 0.01, "batch": 7}, lambda p: torch.optim.Adam(p, lr=0.01)),
        ({"optimiser": "sgd", "step": 0.1, "batch": 7}, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    ],
)
def test_each_copy_is_trained_as_torch_trains_it(options, make):
    model, cost = classifier()
    asked = spec(steps=9, stop=1e-30, stack=3, **options)
    start = starts(cost, asked, range(3))
    done = trained(cost, asked, start)
    for k in (0, 2):
        want = by_hand(model, cost, start[k], make, 9, options.get("batch"))
        torch.testing.assert_close(done.points[k], want, rtol=0, atol=1e-13)
    assert done.steps.tolist() == [9, 9, 9]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_batches_of_an_epoch_have_the_gradient_of_all_data(reduction):
    torch.manual_seed(0)
    x, y = torch.randn(12, 3, dtype=torch.float64), torch.randn(12, 2, dtype=torch.float64)
    loss, start = nn.MSELoss(reduction=reduction), torch.randn(2, 8, dtype=torch.float64)
    cost = jensen.Cost(nn.Linear(3, 2), loss, (x, y), penalty=lambda p: sum((t * t).sum() for t in p.values()))
    many = Population(trace(cost).problem)
    gradients = batches(cost, spec(batch=4), torch.float64, many.device, many.flat)
    mean = sum(gradients(start, step)[1] for step in range(3)) / 3
    torch.testing.assert_close(mean, many.gradients(start)[1], rtol=1e-12, atol=1e-12)


def bowls() -> jensen.Cost:
    return jensen.Cost.of(lambda x: (x[0] - 1) ** 2 + 10 * (x[1] + 2) ** 2, x=torch.zeros(2))


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "gd", "lbfgs"])
def test_copies_stop_one_by_one(optimiser):
    cost = bowls()
    step = {"adam": 0.1, "sgd": 0.02, "gd": 0.04}.get(optimiser)
    asked = spec(optimiser=optimiser, step=step, steps=3000, stop=1e-6, init="normal", stack=12, epsilon=0.1)
    done = trained(cost, asked, starts(cost, asked, range(12)))
    torch.testing.assert_close(done.points, torch.tensor([[1.0, -2.0]] * 12, dtype=torch.float64), rtol=0, atol=1e-6)
    assert len(set(done.steps.tolist())) > 1
    assert bool((done.settled >= 0).all() and (done.settled <= done.steps).all())
    assert int(done.steps.max()) < 3000
    assert not bool(done.failed.any())


def test_the_largest_row_may_be_what_stops():
    cost = jensen.Cost.of(lambda W: (W * W).sum() / 2, W=torch.zeros(4, 2))
    options = {"optimiser": "gd", "step": 0.5, "init": "normal", "stack": 2, "stop": 1e-3}
    whole, row = spec(**options), spec(**options, stop_on="largest row")
    a, b = (trained(cost, s, starts(cost, s, range(2))) for s in (whole, row))
    assert bool((a.points.norm(dim=1) <= 1e-3).all())
    rows = b.points.reshape(2, 4, 2).norm(dim=2).amax(1)
    assert bool((rows <= 1e-3).all() and (2 * rows > 1e-3).all())
    assert bool((b.steps <= a.steps).all())


def test_a_copy_that_diverges_is_given_up_alone():
    cost = jensen.Cost.of(lambda x: x**4 - x**2, x=0.0)
    asked = spec(optimiser="gd", step=0.2, steps=200, stack=4, init=lambda g: {"x": torch.tensor(0.0)})
    start = torch.tensor([[0.5], [40.0], [-0.4], [0.3]], dtype=torch.float64)  # three go on in the stack of four
    done = trained(cost, asked, start)
    assert done.failed.tolist() == [False, True, False, False]
    assert bool(torch.isfinite(cost({"x": done.points[1, 0]}))), "the last point with a finite J"
    assert abs(abs(float(done.points[0])) - 0.5**0.5) < 1e-6
    p = plan(cost, spec(optimiser="gd", step=0.2, stack=1, steps=100, init=lambda g: {"x": torch.tensor(40.0)}))
    (end,) = run_unit(cost, p, [0])
    assert end.kind == "not converged"
    assert "smaller step" in end.reason


def test_a_copy_that_is_done_stays_done_whatever_the_next_batch_is():
    ones, y = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[0.0], [5.0]], dtype=torch.float64)
    cost = jensen.Cost(nn.Linear(1, 1, bias=False), nn.MSELoss(), (ones, y))
    start = torch.tensor([[0.0], [5.0], [1.0], [2.0]], dtype=torch.float64)
    done = trained(cost, spec(optimiser="gd", step=0.1, steps=6, batch=1, stop=1e-9, stack=4), start)
    assert sorted(done.steps.tolist()) == [0, 6, 6, 6], "one of the first two fits the first row"
    still = int(done.steps.argmin())
    assert torch.equal(done.points[still], start[still])


def test_starts_depend_on_the_run_alone():
    _, cost = classifier()
    for init in ("default", "normal", "uniform", lambda g: {"0.weight": torch.randn(4, 3, generator=g)}):
        asked = spec(init=init, scale=0.5, seed=3)
        state = torch.random.get_rng_state()
        many, one = starts(cost, asked, range(5)), starts(cost, asked, [3])
        assert torch.equal(many[3], one[0])
        assert torch.equal(torch.random.get_rng_state(), state)
        assert len({tuple(r.tolist()) for r in many}) == 5
        assert not torch.equal(starts(cost, spec(init=init, seed=4), [3]), one)
    assert float(starts(cost, spec(init="uniform", scale=0.5), range(50)).abs().max()) <= 0.5


def test_default_starts_are_the_modules_own():
    _, cost = classifier()
    found = starts(cost, spec(), range(200))[:, :12]
    assert float(found.abs().max()) <= 1 / math.sqrt(3)
    assert float(found.std()) == pytest.approx(1 / 3, rel=0.05)  # uniform on +-1/sqrt(3)


def test_ends_depend_on_the_run_alone():
    _, cost = classifier()
    p = plan(cost, spec(stack=4, steps=40, step=0.05, polish=None))
    every = run_unit(cost, p, range(8))
    for run in (5, 2):
        (one,) = run_unit(cost, p, [run])
        assert one == every[run]
        assert all(torch.equal(one.theta[n], every[run].theta[n]) for n in one.theta)
    assert {e.kind for e in every} == {"not converged"}
    assert "polish=" in every[0].reason


@pytest.mark.parametrize(("plain", "fast", "answer"), [(1e-3, 1e-9, False), (1.0, 0.5, True), (1.0, 0.99, False)])
def test_a_plan_compiles_where_a_measurement_says_that_it_pays(monkeypatch, plain, fast, answer):
    monkeypatch.setattr(stacks, "seconds", lambda gradients, start: fast if gradients.compiled else plain)
    assert plan(bowls(), spec(stack=2, steps=1000)).compiled is answer
    assert plan(bowls(), spec(stack=2, steps=1000, compiled=not answer)).compiled is not answer
    assert plan(bowls(), spec(stack=2, steps=1000, optimiser="lbfgs")).compiled is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adam"}, "no argument 'optimizer'"),
        ({"optimiser": "newton"}, "none of 'adam'"),
        ({"init": "xavier"}, "none of 'default'"),
        ({"step": 0.0}, "must be positive"),
        ({"batch": 0}, "number of rows"),
        ({"stack": 0}, "1 or more"),
        ({"optimiser": "lbfgs", "batch": 8}, "full data"),
        ({"symmetries": -1}, "number of zero modes"),
        ({"polish": "maximum"}, "none of 'minimum'"),
        ({"device": "mps"}, "not supported; use 'cpu'"),
        ({"device": "graphics"}, "not known to torch"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(jensen.Misuse, match=words):
        spec(**options)


def test_data_and_models_that_do_not_fit_are_refused():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * self.w

    cost = jensen.Cost(Bare(), nn.MSELoss(), (torch.ones(2, 3), torch.ones(2, 3)))
    with pytest.raises(jensen.Misuse, match="no module resets 'w'"):
        starts(cost, Spec(), [0])
    with pytest.raises(jensen.Misuse, match="more than the 2 rows"):
        trained(cost, spec(batch=3, init="normal"), torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(jensen.Misuse, match="one pair"):
        trained(bowls(), spec(batch=3, init="normal"), torch.ones(1, 2, dtype=torch.float64))
    with pytest.raises(jensen.Misuse, match="init returned 'v'"):
        starts(cost, spec(init=lambda g: {"v": torch.ones(3)}), [0])
    with pytest.raises(jensen.Misuse, match="no stack size"):
        run_unit(cost, Spec(), [0])
