"""The unseen zoo: no wrong answer, and most questions decided."""

from __future__ import annotations

from collections import Counter

import pytest

import jensen
import unseen_models
from cases import Case
from jensen import Verdict

BUDGET = 0.7
ANSWERS: Counter[str] = Counter()


@pytest.mark.parametrize("case", unseen_models.CASES, ids=lambda c: c.name)
def test_no_wrong_answer(case: Case) -> None:
    options = {"claim": case.claim, "within": case.within, "ideal": case.ideal}
    finding = jensen.check(case.make(), of=case.of, budget=BUDGET, **options)
    verdict = finding.verdict
    assert verdict != Verdict.PROVED or case.truth is True, finding.statement
    assert verdict != Verdict.REFUTED or case.truth is False, finding.statement
    assert verdict != Verdict.MEASURED or case.truth is False, finding.statement
    if case.truth is not None:
        ANSWERS[verdict.value] += 1


def test_most_are_decided() -> None:
    if sum(ANSWERS.values()) < sum(c.truth is not None for c in unseen_models.CASES):
        pytest.skip("the zoo did not run whole")
    assert len(unseen_models.CASES) >= 400
    assert ANSWERS["UNKNOWN"] + ANSWERS["MEASURED"] <= 0.1 * sum(ANSWERS.values()), ANSWERS
