"""Tensor operations: enclosures hold torch's values, shapes agree, facts are true at random points and chords."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tensor_cases import CASES

from jensen.atoms import registry
from jensen.cost import Cost
from jensen.kernel.check import Claim, validate
from jensen.kernel.claims.leaves import Leaves
from jensen.kernel.claims.points import Points
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import CONCAVE, CONVEX, QUASICONCAVE, QUASICONVEX, UNDEFINED
from jensen.kernel.readings import read_facts
from jensen.trace import trace

NAMES = [c[0] for c in CASES]


def traced(case, seed=0):
    """The linked program cut at the tensor that the cost sums, its tensors, and random blocks."""
    _, fn, shapes, _ = case
    generator = torch.Generator().manual_seed(seed)
    blocks = {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in shapes.items()}
    problem = trace(Cost.of(lambda **t: fn(**t).sum(), **blocks)).problem
    validate(problem, Claim("convex", tuple(shapes), {}))
    linked = problem.linked(0, registry())
    if linked.unmodelled:
        raise linked.unmodelled
    last = linked.nodes[linked.output]
    cut = last.args[0].index if last.op == "aten.sum.dim_IntList" and last.args[1] is None else linked.output
    return replace(linked, output=cut), problem.terms[0].tensors, blocks


def enclose(linked, tensors, blocks):
    fixed = {n: t.numpy() for n, t in blocks.items()}
    return Points(linked, tensors, {}, set(fixed)).value(fixed)


def facts_in(linked, tensors, asked):
    return read_facts(linked, Leaves(tensors, asked, {}))[linked.output]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_case(case):
    _, fn, shapes, expected = case
    if expected == "unknown":
        with pytest.raises(Unmodelled):
            traced(case)
        return
    linked, tensors, blocks = traced(case)
    want = fn(**blocks).detach()
    got = enclose(linked, tensors, blocks)
    assert got.shape == tuple(want.shape) == linked.shapes[linked.output]
    for ball, value in zip(got.reshape(-1), want.reshape(-1).tolist(), strict=True):
        assert abs(float(ball.mid()) - value) <= 1e-10 * (1 + abs(value)) and float(ball.rad()) < 1e-10 * (
            1 + abs(value)
        )
    check_expected(facts_in(linked, tensors, tuple(shapes)), expected)
    for asked in {*((n,) for n in shapes), tuple(shapes)}:
        check_facts(linked, tensors, blocks, asked)


def check_expected(f, expected):
    if expected == "any":
        return
    found = {CONVEX | CONCAVE: "affine", CONVEX: "convex", CONCAVE: "concave", 0: "none"}[f.bits & (CONVEX | CONCAVE)]
    assert found == expected


def check_facts(linked, tensors, blocks, asked):
    f = facts_in(linked, tensors, asked)
    if f is UNDEFINED:
        return
    generator = np.random.default_rng(len(asked))
    for scale in (0.5, 3.0):
        a, b, m = chord(blocks, asked, generator, scale)
        at = [enclose(linked, tensors, p).reshape(-1) for p in (a, b, m)]
        for left, right, middle in zip(*at, strict=True):
            for v in (left, right, middle):
                assert not v < f.range[0] and not v > f.range[1], f"{v} outside {f.range}"
            check_chord(f, left, right, middle)


def chord(blocks, asked, generator, scale):
    moved = {n: torch.from_numpy(np.asarray(generator.normal(size=blocks[n].shape))) * scale for n in asked}
    a = {n: t + moved[n] if n in asked else t for n, t in blocks.items()}
    b = {n: t - 0.5 * moved[n] if n in asked else t for n, t in blocks.items()}
    return a, b, {n: (a[n] + b[n]) / 2 for n in blocks}


def check_chord(f, left, right, middle):
    slack = 1e-12 * (1 + abs(float(left.mid())) + abs(float(right.mid())))  # the float midpoint is rounded
    mean = (left + right) / 2
    if f.bits & CONVEX:
        assert not middle > mean + slack
    if f.bits & CONCAVE:
        assert not middle < mean - slack
    if f.bits & QUASICONVEX:
        assert not (middle > left + slack and middle > right + slack)
    if f.bits & QUASICONCAVE:
        assert not (middle < left - slack and middle < right - slack)
    if f.range[0] >= 0 and f.vex <= 0:
        assert not middle * middle > left * right + slack * (1 + abs(middle))
    if f.range[0] >= 0 and f.cave >= 0:
        assert not middle * middle < left * right - slack * (1 + abs(middle))
