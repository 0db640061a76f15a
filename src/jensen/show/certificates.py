"""Saved certificate files, as a page describes them."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from jensen.show.words import size


@dataclass(frozen=True)
class Saved:
    """A certificate file: its name, size, hash, and what it contains."""

    name: str
    size: str
    sha256: str
    members: tuple[tuple[str, str], ...]


def saved(path: Path) -> Saved:
    """Read what a page says of a certificate file."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as z:
        members = tuple((m.filename, size(m.file_size)) for m in z.infolist())
    return Saved(path.name, size(len(data)), hashlib.sha256(data).hexdigest(), members)
