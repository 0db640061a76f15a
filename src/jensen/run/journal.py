"""The journal: an append-only record of finished work that survives killed processes, full disks and two writers.

``run.jsonl`` holds one JSON line a record (:mod:`jensen.run.lines`); tensors lie beside it in ``run.jsonl.tensors/``.
Every append holds a lock on the file, ends what a killed writer left half done, and adds one line with one write.
"""

from __future__ import annotations

import errno
import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.errors import Misuse
from jensen.run import tensors as files
from jensen.run.lines import HEADER, Damage, Envelope, encode, envelopes, is_header, split

if TYPE_CHECKING:
    from torch import Tensor


class JournalWarning(UserWarning):
    """A journal held a damaged line; the message says which, and where it is kept."""


@dataclass(frozen=True)
class Entry:
    """One record of a journal.

    Attributes:
        record: The record as plain data; numbers that are not finite are the strings "nan", "inf", "-inf".
        key: What it was filed under, or None.
        tensors: The name (SHA-256) of its tensor file, or None.
    """

    record: dict[str, Any]
    key: str | None
    tensors: str | None
    folder: Path

    def load(self) -> dict[str, Tensor]:
        """Its tensors, on the CPU; none where it has none.

        Raises:
            Misuse: Where the file is missing or damaged.
        """
        return files.read(self.folder, self.tensors) if self.tensors else {}


