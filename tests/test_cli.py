"""The command: verdicts as exit codes, misuse in one sentence, nothing but JSON where JSON is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jensen import __version__
from jensen.cli import app

COSTS = """
import torch
import jensen

product = jensen.Cost.of(lambda x, y: (x * y).sum() + (x * x).sum(), x=torch.ones(3), y=torch.ones(3))
cost = square = jensen.Cost.of(lambda x: (x * x).sum(), x=torch.ones(3))
logarithm = jensen.Cost.of(lambda x: -x.log(), x=1.0)
number = 3


def made():
    return square


def wrong():
    return 3


def broken():
    raise RuntimeError("no data here")
"""


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    path = tmp_path / "my_costs.py"
    path.write_text(COSTS)
    return path


def run(*args: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args])


def one_sentence(result: Any) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("jensen: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_version_and_help() -> None:
    assert run("--version").stdout == f"jensen {__version__}\n"
    assert "verify" in run("--help").stdout


def test_proved_refuted_unknown(costs: Path) -> None:
    proved = run("check", f"{costs}:square")
    assert proved.exit_code == 0
    assert proved.stdout.startswith("PROVED: J is convex in x")
    refuted = run("check", f"{costs}:product")
    assert refuted.exit_code == 1
    assert "REFUTED: J is not convex in x and y jointly" in refuted.stdout
    assert "convex in: x\n" in refuted.stdout
    unknown = run("check", f"{costs}:logarithm", "--budget", 0.5)
    assert unknown.exit_code == 3
    assert unknown.stdout.startswith("UNKNOWN")


def test_boxes(costs: Path) -> None:
    assert run("check", f"{costs}:logarithm", "--within", "x=0.5:").exit_code == 0
    assert "within x in [0.5, inf)" in run("check", f"{costs}:logarithm", "--within", "x=0.5:").stdout


@pytest.mark.parametrize("target", ["{0}", "{0}:made", "{0}:square"])
def test_targets(costs: Path, target: str) -> None:
    assert run("check", target.format(costs)).exit_code == 0


def test_a_cost_that_is_made_on_demand_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "lazy_costs.py"
    path.write_text(
        "import jensen\n\n\ndef __getattr__(name):\n    if name != 'cost':\n        raise AttributeError(name)\n"
        "    print('made')\n    return jensen.Cost.of(lambda x: x * x, x=1.0)\n"
    )
    result = run("check", path)
    assert result.exit_code == 0
    assert result.stderr == "made\n"
    assert "defines no 'coast'" in one_sentence(run("check", f"{path}:coast"))


def test_module_target(costs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(costs.parent))
    assert run("check", "my_costs:square").exit_code == 0
    assert run("check", "my_costs").exit_code == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("{0}:squre",), "did you mean"),
        (("{0}:number",), "not a jensen.Cost"),
        (("{0}:wrong",), "returned int"),
        (("{0}:broken",), "no data here"),
        (("{0}s",), "did you mean"),
        (("no_such_module_here",), "there is no module"),
        (("{0}", "--of", "z"), "matches no block"),
        (("{0}", "--claim", "round"), "ask for one of"),
        (("{0}", "--within", "x=1"), "NAME=LO:HI"),
        (("{0}", "--within", "x=a:b"), "NAME=LO:HI"),
        (("{0}", "--within", "x=2:1"), "empty"),
        (("{0}", "--save", "/nowhere/at/all.jensen"), "there is no folder"),
    ],
)
def test_misuse_is_one_sentence(costs: Path, args: tuple[str, ...], words: str) -> None:
    assert words in one_sentence(run("check", *(a.format(costs) for a in args)))


def test_a_file_that_fails_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text("import torch\n\nx = 1 / 0\n")
    assert "line 3: ZeroDivisionError" in one_sentence(run("check", path))
    path.write_text("def f(:\n")
    assert "line 1: SyntaxError" in one_sentence(run("check", path))


def test_json_is_all_there_is(costs: Path) -> None:
    result = run("check", f"{costs}:product", "--json")
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "REFUTED"
    assert answer["blocks"] == ["x", "y"]
    assert result.stderr == ""
    sets = json.loads(run("blocks", f"{costs}:product", "--json").stdout)
    assert sets["maximal"] == [["x"], ["y"]]
    assert [c["blocks"] for c in sets["conflicts"]] == [["x", "y"]]
    assert sets["complete"] is True


def test_json_stays_alone_when_the_file_prints(costs: Path) -> None:
    costs.write_text(f"print('loading the data')\n{COSTS}")
    result = run("check", f"{costs}:square", "--json")
    assert json.loads(result.stdout)["verdict"] == "PROVED"
    assert result.stderr == "loading the data\n"


def test_a_file_that_exits_is_misuse(tmp_path: Path) -> None:
    path = tmp_path / "leaving.py"
    path.write_text("raise SystemExit(0)\n")
    assert "failed to load" in one_sentence(run("check", path))


def test_a_report_without_plotly_is_refused_first(costs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.verbs.shared.find_spec", lambda name: None)
    assert "pip install" in one_sentence(run("check", costs, "--report", costs.parent / "r.html"))


def test_save_verify_and_report(costs: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    saved, page = tmp_path / "a.jensen", tmp_path / "a.html"
    assert run("check", f"{costs}:product", "--save", saved, "--report", page).exit_code == 1
    accepted = run("verify", saved)
    assert accepted.exit_code == 0
    assert accepted.stdout.startswith("accepted: J is not convex in x and y jointly")
    assert "jensen verify a.jensen" in page.read_text()
    assert run("verify", saved, "--cost", f"{costs}:product").exit_code == 0
    other = run("verify", saved, "--cost", f"{costs}:square", "--json")
    assert other.exit_code == 1
    assert json.loads(other.stdout)["accepted"] is False


def test_verify_rejects_damage_and_refuses_what_is_not_there(costs: Path, tmp_path: Path) -> None:
    saved = tmp_path / "a.jensen"
    run("check", f"{costs}:square", "--save", saved)
    saved.write_bytes(saved.read_bytes()[:-30])
    result = run("verify", saved)
    assert result.exit_code == 1
    assert result.stdout.startswith("rejected: ")
    one_sentence(run("verify", tmp_path / "none.jensen"))


def test_no_certificate_is_said(costs: Path, tmp_path: Path) -> None:
    result = run("check", f"{costs}:logarithm", "--budget", 0.5, "--save", tmp_path / "u.jensen")
    assert result.exit_code == 3
    assert "no certificate" in result.stderr
    assert not (tmp_path / "u.jensen").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(costs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "a.jensen")

    monkeypatch.setattr("jensen.certificate.write", full)
    result = run("check", f"{costs}:square", "--save", costs.parent / "a.jensen")
    assert result.exit_code == 2
    assert result.stderr == "jensen: a.jensen: No space left on device\n"


def test_verify_does_not_import_torch(costs: Path, tmp_path: Path) -> None:
    saved = tmp_path / "a.jensen"
    run("check", f"{costs}:square", "--save", saved)
    code = "import sys\nfrom jensen.cli import app\ntry:\n    app()\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", str(saved)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    accepted, has_torch = done.stdout.splitlines()
    assert accepted.startswith("accepted: J is convex in x")
    assert has_torch == "False"


def test_a_terminal_shows_panels(costs: Path) -> None:
    """Under a pseudo-terminal the answer is drawn in a box."""
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    code = "from jensen.cli import app; app()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "check", f"{costs}:square"], stdout=child, stderr=subprocess.PIPE
    ) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert process.wait(120) == 0
    os.close(parent)
    assert "╭".encode() in shown
    assert b"PROVED" in shown
