"""The curvature ledger: closed forms, the sum rule on many architectures, parts, directions, refusals."""

import importlib
import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, TensorDataset

import jensen
from architectures import ARCHITECTURES, VECTORS, architecture, data
from jensen import chunks
from jensen.ask.why import independent
from jensen.ask.why import ledger as ledgers
from jensen.ask.why.directions import unit
from jensen.ask.why.finite import finite
from jensen.ask.why.ledger import ledger
from jensen.cost import Cost
from jensen.errors import Misuse

HALF = math.sqrt(0.5)
CONVEX_LOSS = set(ARCHITECTURES) - {"noise level"}


def shares(answer):
    return {s.node: s.share for s in answer.shares}


def alone(cost, **direction):
    return jensen.why(cost, direction=direction, mechanisms=False)


def random_direction(cost, seed=0):
    g = torch.Generator().manual_seed(seed)
    return unit(cost, {n: torch.randn(s, generator=g, dtype=torch.float64) for n, s in cost.blocks.items()})


def twice(cost, direction):
    """d'Hd by reverse over reverse of the cost."""
    leaves = {n: t.requires_grad_() for n, t in cost.theta.items()}
    with sdpa_kernel(SDPBackend.MATH):
        gradient = torch.autograd.grad(cost(leaves), list(leaves.values()), create_graph=True, materialize_grads=True)
        slope = sum((g * direction[n]).sum() for n, g in zip(leaves, gradient, strict=True))
        back = torch.autograd.grad(slope, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return float(sum((h * direction[n]).sum() for n, h in zip(leaves, back, strict=True)))


def differences(cost, direction, h=1e-3):
    theta = cost.theta
    with torch.no_grad():
        v = {k: float(cost({n: t + k * h * direction[n] for n, t in theta.items()})) for k in (-2, -1, 0, 1, 2)}
    return (16 * (v[1] + v[-1]) - (v[2] + v[-2]) - 30 * v[0]) / (12 * h * h)


# -- closed forms ----------------------------------------------------------------------------------------------------


def test_product():
    """J = xy: d^2J = 2 dx dy, all of it the product's."""
    why = alone(Cost.of(lambda x, y: x * y, x=3.0, y=-2.0), x=1.0, y=-1.0)
    assert why.curvature == pytest.approx(-1.0) and why.source == "given"
    assert [(s.share, s.mechanism) for s in why.shares] == [(pytest.approx(-1.0), "product of parameters")]
    assert why.loss_part is None and why.network_part is None and why.penalty_part == 0.0
    assert sum(float((t**2).sum()) for t in why.direction.values()) == pytest.approx(1.0)


def test_product_of_squares():
    """J = x^2 y^2: the squares add y^2 2 dx^2 and x^2 2 dy^2, the product 2 (2 x dx) (2 y dy)."""
    x, y, dx, dy = 1.5, -0.5, 0.6, 0.8
    why = alone(Cost.of(lambda x, y: x**2 * y**2, x=x, y=y), x=dx, y=dy)
    found = {s.operation: [] for s in why.shares}
    for s in why.shares:
        found[s.operation].append(s.share)
    assert found["aten.pow.Tensor_Scalar"] == pytest.approx([2 * y * y * dx * dx, 2 * x * x * dy * dy])
    assert found["aten.mul.Tensor"] == pytest.approx([2 * (2 * x * dx) * (2 * y * dy)])


def test_two_linear_units_with_square_loss():
    """J = (w2 w1 x - y)^2: with r = w2 w1 x - y, the product has 2 r (2 dw1 dw2 x), the loss 2 (x (w1 dw2 + w2 dw1))^2."""
    x, y, w1, w2 = 2.0, 1.0, 0.7, -0.4
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        model[0].weight.fill_(w1), model[1].weight.fill_(w2)
    w1, w2 = (m.weight.item() for m in model)  # as float32 holds them
    cost = Cost(model, nn.MSELoss(), (torch.tensor([[x]]), torch.tensor([[y]])))
    d1, d2 = 0.6, 0.8
    why = alone(cost, **{"0.weight": torch.tensor([[d1]]), "1.weight": torch.tensor([[d2]])})
    r, loss = w2 * w1 * x - y, 2 * (x * (w1 * d2 + w2 * d1)) ** 2
    assert why.loss_part == pytest.approx(loss) and why.network_part == pytest.approx(2 * r * 2 * d1 * d2 * x)
    assert why.grouped("mechanism") == pytest.approx({"product of parameters": 4 * r * d1 * d2 * x, "loss": loss})
    assert list(why.grouped("module")) == ["1", "loss"]


def test_one_tanh_unit_with_square_loss():
    """J = (v tanh(wx) - y)^2. With h = tanh(wx), h' = 1 - h^2, h'' = -2 h h', r = v h - y and J' = 2 r:

    activation: 2 r v h'' (x dw)^2; product: 2 r 2 dv h' x dw; loss: 2 (dv h + v h' x dw)^2.
    """
    x, y = 1.3, 0.4
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh(), nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.fill_(0.5), model[2].weight.fill_(-0.8)
    w, v, dw, dv = 0.5, -0.8, HALF, HALF
    cost = Cost(model, nn.MSELoss(), (torch.tensor([[x]]).double(), torch.tensor([[y]]).double()))
    why = alone(cost, **{"0.weight": [[1.0]], "2.weight": [[1.0]]})
    h = math.tanh(w * x)
    h1, r = 1 - h * h, v * h - y
    want = {
        "activation": 2 * r * v * (-2 * h * h1) * (x * dw) ** 2,
        "product of parameters": 2 * r * 2 * dv * h1 * x * dw,
        "loss": 2 * (dv * h + v * h1 * x * dw) ** 2,
    }
    assert why.grouped("mechanism") == pytest.approx(want)


def test_softmax_regression():
    """All curvature is log_softmax's: the mean over rows of the variance of the logits' tangent under the softmax."""
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 3).double(), torch.randn(6, 4).double(), torch.tensor([0, 1, 2, 2, 1, 0])
    cost = Cost(model, nn.CrossEntropyLoss(), (x, y))
    d = random_direction(cost)
    why = jensen.why(cost, direction=d, mechanisms=False)
    p, t = model(x).softmax(1), F.linear(x, d["weight"], d["bias"])
    variance = (p * t**2).sum(1) - (p * t).sum(1) ** 2
    assert [s.operation for s in why.shares if s.share] == ["aten.log_softmax.int"]
    assert why.curvature == pytest.approx(float(variance.mean().detach())) and why.loss_part == why.curvature
    assert why.network_part == 0.0 and math.copysign(1.0, why.network_part) == 1.0


