"""Certificates that refer to data which is not in the file: (name, builder, fragment of the reason)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from refuse_build import R, parts, path, problem, rebuild, write
from refuse_parts import T, at, drop, tensors

from jensen import certificate
from jensen.kernel.check import Claim
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Problem

Case = tuple[str, Callable[[], Any], str]

C = np.array([1.0, 2.0])


def cost(c: np.ndarray = C, power: int = 2, name: str = "c") -> Problem:
    """sum((x - c)^2), where c is data."""
    p = problem(("block", "x"), ("const", name), ("sub", R(0), R(1)), ("pow", R(2), power), ("sum", R(3)),
                blocks={"x": (2,)}, tensors={name: c})  # fmt: skip
    return Problem((replace(p.terms[0], data=frozenset({name})),), p.blocks)


def limited(run: Callable[[], Any], limit: int = 8) -> Any:
    """With a limit that the data is beyond, and nothing else is."""
    old, certificate.EMBED_LIMIT = certificate.EMBED_LIMIT, limit
    try:
        return run()
    finally:
        certificate.EMBED_LIMIT = old


def referring() -> Path:
    """It is convex, by rules."""
    return limited(lambda: write(cost()))


def refuted() -> Path:
    """Its negative is not; the points are larger than the data, and in the file all the same."""
    p = cost()
    chord = Chord({"x": np.zeros(2)}, {"x": np.ones(2)}, {})
    out = path()
    c = certificate.Certificate(p, Claim("not concave", ("x",), {}), chord)
    limited(lambda: certificate.write(c, out), limit=40)
    return out


def accepted(file: Path, given: Problem | None) -> Any:
    return certificate.accept(certificate.read(file), given)


def changed(change: Callable[[dict[str, Any]], Any], given: Problem | None = None) -> Callable[[], Any]:
    """A case: a certificate whose parts were changed, with the data of the honest one."""

    def run() -> Any:
        data = parts(referring())
        out = change(data)
        return accepted(rebuild(data if out is None else out), given or cost())

    return run


def given(theirs: Problem | None) -> Callable[[], Any]:
    """A case: an honest certificate with other data."""
    return lambda: accepted(referring(), theirs)


def of(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """A change: fields of the only reference."""

    def change(data: dict[str, Any]) -> None:
        for key, value in fields.items():
            at("program.json", "references", "t0", key, to=value)(data)

    return change


def embedded(data: Mapping[str, Any]) -> None:
    """Referred to and in the file."""
    tensors(lambda t: t.update(t0=C))(data)  # type: ignore[arg-type]


def twice(theirs: Problem) -> Problem:
    return Problem(theirs.terms * 2, theirs.blocks)


def rewritten() -> None:
    """A certificate without its data, written again."""
    certificate.write(certificate.read(referring()), path())


def point_by_reference(data: dict[str, Any]) -> None:
    data["evidence.json"] = {"method": "chord", "t": "1/2", "a": {"x": "t0"}, "b": {"x": "t0"}, "others": {}}
    data["claim.json"]["kind"] = "not concave"


def box_by_reference(data: dict[str, Any]) -> None:
    data["claim.json"]["within"] = {"x": ["t0", "t0"]}


WHAT = "data is what the certificate refers to"
CASES: list[Case] = [
    ("without data", given(None), "--data TARGET"),
    ("without data, written again", rewritten, "--data TARGET"),
    ("a chord without data", lambda: accepted(refuted(), None), "--data TARGET"),
    ("other data", given(cost(C + np.array([0.0, 1e-15]))), WHAT),
    ("minus zero for zero", lambda: accepted(limited(lambda: write(cost(np.zeros(2)))), cost(-np.zeros(2))), WHAT),
    ("data of another shape", given(cost(np.ones(3))), WHAT),
    ("data as a row", given(cost(C.reshape(1, 2))), WHAT),
    ("data of another type", given(cost(np.array([1, 2]))), WHAT),
    ("data under another name", given(cost(name="d")), "is missing in the given data"),
    ("no parts", given(Problem((), {"x": (2,)})), "is missing in the given data"),
    ("another program with the same data", given(cost(power=4)), "about this cost"),
    ("more parts with the same data", given(twice(cost())), "about this cost"),
    ("fewer parts with the same data", changed(lambda d: d["program.json"]["terms"].append(
        d["program.json"]["terms"][0])), "is missing in the given data"),
    ("another hash", changed(of(sha256="0" * 64)), WHAT),
    ("another shape", changed(of(shape=[1, 2])), WHAT),
    ("a huge shape", changed(of(shape=[2**39, 2**39])), WHAT),
    ("another type", changed(of(dtype="int64")), WHAT),
    ("an unknown type", changed(of(dtype="float32")), "float64, int64 or bool"),
    ("a type that is code", changed(of(dtype={"object": 1})), "float64, int64 or bool"),
    ("a negative size", changed(of(shape=[-2])), "block shapes"),
    ("a size that is true", changed(of(shape=[True])), "block shapes"),
    ("a size that is a float", changed(of(shape=[2.0])), "block shapes"),
    ("a shape of 17 axes", changed(of(shape=[1] * 17)), "block shapes"),
    ("a shape that is text", changed(of(shape="2")), "block shapes"),
    ("a hash in capitals", changed(of(sha256="A" * 64)), "64 hexadecimal digits"),
    ("a hash that is too short", changed(of(sha256="0" * 63)), "64 hexadecimal digits"),
    ("a hash that is a number", changed(of(sha256=0)), "64 hexadecimal digits"),
    ("a reference that is a hash", changed(at("program.json", "references", "t0", to="0" * 64)), "exactly the known"),
    ("a field too many in a reference", changed(of(path="/etc/passwd")), "exactly the known fields"),
    ("a field too few in a reference", changed(drop("program.json", "references", "t0", "dtype")), "exactly the known"),
    ("references in a list", changed(at("program.json", "references", to=[])), "not a table"),
    ("no references", changed(at("program.json", "references", to={})), "known tensors"),
    ("a reference that nothing uses", changed(lambda d: d["program.json"]["references"].update(
        t1=d["program.json"]["references"]["t0"])), "no unused tensors"),
    ("a tensor that is there as well", changed(embedded), "both in the file and referred to"),
    ("references in format 1", changed(at("claim.json", "format", to=1)), "known format"),
    ("format 2 without references", changed(drop("program.json", "references")), "known format"),
    ("format 3", changed(at("claim.json", "format", to=3)), "known format"),
    ("a point by reference", changed(point_by_reference), "known tensors"),
    ("a box by reference", changed(box_by_reference), "known tensors"),
    ("the opposite", changed(at("claim.json", "kind", to="concave")), "makes it concave"),
    ("tensors of nothing", changed(lambda d: d.update({T: b""})), "damaged"),
]  # fmt: skip
