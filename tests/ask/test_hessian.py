"""The Hessian operator: exact against full Hessians, in every mode, with all weights, and honest about what it cannot do."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import jensen
from curvature_models import cost as network
from curvature_models import differences, double_backward
from jensen import Cost, Misuse
from jensen.ask.curvature import maps
from jensen.linalg import linear_kernels, linear_memory, linear_rules
from jensen.linalg.linearise import Linearised

aten = torch.ops.aten


def mlp(*sizes, act=nn.Tanh):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


def data(n=30, i=4, classes=3):
    return torch.randn(n, i, dtype=torch.float64), torch.randint(0, classes, (n,))


def small(**how):
    torch.manual_seed(1)
    return Cost(mlp(4, 5, 3), nn.CrossEntropyLoss(**how), data())


def near(a, b, tolerance=1e-12):
    return float((a - b).norm()) <= tolerance * float(b.norm())


def full(cost, of=None):
    """The whole Hessian in float64, by torch alone."""
    names = cost.match(of)
    theta = cost.theta

    def f(*tensors):
        return cost({**theta, **dict(zip(names, tensors, strict=True))})

    parts = torch.autograd.functional.hessian(f, tuple(theta[n] for n in names))
    sizes = [theta[n].numel() for n in names]
    rows = [
        torch.cat([b.reshape(m, k) for b, k in zip(row, sizes, strict=True)], 1)
        for row, m in zip(parts, sizes, strict=True)
    ]
    return torch.cat(rows)


class Small(nn.Module):
    """Convolution, pooling, group norm and attention in one."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)
        self.attend, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.silu(self.norm(self.conv(x))), 2).flatten(2).transpose(1, 2)
        return self.head((x + self.attend(x, x, x)[0]).mean(1))


def test_products_are_those_of_the_full_hessian():
    torch.manual_seed(0)
    cost = Cost(mlp(64, 16, 16, 10), nn.CrossEntropyLoss(), data(60, 64, 10))
    h, matrix = jensen.hessian(cost), full(cost)
    assert h.shape == (1482, 1482) and h.n == 1482
    v = torch.randn(h.n, 12, dtype=torch.float64)
    assert near(h @ v, matrix @ v)
    assert near(h @ v[:, 0], differences(cost, v[:, 0]), 1e-8)
    assert h.products == 13
    assert h.value == pytest.approx(float(cost()), rel=1e-14)
    leaves = {n: t.requires_grad_() for n, t in cost.theta.items()}
    assert near(
        h.gradient, h.flatten(dict(zip(leaves, torch.autograd.grad(cost(leaves), leaves.values()), strict=True)))
    )


def test_convolution_pooling_norm_and_attention():
    torch.manual_seed(0)
    x, y = torch.randn(5, 1, 6, 6), torch.randint(0, 3, (5,))
    cost = Cost(Small(), nn.CrossEntropyLoss(label_smoothing=0.1), (x, y))
    h, matrix = jensen.hessian(cost), full(cost)
    assert near(h.dense(), matrix)
    assert h.report.mode == "kept" and all(c["error"] <= 1e-10 for c in h.report.checks)
    assert near(h.gauss_newton.dense() + h.residual.dense(), matrix)
    assert near(h.restrict(["attend.*", "head.bias"]).dense(), full(cost, ["attend.*", "head.bias"]))


