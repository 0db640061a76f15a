"""Lists of minima that are known: every end of the right kind, every distinct one once, with all its copies."""

from __future__ import annotations

import pytest

import jensen
import landscapes


@pytest.mark.parametrize("case", landscapes.SHORT, ids=lambda case: case.name)
def test_the_minima_are_those_known(case):
    found = jensen.minima(case.make(), case.runs, **case.options)
    assert not landscapes.wrong(case, found)
