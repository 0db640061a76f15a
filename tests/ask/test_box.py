"""Proofs on boxes beyond convexity, and that they refuse what is false by little."""

from __future__ import annotations

import pytest
import torch

from jensen import Cost
from jensen.ask.convexity import box_of
from jensen.atoms import registry
from jensen.kernel.check import Claim, check
from jensen.kernel.errors import Rejected
from jensen.trace import trace


def shown(f, kind: str, of: tuple[str, ...] = ("x",), **blocks) -> bool:
    cost = Cost.of(f, **{n: b[0] for n, b in blocks.items()})
    within = box_of(cost, {n: b[1:] for n, b in blocks.items()})
    try:
        check(trace(cost).problem, Claim(kind, of, within), {"method": "box"}, registry())
    except Rejected:
        return False
    return True


CASES = [
    (lambda x: x * x.tanh(), "quasiconvex", (0.3, None, None), True),
    (lambda x: x.sin(), "quasiconcave", (1.0, 0.1, 6.0), False),
    (lambda x: x.sin(), "quasiconcave", (1.0, 0.0, 4.7), True),
    (lambda x: x.sin(), "quasiconvex", (1.0, 0.0, 4.7), False),
    (
        lambda x: (x - 1).abs() - (x + 1).abs(),
        "quasiconvex",
        (0.3, -4.0, 4.0),
        False,
    ),  # concave kink: not seen as monotone
    (lambda x: x.exp() - 2 * x.relu(), "quasiconcave", (0.3, -1.0, 0.6), False),
    (lambda x: torch.expm1(x) / x, "log-convex", (1.0, 0.5, 3.0), True),
    (lambda x: torch.expm1(x) / x, "log-concave", (1.0, 0.5, 3.0), False),
    (lambda x: x.sin(), "log-concave", (1.0, 0.2, 2.9), True),
    (lambda x: x.sin(), "log-concave", (1.0, 0.0, 2.9), False),  # zero at zero
    (lambda x: torch.expm1(x) - x - x * x / 2, "convex", (1.0, 0.0, None), True),
    (lambda x: torch.expm1(x) - x - x * x / 2, "convex", (1.0, -0.001, None), False),
    (lambda x: (x * x + x + 1).log(), "convex", (0.0, -1.3, 0.36), True),
    (lambda x: (x * x + x + 1).log(), "convex", (0.0, -1.3, 0.37), False),
    (lambda x: (x * x - 1).log(), "concave", (2.0, 1.5, 4.0), True),
    (lambda x: (x * x - 1).sqrt(), "concave", (2.0, -3.0, 3.0), False),
    (lambda x: x.abs().sqrt(), "quasiconvex", (2.0, 1.0, 3.0), True),
    (lambda x: torch.nn.functional.leaky_relu(x, 2.0), "concave", (0.5, -1.0, 1.0), True),
    (lambda x: torch.nn.functional.leaky_relu(x, 2.0), "convex", (0.5, -1.0, 1.0), False),
    (lambda x: torch.nn.functional.leaky_relu(x, 2.0), "convex", (0.5, -2.0, 2.0), False),  # pieces meet at the kink
]


@pytest.mark.parametrize(("f", "kind", "x", "truth"), CASES)
def test_one_number(f, kind, x, truth):
    assert shown(f, kind, x=x) == truth


def test_two_numbers():
    box = {"x": (0.5, -1.0, 1.0), "y": (0.5, -1.0, 1.0)}
    both = ("x", "y")
    assert shown(lambda x, y: (2 + x * x + x * y + y * y).log(), "quasiconvex", both, **box)
    assert not shown(lambda x, y: (2 + x * x - x * y * 2.1 + y * y).log(), "quasiconvex", both, **box)
    assert not shown(lambda x, y: (x * y).sin(), "quasiconcave", both, **box)
    assert shown(lambda x, y: (-(x * x + y * y) / 2).exp(), "log-concave", both, **box)
    assert not shown(lambda x, y: (-(x * x + y * y) / 2).exp(), "log-convex", both, **box)