class Handing(nn.Module):
    """Parameters that the loss gets as they are: a scale, and weights that the model uses itself, too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.w, self.scale = nn.Linear(4, 3), nn.Parameter(torch.rand(3)), nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        return torch.sin(self.a(x)) * self.w, self.w, self.scale


@pytest.mark.parametrize("mode", ["kept", "reverse"])
def test_parameters_that_the_model_hands_to_the_loss_are_its_output(mode):
    net = Handing().double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randn(8, 3, dtype=torch.float64)

    def loss(out, y):
        return (out[0] * out[1].exp() - y).square().mean() * out[2].exp()

    def penalty(p):
        return 0.1 * p["w"].pow(4).sum() + p["scale"].exp()

    cost = Cost(net, loss, (x, y), penalty=penalty)
    names = list(cost.blocks)

    def output(*theta):
        out = torch.func.functional_call(net, dict(zip(names, theta, strict=True)), (x,))
        return torch.cat([t.reshape(-1) for t in out])

    theta = tuple(cost.theta.values())
    jacobian = torch.cat([j.reshape(len(j), -1) for j in torch.autograd.functional.jacobian(output, theta)], 1)
    z = output(*theta)
    bent = torch.autograd.functional.hessian(lambda z: loss((z[:24].view(8, 3), z[24:27], z[27]), y), z)
    h = jensen.hessian(cost, mode=mode)
    assert near(h.gauss_newton.dense(), jacobian.T @ bent @ jacobian)
    assert near(h.gauss_newton.dense() + h.residual.dense(), h.dense())
    some = [
        i for i, n in enumerate(n for n, s in cost.blocks.items() for _ in range(math.prod(s))) if n in ("w", "scale")
    ]
    few = jensen.hessian(cost, of=["w", "scale"], mode=mode).gauss_newton.dense()
    assert near(few, h.gauss_newton.dense()[some][:, some])


def test_gauss_newton_is_its_closed_form():
    torch.manual_seed(2)
    model, (x, y) = mlp(4, 6, 3).double(), data()
    cost = Cost(model, nn.CrossEntropyLoss(), (x, y), penalty=lambda p: 0.3 * sum((t**4).sum() for t in p.values()))
    h = jensen.hessian(cost)
    theta = dict(model.named_parameters())
    jac = torch.func.jacrev(lambda t: torch.func.functional_call(model, t, (x,)))(
        {n: t.detach() for n, t in theta.items()}
    )
    flat = torch.cat([j.reshape(x.shape[0] * 3, -1) for j in jac.values()], 1)
    outer = torch.autograd.functional.hessian(
        lambda z: F.cross_entropy(z.view(-1, 3), y), model(x).detach().reshape(-1)
    )
    want = flat.T @ outer @ flat
    assert near(h.gauss_newton.dense(), want)
    assert float(torch.linalg.eigvalsh(h.gauss_newton.dense())[0]) > -1e-12
    assert near(h.residual.dense(), full(cost) - want, 1e-11)


def fourth_powers(p):
    return sum((t**4).sum() for t in p.values()) * 0.01


@pytest.mark.parametrize("penalty", [None, fourth_powers], ids=["", "penalty"])
@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2]), ignore_index=1),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2]), reduction="sum"),
    ],
    ids=["mean", "weighted", "sum"],
)
def test_chunks_give_the_hessian_of_all_the_data(loss, penalty):
    torch.manual_seed(3)
    model, (x, y) = mlp(4, 5, 3), data(23)
    y[3:9] = 1
    pieces = [(x[a:b], y[a:b]) for a, b in ((0, 7), (7, 14), (14, 21), (21, 23))]
    whole, ragged = (Cost(model, loss, d, penalty=penalty) for d in ((x, y), pieces))
    want = jensen.hessian(whole).dense()
    for mode in ("kept", "recomputed"):
        h = jensen.hessian(ragged, mode=mode)
        assert near(h.dense(), want, 1e-10) and h.report.mode == mode
    assert near(want, full(whole))
    assert near(jensen.hessian(ragged).gauss_newton.dense(), jensen.hessian(whole).gauss_newton.dense(), 1e-10)


def test_surfaces_agree():
    cost = small()
    h = jensen.hessian(cost)
    v = torch.randn(h.n, 3, dtype=torch.float64)
    want = h @ v
    assert isinstance(h @ v.numpy(), np.ndarray) and np.allclose(h @ v.numpy(), want, rtol=1e-13, atol=0)
    blocks = h @ h.unflatten(v)
    assert list(blocks) == list(cost.blocks) and blocks["0.weight"].shape == (5, 4, 3)
    assert torch.equal(h.flatten(blocks), want)
    assert torch.equal(h.flatten(h @ h.unflatten(v[:, 0])), h @ v[:, 0])
    scipy = h.to_scipy()
    assert np.allclose(scipy @ v[:, 1].numpy(), want[:, 1]) and np.allclose(scipy.T @ v.numpy(), want)
    assert h.dtype == torch.float64 and h.device.type == "cpu"
    assert (h @ v.float()).dtype == torch.float64
    assert "Hessian" in repr(h) and h.report.to_dict()["mode"] == "kept"


def test_another_point_and_later_training_do_not_matter():
    torch.manual_seed(4)
    model = mlp(4, 5, 3).double()
    cost = Cost(model, nn.CrossEntropyLoss(), data())
    at = {"0.weight": torch.randn(5, 4, dtype=torch.float64)}
    h = jensen.hessian(cost, at=at, of="0.*")
    with torch.no_grad():
        model[0].weight.copy_(at["0.weight"])
    want = full(cost, "0.*")
    with torch.no_grad():
        model[0].weight.zero_()
    assert near(h.dense(), want)
    assert near(jensen.hessian(cost.restrict("2.*")).dense(), full(cost, "2.*"))


def test_modes_and_widths_agree():
    cost = small()
    want = full(cost)
    for how in (
        {"mode": "recomputed"},
        {"mode": "reverse"},
        {"width": 3},
        {"width": 50},
        {"mode": "recomputed", "width": 8},
    ):
        h = jensen.hessian(cost, **how)
        assert near(h.dense(), want), how
        assert not h.report.notes
    single = jensen.hessian(cost, dtype=torch.float32)
    assert single.dtype == torch.float32 and near(single.dense().double(), want, 1e-5)
    assert single.report.checks[0]["tolerance"] == 1e-3


def test_a_width_is_measured_and_remembered(monkeypatch):
    monkeypatch.setattr("jensen.ask.curvature.maps.Maps._worth", lambda *_: True)
    cost = small()
    h = jensen.hessian(cost)
    h.dense()
    report = h.report
    assert report.width in (1, 8, 32) and {"1", "8"} <= set(report.seconds)
    assert jensen.hessian(cost).report.width == report.width


def test_what_does_not_fit_is_recomputed(monkeypatch):
    # What earlier tests left in this process's heap does not count.
    monkeypatch.setattr(linear_memory, "resident", lambda: 0)
    torch.manual_seed(5)
    model, (x, y) = mlp(4, 1000, 3), data(8000)
    cost = Cost(model, nn.CrossEntropyLoss(), list(zip(x.split(1000), y.split(1000), strict=True)))
    free = jensen.hessian(cost)
    need = free.report.memory
    budget = need["working"] + need["kept"]  # the first pass and the check want room too
    h = jensen.hessian(cost, memory=budget)
    assert h.report.mode == "recomputed" and 0 < h.report.kept < 8 and "recomputed" in h.report.notes[0]
    assert h.report.memory["kept"] + h._products.needs.most(1, False) <= budget
    v = torch.randn(h.n, 2, dtype=torch.float64)
    assert near(h @ v, free @ v)
    with pytest.raises(Misuse, match="smaller chunks"):
        jensen.hessian(cost, memory=need["working"] // 4)


GROWTH = """
import resource, sys, torch, jensen
from torch import nn

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(1000, 1500), nn.Tanh(), nn.Linear(1500, 10))
x, y = torch.randn(8000, 1000), torch.randint(0, 10, (8000,))
cost = jensen.Cost(model, nn.CrossEntropyLoss(), list(zip(x.split(200), y.split(200))), dtype=torch.float32)
before = peak()
h = jensen.hessian(cost, memory=int(sys.argv[1]) * 2**20)
h @ torch.randn(h.n)
print(peak() - before, h.report.kept, h.report.terms)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the size of the process is read from Linux")
def test_the_process_grows_by_no_more_than_the_budget():
    budget = 320 if torch.version.cuda is None else 448  # torch for CUDA loads more of its own
    call = [sys.executable, "-c", GROWTH, str(budget)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    grown, kept, terms = (float(t) for t in done.stdout.split())
    assert grown <= budget and 0 < kept < terms


def test_out_of_memory_takes_fewer_columns(monkeypatch):
    real = Linearised.tangent

    def tangent(self, width):
        if width > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, width)

    monkeypatch.setattr(Linearised, "tangent", tangent)
    cost = small()
    h = jensen.hessian(cost, width=20)
    assert near(h.dense(), full(cost))
    assert h.report.width == 8 and "ran out of memory" in h.report.notes[0]


