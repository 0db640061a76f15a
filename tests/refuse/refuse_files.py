"""Damaged and hostile certificate files: (name, builder, fragment of the reason)."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from refuse_build import FOLDER, changed, parts, path, proved, raw, rebuild

from jensen import certificate
from jensen.errors import Misuse
from jensen.kernel.errors import Rejected

Case = tuple[str, Callable[[], Any], str]

T = "tensors.safetensors"


def text(part: str, edit: Callable[[bytes], bytes]) -> Callable[[dict[str, Any]], None]:
    """A change: the bytes of a JSON part."""

    def change(data: dict[str, Any]) -> None:
        data[part] = edit(json.dumps(data[part]).encode())

    return change


def member(name: str, content: bytes = b"{}") -> Callable[[dict[str, Any]], None]:
    return lambda data: data.__setitem__(name, content)


def without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {k: v for k, v in data.items() if k != name}


def twice(name: str) -> Callable[[], Any]:
    """A part that is there twice."""

    def run() -> Any:
        data, out = parts(proved()), path()
        with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as z:
            warnings.simplefilter("ignore")
            for n, v in [*data.items(), (name, data[name])]:
                z.writestr(n, v if isinstance(v, bytes) else json.dumps(v))
        return certificate.verify(out)

    return run


def flags(offset: int, value: int, size: int = 2) -> Callable[[bytes], bytes]:
    """A change of every entry of the zip's central directory."""

    def edit(data: bytes) -> bytes:
        out, i = bytearray(data), data.find(b"PK\x01\x02")
        while i >= 0:
            out[i + offset : i + offset + size] = value.to_bytes(size, "little")
            i = data.find(b"PK\x01\x02", i + 1)
        return bytes(out)

    return edit


def bomb(part: str, filler: bytes, size: int) -> Callable[[], Any]:
    def run() -> Any:
        data = parts(proved())
        data[part] = filler * size
        return certificate.verify(rebuild(data))

    return run


def compressed(method: int) -> Callable[[], Any]:
    return lambda: certificate.verify(rebuild(parts(proved()), compression=method))


def unreadable() -> Any:
    """A file that cannot be read any more when it is opened."""
    here, real = proved(), os.path.isfile
    there = Path(str(here) + ".gone")
    os.path.isfile = lambda p: True
    try:
        return certificate.verify(there)
    finally:
        os.path.isfile = real


