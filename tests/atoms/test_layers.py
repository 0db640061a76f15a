"""Every layer of torch.nn in the table traces (the replay agrees), is modelled, and is enclosed."""

import pytest
import torch
from layer_cases import LAYERS

from jensen.atoms import registry
from jensen.cost import Cost
from jensen.kernel.check import Claim, validate
from jensen.kernel.claims.leaves import Leaves
from jensen.kernel.claims.points import Points
from jensen.kernel.facts import CONVEX
from jensen.kernel.readings import read_facts
from jensen.trace import trace


@pytest.mark.parametrize(("name", "build", "shape"), LAYERS, ids=[c[0] for c in LAYERS])
def test_layer(name, build, shape):
    torch.manual_seed(0)
    model = build()
    cost = Cost(model, lambda out, y: out.square().mean(), (torch.randn(shape), torch.zeros(shape[0])))
    problem = trace(cost).problem
    validate(problem, Claim("convex", tuple(cost.blocks), {}))
    linked, tensors = problem.linked(0, registry()), problem.terms[0].tensors
    assert linked.unmodelled is None
    for block in cost.blocks:
        read_facts(linked, Leaves(tensors, (block,), {}))
    theta = {n: t.numpy() for n, t in cost.theta.items()}
    value = Points(linked, tensors, {}, set(theta)).value(theta)[()]
    want = float(cost())
    assert abs(float(value.mid()) - want) <= 1e-9 * (1 + abs(want)) and float(value.rad()) < 1e-9


def test_bias_of_an_affine_layer_is_convex():
    cost = Cost(torch.nn.Conv2d(1, 2, 3), lambda out, y: out.square().mean(), (torch.randn(2, 1, 4, 4), torch.zeros(2)))
    problem = trace(cost).problem
    linked = problem.linked(0, registry())
    out = read_facts(linked, Leaves(problem.terms[0].tensors, ("weight", "bias"), {}))
    assert out[linked.output].bits & CONVEX
