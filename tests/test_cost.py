"""The cost: exact weights on cut data, the determinism gate, and one clear sentence for every bad input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import DataLoader, TensorDataset

from jensen import Cost, Misuse, hessian
from jensen.ask.remedies.linearise import linearised

D = torch.float64


def data(n: int = 37, i: int = 5, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, i, generator=g, dtype=D), torch.randint(0, k, (n,), generator=g)


def net(i: int = 5, o: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(i, 4), nn.Tanh(), nn.Linear(4, o))


WEIGHTS = torch.tensor([1.0, 7.0, 0.25])
LOSSES = {
    "mean": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "class weights": nn.CrossEntropyLoss(weight=WEIGHTS),
    "ignored": nn.CrossEntropyLoss(ignore_index=1),
    "ignored and weighted": nn.CrossEntropyLoss(ignore_index=1, weight=WEIGHTS),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.2),
    "weighted, smoothed": nn.CrossEntropyLoss(label_smoothing=0.2, weight=WEIGHTS),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [36, 16, 10, 1])
def test_chunks_give_the_full_value(name: str, size: int) -> None:
    x, y = data()
    model, loss = net().double(), copy.deepcopy(LOSSES[name]).double()
    whole = loss(model(x), y).item()
    cut = Cost(model, loss, DataLoader(TensorDataset(x, y), batch_size=size))
    assert cut().item() == pytest.approx(whole, rel=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_regression_chunks(reduction: str) -> None:
    x, _ = data()
    y = torch.randn(37, 3, dtype=D)
    model = net().double()
    loss = nn.MSELoss(reduction=reduction)
    cut = Cost(model, loss, [(x[:20], y[:20]), (x[20:], y[20:])])
    assert cut().item() == pytest.approx(loss(model(x), y).item(), rel=1e-13)


def test_a_linearised_cost_keeps_the_weights_of_its_chunks() -> None:
    x, y = data()
    loss = nn.CrossEntropyLoss(weight=WEIGHTS.double())
    cost = Cost(net().double(), loss, [(x[:30], y[:30]), (x[30:], y[30:])])
    assert linearised(cost)().item() == pytest.approx(cost().item(), rel=1e-13)


def test_own_weights_and_own_loss() -> None:
    x, y = data()
    model = net().double()

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(out, target, reduction="sum") / (target == 0).sum()

    cut = Cost(model, loss, [(x[:20], y[:20]), (x[20:], y[20:])], weight=lambda x, y: (y == 0).sum())
    assert cut().item() == pytest.approx(loss(model(x), y).item(), rel=1e-13)


def test_penalty_counts_once() -> None:
    x, y = data()
    model = net().double()
    cut = Cost(
        model, nn.CrossEntropyLoss(), [(x[:20], y[:20]), (x[20:], y[20:])], penalty=lambda p: p["0.weight"].pow(2).sum()
    )
    want = nn.functional.cross_entropy(model(x), y) + model[0].weight.pow(2).sum()
    assert cut().item() == pytest.approx(want.item(), rel=1e-13)


def test_the_model_is_never_changed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    x, y = data()
    cost = Cost(model, nn.CrossEntropyLoss(), (x.float(), y))
    cost()
    from jensen.trace import trace

    trace(cost)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[n], t) and before[n].dtype == t.dtype for n, t in model.state_dict().items())


def test_parameters_are_read_live() -> None:
    model = net()
    x, y = data()
    cost = Cost(model, nn.CrossEntropyLoss(), (x, y))
    first = cost().item()
    with torch.no_grad():
        model[2].bias.add_(torch.tensor([1.0, 0.0, 0.0]))
    assert cost().item() != first


def test_tied_parameters_are_one_block() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    cost = Cost(Tied(), nn.MSELoss(), (torch.randn(4, 3), torch.randn(4, 3)))
    assert cost.blocks == {"a.weight": (3, 3)}


def test_restrict_fixes_the_others() -> None:
    cost = Cost(net(), nn.CrossEntropyLoss(), data()).restrict("2.*")
    assert list(cost.blocks) == ["2.weight", "2.bias"]


def test_function_of_numbers_and_tensors() -> None:
    cost = Cost.of(lambda x, w: x * w.sum(), x=2, w=torch.ones(3))
    assert cost.blocks == {"x": (), "w": (3,)} and cost().item() == 6.0
    assert cost({"x": torch.tensor(3.0)}).item() == 9.0


class Random(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w * x + torch.randn(())


def _nan_model() -> nn.Module:
    model = net()
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    return model


def _complex() -> nn.Module:
    model = nn.Module()
    model.w = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    return model


def _overlapping() -> nn.Module:
    model = nn.Module()
    base = torch.ones(4)
    model.a, model.b = nn.Parameter(base[:3]), nn.Parameter(base[1:])
    return model


def _meta() -> nn.Module:
    model = net()
    model[0].weight = nn.Parameter(torch.ones(4, 5, device="meta"))
    return model


X, Y = data()
BAD = [
    (
        "dropout left on",
        lambda: Cost(nn.Sequential(net(), nn.Dropout(0.5)), nn.CrossEntropyLoss(), (X, Y)),
        "call model.eval() first",
    ),
    ("random model", lambda: Cost(Random(), nn.MSELoss(), (X[:, 0], X[:, 0])), "at the same parameters"),
    (
        "batch norm over chunks",
        lambda: Cost(
            nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)),
            nn.CrossEntropyLoss(),
            [(X[:20], Y[:20]), (X[20:], Y[20:])],
        ),
        "give the data as one chunk",
    ),
    ("NaN cost", lambda: Cost(_nan_model(), nn.CrossEntropyLoss(), (X, Y)), "it must be finite"),
    ("infinite cost", lambda: Cost.of(lambda x: 1 / x, x=0.0), "it must be finite"),
    ("NaN data", lambda: Cost(net(), nn.CrossEntropyLoss(), (X * float("nan"), Y)), "holds NaN or infinity"),
    ("wrong shapes", lambda: Cost(net(4), nn.CrossEntropyLoss(), (X, Y)), "check the shapes"),
    ("not one number", lambda: Cost.of(lambda w: w * 2, w=torch.ones(3)), "must be one number"),
    ("no tensor", lambda: Cost.of(lambda w: 1.0, w=torch.ones(3)), "not a tensor"),
    ("integer block", lambda: Cost.of(lambda w: w.sum(), w=torch.ones(3, dtype=torch.int64)), "blocks are real floats"),
    (
        "complex block",
        lambda: Cost.of(lambda w: w.abs().sum(), w=torch.ones(3, dtype=torch.complex64)),
        "blocks are real floats",
    ),
    ("complex parameter", lambda: Cost(_complex(), nn.MSELoss(), (X, X)), "is complex"),
    ("overlapping parameters", lambda: Cost(_overlapping(), nn.MSELoss(), (X, X)), "share memory"),
    ("several devices", lambda: Cost(_meta(), nn.MSELoss(), (X, Y)), "several devices"),
    ("no parameters", lambda: Cost(nn.Tanh(), nn.MSELoss(), (X, X)), "nothing to ask about"),
    ("no blocks", lambda: Cost.of(lambda: torch.zeros(())), "name the blocks"),
    ("empty data", lambda: Cost(net(), nn.CrossEntropyLoss(), (X[:0], Y[:0])), "the data set is empty"),
    ("empty loader", lambda: Cost(net(), nn.CrossEntropyLoss(), DataLoader([])), "the data set is empty"),
    ("not pairs", lambda: Cost(net(), nn.CrossEntropyLoss(), [X, X, X]), "must be a pair"),
    (
        "shuffled loader",
        lambda: Cost(net(), nn.CrossEntropyLoss(), DataLoader(TensorDataset(X, Y), 10, shuffle=True)),
        "shuffle=False",
    ),
    ("everything ignored", lambda: Cost(net(), nn.CrossEntropyLoss(ignore_index=0), (X, Y * 0)), "sum to zero"),
    ("no reduction", lambda: Cost(net(), nn.CrossEntropyLoss(reduction="none"), (X, Y)), "returns no single number"),
    ("unknown reduction", lambda: Cost(net(), lambda a, b: a.sum(), (X, Y), reduction="median"), "use 'mean' or 'sum'"),
    ("not a module", lambda: Cost(lambda x: x, nn.MSELoss(), (X, X)), "use Cost.of"),
    ("not a loss", lambda: Cost(net(), "mse", (X, Y)), "cannot be called"),
    ("unknown block", lambda: Cost.of(lambda x: x, x=1.0)({"y": torch.ones(())}), "is not a block"),
    ("block of another shape", lambda: Cost.of(lambda x: x, x=1.0)({"x": torch.ones(2)}), "the given tensor"),
    ("pattern without a match", lambda: Cost.of(lambda x: x, x=1.0).match("y*"), "matches no block"),
]


@pytest.mark.parametrize(
    ("point", "sentence"),
    [
        (3, "dict of tensors"),
        ([1.0], "dict of tensors"),
        ({"w": "a"}, "give a tensor"),
        ({"q": torch.ones(())}, "not a block"),
    ],
)
def test_points_that_are_none(point, sentence: str) -> None:
    cost = Cost.of(lambda w: w * w, w=1.0)
    for ask in (cost, lambda at: hessian(cost, at=at)):
        with pytest.raises(Misuse, match=sentence):
            ask(point)


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_parameter(name, nn.Parameter(torch.ones(5, dtype=D)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ getattr(self, self.name)


@pytest.mark.parametrize("name", ['a"b', "a\nb", "class"])
def test_names_that_torch_export_cannot_write_are_told(name: str) -> None:
    cost = Cost(Named(name), nn.MSELoss(), (X, X[:, 0]))
    with pytest.raises(Misuse, match="letters, digits and underscores") as e:
        hessian(cost)
    assert repr(name) in str(e.value) and "\n" not in str(e.value)


def test_a_point_where_j_is_no_number_is_told() -> None:
    cost = Cost.of(lambda w: torch.log(w), w=1.0)
    with pytest.raises(Misuse, match="J is nan at this point"):
        hessian(cost, at={"w": torch.tensor(-1.0)})
    model = net()
    cost = Cost(model, nn.CrossEntropyLoss(), (X, Y))
    model[0].weight.data[0, 0] = torch.nan
    with pytest.raises(Misuse, match="J is nan at the current parameters"):
        hessian(cost)


def test_making_a_cost_on_a_loader_leaves_torch_s_random_state() -> None:
    model, before = net(), torch.get_rng_state()
    Cost(model, nn.CrossEntropyLoss(), DataLoader(TensorDataset(X, Y), 10))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("make", "sentence"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_gets_one_clear_sentence(make, sentence: str) -> None:
    with pytest.raises(Misuse) as e:
        make()
    assert sentence in str(e.value) and "\n" not in str(e.value)


class Rotary(nn.Module):
    """A linear layer whose outputs are turned, as complex numbers, by angles kept in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(5, 4)
        self.register_buffer("turns", torch.polar(torch.ones(2), torch.tensor([0.3, 1.1])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = torch.view_as_complex(self.linear(x).view(-1, 2, 2).contiguous()) * self.turns
        return torch.view_as_real(pairs).flatten(1)[:, :3]


def test_complex_buffers_stay_complex() -> None:
    model, (x, y), loss = Rotary(), data(), nn.CrossEntropyLoss()
    cost = Cost(model, loss, (x, y))
    want = loss(model(x.float()), y)
    assert float(cost()) == pytest.approx(float(want.detach()), rel=1e-5)
    slope = torch.autograd.grad(want, list(model.parameters()))
    assert torch.allclose(hessian(cost).gradient, torch.cat([g.flatten() for g in slope]).double(), atol=1e-5)
    model.turns.mul_(1j)
    assert float(cost()) == pytest.approx(float(loss(model(x.float()), y).detach()), rel=1e-5)
    assert hessian(cost).value == pytest.approx(float(cost()), rel=1e-12)


def test_a_point_is_real() -> None:
    with pytest.raises(Misuse, match="real numbers"):
        Cost(nn.Linear(5, 3), nn.CrossEntropyLoss(), data())({"bias": torch.ones(3, dtype=torch.complex64)})


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("how", ["layer", "function"])
def test_rms_norms_without_eps_have_that_of_the_models_type(kind: torch.dtype, how: str) -> None:
    torch.manual_seed(0)
    x, y = data()
    first, last = nn.Linear(5, 8, bias=False), nn.Linear(8, 3)
    first.weight.data.mul_(1e-4)

    class Net(nn.Module):
        def __init__(self, eps: float | None) -> None:
            super().__init__()
            self.first, self.norm, self.last, self.eps = (
                copy.deepcopy(first),
                nn.RMSNorm(8, eps),
                copy.deepcopy(last),
                eps,
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            return self.last(self.norm(h) if how == "layer" else nn.functional.rms_norm(h, (8,), eps=self.eps))

    eps = torch.finfo(torch.float64 if kind == torch.float64 else torch.float32).eps
    found, want = (Cost(Net(e).to(kind), nn.CrossEntropyLoss(), (x, y)) for e in (None, eps))
    assert float(found()) == float(want())
    assert torch.equal(hessian(found).gradient, hessian(want).gradient)


def test_cached_parametrizations_are_computed_at_the_point_that_is_asked() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh(), nn.Linear(4, 3))
    cost = Cost(model, nn.CrossEntropyLoss(), data())
    want, v = hessian(cost), None
    v = torch.ones(want.n, dtype=D)
    with parametrize.cached():
        model[0].weight  # noqa: B018  # torch keeps it from now on
        inside = Cost(model, nn.CrossEntropyLoss(), data())
        for c in (cost, inside):
            found = hessian(c)
            assert torch.equal(found @ v, want @ v) and found.value == want.value
        moved = cost({n: 2 * t for n, t in cost.theta.items()})
        assert parametrize._cache_enabled == 1
    assert float(moved) == float(cost({n: 2 * t for n, t in cost.theta.items()}))


def test_an_operation_that_knows_no_float64_is_told_of_float32():
    class Narrow(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            if self.layer.weight.dtype == torch.float64:
                raise RuntimeError("Expected mat_a to be Float32, BFloat16 or Float16 matrix, got Double")
            return self.layer(x)

    data = (torch.ones(3, 2), torch.ones(3, 1))
    with pytest.raises(Misuse, match=r"give dtype=torch\.float32"):
        Cost(Narrow(), nn.MSELoss(), data)
    assert Cost(Narrow(), nn.MSELoss(), data, dtype=torch.float32)() >= 0
    with pytest.raises(Misuse, match=r"check the shapes") as e:
        Cost(nn.Linear(5, 1), nn.MSELoss(), data)
    assert "dtype=torch.float32" not in str(e.value)
