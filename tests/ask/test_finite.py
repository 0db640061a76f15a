"""The finite ledger: closed forms, the sum rule with kinks, the limit, refusals."""

import math

import pytest
import torch

import jensen
from architectures import ARCHITECTURES, architecture
from jensen.ask.why import finite as finite_module
from jensen.ask.why.finite import finite
from jensen.ask.why.ledger import ledger
from jensen.cost import Cost
from jensen.errors import Misuse


def violation(cost, a, b):
    m = {n: (t + b[n]) / 2 for n, t in a.items()}
    with torch.no_grad():
        return float(cost(a)) + float(cost(b)) - 2 * float(cost(m))


def chord(cost, size, seed=0):
    g = torch.Generator().manual_seed(seed)
    theta = cost.theta
    d = {n: torch.randn(t.shape, generator=g, dtype=torch.float64) for n, t in theta.items()}
    return {n: t + size * d[n] for n, t in theta.items()}, {n: t - size * d[n] for n, t in theta.items()}


def of(f, a, b):
    """The finite ledger of a function of numbers, by operation."""
    cost = Cost.of(f, **a)
    tensors = [{n: torch.tensor(float(v), dtype=torch.float64) for n, v in p.items()} for p in (a, b)]
    answer = finite(cost, *tensors)
    assert answer.violation == pytest.approx(violation(cost, *tensors), abs=1e-15)
    assert answer.loss_part is None
    return {s.node: s.share for s in answer.shares}


# -- closed forms ----------------------------------------------------------------------------------------------------


def test_product():
    """ab + a'b' - 2 mm' = (a - a')(b - b') / 2: the product's gap, whole."""
    assert of(lambda x, y: x * y, {"x": 1, "y": 5}, {"x": 3, "y": -1}) == pytest.approx({"mul": (1 - 3) * (5 - -1) / 2})


def test_masks_of_the_lowest_number():
    """A mask adds the lowest float64 to a score: the mean of two such values is that number, not minus infinity."""
    lowest = torch.finfo(torch.float64).min
    mask = torch.tensor([0.0, lowest, 0.0], dtype=torch.float64)
    cost = Cost.of(lambda x: (torch.tanh(x) + mask).softmax(0)[0] * x[0], x=[0.3, 0.4, -0.2])
    assert finite(cost, *chord(cost, 1.0)).defect <= 1e-10


def test_square_of_a_product():
    """(xy)^2: the product's gap g = dx dy / 2 is carried by the square's secant P' + P(m), and the square adds its own.

    P' is the mean of the product at the ends, P(m) the product at the midpoint; the square's gap is (P(a) - P(b))^2 / 2.
    """
    (x, y), (u, v) = (1.0, 2.0), (3.0, -1.0)
    pa, pb, pm = x * y, u * v, (x + u) / 2 * (y + v) / 2
    found = of(lambda x, y: (x * y) ** 2, {"x": x, "y": y}, {"x": u, "y": v})
    assert found["mul"] == pytest.approx((x - u) * (y - v) / 2 * ((pa + pb) / 2 + pm))
    assert found["pow_1"] == pytest.approx((pa - pb) ** 2 / 2)
    assert sum(found.values()) == pytest.approx(pa**2 + pb**2 - 2 * pm**2)


def test_kinks():
    """|x| from -1 to 3: 1 + 3 - 2 |1|; relu(x) likewise 0 + 3 - 2; max(x, y) with a change of leader."""
    assert of(lambda x: x.abs(), {"x": -1}, {"x": 3}) == pytest.approx({"abs_1": 2.0})
    assert of(lambda x: x.relu(), {"x": -1}, {"x": 3}) == pytest.approx({"relu": 1.0})
    assert of(lambda x, y: torch.maximum(x, y), {"x": 0, "y": 1}, {"x": 2, "y": 1}) == pytest.approx({"maximum": 1.0})


def test_a_kink_behind_a_product():
    """max(xy, 0) from (2, -1) to (0, 3): xy is -2, 1 and 0, and max its positive part.

    The product's gap is (2 - 0)(-1 - 3) / 2 = -4. The maximum's own gap is that at the mean of its inputs, -1:
    0 + 0 - 2 max(-1, 0) = 0, and its secant from -1 to 1 is 1/2: half of the product's gap passes.
    """
    found = of(lambda x, y: torch.relu(x * y), {"x": 2, "y": -1}, {"x": 0, "y": 3})
    assert found == pytest.approx({"mul": -2.0, "relu": 0.0})


def test_a_chord_through_a_kink_at_rest():
    """|x|^(1/2) from -1 to 1: all of abs, carried by the root's secant 1 from 0 to 1; the root has no gap."""
    found = of(lambda x: x.abs().sqrt(), {"x": -1}, {"x": 1})
    assert found == pytest.approx({"abs_1": 2.0, "sqrt": 0.0})


def test_conditions_that_change_along_the_chord():
    """where(x > 0, x, -2x) is a kinked function whatever it is written with: 6 + 1 - 2 * 2 from -3 to 1."""
    found = of(lambda x: torch.where(x > 0, x, -2 * x), {"x": -3}, {"x": 1})
    assert sum(found.values()) == pytest.approx(6 + 1 - 2 * 2.0) and "where" in found


