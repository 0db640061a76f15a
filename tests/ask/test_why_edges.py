"""Why, where it is easily got wrong: small types, complex values, saturation, rounding, what a penalty leaves behind."""

from pathlib import Path

import pytest
import torch
from torch import nn

import jensen
from jensen import Cost, Verdict
from jensen.ask.remedies.linearise import linearised
from jensen.ask.why import mechanisms as home
from jensen.ask.why.directions import unit
from jensen.ask.why.ledger import ledger
from jensen.ask.why.mechanisms import mechanisms
from jensen.linalg.torch_reading import function


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mlp(width: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


def test_a_float32_cost_is_asked_everything() -> None:
    """Its programs are read in float64: the search, the surgery and the remedies, too."""
    data = normal(6, 4).float(), torch.tensor([0, 1, 2, 0, 1, 2])
    cost = Cost(mlp(2), nn.CrossEntropyLoss(), data, dtype=torch.float32)
    finding = jensen.check(cost, budget=2.0)
    assert finding.verdict == Verdict.REFUTED
    why = jensen.why(cost, budget=1.0, finding=finding, mechanisms=False)
    assert why.curvature < 0 and why.finite.violation < 0
    assert linearised(cost).dtype == torch.float32


def test_the_absolute_value_of_a_complex_number_is_curved() -> None:
    """J = |F x| summed, F the Fourier matrix: d'Hd sums (|z'|^2 - Re(z' conj(z) / |z|)^2) / |z|."""
    x, d = normal(5), normal(5, seed=1)
    cost = Cost.of(lambda x: torch.fft.rfft(x).abs().sum(), x=x)
    d /= d.norm()
    z, t = torch.fft.rfft(x), torch.fft.rfft(d)
    along = (t * z.conj() / z.abs()).real
    want = float(((t.abs() ** 2 - along**2) / z.abs()).sum())
    assert want > 0.05
    answer = ledger(cost, unit(cost, {"x": d}))
    assert answer.curvature == pytest.approx(want) and answer.shares[-1].operation == "aten.abs.default"


def test_complex_values_are_kept_and_the_row_is_open() -> None:
    """What could not be linearised is still there, so that the row says nothing of its mechanism alone."""

    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.fft.rfft(self.a(x)).abs())

    rows = mechanisms(Cost(Spectrum(), nn.MSELoss(), (normal(4, 4), normal(4, 2))), budget=1.0)
    products = next(m for m in rows if m.name.startswith("products"))
    assert products.enough == "unknown" and "complex" in products.reason


def test_a_row_with_something_kept_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Cost(mlp(), nn.CrossEntropyLoss(), (normal(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])))
    honest = home.linearise

    def keeping(*args: object) -> object:
        done = honest(*args)  # type: ignore[arg-type]
        done.kept["tanh"] = "a test keeps it"
        return done

    monkeypatch.setattr(home, "linearise", keeping)
    products = next(iter(mechanisms(cost, budget=3.0)))
    assert products.verdict == Verdict.REFUTED and products.enough == "unknown" and "a test keeps it" in products.reason


def test_a_clamped_logarithm_is_flat_below_its_clamp() -> None:
    """At 0 the logarithm's derivative is infinite, that of its clamp 0; outside the domain there is no value."""
    clamped = function("jensen.clamped_log")
    x = torch.tensor([0.0, 1e-300, 1e-30, 0.5], dtype=torch.float64, requires_grad=True)
    y = clamped(x, -100.0)
    assert torch.equal(y, torch.log(x).clamp(min=-100.0))
    (g,) = torch.autograd.grad(y.sum(), x)
    assert g.tolist() == pytest.approx([0.0, 0.0, 1e30, 2.0])
    assert clamped(torch.tensor([-1.0]), -100.0).isnan().all()


def test_nothing_but_rounding_is_no_curvature() -> None:
    """The logits' constant shift changes nothing: what the readings say there is rounding, and not told as shares."""
    cost = Cost(nn.Linear(4, 3), nn.CrossEntropyLoss(), (normal(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])))
    answer = ledger(cost, unit(cost, {"bias": torch.ones(3) / 3}))
    assert answer.curvature == 0.0 and answer.defect == 0.0 and all(s.share == 0.0 for s in answer.shares)


def test_a_dropped_penalty_leaves_nothing_behind(tmp_path: Path) -> None:
    """Programs after the surgery hold none of the penalty's operations and constants, which here have no atom."""

    def penalty(p: dict[str, torch.Tensor]) -> torch.Tensor:
        w = p["0.weight"]
        return -torch.logdet(w.T @ w + torch.eye(4, dtype=torch.float64))

    cost = Cost(mlp(), nn.CrossEntropyLoss(), (normal(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])), penalty=penalty)
    rows = {m.name: m for m in mechanisms(cost, budget=5.0)}
    assert rows["penalty dropped"].enough == "yes" and rows["block 2.weight alone"].enough == "no"
    for name in ("penalty dropped", "block 2.weight alone"):
        rows[name].finding.save(tmp_path / "x.jensen")
        jensen.verify(tmp_path / "x.jensen")
        nodes = rows[name].finding.certificate.problem.terms[0].program.nodes
        assert not any("slogdet" in n.op or n.name == "scalar_tensor" for n in nodes)


def test_operations_are_not_called_blocks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(m for _ in range(8) for m in (nn.Linear(3, 3), nn.Tanh())))
    rows = mechanisms(Cost(model, nn.MSELoss(), (normal(4, 3), normal(4, 3))), budget=0.0)
    loss = next(m for m in rows if m.name == "loss alone")
    assert "and 7 more)" in loss.statement
