"""On a CUDA device: the same answers as on the CPU. Run where torch sees one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import curvature_models
import jensen
from architectures import ARCHITECTURES, architecture
from curvature_models import NETWORKS
from jensen.ask.minima.inits import starts
from jensen.ask.minima.spec import spec
from jensen.ask.minima.stacks import trained
from jensen.ask.minima.unit import plan
from jensen.gallery.student_teacher import student_teacher

if not torch.cuda.is_available():
    pytest.skip("torch sees no CUDA device", allow_module_level=True)

pytestmark = pytest.mark.gpu


def vectors(n, k=12, dtype=torch.float64):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


def far(got, want):
    """The relative distance."""
    return float((got.cpu().double() - want.double()).norm() / want.double().norm())


def digits(rows=300):
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.data[:rows] / 16), torch.tensor(data.target[:rows])


def mlp(hidden=5, rows=300):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, hidden), nn.Tanh(), nn.Linear(hidden, 10))
    return jensen.Cost(model, nn.CrossEntropyLoss(), digits(rows))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_products_of_small_layers(name):
    cost = architecture(name)
    on_cpu, on_gpu = jensen.hessian(cost), jensen.hessian(cost, device="cuda")
    v = vectors(on_cpu.n)
    want = on_cpu @ v
    for _ in range(4):  # the first directly, later ones from a CUDA graph
        assert far(on_gpu @ v, want) < 1e-10
    assert on_gpu.report.mode == on_cpu.report.mode
    assert abs(on_gpu.value - on_cpu.value) <= 1e-12 * abs(on_cpu.value)


@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_networks(name):
    cost = curvature_models.cost(name)
    on_cpu, on_gpu = jensen.hessian(cost), jensen.hessian(cost, device="cuda")
    v = vectors(on_cpu.n)
    want = on_cpu @ v
    for _ in range(4):
        assert far(on_gpu @ v, want) < 1e-10
    assert not on_gpu.report.notes


@pytest.mark.parametrize("how", [
    {"width": 1}, {"width": 8}, {"mode": "recomputed"}, {"mode": "reverse"}, {"compiled": True, "width": 8},
    {"dtype": torch.float32, "width": 8}, {"dtype": torch.float32, "tf32": True, "width": 8},
], ids=str)  # fmt: skip
def test_every_mode(how):
    cost = mlp()
    want = jensen.hessian(cost) @ vectors(385, 20)
    h = jensen.hessian(cost, device="cuda", **how)
    allowed = 5e-2 if "tf32" in how else 1e-4 if "dtype" in how else 1e-10
    for _ in range(5):
        assert far(h @ vectors(385, 20), want) < allowed
    assert not h.report.notes
    if "tf32" in how:
        assert h.report.tf32_error is not None and 0 < h.report.tf32_error < 5e-2
    if "mode" not in how:
        assert h.report.graphs > 0


def test_parts_and_several_chunks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10))
    x, y = digits()
    whole = jensen.Cost(model, nn.CrossEntropyLoss(), (x, y))
    cut = jensen.Cost(model, nn.CrossEntropyLoss(), [(x[i : i + 70], y[i : i + 70]) for i in range(0, len(x), 70)])
    h, other = jensen.hessian(whole), jensen.hessian(cut, device="cuda")
    v = vectors(h.n, 8)
    for _ in range(4):
        assert far(other @ v, h @ v) < 1e-10
        assert far(other.gauss_newton @ v, h.gauss_newton @ v) < 1e-10
        assert far(other.residual @ v, h.residual @ v) < 1e-9


def test_one_operator_at_several_points_keeps_them_apart():
    cost = mlp()
    points = [{n: t + 0.1 * k for n, t in cost.theta.items()} for k in range(3)]
    here = [jensen.hessian(cost, p, device="cuda") for p in points]
    there = [jensen.hessian(cost, p) for p in points]
    v = vectors(385, 8)
    for _ in range(4):
        for a, b in zip(here, there, strict=True):
            assert far(a @ v, b @ v) < 1e-10


def test_the_spectrum():
    cost = mlp()
    dense = torch.linalg.eigvalsh(jensen.hessian(cost).dense())
    found = jensen.spectrum(jensen.hessian(cost, device="cuda"), k=4)
    norm = float(dense.abs().max())
    for e, true in zip(found.highest, dense.flip(0), strict=False):
        assert abs(e.value - float(true)) <= e.bound + 1e-10 * norm
    for e, true in zip(found.lowest, dense, strict=False):
        assert abs(e.value - float(true)) <= e.bound + 1e-10 * norm
    assert found.trace is not None


@pytest.mark.parametrize("after", [5, 40])
def test_a_solve_is_gone_on_with(tmp_path, after):
    class Stop(Exception):
        pass

    asked = {"k": 2, "method": "iterative", "probes": 2, "steps": 12, "every": 0.0, "checkpoint": tmp_path / "s.json"}
    h, count = jensen.hessian(mlp(), device="cuda"), iter(range(after))

    def stop(figures):
        if next(count, None) is None:
            raise Stop

    with pytest.raises(Stop):
        jensen.spectrum(h, progress=stop, **asked)
    assert (tmp_path / "s.json").exists()
    again, whole = jensen.spectrum(h, **asked), jensen.spectrum(h, **{**asked, "checkpoint": None})
    for e, want in zip(again.highest, whole.highest, strict=True):
        assert abs(e.value - want.value) <= e.bound + want.bound + 1e-10 * whole.norm


def test_a_model_on_the_device_is_taken_to_the_cpu():
    x, y = digits()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10)).double()
    want = jensen.hessian(jensen.Cost(model, nn.CrossEntropyLoss(), (x, y))).dense()
    moved = jensen.Cost(model.cuda(), nn.CrossEntropyLoss(), (x.cuda(), y.cuda()))
    assert far(jensen.hessian(moved, device="cuda").dense(), want) < 1e-10
    assert next(model.parameters()).is_cuda


def test_watching_a_training_on_the_device():
    x, y = (t.cuda() for t in digits())
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10)).double().cuda()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = []
    with jensen.watch(jensen.Cost(model, nn.CrossEntropyLoss(), (x, y)), every=2, share=None, show=seen.append) as w:
        for _ in range(6):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
            w.step()
    assert len(seen) == 4 and all(math.isfinite(r["highest"][0]["value"]) for r in seen)


@pytest.mark.parametrize(
    ("optimiser", "batch"),
    [("adam", None), ("sgd", None), ("gd", None), ("lbfgs", None), ("adam", 64), ("sgd", 64), ("gd", 64)],
)
def test_a_stack_trains_as_on_the_cpu(optimiser, batch):
    cost, ends = mlp(), {}
    for device in ("cpu", "cuda"):
        how = plan(cost, spec(optimiser=optimiser, step=0.01, steps=20, batch=batch, stack=6, device=device))
        start = starts(cost, how, range(6)).to(device)
        ends[device] = trained(cost, how, start).points.cpu()
    assert far(ends["cuda"], ends["cpu"]) < 1e-9


def test_ends_are_those_of_the_cpu():
    kinds = {}
    for device in ("cpu", "cuda"):
        found = jensen.minima(
            student_teacher(3), 20, optimiser="gd", step=0.1, steps=3000, init="normal", scale=3**-0.5, device=device
        )
        kinds[device] = sorted((e.kind, round(e.value, 9), e.orbit) for e in found.ends)
    assert kinds["cuda"] == kinds["cpu"]


def test_xor_ends_at_infinity_and_deep_linear_ends_are_global_or_saddles():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float64)
    torch.manual_seed(0)
    xor = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))
    found = jensen.minima(jensen.Cost(xor, nn.BCEWithLogitsLoss(), (x, y)), 16, init="normal", device="cuda")
    assert found.counts["at infinity"] >= 12 and not found.counts["minimum"]
    linear = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False))
    a = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b = a @ torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = jensen.minima(jensen.Cost(linear, nn.MSELoss(), (a, b)), 16, init="normal", device="cuda")
    assert found.counts["minimum"] >= 12 and found.counts["minimum"] + found.counts["saddle"] == 16


def test_large_networks_are_judged_too():
    cost = mlp(hidden=6, rows=60)
    found = jensen.minima(cost, 4, steps=200, polish_steps=40, device="cuda")
    assert sum(found.counts.values()) == 4
