"""Thirty seconds of a randomised attack; tools/campaign_attack.py goes on for as long as it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import attack

from jensen.kernel.claims import box


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", [1906, 2024])
def test_nothing_contradicts_what_is_accepted(seed, monkeypatch):
    monkeypatch.setattr(box, "PIECES", box.PIECES)  # the attack lowers it
    seen = attack.attack(seed, seconds=15)
    assert seen.found == []
    assert seen.programs > 20
    assert sum(seen.accepted.values()) > 5
