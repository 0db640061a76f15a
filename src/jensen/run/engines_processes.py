"""Units in processes of this machine: fresh interpreters, a lost one is replaced and its unit run again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import jensen
from jensen.run.engines import RETRIES, cores, count_of, refuse_closed
from jensen.run.packing import UnitLost, outcome, pack

Task = tuple["Future[Any]", bytes]


class Processes:
    """A pool of worker processes; they start with the first units.

    Args:
        workers: How many; by default one for each core.
        threads: torch's threads in each.
        retries: How often a unit whose worker died is run again.
    """

    name, isolated = "processes", True

    def __init__(self, workers: int | None = None, threads: int = 1, retries: int = RETRIES):
        self.slots = workers or cores()
        self.threads, self.retries = threads, retries
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: set[Future[Any]] = set()
        self._workers: list[Worker] = []

    @classmethod
    def of(cls, word: str) -> Processes:
        """From the word after the colon: the number of workers."""
        return cls(count_of(word, cls.name))

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hand a unit to the next worker that is free."""
        refuse_closed(self._closed, self.name)
        packed = pack(fn, args)
        future: Future[Any] = Future()
        with self._lock:
            self._waiting.add(future)
            if len(self._workers) < min(self.slots, len(self._waiting)):
                self._workers.append(Worker(self._tasks, self.threads, self.retries))
        future.add_done_callback(self._waiting.discard)
        self._tasks.put((future, packed))
        return future

    def close(self) -> None:
        """End the workers, at once."""
        if self._closed:
            return
        self._closed = True
        for future in list(self._waiting):
            future.cancel()
        for worker in self._workers:
            self._tasks.put(None)
            worker.end()
        for worker in self._workers:
            worker.thread.join()


class Worker:
    """One process, and the thread that feeds it."""

    def __init__(self, tasks: SimpleQueue[Task | None], threads: int, retries: int):
        self._tasks, self._threads, self._retries = tasks, threads, retries
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Kill the process; the unit in it is cancelled."""
        with self._lock:
            self._ending = True
            if self._process is not None:
                self._process.kill()

    def _feed(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, packed = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(outcome(self._answer(packed)))
            except BaseException as e:
                future.set_exception(e)
        self._drop()

    def _answer(self, packed: bytes) -> bytes:
        """The outcome of a call, from as many processes as it takes.

        Raises:
            UnitLost: Where all of them died.
        """
        for _ in range(self._retries + 1):
            try:
                calls = self._alive()
                calls.send_bytes(packed)
                return calls.recv_bytes()
            except (EOFError, OSError):
                code = self._drop()
                if self._ending:
                    raise UnitLost("the engine was closed before this unit finished") from None
        raise UnitLost(
            f"a unit's process died {self._retries + 1} times (last exit code {code}); it may need more memory than there is: "
            "use fewer workers, or smaller units"
        )

    def _alive(self) -> Connection:
        with self._lock:
            if self._process is None:
                if self._ending:
                    raise EOFError
                self._start()
            return self._calls

    def _start(self) -> None:
        self._calls, theirs = Pipe()
        read, self._life = os.pipe()
        numbers = [str(n) for n in (theirs.fileno(), read, self._threads)]
        command = [sys.executable, "-P", "-m", "jensen.run.worker", *numbers]
        ours = [str(Path(jensen.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ours)}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=2, env=environment, pass_fds=(theirs.fileno(), read)
            )
        finally:
            theirs.close()
            os.close(read)

    def _drop(self) -> int | None:
        """Forget a process that died, or is to die."""
        with self._lock:
            if self._process is None:
                return None
            self._process.kill()
            code = self._process.wait()
            self._calls.close()
            os.close(self._life)
            self._process = None
            return code
