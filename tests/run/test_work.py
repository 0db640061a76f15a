"""Units are done once: resumed, shared, retried, and never recorded twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from jensen.run.engines import Local
from jensen.run.journal import Journal
from jensen.run.work import Claims, Unit, work

Answer = tuple[dict[str, Any], dict[str, torch.Tensor]]


def draw(seed: int, mark: str = "") -> Answer:
    """A unit: numbers that depend on its seed alone; says that it ran."""
    if mark:
        with open(mark, "a") as f:
            f.write(f"{seed}\n")
    t = torch.randn(20, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"seed": seed, "sum": float((t @ t).sum()), "odd": float("inf")}, {"t": t}


def units_of(count: int, mark: str = "") -> list[Unit]:
    return [Unit(f"u{k}", draw, (k, mark)) for k in range(count)]


def test_without_a_journal_all_is_in_memory() -> None:
    got = work(units_of(5), Local())
    assert [record["seed"] for record, _ in got.values()] == list(range(5))
    assert torch.equal(got["u3"][1]()["t"], draw(3)[1]["t"])


def test_what_is_in_the_journal_is_not_done_again(tmp_path: Path) -> None:
    journal, mark = Journal(tmp_path / "run.jsonl"), tmp_path / "ran"
    told: list[tuple[str, bool]] = []
    work(units_of(3, str(mark)), Local(), journal)
    before = (tmp_path / "run.jsonl").read_bytes()
    got = work(units_of(3, str(mark)), Local(), Journal(tmp_path / "run.jsonl"))
    assert (tmp_path / "run.jsonl").read_bytes() == before
    assert got["u2"][0] == {"seed": 2, "sum": draw(2)[0]["sum"], "odd": "inf"}
    more = work(units_of(5, str(mark)), Local(), journal, lambda key, record, new: told.append((key, new)))
    assert mark.read_text().split() == ["0", "1", "2", "3", "4"], "each ran once"
    assert told == [("u0", False), ("u1", False), ("u2", False), ("u3", True), ("u4", True)]
    assert torch.equal(more["u4"][1]()["t"], draw(4)[1]["t"])


def test_a_unit_that_raises_ends_the_work_and_keeps_the_rest(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    units = [*units_of(2), Unit("bad", divmod, (1, 0)), Unit("late", draw, (7,))]
    with pytest.raises(ZeroDivisionError):
        work(units, Local(), journal)
    assert journal.keys() == {"u0", "u1"}


def test_a_claim_holds_for_other_processes_and_falls_with_its_holder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    script = (
        "import sys, time\nfrom jensen.run.journal import Journal\nfrom jensen.run.work import Claims\n"
        "c = Claims(Journal(sys.argv[1]))\nprint(c.take('a'), flush=True)\ntime.sleep(600)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(journal.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline().strip() == "True"
        claims = Claims(journal)
        assert not claims.take("a")
        assert claims.take("b")
    finally:
        other.kill()
        other.wait()
    assert claims.take("a")
    claims.close()


# -- processes that are killed ----------------------------------------------------------------------------------------

DRIVER = """
import sys
sys.path[:0] = [{tests!r}]
from test_work import units_of
from jensen.run.engines_processes import Processes
from jensen.run.journal import Journal
from jensen.run.work import work
work(units_of({count}), Processes({workers}), Journal({path!r}))
"""


def start(path: Path, count: int, workers: int) -> subprocess.Popen[bytes]:
    script = DRIVER.format(tests=str(Path(__file__).parent), count=count, workers=workers, path=str(path))
    return subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stderr=subprocess.DEVNULL)


def lines_of(path: Path) -> list[bytes]:
    """A journal's records in canonical order."""
    return sorted(path.read_bytes().splitlines())


def written(path: Path) -> int:
    return len(lines_of(path)) if path.exists() else 0


@pytest.mark.slow
def test_killed_drivers_and_two_at_once_leave_the_journal_of_an_undisturbed_run(tmp_path: Path) -> None:
    count, rng = 80, Random(3)
    whole = tmp_path / "whole.jsonl"
    work(units_of(count), Local(), Journal(whole))
    path = tmp_path / "run.jsonl"
    kills = 0
    for _ in range(2):
        drivers, enough = [start(path, count, 1), start(path, count, 1)], written(path) + rng.randrange(1, 12)
        while written(path) < enough and any(d.poll() is None for d in drivers):
            time.sleep(0.002)
        for d in drivers:
            if d.poll() is None:
                os.killpg(d.pid, signal.SIGKILL)
                kills += 1
            d.wait()
    assert kills, "nobody was killed: every driver had finished before"
    work(units_of(count), Local(), Journal(path))
    assert lines_of(path) == lines_of(whole)
    for entry in Journal(path).entries():
        assert torch.equal(entry.load()["t"], draw(entry.record["seed"])[1]["t"])
