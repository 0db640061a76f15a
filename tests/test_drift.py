"""A program is captured anew where the cost changed in a way that torch does not count."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import jensen
from jensen import Cost, Misuse
from jensen.ask.curvature import operator

X, Y = torch.randn(12, 3, generator=torch.Generator().manual_seed(1)), torch.ones(12, 1)


def frozen(net):
    net.lin.bias.data.fill_(5.0)


def through_numpy(net):
    np.copyto(net.lin.bias.detach().numpy(), 5.0)


def buffer(net):
    net.shift.data.add_(2.0)


def plain_tensor(net):
    net.plain.mul_(3.0)


def number(net):
    net.number = 4.0


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 1)
        self.lin.bias.requires_grad_(False)
        self.register_buffer("shift", torch.zeros(1))
        self.plain, self.number = torch.ones(1), 1.0

    def forward(self, x):
        return self.lin(x) * self.plain * self.number + self.shift


def fresh(net):
    return jensen.hessian(Cost(net, nn.MSELoss(), (X, Y)))


@pytest.mark.parametrize("change", [frozen, through_numpy, buffer])
def test_tensors_of_the_model_are_known_by_their_values(change):
    torch.manual_seed(0)
    net = Net()
    cost = Cost(net, nn.MSELoss(), (X, Y))
    before = jensen.hessian(cost)
    change(net)
    with pytest.raises(Misuse, match="changed between H and its first product"):
        before @ torch.ones(before.n, dtype=torch.float64)
    after = jensen.hessian(cost)
    assert after.value == pytest.approx(float(cost()), rel=1e-12) != before.value
    assert torch.equal(after.gradient, fresh(net).gradient)


def test_what_a_function_closes_over_is_known_by_its_values():
    target, weight = torch.tensor([1.0, 2.0], dtype=torch.float64), [1.0]
    cost = Cost.of(lambda w: (w - target).square().sum() * weight[0], w=torch.tensor([1.0, 2.0]))
    assert jensen.classify(cost).kind == "minimum"
    target.data.fill_(7.0)
    assert jensen.classify(cost).kind == "not critical"
    assert jensen.hessian(cost).value == pytest.approx(float(cost()))
    weight[0] = 3.0
    assert jensen.hessian(cost).value == pytest.approx(float(cost()))
    assert torch.allclose(jensen.hessian(cost).dense(), 6 * torch.eye(2, dtype=torch.float64))


def test_a_penalty_s_coefficient_may_change():
    torch.manual_seed(0)
    share = [0.1]
    cost = Cost(
        nn.Linear(3, 1), nn.MSELoss(), [(X[:6], Y[:6]), (X[6:], Y[6:])],
        penalty=lambda p: share[0] * p["weight"].square().sum(),
    )  # fmt: skip
    first = jensen.hessian(cost).dense()
    share[0] = 10.1
    more = jensen.hessian(cost).dense() - first
    assert torch.allclose(more, torch.diag(torch.tensor([20.0, 20, 20, 0], dtype=torch.float64)))


def test_a_small_penalty_of_a_wide_network_may_change():
    torch.manual_seed(0)
    wide = [layer for i in range(7) for layer in (nn.Linear(256 if i else 3, 256), nn.ReLU())]
    share = [1e-4]
    cost = Cost(
        nn.Sequential(*wide, nn.Linear(256, 1)), nn.MSELoss(), (X, Y),
        penalty=lambda p: share[0] * sum(t.square().sum() for t in p.values()),
    )  # fmt: skip
    before = jensen.hessian(cost).value
    share[0] = 1e-3
    assert jensen.hessian(cost).value == pytest.approx(float(cost()), rel=1e-12) != before


def test_a_cost_that_stays_is_not_captured_anew(monkeypatch):
    cost = Cost(Net(), nn.MSELoss(), (X, Y))
    jensen.hessian(cost)
    monkeypatch.setattr("jensen.trace._trace", lambda cost: pytest.fail("captured anew"))
    with torch.no_grad():
        cost._model.lin.weight.mul_(2.0)
    assert jensen.hessian(cost).value == pytest.approx(float(cost()))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout(0.5)])
def test_a_mode_that_changes_later_is_refused(layer):
    net = nn.Sequential(nn.Linear(3, 3), layer, nn.Linear(3, 1)).eval()
    cost = Cost(net, nn.MSELoss(), [(X[:6], Y[:6]), (X[6:], Y[6:])])
    net.train()
    with pytest.raises(Misuse, match=r"training mode.*model\.eval"):
        jensen.hessian(cost)


class Dropping(nn.Module):
    """Dropout that no layer tells of."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 1)

    def forward(self, x):
        return self.lin(nn.functional.dropout(x, 0.5, self.training))


