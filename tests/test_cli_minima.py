"""``jensen minima``: options, refusals, progress on a terminal, quiet in a pipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jensen.ask.minima import census
from jensen.cli import app
from jensen.errors import Misuse
from jensen.target import family
from jensen.verbs.census import numbers, words

FILE = """
import torch
import jensen

print("the file is read")
cost = jensen.Cost.of(lambda x: ((x * x - 1) ** 2).sum(), x=torch.zeros(2))

def family(width):
    print("a cost of width", width)
    return jensen.Cost.of(lambda x: ((x * x - 1) ** 2 + x / 9).sum(), x=torch.zeros(width))
"""
HOW = ["--optimiser", "gd", "--step", "0.05", "--steps", "60"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_family.py"
    path.write_text(FILE)
    return path


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["minima", *map(str, words)])


def test_a_family_in_a_pipe(file: Path, tmp_path: Path) -> None:
    journal, page = tmp_path / "run.jsonl", tmp_path / "page.html"
    done = run(file, "--widths", "1,2", "--runs", 12, *HOW, "--journal", journal, "--report", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("MINIMA: 24 runs over 2 widths ended as 24 minima")
    assert "the file is read" not in done.stdout and "a cost of width" not in done.stdout
    assert "units" not in done.output, "quiet in a pipe"
    assert "Where many trainings end" in page.read_text() and journal.exists()
    again = run(file, "--widths", "1,2", "--runs", 12, *HOW, "--journal", journal, "--json")
    told = json.loads(again.stdout)
    assert told["resumed"] == 24 and told["counts"]["minimum"] == 24
    assert {"kind", "value", "index", "share", "interval", "orbit"} <= set(told["ends"][0])
    assert [w["width"] for w in told["widths"]] == [1, 2]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--widths", "2,x"], "--widths '2,x'"),
        (["--engine", "cluster"], "engine='cluster' is not known"),
        (["--optimiser", "newton"], "optimiser='newton'"),
        (["--journal", "nowhere/run.jsonl"], "no folder"),
        (["--report", "x.py"], "would overwrite"),
        (["--widths", "2,2"], "different whole numbers"),
    ],
)
def test_refusals(file: Path, options: list[str], match: str) -> None:
    done = run(file, *options, "--runs", 4)
    assert done.exit_code == 2 and done.stdout == ""
    assert match in done.stderr
    assert ("the file is read" in done.stderr) == (options == ["--widths", "2,2"]), "refused before the file is run"


def test_families_that_there_are_not(file: Path) -> None:
    assert family(f"{file}")(1).blocks == {"x": (1,)}
    with pytest.raises(Misuse, match=r"no function 'cost' .*my_family\.py:family"):
        family(f"{file}:cost")
    with pytest.raises(Misuse, match="there is no file"):
        family("nowhere.py")


def test_numbers() -> None:
    assert numbers(None) is None and numbers("2, 5,10") == [2, 5, 10]
    for text in ("", "2,", "-1", "2.5", "²"):
        with pytest.raises(Misuse, match="--widths"):
            numbers(text)


def test_progress_says_units_rate_time_left_and_kinds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"units": 3, "of": 8, "runs": 24, "rate": 12.345, "left": 95.0, "counts": {"minimum": 23, "saddle": 1}}
    assert words(figures) == "3 of 8 units, 12.3 runs a second, 1.6 min left: 23 minimum, 1 saddle"
    assert words({**figures, "left": None, "rate": 0.0}) == "3 of 8 units: 23 minimum, 1 saddle"
    asked: dict[str, Any] = {}

    def minima(cost: Any, runs: int, widths: Any, **options: Any) -> Any:
        asked.update(options, runs=runs, widths=widths)
        raise Misuse("enough")

    monkeypatch.setattr(census, "minima", minima)
    done = run(file, "--polish", "none", "--seed", 3, "--bad", 0.5, "--batch", 4)
    assert done.exit_code == 2 and "enough" in done.stderr
    assert asked == {
        "runs": 100, "widths": None, "engine": "local", "journal": None, "progress": None,
        "polish": None, "seed": 3, "bad": 0.5, "batch": 4,
    }  # fmt: skip
