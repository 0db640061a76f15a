"""Certificates: program, data, claim and evidence in one file, ``x.jensen``; written here, and read strictly.

The file is a zip of ``claim.json``, ``program.json``, ``tensors.safetensors`` and ``evidence.json``. The claim names
the sha256 of the other three. Nothing in it is code, nothing is believed: sizes are bounded, unknown fields are
refused, and the kernel decides. Torch is not needed. Data that is too large for a file is not in it: the program names
the sha256, type and shape of each such tensor (format 2), and whoever verifies gives the data.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from jensen import codec
from jensen.errors import Misuse
from jensen.kernel.check import Claim, check
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

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
        cost: A :class:`jensen.Cost`; if given, the certificate must also be about that very cost. It is needed where
            the file refers to data by its sha256: each tensor is hashed as it is read from the cost's data.

    Returns:
        The accepted claim: ``.kind``, ``.blocks``, ``.statement``.

    Raises:
        Rejected: Where the file is damaged, or its claim does not hold; it says at which node, by which rule, and why.
        Misuse: Where there is no such file, or the cost's data changes while it is read.
    """
    certificate = read(path)
    return accept(certificate, None if cost is None else _problem(cost))


def _problem(cost: Any) -> Problem:
    from jensen.trace import trace

    return trace(cost).problem


def accept(certificate: Certificate, theirs: Problem | None = None) -> Claim:
    """The kernel's answer; with a problem, the certificate must be about that one, and takes its data from there."""
    from jensen.atoms import registry

    problem = supplied(certificate.problem, theirs)
    accepted = check(problem, certificate.claim, certificate.evidence, registry())
    if theirs is not None:
        _same_problem(problem, theirs)
    return accepted


def _same_problem(problem: Problem, theirs: Problem) -> None:
    if codec.program_json(_bare(theirs), _nothing) != codec.program_json(_bare(problem), _nothing):
        raise Rejected("program", "the certificate is about this cost", "its program is not that of the given cost")
    for k, (mine, other) in enumerate(zip(problem.terms, theirs.terms, strict=True)):
        for name, value in mine.tensors.items():
            if not np.array_equal(value, other.tensors[name]):
                raise Rejected(
                    name, "the certificate is about this cost", f"tensor {name!r} of part {k} is not that cost's"
                )


def _bare(problem: Problem) -> Problem:
    """With the constants' names alone: programs are compared apart from their tensors."""
    return Problem(tuple(replace(t, tensors=dict.fromkeys(t.tensors)) for t in problem.terms), problem.blocks)


def _nothing(value: Any, data: bool = False) -> str:
    return ""


class Supplied(Mapping[str, np.ndarray]):
    """A term's constants; those that the file only refers to are read from given data, and must be exactly these."""

    streamed = True

    def __init__(self, own: Mapping[str, Any], given: Mapping[str, np.ndarray] | None, part: int):
        self.own, self._given, self._part = own, given, part

    def __getitem__(self, name: str) -> np.ndarray:
        wanted = self.own[name]
        if not isinstance(wanted, codec.Reference):
            return wanted
        if self._given is None:
            raise Rejected(
                "data",
                "data that is at hand",
                "the file holds no data but its sha256: give the cost with its data, as in `jensen verify FILE --data "
                "TARGET` or jensen.verify(path, cost=cost)",
            )
        value = self._given.get(name)
        found = None if value is None else codec.reference(value)
        if value is None or found != wanted:
            raise Rejected(
                "data",
                "data is what the certificate refers to",
                f"tensor {name[:60]!r} of part {self._part} is {found or 'missing'} in the given data, and {wanted} in "
                f"the certificate: give the data that the claim is about, cut as it was",
            )
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


def supplied(problem: Problem, theirs: Problem | None) -> Problem:
    """The problem with another one's data in place of its references; each tensor is compared when it is read."""
    if not any(term.data for term in problem.terms):
        return problem
    given: list[Any] = [None] * len(problem.terms)
    if theirs is not None:
        given = [*(term.tensors for term in theirs.terms), *({} for _ in problem.terms)]
    own = [t.tensors.own if isinstance(t.tensors, Supplied) else t.tensors for t in problem.terms]
    terms = [replace(t, tensors=Supplied(own[k], given[k], k)) for k, t in enumerate(problem.terms)]
    return Problem(tuple(terms), problem.blocks)


