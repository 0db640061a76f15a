"""Figures as data: what adds up, which side is negative, what is clipped, and that JSON can hold all of it."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import pytest

from answers import density_of, ends_of, share, shares_of, spectrum_of, steps_of, trajectory_of
from jensen.finding import Step
from jensen.show import density, trajectory, waterfall
from jensen.show.diagram import diagram
from jensen.show.paint import by_share, placed


def test_bars_follow_each_other_and_sum_to_the_total() -> None:
    bars = waterfall.bars(shares_of())
    assert [b.label for b in bars] == ["net.0", "net.1", "net", "loss"]
    assert all(a.end == b.start for a, b in itertools.pairwise(bars))
    assert bars[-1].end == pytest.approx(sum(s.share for s in shares_of()))
    figure = waterfall.figure(bars, bars[-1].end, "d'Hd")
    json.dumps(figure, allow_nan=False)
    [_, drawn, total] = figure["data"]
    assert drawn["marker"]["color"] == ("--against", "--against", "--holds", "--holds")
    assert total["x"] == (bars[-1].end,)
    (low, high), (left, right) = figure["layout"]["xaxis"]["range"], figure["layout"]["meta"]["narrow"]["range"]
    assert left < low < min(b.end for b in bars) and right > high > 0.0  # numbers need more of a narrow window


def test_many_layers_are_folded_by_module_and_then_by_size() -> None:
    deep = [share(f"n{k}", f"block.{k // 10}.{k}", "product", -1.0) for k in range(100)]
    bars = waterfall.bars(deep)
    assert [b.label for b in bars] == [f"block.{k}" for k in range(10)]
    assert all(b.share == -10.0 and b.count == 10 for b in bars)
    flat = [share(f"n{k}", f"layer{k}", "product", float(k - 50)) for k in range(100)]
    bars = waterfall.bars(flat)
    assert len(bars) == waterfall.LAYERS
    assert bars[-1].label.endswith("others")
    assert bars[-1].end == pytest.approx(sum(s.share for s in flat))


def test_users_texts_are_not_read_by_plotly() -> None:
    bars = waterfall.bars([share("n", "<b>x</b>", "product", 1.0)])
    assert "<b>x" not in json.dumps(waterfall.figure(bars, 1.0, "d'Hd"))


def test_the_negative_side_of_a_density_is_seen() -> None:
    curve = density.curve(spectrum_of())
    assert curve is not None and curve.width == 0.05
    figure = density.figure(curve)
    json.dumps(figure, allow_nan=False)
    lines = {t["name"]: t for t in figure["data"] if t.get("name")}
    negative = lines["negative eigenvalues"]
    assert negative["line"]["color"] == "--against"
    assert max(negative["x"]) <= 0 < max(lines["positive eigenvalues"]["x"])
    left, right = figure["layout"]["xaxis"]["range"]
    assert -left / (right - left) > 0.25  # -1.5 against 8.5 would be 0.15 on a linear axis
    assert figure["layout"]["yaxis"]["type"] == "log"
    ends = lines["ends, with bounds"]
    assert len(ends["x"]) == 4 and all(e >= 0 for e in ends["error_x"]["array"])
    assert 0.0 in figure["layout"]["xaxis"]["tickvals"]


def test_a_density_may_be_missing_or_all_positive() -> None:
    curve = density.curve(spectrum_of(density=None))
    assert curve is not None and not curve.x
    json.dumps(density.figure(curve), allow_nan=False)
    assert density.curve(spectrum_of(density=None, lowest=(), highest=())) is None
    positive = density.curve(spectrum_of(negative=False))
    assert positive is not None
    ends = density.figure(positive, linear=True)["data"][-1]
    assert min(ends["x"]) == 2.2 and "--against" not in ends["marker"]["color"]


def test_cells_mark_zero() -> None:
    curve = density.curve(spectrum_of())
    assert curve is not None
    heights, zero = density.cells(curve, 48)
    assert len(heights) == 48
    assert heights.index(max(heights)) in (zero - 1, zero, zero + 1)


def test_courses_leave_gaps_as_gaps() -> None:
    watched = trajectory_of(5)
    watched.records[2].update(lowest=(), gradient_norm=math.inf)
    course = trajectory.course(watched.records)
    lines = {line.name: line for panel in course.panels for line in panel.lines}
    assert lines["lowest eigenvalue"].y[2] is None and lines["gradient norm"].y[2] is None
    assert lines["highest eigenvalue"].error[0] == 0.1
    json.dumps(trajectory.figure(course), allow_nan=False)


def test_shares_find_their_operations_or_there_is_no_picture() -> None:
    steps = steps_of()
    found = placed(steps, shares_of())
    assert found == {2: -0.31, 3: -0.62, 4: 0.02, 5: 0.41}
    assert placed(steps, [share("elsewhere", "", "product", 1.0)]) is None
    drawn = diagram(steps, paint=by_share(steps, found))
    looks = {item.title: item.look for _, item in drawn.overview.boxes}
    assert looks["tanh"].marked and looks["tanh"].tone == "against"
    assert looks["cross_entropy"].tone == "holds"
    assert looks["tanh"].weight > looks["linear"].weight > looks["add"].weight


def test_operations_of_one_name_keep_their_own_shares() -> None:
    steps = (Step("mul", "aten.mul.Tensor", "", (), ""), Step("mul", "aten.mul.Tensor", "", (0,), ""))
    twice = [share("mul", "", "product", -1.0), share("mul", "", "product", 2.0)]
    for s in twice:
        s.operation = "aten.mul.Tensor"
    assert placed(steps, twice) == {0: -1.0, 1: 2.0}
    assert placed(steps, [*twice, twice[0]]) is None


def test_what_smoothing_spreads_beyond_the_ends_is_not_called_negative() -> None:
    seen = density_of([-0.5, -0.1, 0.2, 9.0], [0.1, 1.0, 2.0, 0.1], 0.2)
    convex = spectrum_of(negative=False, lowest=ends_of((0.1, 0.05)), density=seen)
    curve = density.curve(convex)
    assert curve is not None
    cut = density.pieces(curve)
    assert [p.kind for p in cut] == ["beyond", "beyond", "positive", "beyond"]
    assert [p.x[0] for p in cut] == [-0.5, 0.0, pytest.approx(0.05), pytest.approx(6.3, abs=1e-3)]
    assert cut[1].y[0] == pytest.approx(1.0 + 1.0 / 3)
    unsure = density.curve(replace(convex, complete={"lowest": False, "highest": True, "density": True}))
    assert unsure is not None
    assert [p.kind for p in density.pieces(unsure)] == ["negative", "positive", "beyond"]


def test_ticks_are_round() -> None:
    values = [*density._powers(0.0896, 0.018), *density._powers(3.0e4, 0.5)]
    assert values == [0.05, 1e4, 1e3, 1e2, 1e1, 1.0] or values == [0.05, 1e4, 1e2, 1.0]