@pytest.mark.parametrize("ask", [jensen.hessian, jensen.check, jensen.classify])
def test_a_mode_that_makes_a_function_random_is_refused(ask):
    net = Dropping().eval()
    cost = Cost(net, nn.MSELoss(), (X, Y))
    ask(cost)
    net.train()
    state = torch.get_rng_state()
    with pytest.raises(Misuse, match=r"J gave .* it must be a function: switch off dropout"):
        ask(cost)
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_norm_without_running_statistics_reads_its_batch():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 1)).eval()
    with pytest.raises(Misuse, match="without running statistics over 2 chunks"):
        Cost(net, nn.MSELoss(), [(X[:6], Y[:6]), (X[6:], Y[6:])])
    assert jensen.hessian(Cost(net, nn.MSELoss(), (X, Y))).n == 22


class Shifted(nn.Module):
    """Buffers that a program is built upon, and one that it is not."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 2)
        self.register_buffer("shift", torch.zeros(2))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("mask", torch.zeros(2))
        self.register_buffer("chosen", torch.tensor([True, False]))

    def forward(self, x):
        out = torch.softmax(self.lin(x) * self.scale + self.shift + self.mask, 1)
        return out[:, self.chosen].sum(1, keepdim=True)


def rebuilt(net, monkeypatch, change, penalty=None):
    """How often a cost is captured for its second Hessian, after a change, which must be right."""
    from jensen import trace

    cost, real, captured = Cost(net, nn.MSELoss(), (X, Y), penalty=penalty), trace.capture, []
    jensen.hessian(cost)
    change(net)
    with monkeypatch.context() as m:
        m.setattr(trace, "capture", lambda *args: captured.append(1) or real(*args))
        h = jensen.hessian(cost)
    ones = torch.ones(h.n, dtype=torch.float64)
    other = jensen.hessian(Cost(net, nn.MSELoss(), (X, Y), penalty=penalty))
    assert h.value == pytest.approx(other.value, rel=1e-14) and torch.allclose(h @ ones, other @ ones, rtol=1e-12)
    return len(captured)


@pytest.mark.parametrize(
    ("name", "index", "value", "times"),
    [("shift", 0, 0.5, 0), ("scale", (), 2.0, 1), ("mask", 1, -torch.inf, 1), ("chosen", 1, True, 1)],
)
def test_moved_buffers_are_bound_anew_unless_the_program_is_built_upon_them(monkeypatch, name, index, value, times):
    torch.manual_seed(0)
    assert rebuilt(Shifted(), monkeypatch, lambda net: getattr(net, name).__setitem__(index, value)) == times


@pytest.mark.parametrize("step", [1.0, 1e-9])
def test_what_changed_along_with_a_buffer_is_seen(monkeypatch, step):
    torch.manual_seed(0)
    share = [0.5]

    def more(net):
        buffer(net)
        share[0] += step

    assert rebuilt(Net(), monkeypatch, more, lambda p: share[0] * p["lin.weight"].square().sum()) == 1
    assert rebuilt(Net(), monkeypatch, lambda net: (buffer(net), frozen(net))) == 1


def test_a_captured_cost_can_be_pickled_and_copied():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    cost = Cost(net, nn.MSELoss(), (X, Y))
    value = jensen.hessian(cost).value
    for other in (pickle.loads(pickle.dumps(cost)), copy.deepcopy(cost)):
        assert jensen.hessian(other).value == value
        other._model[1].running_mean.add_(1.0)
        assert jensen.hessian(other).value == pytest.approx(float(other()), rel=1e-12) != value


def in_classes(cut):
    """Rows sorted by class, with a weight each that the loss closes over."""
    torch.manual_seed(0)
    x, y, weights = torch.randn(200, 4).double(), torch.arange(200) // 50, torch.ones(200).double()

    def loss(out, target):
        return (nn.functional.cross_entropy(out, target[0], reduction="none") * weights[target[1]]).mean()

    rows = [(x[i : i + cut], (y[i : i + cut], torch.arange(i, i + cut))) for i in range(0, 200, cut)]
    return Cost(nn.Linear(4, 4).double(), loss, rows), weights, (x, (y, torch.arange(200))), loss


@pytest.mark.parametrize("cut", [200, 50])
def test_what_few_rows_feel_is_seen(cut):
    cost, weights, rows, loss = in_classes(cut)
    assert jensen.check(cost).verdict == "PROVED"
    before = jensen.hessian(cost)
    weights[150:] = -10.0
    after, want = jensen.hessian(cost), jensen.hessian(Cost(cost._model, loss, rows))
    assert after.value == pytest.approx(want.value, rel=1e-12) != before.value
    assert torch.allclose(after.dense(), want.dense(), rtol=1e-10, atol=1e-14)
    assert jensen.check(cost).verdict == "REFUTED"


def test_what_only_distant_points_feel_is_seen():
    share, net = [1.0], nn.Linear(3, 1).double()
    cost = Cost(
        net, nn.MSELoss(), (X, Y), penalty=lambda p: 9 * share[0] * (p["weight"].abs() - 5).clamp(min=0).square().sum()
    )
    assert jensen.check(cost).verdict == "PROVED"
    share[0] = -1.0
    assert float(cost()) == float(nn.functional.mse_loss(net(X.double()), Y.double())), "the penalty is zero here"
    assert jensen.check(cost).verdict != "PROVED"


def test_what_a_point_alone_feels_is_seen():
    """Nowhere else where the cost is looked at: the operator's value is compared with J at its own point."""
    at, share = [3.0], [0.0]
    net = nn.Linear(3, 1, bias=False).double()
    nn.init.constant_(net.weight, 3.0)
    cost = Cost(
        net,
        nn.MSELoss(),
        (X, Y),
        penalty=lambda p: share[0] * (1 - 1e3 * (p["weight"] - at[0]).square()).clamp(min=0).sum(),
    )
    before = jensen.hessian(cost).value
    share[0] = 1.0
    after = jensen.hessian(cost)
    assert after.value == pytest.approx(float(cost()), rel=1e-12) == pytest.approx(before + 3, rel=1e-12)
    assert after.dense()[0, 0] < -1e3


def test_a_program_that_does_not_give_the_cost_at_its_point_is_made_anew_and_then_refused(monkeypatch):
    cost, made = Cost(nn.Linear(3, 1), nn.MSELoss(), (X, Y)), []
    own = operator._value
    monkeypatch.setattr(operator, "_value", lambda h, shift=0.0: (made.append(h), 1 + own(h))[1])
    with pytest.raises(Misuse, match=r"the captured program gives .* at this point, the cost"):
        jensen.hessian(cost)
    first, last = made[0].point.traced, made[-1].point.traced
    assert first is not last and len({id(h) for h in made}) == 2


def test_a_cost_and_its_copies_are_freed():
    """Though the model keeps one of its own methods."""

    class Net(nn.Linear):
        def __init__(self):
            super().__init__(3, 1)
            self.act = self.twice

        def twice(self, x):
            return 2 * x

        def forward(self, x):
            return self.act(super().forward(x))

    cost = Cost(Net(), nn.MSELoss(), (X, Y))
    cost()
    left = weakref.ref(cost._private)
    del cost
    gc.collect()
    assert left() is None
