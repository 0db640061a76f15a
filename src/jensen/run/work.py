"""Units of work that outlive their process: each is done once, whoever does it, and its record kept in a journal.

Several processes, on one machine or several, may work on the same units with one journal. Whoever takes a unit holds a
lock on one byte of a file beside the journal until the unit's record is written; the lock falls with its holder, however
it ends, and the unit is free again. Where locks do not reach, a unit may be done twice, but its record is written once:
a journal files a key once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from jensen.finding import plain
from jensen.run.journal import Entry, Journal

POLL = 0.2  # seconds between looks at what other processes have done

Record = dict[str, Any]
Tensors = Mapping[str, Any]
Kept = tuple[Record, Callable[[], Tensors]]  # a record, and how its tensors are read
Told = Callable[[str, Record, bool], None]


@dataclass(frozen=True)
class Unit:
    """A call that returns ``(record, tensors)``, filed under a key."""

    key: str
    fn: Callable[..., tuple[Record, Tensors]]
    args: tuple[Any, ...] = ()


def work(
    units: Sequence[Unit], engine: Any, journal: Journal | None = None, told: Told | None = None
) -> dict[str, Kept]:
    """Do what is not done yet.

    Args:
        units: With different keys.
        engine: Where they run.
        journal: Where records are kept; in memory without one.
        told: Called with each unit's key, its record, and whether it is new: first with those that were there.

    Returns:
        The records and tensors of all units, by key.

    Raises:
        Exception: What a unit raised; what had finished before is in the journal.
    """
    found: dict[str, Kept] = {}
    store = _Memory() if journal is None else _Shared(journal)
    asked = {u.key for u in units}

    def take(kept: Iterable[tuple[str, Kept]], new: bool = True) -> None:
        for key, (record, load) in kept:
            if key in asked and key not in found:
                found[key] = record, load
                if told is not None:
                    told(key, record, new)

    try:
        take(store.fresh(), new=False)
        _rounds([u for u in units if u.key not in found], engine, store, found, take)
    finally:
        store.close()
    return {u.key: found[u.key] for u in units}


def _rounds(left: list[Unit], engine: Any, store: Any, found: dict[str, Kept], take: Callable[..., None]) -> None:
    """Keep the engine busy until every unit is found."""
    running: dict[Future[Any], Unit] = {}
    try:
        while left or running:
            left = _start(left, engine, store, found, running)
            if running:
                done, _ = wait(running, timeout=None if not left else POLL * 5, return_when=FIRST_COMPLETED)
                for future in done:
                    unit = running.pop(future)
                    store.keep(unit.key, *future.result())
            elif left:
                time.sleep(POLL)  # the others have them
            take(store.fresh())
            left = [u for u in left if u.key not in found]
    finally:
        for future in running:
            future.cancel()


def _start(
    left: list[Unit], engine: Any, store: Any, found: Mapping[str, Kept], running: dict[Future[Any], Unit]
) -> list[Unit]:
    """Start units until the engine is full; what could not be started is left."""
    rest = []
    for k, unit in enumerate(left):
        if len(running) >= engine.slots:
            return rest + left[k:]
        if not store.claim(unit.key):
            rest.append(unit)
            continue
        future = engine.submit(unit.fn, *unit.args)
        running[future] = unit
        if future.done():
            return rest + left[k + 1 :]
    return rest


class _Memory:
    """Records of this process alone."""

    def __init__(self) -> None:
        self._new: list[tuple[str, Kept]] = []

    def claim(self, key: str) -> bool:
        return True

    def keep(self, key: str, record: Record, tensors: Tensors) -> None:
        self._new.append((key, (record, lambda: tensors)))

    def fresh(self) -> Iterator[tuple[str, Kept]]:
        new, self._new = self._new, []
        yield from new

    def close(self) -> None:
        pass


class _Shared:
    """Records in a journal that others may write to as well."""

    def __init__(self, journal: Journal):
        self._journal = journal
        self._claims = Claims(journal)
        self._known: set[str] = set()
        self._ours: list[tuple[str, Kept]] = []
        self._files: dict[str, Entry] = {}

    def claim(self, key: str) -> bool:
        """Whether it is ours: nobody else has it, and nobody has done it."""
        if self._journal.holds(key) or not self._claims.take(key):
            return False
        if self._journal.holds(key):  # done between the two looks
            self._claims.drop(key)
            return False
        return True

    def keep(self, key: str, record: Record, tensors: Tensors) -> None:
        """Write a record; where another process was faster, theirs stays, and is read."""
        if self._journal.append(record, tensors, key=key):
            self._known.add(key)
            self._ours.append((key, (plain(record), partial(self._load, key))))
        self._claims.drop(key)

    def fresh(self) -> Iterator[tuple[str, Kept]]:
        """What came since the last look; the file is read where it has something that is not ours."""
        new, self._ours = self._ours, []
        yield from new
        if self._journal.keys() <= self._known:
            return
        for entry in self._journal.entries():
            if entry.key is not None and entry.key not in self._known:
                self._known.add(entry.key)
                yield entry.key, (entry.record, entry.load)

    def _load(self, key: str) -> Tensors:
        """Tensors are not held in memory: they are in the journal's folder."""
        if key not in self._files:
            self._files = {e.key: e for e in self._journal.entries() if e.key is not None}
        return self._files[key].load()

    def close(self) -> None:
        self._claims.close()


class Claims:
    """Who works on what: one locked byte a key, in a file beside the journal. A lock falls with its holder."""

    def __init__(self, journal: Journal):
        path = journal.path.with_name(journal.path.name + ".claims")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self, key: str) -> bool:
        """Whether nobody else has it; it is ours then."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except OSError:
            return False
        return True

    def drop(self, key: str) -> None:
        """Let others have it."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        """Let others have all of it."""
        os.close(self._fd)


def _place(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")
