"""What the README shows, runs, and says what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("plotly")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    verdict, statement, sets, mechanisms, changes, kind, copies = capsys.readouterr().out.splitlines()
    assert verdict == "REFUTED"
    assert statement.startswith("PROVED J is convex in 2.weight and 2.bias jointly, for every value")
    assert sets == "(('2.weight', '2.bias'),)"
    assert "'loss'" in mechanisms and "'product of parameters'" in mechanisms
    assert "PROVED convex (freeze" in changes
    assert kind == "not critical"
    assert copies == "8!"
    assert {p.name for p in tmp_path.iterdir()} == {"last_layer.jensen", "last_layer.html"}


def test_the_files_it_names_exist() -> None:
    root = Path(__file__).resolve().parent.parent
    for name in re.findall(r"examples/\w+\.py", README):
        assert (root / name).is_file()