class _Pool:
    """Tensors by content; equal ones are stored once, and data that is too large to store only by what it is."""

    def __init__(self) -> None:
        self._keys: dict[codec.Reference, str] = {}
        self._data: dict[str, np.ndarray] = {}
        self._rest: dict[str, np.ndarray] = {}
        self._seen: dict[int, tuple[np.ndarray, str]] = {}  # what all terms share is hashed once
        self._large = False

    def __call__(self, value: np.ndarray, data: bool = False) -> str:
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        key = self._keys.setdefault(codec.reference(value), f"t{len(self._keys)}")
        if not data:
            self._rest[key] = value
            self._seen[id(value)] = (value, key)
        elif not self._large:
            self._data[key] = value
            self._large = _bytes(self._data) > EMBED_LIMIT
        if self._large:
            self._data.clear()
        return key

    def split(self) -> tuple[dict[str, np.ndarray], dict[str, codec.Reference]]:
        """What is stored, and what is referred to."""
        whole = {**self._data, **self._rest}
        if not self._large and _bytes(whole) <= EMBED_LIMIT:
            return _plain(whole), {}
        return _plain(self._rest), {key: r for r, key in self._keys.items() if key not in self._rest}


def _bytes(tensors: Mapping[str, np.ndarray]) -> int:
    return sum(t.nbytes for t in tensors.values())


def _plain(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: np.ascontiguousarray(t).reshape(t.shape) for key, t in tensors.items()}


def write(certificate: Certificate, path: str | PathLike[str]) -> None:
    """Write a certificate file, whole or not at all.

    Where all tensors together are larger than 256 MB, the data is not stored but referred to by its sha256.

    Raises:
        Misuse: Where its tensors are larger than 256 MB even without the data.
        OSError: Where the file cannot be written.
    """
    pool = _Pool()
    program = codec.program_json(certificate.problem, pool)
    evidence = codec.evidence_json(certificate.evidence, pool)
    claim = codec.claim_json(certificate.claim, pool)
    tensors, references = pool.split()
    size = _bytes(tensors)
    if size > EMBED_LIMIT:
        raise Misuse(
            f"the certificate would hold {size / 2**20:.0f} MB of tensors besides its data; the limit is 256 MB: "
            f"ask about a smaller model, or fewer of its blocks"
        )
    if references:
        program["references"] = codec.references_json(references)
    parts = {
        "program.json": codec.dump(program),
        "tensors.safetensors": save(tensors),
        "evidence.json": codec.dump(evidence),
    }
    hashes = {n: hashlib.sha256(b).hexdigest() for n, b in parts.items()}
    claim = {"format": 2 if references else 1, **claim, "sha256": hashes}
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
    try:
        path = os.fsdecode(path)
    except TypeError as e:
        raise Misuse(f"{path!r} is no path; give the path of a .jensen file") from e
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
    if not isinstance(claim_data, dict) or set(claim_data) != {"format", "sha256", *codec.claim_fields(claim_data)}:
        raise Rejected("claim.json", "exactly the known fields", "fields are missing or unknown")
    hashes = {n: hashlib.sha256(parts[n]).hexdigest() for n in MEMBERS[1:]}
    if claim_data["sha256"] != hashes:
        raise Rejected("claim.json", "hashes agree", "a part of the file is not the one that the claim names")
    tensors = _tensors(parts["tensors.safetensors"])
    lookup = codec.Lookup(tensors)
    program = codec.parse(parts["program.json"], "program.json")
    version = 2 if isinstance(program, dict) and "references" in program else 1
    if claim_data["format"] != version or type(claim_data["format"]) is not int:
        raise Rejected("claim.json", "a known format", f"format {claim_data['format']!r} is not {version}")
    problem = codec.read_problem(program, lookup)
    claim = codec.read_claim(claim_data, lookup)
    evidence = codec.read_evidence(codec.parse(parts["evidence.json"], "evidence.json"), lookup)
    unused = {*tensors, *lookup.references} - lookup.used
    if unused:
        raise Rejected("tensors.safetensors", "no unused tensors", f"{sorted(unused)[0]!r} belongs to nothing")
    return Certificate(supplied(problem, None), claim, evidence)


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
