"""What users give: refused by its name, with what to give instead, before anything is computed with it."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import jensen
from jensen import Cost, Misuse

X, Y = torch.randn(7, 3), torch.randint(4, (7,))
CHUNKS = [(X[:3], Y[:3]), (X[3:], Y[3:])]
CE = nn.CrossEntropyLoss()

OPTIONS = [
    ({"weight": 2.0}, "weight is float, which cannot be called"),
    ({"weight": lambda x, y: "a"}, "weight gave str"),
    ({"weight": lambda x, y: math.nan}, "weight gave nan"),
    ({"weight": lambda x, y: torch.ones(3)}, "weight gave Tensor"),
    ({"penalty": 0.1}, "penalty is float, which cannot be called"),
    ({"dtype": "float32"}, "dtype='float32' is no type of real floats"),
    ({"dtype": torch.int64}, "dtype=torch.int64"),
]


@pytest.mark.parametrize(("options", "words"), OPTIONS)
def test_options_of_a_cost(options, words):
    with pytest.raises(Misuse, match=words):
        Cost(nn.Linear(3, 4), CE, CHUNKS, **options)


def test_weights_that_are_numbers_count():
    model = nn.Linear(3, 4)
    two = Cost(model, CE, CHUNKS, weight=lambda x, y: torch.tensor(len(x)))
    assert float(two()) == pytest.approx(float(Cost(model, CE, (X, Y))()), rel=1e-14)


@pytest.mark.parametrize("value", ["a", 10**400, object()])
def test_blocks_of_a_function(value):
    with pytest.raises(Misuse, match="block 'x' is"):
        Cost.of(lambda x: x, x=value)


def cliff(x):
    """Concave up to 2 ** 53, and not beyond."""
    return torch.where(x > 2.0**53, x * x, -x * x)


BOUNDS = [2**53 + 1, Fraction(1, 3), Decimal("0.1"), 10**400, torch.tensor(2**53 + 1), [Fraction(1, 3)]]


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_bounds_that_would_be_rounded_are_refused(bound):
    cost = Cost.of(cliff, x=0.5) if not isinstance(bound, list) else Cost.of(lambda x: cliff(x).sum(), x=torch.ones(1))
    with pytest.raises(Misuse, match="is no float64"):
        jensen.check(cost, claim="concave", within={"x": (None, bound)}, budget=0)


@pytest.mark.parametrize("bound", [2**53, Fraction(1, 2), Decimal("0.5"), torch.tensor(3), torch.tensor(0.1), 0.1])
def test_bounds_that_are_floats_are_taken_exactly(bound):
    found = jensen.check(Cost.of(lambda x: -x * x, x=0.25), claim="concave", within={"x": (None, bound)}, budget=0)
    assert found.verdict.name == "PROVED"
    assert found.certificate.claim.within["x"][1] == float(bound)


@pytest.mark.parametrize("bound", ["0.1", True])
def test_bounds_that_are_no_numbers(bound):
    with pytest.raises(Misuse, match="bounds of 'x'"):
        jensen.check(Cost.of(cliff, x=0.5), within={"x": (bound, None)})


@pytest.mark.parametrize("within", [[("x", (0, 1))], {0: (0, 1)}])
def test_boxes_without_names(within):
    with pytest.raises(Misuse, match="give a dict from names"):
        jensen.check(Cost.of(cliff, x=0.5), within=within)


@pytest.mark.parametrize("low", [1.0000001, 0.9999999])
def test_statements_hold_their_bounds_in_full(low, tmp_path):
    """With six digits both would say [1, inf), and (x - 1.0000001) ** 3 is not convex there."""
    found = jensen.check(Cost.of(lambda x: (x - low) ** 3, x=2.0), within={"x": (low, None)})
    found.save(tmp_path / "f.jensen")
    said = jensen.verify(tmp_path / "f.jensen").statement
    assert said == found.statement == f"J is convex in x, within x in [{low}, inf)"


@pytest.mark.parametrize("ask", [jensen.check, jensen.blocks, jensen.remedies, jensen.why])
@pytest.mark.parametrize("budget", ["a", None, math.nan, -1])
def test_budgets(ask, budget):
    with pytest.raises(Misuse, match="budget="):
        ask(Cost.of(cliff, x=0.5), budget=budget)


def test_points_without_names():
    with pytest.raises(Misuse, match="give a dict from names of blocks"):
        jensen.why(Cost.of(cliff, x=0.5), at=3)


class ByInputs(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.f, self.way = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), way

    def forward(self, x):
        if self.way == "func":
            return torch.func.vmap(torch.func.grad(lambda z: self.f(z)[0]))(x).sum(1)
        if self.way == "forward":
            return torch.func.jvp(self.f, (x,), (torch.ones_like(x),))[1].sum(1)
        with torch.enable_grad() if self.way == "enabled" else torch.autograd.set_grad_enabled(torch.is_grad_enabled()):
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.f(x).sum(), x, create_graph=True)[0].sum(1)


def by_inputs(way):
    torch.manual_seed(0)
    cost = Cost(ByInputs(way), lambda out, y: (out - y).square().mean(), (torch.rand(5, 2), torch.zeros(5)))
    h = jensen.hessian(cost)
    return h @ torch.ones(h.n, dtype=torch.float64)


@pytest.mark.parametrize("way", ["func", "plain", "enabled"])
def test_derivatives_by_inputs_are_told_how_to_be_taken(way):
    with pytest.raises(Misuse, match=r"torch\.func\.jvp"):
        by_inputs(way)
    assert torch.isfinite(by_inputs("forward")).all()


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(3, 4, batch_first=True)

    def forward(self, x):
        return self.cell(nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 3, 2]), batch_first=True))[1][0]


class Drawn(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.head, self.options = nn.Linear(3, 2), options

    def forward(self, x):
        mean, log = self.head(x).unbind(1)
        return -torch.distributions.Normal(mean, log.exp(), **self.options).log_prob(torch.ones_like(mean)).mean()


def test_what_torch_s_words_do_not_say():
    def first(out, y):
        return out.square().mean()

    with pytest.raises(Misuse, match=r"give y\.long\(\)"):
        Cost(nn.Linear(3, 4), CE, (X, torch.rand(7)))
    with pytest.raises(Misuse, match="list of pairs"):
        Cost(nn.Linear(3, 4), CE, ((X, Y), (X, Y)))
    with pytest.raises(Misuse, match="validate_args=False for"):
        # torch.compile, in another test, switches the default off
        jensen.check(Cost(Drawn(validate_args=True), lambda out, y: out, (X, Y)))
    jensen.check(Cost(Drawn(validate_args=False), lambda out, y: out, (X, Y)), budget=0)
    assert "mask the loss" in jensen.check(Cost(Packed(), first, (torch.rand(3, 4, 3), torch.rand(3, 4)))).reason
    with pytest.raises(Misuse, match="use embedding and amax") as bag:
        jensen.check(Cost(nn.EmbeddingBag(7, 3, mode="max"), first, (torch.randint(7, (3, 4)), Y[:3])))
    assert "While executing" not in str(bag.value)


def test_compiled_modules():
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    for made in (torch.jit.trace(model, X), torch.jit.script(model)):
        with pytest.raises(Misuse, match=r"give the nn\.Module that it was made from"):
            Cost(made, CE, (X, Y))
    exported = torch.export.export(model, (X,)).module()
    h, want = (jensen.hessian(Cost(m, CE, (X, Y))) for m in (exported, model))
    v = torch.ones(h.n, dtype=torch.float64)
    assert F.mse_loss(h @ v, want @ v) < 1e-28
