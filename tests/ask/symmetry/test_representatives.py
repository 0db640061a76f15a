"""One representative for all points of an orbit, with the same cost, on the orbit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

import jensen
from ask.symmetry.branches import TREES
from ask.symmetry.cases import CASES
from ask.symmetry.parallel import PARALLEL, ROTARY
from ask.symmetry.representatives import apart, near
from equivalence_models import SMALL, Attention, classes, mlp
from equivalence_unseen import UNSEEN
from jensen import Cost

TOLD = [
    "linear, wide",
    "attention",
    "attention, layer norm",
    "residual 16",
    "batch norm, evaluation",
    "grouped convolution",
]
MORE = [
    "tied embedding, rms norm",
    "linear, narrower and narrower",
    "inverted residual in evaluation",
    "u-net",
    "bilinear",
    "weight norm, sigmoid",
]
# like others here; they are in tools/campaign_representatives.py
LEFT = {
    "relu without biases", "sigmoid without biases", "gelu", "cosine", "linear without biases", "relu, L2", "factorisation",
    "softmax regression", "linear regression", "instance norm", "rms norm", "gru", "residual after tanh",
    "transformer, norms before, gelu", "rotary, halves", "maxout", "concatenation of unlike layers",
}  # fmt: skip
MODELS: dict[str, Callable[[], Cost]] = {
    **{f"{c.name} (case)": c.build for c in (*CASES, *ROTARY, *PARALLEL) if c.name not in LEFT},
    **{n: SMALL[n] for n in TOLD},
    **{n: UNSEEN[n] for n in MORE},
}


@pytest.mark.parametrize("name", MODELS)
def test_all_points_of_an_orbit_have_one_representative(name: str) -> None:
    torch.manual_seed(0)
    cost = MODELS[name]()
    group = jensen.symmetries(cost, completeness=False, data=False)
    theta = near(cost)
    first, reached = group.represented(theta)
    assert reached
    assert float(cost(first)) == pytest.approx(float(cost(theta)), rel=1e-9)
    for seed in range(2):
        assert apart(group.canonical(group.act(theta, group.sample(seed))), first) < 1e-8
    assert apart(group.canonical(first), first) < 1e-8


@pytest.mark.parametrize("name", TREES)
def test_copies_inside_copies(name: str) -> None:
    cost = TREES[name]()
    group = jensen.symmetries(cost, completeness=False, data=False)
    a = cost.theta
    first = group.canonical(a)
    for seed in range(2):
        b = group.act(a, group.sample(seed))
        assert apart(group.canonical(b), first) < 1e-8
        found = jensen.equivalent(cost, a, b, symmetries=group)
        assert found.verdict == "EQUIVALENT", found.reason
    block = next(iter(b))
    b[block] = b[block].clone()
    b[block].view(-1)[0] += 1e-3
    assert jensen.equivalent(cost, a, b, symmetries=group).verdict == "INEQUIVALENT"


# matrices between 6 and 3 numbers that are read in fewer directions than they are written, or the other way round
CHAINS: dict[str, Callable[[], nn.Module]] = {
    "wide": partial(mlp, nn.Identity, 6, 9, 12, 3),
    "hourglass": partial(mlp, nn.Identity, 6, 9, 2, 8, 3),
    "before units": lambda: nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 3)),
    "behind units": lambda: nn.Sequential(
        nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 9), nn.Linear(9, 8), nn.Linear(8, 3)
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_keeps_to_the_orbit(name: str) -> None:
    cost = classes(CHAINS[name], 48, 6)
    group = jensen.symmetries(cost, completeness=False, data=False)
    theta = near(cost)
    first, reached = group.represented(theta)
    assert reached
    assert jensen.equivalent(cost, theta, first, symmetries=group).verdict == "EQUIVALENT"
    other = {n: t.clone() for n, t in theta.items()}
    other["0.weight"] += 0.1 * torch.randn(other["0.weight"].shape, dtype=torch.float64)
    assert apart(group.canonical(other), first) > 1e-3
    for seed in range(2):
        assert apart(group.canonical(group.act(theta, group.sample(seed))), first) < 1e-8


def test_scales_of_up_to_a_thousand_leave_the_representative() -> None:
    """A small entry beside a large one that cancelled is no noise."""
    cost = classes(partial(Attention, norm=True), 16, 4, 5)
    group = jensen.symmetries(cost, completeness=False, data=False)
    theta, generator = near(cost), torch.Generator().manual_seed(4)
    move = group.sample(0)
    for s in (s for s in move.steps if s.factor.kind == "scale"):
        s.element.copy_(10 ** (6 * torch.rand(s.element.shape, generator=generator, dtype=torch.float64) - 3))
    assert apart(group.canonical(move.act(theta)), group.canonical(theta)) < 1e-8
    assert jensen.equivalent(cost, theta, move.act(theta), symmetries=group).verdict == "EQUIVALENT"


def test_twins_and_dead_units_may_stand_in_any_order() -> None:
    cost = classes(partial(mlp, nn.Tanh, 6, 12, 5, 3), 48, 6)
    group = jensen.symmetries(cost, completeness=False, data=False)
    theta = near(cost)
    for block in ("0.weight", "0.bias"):
        theta[block][3:6], theta[block][8:11] = theta[block][2], 0.0
    theta["2.weight"][:, 3:6], theta["2.weight"][:, 8:11] = theta["2.weight"][:, 2:3], 0.0
    first = group.canonical(theta)
    assert float(cost(first)) == pytest.approx(float(cost(theta)), rel=1e-12)
    for seed in range(3):
        assert apart(group.canonical(group.act(theta, group.sample(seed))), first) < 1e-12


def test_order_precision_and_other_entries_of_the_point() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)).double()
    x, y = torch.randn(40, 6, dtype=torch.float64), torch.randint(3, (40,))
    model(x + 1.0)
    cost = Cost(model.eval(), nn.CrossEntropyLoss(), (x, y))
    group = jensen.symmetries(cost, completeness=False, data=False)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    found = group.canonical(state)
    assert list(found) == list(state)
    assert not torch.equal(found["1.running_var"], state["1.running_var"])
    before = model(x)
    model.load_state_dict(found)
    assert torch.allclose(model(x).log_softmax(-1), before.log_softmax(-1), rtol=0, atol=1e-10)
    other = group.canonical(dict(reversed(list(cost.theta.items()))))
    assert apart(other, group.canonical(cost.theta)) == 0.0
    single = group.canonical({n: t.float() for n, t in cost.theta.items()})
    assert all(t.dtype == torch.float32 for t in single.values())
    assert apart({n: t.double() for n, t in single.items()}, group.canonical(cost.theta)) < 1e-4
