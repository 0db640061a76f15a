"""Planted copies are recovered, changed networks are told apart, and what cannot be known is UNKNOWN."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import jensen
from equivalence_models import SMALL, Residual, classes, differ, mlp, ridge
from equivalence_unseen import ABSORBED, UNSEEN
from jensen import Cost, Misuse
from jensen.ask.equivalence import scales as balancing
from jensen.ask.equivalence.balance import newton

PLANTED = 2  # of each here; two hundred in tools/campaign_equivalent.py
TOLD = [
    "relu",
    "logistic",
    "linear",
    "batch norm, evaluation",
    "grouped convolution",
    "tied",
    "attention",
    "residual 16",
]


@cache
def case(name: str) -> tuple[Cost, Any]:
    cost = SMALL[name]()
    return cost, jensen.symmetries(cost)


@pytest.mark.parametrize("name", TOLD)
def test_planted_copies_are_recovered_and_changes_are_told(name: str) -> None:
    cost, group = case(name)
    a, generator = cost.theta, torch.Generator().manual_seed(3)
    for k in range(PLANTED):
        b = group.sample(k).act(a)
        found = jensen.equivalent(cost, a, b, symmetries=group)
        assert found.verdict == "EQUIVALENT", found.reason
        assert found.move is not None
        moved = found.move.act(a)
        assert all(torch.allclose(moved[n], b[n], rtol=0, atol=1e-7 * float(b[n].abs().max())) for n in b)
        block = [*b][int(torch.randint(len(b), (1,), generator=generator))]
        b[block] = b[block].clone()
        b[block].view(-1)[0] += 1e-3
        told = jensen.equivalent(cost, a, b, symmetries=group)
        if differ(cost, a, b):
            assert told.verdict == "INEQUIVALENT", (block, told.reason)
            assert told.witness is not None and told.witness.losses[0] != told.witness.losses[1]
        else:
            assert told.verdict != "INEQUIVALENT", block


def test_the_witness_is_an_input_on_which_the_outputs_differ() -> None:
    cost, group = case("relu")
    a = cost.theta
    b = group.sample(1).act(a)
    b["2.weight"][3, 4] += 1e-3
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict == "INEQUIVALENT" and found.input is not None
    model = mlp(nn.ReLU, 6, 12, 9, 3).double()
    outs = [torch.func.functional_call(model, t, (found.input,)) for t in (a, b)]
    assert not torch.allclose(outs[0].log_softmax(-1), outs[1].log_softmax(-1), rtol=0, atol=1e-9)
    assert all(torch.equal(o, told) for o, told in zip(outs, found.witness.outputs, strict=True))  # type: ignore[union-attr]


def test_what_is_absorbed_makes_no_difference() -> None:
    cost, group = case("batch norm, training")
    b = group.sample(2).act(cost.theta)
    b["0.bias"] = b["0.bias"] + 1e-3
    assert jensen.equivalent(cost, cost.theta, b, symmetries=group).verdict == "EQUIVALENT"
    cost, group = case("attention")
    b = group.sample(2).act(cost.theta)
    b["k.bias"] = b["k.bias"] + torch.randn(12, dtype=torch.float64)
    assert jensen.equivalent(cost, cost.theta, b, symmetries=group).verdict == "EQUIVALENT"


# what was not recovered once: a bias that shifts empty, matrices read in fewer directions than they are written, two signs of a unit
@pytest.mark.parametrize(
    "name",
    [
        "vision transformer, layer scale",
        "linear, narrower and narrower",
        "one head of keys for all",
        "weight norm, sigmoid",
    ],
)
def test_trained_networks_of_other_kinds(name: str) -> None:
    cost = UNSEEN[name]()
    group = jensen.symmetries(cost, completeness=False)
    a = cost.theta
    b = group.sample(1).act(a)
    if name in ABSORBED:
        b[ABSORBED[name]] = b[ABSORBED[name]] + 1.0
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict == "EQUIVALENT", found.reason
    assert found.evidence["distance"] < 1e-11
    last = [*b][-2]
    b[last] = b[last].clone()
    b[last].view(-1)[0] += 1e-3
    assert jensen.equivalent(cost, a, b, symmetries=group).verdict == "INEQUIVALENT"


@pytest.mark.parametrize("change", [1e-6, 1e-8, 1e-10, 1e-11])
def test_a_small_change_is_never_equivalent_where_losses_feel_it(change: float) -> None:
    """Too little to tell the two apart is not the same: UNKNOWN, unless such points are said to count as one."""
    cost, group = case("tanh")
    a = cost.theta
    b = group.sample(3).act(a)
    b["4.weight"] = b["4.weight"].clone()
    b["4.weight"][1, 2] += change * float(b["4.weight"].abs().max())
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict != "EQUIVALENT" and found.move is None
    if change >= 1e-8:
        assert found.verdict == "INEQUIVALENT"
    if found.verdict == "UNKNOWN":
        assert "tolerance=" in found.reason
        assert jensen.equivalent(cost, a, b, symmetries=group, tolerance=1e-9).verdict == "EQUIVALENT"


def test_a_unit_that_hardly_ever_fires_is_asked_by_wilder_inputs() -> None:
    cost = classes(lambda: mlp(nn.ReLU, 64, 8, 3), 48, 64)
    a = {n: t.clone() for n, t in cost.theta.items()}
    a["0.weight"][2], a["0.bias"][2] = 0.125, -60.0
    b = {n: t.clone() for n, t in a.items()}
    b["0.weight"][2, 5] += 1e-3
    found = jensen.equivalent(cost, a, b)
    assert found.verdict == "INEQUIVALENT" and found.input is not None
    assert bool((found.input @ a["0.weight"][2] + a["0.bias"][2] > 0).any())


def test_balanced_scales_leave_no_moment() -> None:
    """On the point of least norm the sites of both signs of degree weigh the same, for every unit (Kempf and Ness 1979)."""
    cost = UNSEEN["resnext in evaluation"]()
    scales = [f for f in jensen.symmetries(cost, completeness=False).factors if f.kind == "scale"]
    x = cost.theta
    y, steps = newton(scales, x)
    assert len(steps) == len(scales)
    total = sum(float(t.square().sum()) for t in y.values())
    for f in scales:
        moment = sum(s.degree * s.rows(y[s.block]).square().sum((1, 2)) for s in f.sites)
        assert float(torch.as_tensor(moment).abs().max()) < 1e-10 * total, f.label


def test_whole_axes_are_balanced_as_entries_are(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 5, 3, bias=False), nn.ReLU(), nn.Conv2d(5, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)]
    data = torch.randn(6, 1, 6, 6, dtype=torch.float64), torch.arange(6) % 3
    cost = jensen.Cost(nn.Sequential(*layers).double(), nn.CrossEntropyLoss(), data)
    scales = [f for f in jensen.symmetries(cost, completeness=False).factors if f.kind == "scale"]
    assert {f.size for f in scales} == {5, 4}
    grids = [e for e in balancing.entries(scales, cost.theta) if isinstance(e, balancing.Grid)]
    assert sorted(tuple(e.value.shape) for e in grids) == [(4,), (4, 5), (5,)], "the flattened axis is no whole one"
    whole = newton(scales, cost.theta)[1]
    monkeypatch.setattr(balancing, "_grid", lambda *_: None)
    single = newton(scales, cost.theta)[1]
    for s, t in zip(whole, single, strict=True):
        torch.testing.assert_close(s.element, t.element, rtol=1e-10, atol=0)


def test_a_residual_stream_where_weight_matching_fails() -> None:
    cost = classes(lambda: Residual(64, 96, 2, torch.relu, True), 32, 6)
    group = jensen.symmetries(cost)
    a = cost.theta
    b = group.sample(5).act(a)
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict == "EQUIVALENT", found.reason
    near = jensen.align(cost, a, b, "weights", symmetries=group, restarts=0)
    assert near.distance_after > 0.1 * near.distance_before


def test_modules_with_running_statistics_of_their_own() -> None:
    """The same function with other statistics, taken up by weight and bias; units exchanged, statistics with them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    x, y = torch.randn(32, 4, dtype=torch.float64), torch.randint(0, 3, (32,))
    model(x)
    model.eval()
    cost = Cost(model, nn.CrossEntropyLoss(), (x, y))
    other = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double().eval()
    p = torch.randperm(6)
    state = {n: t[p] if n[0] in "01" and t.dim() else t for n, t in model.state_dict().items()}
    state["3.weight"] = model.state_dict()["3.weight"][:, p]
    rate = (state["1.running_var"] + 1e-5).rsqrt()
    state["1.running_var"] = 2 * state["1.running_var"] + 0.1
    state["1.weight"] = state["1.weight"] * rate * (state["1.running_var"] + 1e-5).sqrt()
    other.load_state_dict(state)
    assert torch.allclose(other(x), model(x))
    found = jensen.equivalent(cost, model, other)
    assert found.verdict == "EQUIVALENT", found.reason
    with torch.no_grad():
        other[1].running_mean[0] += 0.1  # type: ignore[index]
    assert jensen.equivalent(cost, model, other).verdict == "INEQUIVALENT"


