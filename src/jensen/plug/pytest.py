"""A fixture for tests of costs: ``def test_head(assert_convex): assert_convex(cost, of="head.*")``.

pytest loads this file in every run, so it imports nothing of jensen before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_convex() -> Callable[..., Any]:
    """:func:`jensen.testing.assert_convex`: passes where the claim is PROVED, and fails with the reason elsewhere."""
    from jensen.testing import assert_convex

    return assert_convex
