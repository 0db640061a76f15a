"""Curvature at the edges: what is asked wrongly, where torch itself fails, and what two questions must not share."""

from pathlib import Path

import pytest
import torch
from torch import nn

import jensen
from jensen import Cost, Misuse
from jensen.linalg.operators import Counted, Dense


def net(*layers):
    torch.manual_seed(1)
    return nn.Sequential(*(layers or (nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)))).double()


def classes(rows=20, inputs=6, kinds=4):
    torch.manual_seed(2)
    return torch.randn(rows, inputs, dtype=torch.float64), torch.randint(0, kinds, (rows,))


def small():
    return Cost(net(), nn.CrossEntropyLoss(), classes())


def symmetric(n=80, seed=0):
    a = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a + a.T


BRIEF = {"k": 1, "density": False, "trace": False, "every": 0.0}


class Stop(Exception):
    pass


def stopped(asked, path, after=3):
    """A checkpoint of an unfinished solve."""
    count = 0

    def stop(figures):
        nonlocal count
        count += 1
        if count == after:
            raise Stop

    with pytest.raises(Stop):
        jensen.spectrum(asked, method="iterative", checkpoint=path, progress=stop, **BRIEF)


def parts():
    h = jensen.hessian(small())
    return h, h.gauss_newton, "part"


def other_part():
    h = jensen.hessian(small())
    return h.residual, h, "part"


def blocks():
    cost = Cost(net(nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)), nn.MSELoss(), rows(12))
    return jensen.hessian(cost, of="0.*"), jensen.hessian(cost, of="1.*"), "blocks"


def rows(n):
    torch.manual_seed(4)
    return torch.randn(20, n, dtype=torch.float64), torch.randn(20, n, dtype=torch.float64)


def costs():
    a, b = symmetric(seed=0), symmetric(seed=1)
    zero = torch.zeros(80, dtype=torch.float64)
    return Cost.of(lambda v: v @ a @ v, v=zero), Cost.of(lambda v: v @ b @ v, v=zero), "another map"


def plain():
    return Counted(Dense(symmetric(seed=0))), Counted(Dense(symmetric(seed=1))), "another map"


@pytest.mark.parametrize("pair", [parts, other_part, blocks, costs, plain])
def test_a_checkpoint_of_another_map_is_refused_and_kept(tmp_path: Path, pair) -> None:
    path = tmp_path / "s.json"
    one, other, word = pair()
    stopped(one, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(Misuse, match=f"another question: .*{word}"):
        jensen.spectrum(other, method="iterative", checkpoint=path, **BRIEF)
    with pytest.raises(Misuse, match="another question: method"):
        jensen.spectrum(one, method="dense", checkpoint=path, **BRIEF)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_checkpoint_of_a_part_is_gone_on_from(tmp_path: Path) -> None:
    path, h = tmp_path / "s.json", jensen.hessian(small())
    stopped(h.residual, path)
    resumed = jensen.spectrum(h.residual, method="iterative", checkpoint=path, **BRIEF)
    assert resumed.highest == jensen.spectrum(h.residual, method="iterative", **BRIEF).highest
    assert not list(tmp_path.iterdir())


class Once(torch.autograd.Function):
    """tanh(x) x, which torch refuses to differentiate twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x) * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        t = torch.tanh(x)
        return g * (t + x * (1 - t * t))


class Fn(nn.Module):
    """A function of one weight."""

    def __init__(self, f, *shape):
        super().__init__()
        torch.manual_seed(3)
        self.f, self.w = f, nn.Parameter(torch.randn(shape, dtype=torch.float64))

    def forward(self, x):
        return self.f(x @ self.w)


@pytest.mark.parametrize("f", [Once.apply, lambda h: torch.logcumsumexp(torch.tanh(h), 1)])
def test_parts_where_torch_has_no_right_second_derivative(f) -> None:
    """Against differences of the output and of the gradient."""
    torch.manual_seed(5)
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    model = Fn(f, 3, 4)
    h = jensen.hessian(Cost(model, nn.MSELoss(), (x, y)))
    w = model.w.detach().reshape(-1)
    jacobian = columns(lambda t: f(x @ t.reshape(3, 4)).reshape(-1), w)
    newton = 2 / 20 * jacobian.T @ jacobian

    def gradient(t):
        leaf = t.clone().requires_grad_()
        return torch.autograd.grad(nn.functional.mse_loss(f(x @ leaf.reshape(3, 4)), y), leaf)[0]

    whole = columns(gradient, w)
    for got, want in ((h, whole), (h.gauss_newton, newton), (h.residual, whole - newton)):
        assert float((got.dense() - want).norm()) <= 1e-8 * float(want.norm())
    assert "differences" in h.gauss_newton.report.checks[0]["reference"]


def columns(f, at, step=1e-4):
    """A Jacobian by central differences with one Richardson step."""
    out = []
    for e in torch.eye(len(at), dtype=at.dtype):
        one, two = ((f(at + k * step * e) - f(at - k * step * e)) / (2 * k * step) for k in (1, 2))
        out.append((4 * one - two) / 3)
    return torch.stack(out, 1)


def test_a_wrong_part_is_still_found_there(monkeypatch) -> None:
    from jensen.ask.curvature.maps import Maps

    right = Maps.one
    monkeypatch.setattr(Maps, "one", lambda self, *a, **k: 1.001 * right(self, *a, **k))
    h = jensen.hessian(Cost(Fn(Once.apply, 6, 4), nn.CrossEntropyLoss(), classes()), mode="kept")
    with pytest.raises(Misuse, match="cannot be trusted"):
        h.gauss_newton @ torch.ones(h.n, dtype=torch.float64)
