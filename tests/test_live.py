"""What is asked of a cost is of the model as it is, whatever changed since the cost was made, or it is refused."""

import logging
import threading
from enum import Enum
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu
from torch.nn.utils import prune

import jensen
from curvature_models import double_backward
from jensen import Cost, Misuse
from jensen.copies import copied

X, Y = torch.rand(12, 4, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3


class Settings:
    gain = 1.0


class Net(nn.Module):
    gain = 1.0

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.act, self.norm, self.b = nn.Linear(4, 5), nn.LeakyReLU(0.1), nn.LayerNorm(5), nn.Linear(5, 3)
        self.scale, self.config, self.squash = torch.ones(()), {"power": 1.0}, torch.sigmoid
        self.calls, self.settings, self.tables = 0, Settings(), [np.ones(3), torch.ones(3)]
        self.gain = 1.5

    def forward(self, x):
        self.calls += 1
        out = self.squash(self.b(self.norm(self.act(self.a(x))))) * self.scale * self.config["power"]
        return out * self.gain * self.settings.gain * torch.as_tensor(self.tables[0]) * self.tables[1]


class Smoothed(nn.Module):
    def __init__(self):
        super().__init__()
        self.power = 1.0
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, out, y):
        return nn.functional.cross_entropy(self.power * out + self.shift * out.square(), y)


def slope(net, loss):
    net.act.negative_slope = 0.7


def epsilon(net, loss):
    net.norm.eps = 0.3


def entry(net, loss):
    net.config["power"] = 3.0


def function(net, loss):
    net.squash = torch.tanh


def tensor(net, loss):
    net.scale = torch.tensor(2.0)


def setting(net, loss):
    net.settings.gain = 2.0


def array(net, loss):
    net.tables[0][1:] = 3.0


def listed_tensor(net, loss):
    net.tables[1].mul_(2.0)


def without(net, loss):
    del net.gain


def number_of_the_loss(net, loss):
    loss.power = 2.0


def buffer_of_the_loss(net, loss):
    loss.shift.data.add_(0.5)


def forward_of_a_layer(net, loss):
    net.norm.forward = torch.sin


CHANGES = [
    slope,
    epsilon,
    entry,
    function,
    tensor,
    setting,
    array,
    listed_tensor,
    without,
    number_of_the_loss,
    buffer_of_the_loss,
    forward_of_a_layer,
]