@pytest.mark.parametrize("size", [1e-1, 1e-7])
def test_a_damaged_map_is_found_at_its_first_use(monkeypatch, size):
    rule = linear_rules.RULES[aten.mm.default]

    def damaged(op, args, kwargs, forms, out):
        return rule(op, args, kwargs, forms, out).scaled(1 + size, out.shape)

    monkeypatch.setitem(linear_rules.RULES, aten.mm.default, damaged)
    cost = small()
    h = jensen.hessian(cost)
    assert near(h.dense(), full(cost))
    assert h.report.mode == "reverse" and "differs from double backward" in h.report.notes[0]
    with pytest.raises(Misuse, match="cannot be trusted"):
        jensen.hessian(small(), mode="kept") @ torch.ones(h.n)


def test_a_damaged_wide_map_is_not_used(monkeypatch):
    real = Linearised.tangent

    def tangent(self, width):
        module = real(self, width)
        return module if not width else lambda *args: [t * (1 + 1e-6) for t in module(*args)]

    monkeypatch.setattr(Linearised, "tangent", tangent)
    cost = small()
    h = jensen.hessian(cost, width=8)
    assert near(h.dense(), full(cost)) and "disagrees" in h.report.notes[0]


def test_compiling_is_measured_where_it_may_pay(monkeypatch):
    monkeypatch.setattr("jensen.ask.curvature.maps.Maps._may_compile", lambda self, linearised: True)
    made, wrong = [], [1.0]

    def compiler(module, **how):
        made.append(how)
        return lambda *args: [t * wrong[0] for t in module(*args)]

    monkeypatch.setattr(torch, "compile", compiler)
    for factor, text in ((1.0, ""), (1.001, "disagrees"), (torch.zeros(7), "failed")):
        wrong[0], cost = factor, small()
        h = jensen.hessian(cost, width=1)  # a measured width is compiled too where it wins, as timings fall
        assert near(h.dense(), full(cost))
        assert not text or (text in h.report.notes[0] and not h.report.compiled)
    assert len(made) == 3
    wrong[0] = 1.0
    assert near(jensen.hessian(small(), width=1, compiled=True).dense(), full(small()))
    assert len(made) == 4


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize(("factor", "text"), [(1.001, "disagrees"), (torch.zeros(7), "failed"), (1.0, "")])
def test_what_the_compiler_gives_is_compared_with_the_eager_map(monkeypatch, width, factor, text):
    made = []

    def compiler(module, **how):
        made.append(module)
        return lambda *args: [t * factor for t in module(*args)]

    monkeypatch.setattr(torch, "compile", compiler)
    cost = small()
    h = jensen.hessian(cost, width=width, compiled=True)
    assert near(h.dense(), full(cost)) and h.report.mode == "kept"
    assert (
        h.report.compiled == (not text) and len(made) == 1
    )  # the map that the others are compared with is never compiled
    assert [text in note for note in h.report.notes] == [True] * bool(text)