FILES: list[Case] = [
    ("an empty file", raw(b""), "readable certificate"),
    ("text", raw(b"this is no certificate\n" * 100), "readable certificate"),
    ("an empty zip", raw(b"PK\x05\x06" + bytes(18)), "exactly four parts"),
    ("a file that goes away", unreadable, "FileNotFoundError"),
    *((f"cut off at {k}/16", raw(lambda b, k=k: b[: len(b) * k // 16]), "damaged") for k in range(1, 16)),
    ("cut off by a byte", raw(lambda b: b[:-1]), "damaged"),
    ("without its start", raw(lambda b: b[100:]), "damaged"),
    ("a part too many", changed(member("readme.txt")), "exactly four parts"),
    ("a path that leaves", changed(member("../claim.json")), "exactly four parts"),
    ("an absolute path", changed(member("/etc/claim.json")), "exactly four parts"),
    ("a folder", changed(member("folder/", b"")), "exactly four parts"),
    *((f"without {n}", changed(without(n)), "exactly four parts") for n in certificate.MEMBERS),
    *((f"{n} twice", twice(n), "exactly four parts") for n in certificate.MEMBERS),
    ("encrypted", raw(flags(8, 1)), "encrypted"),
    ("a method that is none", raw(flags(10, 77)), "compressed in another way"),
    ("compressed with bzip2", compressed(zipfile.ZIP_BZIP2), "compressed in another way"),
    ("compressed with lzma", compressed(zipfile.ZIP_LZMA), "compressed in another way"),
    ("a size that is larger", raw(flags(24, 2**31, 4)), "bounded sizes"),
    ("a size that is a little larger", raw(flags(24, 5000, 4)), "damaged"),
    ("a size that is smaller", raw(flags(24, 10, 4)), "damaged"),
    ("another checksum", raw(flags(16, 12345, 4)), "damaged"),
    ("a bomb of JSON", bomb("program.json", b" " * 1024, 65 * 1024), "bounded sizes"),
    ("nothing but spaces", bomb("program.json", b" " * 1024, 8 * 1024), "strict JSON"),
    ("a bomb of tensors", bomb(T, bytes(2**20), 300), "bounded sizes"),
    ("a bomb of items", bomb("program.json", b"[],", 5_000_000), "bounded sizes"),
    ("many items", bomb("program.json", b"{},[],12", 2_100_000), "bounded sizes"),
    ("a deep nest", bomb("program.json", b"[", 5000), "strict JSON"),
    *(
        (
            f"{n} is not UTF-8",
            changed(text(n, lambda b: b.replace(b'"', b'"\xff', 1)), rehash=n != "claim.json"),
            "strict JSON",
        )
        for n in certificate.MEMBERS
        if n != T
    ),
    ("a field twice", changed(text("program.json", lambda b: b[:-1] + b', "terms": []}')), "strict JSON"),
    ("NaN", changed(text("program.json", lambda b: b.replace(b'"output": 4', b'"output": NaN'))), "strict JSON"),
    (
        "Infinity",
        changed(text("program.json", lambda b: b.replace(b'"output": 4', b'"output": Infinity'))),
        "strict JSON",
    ),
    ("a float beyond floats", changed(text("program.json", lambda b: b.replace(b"[2]", b"[1e999]"))), "strict JSON"),
    (
        "an integer of 5,000 digits",
        changed(text("program.json", lambda b: b.replace(b"[2]", b"[" + b"9" * 5000 + b"]"))),
        "strict",
    ),
    ("rubbish after the end", changed(text("evidence.json", lambda b: b + b"x")), "strict JSON"),
]

CASES = FILES


def missing(name: str) -> Callable[[], Any]:
    return lambda: certificate.verify(FOLDER / name)


def written(folder: Path = FOLDER, limit: int = certificate.EMBED_LIMIT, full: bool = False) -> Callable[[], Any]:
    """An honest certificate, written where it cannot be."""

    def run() -> None:
        before = set(FOLDER.iterdir())
        old, real = certificate.EMBED_LIMIT, zipfile.ZipFile.writestr
        certificate.EMBED_LIMIT = limit
        try:
            if full:
                zipfile.ZipFile.writestr = no_space
            certificate.write(certificate.read(HONEST), folder / "new.jensen")
        finally:
            certificate.EMBED_LIMIT, zipfile.ZipFile.writestr = old, real
            if set(FOLDER.iterdir()) != before:
                raise ValueError("something is left behind")

    return run


def no_space(*args: Any) -> None:
    raise OSError(28, "No space left on device")


HONEST = proved()
OTHERS: list[tuple[str, Callable[[], Any], tuple[type[BaseException], ...], str]] = [
    ("no such file", missing("none.jensen"), (Misuse,), "no certificate file"),
    ("a folder as file", missing("."), (Misuse,), "no certificate file"),
    ("a number as file", lambda: certificate.verify(3), (Misuse,), "is no path"),  # pyright: ignore[reportArgumentType]
    ("a folder that is not there", written(FOLDER / "none"), (Misuse,), "create it first"),
    ("too many tensors to embed", written(limit=7), (Misuse,), "the limit is 256 MB"),
    ("a disk that is full", written(full=True), (OSError,), "No space left"),
]


def fuzz(source: Callable[[], Path], tries: int, seed: int) -> tuple[int, int]:
    """Random flips, deletions and insertions; how many were refused, and how many yielded exactly the same claim.

    Raises whatever else comes: another claim as a ValueError.
    """
    file = source()
    whole, same, refused = file.read_bytes(), 0, 0
    claim = certificate.verify(file)
    rng = np.random.default_rng(seed)
    for _ in range(tries):
        data, i = bytearray(whole), int(rng.integers(len(whole)))
        kind = int(rng.integers(4))
        if kind < 2:
            data[i] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[i : i + int(rng.integers(1, 4))]
        else:
            data[i:i] = bytes(rng.integers(0, 256, int(rng.integers(1, 4)), dtype=np.uint8))
        out = path()
        out.write_bytes(data)
        try:
            found = certificate.verify(out)
        except Rejected:
            refused += 1
        else:
            if repr(found) != repr(claim):
                raise ValueError(f"byte {i}: {found}")
            same += 1
        finally:
            out.unlink()
    return refused, same
