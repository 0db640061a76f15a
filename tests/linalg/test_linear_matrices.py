"""Tangents of determinants and solutions, whatever the memory of matrices is like; what has no tangent is refused."""

import pytest
import torch
from torch import nn

import jensen
from jensen import Cost, Misuse
from jensen.linalg import linear_rules
from jensen.linalg.linearise import linearise

L = torch.linalg
D = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=D)


RIGHT = drawn(2, 3, 4, seed=1)
FUNCTIONS = {
    "det": lambda w: L.det(w).sum(),
    "det of a transpose": lambda w: L.det(w.mT.contiguous().mT @ w).sum(),
    "slogdet": lambda w: L.slogdet(w)[1].sum(),
    "solve": lambda w: L.solve(w, RIGHT.to(w.device)).sum(),
    "solve, both moving": lambda w: L.solve(w, w.mT @ RIGHT).sum(),
    "solve, one right side for all": lambda w: L.solve(w, RIGHT[0]).sum(),
    "solve from the right": lambda w: L.solve(w, RIGHT.mT, left=False).sum(),
    "solve for vectors": lambda w: L.solve(w, RIGHT[:, :, 0]).sum(),
    "solve of a transpose": lambda w: L.solve(w.mT, RIGHT).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("transposed", [False, True])
def test_products(name, transposed):
    w = drawn(2, 3, 3)
    w = w.mT.contiguous().mT if transposed else w

    def f(w):
        return (FUNCTIONS[name](w) * 1.1).sin()

    want = torch.autograd.functional.hessian(f, w).reshape(18, 18)
    h = jensen.hessian(Cost.of(lambda w: f(w), w=w), mode="kept")
    assert float((h.dense() - want).norm()) <= 1e-10 * float(want.norm())


def test_factors_have_no_tangent():
    """The gradient of the factors of a determinant cannot be linearised, and is no constant."""

    def gradient(w):
        value, factors, _ = torch.ops.aten._linalg_det.default(w)
        return [value, factors.square()]

    with pytest.raises(Misuse, match="no tangent"):
        linearise(gradient, [drawn(3, 3)], 1)


def test_complex_numbers_have_no_tangent():
    def gradient(w):
        return [w.sum(), torch.fft.rfft(w).abs()]

    with pytest.raises(Misuse, match="complex numbers"):
        linearise(gradient, [drawn(4)], 1)


class Switched(nn.Module):
    """A model whose last column of the data switches a part on."""

    def __init__(self, part):
        super().__init__()
        self.w, self.part = nn.Parameter(drawn(3, 3)), part

    def forward(self, x):
        return x[:, :3] @ self.w + x[:, 3:] * self.part(self.w)


def switched(part):
    """The cost in ten chunks, the part switched on in the last three alone; and its Hessian."""
    model, x, y = Switched(part), drawn(20, 4, seed=2), drawn(20, 3, seed=3)
    x[:14, 3] = 0
    cost = Cost(model, nn.MSELoss(), list(zip(x.split(2), y.split(2), strict=True)))

    def f(w):
        return nn.functional.mse_loss(torch.func.functional_call(model, {"w": w}, x), y)

    return cost, torch.autograd.functional.hessian(f, model.w.detach()).reshape(9, 9)


@pytest.mark.parametrize("part", [lambda w: torch.fft.rfft(w).abs().square().sum(), L.det], ids=["fft", "det"])
def test_what_some_chunks_alone_use(part):
    cost, want = switched(part)
    assert float((jensen.hessian(cost).dense() - want).norm()) <= 1e-10 * float(want.norm())


@pytest.fixture
def hidden(monkeypatch):
    """A cost whose map is wrong, which its first chunks hide; and its Hessian."""
    monkeypatch.setitem(linear_rules.RULES, torch.ops.aten.tanh.default, lambda *_: None)
    return switched(lambda w: w.tanh().sum())


def test_a_wrong_map_whose_first_chunks_hide_it_is_found(hidden):
    """What was added up of earlier chunks before is dropped."""
    cost, want = hidden
    h = jensen.hessian(cost)
    assert float((h.dense() - want).norm()) <= 1e-10 * float(want.norm())
    assert h.report.mode == "reverse" and "differs from double backward" in h.report.notes[0]


def test_where_memory_is_tight_it_is_found_before_anything_is_kept(hidden):
    with pytest.raises(Misuse, match="map of term 8 differs from double backward"):
        jensen.hessian(hidden[0], mode="recomputed")
