"""Kinks and jumps exactly at a point: found in the operations, however narrow; and those that are none of J's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jensen import Cost, classify
from jensen.ask.curvature.answers import Classification

D = torch.float64


def at_zero(fn: Callable[[Tensor], Tensor], n: int, **options: Any) -> Classification:
    return classify(Cost.of(fn, v=torch.zeros(n, dtype=D)), **options)


def square(v: Tensor) -> Tensor:
    return (v * v).sum()


def stiff(v: Tensor) -> Tensor:
    """Its smallest eigenvalue is 1, its norm 1001."""
    return 0.5 * square(v) + 500 * v[0] ** 2


def masked(v: Tensor) -> Tensor:
    """With a third entry that is left out in the usual way."""
    return F.pad(v, (0, 1)).masked_fill(torch.tensor([False, False, True]), -1e12)


SLOTS = torch.tensor([0, 0, 1])

NARROW: list[tuple[str, Callable[[Tensor], Tensor], int, dict[str, int]]] = [
    ("one orthant of 4", lambda v: square(v) - 8 * torch.relu(v.amin()) ** 2, 4, {"amin": 1, "relu": 1}),
    ("one orthant of 8", lambda v: square(v) - 16 * torch.relu(v.amin()) ** 2, 8, {"amin": 1, "relu": 1}),
    ("a cone", lambda v: square(v) - 300 * torch.relu(v[1] - 8 * v[0].abs()) ** 2, 2, {"abs": 1, "relu": 1}),
    ("one of 2000", lambda v: stiff(v) - 1.1 * torch.relu(v[7]) ** 2, 2000, {"relu": 1}),
    ("beside a mask", lambda v: stiff(v) - 1.1 * torch.relu(masked(v[7:9]))[0] ** 2, 2000, {"relu": 1}),
    ("a tie beside a mask", lambda v: stiff(v) - 0.7 * (masked(v[7:9]).amax() - v[8]) ** 2, 600, {"amax": 1}),
    ("jumps", lambda v: square(v) - (v > 0).double().sum(), 2, {"gt": 2}),
    ("jumps, chosen", lambda v: square(v) + torch.where(v > 0, -1.0, 0.0).sum(), 2, {"gt": 2}),
    ("not the point itself", lambda v: square(v) + 2 * (v == 0).sum(), 2, {"eq": 2}),
    ("whole numbers", lambda v: square(v) + torch.floor(v).sum(), 3, {"floor": 3}),
    ("a quotient", lambda v: square(v) + torch.div(v, 1.0, rounding_mode="floor").sum(), 3, {"div": 3}),
    ("an angle", lambda v: square(v) + torch.atan2(v[0], v[1] - 1) + v[0], 3, {"atan2": 1}),
    (
        "a threshold",
        lambda v: square(v) + F.softplus(v[0] + 20) - torch.sigmoid(v.new_tensor(20.0)) * v[0],
        2,
        {"softplus": 1},
    ),
    ("places", lambda v: square(v) - 3 * torch.bucketize(v, v.new_zeros(1)).sum(), 3, {"bucketize": 3}),
    ("signs", lambda v: square(v) - 3 * torch.signbit(v).sum(), 3, {"signbit": 3}),
    ("truth of numbers", lambda v: square(v) - torch.logical_and(v[0], v[1]).double(), 3, {"logical_and": 1}),
    (
        "scattered",
        lambda v: square(v) - 3 * square(v.new_zeros(2).scatter_reduce(0, SLOTS, v, "amax")),
        3,
        {"scatter_reduce": 2},
    ),
]


@pytest.mark.parametrize(("fn", "n", "found"), [c[1:] for c in NARROW], ids=[c[0] for c in NARROW])
def test_a_fall_across_a_kink_is_no_minimum(fn: Callable[[Tensor], Tensor], n: int, found: dict[str, int]) -> None:
    c = at_zero(fn, n)
    assert c.kind == "degenerate" and c.evidence["kinks"]["found"] == found, c.reason
    assert c.evidence["kinks"]["fall"] > 0 and not c.evidence["kinks"]["harmless"]
    assert "wrong side" in c.reason and all(f"{count} of {name}" in c.reason for name, count in found.items())
    assert c.settle


def test_a_rise_across_a_kink_is_no_maximum() -> None:
    c = at_zero(lambda v: -stiff(v) + 1.1 * torch.relu(v[7]) ** 2, 600)
    assert c.kind == "degenerate" and c.evidence["kinks"]["fall"] > 0


OPEN: list[tuple[str, Callable[[Tensor], Tensor], str]] = [
    ("more kinks than can be visited", lambda v: square(v) + 0.1 * square(torch.relu(v)), "relu"),
    ("beneath the point alone", lambda v: square(v) - 2 * (v == 0).sum(), "eq"),
    ("elu with unequal slopes", lambda v: square(v) - 0.1 * F.elu(v, alpha=0.5).sum() + 0.1 * v.sum() * 0.5, "elu"),
    ("a tie", lambda v: square(v) + 0.1 * v.amax() ** 2, "amax"),
    ("a window's tie", lambda v: square(v) + 0.1 * square(F.max_pool1d(v[None], 2)), "max_pool1d"),
    ("the largest so far", lambda v: square(v) + 0.1 * square(v.cummax(0).values), "cummax"),
    ("the middle", lambda v: square(v) + 0.1 * torch.nanmedian(v) ** 2, "nanmedian"),
    ("positions", lambda v: square(v) + 0.01 * torch.argmax(v).double() * v[0] ** 2, "argmax"),
    ("behind a product", lambda v: square(v) - 0.1 * torch.relu(v[0] * v[1]), "relu"),
    ("at a bound", lambda v: square(v) + 0.1 * square(torch.clamp(v + 1, -1, 1) - 1), "clamp"),
]


@pytest.mark.parametrize(("fn", "name"), [c[1:] for c in OPEN], ids=[c[0] for c in OPEN])
def test_what_is_not_shown_to_be_harmless_is_degenerate(fn: Callable[[Tensor], Tensor], name: str) -> None:
    c = at_zero(fn, 6)
    assert c.kind == "degenerate" and name in c.evidence["kinks"]["found"], (c.reason, c.evidence["kinks"])


HARMLESS: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("a small one", lambda v: square(v) - 0.05 * torch.relu(v[0]) ** 2),
    ("upwards", lambda v: square(v) + 0.8 * torch.relu(v[0]) ** 2),
    ("two that meet", lambda v: square(v) - 0.3 * torch.relu(v[0]) * torch.relu(v[0] + v[1])),
    ("parallel ones", lambda v: square(v) - 0.1 * torch.relu(v[0]) ** 2 - 0.1 * torch.relu(-2 * v[0]) ** 2),
    ("of curvature", lambda v: square(v) + 0.2 * (F.elu(v[0]) - v[0])),
    ("a comparison", lambda v: square(v) + 0.2 * torch.where(v[0] > 0, v[0], 0.5 * v[0]) ** 2),
]


@pytest.mark.parametrize("fn", [c[1] for c in HARMLESS], ids=[c[0] for c in HARMLESS])
def test_few_kinks_all_of_whose_sides_are_curved_the_same_way(fn: Callable[[Tensor], Tensor]) -> None:
    c = at_zero(fn, 4)
    assert c.kind == "minimum" and c.evidence["kinks"]["harmless"] and "side" in c.reason, c.reason


def test_harmless_ones_are_told_from_those_that_are_not() -> None:
    """Half the smallest eigenvalue is the bound: beyond it nothing is shown, and beyond all of it J falls."""
    for size, kind, falls in ((0.4, "minimum", False), (0.9, "degenerate", False), (1.1, "degenerate", True)):
        c = at_zero(lambda v, size=size: square(v) - size * torch.relu(v[0]) ** 2, 4)
        assert c.kind == kind and (c.evidence["kinks"]["fall"] > 0) == falls


NONE: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("beside the kink", lambda v: square(v) - 5 * torch.relu(v[0] - 1e-5) ** 2),
    ("dead downstream", lambda v: square(v) - 5 * torch.relu(torch.relu(v).sum() - 1) ** 2),
    ("zero whatever v is", lambda v: square(v) - 5 * torch.relu(0 * v).sum() + (0 * v).abs().sum()),
    ("equal whatever v is", lambda v: square(v) - 0.2 * torch.stack([v[0], v[0]]).amax() ** 2),
    ("of third order", lambda v: square(v) - torch.relu(v[0]) * v[1] * v[2]),
    ("a comparison of third order", lambda v: square(v) + torch.where(v > 0, v, -v).pow(3).sum()),
    ("a comparison of equal sides", lambda v: square(v) + torch.where(v > 0, v**2, v * v).sum()),
    ("elu's bend in third order", lambda v: square(v) + F.elu(v).sum() ** 2),
    ("far from a half", lambda v: square(v) + torch.round(v).sum() + torch.trunc(v).sum()),
]


@pytest.mark.parametrize("fn", [c[1] for c in NONE], ids=[c[0] for c in NONE])
def test_what_does_not_move_or_is_not_felt_is_no_kink(fn: Callable[[Tensor], Tensor]) -> None:
    c = at_zero(fn, 4)
    assert c.kind == "minimum" and c.evidence["kinks"] == {
        "looked": "operations and samples",
        "found": {},
        "fall": 0.0,
        "harmless": False,
    }, (c.reason, c.evidence["kinks"])


def test_a_point_off_its_kink_by_less_than_the_newton_step() -> None:
    c = classify(Cost.of(lambda v: square(v) - 5 * torch.relu(v[0] - 1e-9) ** 2, v=torch.full((4,), 1e-9, dtype=D)))
    assert c.kind == "degenerate" and c.evidence["kinks"]["found"] == {"relu": 1}


def test_a_saddle_that_values_show_stays_one() -> None:
    c = at_zero(lambda v: v[0] ** 2 - v[1] ** 2 + 0.5 * v[2] ** 2 + torch.relu(v[2]) ** 2, 3)
    assert (c.kind, c.index) == ("saddle", 1) and c.evidence["kink"] > 0 and "one side" in c.reason


# -- networks ----------------------------------------------------------------------------------------------------------


def resting(model: nn.Module, x: Tensor, y: Tensor, pull: float = 3.0, batch: int | None = None) -> Cost:
    """The model's cost with a penalty that makes its parameters a critical point, and mostly a minimum."""
    model = model.to(D)
    data: Any = (x, y) if batch is None else [(x[i : i + batch], y[i : i + batch]) for i in range(0, len(x), batch)]
    cost = Cost(model, nn.MSELoss(), data)
    theta = {n: t.clone().requires_grad_() for n, t in cost.theta.items()}
    slopes = torch.autograd.grad(cost(theta), list(theta.values()))
    centre = {n: t.detach() + g / pull for (n, t), g in zip(theta.items(), slopes, strict=True)}
    return Cost(
        model,
        nn.MSELoss(),
        data,
        penalty=lambda b: pull / 2 * sum(((b[n] - c) ** 2).sum() for n, c in centre.items()),
    )