def test_two_layers():
    """J = mean (V tanh(W x) - y)^2 over entries, by hand: r = f - y, f' = V h' + V' h, with u = W' x, h' = (1 - h^2) u."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()
    x, y = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    cost = Cost(model, nn.MSELoss(), (x, y))
    d = random_direction(cost)
    why = jensen.why(cost, direction=d, mechanisms=False)
    with torch.no_grad():
        w, v, dw, dv = model[0].weight, model[2].weight, d["0.weight"], d["2.weight"]
        h = torch.tanh(x @ w.T)
        u = x @ dw.T
        h1, h2 = (1 - h**2) * u, -2 * h * (1 - h**2) * u**2
        adjoint = 2 * (h @ v.T - y) / y.numel()
        want = {
            "activation": float((adjoint * (h2 @ v.T)).sum()),
            "product of parameters": float((adjoint * 2 * (h1 @ dv.T)).sum()),
            "loss": float(2 * (h1 @ v.T + h @ dv.T).square().mean()),
        }
    assert why.grouped("mechanism") == pytest.approx(want)


def test_penalty_stands_apart():
    """An L2 penalty adds 2 lambda |d|^2 = 2 lambda, and nothing to the loss or the network."""
    plain = architecture("mlp")
    with_penalty = Cost(
        plain._model, nn.CrossEntropyLoss(), data(VECTORS), lambda p: 0.3 * sum((t**2).sum() for t in p.values())
    )
    d = random_direction(plain)
    one, two = ledger(plain, d), ledger(with_penalty, d)
    assert two.penalty_part == pytest.approx(0.6) and one.penalty_part == 0.0
    assert (two.loss_part, two.network_part) == pytest.approx((one.loss_part, one.network_part))
    assert two.grouped("mechanism")["penalty"] == pytest.approx(0.6)


# -- the sum rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sum_rule(name):
    cost = architecture(name)
    d = random_direction(cost)
    answer = ledger(cost, d)
    size = sum(abs(s.share) for s in answer.shares)
    total = math.fsum(s.share for s in answer.shares)
    assert total == pytest.approx(answer.curvature, abs=1e-12 * size)
    if name not in ("embeddings", "rbf", "weight norm"):  # torch has no, or a wrong, second derivative: see below
        assert abs(total - twice(cost, d)) <= 1e-8 * size and answer.defect <= 1e-8
    else:
        assert answer.notes
    assert total == pytest.approx(differences(cost, d), abs=2e-5 * (size + 1e-3))
    parts = answer.loss_part + answer.network_part + answer.penalty_part
    assert parts == pytest.approx(total, abs=1e-12 * size)
    if name in CONVEX_LOSS:
        assert answer.loss_part >= -1e-14 * size
    if name.startswith("no hidden layer"):
        assert answer.network_part == 0.0
    assert {s.mechanism for s in answer.shares} <= {
        "product of parameters", "activation", "normalisation", "attention", "loss", "penalty", "other operation"
    }  # fmt: skip


def test_gauss_newton_part_is_that_of_the_model_s_jacobian():
    """(Jd)' H_loss (Jd), with the tangent of the output from forward mode and the loss's Hessian by itself."""
    cost = architecture("mlp")
    d = random_direction(cost)
    x, y = data(VECTORS)
    model = cost._private
    params = {n: t.detach() for n, t in cost.theta.items()}
    f = lambda p: torch.func.functional_call(model, p, (x,))  # noqa: E731
    out, moved = torch.func.jvp(f, (params,), (d,))
    hessian = torch.autograd.functional.hessian(lambda z: F.cross_entropy(z, y), out)
    want = torch.einsum("ij,ijkl,kl->", moved, hessian, moved)
    assert ledger(cost, d).loss_part == pytest.approx(float(want))


MECHANISMS = {
    "mlp": {"activation", "product of parameters", "loss"},
    "convnet, batch norm": {"activation", "product of parameters", "loss", "normalisation"},
    "convnet, batch norm in evaluation": {"activation", "product of parameters", "loss"},
    "convnet, group norm": {"activation", "product of parameters", "loss", "normalisation"},
    "attention": {"attention", "product of parameters", "loss"},
    "transformer block": {"attention", "product of parameters", "loss", "normalisation", "activation"},
    "mixture of experts": {"product of parameters", "activation", "loss"},
    "noise level": {"loss"},
    "streamed, with a penalty": {"product of parameters", "activation", "loss", "penalty"},
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_mechanisms_are_read_off_the_program(name):
    cost = architecture(name)
    found = ledger(cost, random_direction(cost)).grouped("mechanism")
    assert {k for k, v in found.items() if v} == MECHANISMS[name]


def test_norms_by_hand_are_normalisation():
    """Without any module's name: a root mean square, a Euclidean norm, a mean and variance."""

    def cost(f):
        a = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return Cost.of(lambda x: (f(x) * a).sum(), x=a + 0.3)

    for f in (
        lambda x: x / (x * x).mean(1, keepdim=True).sqrt(),
        lambda x: F.normalize(x, dim=1),
        lambda x: (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt(),
        lambda x: x * torch.rsqrt(x.square().sum(1, keepdim=True)),
    ):
        c = cost(f)
        found = ledger(c, random_direction(c)).grouped("mechanism")
        assert set(found) == {"normalisation"}, found
    c = cost(lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)))  # a gate, not a norm
    assert set(ledger(c, random_direction(c)).grouped("mechanism")) == {"product of parameters", "activation"}


