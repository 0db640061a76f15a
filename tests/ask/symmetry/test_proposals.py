"""Moves of whole axes of functions, which pairs of rows hide from the reading."""

from __future__ import annotations

from math import factorial

import pytest
import torch

import jensen
from jensen.gallery.student_teacher import student_teacher

FIRST, SECOND = torch.triu_indices(4, 4, 1)


def distances(x):
    return ((x[FIRST] - x[SECOND]) ** 2).sum(1)


def group(f, *shape):
    start = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return jensen.symmetries(jensen.Cost.of(f, x=start), completeness=False)


@pytest.mark.parametrize(
    ("f", "shape", "order", "dimension"),
    [
        (lambda x: (1 / distances(x)).sum(), (4, 3), 2 * factorial(4), 3 + 3),  # O(3), S_4, translations of R^3
        (
            lambda x: (1 / distances(x)).sum() + x[0] @ x[0],
            (4, 3),
            2,
            3,
        ),  # O(3): one atom is held (S_3 of the rest is not sought)
        (
            lambda x: (distances(x) ** 2).sum() + x[:, 0].sum(),
            (4, 3),
            factorial(4) * 2**2,
            0,
        ),  # S_4, signs of two axes; no moves of a part of the axes are sought
        (lambda x: -torch.cos(x[FIRST] - x[SECOND]).sum(), (4,), 2 * factorial(4), 1),  # sign, S_4, one phase
    ],
)
def test_rows_rotations_and_translations(f, shape, order, dimension):
    found = group(f, *shape)
    assert (found.order, found.dimension) == (order, dimension)


def test_what_breaks_a_symmetry_by_little_is_seen():
    """J changes by 1e-12 of itself under a swap; its derivatives tell."""
    found = group(lambda x: (distances(x) ** 2).sum() + 1e-9 * torch.sin(x[0, 0]), 4, 2)
    assert not [f for f in found.factors if f.kind in ("permutation", "orthogonal", "translation")]


@pytest.mark.parametrize(
    "f",
    [lambda x: (x**2).sum() + torch.relu(x[0] - 40) ** 2, lambda x: ((x**2 - 1) ** 2).sum() + torch.relu(x[0] - 0.5)],
)
def test_a_piece_that_begins_far_from_the_point_is_met(f):
    found = jensen.symmetries(jensen.Cost.of(f, x=torch.zeros(3, dtype=torch.float64)), completeness=False)
    assert [(g.kind, g.sites[0].positions.tolist()) for g in found.factors] == [("sign", [[1], [2]])]


@pytest.mark.parametrize(
    "tail",
    [
        lambda x: torch.exp(x[0] - 40),
        lambda x: 1e3 * torch.exp(-((x[0] - 12) ** 2)),
        lambda x: 1e3 * torch.sigmoid(x[0] - 40),
        lambda x: 1e3 * torch.tanh(x[0] - 40),
        lambda x: torch.erfc(10 - x[0]),
        lambda x: torch.nn.functional.softplus(x[0] - 60, threshold=1e9),
        lambda x: torch.relu(x[0] - 1e3),
        lambda x: torch.relu(x[0] - 1e5),
        lambda x: torch.exp(x[0] - 300),
    ],
    ids=["exp", "Gaussian", "sigmoid", "tanh", "erfc", "softplus", "relu", "far relu", "far exp"],
)
@pytest.mark.parametrize("even", [lambda x: (x**2).sum(), lambda x: (x**2 + x**4).sum()], ids=["ball", "cube"])
def test_what_breaks_a_symmetry_far_away_is_seen(even, tail):
    """Below rounding at every point that is near: only the sign of the other coordinate is left."""
    start = torch.tensor([0.3, -0.2], dtype=torch.float64)
    found = jensen.symmetries(jensen.Cost.of(lambda x: even(x) + tail(x), x=start), completeness=False)
    assert [(g.kind, g.sites[0].positions.tolist()) for g in found.factors] == [("sign", [[1]])]


def test_a_ring_with_a_hole_on_one_side_has_no_turns():
    cost = jensen.Cost.of(
        lambda w: ((w**2).sum() - 144) ** 2 / 1e4 - torch.exp(-((w[0] - 12) ** 2 + w[1] ** 2)),
        w=torch.tensor([0.3, -0.2], dtype=torch.float64),
    )
    found, top = jensen.symmetries(cost), {"w": torch.tensor([0.0, 12.0], dtype=torch.float64)}
    assert (found.order, found.dimension) == (2, 0)
    assert float(cost(found.canonical(top))) == pytest.approx(float(cost(top)), abs=1e-100)
    assert jensen.classify(cost, at=top, symmetries=found).kind == "degenerate"


def test_tables_that_are_another_shape_of_their_parameter():
    places = torch.tensor([0, 1, 1])
    for f in (lambda w: w.reshape(2, 2), lambda w: w.view(4, 1)):
        cost = jensen.Cost.of(lambda w, f=f: (torch.nn.functional.embedding(places, f(w)) ** 3).sum(), w=torch.randn(4))
        found = jensen.symmetries(cost, completeness=False)
        moved = found.act(cost.theta, found.sample(seed=1))
        assert float(cost(moved)) == pytest.approx(float(cost()), rel=1e-9)
        assert jensen.why(cost).curvature is not None


def test_layers_without_units_are_named():
    model = torch.nn.Sequential(torch.nn.Linear(4, 0), torch.nn.Linear(0, 3))
    cost = jensen.Cost(model, torch.nn.MSELoss(), (torch.randn(7, 4), torch.randn(7, 3)))
    with pytest.raises(jensen.Misuse, match=r"'0.weight' has no entries"):
        jensen.symmetries(cost)
    with pytest.raises(jensen.Misuse, match="no entries"):
        jensen.check(cost, of="0.weight")


def test_students_and_teachers_are_exchanged():
    """S_5 of the students by S_3 of the teachers, and rotations of what no teacher looks at (here signs of two directions)."""
    assert jensen.symmetries(student_teacher(5, 5), completeness=False).order == factorial(5) ** 2


def test_numbers_may_change_their_signs():
    found = jensen.symmetries(jensen.Cost.of(lambda x, y: x * x * y + torch.cos(x), x=0.3, y=0.7), completeness=False)
    assert [(f.kind, f.blocks) for f in found.factors] == [("sign", ("x",))]
