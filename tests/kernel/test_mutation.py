"""A small kernel is safe only if it is attacked: deleting any ``raise`` in it makes a refuse case fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_every_raise_is_needed():
    script = Path(__file__).with_name("mutants.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=900, check=True)
    found = json.loads(done.stdout)
    assert found["raises"] > 90
    assert found["wrong"] == []
    assert found["uncovered"] == [], "no refuse case ends here; add one, or remove the raise"
    assert found["survivors"] == [], "no refuse case notices that this raise is gone"