def rows(count: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, generator=generator, dtype=D), torch.randn(count, 1, generator=generator, dtype=D)


def images() -> tuple[Tensor, Tensor]:
    """Half of each is black."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 1, 6, 6, generator=generator, dtype=D)
    x[:, :, :3] = 0
    return x, torch.randn(8, 1, generator=generator, dtype=D)


def perceptron(change: Callable[[nn.Sequential], Any] | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1)).to(D)
    with torch.no_grad():
        if change is not None:
            change(model)
    return model


def convolution(pool: nn.Module, bias: float | None) -> nn.Sequential:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=bias is not None)
    if bias is not None:
        nn.init.constant_(conv.bias, bias)  # pyright: ignore[reportArgumentType]
    width = 18 if isinstance(pool, nn.MaxPool2d) else 8
    return nn.Sequential(conv, nn.ReLU(), pool, nn.Flatten(), nn.Linear(width, 1)).to(D)


def twice(model: nn.Sequential, batch: int | None = None) -> Cost:
    x, y = rows()
    return resting(model, x.repeat_interleave(2, 0), y.repeat_interleave(2, 0), batch=batch)


def max_over_rows() -> Cost:
    x = rows()[0][:5].repeat(2, 1)
    w = torch.tensor([0.3, -0.2, 0.4], dtype=D)
    top = x[(x @ w).argmax()]
    return Cost.of(lambda w_: (x @ w_).amax() + 3 * square(w_ - w - top / 6), w_=w)


ORDINARY: dict[str, Callable[[], Cost]] = {
    "trained as usual": lambda: resting(perceptron(), *rows()),
    "dead units": lambda: resting(perceptron(lambda m: m[0].bias[:3].fill_(-50)), *rows()),
    "a last layer of zeros": lambda: resting(perceptron(lambda m: m[2].weight.zero_()), *rows()),
    "equal rows": lambda: twice(perceptron()),
    "equal rows in chunks": lambda: twice(perceptron(), batch=20),
    "a maximum over equal rows": max_over_rows,
    "black pixels without a bias": lambda: resting(convolution(nn.MaxPool2d(2), None), *images(), pull=20.0),
    "ties of inactive units": lambda: resting(convolution(nn.MaxPool2d(2), -1.0), *images(), pull=20.0),
    "ties in adaptive windows": lambda: resting(convolution(nn.AdaptiveMaxPool2d(2), -1.0), *images(), pull=20.0),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_networks_have_no_kinks(name: str) -> None:
    c = classify(ORDINARY[name]())
    assert c.kind == "minimum" and c.evidence["kinks"]["found"] == {}, (c.reason, c.evidence["kinks"])


def unit_at_zero(model: nn.Sequential) -> None:
    """The first row's input of the second unit."""
    model[0].bias[1] -= (model[0].weight @ rows()[0][0] + model[0].bias)[1]


