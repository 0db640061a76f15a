"""The journal's lines: what one holds, how it is written, and what makes it damaged.

A journal is JSON Lines. The first line names the format; every other line is an envelope
``{"crc": ..., "key": ..., "record": {...}, "tensors": ...}``, whose ``crc`` is the CRC-32 of the rest with sorted keys, so
that a torn or overwritten line is known for what it is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jensen.errors import Misuse
from jensen.finding import plain

FORMAT = 1
HEADER = b'{"format":%d,"journal":"jensen"}\n' % FORMAT


@dataclass(frozen=True)
class Envelope:
    """One line: the record, its key (None without one) and the SHA-256 of its tensor file (None without tensors)."""

    record: dict[str, Any]
    key: str | None = None
    tensors: str | None = None


@dataclass(frozen=True)
class Damage:
    """A line that cannot be read, with its number (the first line is 1) and the reason."""

    line: int
    text: bytes
    why: str


def encode(envelope: Envelope) -> bytes:
    """One line with its end.

    Raises:
        Misuse: Where the record is not plain JSON data.
    """
    record = envelope.record
    if not isinstance(record, Mapping):
        raise Misuse(f"a journal's record is {type(record).__name__}; give a dict of plain data")
    body = {"key": envelope.key, "record": plain(record), "tensors": envelope.tensors}
    try:
        crc = _crc(body)
    except (TypeError, ValueError) as e:
        raise Misuse(f"the record is not plain data ({e}); numbers, strings, lists and dicts go into it, tensors into tensors=") from e  # fmt: skip
    return _dump({"crc": crc, **body}) + b"\n"


def decode(line: bytes) -> Envelope:
    """What a line holds.

    Raises:
        ValueError: Where the line is damaged, with the reason.
    """
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as e:  # bad JSON, bad UTF-8, lists in lists without end
        raise ValueError("it is no JSON") from e
    if not isinstance(body, dict) or set(body) != {"crc", "key", "record", "tensors"}:
        raise ValueError("it is no record")
    crc = body.pop("crc")
    if crc != _crc(body):
        raise ValueError("its checksum does not fit its content")
    return Envelope(body["record"], body["key"], body["tensors"])


def is_header(line: bytes, path: Any) -> bool:
    """Whether this is a journal's first line.

    Raises:
        Misuse: For a format that this version does not know.
    """
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(head, dict) or head.get("journal") != "jensen":
        return False
    if head.get("format") != FORMAT:
        raise Misuse(f"the journal {path} has format {head.get('format')!r}, this jensen knows {FORMAT}; update jensen")
    return True


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines, and what follows the last line's end."""
    *whole, tail = data.split(b"\n")
    return whole, tail


def envelopes(whole: list[bytes], path: Any, first: int = 1) -> Iterator[Envelope | Damage]:
    """The lines in order; headers and empty lines are passed over (journals may be joined end to end).

    Args:
        whole: Lines without their ends.
        path: The journal's name, for messages.
        first: The number of the first of them.
    """
    for number, line in enumerate(whole, start=first):
        if not line.strip() or is_header(line, path):
            continue
        try:
            yield decode(line)
        except ValueError as e:
            yield Damage(number, line, str(e))


def _crc(body: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(_dump(body, sort_keys=True)):08x}"


def _dump(value: Any, sort_keys: bool = False) -> bytes:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False).encode()
