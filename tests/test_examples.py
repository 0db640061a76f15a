"""Every example says what its text promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from jensen.ask.convexity import check
from jensen.target import resolve

pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
HALF = {"between": (0, None), "last": (0, None)}
SLOW = pytest.mark.slow

CASES = [
    ("softmax_regression.py", None, {}, "PROVED"),
    ("softmax_regression.py:ridge", None, {}, "PROVED"),
    ("logistic_breast_cancer.py", None, {}, "PROVED"),
    ("logistic_breast_cancer.py:clamped", None, {"ideal": True}, "PROVED"),
    ("frozen_head.py", None, {}, "PROVED"),
    ("frozen_head.py:whole", None, {}, "REFUTED"),
    ("frozen_head.py:whole", "1.*", {}, "PROVED"),
    ("deep_linear.py", None, {}, "REFUTED"),
    ("deep_linear.py", "1.weight", {}, "PROVED"),
    ("rbf_network.py", None, {}, "REFUTED"),
    ("rbf_network.py", "height", {}, "PROVED"),
    ("icnn.py", None, {}, "PROVED"),
    ("icnn.py:network", "x", {"within": HALF}, "PROVED"),
    ("icnn.py:network", "x", {}, "REFUTED"),
    ("icnn.py:network", ["first", "between"], {}, "REFUTED"),
    ("moving_average.py", None, {}, "REFUTED"),
    ("moving_average.py:second_order", None, {}, "REFUTED"),
    ("digits_convnet.py", "7.*", {}, "PROVED"),
    pytest.param("digits_convnet.py", None, {}, "REFUTED", marks=SLOW),
    ("digits_mlp.py", "4.*", {}, "PROVED"),
    pytest.param("digits_mlp.py", None, {}, "REFUTED", marks=SLOW),
]


@pytest.mark.parametrize(("target", "of", "options", "verdict"), CASES)
def test_verdict(target: str, of, options: dict, verdict: str) -> None:
    finding = check(resolve(str(EXAMPLES / target)), of=of, **options)
    assert finding.verdict == verdict, finding.reason


def test_clamped_logarithm_is_not_proved() -> None:
    """torch clamps the logarithm of BCELoss at -100: what it computes is not convex."""
    finding = check(resolve(str(EXAMPLES / "logistic_breast_cancer.py:clamped")), budget=2.0)
    assert finding.verdict in ("REFUTED", "UNKNOWN")


def test_each_example_is_tested() -> None:
    tested = {(c.values[0] if hasattr(c, "values") else c[0]).split(":")[0] for c in CASES}  # type: ignore[union-attr]
    assert {"digits_mlp.py", "icnn.py"} <= tested <= {p.name for p in EXAMPLES.glob("*.py")}
