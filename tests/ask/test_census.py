"""A census: counting, resuming, sharing, families; on costs whose minima are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import jensen
from jensen.ask.minima.counting import Group, classes
from jensen.ask.minima.end import End
from jensen.run.journal import Journal

HOW: dict[str, Any] = {"optimiser": "gd", "step": 0.05, "steps": 200, "stack": 8, "compiled": False, "threads": 1}


def wells(tilt: float = 0.1) -> jensen.Cost:
    """Four minima, near (+-1, +-1), of four different values."""
    return jensen.Cost.of(lambda x, y: (x * x - 1) ** 2 + (y * y - 1) ** 2 + tilt * x + tilt / 2 * y, x=0.0, y=0.0)


def family(width: int) -> tuple[jensen.Cost, tuple[Tensor, Tensor]]:
    """A small tanh network on 30 points, with decay; 10 more to test on."""
    numbers = torch.Generator().manual_seed(5)
    x = torch.randn(40, 2, generator=numbers, dtype=torch.float64)
    y = (x[:, :1] * x[:, 1:]).tanh()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1))
    return jensen.Cost(model, nn.MSELoss(), (x[:30], y[:30]), lambda p: 1e-2 * squares(p)), (x[30:], y[30:])


def squares(p: Any) -> Any:
    return sum((t * t).sum() for t in p.values())


def lines_of(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines())


def test_four_wells_are_four_minima() -> None:
    found = jensen.minima(wells(), 64, **HOW)
    assert found.runs == 64 and found.counts["minimum"] == 64
    assert len(found.ends) == 4
    exact = [_lowest(x, y) for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    assert [e.value for e in found.ends] == [pytest.approx(v, rel=1e-12) for v in sorted(exact)]
    assert sum(e.share for e in found.ends) == pytest.approx(1)
    for e in found.ends:
        assert e.kind == "minimum" and e.index == 0
        assert e["interval"][0] < e.share < e["interval"][1]
        assert e.interval[0] < 0.25 < e.interval[1] + 0.05, "the wells are nearly mirror images"
        assert e.runs == sum(p.place == found.ends.index(e) for p in found.points)
    [w] = found.widths
    assert w.distinct == (4, 4) and w.missing is not None and w.missing.value == 0
    assert w.bad.count == 64 - found.ends[0].runs and w.bad.reference == pytest.approx(min(exact))
    json.dumps(found.to_dict(), allow_nan=False)


def _lowest(x: float, y: float, tilt: float = 0.1) -> float:
    """The minimum of a well by Newton's method on each coordinate alone."""
    value = 0.0
    for t, slope in ((x, tilt), (y, tilt / 2)):
        for _ in range(50):
            t -= (4 * t * (t * t - 1) + slope) / (12 * t * t - 4)
        value += (t * t - 1) ** 2 + slope * t
    return value


def test_wells_of_equal_value_are_not_one() -> None:
    """Equal values are no proof that two ends are one."""
    cost = jensen.Cost.of(
        lambda x, y: (x * x - 1) ** 2 * (x * x + x / 2 + 1) + (y * y - 1) ** 2 * (y * y + y / 3 + 1), x=0.0, y=0.0
    )
    found = jensen.minima(cost, 32, **{**HOW, "step": 0.005})  # at 0.05 descents from far out on a sixth power diverge
    assert found.counts["minimum"] == 32
    [w] = found.widths
    assert w.distinct == (4, 4) and w.modulo.startswith("modulo nothing")
    assert w.bad.count == 0


def test_wells_that_a_change_of_sign_exchanges_are_one() -> None:
    found = jensen.minima(jensen.Cost.of(lambda x, y: (x * x - 1) ** 2 + 2 * (y * y - 1) ** 2, x=0.0, y=0.0), 16, **HOW)
    assert [(e.orbit, e.runs) for e in found.ends] == [(4, 16)]