# -- checks that can fail --------------------------------------------------------------------------------------------


def test_a_wrong_share_is_an_error(monkeypatch):
    cost = architecture("mlp")
    honest = ledgers.second_order

    def wrong(*args):
        terms = honest(*args)
        return {i: v * (1 + 1e-6) for i, v in terms.items()}

    monkeypatch.setattr(ledgers, "second_order", wrong)
    with pytest.raises(Misuse, match=r"tanh|linear|log_softmax"):
        ledger(cost, random_direction(cost))


def test_torch_s_wrong_second_derivative_of_weight_norm_is_told():
    """Reverse over reverse of torch's fused kernel is off by per cents; differences of its gradient side with the ledger."""
    cost = architecture("weight norm")
    d = random_direction(cost)
    answer = ledger(cost, d)
    assert answer.defect <= 1e-4 and "finite differences" in answer.notes[0]
    assert answer.curvature == pytest.approx(differences(cost, d), rel=1e-4)


def test_detached_blocks_are_refused():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)).detach())

    x, y = torch.randn(5, 4), torch.randint(3, (5,))
    cost = Cost(Cut(), nn.CrossEntropyLoss(), (x, y))
    with pytest.raises(Misuse, match=r"a\.weight"):
        jensen.why(cost, mechanisms=False)
    assert jensen.why(cost.restrict("b.*"), mechanisms=False, budget=0.5).curvature >= 0


