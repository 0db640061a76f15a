import subprocess
import sys

import pytest

import jensen
from jensen.plug.pytest import assert_convex  # noqa: F401  (the fixture)


def test_the_fixture_passes_and_fails_with_the_reason(assert_convex):  # noqa: F811
    assert assert_convex(jensen.Cost.of(lambda x: x * x, x=1.0)).verdict == jensen.Verdict.PROVED
    with pytest.raises(AssertionError, match=r"REFUTED: .*not convex"):
        assert_convex(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=1.0))
    assert_convex(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=1.0), of="x", claim="affine")


def test_the_plugin_is_light():
    code = "import sys, jensen.plug.pytest; assert 'torch' not in sys.modules and 'flint' not in sys.modules"
    env = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