@pytest.mark.parametrize("batch", [None, 10])
def test_one_input_at_zero_of_one_unit(batch: int | None) -> None:
    cost = resting(perceptron(unit_at_zero), *rows(), batch=batch)
    c = classify(cost)
    assert c.kind == "degenerate" and c.evidence["kinks"]["found"] == {"relu": 1}, c.reason
    later = classify(cost, of="2.*")  # the unit's input does not move
    assert later.kind == "minimum" and later.evidence["kinks"]["found"] == {}


def test_black_pixels_at_a_bias_of_zero() -> None:
    c = classify(resting(convolution(nn.MaxPool2d(2), 0.0), *images(), pull=20.0))
    assert c.kind == "degenerate" and c.evidence["kinks"]["found"]["relu"] > 8


# -- falls along zero modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "size", "height"), [(6, 1000.0, 0.0), (6, 1000.0, 7.0), (8, 1e5, 0.0), (5, 1.0, 0.0)]
)
def test_falls_of_higher_order_along_what_symmetry_is_said_to_explain(order: int, size: float, height: float) -> None:
    c = at_zero(lambda v: height + v[0] ** 2 - size * v[1] ** order, 2, symmetries=1)
    assert c.kind == "degenerate" and c.evidence["fall"] > 0, c.reason
    up = at_zero(lambda v: height + v[0] ** 2 + size * v[1] ** (order + order % 2), 2, symmetries=1)
    assert up.kind == "minimum" and up.evidence["fall"] == 0
    assert up.evidence["kinks"]["looked"] == "operations and samples"