def test_where_double_backward_is_wrong_finite_differences_decide():
    """torch's second derivative of weight_norm is off by more than half on CPUs."""
    torch.manual_seed(6)
    model = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    cost = Cost(model, nn.MSELoss(), (torch.randn(5, 4), torch.randn(5, 3)))
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    assert near(h @ v, differences(cost, v), 1e-8)
    assert h.report.mode == "kept"


@pytest.mark.parametrize("name", ["resnet18, batch norm in training", "gpt, 12 layers, tied", "lstm"])
def test_networks_work_unmodified(name):
    cost = network(name)
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    assert near(h @ v, double_backward(cost, v), 1e-10)
    assert h.report.mode == "kept" and not h.report.notes


def test_refusals_name_the_remedy():
    cost = small()
    with pytest.raises(Misuse, match="make one with"):
        jensen.hessian(nn.Linear(2, 2))
    with pytest.raises(Misuse, match="matches no block"):
        jensen.hessian(cost, of="9.*")
    with pytest.raises(Misuse, match="has shape"):
        jensen.hessian(cost, at={"0.weight": torch.zeros(2, 2)})
    for how, text in (
        ({"mode": "fast"}, "none of kept"),
        ({"width": 0}, "1 or more"),
        ({"memory": -1}, "in bytes"),
        ({"compiled": "yes"}, "True, False"),
        ({"dtype": torch.float16}, "not supported"),
        ({"device": "nowhere"}, "not known"),
        ({"tf32": True}, "CUDA"),
        ({"shard": "half"}, "none of replicated"),
    ):
        with pytest.raises(Misuse, match=text):
            jensen.hessian(cost, **how)
    h = jensen.hessian(cost, of="0.*")
    with pytest.raises(Misuse, match="not a block of this operator"):
        h.restrict("2.weight")
    for bad in (torch.zeros(3), torch.zeros(h.n, 1, 1), torch.zeros(h.n) * 1j, "v", {"0.weight": torch.zeros(5, 4)}):
        with pytest.raises(Misuse):
            h @ bad
    with pytest.raises(Misuse, match="no model"):
        _ = jensen.hessian(Cost.of(lambda x: x**4, x=1.0)).gauss_newton