def test_single_precision() -> None:
    cost, group = case("relu")
    single = {n: t.float() for n, t in cost.theta.items()}
    b = {n: t.float() for n, t in group.sample(4).act({n: t.double() for n, t in single.items()}).items()}
    assert jensen.equivalent(cost, single, b, symmetries=group).verdict == "EQUIVALENT"
    b["0.weight"][0, 0] += 1e-2
    assert jensen.equivalent(cost, single, b, symmetries=group).verdict == "INEQUIVALENT"


def test_twins_and_dead_units() -> None:
    """Units that are equal, and units that are zero, can be exchanged among themselves: any order will do."""
    cost, group = case("relu")
    a = {n: t.clone() for n, t in cost.theta.items()}
    for block in ("0.weight", "0.bias"):
        a[block][3], a[block][5], a[block][7:10] = a[block][2], a[block][2], 0.0
    a["2.weight"][:, 3], a["2.weight"][:, 5], a["2.weight"][:, 7:10] = a["2.weight"][:, 2], a["2.weight"][:, 2], 0.0
    found = jensen.equivalent(cost, a, group.sample(6).act(a), symmetries=group)
    assert found.verdict == "EQUIVALENT", found.reason


def test_twins_in_their_inputs_alone_are_still_told() -> None:
    cost, group = case("tanh")
    a = {n: t.clone() for n, t in cost.theta.items()}
    a["0.weight"][3], a["0.bias"][3] = a["0.weight"][2], a["0.bias"][2]
    assert jensen.equivalent(cost, a, group.sample(8).act(a), symmetries=group).verdict == "EQUIVALENT"