@pytest.mark.parametrize("change", CHANGES)
def test_plain_attributes_are_followed(change):
    net, loss = Net(), Smoothed()
    cost = Cost(net, loss, (X, Y))
    before = jensen.hessian(cost)
    v = torch.randn(before.n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    change(net, loss)
    after, fresh = jensen.hessian(cost), jensen.hessian(Cost(net, loss, (X, Y)))
    assert after.value == pytest.approx(fresh.value, rel=1e-13) == pytest.approx(float(cost()), rel=1e-13)
    assert after.value != pytest.approx(before.value, rel=1e-4)
    assert torch.allclose(after @ v, fresh @ v, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("change", [slope, tensor, number_of_the_loss])
def test_a_watch_follows_them(change):
    net, loss = Net(), Smoothed()
    with jensen.watch(Cost(net, loss, (X, Y)), every=1, share=None, show=False) as w:
        change(net, loss)
        record = w.step()
    fresh = jensen.hessian(Cost(net, loss, (X, Y)))
    assert record["J"] == pytest.approx(fresh.value, rel=1e-12)
    low, bound = record["lowest"][0].values()
    assert abs(low - float(torch.linalg.eigvalsh(fresh.dense())[0])) <= bound + 1e-9


class Mode(Enum):
    ONE, TWO = 1.0, 2.0


class Slotted:
    __slots__ = ("gain",)

    def __init__(self, gain):
        self.gain = gain


class Annealer:
    """An object that is called, and holds what cannot be compared: a logger, an optimiser, a lock of its own."""

    def __init__(self, gain):
        self.gain, self.log = gain, logging.getLogger("annealer")
        self.optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)

    def __call__(self, x):
        return self.gain * x


class Holder(nn.Module):
    """A linear layer whose output is multiplied by whatever ``held`` says."""

    def __init__(self, held, read):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.held, self.read = nn.Linear(4, 3), held, read

    def forward(self, x):
        return self.linear(x) * self.read(self)


class Methods(Holder):
    def __init__(self):
        super().__init__(None, lambda m: m.held())
        self.held = self.one

    def one(self):
        return self.linear.weight.sum()

    def two(self):
        return self.linear.weight.square().sum()


def first(m):
    return m.held


def exchanged(value):
    return lambda m: setattr(m, "held", value)


def doubled(m):
    m.held[0].weight.data.mul_(2.0)


HELD = {
    "an enumeration": (lambda: Holder(Mode.ONE, lambda m: m.held.value), exchanged(Mode.TWO)),
    "a partial function": (lambda: Holder(partial(max, 1.0), lambda m: m.held(0.5)), exchanged(partial(max, 2.0))),
    "an object that is called": (lambda: Holder(Annealer(1.0), lambda m: m.held(1.0)), exchanged(Annealer(2.0))),
    "its value": (lambda: Holder(Annealer(1.0), lambda m: m.held(1.0)), lambda m: setattr(m.held, "gain", 2.0)),
    "slots": (lambda: Holder(Slotted(1.0), lambda m: m.held.gain), lambda m: setattr(m.held, "gain", 2.0)),
    "a set": (lambda: Holder({1.0}, lambda m: max(m.held)), lambda m: m.held.add(2.0)),
    "a complex number": (lambda: Holder(1 + 1j, lambda m: m.held.imag), exchanged(1 + 2j)),
    "a fraction": (lambda: Holder(Fraction(1, 2), lambda m: float(m.held)), exchanged(Fraction(3, 2))),
    "a class beside numbers": (
        lambda: Holder(SimpleNamespace(act=nn.ReLU, gain=1.0), lambda m: m.held.gain),
        lambda m: setattr(m.held, "gain", 3.0),
    ),
    "a class": (lambda: Holder([nn.ReLU, 1.0], lambda m: float(m.held[0] is nn.Tanh)), exchanged([nn.Tanh, 1.0])),
    "a long list": (lambda: Holder([1.0] * 5_000, lambda m: m.held[-1]), lambda m: m.held.__setitem__(-1, 2.0)),
    "a long array": (lambda: Holder(np.ones(5_000), lambda m: m.held[-1]), lambda m: m.held.__setitem__(-1, 2.0)),
    "a dict of long tensors": (
        lambda: Holder({"mean": torch.ones(5_000)}, lambda m: m.held["mean"][-1]),
        lambda m: m.held["mean"].data.add_(1.0),
    ),
    "a layer in a list": (lambda: Holder([nn.Linear(1, 1)], lambda m: m.held[0].weight.sum()), doubled),
    "a tensor with a gradient": (
        lambda: Holder(torch.ones((), requires_grad=True), first),
        lambda m: m.held.data.mul_(2.0),
    ),
    "a tensor that was computed": (
        lambda: Holder(torch.ones((), requires_grad=True) * 2, first),
        lambda m: setattr(m, "held", torch.ones((), requires_grad=True) * 3),
    ),
    "a method": (Methods, lambda m: setattr(m, "held", m.two)),
}


@pytest.mark.parametrize("name", HELD)
def test_whatever_is_held_is_followed(name):
    make, change = HELD[name]
    net, loss = make().double(), nn.MSELoss()
    x, y = X.double(), torch.ones(len(X), 3, dtype=torch.float64)
    cost = Cost(net, loss, (x, y))
    before = jensen.hessian(cost)
    assert before.value == pytest.approx(float(loss(net(x), y)), rel=1e-13)
    change(net)
    after, want = jensen.hessian(cost), double_backward(Cost(net, loss, (x, y)), v := torch.ones(before.n).double())
    assert after.value == pytest.approx(float(loss(net(x), y)), rel=1e-13) == pytest.approx(float(cost()), rel=1e-13)
    assert after.value != pytest.approx(before.value, rel=1e-4)
    assert torch.allclose(after @ v, want, rtol=1e-10, atol=1e-13)
    assert jensen.check(cost).verdict == jensen.check(Cost(net, loss, (x, y))).verdict


def test_objects_that_cannot_be_compared_are_copied_when_they_are_exchanged_only(monkeypatch):
    net = Holder(Annealer(1.0), lambda m: m.held(1.0))
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    cost()
    with monkeypatch.context() as m:
        m.setattr("jensen.live._copied", lambda *_: pytest.fail("copied anew"))
        assert float(cost()) == float(cost())
        assert cost.modes() == cost.modes()


def test_lists_of_the_model_s_own_layers_need_no_other_capture(monkeypatch):
    net = Holder(None, lambda m: m.held[0].weight.sum() + m.held[1].sum())
    net.held = [net.linear, net.linear.bias]
    with pytest.raises(Misuse, match=r"reads linear\.bias.*ParameterList"):
        Cost(net, nn.CrossEntropyLoss(), (X, Y))
    net.held = [net.linear, nn.Linear(1, 1).weight]
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    jensen.hessian(cost)
    with monkeypatch.context() as m:
        m.setattr("jensen.trace.capture", lambda *_: pytest.fail("captured anew"))
        m.setattr("jensen.live._copied", lambda *_: pytest.fail("copied anew"))
        net.linear.weight.data.mul_(2.0)
        found = jensen.hessian(cost)
    want = torch.autograd.grad(nn.functional.cross_entropy(net(X), Y), list(net.parameters()))
    assert torch.allclose(found.gradient, torch.cat([g.flatten() for g in want]).double(), atol=1e-6)


def test_what_has_changed_and_cannot_be_copied_is_named():
    net = Holder(1.0, first)
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    net.more = [threading.Lock()]
    with pytest.raises(Misuse, match=r"'more' has changed and cannot be copied.*make the cost anew"):
        cost()


def test_a_compiled_model_and_a_traced_graph_are_models():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    want = float(Cost(net, nn.CrossEntropyLoss(), (X, Y))())
    assert float(Cost(torch.fx.symbolic_trace(net), nn.CrossEntropyLoss(), (X, Y))()) == want
    net.compile()
    assert float(Cost(net, nn.CrossEntropyLoss(), (X, Y))()) == want


class Counting(Net):
    """Attributes that its forward writes: a counter, one that is there only then, and what was computed last."""

    def __init__(self):
        super().__init__()
        self.last = None

    def forward(self, x):
        self.more = getattr(self, "more", 0) + 1
        self.last = super().forward(x)
        return self.last


def test_what_a_forward_writes_needs_no_other_capture(monkeypatch):
    net = Counting()
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    h = jensen.hessian(cost)
    with monkeypatch.context() as m:
        m.setattr("jensen.trace.capture", lambda *_: pytest.fail("captured anew"))
        for x in (X, X[:5]):
            net(x)
            assert jensen.hessian(cost).value == h.value
        h @ torch.ones(h.n, dtype=torch.float64)
    slope(net, None)
    assert jensen.hessian(cost).value == pytest.approx(float(cost()), rel=1e-13) != h.value


def test_long_and_endless_attributes_are_left_alone():
    net = Net()
    net.words, net.ring = {str(i): i for i in range(200_000)}, [1]
    net.ring.append(net.ring)
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    before = cost.modes()
    net.words["new"] = 1
    assert cost.modes() == before and float(cost()) == float(cost())


class Forked:
    """An object with two ways to each of those below it; how often one is followed is counted."""

    reads = 0

    def __init__(self, depth):
        self.left = self.right = Forked(depth - 1) if depth else None

    def __getattribute__(self, name):
        Forked.reads += 1
        assert Forked.reads < 1_000_000, "endless"
        return super().__getattribute__(name)


def test_few_objects_with_many_ways_through_them_take_no_time():
    net = Net()
    net.graph = Forked(40)
    value = float(Cost(net, nn.CrossEntropyLoss(), (X, Y))())
    assert value == pytest.approx(float(nn.functional.cross_entropy(net(X), Y)))


class Neighbours(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.matrix = nn.Linear(4, 3), torch.eye(12).to_sparse()

    def forward(self, x):
        return torch.sparse.mm(self.matrix, self.linear(x).float())


def test_sparse_tensors_are_followed_and_those_without_values_are_left_alone():
    net, loss = Neighbours(), nn.CrossEntropyLoss()
    net.shapes, net.first = [torch.empty(3, device="meta")], torch.empty(3, device="meta")
    cost = Cost(net, loss, (X, Y), dtype=torch.float32)
    for matrix in (2 * torch.eye(12).to_sparse(), 3 * torch.eye(12).to_sparse()):
        net.matrix = matrix
        assert cost().item() == pytest.approx(loss(net(X), Y).item())
    with pytest.raises(Misuse, match=r"sparse tensors.*to_dense"):
        jensen.hessian(cost)


def test_sparse_buffers_are_refused():
    net = nn.Linear(4, 3)
    net.register_buffer("adjacency", torch.eye(4).to_sparse())
    with pytest.raises(Misuse, match=r"'adjacency' is a torch.sparse_coo tensor.*to_dense"):
        Cost(net, nn.CrossEntropyLoss(), (X, Y))


def layer(net, loss):
    net.act = nn.Tanh()


def fewer(net, loss):
    net.b = nn.Linear(5, 3, bias=False)


def more(net, loss):
    net.more = nn.Linear(2, 2)


def pruned(net, loss):
    prune.l1_unstructured(net.a, "weight", 0.5)


def reordered(net, loss):
    net._modules["a"] = net._modules.pop("a")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (layer, "act"),
        (fewer, r"b\.bias"),
        (more, r"more\.weight"),
        (pruned, "weight_orig"),
        (reordered, "another order"),
    ],
)
def test_another_model_is_refused(change, name):
    net, loss = Net(), Smoothed()
    cost = Cost(net, loss, (X, Y))
    change(net, loss)
    for ask in (cost, lambda: jensen.hessian(cost)):
        with pytest.raises(Misuse, match=rf"changed since the cost was made.*{name}.*make the cost anew"):
            ask()