def test_no_derivative_no_hessian():
    with pytest.raises(Misuse, match=r"detach.*other blocks"):
        jensen.hessian(Cost.of(lambda x, y: x.detach() * y + y * y, x=1.0, y=2.0))
    assert jensen.hessian(Cost.of(lambda x, y: x.detach() * y + y * y, x=1.0, y=2.0), of="y").dense() == 2
    with pytest.raises(Misuse, match="gradient in x is not finite"):
        jensen.hessian(Cost.of(lambda x: x.sqrt(), x=0.0))
    with pytest.raises(Misuse, match="second derivative of J is not finite"):
        jensen.hessian(Cost.of(lambda x: x.abs() ** 1.5, x=0.0)).dense()


def test_a_loss_without_second_derivative_in_torch():
    """The multi-class margin loss of a linear model: all its curvature is the loss's."""
    torch.manual_seed(2)
    cost = Cost(nn.Linear(4, 3), nn.MultiMarginLoss(p=2, margin=3.0), (torch.randn(6, 4), torch.arange(6) % 3))
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    assert near(h @ v, differences(cost, v), 1e-7)
    assert float((h @ v).norm()) > 0.1
    assert near(h.gauss_newton @ v, h @ v, 1e-12)


def test_float32_is_float32_whatever_torch_was_told():
    seen, places = [], [getattr(torch.backends.mkldnn, name) for name in ("matmul", "conv")]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    told = [p.fp32_precision for p in places]
    try:
        cpu = torch.device("cpu")
        maps.run(lambda: seen.extend(p.fp32_precision for p in places), [], False, cpu)
        assert seen == ["ieee", "ieee"] and [p.fp32_precision for p in places] == told
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_precision_that_was_inherited_is_inherited_still():
    """A user who allows bfloat16 everywhere and takes that back is not left with it where a product was computed."""
    place, before, cpu = torch.backends.mkldnn.conv, torch.backends.fp32_precision, torch.device("cpu")
    seen = []
    try:
        for said in ("bf16", "ieee"):
            torch.backends.fp32_precision = said
            maps.run(lambda: seen.append(place.fp32_precision), [], False, cpu)
            assert place.fp32_precision == said
        assert seen == ["ieee", "ieee"]
    finally:
        torch.backends.fp32_precision = before


def test_float32_under_another_default_dtype():
    torch.manual_seed(0)
    data = torch.randn(600, 64), torch.randint(10, (600,))
    net = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 10))
    cost = Cost(net, nn.CrossEntropyLoss(), data, dtype=torch.float32)
    v = torch.randn(net[0].weight.numel(), 8)
    want = jensen.hessian(cost, of="0.weight") @ v
    linear_kernels._CHOSEN.clear()
    torch.set_default_dtype(torch.float64)
    try:
        got = jensen.hessian(Cost(net, nn.CrossEntropyLoss(), data, dtype=torch.float32), of="0.weight", width=8) @ v
    finally:
        torch.set_default_dtype(torch.float32)
    assert float((got - want).norm()) <= 1e-4 * float(want.norm())
