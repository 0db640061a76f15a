"""A census on a terminal and on the page: what adds up, what is left out, what is a failure."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from answers import minima_of
from jensen.show import minima as drawing
from jensen.show import terminal
from jensen.show.kinds import summary
from jensen.show.report import report


def test_every_run_with_a_number_is_in_the_histogram() -> None:
    answer = minima_of()
    h = drawing.histogram(answer)
    assert h is not None and [p.title for p in h.panels] == ["width 2", "width 5"]
    for panel, w in zip(h.panels, answer.widths, strict=True):
        drawn = {kind: sum(heights) for kind, heights in panel.heights.items()}
        assert drawn == {k: n for k, n in w.counts.items() if n and k != "not converged"}
    assert h.left_out == answer.counts["not converged"] > 0
    json.dumps(drawing.values_figure(h), allow_nan=False)


def test_values_that_differ_by_rounding_are_one_bar() -> None:
    answer = minima_of()
    same = tuple(replace(p, value=0.3 + 1e-17 * p.run) for p in answer.points)
    h = drawing.histogram(replace(answer, points=same))
    assert h is not None
    for panel in h.panels:
        heights = [sum(column) for column in zip(*panel.heights.values(), strict=True)]
        assert sorted(heights)[-1] == sum(heights) and h.edges[0] < 0.3 < h.edges[-1]


def test_an_axis_over_decades_is_logarithmic() -> None:
    answer = minima_of()
    wide = tuple(replace(p, value=10.0 ** -(p.run % 9)) for p in answer.points)
    h = drawing.histogram(replace(answer, points=wide))
    assert h is not None and h.log
    assert drawing.values_figure(h)["layout"]["xaxis"]["type"] == "log"
    assert all(a < b for a, b in zip(h.edges, h.edges[1:], strict=False))
    nothing = replace(answer, points=tuple(replace(p, value=math.inf) for p in answer.points))
    assert drawing.histogram(nothing) is None


def test_the_pages_figures_hold_the_runs() -> None:
    answer = minima_of(runs=70)
    pairs = drawing.losses(answer)
    assert [d.name for d in pairs] == ["width 2", "width 5"]
    assert len(pairs[0].x) == 70 - sum(p.kind == "not converged" and p.width == 2 for p in answer.points)
    saddles = {d.name: d for d in drawing.indices(answer)}
    assert set(saddles["saddle"].y) == {0.5} and set(saddles["minimum"].y) == {0.0}, "shares of two parameters"
    over = drawing.widths_figure(answer)
    assert over is not None and over["data"][0]["x"] == (2, 5)
    assert drawing.widths_figure(minima_of(widths=(2,))) is None
    json.dumps([over, drawing.dots_figure(pairs, "train", "test")], allow_nan=False)


def test_the_words_are_those_of_the_answer() -> None:
    answer = minima_of(widths=(None,))
    text = "\n".join(terminal.lines(answer))
    assert text.startswith("MINIMA: 30 runs ended as ")
    assert "2 distinct minima, modulo 2!·2^2" in text
    assert "bad minima: 100 % (72 % to 100 %); bad is above 0.14375, the best known value is 0.125" in text
    assert "10 runs were in the journal" in text
    assert "not converged" in text and "note: runs that go to infinity end at no point" in text
    several = "\n".join(terminal.lines(minima_of()))
    assert "over widths:" in several and "note: width 2: runs that go to infinity" in several
    assert summary(answer).tone == "open"


def test_the_page(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    report(minima_of("<b>evil</b>"), tmp_path / "r.html", title="t")
    text = (tmp_path / "r.html").read_text()
    assert "Where many trainings end" in text and "<b>evil" not in text
    for name in ("values", "widths", "losses", "index"):
        assert f'data-figure="f0-{name}"' in text
