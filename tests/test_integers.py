"""Integers and truth values that depend on parameters: what the kernel decides is what torch computes, wraps and bits included."""

from __future__ import annotations

import pytest
import torch
from flint import arb, fmpq
from torch import nn

import jensen
from jensen import Verdict
from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.claims.points import Points
from jensen.trace import trace

w0 = torch.tensor(0.3, dtype=torch.float64)
FAR = (-1e3, -150.0, -1.0, 0.0, 0.3, 50.0, 100.0, 101.0, 150.0, 201.0, 1e4)


def when(w, value, kind=torch.int64):
    return torch.where(w > 100, value, 0).to(kind)


# All are concave, not convex: 0 up to 100, and falling beyond, since the first term is 0 there (or half of relu).
FALLING = {
    "or of bits": lambda w: 2 * (w - 100).relu() - (when(w, 2) | when(w, 1)).double() * (w - 100),
    "and of bits": lambda w: 2 * (when(w, 2) & when(w, 1)).double() * (w - 100) - (w - 100).relu(),
    "xor of bits": lambda w: 3 * (w - 100).relu() - 2 * (when(w, 3) ^ when(w, 1)).double() * (w - 100),
    "int32 wraps": lambda w: (when(w, 2**30, torch.int32) * 4).double() * 2.0**-31 * (w - 100) - (w - 100).relu(),
    "uint8 wraps": lambda w: (when(w, 128, torch.uint8) * 2).double() * 2.0**-7 * (w - 100) - (w - 100).relu(),
    "int64 wraps": lambda w: (when(w, 2**62) * 4).double() * 2.0**-63 * (w - 100) - (w - 100).relu(),
    "int64 powers": lambda w: (when(w, 2) ** 64).double() * (w - 100) - (w - 100).relu(),
    "true or false": lambda w: when(w, 2).bool().double() * (w - 100) - 1.5 * (w - 100).relu(),
    "narrowed": lambda w: when(w, 256, torch.uint8).double() * (w - 100) - (w - 100).relu(),
    "truths added": lambda w: ((w > 100) + (w > 99.9)).double() * (w - 100) - 1.5 * (w - 100).relu(),
    "truths summed": lambda w: torch.stack([w > 100] * 256).sum(0, dtype=torch.uint8).double() * (w - 100) - (w - 100).relu(),
    "wrapped by a choice, then added": lambda w: (
        ((torch.maximum(when(w, 1, torch.int8).reshape(1), torch.full((), 200)) + 60).double().sum() - 61.5) * (w - 100).relu()
    ),
    "filled with a fraction": lambda w: (when(w, 1).masked_fill(w > 100, 2.5).double() - 2.25) * (w - 100).relu(),
    "written into int8": lambda w: (
        (torch.slice_scatter(when(w, 0, torch.int8).reshape(1), when(w, 257).reshape(1), 0, 0, 1).double().sum() - 1.5) * (w - 100).relu()
    ),
    "negated": lambda w: (255.5 * (w - 100).relu()) - (-when(w, 1, torch.uint8)).double() * (w - 100) - (w - 100).relu(),
    "inverted": lambda w: (~when(w, 1) + 1).double() * (w - 100),
    "compared as int8": lambda w: (when(w, 1, torch.int8) == 257).double() * (w - 100) * 0.5 - (w - 100).relu(),
    "chosen as int8": lambda w: (
        torch.maximum(when(w, 1, torch.int8).reshape(1), torch.tensor(257)).double().sum() * (w - 100).relu() - 2 * (w - 100).relu()
    ),
}  # fmt: skip

