"""Curvature at the edges: what is asked wrongly, where torch itself fails, and what two questions must not share."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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


def embeddings(sparse):
    torch.manual_seed(6)
    layers = nn.Embedding(5, 3, sparse=sparse), nn.Flatten(), nn.Linear(6, 2)
    y = torch.linspace(-1, 1, 4, dtype=torch.float64).reshape(2, 2)
    return Cost(net(*layers), nn.MSELoss(), (torch.tensor([[0, 1], [1, 1]]), y))


def test_sparse_gradients_are_dense_ones() -> None:
    cost = embeddings(True)
    assert torch.equal(jensen.hessian(cost).dense(), jensen.hessian(embeddings(False)).dense())
    assert cost._model[0].sparse  # the user's model is as it was
    table, rows = torch.ones(5, 3, dtype=torch.float64), torch.tensor([0, 1, 1])
    h = jensen.hessian(Cost.of(lambda w: (nn.functional.embedding(rows, w, sparse=True) ** 3).sum(), w=table))
    assert torch.equal(h.dense().diagonal(), torch.tensor([6.0] * 3 + [12.0] * 3 + [0.0] * 9, dtype=torch.float64))


def test_inference_mode_around_any_of_it() -> None:
    want = jensen.hessian(small())
    with torch.inference_mode():
        inside = jensen.hessian(small())
        got = inside.dense(), inside.gauss_newton.dense() + inside.residual.dense()
        assert jensen.classify(scaled(1.0)).kind == "minimum" and jensen.spectrum(scaled(1.0), k=1).highest
        fresh = jensen.hessian(small())
    late = jensen.hessian(small())
    with torch.inference_mode():
        first = late @ torch.eye(late.n, dtype=torch.float64)
    for matrix in (*got, fresh.dense(), first, late.dense()):
        assert float((matrix - want.dense()).norm()) <= 1e-12 * float(want.dense().norm())


def test_a_model_and_data_made_in_inference_mode() -> None:
    with torch.inference_mode():
        model = net(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)).eval()
        x, y = classes()
    cost = Cost(model, nn.CrossEntropyLoss(), (x, y))
    before = jensen.hessian(cost, of="0.*")
    with torch.inference_mode():
        model[1].running_var.mul_(3.0)
    assert before.value != jensen.hessian(cost, of="0.*").value  # what was written is seen
    assert torch.isfinite(before.gradient).all()


def scaled(size):
    return Cost.of(lambda v: size * (v**2).sum(), v=torch.zeros(3, dtype=torch.float64))


def empty():
    return Cost.of(lambda v, w: (v**2).sum() + w**2, v=torch.zeros(0, dtype=torch.float64), w=1.0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: jensen.spectrum(scaled(1e-170)), "multiply J by a constant"),
        (lambda: jensen.spectrum(scaled(1e170), method="dense"), "multiply J by a constant"),
        (lambda: jensen.spectrum(empty(), of="v"), "no entries"),
        (lambda: jensen.classify(empty(), of="v"), "no entries"),
        (lambda: jensen.spectrum(scaled(1.0), k=2.5), "k=2.5 must be a whole number"),
        (lambda: jensen.spectrum(scaled(1.0), probes=True), "probes=True must be a whole number"),
        (lambda: jensen.spectrum(scaled(1.0), grid=[]), "one finite point"),
        (lambda: jensen.spectrum(scaled(1.0), grid=[float("nan")]), "one finite point"),
        (lambda: jensen.spectrum(Counted(Dense(torch.full((30, 30), torch.nan))), method="dense"), "not finite"),
        (lambda: jensen.hessian(scaled(1.0)) @ np.array([object()] * 3), "array of object"),
        (lambda: jensen.hessian(scaled(1.0)) @ {"v": np.array(["a"] * 3)}, "array of <U1"),
        (lambda: pickle.dumps(jensen.hessian(scaled(1.0))), "make it again"),
        (lambda: copy.deepcopy(jensen.hessian(scaled(1.0))), "make it again"),
    ],
)
def test_what_cannot_be_asked_is_said(ask, message) -> None:
    with pytest.raises(Misuse, match=message):
        ask()


def of(f, *numbers):
    return jensen.hessian(Cost.of(f, v=torch.tensor(numbers, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("f", "numbers"),
    [
        (lambda v: (nn.functional.hardsigmoid(v) ** 2).sum(), (3.0, -3.0, 0.1)),
        (lambda v: (v.view(2, 2).max(0)[0] ** 2).sum(), (1.0, 2.0, 1.0, 3.0)),
        (lambda v: (nn.functional.prelu(v, torch.full((1,), 0.25, dtype=v.dtype)) ** 2).sum(), (0.0, 1.0, 2.0)),
    ],
)
def test_a_kink_at_the_point_is_named(f, numbers) -> None:
    with pytest.raises(Misuse, match=r"may lie on a kink.*ask at another point"):
        of(f, *numbers).dense()
    assert torch.isfinite(of(f, *(t + 0.01 * (i + 1) for i, t in enumerate(numbers))).dense()).all()


@pytest.mark.parametrize("seed", range(4))
def test_kinks_near_a_point_are_not_stepped_over(seed) -> None:
    """torch has no second derivative of hardsigmoid; differences decide, and ReLUs switch within their longest step."""

    class Spelt(nn.Module):
        def forward(self, x):
            return nn.functional.relu6(x + 3) / 6

    def products(last) -> Tensor:
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), last(), nn.Linear(16, 3)
        )
        x, y = torch.randn(64, 8), torch.randint(0, 3, (64,))
        return jensen.hessian(Cost(model, nn.CrossEntropyLoss(), (x, y))) @ torch.ones(739, dtype=torch.float64)

    torch.testing.assert_close(products(nn.Hardsigmoid), products(Spelt), rtol=1e-9, atol=1e-12)


def test_a_wrong_map_of_a_smooth_cost_is_no_kink(monkeypatch) -> None:
    from jensen.ask.curvature.maps import Maps

    right = Maps.one
    monkeypatch.setattr(Maps, "one", lambda self, *a, **k: 1.001 * right(self, *a, **k))
    h = jensen.hessian(small(), mode="kept")
    with pytest.raises(Misuse, match="cannot be trusted: please report this"):
        h.dense()


def test_an_operation_without_second_derivative_is_named() -> None:
    h = of(lambda v: nn.functional.pdist(v.view(3, 2)).sum(), 1.0, 2.0, 4.0, 8.0, 3.0, 5.0)
    with pytest.raises(Misuse, match="no derivative of _pdist_backward"):
        h.dense()


def test_threads_take_turns_while_they_trace() -> None:
    models = [net(nn.Linear(5, 3 + i), nn.Tanh(), nn.Linear(3 + i, 2)) for i in range(3)]
    torch.manual_seed(7)
    pair = torch.randn(30, 5, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    want = [jensen.hessian(Cost(m, nn.MSELoss(), pair)).dense() for m in models]
    with ThreadPoolExecutor(3) as pool:
        got = list(pool.map(lambda m: jensen.hessian(Cost(m, nn.MSELoss(), pair)), models))
        matrices = list(pool.map(lambda h: h.gauss_newton.dense() + h.residual.dense(), got))
    assert all(h.report.mode == "kept" for h in got)
    assert all(float((a - b).norm()) <= 1e-12 * float(b.norm()) for a, b in zip(matrices, want, strict=True))


def test_a_refused_cost_leaves_the_random_numbers_alone() -> None:
    model, pair = net(nn.Linear(6, 4), nn.Dropout(0.3)), classes()
    for loss in (nn.CrossEntropyLoss(), lambda out, y: (out * torch.rand_like(out)).sum()):
        before = torch.get_rng_state()
        with pytest.raises(Misuse, match="at the same parameters"):
            Cost(model, loss, pair)
        assert torch.equal(before, torch.get_rng_state())
        model.eval()


STRANGE = [
    (lambda c: jensen.hessian(c, of=3), "of=3 is no pattern"),
    (lambda c: jensen.hessian(c, of=[1]), "of=1 is no pattern"),
    (lambda c: jensen.hessian(c, memory="2GB"), "budget in bytes"),
    (lambda c: jensen.spectrum(c, tolerance="1e-3"), "number between 0 and 1"),
    (lambda c: jensen.spectrum(c, progress=3), "cannot be called"),
    (lambda c: jensen.spectrum(c, checkpoint=5), "no path"),
    (lambda c: jensen.spectrum(c, grid="ab"), "give numbers"),
    (lambda c: jensen.spectrum(c, memory="2GB"), "must be a number"),
    (lambda c: jensen.spectrum(c, every="often"), "must be a number"),
    (lambda c: jensen.spectrum(c, population="many"), "no number of rows"),
    (lambda c: jensen.spectrum(c, population=float("nan")), "no number of rows"),
    (lambda c: jensen.classify(c, tolerance=0.0), "number between 0 and 1"),
    (lambda c: jensen.classify(c, tolerance="1e-3"), "number between 0 and 1"),
    (lambda c: jensen.classify(c, gradient=None), "number between 0 and 1"),
    (lambda c: jensen.classify(c, failure=None), "number between 0 and 1"),
    (lambda c: jensen.classify(c, seed=1.5), "whole number"),
    (lambda c: jensen.classify(c, progress=3), "cannot be called"),
    (lambda c: jensen.Trajectory.read(5), "no path"),
    (lambda c: jensen.watch(c, every=1, show=False).step(1.5), "whole number"),
]


@pytest.mark.parametrize(("ask", "words"), STRANGE)
def test_strange_arguments_are_named(ask, words):
    torch.manual_seed(0)
    cost = Cost(nn.Linear(3, 1), nn.MSELoss(), (torch.randn(9, 3), torch.randn(9, 1)))
    with pytest.raises(Misuse, match=words):
        ask(cost)


def test_strange_data_and_operations_are_named():
    x, y = torch.randn(9, 3), torch.randn(9, 1)
    with pytest.raises(Misuse, match=r"sparse_coo.*to_dense"):
        Cost(nn.Linear(3, 1), nn.MSELoss(), (x.to_sparse(), y))
    lengths = torch.tensor([2, 2])
    pieces = Cost.of(lambda v: torch.segment_reduce(v * v, "max", lengths=lengths, axis=0).sum(), v=torch.arange(4.0))
    with pytest.raises(Misuse, match=r"no derivative of aten::_segment_reduce_backward"):
        jensen.hessian(pieces) @ torch.ones(4)


@pytest.mark.parametrize("seed", range(4))
def test_parts_without_a_second_derivative_of_torch_s(seed: int) -> None:
    """hardsigmoid again: differences decide about the Gauss-Newton part, too, and the check says so."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4), nn.Hardsigmoid(), nn.Linear(4, 3))
    cost = Cost(model, nn.CrossEntropyLoss(), (torch.randn(8, 3), torch.randint(3, (8,))))
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    whole, newton, rest = h @ v, h.gauss_newton @ v, h.residual @ v
    torch.testing.assert_close(whole, newton + rest, rtol=1e-12, atol=1e-14)
    assert all(c["reference"].startswith("finite") for c in h.gauss_newton.report.checks)


