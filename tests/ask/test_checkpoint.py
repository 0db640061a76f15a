"""Checkpoints that were damaged, and disks that refuse."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import jensen
from jensen.ask.curvature.checkpoint import Checkpoint
from jensen.linalg.operators import Dense

ASKED = {"k": 2, "method": "iterative", "probes": 2, "steps": 12, "every": 0.0}


class Stop(Exception):
    pass


def matrix():
    a = torch.randn(80, 80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Dense(a + a.T)


def begun(path: Path) -> Path:
    """A checkpoint of a solve that was stopped; its tensors' path."""
    count = 0

    def stop(figures: dict) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise Stop

    with pytest.raises(Stop):
        jensen.spectrum(matrix(), checkpoint=path, progress=stop, **ASKED)
    return path.parent / json.loads(path.read_text())["tensors"]


def other_entry(path: Path, **new) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **new}))


def scaled(tensors: Path) -> None:
    held = load_file(tensors)
    held["ends.projected"] = held["ends.projected"] * 1.1
    save_file(held, tensors)


def dropped(tensors: Path) -> None:
    save_file({n: t for n, t in load_file(tensors).items() if n != "ends.pending"}, tensors)


def flipped(tensors: Path) -> None:
    data = bytearray(tensors.read_bytes())
    data[-100] ^= 255
    tensors.write_bytes(bytes(data))


DAMAGE = {
    "scaled": lambda path, tensors: scaled(tensors),
    "dropped": lambda path, tensors: dropped(tensors),
    "flipped": lambda path, tensors: flipped(tensors),
    "cut": lambda path, tensors: tensors.write_bytes(tensors.read_bytes()[:500]),
    "gone": lambda path, tensors: tensors.unlink(),
    "question": lambda path, tensors: other_entry(path, question=None),
    "figures": lambda path, tensors: other_entry(path, figures=[1]),
    "products": lambda path, tensors: other_entry(path, figures={"products": "x", "seconds": 1.0}),
    "null": lambda path, tensors: path.write_text("null"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_was_damaged_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s.json"
    DAMAGE[name](path, begun(path))
    with pytest.raises(jensen.Misuse, match="cannot be read"):
        jensen.spectrum(matrix(), checkpoint=path, **ASKED)
    assert path.exists()


def test_a_solve_goes_on_where_its_vectors_are(tmp_path: Path) -> None:
    """On a CUDA device, for example; the device "meta" stands for it."""
    begun(tmp_path / "s.json")
    asks = json.loads((tmp_path / "s.json").read_text())["question"]
    state, sampling, figures = Checkpoint(tmp_path / "s.json", asks, 0.0, "meta").load()
    assert state is not None and {state.space.basis.device.type, state.space.pending.device.type} == {"meta"}
    assert sampling is None and figures["products"] > 0


def test_a_path_where_nothing_can_be_kept_is_told_before_the_solve(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(jensen.Misuse, match="nothing can be kept"):
        jensen.spectrum(matrix(), checkpoint=tmp_path / "file" / "s.json", **ASKED)


def test_a_full_disk_ends_no_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = jensen.spectrum(matrix(), **ASKED)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as f:
            f.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="was not kept"):
        got = jensen.spectrum(matrix(), checkpoint=tmp_path / "s.json", **ASKED)
    assert got.highest == want.highest and got.lowest == want.lowest
    assert list(tmp_path.iterdir()) == []