@pytest.mark.parametrize("name", ["weight", "ignore_index", "reduction"])
def test_other_shares_of_the_rows_are_refused(name):
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    cost = Cost(Net(), loss, [(X[:7], Y[:7]), (X[7:], Y[7:])])
    value = {"weight": torch.tensor([1.0, 2.0, 9.0]), "ignore_index": 1, "reduction": "sum"}[name]
    setattr(loss, name, value)
    with pytest.raises(Misuse, match=r"weighs the rows otherwise.*make the cost anew"):
        jensen.hessian(cost)


def test_label_smoothing_of_torch_s_loss_is_followed():
    net, loss = Net(), nn.CrossEntropyLoss()
    cost = Cost(net, loss, (X, Y))
    jensen.hessian(cost)
    loss.label_smoothing = 0.4
    assert jensen.hessian(cost).value == pytest.approx(jensen.hessian(Cost(net, loss, (X, Y))).value, rel=1e-13)


def test_a_parameter_that_was_frozen_once_is_known_by_its_values():
    net = Net()
    net.a.weight.requires_grad_(False)
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    for flag in (False, True, False):
        net.a.weight.requires_grad_(flag)
        net.a.weight.data.mul_(1.5)
        assert jensen.hessian(cost).value == pytest.approx(float(cost()), rel=1e-13)