@pytest.mark.parametrize("seed", range(6))
def test_blocks_on_which_nothing_depends(seed: int) -> None:
    """A bias in front of batch norm in training: all that is left of its curvature and of its gradient is rounding."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    cost = Cost(model, nn.CrossEntropyLoss(), (torch.randn(9, 4), torch.randint(3, (9,))))
    h = jensen.hessian(cost, of="0.bias")
    assert float(h.dense().norm()) < 1e-14
    found = jensen.classify(cost, of="0.bias")
    assert found.kind == "degenerate" and "kink" not in found.reason


def test_a_slope_that_is_small_beside_j_is_no_rounding() -> None:
    assert jensen.classify(Cost.of(lambda x: 1e6 + 1e-8 * x, x=1.0)).kind == "not critical"


def test_a_damaged_map_of_one_block_is_not_taken_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    from jensen.ask.curvature.maps import Maps

    right = Maps.one
    monkeypatch.setattr(Maps, "one", lambda self, *a, **k: right(self, *a, **k) * (1 + 1e-6))
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    cost = Cost(model, nn.CrossEntropyLoss(), (torch.randn(9, 4), torch.randint(3, (9,))))
    with pytest.raises(Misuse, match="cannot be trusted"):
        jensen.hessian(cost, of="0.bias", mode="kept").dense()


def test_complex_weights_take_several_columns() -> None:
    class Fourier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.first = nn.Parameter(torch.randn(2, 2, 3, 2)), nn.Conv1d(1, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            f = torch.fft.rfft(self.first(x))[:, :, :3]
            z = torch.einsum("bik,iok->bok", f, torch.view_as_complex(self.w))
            return nn.functional.gelu(torch.fft.irfft(nn.functional.pad(z, (0, 2)), n=8))

    torch.manual_seed(0)
    model = Fourier()
    model.odd = nn.Parameter(torch.ones(1))  # the number of entries is odd now, and columns begin at odd places
    cost = Cost(
        model,
        lambda out, y: (out * out).mean(),
        (torch.randn(3, 1, 8), torch.zeros(3)),
        lambda p: p["odd"].square().sum(),
    )
    h = jensen.hessian(cost)
    assert h.n % 2 == 1
    v = torch.randn(h.n, 4, dtype=torch.float64)
    torch.testing.assert_close(h @ v, torch.stack([h @ t for t in v.T], 1), rtol=1e-12, atol=1e-14)


class Normed(nn.Module):
    """A group norm behind a convolution whose kernel may be said to have its channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.n = nn.Conv2d(2, 2, 1).to(memory_format=torch.channels_last), nn.GroupNorm(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.n(self.c(x)).tanh()


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_channels_may_be_last_in_the_data_and_in_the_model(order: torch.memory_format) -> None:
    """torch's second derivative in the norm's bias alone would read past the end."""
    torch.manual_seed(0)
    x, y = torch.randn(4, 2, 3, 3).contiguous(memory_format=order), torch.randn(4, 2, 3, 3)
    h = jensen.hessian(Cost(Normed(), nn.MSELoss(), (x, y)))
    alone, places = h.restrict("n.bias").dense(), slice(h.n - 2, h.n)
    assert torch.allclose(alone, h.dense()[places, places], rtol=1e-12, atol=1e-14)


def test_arrays_that_run_backwards_and_sparse_vectors() -> None:
    h = jensen.hessian(Cost.of(lambda w: (w**4).sum(), w=torch.ones(1)))
    assert h @ np.full((1, 3), 2.0)[::-1] == pytest.approx(24.0)
    with pytest.raises(Misuse, match=r"sparse_coo.*to_dense"):
        h @ torch.ones(1).to_sparse()
