"""Every engine against the laws; Ray on a real cluster of two nodes, one of which is killed."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import jensen
from jensen.errors import Misuse
from jensen.run.engines import Local, engine_of
from jensen.run.engines_processes import Processes
from jensen.run.packing import outcome, pack, perform
from jensen.testing import LawBroken, check_engine

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
needs_submitit = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed")


def test_the_local_engine(tmp_path: Path) -> None:
    check_engine(Local, tmp_path, 3)


@pytest.mark.slow
def test_processes(tmp_path: Path) -> None:
    check_engine(lambda: Processes(2, retries=1), tmp_path, 4)


class Forgetful(Local):
    """Gives every unit the first one's answer."""

    def submit(self, fn: Any, *args: Any) -> Future[Any]:
        self.first = getattr(self, "first", None) or super().submit(fn, *args)
        return self.first


class Silent(Local):
    """Swallows what units raise."""

    def submit(self, fn: Any, *args: Any) -> Future[Any]:
        future = super().submit(fn, *args)
        if future.exception() is not None:
            future = Future()
            future.set_result(None)
        return future


class Open(Local):
    """Never closes."""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("broken", "law"), [(Forgetful, "same whatever|results are"), (Silent, "raises"), (Open, "closed")]
)
def test_the_laws_find_broken_engines(broken: type, law: str, tmp_path: Path) -> None:
    with pytest.raises(LawBroken, match=law):
        check_engine(broken, tmp_path, 3)


@pytest.mark.parametrize("asked", ["cluster", "processes:", "processes:none", "local:3", 7, "processes:0"])
def test_engines_that_there_are_not(asked: Any) -> None:
    with pytest.raises(Misuse, match="engine="):
        engine_of(asked)


def test_an_engine_that_was_given_is_not_ours_to_close() -> None:
    mine = Local()
    assert engine_of(mine) == (mine, False)
    made, ours = engine_of("processes:3")
    assert ours and made.slots == 3
    made.close()


def test_calls_that_cannot_be_loaded_come_back_as_what_went_wrong() -> None:
    packed = perform(pack(int, ("x",)))
    with pytest.raises(ValueError, match="invalid literal") as caught:
        outcome(packed)
    assert any("raised in a worker" in note for note in caught.value.__notes__)


def test_a_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A driver that is killed takes its workers with it, in the middle of a unit."""
    import subprocess
    import sys

    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from jensen.run.engines_processes import Processes\n"
        "def forever(mark):\n"
        "    Path(mark).write_text(str(os.getpid()))\n"
        "    while True: time.sleep(0.01)\n"
        "Processes(1).submit(forever, sys.argv[1]).result()\n"
    )
    mark = tmp_path / "pid"
    driver = subprocess.Popen([sys.executable, "-c", script, str(mark)])
    _until(lambda: mark.exists() and mark.read_text() != "")
    driver.kill()
    driver.wait()
    _until(lambda: not _alive(int(mark.read_text())))


def _until(holds: Any, patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# -- a cluster ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, so that work runs on the nodes that are added."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    yield found
    found.shutdown()


SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.mark.slow
@needs_ray
def test_ray_on_two_nodes(cluster: Any, tmp_path: Path) -> None:
    from jensen.run.engines_ray import Ray

    nodes = [cluster.add_node(num_cpus=1, **SMALL) for _ in range(2)]
    cluster.wait_for_nodes()
    check_engine(lambda: Ray(cluster.address, retries=1), tmp_path, 4)
    engine = Ray(cluster.address)
    try:
        assert engine.slots == 2
        options: dict[str, Any] = {"optimiser": "gd", "steps": 50, "stack": 4, "compiled": False, "threads": 1}
        cost = jensen.Cost.of(lambda x, y: (x * x - 1) ** 2 + (y * y - 1) ** 2 + x * y / 8, x=0.0, y=0.0)
        here = jensen.minima(cost, 12, **options, journal=tmp_path / "here.jsonl")
        there = jensen.minima(cost, 12, **options, journal=tmp_path / "there.jsonl", engine=engine)
        assert here.points == there.points
        assert lines_of(tmp_path / "here.jsonl") == lines_of(tmp_path / "there.jsonl")
        marks = [tmp_path / f"node of {k}" for k in range(2)]
        doomed, go = nodes[0].node_id, str(tmp_path / "go")
        futures = [engine.submit(_held, str(m), go, doomed) for m in marks]
        _until(lambda: all(m.exists() for m in marks))
        where = {m.read_text() for m in marks}
        assert len(where) == 2, "both nodes have work"
        cluster.remove_node(nodes[0], allow_graceful=False)
        (tmp_path / "go").touch()
        assert {f.result(timeout=120) for f in futures} == {nodes[1].node_id}
    finally:
        engine.close()


def lines_of(path: Path) -> list[bytes]:
    return sorted(path.read_bytes().splitlines())


def _held(mark: str, go: str, doomed: str) -> str:
    """The node it ran on in the end. On the doomed one it never ends; elsewhere once the file ``go`` is there."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    if not Path(mark).exists():
        Path(mark).write_text(here)
    while here == doomed or not Path(go).exists():
        time.sleep(0.02)
    return here


@pytest.mark.slow
@needs_submitit
def test_jobs_of_submitit(tmp_path: Path) -> None:
    """All laws are in tools/campaign_engines.py: a job is two fresh processes."""
    from jensen.run.engines_slurm import Slurm

    engine = Slurm(tmp_path / "jobs", cluster="local", poll=0.05, retries=1, timeout_min=5)
    try:
        assert engine.submit(pow, 3, 4).result(timeout=120) == 81
        with pytest.raises(ZeroDivisionError):
            engine.submit(divmod, 1, 0).result(timeout=120)
        assert engine.submit(_die_once, str(tmp_path / "died"), 5).result(timeout=120) == 25
    finally:
        engine.close()
    with pytest.raises(Misuse, match="does not know"):
        Slurm(tmp_path / "others", cluster="local", no_such_parameter=1)


def _die_once(mark: str, k: int) -> int:
    if not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), 9)
    return k * k
