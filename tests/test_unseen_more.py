"""The third zoo: no wrong answer, and most questions decided."""

from __future__ import annotations

from collections import Counter

import pytest

import jensen
import unseen_more
from cases import Case
from jensen import Verdict

ANSWERS: Counter[str] = Counter()


@pytest.mark.parametrize("case", unseen_more.CASES, ids=lambda c: c.name)
def test_no_wrong_answer(case: Case) -> None:
    options = {"claim": case.claim, "within": case.within, "ideal": case.ideal}
    finding = jensen.check(case.make(), of=case.of, budget=0.5, **options)
    verdict = finding.verdict
    assert verdict != Verdict.PROVED or case.truth is True, finding.statement
    assert verdict not in (Verdict.REFUTED, Verdict.MEASURED) or case.truth is False, finding.statement
    if case.truth is not None:
        ANSWERS[verdict.value] += 1


def test_most_are_decided() -> None:
    if sum(ANSWERS.values()) < len(unseen_more.CASES):
        pytest.skip("the zoo did not run whole")
    assert ANSWERS["UNKNOWN"] + ANSWERS["MEASURED"] <= 0.05 * sum(ANSWERS.values()), ANSWERS
