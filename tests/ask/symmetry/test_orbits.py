"""Representatives, stabilisers, moves at a point; and what is told."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import jensen
from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.tried import holds, rounds
from jensen.cli import app


def _cost(act: nn.Module) -> jensen.Cost:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 5), act, nn.Linear(5, 4), act, nn.Linear(4, 9))
    return jensen.Cost(model, nn.MSELoss(), (torch.randn(40, 6), torch.randn(40, 9)))


def _point(cost: jensen.Cost) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {n: t + 0.3 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}


def test_stabilisers_of_dead_and_of_equal_units():
    cost = _cost(nn.ReLU())
    group = jensen.symmetries(cost, completeness=False)
    theta = _point(cost)
    free = group.stabiliser(theta)
    assert (free.order, free.dimension, free.orbit_dimension, free.copies) == (1, 0, 9, 2880)
    for name, index in (("0.weight", (0,)), ("0.bias", (0,)), ("2.weight", (slice(None), 0))):
        theta[name][index] = 0.0  # a unit that is not there: its scale moves nothing
    dead = group.stabiliser(theta)
    assert (dead.order, dead.dimension, dead.copies) == (1, 1, 2880)
    theta["0.weight"][1], theta["0.bias"][1] = 2 * theta["0.weight"][2], 2 * theta["0.bias"][2]
    theta["2.weight"][:, 1] = theta["2.weight"][:, 2] / 2  # equal but for a scale
    assert group.stabiliser(theta).copies == 1440


def test_signs_of_a_dead_unit():
    cost = _cost(nn.Tanh())
    group = jensen.symmetries(cost, completeness=False)
    theta = _point(cost)
    for name, index in (("0.weight", (0,)), ("0.bias", (0,)), ("2.weight", (slice(None), 0))):
        theta[name][index] = 0.0
    assert group.stabiliser(theta).copies == group.order // 2


def test_classify_takes_the_group():
    torch.manual_seed(0)
    u, v = torch.randn(4, 1), torch.randn(3, 1)
    m = u @ v.T
    cost = jensen.Cost.of(lambda u, v: ((u @ v.T - m.double()) ** 2).sum(), u=u, v=v)
    group = jensen.symmetries(cost)
    assert (group.order, group.dimension) == (2, 1)
    found = jensen.classify(cost, symmetries=group)
    assert found.kind == "minimum"
    assert found.zero_modes == 1


def test_running_statistics_move_with_their_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5)).double()
    for _ in range(3):
        model(torch.randn(9, 2, 5, 5).double() + 1.0)
    x, y = torch.randn(9, 2, 5, 5), torch.randn(9, 5)
    for training in (True, False):
        group = jensen.symmetries(jensen.Cost(model.train(training), nn.MSELoss(), (x, y)), completeness=False)
        before = {k: t.clone() for k, t in model.state_dict().items()}
        permutation = next(f for f in group.factors if f.kind == "permutation")
        moved = group.move([(permutation, torch.tensor([1, 2, 3, 0]))]).act(before)
        assert not torch.equal(moved["1.running_var"], before["1.running_var"])
        model.eval()
        out = model(x.double())
        model.load_state_dict(moved)
        assert torch.allclose(model(x.double()), out, atol=1e-10)


def test_a_factor_that_does_not_hold_is_found_out():
    cost = _cost(nn.Tanh())
    half = Factor("permutation", 5, "rows alone", (Site("0.weight", (0,), torch.arange(5)[:, None].numpy()),))
    rest = Factor("permutation", 5, "the rest", tuple(
        Site(n, (k,), torch.arange(5)[:, None].numpy()) for n, k in (("0.bias", 0), ("2.weight", 1))
    ))  # fmt: skip
    theta = cost.theta
    assert not holds(lambda t: float(cost(t)), [half], (), theta)
    assert not holds(
        lambda t: float(cost(t)), [half, rest], (), theta
    )  # together they are a symmetry, alone neither is
    both = [set(active) for active in rounds(5, False)]
    assert all(any((i in r) != (j in r) for r in both) for i in range(5) for j in range(i))


def test_words_and_plain_data():
    group = jensen.symmetries(_cost(nn.Tanh()), completeness=False)
    assert group.words == "5!·2^5 · 4!·2^4"
    told = json.loads(json.dumps(group.to_dict()))
    assert (told["order"], told["dimension"]) == (1474560, 0)
    assert {f["kind"] for f in told["factors"]} == {"permutation", "sign"}


def test_misuse_names_the_block():
    group = jensen.symmetries(_cost(nn.Tanh()), completeness=False)
    with pytest.raises(jensen.Misuse, match=r"0\.bias"):
        group.act({"0.weight": torch.zeros(5, 6)})
    with pytest.raises(jensen.Misuse, match=r"not a jensen\.Cost"):
        jensen.symmetries("cost")


def test_the_command(tmp_path):
    file = tmp_path / "target.py"
    file.write_text(
        "import torch\nfrom torch import nn\nimport jensen\ntorch.manual_seed(0)\n"
        "m = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))\n"
        "def cost():\n"
        "    l2 = lambda p: sum((t ** 2).sum() for t in p.values())\n"
        "    return jensen.Cost(m, nn.MSELoss(), (torch.randn(9, 3), torch.randn(9, 2)), penalty=l2)\n"
    )
    page = tmp_path / "page.html"
    proof = tmp_path / "group.jensen"
    plain = CliRunner().invoke(app, ["symmetry", f"{file}:cost", "--report", str(page), "--save", str(proof)])
    assert plain.exit_code == 0
    assert "2!" in plain.stdout
    assert "1 of 1 factors" in plain.stdout
    accepted = CliRunner().invoke(app, ["verify", str(proof)])
    assert (
        "accepted: J does not change when the 2 units of 0.weight, 0.bias and 2.weight are permuted" in accepted.stdout
    )
    assert "proved" in page.read_text()
    assert "Which moves leave the cost as it is?" in page.read_text()
    free = CliRunner().invoke(app, ["symmetry", f"{file}:cost", "--no-penalty", "--json"])
    assert json.loads(free.stdout)["dimension"] == 2
