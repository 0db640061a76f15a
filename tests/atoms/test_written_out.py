"""Longer identities: completed squares, piecewise polynomials, complements of exponentials, sums of the largest."""

from __future__ import annotations

import pytest
import torch

import jensen
from jensen import Cost, Verdict
from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims.points import Points
from jensen.kernel.program import link
from jensen.trace import trace

where = torch.where
FORMS = [
    (lambda x, y: (x * x + x + 1).sqrt(), True), (lambda x, y: torch.log(x * x - 3 * x + 4 + y * y), True),
    (lambda x, y: (x * x + y * y + x * y + 0.25).rsqrt(), True), (lambda x, y: (x * x + 2 * x + 1).sqrt(), True),
    (lambda x, y: (x * x / 3 + x + 1).sqrt(), False),  # 3/4 = 1/(4/3) is exact, 1/3 is not
    (lambda x, y: (x * x - 3 * x * y + y * y + 9).sqrt(), False),  # indefinite
    (lambda x, y: where(x > 0, x, -x), True), (lambda x, y: where(x < 1, 0.1 * x, x - 0.9), False),  # jumps: 0.9 is not 1 - 0.1
    (lambda x, y: where(x > 0, x, 0.1 * x), True), (lambda x, y: where(x >= 1, x * x, x), True), (lambda x, y: where(x >= 1, x, x * x), True),
    (lambda x, y: where(x.abs() <= 1, 0.5 * x**2, x.abs() - 0.5), True), (lambda x, y: where(x > 0, x + 1, x), False),
    (lambda x, y: where(x > 0.5, x**3, x**2 / 2), True), (lambda x, y: where(x > 0, x * y, 0 * y), False),
    (lambda x, y: torch.log(-torch.expm1(-x)), True), (lambda x, y: torch.log(torch.expm1(x)), True),
    (lambda x, y: torch.log(1 - torch.exp(-x)), True), (lambda x, y: torch.log1p(-torch.exp(-2 * x)), True),
    (lambda x, y: torch.log(torch.exp(x) - 1), True), (lambda x, y: torch.pow(x, x), True),
    (lambda x, y: (x - y) * (x.log() - y.log()), True), (lambda x, y: y * torch.log(x / y), True),
    (lambda x, y: x.exp() / (1 + x.exp()), True), (lambda x, y: 1 / (torch.exp(-x) + 1), True), (lambda x, y: torch.log(x / (1 - x)), True),
    (lambda x, y: (1 + torch.exp(-2 * x)).reciprocal(), True), (lambda x, y: x.relu() * x, True), (lambda x, y: x * (x - 1).relu(), False),
    (lambda x, y: torch.special.xlog1py(x, x), True), (lambda x, y: torch.stack([x, y, x * y]).topk(2).values.sum(), True),
    (lambda x, y: torch.stack([x, y, x * y, y]).reshape(2, 2).topk(1, 0, largest=False).values.sum(0)[1], True),
]  # fmt: skip


@pytest.mark.parametrize(("f", "rewritten"), FORMS)
def test_rewritten_and_equal(f, rewritten):
    problem = trace(Cost.of(lambda x, y: f(x, y) + 0 * y, x=0.3, y=0.6)).problem
    term = problem.terms[0]
    linked, plain = (
        problem.linked(0, registry()),
        link(term.program, term.tensors, problem.blocks, type(registry())(registry().atoms)),
    )
    if rewritten:
        assert {n.op for n in linked.nodes} != {n.op for n in plain.nodes} or len(linked.nodes) != len(plain.nodes)
    for x in (0.3, 1.0, 0.5, 2.75, 0.015625, -1.0, -0.125, -3.5):
        point = {"x": balls.as_objects(balls.real(x), ()), "y": balls.as_objects(balls.real(0.6), ())}
        expected = float(f(torch.tensor(x, dtype=torch.float64), torch.tensor(0.6, dtype=torch.float64)))
        one, two = (Points(k, term.tensors, {}, {"x", "y"}).value(point).item() for k in (linked, plain))
        if one.is_finite():  # never defined where the original is not
            assert one.overlaps(two) and float(one) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_difference_of_logarithms_is_not_defined_below_zero():
    box = {"x": (-2.0, -1.0), "y": (-2.0, -1.0)}
    for f in (lambda x, y: x * (x.log() - y.log()), lambda x, y: (x - y) * (x.log() - y.log())):
        for kind in ("convex", "concave"):
            try:
                finding = jensen.check(Cost.of(f, x=1.5, y=1.5), claim=kind, within=box, budget=0.2)
            except jensen.Misuse:
                continue
            assert finding.verdict == Verdict.UNKNOWN


QUESTIONS = [
    (lambda w: w.topk(2).values.sum(), "convex", True), (lambda w: w.topk(2).values.sum(), "concave", False),
    (lambda w: w.topk(2, largest=False).values.sum(), "concave", True), (lambda w: w.reshape(2, 2).topk(1, 0).values.sum(), "convex", True),
    (lambda w: (w * w).topk(3).values.sum(), "convex", True), (lambda w: (w * w).topk(3, largest=False).values.sum(), "convex", False),
]  # fmt: skip


@pytest.mark.parametrize(("f", "kind", "truth"), QUESTIONS)
def test_sums_of_the_largest(f, kind, truth):
    finding = jensen.check(Cost.of(f, w=[1.0, -2.0, 0.5, 3.0]), claim=kind, budget=2)
    assert finding.verdict == (Verdict.PROVED if truth else Verdict.REFUTED)
