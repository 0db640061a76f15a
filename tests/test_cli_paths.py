"""The verbs align and connect: points from files and by name, pages, saved tensors, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from jensen.cli import app

COSTS = """
import torch
from torch import nn
import jensen

torch.manual_seed(0)
net = lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
one, two = net(), net()
cost = jensen.Cost(one, nn.CrossEntropyLoss(), (torch.randn(12, 3), torch.randint(0, 2, (12,))))
wells = jensen.Cost.of(lambda x: (x * x - 1) ** 2, x=0.0)
left = {"x": torch.tensor(-1.0)}
right = {"x": torch.tensor(1.0)}
"""


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    path = tmp_path / "ways.py"
    path.write_text(COSTS)
    return path


def run(*args: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


def test_align_by_name(costs: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page, copy = tmp_path / "align.html", tmp_path / "copy.safetensors"
    told = run("align", costs, "one", "two", "--restarts", 0, "--report", page, "--save", copy, "--json")
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert set(answer) == {"align", "before", "after"}
    assert answer["after"]["height"] <= answer["before"]["height"] + 1e-9
    assert set(load_file(copy)) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    text = page.read_text()
    assert "before alignment" in text and "Alignment" in text
    again = run("connect", costs, "one", copy, "--method", "bezier", "--steps", 2)
    assert again.exit_code == 0 and again.stdout.startswith("CONNECTION: ")


def test_connect_by_files_and_names(costs: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    file, page, points = tmp_path / "b.safetensors", tmp_path / "curve.html", tmp_path / "points.safetensors"
    save_file({"x": torch.tensor(1.0)}, file)
    told = run("connect", f"{costs}:wells", "left", file, "--steps", 3, "--report", page, "--save", points)
    assert told.exit_code == 0, told.output
    assert "an upper bound of the lowest pass" in told.stdout and "A way between two points" in page.read_text()
    assert load_file(points)["0/x"].item() == -1.0
    as_json = run("connect", f"{costs}:wells", "left", "right", "--steps", 3, "--json")
    assert json.loads(as_json.stdout)["height"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("connect", "left", "rihgt"), "did you mean right?"),
        (("connect", "left", "gone.safetensors"), "there is no file"),
        (("connect", "left", "right", "--method", "luck"), "give one of bezier, neb"),
        (("align", "left", "right", "--method", "luck"), "give one of weights"),
        (("connect", "left", "cost"), "is Cost; give a dict"),
    ],
)
def test_refusals(costs: Path, args: tuple[str, ...], words: str) -> None:
    verb, *rest = args
    told = run(verb, f"{costs}:wells", *rest)
    assert told.exit_code == 2 and words in told.stderr and told.stderr.count("\n") == 1