@pytest.mark.parametrize(
    ("direction", "match"),
    [
        ({"z": 1.0}, "z"),
        ({"x": 0.0, "y": 0.0}, "zero"),
        ({"x": [1.0, 2.0]}, "shape"),
        ({"x": float("nan")}, "NaN"),
        (torch.ones(3), "shape"),
        ({"x": "up"}, "no tensor"),
    ],
)
def test_bad_directions(direction, match):
    with pytest.raises(Misuse, match=match):
        jensen.why(Cost.of(lambda x, y: x * y, x=1.0, y=1.0), direction=direction, mechanisms=False)


def test_misuse():
    cost = Cost.of(lambda x, y: x * y, x=1.0, y=1.0)
    with pytest.raises(Misuse, match=r"jensen\.Cost"):
        jensen.why(lambda x: x)
    with pytest.raises(Misuse, match="budget"):
        jensen.why(cost, budget=-1)
    with pytest.raises(Misuse, match="group"):
        alone(cost, x=1.0, y=1.0).grouped("colour")
    with pytest.raises(Misuse, match="second derivative"):
        alone(Cost.of(lambda x: x.abs().sqrt() + x**2, x=0.0), x=1.0)


# -- directions ------------------------------------------------------------------------------------------------------


def test_default_directions_and_json():
    cost = Cost.of(lambda x, y: x * y + 0.1 * x**2, x=0.5, y=-0.2)
    why = jensen.why(cost, mechanisms=False)
    assert {x.source for x in why.ledgers} == {"counterexample", "most negative curvature found"}
    lowest = (0.2 - math.sqrt(0.04 + 4)) / 2  # of the Hessian [[0.2, 1], [1, 0]]
    assert why.curvature == pytest.approx(lowest) == why.eigenspace.values[0]
    assert sum(s.share for s in why.eigenspace.shares) == pytest.approx(lowest)
    assert why.finite.violation < 0
    assert sum(s.share for s in why.finite.shares) == pytest.approx(why.finite.violation)
    data = json.loads(json.dumps(why.to_dict()))
    keys = {"direction", "curvature", "shares", "mechanisms", "loss_part", "network_part", "penalty_part", "finite"}
    assert keys | {"eigenspace", "seconds"} <= set(data)
    assert {"node", "module", "mechanism", "share"} <= set(data["shares"][0])


def test_the_eigenspace_averages_over_all_negative_directions():
    """Two saddles side by side, -2 and -1: both are found, and their products have the mean of both shares."""
    cost = Cost.of(lambda a, b, c, d: 2 * a * b + c * d, a=0.1, b=0.2, c=0.3, d=0.4)
    why = jensen.why(cost, mechanisms=False)
    assert why.eigenspace.values == pytest.approx((-2.0, -1.0))
    assert max(why.eigenspace.residuals) < 1e-8
    assert sorted(s.share for s in why.eigenspace.shares) == pytest.approx([-1.0, -0.5])


def test_a_convex_cost_has_no_negative_direction():
    why = jensen.why(architecture("no hidden layer"), mechanisms=False)
    assert why.curvature >= 0 and why.eigenspace is None and why.finite is None
    assert any("convex" in n for n in why.notes)


def test_a_point_and_a_restriction():
    cost = Cost.of(lambda x, y: (x * y) ** 2, x=1.0, y=1.0)
    d = {"x": 1.0}
    assert jensen.why(cost, d, at={"y": 3.0}, mechanisms=False).curvature == pytest.approx(18.0)
    assert jensen.why(cost.restrict("x"), d, mechanisms=False).curvature == pytest.approx(2.0)


def test_single_precision_costs_are_read_in_double():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(6, 4), torch.randint(3, (6,))
    single, double = (Cost(model, nn.CrossEntropyLoss(), (x, y), dtype=t) for t in (torch.float32, torch.float64))
    d = random_direction(double)
    assert ledger(single, d).curvature == pytest.approx(ledger(double, d).curvature, rel=1e-12)


