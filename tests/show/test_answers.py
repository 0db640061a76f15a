"""Every kind of answer on a terminal, in a pipe, in a notebook: from the same data, escaped, nothing left out silently."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from answers import (
    EVIL,
    NOTHING,
    classification_of,
    ends_of,
    everything,
    proved,
    refuted,
    remedies_of,
    share,
    spectrum_of,
    trajectory_of,
    why_of,
)
from jensen.errors import Misuse
from jensen.finding import Verdict
from jensen.show import terminal
from jensen.show.html import card, mimebundle
from jensen.show.kinds import KINDS, kind, summary
from jensen.show.unanswered import Unanswered


def drawn(answer: Any, width: int = 120) -> str:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(terminal.panel(answer))
    return capture.get()


def test_each_kind_is_known_as_itself_alone() -> None:
    answers = [*everything(), Unanswered("why", "no")]
    kinds = [kind(a) for a in answers]
    assert [k.verb for k in kinds if k] == [
        "check",
        "blocks",
        "why",
        "remedies",
        "spectrum",
        "classify",
        "watch",
        "minima",
        "equivalent",
        "barrier",
        "barriers",
        "align",
        "connect",
        "report",
    ]
    for answer in answers:
        assert sum(all(hasattr(answer, f) for f in k.fields) for k in KINDS) == 1
    assert kind(3) is None and kind(type(refuted())) is None
    with pytest.raises(Misuse, match=r"int is not a finding; .*jensen\.why"):
        summary(3)


@pytest.mark.parametrize("width", [60, 120])
def test_panels_and_lines_say_the_same(width: int) -> None:
    for answer in everything():
        s = summary(answer)
        text = drawn(answer, width)
        plain = "\n".join(terminal.lines(answer))
        assert s.title in text
        assert all(len(line) <= width for line in text.splitlines())
        for label, _ in (*s.rows, *s.foot):
            assert label in text and label in plain
        for grid in s.grids:
            assert grid.title in plain


def test_lines_hold_no_drawn_columns_and_a_terminal_does() -> None:
    assert "█" not in "\n".join(terminal.lines(why_of()))
    assert "█" in drawn(why_of())


def test_notebook_cards_are_escaped_and_without_scripts() -> None:
    for answer in everything(EVIL):
        html = card(answer)
        assert EVIL not in html
        assert "<script" not in html
        assert set(mimebundle(answer)) == {"text/plain", "text/html"}
    assert "&lt;script&gt;" in card(why_of(EVIL))


def test_findings_and_blocks_draw_themselves() -> None:
    assert "REFUTED" in refuted()._repr_mimebundle_()["text/html"]
    assert "REFUTED" in drawn(refuted())
    assert refuted().__rich__() is not None


def test_why_says_which_way_and_how_much() -> None:
    text = "\n".join(terminal.lines(why_of()))
    assert "J bends down: its second derivative is -0.5" in text
    assert "network: -0.91" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["net.1", "-0.62"] in rows and ["loss", "+0.41"] in rows
    assert ["one", "block", "no", "PROVED", "convex"] in rows
    up = why_of(shares=(share("mul", "", "product", 2.0),), loss_part=None, network_part=None)
    assert "bends up" in summary(up).headline
    assert "no curvature" in summary(why_of(curvature=0.0)).headline


def test_why_without_chord_eigenspace_or_mechanisms() -> None:
    bare = why_of(finite=None, eigenspace=None, mechanisms=(), notes=())
    assert [g.title for g in summary(bare).grids] == ["shares by layer", "shares by mechanism"]
    assert [g.title for g in summary(why_of(shares=())).grids][:1] == ["shares by layer"]


def test_long_tables_say_what_they_leave_out() -> None:
    many = tuple(share(f"n{k}", f"layer{k}", "product", -1.0 - k) for k in range(40))
    [layers, *_] = summary(why_of(shares=many)).grids
    assert len(layers.rows) == 16
    assert layers.rows[-1][0] == "25 others"
    assert "25 others" in "\n".join(terminal.lines(why_of(shares=many)))
    assert "and 5 more" in drawn(remedies_of(count=15))


def test_no_remedy_is_said() -> None:
    text = "\n".join(terminal.lines(remedies_of(count=0)))
    assert "none found among freezing w" in text
    assert "too big" in text
    assert summary(remedies_of(count=0)).tone == "open"


def test_remedies_show_their_code_and_verdict() -> None:
    text = "\n".join(terminal.lines(remedies_of()))
    assert 'how 1: cost = cost.restrict("w")' in text
    assert "freeze w0" in text and "PROVED" in text


def test_spectrum_says_negative_only_beyond_its_bound() -> None:
    assert "bends down around this point" in summary(spectrum_of()).headline
    assert "bends down" not in summary(spectrum_of(negative=False)).headline
    assert "bends down" not in summary(spectrum_of(lowest=ends_of((-0.01, 0.02)))).headline
    lines = terminal.lines(spectrum_of())
    assert "trace: 12 (11 to 13)" in lines
    assert "negative directions: 7 % (5 % to 9 %)" in lines


def test_spectrum_without_density() -> None:
    bare = spectrum_of(**NOTHING)
    assert not any(line.startswith(("density", "trace")) for line in terminal.lines(bare))


@pytest.mark.parametrize(("kind", "tone"), [("minimum", "good"), ("saddle", "bad"), ("not converged", "open")])
def test_classification(kind: str, tone: str) -> None:
    s = summary(classification_of(kind))
    assert s.title == kind.upper() and s.tone == tone
    assert ("index", "3") in s.rows and ("tau", "1e-08") in s.rows
    bounded = classification_of(kind)
    bounded = replace(bounded, evidence={**bounded.evidence, "exact": False, "negative": (3, 7)})
    assert ("index", "at least 3") in summary(bounded).rows
    assert ("negative", "3 to 7") in summary(bounded).rows


def test_trajectory_of_none_and_of_gaps() -> None:
    assert "Nothing was recorded" in summary(trajectory_of(0)).headline
    gaps = trajectory_of(3)
    gaps.records[1].update(lowest=(), gradient_norm=float("nan"))
    assert "gradient norm" in "\n".join(terminal.lines(gaps))


def test_verdict_of_a_proof_is_good() -> None:
    assert summary(proved()).tone == "good"
    assert summary(refuted()).title == Verdict.REFUTED.value
