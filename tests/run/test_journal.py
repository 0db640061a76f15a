import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jensen.errors import Misuse
from jensen.run import journal as journals
from jensen.run.journal import Journal, JournalWarning
from jensen.testing import LawBroken, check_journal


def test_laws(tmp_path):
    check_journal(Journal, tmp_path, records=16)


class Forgetful(Journal):
    """A journal that acknowledges without writing each seventh record."""

    def append(self, record, tensors=None, key=None):
        return True if record and len(self.read()) == 6 else super().append(record, tensors, key)


class Careless(Journal):
    """A journal that never looks at how its file ends."""

    def _mend(self, fd):
        if os.fstat(fd).st_size == 0:
            super()._mend(fd)


class Keyless(Journal):
    """A journal that forgets which keys it has."""

    def _read_keys(self, fd):
        return set()


BROKEN = ((Forgetful, "killed writer|do not disturb"), (Careless, "torn end"), (Keyless, "filed once"))


@pytest.mark.parametrize(("broken", "law"), BROKEN)
def test_the_laws_find_broken_journals(broken, law, tmp_path):
    with pytest.raises(LawBroken, match=law):
        check_journal(broken, tmp_path, records=8)


def test_a_damaged_last_line_is_kept_aside_and_reported(tmp_path):
    path = tmp_path / "run.jsonl"
    journal = Journal(path)
    for n in range(3):
        journal.append({"n": n})
    path.write_bytes(path.read_bytes()[:-7])
    assert [d.line for d in journal.damage()] == [4]
    with pytest.warns(JournalWarning, match="damaged"):
        assert [r["n"] for r in journal.read()] == [0, 1]
    with pytest.warns(JournalWarning, match="torn"):
        journal.append({"n": 3})
    assert [r["n"] for r in journal.read()] == [0, 1, 3]
    assert b'"n":2' in (tmp_path / "run.jsonl.damaged").read_bytes()
    assert journal.damage() == []


def test_a_changed_line_in_the_middle_is_seen_and_the_rest_kept(tmp_path):
    path = tmp_path / "run.jsonl"
    for n in range(3):
        Journal(path).append({"n": n}, key=str(n))
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))
    journal = Journal(path)
    with pytest.warns(JournalWarning, match="number 3"):
        assert [r["n"] for r in journal.read()] == [0, 2]
    assert "checksum" in journal.damage()[0].why
    assert journal.append({"n": 1}, key="1")
    assert not journal.append({"n": 2}, key="2")


def test_journals_joined_end_to_end_are_one_journal(tmp_path):
    for name in ("a", "b"):
        Journal(tmp_path / name).append({"from": name}, {"t": torch.ones(2)})
    both = tmp_path / "both"
    both.write_bytes((tmp_path / "a").read_bytes() + (tmp_path / "b").read_bytes())
    assert [r["from"] for r in Journal(both).read()] == ["a", "b"]


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "run.jsonl"
    Journal(path).append({"n": 1})
    newer = path.read_bytes().replace(b'"format":1', b'"format":2')
    path.write_bytes(newer)
    with pytest.raises(Misuse, match="update jensen"):
        Journal(path)
    assert path.read_bytes() == newer


@pytest.mark.parametrize("content", [b"{}\n", b"hello", b'{"loss": 1}\n{"loss": 2}\n', b"\x00\x01"])
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / "metrics.jsonl"
    opened = Journal(path)
    path.write_bytes(content)
    with pytest.raises(Misuse, match="no jensen journal"):
        Journal(path)
    with pytest.raises(Misuse, match="no jensen journal"):
        opened.append({"n": 1})
    assert path.read_bytes() == content


def test_paths_that_cannot_be_journals(tmp_path):
    with pytest.raises(Misuse, match="is a folder"):
        Journal(tmp_path)
    with pytest.raises(Misuse, match="does not exist"):
        Journal(tmp_path / "nowhere" / "run.jsonl")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(Misuse, match="a device or a pipe"):
            Journal(path)


def full_disk(after):
    """An os.write that runs out of room after some bytes, as a disk does: first short, then an error."""
    room = [after]
    real = os.write

    def write(fd, data):
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n = real(fd, bytes(data)[: room[0]])
        room[0] -= n
        return n

    return write


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "run.jsonl")
    journal.append({"n": 0})
    before = journal.path.read_bytes()
    with monkeypatch.context() as m:
        m.setattr(journals.os, "write", full_disk(20))
        with pytest.raises(OSError, match="make room") as caught:
            journal.append({"n": 1})
    assert caught.value.errno == errno.ENOSPC
    assert journal.path.read_bytes() == before
    journal.append({"n": 2})
    assert [r["n"] for r in journal.read()] == [0, 2]


def test_a_limit_on_file_sizes_in_earnest(tmp_path):
    """The kernel itself refuses the write: RLIMIT_FSIZE in a process of its own."""
    code = f"""
import torch, sys
from jensen.run.journal import Journal
journal, done = Journal({str(tmp_path / "run.jsonl")!r}), 0
try:
    for n in range(1000):
        journal.append({{"n": n, "text": "x" * 100}})
        done += 1
except OSError as e:
    assert "make room" in str(e), e
try:
    journal.append({{"n": -1}}, {{"t": torch.zeros(10_000)}})
except OSError as e:
    print(done)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # noqa: E731
    out = subprocess.run([sys.executable, "-c", code], env=env, preexec_fn=limit, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    journal = Journal(tmp_path / "run.jsonl")
    assert [r["n"] for r in journal.read()] == list(range(int(out.stdout)))
    assert list(journal.folder.glob("*")) == []
    journal.append({"n": "more"})
    assert len(journal.read()) == int(out.stdout) + 1


def test_lists_in_lists_without_end_are_damage(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    journal.append({"n": 0})
    with journal.path.open("ab") as file:
        file.write(b"[" * 200_000 + b"]" * 200_000 + b"\n")
    with pytest.warns(JournalWarning, match="damaged lines"):
        assert Journal(journal.path).read() == [{"n": 0}]
    other = tmp_path / "other.jsonl"
    other.write_bytes(b"[" * 200_000 + b"]" * 200_000 + b"\n")
    with pytest.raises(Misuse):
        Journal(other)


def test_tensor_files_are_whole_or_missing(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    journal.append({"n": 0}, {"t": torch.arange(5)})
    (entry,) = journal.entries()
    file = journal.folder / f"{entry.tensors}.safetensors"
    (journal.folder / "left.123.unfinished").write_bytes(b"half")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    with pytest.raises(Misuse, match="damaged"):
        entry.load()
    journal.append({"n": 1}, {"t": torch.arange(5)})  # the same content: the file is written anew
    assert torch.equal(entry.load()["t"], torch.arange(5))
    assert not list(journal.folder.glob("*.unfinished"))
    file.unlink()
    with pytest.raises(Misuse, match="missing"):
        entry.load()


def test_reading_needs_no_right_to_write(tmp_path):
    journal = Journal(tmp_path / "run.jsonl")
    journal.append({"n": 0})
    journal.path.chmod(0o444)
    assert Journal(journal.path).read() == [{"n": 0}]


def test_lines_are_plain_json(tmp_path):
    journal = Journal(tmp_path / "run.jsonl", durable=True)
    journal.append({"n": 1, "value": 0.1}, key="one")
    lines = [json.loads(line) for line in Path(journal.path).read_text().splitlines()]
    assert lines[1]["record"] == {"n": 1, "value": 0.1} and lines[1]["key"] == "one"