@pytest.mark.parametrize("size", [0, None])
def test_a_cost_in_chunks_is_the_same_as_one_chunk(size, monkeypatch):
    """Kept in memory, and read again from the loader each time."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(7, 4), torch.randint(3, (7,))
    whole = Cost(model, nn.CrossEntropyLoss(), (x, y))
    if size is not None:
        monkeypatch.setattr(chunks, "IN_MEMORY", size)
    cut = Cost(model, nn.CrossEntropyLoss(), DataLoader(TensorDataset(x, y), batch_size=3))
    assert cut.streamed == (size == 0)
    d = random_direction(whole)
    a, b = ledger(whole, d), ledger(cut, d)
    assert [s.node for s in a.shares] == [s.node for s in b.shares]
    assert [s.share for s in b.shares] == pytest.approx([s.share for s in a.shares], rel=1e-10)
    ends = [{n: t + k * d[n] for n, t in whole.theta.items()} for k in (2, -2)]
    assert finite(cut, *ends).violation == pytest.approx(finite(whole, *ends).violation, rel=1e-10)


def test_a_kink_at_the_point_leaves_the_program_to_confirm():
    """relu meets 0 and torch has no second derivative of hardsigmoid: the gradient jumps, differences have no say."""
    cost = Cost.of(lambda x, y: torch.relu(x) * y + F.hardsigmoid(y) ** 2, x=0.0, y=0.5)
    answer = ledger(cost, unit(cost, {"x": 1.0, "y": 1.0}))
    assert "kink" in answer.notes[0]
    assert answer.curvature == pytest.approx(2 / 36 / 2)  # (1/6)^2 d^2 of the square, and the relu at rest


def test_no_side_agrees_is_an_error(monkeypatch):
    """Where reverse over reverse, differences and the shares all differ, there is no ledger."""
    cost = architecture("mlp")
    monkeypatch.setattr(independent, "_twice", lambda *args: 1.0)
    with pytest.raises(Misuse, match="shares sum"):
        ledger(cost, random_direction(cost))


SMALL = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


def package(name):
    """A package that may be missing, or broken where its own dependencies do not fit this torch."""
    try:
        return importlib.import_module(name)
    except Exception as e:
        pytest.skip(f"{name} cannot be imported: {e}")


class Logits(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x).logits


def test_a_transformers_architecture():
    transformers = package("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(max_position_embeddings=8, num_labels=2, **SMALL)
    body = transformers.BertForSequenceClassification(config).eval()
    cost = Cost(Logits(body), nn.CrossEntropyLoss(), (torch.randint(1, 20, (2, 5)), torch.tensor([0, 1])))
    answer = ledger(cost, random_direction(cost))
    assert {"attention", "normalisation", "product of parameters", "loss"} <= set(answer.grouped("mechanism"))


def test_a_transformers_decoder_with_capped_scores():
    """Grouped queries, rotary places, a cap on the scores, a mask that adds the lowest number; a chord of it too."""
    transformers = package("transformers")
    torch.manual_seed(0)
    config = transformers.Gemma2Config(max_position_embeddings=16, num_key_value_heads=1, head_dim=4, **SMALL)
    x = torch.randint(1, 20, (2, 6))
    cost = Cost(Logits(transformers.Gemma2ForCausalLM(config).eval()), shifted, (x, x))
    d = random_direction(cost)
    answer = ledger(cost, d)
    assert {"attention", "normalisation", "product of parameters", "loss"} <= set(answer.grouped("mechanism"))
    ends = [{n: t + k * d[n] for n, t in cost.theta.items()} for k in (0.5, -0.5)]
    assert finite(cost, *ends).defect <= 1e-8


def shifted(out, y):
    return F.cross_entropy(out[:, :-1].flatten(0, 1), y[:, 1:].flatten())


def test_a_timm_architecture():
    """It needs torchvision, whose wheels do not fit every build of torch: then it is skipped."""
    timm = package("timm")
    torch.manual_seed(0)
    model = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(4, 8, 8, 8), num_classes=3).eval()
    cost = Cost(model, nn.CrossEntropyLoss(), (torch.randn(2, 3, 32, 32), torch.tensor([0, 2])))
    answer = ledger(cost, random_direction(cost))
    assert {"normalisation", "product of parameters", "loss"} <= set(answer.grouped("mechanism"))