def test_copies_of_a_minimum_are_one_and_are_counted() -> None:
    """Two tanh units: 2!·2^2 copies; three linear ones between three and three: GL(2), two pieces."""
    found = jensen.minima(family(2)[0], 24, **{**HOW, "optimiser": "lbfgs"})
    minima = [e for e in found.ends if e.kind == "minimum"]
    assert len({round(e.value, 9) for e in minima}) == len(minima), "no two are told apart that are one"
    assert {e.orbit for e in minima} == {8} and {e.counted for e in minima} == {"modulo symmetry"}
    assert "2!·2^2" in found.widths[0].modulo
    numbers = torch.Generator().manual_seed(1)
    x = torch.randn(40, 3, generator=numbers, dtype=torch.float64)
    y = torch.randn(40, 3, generator=numbers, dtype=torch.float64) + x
    deep = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 3, bias=False))
    cost = jensen.Cost(deep, nn.MSELoss(), (x, y))
    [end] = [e for e in jensen.minima(cost, 16, **{**HOW, "optimiser": "lbfgs"}).ends if e.kind == "minimum"]
    assert end.orbit == 2 and end.counted == "modulo symmetry"


def test_a_failure_of_the_optimiser_is_no_bad_minimum() -> None:
    found = jensen.minima(wells(), 16, **{**HOW, "steps": 3}, polish=None)
    assert found.counts["minimum"] == 0
    [w] = found.widths
    assert (w.failed.count, w.failed.of) == (16, 16)
    assert (w.bad.count, w.bad.of) == (0, 0)
    assert {e.counted for e in found.ends} == {"together"}


def test_the_optimum_decides_what_is_bad() -> None:
    found = jensen.minima(wells(), 16, **HOW, optimum=-10.0, bad=9.9)
    assert found.widths[0].bad.certified and found.widths[0].bad.above == pytest.approx(-0.1)
    assert found.widths[0].bad.count == sum(p.value > -0.1 for p in found.points)
    wrong = jensen.minima(wells(), 16, **HOW, optimum=0.0)
    assert any("below the optimum given" in n for n in wrong.widths[0].notes)


