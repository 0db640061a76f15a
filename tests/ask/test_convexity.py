"""check: the zoo, invariance under scaling, boxes, streams, constants of the implementation, misuse."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

import jensen
from cases import CASES, Case
from jensen import Cost, Misuse, Verdict

ANSWERS: Counter[str] = Counter()
PROOFS = (Path(__file__).parents[2] / "docs" / "proofs.md").read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_zoo(case: Case) -> None:
    finding = jensen.check(case.make(), of=case.of, claim=case.claim, within=case.within, ideal=case.ideal, budget=4)
    wrong = Verdict.REFUTED if case.truth else Verdict.PROVED
    assert finding.verdict != wrong, finding.statement
    assert finding.verdict != Verdict.MEASURED or not case.truth, finding.statement
    ANSWERS[finding.verdict.value] += 1
    if finding.verdict == Verdict.UNKNOWN:
        assert f"`{case.name}`" in PROOFS, "an undecided case is listed in docs/proofs.md with its reason"


def test_zoo_is_decided() -> None:
    total = sum(ANSWERS.values())
    if total < len(CASES):
        pytest.skip("the zoo did not run whole")
    assert len(CASES) >= 80
    assert ANSWERS["UNKNOWN"] + ANSWERS["MEASURED"] <= 0.05 * total, ANSWERS


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize(
    ("fn", "verdict"),
    [
        (lambda x, y: x * y, Verdict.REFUTED),
        (lambda x, y: x**2 + x * y + y**2, Verdict.PROVED),
        (lambda x, y: x**2 + 2 * x * y + y**2, Verdict.PROVED),
        (lambda x, y: x**2 + 2.0000001 * x * y + y**2, Verdict.REFUTED),
        (lambda x, y: (1 + x * x + y * y).sqrt(), Verdict.PROVED),
        (lambda x, y: torch.tanh(x) + y, Verdict.REFUTED),
    ],
)
def test_scaling_does_not_change_the_verdict(fn, verdict: Verdict, scale: float) -> None:
    assert jensen.check(Cost.of(lambda x, y: scale * fn(x, y), x=0.3, y=0.2)).verdict == verdict


def test_streamed_data_keeps_convexity_and_finds_chords() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(21, 4), torch.randint(0, 3, (21,))
    chunks = [(x[:8], y[:8]), (x[8:16], y[8:16]), (x[16:], y[16:])]
    head = Cost(nn.Linear(4, 3), nn.CrossEntropyLoss(), chunks, penalty=lambda p: p["weight"].pow(2).sum())
    assert jensen.check(head).verdict == Verdict.PROVED
    mlp = Cost(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), nn.CrossEntropyLoss(), chunks)
    finding = jensen.check(mlp)
    assert finding.verdict == Verdict.REFUTED


def test_softplus_says_both() -> None:
    finding = jensen.check(Cost.of(lambda x: nn.functional.softplus(x), x=0.0))
    assert finding.verdict == Verdict.REFUTED
    assert "convex but for softplus's threshold (a drop of 2.1e-09 at the operation)" in finding.reason
    assert jensen.check(Cost.of(lambda x: nn.functional.softplus(x), x=0.0), ideal=True).verdict == Verdict.PROVED


def test_clamped_logarithm_says_both() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(9, 2), (torch.rand(9, 1) > 0.5).float()
    cost = Cost(nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()), nn.BCELoss(), (x, y))
    finding = jensen.check(cost)
    assert finding.verdict == Verdict.REFUTED and "clamp of the logarithm" in finding.reason
    assert jensen.check(cost, ideal=True).verdict == Verdict.PROVED


def test_a_block_without_effect() -> None:
    finding = jensen.check(Cost.of(lambda x, y: y * y + 0.0 * x, x=1.0, y=1.0).restrict("x"))
    assert finding.verdict == Verdict.PROVED


def test_an_operation_without_an_atom_is_unknown() -> None:
    finding = jensen.check(Cost.of(lambda w: torch.linalg.det(w.reshape(2, 2)), w=[1.0, 2.0, 3.0, 4.0]), budget=1)
    assert finding.verdict == Verdict.UNKNOWN
    assert "no atom models" in finding.reason


def test_findings_are_plain_data() -> None:
    finding = jensen.check(Cost.of(lambda x, y: x * y, x=0.0, y=0.0))
    data = finding.to_dict()
    assert list(data) == ["verdict", "statement", "reason", "claim", "blocks", "evidence", "seconds"]
    assert data["verdict"] == "REFUTED" and data["claim"] == "convex" and data["blocks"] == ["x", "y"]
    assert data["evidence"]["m"] > (data["evidence"]["a"] + data["evidence"]["b"]) / 2


COST = Cost.of(lambda x, y: x * x + y, x=1.0, y=2.0)
MISUSES = [
    ("unknown claim", {"claim": "convx"}, "ask for one of"),
    ("no such block", {"of": "z"}, "matches no block"),
    ("one pattern of two", {"of": ["x", "z"]}, "'z' matches no block"),
    ("empty list", {"of": []}, "no block is asked about"),
    ("box of nothing", {"within": {"z": (0, 1)}}, "matches no block"),
    ("box upside down", {"within": {"x": (1, 0)}}, "is empty"),
    ("box of NaN", {"within": {"x": (math.nan, 1)}}, "holds NaN"),
    ("box of the wrong shape", {"within": {"x": (torch.zeros(3), 1)}}, "do not fit its shape"),
    ("box not a pair", {"within": {"x": 3}}, "must be a pair"),
]


@pytest.mark.parametrize(("kwargs", "sentence"), [m[1:] for m in MISUSES], ids=[m[0] for m in MISUSES])
def test_misuse(kwargs: dict, sentence: str) -> None:
    with pytest.raises(Misuse) as e:
        jensen.check(COST, **kwargs)
    assert sentence in str(e.value)


def test_not_a_cost() -> None:
    with pytest.raises(Misuse, match=r"not a jensen\.Cost"):
        jensen.check(lambda x: x)  # type: ignore[arg-type]


def test_control_flow_on_data() -> None:
    def fn(x: torch.Tensor) -> torch.Tensor:
        return x * x if x > 0 else -x

    with pytest.raises(Misuse, match=r"torch\.where"):
        jensen.check(Cost.of(fn, x=1.0))


@pytest.mark.parametrize(
    "fn", [lambda x: torch.isfinite(x).double().sum() * x.sum(), lambda x: torch.where(x < math.inf, x, -x).sum()]
)
def test_comparisons_with_infinity_are_only_not_decided(fn) -> None:
    found = jensen.check(Cost.of(fn, x=torch.ones(1)), budget=0)
    assert found.verdict.name == "UNKNOWN" and "fails with" not in found.reason