def test_what_a_function_closes_over_is_seen_on_both_sides_of_a_kink():
    rate = [0.1]
    cost = Cost.of(lambda w: leaky_relu(w, rate[0]).pow(3).sum(), w=torch.tensor([1.0, -2.0]))
    jensen.hessian(cost)
    rate[0] = 0.9
    assert jensen.hessian(cost).value == pytest.approx(float(cost())) == pytest.approx(1 - 1.8**3)


class Shared(nn.Module):
    """One layer under two names, with buffers, and its weight tied to another's."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Linear(4, 4)
        self.b.weight = self.a[0].weight
        self.c = self.a

    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))[:, :3]


def truth(net):
    """The Hessian of the cross entropy by torch alone."""
    twin = copied(net).double()
    names = [n for n, _ in twin.named_parameters()]
    at = [p.detach() for p in twin.parameters()]
    sizes = [p.numel() for p in at]

    def value(flat):
        pieces = [t.view(p.shape) for t, p in zip(flat.split(sizes), at, strict=True)]
        out = torch.func.functional_call(twin, dict(zip(names, pieces, strict=True)), (X.double(),))
        return nn.functional.cross_entropy(out, Y)

    return torch.autograd.functional.hessian(value, torch.cat([p.flatten() for p in at]))


def test_a_layer_may_have_two_names_and_a_tied_weight():
    class Plain(Shared):
        def __init__(self):
            super().__init__()
            del self.c

        def forward(self, x):
            return self.a(torch.tanh(self.b(torch.tanh(self.a(x)))))[:, :3]

    net, plain = Shared().eval(), Plain().eval()
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    for _ in range(2):
        assert torch.allclose(jensen.hessian(cost).dense(), truth(plain), atol=1e-12)
        for m in (net, plain):
            m.a[1].running_mean.add_(0.5)
            m.a[0].weight.data.mul_(1.5)


def test_pruned_models_can_be_asked_about_and_watched():
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    prune.l1_unstructured(net[0], "weight", 0.4)
    cost = Cost(net, nn.CrossEntropyLoss(), (X, Y))
    h = jensen.hessian(cost)
    kept = torch.cat(
        [net[0].weight_mask.flatten() if "orig" in n else torch.ones(p.numel()) for n, p in net.named_parameters()]
    )
    dense = h.dense()
    assert not dense[kept == 0].any() and dense[kept == 1].any()
    v = torch.randn(h.n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(h @ v, double_backward(cost, v), atol=1e-12)
    with jensen.watch(cost, every=1, share=None, show=False) as w:
        assert w.step()["J"] == pytest.approx(h.value)


class Holding(nn.Module):
    """A loss with a penalty on a weight of the model that it holds, as a layer of its own or out of torch's sight."""

    def __init__(self, net, hidden):
        super().__init__()
        self.net = [net] if hidden else net

    def forward(self, out, y):
        net = self.net[0] if isinstance(self.net, list) else self.net
        return nn.functional.cross_entropy(out, y) + net.a.weight.square().sum()


