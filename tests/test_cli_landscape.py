"""The verbs about the landscape: their options, their pages, their refusals. The answers are made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import jensen
from answers import classification_of, refuted, remedies_of, spectrum_of, why_of
from jensen.cli import app
from jensen.errors import Misuse

COSTS = """
import torch
import jensen

product = jensen.Cost.of(lambda x, y: (x * y).sum() + (x * x).sum(), x=torch.ones(3), y=torch.ones(3))
cost = square = jensen.Cost.of(lambda x: (x * x).sum(), x=torch.ones(3))
"""
ANSWERS = {"why": why_of, "remedies": remedies_of, "spectrum": spectrum_of, "classify": classification_of}


class Jsonable:
    """An answer made by hand, with the ``to_dict`` that JSON needs."""

    def __init__(self, answer: Any, name: str):
        self.answer, self.name = answer, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.answer, name)

    def to_dict(self) -> dict[str, Any]:
        return {"answer": self.name}


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    path = tmp_path / "my_costs.py"
    path.write_text(COSTS)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Replaces the questions by answers made by hand; holds the options that each was asked with."""
    options: dict[str, dict[str, Any]] = {}

    def replace(name: str) -> None:
        def question(cost: Any, **given: Any) -> Any:
            options[name] = {"blocks": list(cost.blocks), **given}
            return Jsonable(ANSWERS[name](), name)

        monkeypatch.setattr(jensen, name, question, raising=False)

    for name in ANSWERS:
        replace(name)
    return options


