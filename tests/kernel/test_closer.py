"""The closer reading where its work runs out, and on boxes that cannot be divided."""

from __future__ import annotations

from math import exp, inf, nextafter, sin
from typing import Any

import numpy as np
import pytest

from jensen.atoms import registry
from jensen.kernel.claims import closer
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.facts import QUASICONVEX, Fact
from jensen.kernel.program import Node, Problem, Program, Ref, Term
from jensen.kernel.readings import read_facts


def fact(nodes: list[tuple[Any, ...]], lo: float, hi: float) -> Fact:
    """What the closer reading says of a function of x on an interval."""
    made = [Node("x", "block", ("x",)), *(Node(f"n{i}", op, args) for i, (op, *args) in enumerate(nodes))]
    made = [node._replace(args=tuple(node.args)) for node in made]
    problem = Problem((Term(Program(tuple(made), len(made) - 1), {}),), {"x": ()})
    linked, leaf = problem.linked(0, registry()), leaves(problem, 0, ("x",), {"x": (np.array(lo), np.array(hi))})
    return closer.read(linked, leaf, registry(), read_facts(linked, leaf))[linked.output]


def test_a_range_is_whole_wherever_the_work_runs_out(monkeypatch):
    nodes = [
        ("aten.exp.default", Ref(0)),
        ("aten.sin.default", Ref(0)),
        ("aten.mul.Tensor", Ref(1), 3.0),
        ("aten.add.Tensor", Ref(3), Ref(2)),
    ]
    found = set()
    for work in range(20, 400, 3):
        monkeypatch.setattr(closer, "WORK", work)
        f = fact(nodes, 0.0, 5.0)
        found.add(f)
        assert f.range[0] <= 3.0
        assert f.range[1] >= 3 * exp(5.0) + sin(5.0)
    assert len(found) > 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("lo", "hi"), [(0.0, 5e-324), (1.0, nextafter(1.0, 2.0)), (1e17, inf)])
def test_a_box_that_cannot_be_divided(lo, hi):
    nodes = [
        ("aten.tanh.default", Ref(0)),
        ("aten.exp.default", Ref(0)),
        ("aten.mul.Tensor", Ref(1), Ref(2)),
    ]
    assert fact(nodes, lo, hi).bits & QUASICONVEX