def test_the_same_function_off_the_orbit_is_unknown() -> None:
    """A unit that nothing reads may be anything: no move of the group changes it, and no loss tells."""
    cost, group = case("tanh")
    a = {n: t.clone() for n, t in cost.theta.items()}
    a["2.weight"][:, 4] = 0.0
    b = {n: t.clone() for n, t in a.items()}
    b["0.weight"][4] += 1.0
    found = jensen.equivalent(cost, a, b, symmetries=group)
    assert found.verdict == "UNKNOWN" and "fingerprint" in found.reason and found.move is None
    assert found.to_dict()["verdict"] == "UNKNOWN"


def test_the_penalty_counts() -> None:
    """With equal L2 a scaling of a ReLU unit is no symmetry: the function is the same, the cost is not."""
    cost, group = case("relu, L2")
    a = cost.theta
    b = {**a, "0.weight": 2 * a["0.weight"], "0.bias": 2 * a["0.bias"], "2.weight": a["2.weight"] / 2}
    assert jensen.equivalent(cost, a, b, symmetries=group).verdict == "INEQUIVALENT"


def test_where_only_the_whole_cost_tells_there_is_no_input() -> None:
    """A penalty apart from two chunks of data: the outputs agree to rounding, so no input is told that tells the two apart."""
    torch.manual_seed(0)
    x, y = torch.randn(24, 6, dtype=torch.float64), torch.randint(0, 3, (24,))
    data = [(x[:12], y[:12]), (x[12:], y[12:])]
    cost = Cost(mlp(nn.ReLU, 6, 8, 3).double(), nn.CrossEntropyLoss(), data, penalty=ridge)
    a = cost.theta
    b = {**a, "0.weight": 3 * a["0.weight"], "0.bias": 3 * a["0.bias"], "2.weight": a["2.weight"] / 3}
    found = jensen.equivalent(cost, a, b)
    assert found.verdict == "INEQUIVALENT" and found.input is None
    assert "on the data of the cost" in found.statement
    assert found.witness is not None and found.witness.losses == (cost(a).item(), cost(b).item())


def test_a_move_that_changes_the_function_is_refused() -> None:
    """A group that is not this cost's: the move leads from a to b, and the losses tell that it must not."""
    cost, _ = case("relu")
    wrong = jensen.symmetries(
        Cost(
            mlp(nn.Identity, 6, 12, 9, 3).double(),
            nn.CrossEntropyLoss(),
            (torch.randn(8, 6).double(), torch.zeros(8).long()),
        )
    )
    a = cost.theta
    assert jensen.equivalent(cost, a, wrong.sample(0).act(a), symmetries=wrong).verdict == "INEQUIVALENT"


def test_a_point_is_itself() -> None:
    cost, group = case("relu")
    found = jensen.equivalent(cost, cost.theta, cost.theta, symmetries=group)
    assert found.verdict == "EQUIVALENT" and found.move is not None and not found.move.steps
    with pytest.raises(Misuse, match="not a bool"):
        bool(found.verdict)
    with pytest.raises(Misuse, match="no block"):
        jensen.equivalent(cost, cost.theta, {"9.weight": Tensor([1.0])}, symmetries=group)