# The kernel reads these as they are.
EXACT = {
    "counted": lambda w: torch.stack([w > 1, w > 2]).sum().double() * w.relu(),
    "turned round": lambda w: (1 - (w > 1).long()).double() * w,
    "negated int64": lambda w: (-(w > 1).long()).double() * w,
    "both": lambda w: ((w > 1) & (w < 3)).double() * w,
    "either": lambda w: ((w > 3) | (w < 1)).double() * w,
    "one of them": lambda w: ((w > 3) ^ (w < 5)).double() * w,
    "added truths": lambda w: ((w > 0) + (w < 1)).double() * w**2,
    "multiplied truths": lambda w: ((w > 0) * (w < 4)).double() * w**2,
    "not": lambda w: (~(w > 100)).double() * w,
    "a truth of a count": lambda w: torch.stack([w > 100, w > 200]).cumsum(0)[1].bool().double() * (w - 100),
    "chosen": lambda w: torch.where(w > 100, 3, torch.where(w > 50, 2, 1)).double() * w,
    "clamped": lambda w: torch.stack([w > 1, w > 2]).sum().clamp(min=1).double() * w,
    "widened": lambda w: when(w, 7, torch.int8).long().double() * w,
    "product of small ones": lambda w: (when(w, 7, torch.int8) * when(w, 9, torch.int8)).double() * w,
}  # fmt: skip

TABLE = torch.tensor([2.0, 3.0, 5.0, 7.0], dtype=torch.float64)
# No atom models positions that depend on parameters; the captured program computes them all the same.
PLACED = {
    "at a count": lambda w: TABLE[((w > 1).long() + (w > 2).long()).reshape(1)].sum() * w,
    "at a choice": lambda w: TABLE[torch.where(w > 1, 3, 1).reshape(1)].sum() * w,
    "gathered": lambda w: TABLE.gather(0, torch.where(w > 1, 3, 1).reshape(1)).sum() * w,
    "embedded": lambda w: nn.functional.embedding((w > 1).long(), TABLE.reshape(2, 2)).sum() * w,
    "at a remainder": lambda w: TABLE[((when(w, 7) % 4 + when(w, 9) // 4) % 4).reshape(1)].sum() * w,
    "selected": lambda w: TABLE.index_select(0, (w > 1).long().reshape(1)).sum() * w,
    "scattered": lambda w: TABLE.scatter(0, (w > 1).long().reshape(1), w.reshape(1)).square().sum(),
}  # fmt: skip


def kernel(cost, w):
    """J as the kernel encloses it."""
    problem = trace(cost).problem
    out = arb(0)
    with balls.precision(120):
        for k, term in enumerate(problem.terms):
            p = Points(problem.linked(k, registry()), term.tensors, {}, set(problem.blocks))
            value = p.value({"w": balls.from_array(torch.tensor(w, dtype=torch.float64).numpy())}).item()
            out += arb(fmpq(term.weight.numerator, term.weight.denominator)) * value
    return float(out)


@pytest.mark.parametrize("name", FALLING)
def test_no_convexity_is_proved_of_what_falls(name) -> None:
    cost = jensen.Cost.of(FALLING[name], w=w0)
    low, high = (float(cost({"w": torch.tensor(v, dtype=torch.float64)})) for v in (100.0, 200.0))
    assert low == 0.0 and high < 0.0
    assert jensen.check(cost, budget=1).verdict is not Verdict.PROVED
    assert jensen.check(cost, claim="concave", budget=1).verdict is not Verdict.REFUTED


@pytest.mark.parametrize("f", [*FALLING.values(), *EXACT.values(), *PLACED.values()], ids=[*FALLING, *EXACT, *PLACED])
def test_the_captured_program_gives_torchs_values(f) -> None:
    cost = jensen.Cost.of(f, w=w0)
    for v in FAR:
        at = {"w": torch.tensor(v, dtype=torch.float64)}
        assert jensen.hessian(cost, at).value == pytest.approx(float(cost(at)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_the_kernel_reads_what_is_exact(name) -> None:
    cost = jensen.Cost.of(EXACT[name], w=w0)
    for v in FAR:
        if v not in (100.0, 50.0, 0.0):  # comparisons of equal balls are not decided
            assert kernel(cost, v) == pytest.approx(float(cost({"w": torch.tensor(v, dtype=torch.float64)})), rel=1e-12)


def test_a_count_beside_a_convex_cost_is_still_proved() -> None:
    cost = jensen.Cost.of(lambda w: ((w > 100) & (w > 50)).double() * (w - 100) + w**2, w=w0)
    assert jensen.check(cost, claim="concave").verdict is Verdict.REFUTED
    flag = jensen.Cost.of(EXACT["a truth of a count"], w=w0)
    assert jensen.check(flag, claim="concave", budget=5).verdict is Verdict.REFUTED
    assert jensen.check(flag, budget=5).verdict is not Verdict.REFUTED
