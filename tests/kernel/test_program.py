"""Programs: merging, order, linear time, no recursion."""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import numpy as np
import pytest

from jensen.atoms import registry
from jensen.kernel.check import Claim, check
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Node, Problem, Program, Ref, Term, link, merge

ADD, EXP = "aten.add.Tensor", "aten.exp.default"


def build(*nodes, blocks=None, tensors=None):
    made = tuple(Node(f"n{i}", op, tuple(args)) for i, (op, *args) in enumerate(nodes))
    return Problem((Term(Program(made, len(made) - 1), tensors or {}),), blocks or {"x": ()})


def proved(problem, kind="convex"):
    return check(problem, Claim(kind, tuple(problem.blocks), {}), {"method": "rules"}, registry())


def refuted(problem, a, b):
    ends = ({"x": np.array(v)} for v in (a, b))
    return check(problem, Claim("not convex", ("x",), {}), Chord(*ends, {}, Fraction(1, 2)), registry())


X = ("block", "x")


def test_equal_nodes_are_one():
    nodes, _, _ = merge(build(X, X, (EXP, Ref(0)), (EXP, Ref(1)), (ADD, Ref(2), Ref(3))).terms[0].program, {})
    assert [n.op for n in nodes] == ["block", EXP, ADD]


def test_x_times_x_is_a_square():
    assert proved(build(X, X, ("aten.mul.Tensor", Ref(0), Ref(1)))).statement == "J is convex in x"


@pytest.mark.parametrize(
    ("a", "b"),
    [((1,), (1.0,)), ((1,), (True,)), ((0.0,), (-0.0,)), ((Ref(1),), (1,)), ((Ref(1),), ((1,),)), (((1,),), ((1.0,),)),
     ((("int", "1"),), (1,)), (((Ref(0),),), (((0,),),)), ((None,), ("None",))],
)  # fmt: skip
def test_different_arguments_are_not_merged(a, b):
    nodes, _, _ = merge(build(X, ("c",), ("f", *a), ("f", *b), (ADD, Ref(2), Ref(3))).terms[0].program, {})
    assert sum(n.op == "f" for n in nodes) == 2


def test_what_the_output_does_not_need_is_dropped():
    assert proved(build(X, ("nonsense", Ref(0)), (EXP, Ref(0)))).kind == "convex"


def test_a_failed_node_is_not_read():
    linked = link(build(X, (ADD, Ref(0), "text")).terms[0].program, {}, {"x": ()}, registry())
    assert len(linked.atoms) == len(linked.shapes)


def test_terms_share_links_only_under_one_registry():
    p = build(X, (EXP, Ref(0)))
    assert p.linked(0, registry()) is p.linked(0, registry())
    assert p.linked(0, registry()) is not p.linked(0, registry().ideal())


@pytest.mark.parametrize("n", [40, 60, 1000])
def test_many_paths_take_linear_time(n):
    start = time.perf_counter()
    p = build(X, *((ADD, Ref(k), Ref(k)) for k in range(n)))
    assert proved(p, "affine").kind == "affine"
    q = build(X, *((ADD, Ref(k), Ref(k)) for k in range(n)), ("aten.tanh.default", Ref(n)))
    assert refuted(q, 2.0**-n, 2.0 ** (1 - n)).kind == "not convex"
    assert time.perf_counter() - start < 5


def test_no_recursion():
    p = build(X, *((EXP if k % 2 else ADD, Ref(k), *([] if k % 2 else [1.0])) for k in range(5000)))
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(150)
    try:
        assert proved(p).kind == "convex"
    finally:
        sys.setrecursionlimit(old)


@pytest.mark.slow
def test_two_hundred_thousand_nodes():
    start = time.perf_counter()
    nodes = [("aten.abs.default" if k % 2 else ADD, Ref(k), *([] if k % 2 else [1.0])) for k in range(200_000)]
    assert proved(build(X, *nodes)).kind == "convex"
    assert time.perf_counter() - start < 60
