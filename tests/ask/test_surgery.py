"""Surgery on programs: what is replaced agrees with what was there, in value and gradient at the point."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import jensen
from architectures import ARCHITECTURES, architecture
from jensen.ask.why import mechanism_order
from jensen.ask.why.labels import ACTIVATION, LOSS, PENALTY, PRODUCT, labels, sides
from jensen.ask.why.mechanism_units import find_units
from jensen.ask.why.surgery import apart, ordered, parts
from jensen.ask.why.surgery_linear import linearise
from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims.points import Points
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value
from jensen.surgery import joined
from jensen.trace import trace


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = normal(6, 4, seed=1), torch.tensor([0, 1, 2, 0, 1, 2])
IMAGES = normal(3, 2, 6, 6, seed=2)


def value_and_gradient(problem: Problem, theta: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    leaves = {n: t.clone().requires_grad_() for n, t in theta.items()}
    value = program_value(problem, leaves)
    grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    flat = [torch.zeros(t.numel()) if g is None else g.reshape(-1) for g, t in zip(grads, leaves.values(), strict=True)]
    return value.detach(), torch.cat(flat).detach()


def tangents(cost: jensen.Cost, chosen=lambda label: True) -> Problem:
    """The cost with everything chosen linearised; nothing may be kept."""
    traced = trace(cost)
    terms = []
    for term, roles in zip(traced.problem.terms, traced.roles, strict=True):
        label = labels(term.program, roles)
        done = linearise(term, cost.theta, lambda i, label=label: chosen(label[i]))
        assert done.kept == {}
        terms.append(done.term)
    return joined(terms, traced.problem.blocks)


def moved(theta: dict[str, torch.Tensor], size: float, seed: int = 5) -> dict[str, torch.Tensor]:
    return {n: t + size * normal(*t.shape, seed=seed + k) for k, (n, t) in enumerate(theta.items())}


# -- one operation -------------------------------------------------------------------------------------------------------

C = normal(3, 4, seed=7)
OPERATIONS = {
    "tanh": lambda w: (C * torch.tanh(w)).sum(),
    "relu": lambda w: (C * torch.relu(w)).sum(),
    "gelu": lambda w: (C * F.gelu(w)).sum(),
    "softplus": lambda w: (C * F.softplus(w)).sum(),
    "square": lambda w: (C * w**2).sum(),
    "inverse": lambda w: (C / (1 + w**2)).sum(),
    "quotient of two": lambda w: (C * (w / (2 + w.exp()))).sum(),
    "maximum": lambda w: torch.maximum(w, C).sum() + torch.maximum(w[:1], w).sum(),
    "pow with a moving exponent": lambda w: ((2 + C.abs()) ** w).sum() + ((w.exp()) ** w).sum(),
    "mul of itself": lambda w: (C * (w * w)).sum(),
    "matmul": lambda w: (w @ C.T @ w).sum(),
    "softmax": lambda w: (C * torch.softmax(w, 1)).sum(),
    "log_softmax": lambda w: (C * torch.log_softmax(w, 0)).sum(),
    "logsumexp": lambda w: torch.logsumexp(w, 1).sum() + torch.logsumexp(w, (0, 1)),
    "amax": lambda w: (C[:, 0] * w.amax(1)).sum() + w.amin(),
    "norm": lambda w: torch.linalg.vector_norm(w, dim=1).sum() + torch.linalg.vector_norm(w),
    "prod": lambda w: (C[:, 0] * w.prod(1)).sum(),
    "max_pool": lambda w: (C[None, :, :2] * F.max_pool1d(w[None], 2)).sum(),
    "max_pool2d": lambda w: F.max_pool2d(w[None, None], 2, stride=1, padding=1).sum(),
    "adaptive": lambda w: F.adaptive_max_pool1d(w[None], 3).pow(2).sum(),
    "sorted": lambda w: (C * torch.sort(w, 1).values).sum(),
    "cummax": lambda w: (C * torch.cummax(w, 1).values).sum(),
    "where on a moving condition": lambda w: torch.where(w > 0.1, w * 2, C).sum(),
    "abs": lambda w: (C * w.abs()).sum(),
    "logaddexp": lambda w: torch.logaddexp(w, C).sum(),
    "gathered": lambda w: torch.exp(w)[torch.tensor([0, 0, 2])].sum(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_tangent_has_the_value_and_gradient_at_the_point_and_is_affine(name: str) -> None:
    cost = jensen.Cost.of(OPERATIONS[name], w=normal(3, 4, seed=3))
    flat = tangents(cost)
    want, gradient = value_and_gradient(trace(cost).problem, cost.theta)
    got, slope = value_and_gradient(flat, cost.theta)
    assert torch.allclose(got, want, rtol=1e-12, atol=1e-12)
    assert torch.allclose(slope, gradient, rtol=1e-10, atol=1e-12)
    step = moved(cost.theta, 1.0)
    line = want + gradient @ (step["w"] - cost.theta["w"]).reshape(-1)
    assert torch.allclose(program_value(flat, step), line, rtol=1e-10, atol=1e-10)


def test_the_constants_of_a_tangent_are_slope_and_intercept() -> None:
    w = normal(3, seed=4)
    term = tangents(jensen.Cost.of(lambda w: torch.tanh(w).sum(), w=w)).terms[0]
    slope = 1 - np.tanh(w.numpy()) ** 2
    by_name = dict(term.tensors)
    assert np.allclose(by_name["tanh.slope"], slope, rtol=1e-14)
    assert np.allclose(by_name["tanh.intercept"], np.tanh(w.numpy()) - slope * w.numpy(), rtol=1e-13)


def test_what_has_no_slope_is_kept_and_named() -> None:
    cost = jensen.Cost.of(lambda w, v: (w.sqrt() * v).sum(), w=torch.tensor([0.0, 1.0]), v=torch.ones(2))
    done = linearise(trace(cost).problem.terms[0], cost.theta, lambda i: True)
    assert list(done.kept) == ["sqrt"] and "finite" in done.kept["sqrt"]
    assert done.replaced == ["mul"]
    assert torch.allclose(program_value(joined([done.term], cost.blocks), cost.theta), torch.tensor(1.0).double())


# -- networks ------------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


@cache
def network(name: str) -> jensen.Cost:
    torch.manual_seed(0)
    loss = nn.CrossEntropyLoss()
    if name == "mlp":
        return jensen.Cost(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), loss, (X, Y))
    if name == "group norm":
        body = nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        return jensen.Cost(nn.Sequential(*body), loss, (IMAGES, Y[:3]))
    if name == "batch norm":
        return jensen.Cost(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Linear(5, 3)), loss, (X, Y))
    if name == "attention":
        return jensen.Cost(Attention(), loss, (normal(3, 5, 4), Y[:3]))
    if name == "lstm":
        return jensen.Cost(Recurrent(), loss, (normal(3, 4, 2), Y[:3]))
    chunks = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    model = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 3))
    return jensen.Cost(model, loss, chunks, penalty=lambda b: sum(t.square().sum() for t in b.values()))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_agree_at_the_point(name: str) -> None:
    cost = architecture(name)
    want, gradient = value_and_gradient(trace(cost).problem, cost.theta)
    for kept in ({PRODUCT, LOSS, PENALTY}, {LOSS, PENALTY}, {ACTIVATION}):
        flat = tangents(cost, lambda label, kept=kept: label not in kept)
        got, slope = value_and_gradient(flat, cost.theta)
        assert torch.allclose(got, want, rtol=1e-12)
        assert (slope - gradient).norm() <= 1e-10 * gradient.norm()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_units_may_be_exchanged(name: str) -> None:
    cost = architecture(name)
    theta = moved(cost.theta, 0.05)
    for u in find_units(trace(cost).problem, cost.theta):
        order = torch.randperm(u.size, generator=torch.Generator().manual_seed(3))
        assert float(cost(u.act(order, theta))) == pytest.approx(float(cost(theta)), rel=1e-10)


def test_the_kernel_encloses_what_torch_computes() -> None:
    cost = network("group norm")
    flat = tangents(cost, lambda label: label not in {PRODUCT, LOSS})
    theta = moved(cost.theta, 0.1)
    point = {n: t.numpy() for n, t in theta.items()}
    with balls.precision(106):
        value = Points(flat.linked(0, registry()), flat.terms[0].tensors, {}, set(point)).value(point).item()
        assert abs(float(value.mid()) - float(program_value(flat, theta))) < 1e-12
        assert float(value.rad()) < 1e-20


# -- parts, blocks, steps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [(X, Y), [(X[:4], Y[:4]), (X[4:], Y[4:])]], ids=["one chunk", "two chunks"])
def test_loss_and_penalty_add_up_to_the_cost(data: object) -> None:
    torch.manual_seed(0)
    model, loss = nn.Linear(4, 3), nn.CrossEntropyLoss()
    cost = jensen.Cost(model, loss, data, penalty=lambda b: 0.3 * b["weight"].abs().sum())
    bare = jensen.Cost(model, loss, data)
    traced = trace(cost)
    terms = [Problem(tuple(p), traced.problem.blocks) for p in parts(traced.problem, traced.roles)]
    values = [float(program_value(p, cost.theta)) for p in terms]
    assert values[0] == pytest.approx(float(bare()), rel=1e-12)
    assert values[1] == pytest.approx(0.3 * float(cost.theta["weight"].abs().sum()), rel=1e-12)


def test_a_cost_without_penalty_has_none() -> None:
    traced = trace(network("mlp"))
    loss, penalty = parts(traced.problem, traced.roles)
    assert penalty == [] and list(traced.problem.terms) == loss
    assert "penalty" not in sides(loss[0].program, traced.roles[0])


def test_apart_is_the_sum_over_the_blocks() -> None:
    cost = jensen.Cost.of(lambda x, y, z: x * y * z + y**2, x=2.0, y=3.0, z=-1.0)
    split = apart(trace(cost).problem, {n: t.numpy() for n, t in cost.theta.items()})
    theta = {n: torch.tensor(v, dtype=torch.float64) for n, v in {"x": 5.0, "y": 7.0, "z": 11.0}.items()}
    want = (5 * 3 * -1 + 9) + (2 * 7 * -1 + 49) + (2 * 3 * 11 + 9)
    assert float(program_value(split, theta)) == want
    assert [t.weight for t in split.terms] == [Fraction(1)] * 3


@pytest.mark.parametrize(("shape", "axis"), [((5,), 0), ((5, 3), 0), ((3, 5), 1), ((2, 5, 3), 1)])
def test_steps_are_a_linear_change_of_variables(shape: tuple[int, ...], axis: int) -> None:
    weights = normal(*shape, seed=9)
    cost = jensen.Cost.of(lambda w: (weights * w**3).sum(), w=normal(*shape))
    changed = ordered(trace(cost).problem, {"w": (shape, axis, "steps")})
    steps = normal(*shape, seed=10)
    w = steps.clone().movedim(axis, 0)
    first = (slice(None), *(0,) * (len(shape) - 1))
    w[first] = torch.cumsum(w[first].clone(), 0)
    assert torch.allclose(program_value(changed, {"steps": steps}), cost({"w": w.movedim(0, axis)}), rtol=1e-12)


# -- interchangeable units -----------------------------------------------------------------------------------------------


def units(cost: jensen.Cost) -> list[tuple[int, set[str], str | None]]:
    found = find_units(trace(cost).problem, cost.theta)
    return [(u.size, set(u.factor.blocks), u.key[0] if u.key else None) for u in found]


def test_units_of_a_network_with_one_hidden_layer() -> None:
    assert units(network("mlp")) == [(5, {"0.weight", "0.bias", "2.weight"}, "0.bias")]


def test_units_of_a_recurrent_network_run_through_all_gates() -> None:
    (found,) = units(network("lstm"))
    blocks = {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0", "head.weight"}
    assert found == (3, blocks, "lstm.bias_ih_l0")


def test_channels_are_followed_through_a_flattening() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    found = units(jensen.Cost(model, nn.CrossEntropyLoss(), (IMAGES, Y[:3])))
    assert found == [(4, {"0.weight", "0.bias", "4.weight"}, "0.bias")]


def test_axes_that_a_view_splits_hold_several_kinds_of_units() -> None:
    """The groups of a normalisation may be exchanged, and the channels inside each; heads, and the entries of each."""
    blocks = {"0.weight", "0.bias", "1.weight", "1.bias", "5.weight"}
    found = units(network("group norm"))
    assert [u[:2] for u in found] == [(2, blocks)] * 3
    assert [u[2] for u in found if u[2]] == ["0.bias", "5.weight"], "one group's channels come first in a block"
    attention = find_units(trace(network("attention")).problem, network("attention").theta)
    assert sorted(u.size for u in attention) == [2, 2, 2, 2, 2, 8], "heads, what each computes with, the stream"


def test_no_units_without_a_hidden_layer_or_with_fixed_readers() -> None:
    assert units(jensen.Cost(nn.Linear(4, 3), nn.CrossEntropyLoss(), (X, Y))) == []
    reader = normal(5, seed=1)
    fixed = jensen.Cost.of(lambda w: (torch.tanh(X @ w.T) @ reader).square().sum(), w=normal(5, 4))
    assert units(fixed) == []
    equal = jensen.Cost.of(lambda w: torch.tanh(X @ w.T).sum(1).square().sum(), w=normal(5, 4))
    assert units(equal) == [(5, {"w"}, "w")]


@pytest.mark.parametrize("zero", [False, True])
def test_the_cone_holds_a_copy_of_the_point(zero: bool) -> None:
    cost = network("mlp")
    theta = {**cost.theta, "0.bias": torch.zeros(5, dtype=torch.float64)} if zero else cost.theta
    cone = mechanism_order.cone(trace(cost).problem, theta, tuple(cost.blocks))
    assert isinstance(cone, mechanism_order.Cone)
    value = program_value(cone.problem, cone.theta)
    key = "steps of 0.bias" if not zero else "steps of 0.weight"  # equal biases order nothing, the weights do
    low, high = cone.within[key]
    assert (low.reshape(5, -1)[1:, 0] == 0).all() and np.isinf(low.reshape(5, -1)[0, 0]) and np.isinf(high).all()
    assert (cone.theta[key].numpy() >= low).all()
    assert float(value) == pytest.approx(float(cost(theta)), rel=1e-12)


def test_equal_units_are_moved_apart() -> None:
    cost = jensen.Cost.of(lambda w, v: (torch.tanh(X @ w.T) @ v).square().sum(), w=torch.zeros(5, 4), v=torch.zeros(5))
    cone = mechanism_order.cone(trace(cost).problem, cost.theta, ("w", "v"))
    assert isinstance(cone, mechanism_order.Cone)
    assert (cone.theta["steps of v"][1:] > 0).all() and "moved apart" in cone.note


def test_no_cone_where_a_class_of_units_is_not_asked_as_a_whole() -> None:
    cost = network("mlp")
    assert isinstance(mechanism_order.cone(trace(cost).problem, cost.theta, ("0.bias",)), str)
