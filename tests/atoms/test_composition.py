"""Random programs: whatever the composition rules say of them is attacked on random chords."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims.explain import describe
from jensen.kernel.claims.leaves import Leaves
from jensen.kernel.claims.points import Points
from jensen.kernel.facts import UNDEFINED
from jensen.kernel.program import Node, Program, Ref, link
from jensen.kernel.readings import read_facts
from jensen.testing import violation

UNARY = [
    ("aten.exp.default",), ("aten.log.default",), ("aten.pow.Tensor_Scalar", 2.0), ("aten.pow.Tensor_Scalar", 0.5),
    ("aten.pow.Tensor_Scalar", -1.0), ("aten.pow.Tensor_Scalar", 3.0), ("aten.pow.Tensor_Scalar", -0.5), ("aten.neg.default",),
    ("aten.relu.default",), ("aten.abs.default",), ("aten.sigmoid.default",), ("aten.tanh.default",), ("aten.silu.default",),
    ("aten.log_sigmoid.default",), ("jensen.softplus", 1.0), ("aten.softplus.default", 1.0, 1.5), ("jensen.clamped_log", -0.5),
    ("aten.elu.default", 2.0), ("aten.gelu.default",), ("jensen.huber", 0.5), ("aten.sin.default",), ("aten.cos.default",),
    ("aten.special_ndtr.default",), ("jensen.xlogx",), ("aten.clamp.default", -0.5, 1.0), ("aten.cosh.default",),
    ("aten.log1p.default",), ("aten.floor.default",), ("jensen.softshrink", 0.3), ("aten.lgamma.default",), ("aten.erfc.default",),
]  # fmt: skip
BINARY = [
    "aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.mul.Tensor", "aten.div.Tensor",
    "aten.maximum.default",
    "aten.minimum.default", "aten.logaddexp.default", "aten.logaddexp2.default", "aten.hypot.default", "jensen.rel_entr",
    "aten.xlogy.Tensor", "aten.pow.Tensor_Tensor", "aten.atan2.default", "aten.special_xlog1py.default",
]  # fmt: skip


def _program(rng: Random, size: int) -> Program:
    nodes = [Node("x", "block", ("x",)), Node("y", "block", ("y",))]
    for k in range(size):
        if rng.random() < 0.55:
            op, *attributes = rng.choice(UNARY)
            args = (Ref(rng.randrange(len(nodes))), *attributes)
        else:
            op, args = rng.choice(BINARY), (Ref(rng.randrange(len(nodes))), Ref(rng.randrange(len(nodes))))
            if op in ("aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor") and rng.random() < 0.4:
                number = rng.choice([1, 2.0, -1.5, 0.5])
                args = (number, args[1]) if rng.random() < 0.5 else (args[0], number)
        nodes.append(Node(f"n{k}", op, args))
    return Program(tuple(nodes), len(nodes) - 1)


def _box(rng: Random) -> tuple[np.ndarray, np.ndarray]:
    lo = rng.choice([0.0, 0.0, 0.1, 0.5, 1.0, -1.0, -3.0, rng.uniform(-4, 4)])
    return np.float64(lo).reshape(()), np.float64(lo + rng.choice([0.5, 1.0, 3.0, rng.uniform(0.01, 5)])).reshape(())


def _points(rng: Random, boxes: dict) -> tuple[dict, dict]:
    ends = [{}, {}]
    for name, (lo, hi) in boxes.items():
        for end in ends:
            end[name] = rng.choice(
                [float(lo), float(hi), rng.uniform(float(lo), float(hi)), rng.uniform(float(lo), float(hi))]
            )
    return ends[0], ends[1]


def _attack(rng: Random) -> str | None:
    """Random program, boxes and asked blocks; the fact it attacked, or None where the rules said nothing."""
    program, boxes = _program(rng, rng.randrange(1, 6)), {"x": _box(rng), "y": _box(rng)}
    asked = rng.choice([("x",), ("x", "y")])
    linked = link(program, {}, {"x": (), "y": ()}, registry())
    fact = read_facts(linked, Leaves({}, asked, boxes))[linked.output]
    if fact is UNDEFINED:
        return None
    for _ in range(8):
        a, b = _points(rng, boxes)
        if "y" not in asked:
            b["y"] = a["y"]
        t = balls.real(rng.choice([0.5, rng.uniform(0.01, 0.99)]))
        points = Points(linked, {}, {}, {"x", "y"})
        ends = [{n: balls.as_objects(balls.real(v), ()) for n, v in p.items()} for p in (a, b)]
        middle = {n: t * ends[0][n] + (1 - t) * ends[1][n] for n in a}
        u, v, m = (points.value({n: balls.as_objects(w, ()) for n, w in p.items()}).item() for p in (*ends, middle))
        if not (u.is_finite() and v.is_finite() and m.is_finite()):
            continue  # too wide a ball, for example on a threshold
        wrong = violation(fact, t, u, v, m)
        if wrong:
            text = "\n".join(f"{n.name} = {n.op}{n.args}" for n in program.nodes)
            pytest.fail(f"{wrong}\n{fact}\n{text}\n{boxes}\nasked {asked}\n{a}\n{b}\n{t}: {u}, {m}, {v}")
    return describe(fact)


@pytest.mark.parametrize("seed", range(8))
def test_facts_of_random_programs(seed):
    rng = Random(f"programs {seed}")
    found = {}
    with balls.precision(212):
        for _ in range(250):
            what = _attack(rng)
            found[what] = found.get(what, 0) + 1
    assert found.get("convex", 0) + found.get("log-convex", 0) > 5
    assert found.get("concave", 0) + found.get("log-concave", 0) > 5
