"""Units as jobs of a Slurm cluster, through submitit: ``pip install 'jensen[slurm]'``.

Each unit is a job of its own that writes its outcome to a folder which all nodes see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from os import PathLike
from typing import Any

from jensen.errors import Misuse
from jensen.run.engines import RETRIES, refuse_closed
from jensen.run.packing import UnitLost, outcome, pack, perform


class Slurm:
    """Jobs of a cluster.

    Args:
        folder: For the jobs' files, on a disk that all nodes see.
        slots: How many jobs are in the queue at once.
        cluster: ``"slurm"``, or ``"local"`` for processes of this machine; by default Slurm where there is one.
        poll: Seconds between looks at the jobs.
        retries: How often a unit whose job died is run again.
        parameters: Of submitit's executor, such as ``timeout_min``, ``cpus_per_task``, ``slurm_partition``.

    Raises:
        Misuse: Where submitit is not installed, or does not know a parameter.
    """

    name, isolated = "slurm", True

    def __init__(
        self,
        folder: str | PathLike[str] = "jensen-jobs",
        slots: int = 64,
        cluster: str | None = None,
        poll: float = 1.0,
        retries: int = RETRIES,
        **parameters: Any,
    ):
        self.slots, self.retries, self._poll = slots, retries, poll
        self._executor = _executor(folder, cluster, {"timeout_min": 240, "cpus_per_task": 1, **parameters})
        self._jobs: dict[Future[Any], tuple[Any, bytes, int]] = {}
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._closed = False
        self._watcher: threading.Thread | None = None

    @classmethod
    def of(cls, word: str) -> Slurm:
        """From the word after the colon: the partition."""
        return cls(slurm_partition=word)

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Put a unit into the queue."""
        refuse_closed(self._closed, self.name)
        packed = pack(fn, args)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        job = self._executor.submit(perform, packed)
        with self._lock:
            self._jobs[future] = job, packed, 1
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
        return future

    def close(self) -> None:
        """Cancel the jobs that have not finished."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if self._watcher is not None:
            self._watcher.join()
        for future, (job, _, _) in self._jobs.items():
            job.cancel(check=False)
            future.set_exception(UnitLost("the engine was closed before this unit finished"))
        self._jobs.clear()

    def _watch(self) -> None:
        while not self._wake.wait(self._poll):
            with self._lock:
                finished = [(f, *held) for f, held in self._jobs.items() if held[0].done()]
            for future, job, packed, tries in finished:
                self._finish(future, job, packed, tries)

    def _finish(self, future: Future[Any], job: Any, packed: bytes, tries: int) -> None:
        """Its outcome; or once more, where the job left none."""
        try:
            there = job.result()
        except Exception as e:  # perform raises nothing: the job was killed, ran out of time, or lost its node
            if tries <= self.retries:
                with self._lock:
                    self._jobs[future] = self._executor.submit(perform, packed), packed, tries + 1
                return
            text = " ".join(str(e).split())[-500:]
            self._let_go(future)
            future.set_exception(UnitLost(f"a unit's job died {tries} times: {type(e).__name__}: {text}"))
            return
        self._let_go(future)
        try:
            future.set_result(outcome(there))
        except Exception as e:
            future.set_exception(e)

    def _let_go(self, future: Future[Any]) -> None:
        with self._lock:
            self._jobs.pop(future)


def _executor(folder: str | PathLike[str], cluster: str | None, parameters: dict[str, Any]) -> Any:
    try:
        import submitit
    except ImportError as e:
        raise Misuse(
            "the engine 'slurm' needs submitit, which is not installed; run: pip install 'jensen[slurm]'"
        ) from e
    executor = submitit.AutoExecutor(folder=str(folder), cluster=cluster)
    try:
        executor.update_parameters(**parameters)
    except (NameError, TypeError, ValueError) as e:
        raise Misuse(f"submitit does not know these parameters: {' '.join(str(e).split())}") from e
    return executor
