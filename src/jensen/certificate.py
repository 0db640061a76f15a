"""Certificates: program, data, claim and evidence in one file, ``x.jensen``; written here, and read strictly.

The file is a zip of ``claim.json``, ``program.json``, ``tensors.safetensors`` and ``evidence.json``. The claim names
the sha256 of the other three. Nothing in it is code, nothing is believed: sizes are bounded, unknown fields are
refused, and the kernel decides. Torch is not needed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from jensen import codec
from jensen.errors import Misuse
from jensen.kernel.check import Claim, check
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

VERSION = 1
MEMBERS = ("claim.json", "program.json", "tensors.safetensors", "evidence.json")
JSON_LIMIT = 64 * 2**20
EMBED_LIMIT = 256 * 2**20
TENSOR_LIMIT = EMBED_LIMIT + 2**20
RATIO_LIMIT = 2000


@dataclass(frozen=True)
class Certificate:
    """A claim about a problem, and its evidence."""

    problem: Problem
    claim: Claim
    evidence: Any


def verify(path: str | PathLike[str], cost: Any = None) -> Claim:
    """Check a certificate file with the kernel alone.

    Args:
        path: The file.
        cost: A :class:`jensen.Cost`; if given, the certificate must also be about that very cost.

    Returns:
        The accepted claim: ``.kind``, ``.blocks``, ``.statement``.

    Raises:
        Rejected: Where the file is damaged, or its claim does not hold; it says at which node, by which rule, and why.
        Misuse: Where there is no such file.
    """
    from jensen.atoms import registry

    certificate = read(path)
    accepted = check(certificate.problem, certificate.claim, certificate.evidence, registry())
    if cost is not None:
        _same_cost(certificate.problem, cost)
    return accepted


def _same_cost(problem: Problem, cost: Any) -> None:
    from jensen.trace import trace

    _same_problem(problem, trace(cost).problem)


def _same_problem(problem: Problem, theirs: Problem) -> None:
    if codec.program_json(theirs, _Pool()) != codec.program_json(problem, _Pool()):
        raise Rejected("program", "the certificate is about this cost", "its program is not that of the given cost")
    for k, (mine, other) in enumerate(zip(problem.terms, theirs.terms, strict=True)):
        for name, value in mine.tensors.items():
            if not np.array_equal(value, other.tensors[name]):
                raise Rejected(
                    name, "the certificate is about this cost", f"tensor {name!r} of part {k} is not that cost's"
                )


class _Pool:
    """Tensors by content; equal ones are stored once."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self._keys: dict[tuple[Any, ...], str] = {}

    def __call__(self, value: np.ndarray) -> str:
        value = np.ascontiguousarray(value).reshape(value.shape)
        identity = (value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).digest())
        if identity not in self._keys:
            self._keys[identity] = f"t{len(self._keys)}"
            self.tensors[self._keys[identity]] = value
        return self._keys[identity]


def write(certificate: Certificate, path: str | PathLike[str]) -> None:
    """Write a certificate file, whole or not at all.

    Raises:
        Misuse: Where its tensors are larger than 256 MB.
        OSError: Where the file cannot be written.
    """
    pool = _Pool()
    program = codec.program_json(certificate.problem, pool)
    evidence = codec.evidence_json(certificate.evidence, pool)
    claim = codec.claim_json(certificate.claim, pool)
    size = sum(t.nbytes for t in pool.tensors.values())
    if size > EMBED_LIMIT:
        raise Misuse(
            f"the certificate would hold {size / 2**20:.0f} MB of tensors; the limit is 256 MB: "
            f"ask about fewer data points, or a smaller model"
        )
    parts = {
        "program.json": codec.dump(program),
        "tensors.safetensors": save(pool.tensors),
        "evidence.json": codec.dump(evidence),
    }
    claim = {"format": VERSION, **claim, "sha256": {n: hashlib.sha256(b).hexdigest() for n, b in parts.items()}}
    parts["claim.json"] = codec.dump(claim)
    _write_zip(parts, os.fspath(path))


def _write_zip(parts: Mapping[str, bytes], path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise Misuse(f"the folder {os.path.dirname(path)!r} does not exist; create it first")
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".jensen-")
    try:
        with os.fdopen(handle, "wb") as f, zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
            for name in MEMBERS:
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                z.writestr(info, parts[name])
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def read(path: str | PathLike[str]) -> Certificate:
    """Read a certificate file strictly; it may come from anyone.

    Raises:
        Rejected: For anything that is not exactly a certificate.
        Misuse: Where there is no such file.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise Misuse(f"there is no certificate file {path!r}; give the path of a .jensen file")
    try:
        return _read(path)
    except Rejected:
        raise
    except Exception as e:  # zipfile, zlib, safetensors and numpy each raise their own types
        raise Rejected("file", "a readable certificate", f"the file is damaged: {type(e).__name__}: {e}") from e


def _read(path: str) -> Certificate:
    parts = _members(path)
    claim_data = codec.parse(parts["claim.json"], "claim.json")
    if not isinstance(claim_data, dict) or set(claim_data) != {"format", "sha256", *codec.CLAIM_FIELDS}:
        raise Rejected("claim.json", "exactly the known fields", "fields are missing or unknown")
    if claim_data["format"] != VERSION or type(claim_data["format"]) is not int:
        raise Rejected("claim.json", "a known format", f"format {claim_data['format']!r} is not {VERSION}")
    hashes = {n: hashlib.sha256(parts[n]).hexdigest() for n in MEMBERS[1:]}
    if claim_data["sha256"] != hashes:
        raise Rejected("claim.json", "hashes agree", "a part of the file is not the one that the claim names")
    tensors = _tensors(parts["tensors.safetensors"])
    lookup = codec.Lookup(tensors)
    problem = codec.read_problem(codec.parse(parts["program.json"], "program.json"), lookup)
    claim = codec.read_claim(claim_data, lookup)
    evidence = codec.read_evidence(codec.parse(parts["evidence.json"], "evidence.json"), lookup)
    unused = set(tensors) - lookup.used
    if unused:
        raise Rejected("tensors.safetensors", "no unused tensors", f"{sorted(unused)[0]!r} belongs to nothing")
    return Certificate(problem, claim, evidence)


def _members(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as z:
        names = [i.filename for i in z.infolist()]
        if sorted(names) != sorted(MEMBERS):
            raise Rejected("file", "exactly four parts", f"the zip holds {names[:6]}")
        return {i.filename: _member(z, i) for i in z.infolist()}


def _member(z: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    limit = TENSOR_LIMIT if info.filename.endswith(".safetensors") else JSON_LIMIT
    if info.file_size > limit or info.file_size > RATIO_LIMIT * max(info.compress_size, 1):
        raise Rejected(info.filename, "bounded sizes", f"{info.file_size} bytes, or too strongly compressed")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Rejected(info.filename, "plain parts", "the part is encrypted, or compressed in another way than deflate")
    with z.open(info) as f:
        data = f.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise Rejected(info.filename, "bounded sizes", "the part is damaged: it is not as long as the zip says")
    return data


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    tensors = load(data)
    for name, value in tensors.items():
        if value.dtype not in (np.float64, np.int64, np.bool_):
            raise Rejected(name, "float64, int64 or bool tensors", f"tensor {name!r} has dtype {value.dtype}")
        if value.dtype == np.float64 and np.isnan(value).any():
            raise Rejected(name, "no NaN", f"tensor {name!r} holds NaN")
    return tensors


__all__ = ["Certificate", "read", "verify", "write"]