def test_rounding_is_no_fall() -> None:
    for offset in (1e3, 3e3, 7e3, 1e4, 5e4):
        c = at_zero(lambda v, offset=offset: v[0] ** 2 + ((v[1] + offset) - offset - v[1]), 2, symmetries=1)
        assert c.kind == "minimum" and c.evidence["fall"] == 0 and c.evidence["kinks"]["found"] == {}


JUMPS: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    ("how many", lambda v: square(v) - torch.nonzero(v).shape[0]),
    ("how many in a bin", lambda v: square(v) - 3 * torch.histc(v, 2, -1, 1)[0]),
    ("an angle", lambda v: square(v) + torch.angle(torch.complex(v[1] - 1, v[0])) + v[0]),
]


@pytest.mark.parametrize("fn", [c[1] for c in JUMPS], ids=[c[0] for c in JUMPS])
def test_jumps_of_operations_that_are_not_known(fn: Callable[[Tensor], Tensor]) -> None:
    for height in (0.0, 1e3):
        c = at_zero(lambda v, height=height: fn(v) + height, 3)
        assert c.kind == "degenerate" and "jumps" in c.reason


def test_whole_numbers_that_do_not_change_here() -> None:
    c = at_zero(lambda v: square(v) + torch.bucketize(v, v.new_ones(1)).sum() + torch.signbit(v + 1).sum(), 3)
    assert c.kind == "minimum" and c.evidence["kinks"]["found"] == {}, c.reason


