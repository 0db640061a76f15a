"""Rewritten programs compute the same, and written-out forms are recognised."""

from __future__ import annotations

import pytest
import torch

from jensen.atoms import registry
from jensen.cost import Cost
from jensen.kernel import balls
from jensen.kernel.claims.points import Points
from jensen.kernel.program import link
from jensen.trace import trace

RECOGNISED = [
    (lambda x: 1 - torch.sigmoid(x), "aten.sigmoid.default"),
    (lambda x: x * torch.sigmoid(x), "aten.silu.default"),
    (lambda x: torch.sigmoid(x) * x, "aten.silu.default"),
    (lambda x: x / (1 + x.abs()), "jensen.softsign"),
    (torch.nn.functional.softsign, "jensen.softsign"),
    (torch.nn.functional.tanhshrink, "jensen.tanhshrink"),
    (lambda x: torch.nn.functional.softshrink(x), "jensen.softshrink"),
    (lambda x: torch.nn.functional.hardshrink(x), "jensen.hardshrink"),
    (lambda x: x * x, "aten.pow.Tensor_Scalar"),
    (lambda x: x * x * x, "aten.pow.Tensor_Scalar"),
    (lambda x: x**2 * x**3, "aten.pow.Tensor_Scalar"),
    (lambda x: x * torch.log(x), "jensen.xlogx"),
    (lambda x: torch.log(x) * x, "jensen.xlogx"),
    (lambda x: torch.xlogy(x, x), "aten.neg.default"),
    (lambda x: x.sign() * x.abs(), "block"),
    (lambda x: x.abs().relu(), "aten.abs.default"),
    (lambda x: torch.neg(-x), "block"),
    (torch.nn.functional.selu, "aten.elu.default"),
    (lambda x: torch.logit(x, 0.1), "aten.logit.default"),
    (lambda x: torch.nn.functional.rrelu(x, 0.1, 0.3), "aten.leaky_relu.default"),
]


@pytest.mark.parametrize(("f", "op"), RECOGNISED)
def test_recognised_and_equal(f, op):
    problem = trace(Cost.of(lambda x: f(x), x=0.3)).problem
    linked = problem.linked(0, registry())
    assert linked.nodes[linked.output].op == op
    plain = link(problem.terms[0].program, {}, {"x": ()}, type(registry())(registry().atoms))
    for x in (0.3, 0.02, 0.9, 0.5):
        point = {"x": balls.as_objects(balls.real(x), ())}
        one, two = (Points(k, problem.terms[0].tensors, {}, {"x"}).value(point).item() for k in (linked, plain))
        assert one.overlaps(two)
        assert float(one) == pytest.approx(float(f(torch.tensor(x, dtype=torch.float64))), rel=1e-12)


def test_relative_entropy_is_jointly_convex():
    for f in (lambda x, y: x * torch.log(x / y), lambda x, y: x * (torch.log(x) - torch.log(y))):
        problem = trace(Cost.of(f, x=0.3, y=0.7)).problem
        linked = problem.linked(0, registry())
        assert linked.nodes[linked.output].op in ("jensen.rel_entr", "jensen.positive_rel_entr")


def test_ideal_and_implemented_readings_do_not_share_links():
    problem = trace(Cost.of(torch.nn.functional.softplus, x=0.3)).problem
    ideal, plain = problem.linked(0, registry().ideal()), problem.linked(0, registry())
    assert ideal.nodes[ideal.output].op == "jensen.softplus"
    assert plain.nodes[plain.output].op == "aten.softplus.default"