class Journal:
    """A journal file; it is made at the first append.

    Args:
        path: The file; its folder must exist.
        durable: Wait at each append until the disk has it, so that a record survives a loss of power, too. Without it
            a record survives everything that happens to the process.

    Raises:
        Misuse: For a path that cannot be a journal, a file that is none, or one of a newer format.
    """

    def __init__(self, path: str | os.PathLike[str], durable: bool = False):
        if not isinstance(path, (str, os.PathLike)):
            raise Misuse(f"the journal {path!r} is no path of a file")
        self.path, self.durable = Path(path), durable
        self.folder = self.path.with_name(self.path.name + ".tensors")
        if self.path.is_dir():
            raise Misuse(f"the journal {self.path} is a folder; name a file, such as {self.path / 'run.jsonl'}")
        if self.path.exists() and not self.path.is_file():
            raise Misuse(f"the journal {self.path} is a device or a pipe; name a file that can be read again")
        if not self.path.parent.is_dir():
            raise Misuse(f"the journal's folder {self.path.parent} does not exist; make it first")
        self._seen, self._inode, self._keys = 0, -1, set[str]()
        if self.path.exists():
            self._refuse_others(self._bytes()[:4096])

    def append(
        self, record: Mapping[str, Any], tensors: Mapping[str, Any] | None = None, key: str | None = None
    ) -> bool:
        """Add one record, with its tensors; after the return no killed process can lose it.

        Args:
            record: Plain data: numbers, strings, lists and dicts. Arrays over 1,000 elements are kept as their hash.
            tensors: Tensors by name, written first, whole or not at all.
            key: Files the record under a name, once: where the journal has that key already, nothing is written.

        Returns:
            Whether it was added.

        Raises:
            Misuse: For data that cannot be kept; the journal is as before.
            OSError: Where the disk is full or the file cannot be written; what was written before is kept.
        """
        if key is not None and not isinstance(key, str):
            raise Misuse(f"the key is {type(key).__name__}; give a string")
        encode(Envelope(dict(record) if isinstance(record, Mapping) else record, key))
        content = files.pack(tensors) if tensors else None
        with self._explained(), self._locked(fcntl.LOCK_EX, os.O_RDWR | os.O_APPEND | os.O_CREAT) as fd:
            self._mend(fd)
            if key is not None and key in self._read_keys(fd):
                return False
            name = None if content is None else files.write(self.folder, content, self.durable)
            self._add(fd, encode(Envelope(dict(record), key, name)))
        return True

    def entries(self) -> list[Entry]:
        """All records in order, with keys and tensor files; damaged lines are left out, with a warning."""
        lines = list(self._lines())
        bad = [str(e.line) for e in lines if isinstance(e, Damage)]
        if bad:
            shown = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
            text = f"{len(bad)} damaged lines of {self.path} are left out (number {shown}); Journal.damage() shows them"
            warnings.warn(text, JournalWarning, stacklevel=2)
        return [Entry(e.record, e.key, e.tensors, self.folder) for e in lines if isinstance(e, Envelope)]

    def read(self) -> list[dict[str, Any]]:
        """All records in order."""
        return [e.record for e in self.entries()]

    def damage(self) -> list[Damage]:
        """Lines that cannot be read: torn by a killed writer, or changed since."""
        return [e for e in self._lines() if isinstance(e, Damage)]

    def holds(self, key: str) -> bool:
        """Whether there is a record under a key."""
        return key in self.keys()

    def keys(self) -> frozenset[str]:
        """The keys of all records."""
        if not self.path.exists():
            return frozenset()
        with self._locked(fcntl.LOCK_SH, os.O_RDONLY) as fd:
            return frozenset(self._read_keys(fd))

    # -- reading -------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[Envelope | Damage]:
        data = self._bytes() if self.path.exists() else b""
        self._refuse_others(data[:4096])
        whole, tail = split(data)
        yield from envelopes(whole, self.path)
        if tail and whole:
            yield from self._judge_tail(tail, len(whole) + 1)

    def _judge_tail(self, tail: bytes, number: int) -> Iterator[Envelope | Damage]:
        """A last line without its end: a record where nothing but the end is missing."""
        for e in envelopes([tail], self.path, number):
            yield e if isinstance(e, Envelope) else Damage(number, tail, "its writer was stopped in the middle of it")

    def _bytes(self) -> bytes:
        with self._locked(fcntl.LOCK_SH, os.O_RDONLY) as fd:
            return _read_from(fd, 0)

    def _read_keys(self, fd: int) -> set[str]:
        """Keys so far; only what others added since the last look is read."""
        stat = os.fstat(fd)
        if stat.st_ino != self._inode or stat.st_size < self._seen:
            self._seen, self._inode, self._keys = 0, stat.st_ino, set()
        whole, tail = split(_read_from(fd, self._seen))
        found = [e for e in envelopes(whole, self.path) if isinstance(e, Envelope)]
        self._keys.update(e.key for e in found if e.key is not None)
        self._seen = stat.st_size - len(tail)
        return self._keys

    def _refuse_others(self, head: bytes) -> None:
        """Only journals are read, and nothing else is ever written to."""
        first = head.partition(b"\n")[0]
        if not HEADER.startswith(head) and not is_header(first, self.path):
            raise Misuse(f"{self.path} is a file, but no jensen journal; name another file, or move it away")

    # -- writing -------------------------------------------------------------------------------------------------

    def _mend(self, fd: int) -> None:
        """Set aside what a killed writer left at the end, or end it where only the end is missing; begin an empty file."""
        files.sweep(self.folder)
        self._refuse_others(_read_from(fd, 0, 4096))
        size = os.fstat(fd).st_size
        tail = _last_line(fd, size)
        begun = len(tail) == size
        if (tail and begun and is_header(tail, self.path)) or (
            tail and not begun and any(isinstance(e, Envelope) for e in envelopes([tail], self.path))
        ):
            self._add(fd, b"\n")
        elif tail:
            if not begun:
                self._set_aside(tail)
            os.ftruncate(fd, size - len(tail))
        if os.fstat(fd).st_size == 0:
            self._add(fd, HEADER)

    def _set_aside(self, tail: bytes) -> None:
        aside = self.path.with_name(self.path.name + ".damaged")
        with open(aside, "ab") as f:
            f.write(tail + b"\n")
        warnings.warn(
            f"the last line of {self.path} was torn ({len(tail)} bytes, its writer was stopped): it was moved to {aside}",
            JournalWarning,
            stacklevel=5,
        )

    def _add(self, fd: int, data: bytes) -> None:
        """Write all of it, or leave the file as it was."""
        size = os.fstat(fd).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if self.durable:
                os.fsync(fd)
                files.sync_folder(self.path.parent)
        except BaseException:
            os.ftruncate(fd, size)
            raise

    @contextmanager
    def _locked(self, lock: int, flags: int) -> Iterator[int]:
        fd = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(fd, lock)
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            full = e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            remedy = "make room and append again" if full else "look at the file's permissions and its disk"
            text = f"the record was not added ({e.strerror}); all earlier ones are kept: {remedy}"
            raise OSError(e.errno, text, str(self.path)) from e


def _read_from(fd: int, start: int, limit: int | None = None) -> bytes:
    os.lseek(fd, start, os.SEEK_SET)
    pieces, left = [], limit
    while piece := os.read(fd, 1 << 20 if left is None else min(left, 1 << 20)):
        pieces.append(piece)
        left = None if left is None else left - len(piece)
    return b"".join(pieces)


def _last_line(fd: int, size: int, step: int = 4096) -> bytes:
    """What follows the last line's end."""
    start, tail = size, b""
    while start > 0 and b"\n" not in tail:
        start = max(0, start - step)
        tail = _read_from(fd, start, size - start)
        step *= 2
    return tail.rpartition(b"\n")[2]