def test_rounding_is_no_jump() -> None:
    """The operations on complex numbers cannot be read, so that values are compared."""
    for offset in (0.0, 1e3, 3e3, 7e3, 1e4, 5e4):
        c = at_zero(
            lambda v, offset=offset: (
                0.1 * (torch.complex(v[:2], v[2:]) ** 2).real.sum() + square(v) + ((v[1] + offset) - offset - v[1])
            ),
            4,
        )
        assert c.kind == "minimum" and "cannot be read" in c.reason, c.reason


def test_what_cannot_be_read_is_said() -> None:
    c = at_zero(lambda v: square(v) + 0.1 * torch.complex(v[:2], v[2:]).abs().square().sum(), 4)
    assert "samples" in c.evidence["kinks"]["looked"] and "complex" in c.evidence["kinks"]["looked"]


def test_shapes_that_depend_on_values() -> None:
    masked = at_zero(lambda v: square(v) - 0.8 * square(v[v > 0]), 6)
    assert masked.kind == "degenerate" and masked.evidence["kinks"]["found"] == {"gt": 6}


def fan(width: float) -> Callable[[Tensor], Tensor]:
    """Four kinks of two coordinates: in a narrow cone between them J falls."""

    def f(v: Tensor) -> Tensor:
        over = F.relu(v[1]) - 2 * F.relu(v[1] - width / 2 * v[0]) + F.relu(v[1] - width * v[0])
        return square(v) - 20 * F.relu(v[0]) * over

    return f


def turned(inside: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The square, upside down where a condition holds."""
    return lambda v: torch.where(inside(v), -square(v), square(v))


@pytest.mark.parametrize(
    ("fn", "n"),
    [
        (fan(0.2), 2),
        (fan(0.5), 2),
        (turned(lambda v: (v[0] > 0) & (v[1] > 0) & (v[1] < 0.1 * v[0])), 2),
        (turned(lambda v: (v[:-1] > v[1:]).all() & (v[-1] > 0)), 4),
        (turned(lambda v: v.sign().sum() == 4), 4),
        (turned(lambda v: (v + 0.5).round().prod() > 0.5), 3),
    ],
)
def test_kinks_that_are_felt_together_only(fn: Callable[[Tensor], Tensor], n: int) -> None:
    v = 1e-3 * F.normalize(torch.randn(4000, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    assert min(float(fn(row)) for row in v) < 0, "J falls somewhere"
    c = at_zero(fn, n)
    assert c.kind == "degenerate" and "kink" in c.reason, c.reason


def test_a_jump_that_is_felt_makes_no_others_so() -> None:
    """The other jumps' results are multiplied by zero."""

    def f(v: Tensor) -> Tensor:
        dead = 0.0 * (v[1:].sign().sum() + (v[1:] > 0).double().sum())
        return square(v) + torch.where(v[0] > 0, 0.1 * v[0] ** 2, 0.2 * v[0] ** 2) + dead

    c = at_zero(f, 3)
    assert c.kind == "minimum" and c.evidence["kinks"]["found"] == {"gt": 1}, c.reason


@pytest.mark.parametrize(
    "f", [lambda v: (torch.relu(v) ** 2 + torch.relu(-v) ** 2).sum(), lambda v: (torch.relu(v) ** 2).sum()]
)
def test_what_falls_nowhere_is_not_said_to_fall(f: Callable[[Tensor], Tensor]) -> None:
    """torch's second derivative is zero here, so that it speaks neither for a minimum nor for a maximum."""
    assert at_zero(f, 2).evidence["kinks"]["fall"] == 0
