"""Every registered row, attacked."""

from __future__ import annotations

from math import inf

import pytest

from jensen.atoms import registry
from jensen.kernel.errors import Unmodelled
from jensen.kernel.ranges import REALS
from jensen.testing import LawBroken, check_facts, check_row, check_torch

SAMPLES = {
    "aten.clamp.default": [(-1.0, 2.0), (None, 0.5), (0, None), (3.0, 1.0), (1.0, 1.0)],
    "aten.clamp_min.default": [(0.25,)],
    "aten.clamp_max.default": [(-0.25,)],
    "aten.hardtanh.default": [(), (0.0, 6.0), (-2, 3)],
    "aten.leaky_relu.default": [(), (0.0,), (1.0,), (2.5,), (-0.5,)],
    "aten.elu.default": [
        (),
        (0.5,),
        (2.0,),
        (-0.5,),
        (0.0,),
        (1.6732632423543772, 1.0507009873554805),
        (2.0, 1.5, 0.5),
    ],
    "aten.celu.default": [(), (0.3,), (3,)],
    "aten.gelu.default": [(), ("tanh",)],
    "jensen.softplus": [(), (0.3,), (5.0,)],
    "jensen.softshrink": [(), (0.0,), (1.3,)],
    "jensen.hardshrink": [(), (0.0,), (1.3,), (-1.0,)],
    "jensen.huber": [(), (0.3,), (2.0,)],
    "jensen.smooth_l1": [(), (0.0,), (0.3,), (2.0,)],
    "jensen.clamped_log": [(-100.0,), (0.0,), (-1.5,), (2.0,)],
    "jensen.variance": [(1e-6,), (0.0,), (2.0,)],
}
JUMPS = {
    "aten.softplus.default": [(), (1.0, 20.0), (3.0, 1.0), (0.7, -2.0), (1.0, 0.1)],
    "aten.threshold.default": [(0.5, 0.2), (0.5, 0.5), (0.5, 1.5), (0, 0)],
    "aten.sin.default": [()],
    "aten.cos.default": [()],
    "aten.tan.default": [()],
    "aten.sinc.default": [()],
    "aten.pow.Tensor_Scalar": [(2.0,), (3.0,), (0.5,), (-1.0,), (-2.0,), (1.5,), (-3.0,), (1.0,), (0.0,), (-0.3,)],
}
ROWS = [(op, a) for op, atom in sorted(registry().atoms.items()) if atom.row for a in SAMPLES.get(op, [()])]
OTHERS = [(op, a) for op in JUMPS for a in JUMPS[op]]


@pytest.mark.parametrize(("op", "attributes"), ROWS)
def test_laws(op, attributes):
    check_row(op, attributes)


@pytest.mark.parametrize(("op", "attributes"), ROWS)
def test_facts_and_values(op, attributes):
    domain = registry().atoms[op].row(*attributes).domain
    assert check_facts(op, attributes, domain) > 0
    check_torch(op, attributes, domain)


@pytest.mark.parametrize(("op", "attributes"), OTHERS)
def test_facts_of_functions_with_branches(op, attributes):
    assert check_facts(op, attributes, REALS, tries=150) > 0
    power = op.startswith("aten.pow") and attributes[0] != int(attributes[0])
    check_torch(op, attributes, (0.0, inf, True, True) if power or attributes[:1] < (0,) else REALS)


@pytest.mark.parametrize("op", [op for op, atom in registry().atoms.items() if atom.row])
def test_attributes_that_are_no_numbers_are_not_modelled(op):
    for bad in (float("nan"), "x", True, 2**60 + 1):
        try:
            registry().atoms[op].row(bad)
        except (Unmodelled, TypeError, ValueError):
            continue
        pytest.fail(f"{op} accepts the attribute {bad!r}")


def test_laws_find_a_wrong_claim(monkeypatch):
    atom = registry().atoms["aten.elu.default"]
    good = atom.row(1.0)
    wrong = lambda alpha: atom.row(alpha)._replace(vex=good.vex)  # noqa: E731  alpha = 1's claim for every alpha
    monkeypatch.setitem(
        registry().atoms, "aten.elu.default", type(atom)(atom.op, atom.shape, atom.facts, atom.balls, row=wrong)
    )
    with pytest.raises(LawBroken, match="curvature"):
        check_row("aten.elu.default", (2.0,))