# -- the sum rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sum_rule(name):
    cost = architecture(name)
    a, b = chord(cost, 0.7)
    answer = finite(cost, a, b)
    size, total = sum(abs(s.share) for s in answer.shares), math.fsum(s.share for s in answer.shares)
    assert answer.violation == pytest.approx(violation(cost, a, b), abs=1e-12)
    assert abs(total - answer.violation) <= 1e-8 * size and answer.defect <= 1e-8
    assert answer.loss_part + answer.network_part + answer.penalty_part == pytest.approx(total, abs=1e-12 * size)


@pytest.mark.parametrize(
    "name", ["mlp", "convnet, layer norm", "transformer block", "max pooling", "lstm", "embeddings"]
)
def test_limit(name):
    """Divided by the squared half length, the shares of a short chord are those of the second derivative."""
    cost, size = architecture(name), 1e-3
    a, b = chord(cost, size)
    half = {n: (t - b[n]) / 2 for n, t in a.items()}
    length = math.sqrt(sum(float((t**2).sum()) for t in half.values()))
    limit = ledger(cost, {n: t / length for n, t in half.items()})
    found = {s.node: s.share / length**2 for s in finite(cost, a, b).shares}
    scale = sum(abs(s.share) for s in limit.shares)
    for s in limit.shares:
        assert found[s.node] == pytest.approx(s.share, abs=2e-4 * scale)


def test_kinks_carry_what_the_second_derivative_misses():
    """A ReLU network without curvature of its own: the chord's violation is there, and activations have part of it."""
    cost = architecture("relu mlp")
    a, b = chord(cost, 2.0)
    answer = finite(cost, a, b)
    assert abs(answer.grouped("mechanism")["activation"]) > 1e-3
    half = {n: (t - b[n]) / 2 for n, t in a.items()}
    length = math.sqrt(sum(float((t**2).sum()) for t in half.values()))
    assert ledger(cost, {n: t / length for n, t in half.items()}).grouped("mechanism")["activation"] == 0.0


def test_the_counterexample_of_a_kinked_cost():
    """-|x| is affine on both sides of its kink: no curvature, but a chord, and all of it is abs's."""
    cost = Cost.of(lambda x: -x.abs() + x, x=0.3)
    why = jensen.why(cost, mechanisms=False)
    assert why.curvature == 0.0 and why.eigenspace is None
    assert why.finite.violation < 0
    assert [(s.operation, s.share) for s in why.finite.shares] == [
        ("aten.abs.default", pytest.approx(why.finite.violation))
    ]


def test_a_user_s_chord():
    cost = Cost.of(lambda x, y: x * y, x=0.0, y=0.0)
    why = jensen.why(cost, chord=({"x": 1, "y": -1}, {"x": -1, "y": 1}), mechanisms=False)
    assert why.source == "given" and why.finite.violation == -2.0 and why.curvature == pytest.approx(-1.0)
    assert why.finite.to_dict()["violation"] == -2.0


# -- refusals --------------------------------------------------------------------------------------------------------


def test_midpoints_outside_the_domain_are_refused():
    """1/x at -1, 3 and 1: the midpoint of the reciprocal's input is in its domain; of one that moves through it, not."""
    cost = Cost.of(lambda x, y: 1 / (x * y), x=1.0, y=1.0)
    with pytest.raises(Misuse, match="domain"):
        finite(
            cost,
            *(
                {n: torch.tensor(float(v)).double() for n, v in p.items()}
                for p in ({"x": 3, "y": -1}, {"x": 1, "y": 3})
            ),
        )


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        ({"x": 1.0}, {"x": 1.0}, "same point"),
        ({"x": 1.0}, {"x": 1.0 + 1e-9}, "too short"),
        ({"x": 1e200}, {"x": -1e200}, "finite"),
        ({"z": 1.0}, {"z": 2.0}, "z"),
        ({"x": [1.0]}, {"x": 2.0}, "shape"),
    ],
)
def test_bad_chords(a, b, match):
    with pytest.raises(Misuse, match=match):
        jensen.why(Cost.of(lambda x: x**2 + x.exp(), x=0.3), chord=(a, b), mechanisms=False)
    with pytest.raises(Misuse, match="pair"):
        jensen.why(Cost.of(lambda x: x**2, x=0.3), chord=[a], mechanisms=False)


def test_a_wrong_share_is_an_error(monkeypatch):
    cost = architecture("relu mlp")
    honest = finite_module.second_difference

    def wrong(*args):
        terms, difference = honest(*args)
        return {i: v * (1 + 1e-6) for i, v in terms.items()}, difference

    monkeypatch.setattr(finite_module, "second_difference", wrong)
    with pytest.raises(Misuse, match="no ledger"):
        finite(cost, *chord(cost, 1.0))


def test_an_affine_chord_has_no_shares():
    """|x| along a chord on one side of its kink, exactly: nothing to split."""
    assert of(lambda x: (2 * x).abs(), {"x": 1}, {"x": 3}) == {"abs_1": 0.0}
    assert set(of(lambda x: (0.1 * x).abs() / 3 + torch.relu(0.7 - x), {"x": 1.1}, {"x": 3.3}).values()) == {0.0}