class Closed(nn.Module):
    """A function as an attribute that holds the layer of the original, also in a copy."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.apply_a = lambda x: self.a(x)

    def forward(self, x):
        return self.apply_a(x)


@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("how", ["penalty", "loss", "module", "hidden module", "layer"])
def test_a_function_that_reads_the_model_itself_is_refused(how, chunks):
    net = Closed() if how == "layer" else Net()
    loss = {
        "loss": lambda out, y: nn.functional.cross_entropy(out, y) + net.a.weight.square().sum(),
        "module": Holding(net, False) if how == "module" else None,
        "hidden module": Holding(net, True),
    }.get(how, nn.CrossEntropyLoss())
    penalty = (lambda p: net.a.weight.square().sum()) if how == "penalty" else None
    data = (X, Y) if chunks == 1 else [(X[:7], Y[:7]), (X[7:], Y[7:])]
    with pytest.raises(Misuse, match=r"(reads|holds) a\.weight .*derivative would miss.*penalty=lambda p"):
        Cost(net, loss, data, penalty=penalty)


def test_a_function_may_read_another_model_and_what_is_frozen():
    net, teacher = Net(), nn.Linear(4, 3)
    net.norm.weight.requires_grad_(False)
    cost = Cost(net, lambda out, x: (out - teacher(x).to(out)).square().mean() + net.norm.weight.sum(), (X, X))
    teacher.weight.data.mul_(2.0)
    h = jensen.hessian(cost)
    v = torch.randn(h.n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(h @ v, double_backward(cost, v), atol=1e-12)


class Ramp(nn.Linear):
    """New tensors in its forward, where torch makes them by default."""

    def forward(self, x):
        return super().forward(x) + torch.zeros(3) + torch.arange(3)


def test_new_tensors_are_on_the_cpu_whatever_the_default_device():
    net = Ramp(4, 3)
    want = jensen.hessian(Cost(net, nn.CrossEntropyLoss(), (X, Y)))
    torch.set_default_device("meta")  # as cuda, where there is none
    try:
        h = jensen.hessian(Cost(net, nn.CrossEntropyLoss(), (X, Y)))
        assert float(h.point.cost()) == pytest.approx(h.value, rel=1e-14) == pytest.approx(want.value, rel=1e-14)
        assert jensen.classify(h.point.cost).kind == "not critical"
        dense = h.dense()
    finally:
        torch.set_default_device(None)
    assert torch.allclose(dense, want.dense(), atol=1e-12)


@pytest.mark.parametrize("kept", [lambda h: h, lambda h: [h], lambda h: {"a": (h, 1)}])
def test_handles_of_hooks_are_no_values(kept):
    class Hooked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)
            self.handle = kept(self.layer.register_forward_hook(lambda *a: None))

        def forward(self, x):
            return self.layer(x)

    cost = Cost(Hooked(), nn.MSELoss(), (torch.randn(3, 2), torch.randn(3, 1)))
    with jensen.watch(cost, every=1, share=None, show=False, ends=False) as watch:
        assert not watch.step()["error"]
    assert jensen.check(cost, of="*.bias").verdict is jensen.Verdict.PROVED