def test_a_census_goes_on_where_it_was_left(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    path = tmp_path / "run.jsonl"
    first = jensen.minima(wells(), 12, **HOW, journal=path)
    more = jensen.minima(wells(), 40, **HOW, journal=path, progress=told.append)
    whole = jensen.minima(wells(), 40, **HOW)
    assert first.resumed == 0 and more.resumed == 16, "units are whole"
    assert more.points == whole.points and more.points[:12] == first.points
    assert [(t["units"], t["of"]) for t in told] == [(k, 5) for k in range(1, 6)]
    assert told[-1]["counts"] == {"minimum": 40} and told[-1]["left"] == 0
    records = Journal(path).read()
    assert [r["what"] for r in records].count("plan") == 1
    other = jensen.minima(wells(0.2), 12, **HOW, journal=path)
    assert other.resumed == 0, "another cost is another census"
    assert jensen.minima(wells(), 12, **HOW, seed=1, journal=path).resumed == 0
    for scale in (1.0, 2.0):  # functions of one name are not one
        options: dict[str, Any] = {"test": lambda theta, s=scale: s * theta["x"]}
        tested = jensen.minima(wells(), 8, **HOW, **options, journal=path)
        assert tested.resumed == 0 and abs(tested.points[0].test or 0) == pytest.approx(scale, abs=0.1 * scale)
        options = {"init": lambda numbers, s=scale: {"x": torch.tensor(s), "y": torch.tensor(s)}}
        assert jensen.minima(wells(), 8, **HOW, **options, journal=path).resumed == 0


@pytest.mark.slow
def test_another_process_gives_the_same_journal(tmp_path: Path) -> None:
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    ours = jensen.minima(family, 16, [1, 2], **HOW, journal=here)
    theirs = jensen.minima(family, 16, [1, 2], **HOW, journal=there, engine="processes:1")
    assert lines_of(here) == lines_of(there)
    assert ours.points == theirs.points
    assert ours.runs == 32 and [w.width for w in ours.widths] == [1, 2]
    for end, entry in ((p, e) for e in Journal(there).entries() for p in ours.points if e.record["what"] == "runs"):
        if entry.record["width"] == end.width and entry.record["block"] == end.run // 8:
            theta = {n: t[end.run % 8] for n, t in entry.load().items()}
            cost, test = family(end.width or 0)
            assert float(cost(theta)) == pytest.approx(end.value, rel=1e-12)
            assert float(cost.on(test)(theta)) == end.test
            assert end.train == pytest.approx(end.value - 1e-2 * float(squares(theta)))


@pytest.mark.parametrize(
    ("asked", "widths", "options", "match"),
    [
        (wells, [1], {"runs": 0}, "runs=0"),
        (wells, [1], {"stack": 0}, "stack=0"),
        (wells, [1], {"journel": "x"}, "journel"),
        (wells, None, {}, "needs its widths"),
        (wells, [2, 2], {}, "different whole numbers"),
        (lambda w: 3, [1], {}, "returned int for width 1"),
        (3, None, {}, "int is neither"),
        (wells(), [1], {}, "widths are for a family"),
        (wells(), None, {"bad": -1.0}, "bad=-1.0"),
        (wells(), None, {"engine": "cluster"}, "engine='cluster'"),
        (wells(), None, {"test": (torch.ones(2), torch.ones(2))}, "no data to exchange"),
    ],
)
def test_what_cannot_be_asked(asked: Any, widths: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(jensen.Misuse, match=match):
        jensen.minima(asked, widths=widths, **{"runs": 8, **HOW, **options})


def test_a_test_loss_may_be_a_function() -> None:
    found = jensen.minima(wells(), 8, **HOW, test=lambda theta: theta["x"] * 2)
    for p in found.points:
        assert p.test == pytest.approx(2 * (1 if p.test and p.test > 0 else -1), abs=0.1)


# -- counting ---------------------------------------------------------------------------------------------------------


def end(run: int, x: float, kind: str = "minimum", value: float = 1.0, **more: Any) -> End:
    fields: dict[str, Any] = {"how": "strict", "error": 1e-15, "gradient_norm": 1e-15, "index": 0, "zero_modes": 0}
    fields |= {"steps": 1, "trained": value, "settled": 1, **more}
    return End(run, kind, value=value, theta={"x": torch.tensor([x, 0.0], dtype=torch.float64)}, **fields)


def group(same: Any, dimension: int = 0) -> Group:
    return Group(
        "modulo something",
        True,
        dimension,
        lambda a, b, near: same(float(a["x"][0]), float(b["x"][0])),
        lambda a, away: 2,
    )


SIGN = group(lambda a, b: abs(a) == abs(b))


def members(ends: list[End], by: Group) -> list[list[int]]:
    return sorted(c.members for c in classes(ends, by))


def test_ends_are_one_where_a_move_takes_one_to_the_other() -> None:
    ends = [end(0, 1.0), end(1, -1.0), end(2, 2.0), end(3, 1.0 + 1e-16)]
    assert members(ends, SIGN) == [[0, 1, 3], [2]]
    assert members(ends, group(lambda a, b: False)) == [[0, 3], [1], [2]]


def test_other_values_kinds_and_indices_are_never_one() -> None:
    ends = [end(0, 1.0), end(1, 1.0, value=1.0 + 1e-12), end(2, 1.0, "saddle", index=1), end(3, 1.0, "saddle", index=2)]
    assert members(ends, group(lambda a, b: True)) == [[0], [1], [2], [3]]


def test_pairs_that_are_not_decided_make_the_count_an_interval() -> None:
    found = classes(
        [end(0, 1.0), end(1, 2.0), end(2, 3.0)], group(lambda a, b: None if {a, b} == {1.0, 2.0} else False)
    )
    assert [(c.members, c.open) for c in found] == [([0], 0), ([1], 1), ([2], 0)]


def test_more_zero_modes_than_the_group_explains_are_counted_by_value() -> None:
    ends = [end(k, float(k), zero_modes=2, value=v) for k, v in enumerate((0.0, 0.0, 1.0))]
    assert [(c.members, c.counted) for c in classes(ends, SIGN)] == [([0, 1], "by value"), ([2], "by value")]
    flat = group(lambda a, b: False, dimension=2)
    assert [c.counted for c in classes(ends, flat)] == ["modulo symmetry"] * 3


def test_what_is_no_point_is_counted_together() -> None:
    ends = [end(k, math.nan, kind, value=float(k)) for k, kind in enumerate(["not converged", "at infinity"] * 2)]
    assert [(c.members, c.counted) for c in classes(ends, SIGN)] == [([0, 2], "together"), ([1, 3], "together")]
