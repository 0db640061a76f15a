"""Certificates that refer to their data: written, and checked with a cost in Python and on the command line."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from jensen import Cost, Misuse, Rejected, Verdict, certificate, check, chunks, verify
from jensen.cli import app

TARGET = """
import torch
from torch import nn
from jensen import Cost

x = torch.linspace(-1, 1, 60).reshape(20, 3)
y = torch.arange(20) % 2
torch.manual_seed(0)
cost = Cost(nn.Linear(3, 2), nn.CrossEntropyLoss(), [(x[:8], y[:8]), (x[8:16], y[8:16]), (x[16:], y[16:])])
other = Cost(nn.Linear(3, 2), nn.CrossEntropyLoss(), [(-x[:8], y[:8]), (x[8:16], y[8:16]), (x[16:], y[16:])])
"""


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "IN_MEMORY", 100)
        patch.setattr(certificate, "EMBED_LIMIT", 100)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A target and a certificate about it that holds no data."""
    folder = tmp_path_factory.mktemp("stream")
    target, file = folder / "stream_target.py", folder / "x.jensen"
    target.write_text(TARGET)
    names: dict = {}
    exec(TARGET, names)
    finding = check(names["cost"])
    assert finding.verdict == Verdict.PROVED
    finding.save(file)
    return target, file, names


def run(*args: object):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_what_the_file_holds(files):
    _, file, _ = files
    with zipfile.ZipFile(file) as z:
        assert json.loads(z.read("claim.json"))["format"] == 2
        program = json.loads(z.read("program.json"))
    assert program["references"]
    assert all(set(r) == {"sha256", "dtype", "shape"} for r in program["references"].values())
    assert len(program["terms"]) == 3


def test_the_cost_gives_the_data(files, monkeypatch):
    _, file, names = files
    assert verify(file, cost=names["cost"]).statement == "J is convex in weight and bias jointly"
    with pytest.raises(Rejected, match="--data TARGET"):
        verify(file)
    with pytest.raises(Rejected, match=r"tensor .* of part 0 is float64 of shape"):
        verify(file, cost=names["other"])
    monkeypatch.setattr(chunks, "IN_MEMORY", 10**9)
    exec(TARGET, kept := {})
    assert not kept["cost"].streamed
    assert verify(file, cost=kept["cost"]).kind == "convex"


def test_data_that_changes_while_it_is_verified(files):
    _, file, names = files
    before = names["x"].clone()
    names["x"][9, 0] += 1.0
    try:
        with pytest.raises(Misuse, match="the data differed on two passes"):
            verify(file, cost=names["cost"])
    finally:
        names["x"].copy_(before)


def test_on_the_command_line(files):
    target, file, _ = files
    good = run("verify", file, "--data", f"{target}:cost")
    assert good.exit_code == 0, good.output
    assert "accepted: J is convex in weight and bias jointly" in good.output
    without = run("verify", file)
    assert without.exit_code == 1
    assert "--data" in without.output
    other = run("verify", file, "--data", f"{target}:other")
    assert other.exit_code == 1
    assert "sha256" in other.output


def test_data_in_memory_is_referred_to_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate, "EMBED_LIMIT", 4000)
    x, y = torch.linspace(-1, 1, 600, dtype=torch.float64).reshape(200, 3), torch.arange(200) % 2
    torch.manual_seed(0)
    cost = Cost(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), nn.CrossEntropyLoss(), (x, y))
    finding = check(cost)
    assert finding.verdict == Verdict.REFUTED
    finding.save(tmp_path / "x.jensen")
    with zipfile.ZipFile(tmp_path / "x.jensen") as z:
        assert len(z.read("tensors.safetensors")) < 4000  # the points of the chord
    assert verify(tmp_path / "x.jensen", cost=cost).kind == "not convex"
    monkeypatch.setattr(certificate, "EMBED_LIMIT", 100)
    with pytest.raises(Misuse, match="MB of tensors besides its data; the limit is 256 MB"):
        finding.save(tmp_path / "y.jensen")


def test_small_data_stays_in_the_file_in_the_old_format(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate, "EMBED_LIMIT", 10**6)
    exec(TARGET, names := {})
    check(names["cost"]).save(tmp_path / "x.jensen")
    with zipfile.ZipFile(tmp_path / "x.jensen") as z:
        assert json.loads(z.read("claim.json"))["format"] == 1
        assert "references" not in json.loads(z.read("program.json"))
    assert verify(tmp_path / "x.jensen").kind == "convex"


def test_the_claim_is_checked_before_the_model_is_loaded(tmp_path):
    target = tmp_path / "never.py"
    target.write_text("raise RuntimeError('loaded')")
    done = run("check", target, "--claim", "convexe")
    assert done.exit_code == 2
    assert "claim='convexe' is not known; ask for one of convex" in done.output