def run(*args: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


def one_sentence(result: Any) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("jensen: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("verb", [*ANSWERS])
def test_lines_json_and_page(costs: Path, asked: Any, tmp_path: Path, verb: str) -> None:
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    told = run(verb, f"{costs}:product", "--report", page)
    assert told.exit_code == 0, told.output
    assert told.stderr == ""
    assert "my_costs.py:product" in page.read_text()
    assert asked[verb]["blocks"] == ["x", "y"]
    as_json = run(verb, f"{costs}:product", "--json")
    assert json.loads(as_json.stdout) == {"answer": verb}
    assert as_json.stderr == ""


def test_no_remedies_is_an_answer(costs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jensen, "remedies", lambda cost, **_: remedies_of(count=0), raising=False)
    result = run("remedies", costs)
    assert result.exit_code == 0
    assert "none found" in result.stdout


def test_options_reach_the_question(costs: Path, asked: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    point = tmp_path / "point.safetensors"
    save_file({"x": torch.full((3,), 2.0)}, point)
    run("classify", costs, "--at", point, "--of", "x")
    assert asked["classify"]["of"] == ["x"]
    assert asked["classify"]["at"]["x"].tolist() == [2.0, 2.0, 2.0]
    run("why", costs, "--along", point, "--budget", 3)
    assert asked["why"]["direction"]["x"].tolist() == [2.0, 2.0, 2.0]
    assert asked["why"]["budget"] == 3.0
    run("remedies", costs, "--within", "x=0:")
    assert asked["remedies"]["within"] == {"x": (0.0, float("inf"))}
    run("spectrum", costs)
    assert "of" not in asked["spectrum"] and "at" not in asked["spectrum"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("check", "--claim", "round"), "ask for one of convex, concave"),
        (("check", "--within", "x=2:1"), "empty"),
        (("check", "--within", "x=1"), "NAME=LO:HI"),
        (("remedies", "--within", "x=b"), "NAME=LO:HI"),
        (("why", "--along", "nowhere.safetensors"), "there is no file 'nowhere.safetensors'"),
        (("classify", "--at", "{0}"), "is no safetensors file"),
        (("spectrum", "--report", "/nowhere/at/all.html"), "there is no folder"),
        (("why", "--save", "/nowhere/at/all.jensen"), "there is no folder"),
        (("report", "--without", "everything"), "leave out one of check, blocks"),
        (("report", "--without", "check", "--without", "blocks", "--without", "why", "--without", "remedies",
          "--without", "spectrum", "--without", "classify"), "leaves no question"),
        (("check", "--report", "{0}"), "would overwrite Python source"),
        (("check", "--report", "{0}.txt"), "name it"),
        (("check", "--report", "{0}.x", "--save", "{0}.x"), "named twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_the_file_runs(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    ran = tmp_path / "ran"
    target = tmp_path / "slow.py"
    target.write_text(f"open({str(ran)!r}, 'w').close()\n")
    verb, *options = (a.format(target) for a in args)
    assert words in one_sentence(run(verb, target, *options))
    assert not ran.exists()
    assert target.read_text().startswith("open(")


def test_certificates_of_mechanisms_are_written_with_numbers(
    costs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = jensen.check(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=1.0))
    answer = why_of()
    answer.mechanisms[2].finding = found
    monkeypatch.setattr(jensen, "why", lambda cost, **_: answer, raising=False)
    assert run("why", costs, "--save", tmp_path / "a.jensen").exit_code == 0
    assert [p.name for p in tmp_path.glob("*.jensen")] == ["a-3.jensen"]
    assert run("verify", tmp_path / "a-3.jensen").exit_code == 0


def test_report_asks_everything(costs: Path, asked: Any, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page, saved = tmp_path / "all.html", tmp_path / "all.jensen"
    result = run("report", f"{costs}:product", "--report", page, "--save", saved, "--budget", 5)
    assert result.exit_code == 0, result.output
    assert set(asked) == {"why", "remedies", "spectrum", "classify"}
    text = page.read_text()
    for words in ("J is not convex in x and y jointly", "Where it is convex", "What breaks it by itself"):
        assert words in text
    for words in ("What would make it convex", "The spectrum of the Hessian", "What kind of point is this?"):
        assert words in text
    assert "jensen verify all.jensen" in text
    assert f"{page} holds all of this." in result.stdout
    answers = json.loads(run("report", f"{costs}:product", "--report", page, "--json").stdout)
    assert [*answers] == ["check", "blocks", "why", "remedies", "spectrum", "classify"]


def test_report_of_a_convex_cost_needs_no_remedy(costs: Path, asked: Any, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    result = run("report", f"{costs}:square", "--report", tmp_path / "r.html", "--without", "spectrum")
    assert result.exit_code == 0
    assert set(asked) == {"classify"}


def test_report_says_what_it_could_not_answer(
    costs: Path, asked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("plotly")

    def refuse(cost: Any, **_: Any) -> Any:
        raise Misuse("there is no second derivative at floor")

    def break_down(cost: Any, **_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(jensen, "why", refuse, raising=False)
    page = tmp_path / "r.html"
    assert run("report", f"{costs}:product", "--report", page).exit_code == 0
    assert "there is no second derivative at floor" in page.read_text()
    monkeypatch.setattr(jensen, "spectrum", break_down, raising=False)
    result = run("report", f"{costs}:product", "--report", page)
    assert result.exit_code == 3
    assert "RuntimeError: out of memory" in page.read_text()
    only_why = [w for q in ("check", "blocks", "remedies", "spectrum", "classify") for w in ("--without", q)]
    result = run("report", f"{costs}:product", "--report", page, *only_why)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1] == "jensen: none of these questions was answered"


def test_a_finding_is_drawn_by_its_own_class() -> None:
    assert refuted().__rich__().title is not None


def test_report_adds_a_watched_training(costs: Path, asked: Any, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    from jensen.run.journal import Journal

    ran, page = tmp_path / "run.jsonl", tmp_path / "r.html"
    fields = {"skipped": 0, "error": None, "index_words": "", "lowest": [{"value": -1.0, "bound": 0.1}]}
    for step in (0, 10, 20):
        Journal(ran).append({"kind": "watch", "run": "a", "step": step, "J": 1.0 / (step + 1), **fields})
    only = [w for q in ("blocks", "why", "remedies", "spectrum", "classify") for w in ("--without", q)]
    result = run("report", f"{costs}:square", "--report", page, "--journal", ran, *only)
    assert result.exit_code == 0, result.output
    assert "TRAINING: 3 records from step 0 to step 20." in result.stdout
    assert "Over training" in page.read_text()
    assert "there is no journal" in one_sentence(run("report", costs, "--journal", tmp_path / "none.jsonl"))


REAL = """
import torch
from torch import nn
import jensen

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
x, y = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
cost = jensen.Cost(model, nn.MSELoss(), (x, y))
"""


def test_everything_about_a_real_cost(tmp_path: Path) -> None:
    """No answer made by hand: the real questions, their page, and certificates that the kernel accepts."""
    pytest.importorskip("plotly")
    target, page, saved = tmp_path / "real.py", tmp_path / "r.html", tmp_path / "r.jensen"
    target.write_text(REAL)
    result = run("report", target, "--report", page, "--save", saved, "--budget", 0.5, "--json")
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)
    assert answers["check"]["verdict"] == "REFUTED"
    shares = answers["why"]["shares"]
    assert sum(s["share"] for s in shares) == pytest.approx(answers["why"]["curvature"], abs=1e-9)
    assert answers["remedies"]["remedies"]
    assert len(answers["spectrum"]["lowest"]) >= 1
    assert answers["classify"]["kind"] == "not critical"
    text = page.read_text()
    for words in ("The program, coloured by share", "What breaks it by itself", "products of parameters alone"):
        assert words in text
    assert run("verify", saved, "--cost", target).exit_code == 0


def test_remedies_certificates_are_accepted(tmp_path: Path) -> None:
    target = tmp_path / "real.py"
    target.write_text(REAL)
    assert run("remedies", target, "--budget", 3, "--save", tmp_path / "m.jensen").exit_code == 0
    written = sorted(tmp_path.glob("m-*.jensen"))
    assert written
    assert all(run("verify", file).exit_code == 0 for file in written)
