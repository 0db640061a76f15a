"""Ranges of derivatives, against torch's own derivatives at random points of random ranges."""

from __future__ import annotations

import random

import pytest
import torch

from jensen.atoms import registry
from jensen.kernel.errors import Rejected
from jensen.linalg.torch_reading import function

SAMPLES = {
    "aten.pow.Tensor_Scalar": [(2.0,), (3.0,), (4.0,), (0.5,), (-1.0,), (-2.0,), (1.7,), (2.5,)],
    "jensen.softplus": [(1.0,), (2.0,)],
}
CASES = [(op, args) for op in sorted(registry().slopes) for args in SAMPLES.get(op, [()])]


def _derivatives(op: str, args: tuple[float, ...], x: float) -> tuple[float, float, float]:
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = function(op)(t, *args)
    (first,) = torch.autograd.grad(value, t, create_graph=True)
    second = torch.autograd.grad(first, t)[0] if first.requires_grad else torch.zeros(())
    return float(value), float(first), float(second)


@pytest.mark.parametrize(("op", "args"), CASES, ids=lambda v: str(v))
def test_ranges_contain_derivatives(op: str, args: tuple[float, ...]) -> None:
    rule = registry().slopes[op]
    rng = random.Random(op + str(args))
    read = 0
    for _ in range(300):
        lo = rng.choice([rng.uniform(-6, 6), rng.uniform(0.01, 3), 0.0, rng.uniform(-1.2, 1.2)])
        hi = lo + rng.choice([0.0, 10.0 ** rng.uniform(-6, 1)])
        try:
            ranges = rule((lo, hi, False, False), *args)
        except Rejected:
            continue
        read += 1
        for x in (lo, hi, rng.uniform(lo, hi), rng.uniform(lo, hi)):
            for found, r in zip(_derivatives(op, args, x), ranges, strict=True):
                slack = 1e-8 * (1.0 + abs(found))
                assert r[0] - slack <= found <= r[1] + slack, (op, args, lo, hi, x, found, r)
    assert read >= 50
