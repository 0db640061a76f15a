"""Certificates changed by someone who recomputes the hashes: (name, builder, fragment of the reason)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from refuse_build import R, X, boxed, changed, problem, refuted
from safetensors.numpy import load, save

from jensen import certificate

Case = tuple[str, Callable[[], Any], str]

T = "tensors.safetensors"


def at(part: str, *keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    """A change: one value inside a JSON part."""

    def change(data: dict[str, Any]) -> None:
        inner = data[part]
        for k in keys[:-1]:
            inner = inner[k]
        inner[keys[-1]] = to

    return change


def drop(part: str, *keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        inner = data[part]
        for k in keys[:-1]:
            inner = inner[k]
        del inner[keys[-1]]

    return change


def tensors(edit: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[dict[str, Any]], None]:
    """A change: the tensors."""

    def change(data: dict[str, Any]) -> None:
        t = load(data[T])
        edit(t)
        data[T] = save(t)

    return change


def header(edit: Callable[[dict[str, Any]], Any], tail: bytes = b"") -> Callable[[dict[str, Any]], None]:
    """A change: the header of the tensors."""

    def change(data: dict[str, Any]) -> None:
        (n,) = struct.unpack("<Q", data[T][:8])
        table = json.loads(data[T][8 : 8 + n])
        edit(table)
        new = json.dumps(table).encode()
        data[T] = struct.pack("<Q", len(new)) + new + data[T][8 + n :] + tail

    return change


def other_cost(what: str) -> Callable[[], Any]:
    """A certificate of another cost than the one that it is compared with."""

    def run() -> Any:
        certificate_problem = problem(X, ("const", "c"), ("mul", R(0), R(1)), ("pow", R(2), 2), tensors={"c": 1.0})
        given = {
            "program": problem(X, ("const", "c"), ("mul", R(0), R(1)), ("pow", R(2), 4), tensors={"c": 1.0}),
            "tensor": problem(X, ("const", "c"), ("mul", R(0), R(1)), ("pow", R(2), 2), tensors={"c": 2.0}),
        }[what]
        certificate._same_problem(certificate_problem, given)

    return run


NODE = ("program.json", "programs", 0, "nodes")

CLAIMS: list[Case] = [
    ("the claim is a list", changed(lambda d: d.update({"claim.json": []})), "exactly the known fields"),
    ("a field too many in the claim", changed(at("claim.json", "proof", to=1)), "exactly the known fields"),
    ("a statement of one's own", changed(at("claim.json", "statement", to="J is convex")), "exactly the known fields"),
    ("a field too few", changed(drop("claim.json", "ideal")), "exactly the known fields"),
    ("another format", changed(at("claim.json", "format", to=2)), "known format"),
    ("a format that is true", changed(at("claim.json", "format", to=True)), "known format"),
    ("no hashes", changed(at("claim.json", "sha256", to={})), "hashes agree"),
    ("a hash too many", changed(at("claim.json", "sha256", "x", to="")), "hashes agree"),
    ("swapped hashes", changed(lambda d: d["claim.json"]["sha256"].update(
        {"program.json": d["claim.json"]["sha256"]["evidence.json"],
        "evidence.json": d["claim.json"]["sha256"]["program.json"]}),
        rehash=False), "hashes agree"),
    ("another program under the old hash", changed(at(*NODE, 3, 2, to=[{"ref": 2}, 4]), rehash=False), "hashes agree"),
    ("other tensors under the old hash", changed(tensors(lambda t: t["t0"].fill(7)), rehash=False), "hashes agree"),
    ("other evidence under the old hash", changed(at("evidence.json", "method", to="box"), rehash=False),
     "hashes agree"),
    ("a kind that is a number", changed(at("claim.json", "kind", to=1)), "well-formed claims"),
    ("ideal is a number", changed(at("claim.json", "ideal", to=0)), "well-formed claims"),
    ("boxes are a list", changed(at("claim.json", "within", to=[])), "well-formed claims"),
    ("a box is one tensor", changed(at("claim.json", "within", to={"x": "t0"})), "a box per block"),
    ("a box of three tensors", changed(at("claim.json", "within", to={"x": ["t0", "t0", "t0"]})), "a box per block"),
    ("a box of a tensor that is not there", changed(at("claim.json", "within", to={"x": ["t9", "t0"]})),
     "known tensors"),
    ("a box of numbers", changed(at("claim.json", "within", to={"x": [0, 1]})), "known tensors"),
    ("a box of another block", changed(at("claim.json", "within", to={"z": ["t0", "t0"]})), "not a block of this cost"),
    ("blocks are a string", changed(at("claim.json", "blocks", to="x")), "list of names"),
    ("blocks are numbers", changed(at("claim.json", "blocks", to=[1])), "list of names"),
    ("a block that is not there", changed(at("claim.json", "blocks", to=["w"])), "are no blocks"),
    ("the opposite", changed(at("claim.json", "kind", to="concave")), "makes it concave"),
    ("the refutation taken for a proof", changed(at("claim.json", "kind", to="convex"), refuted), "evidence fits"),
    ("x y without its chord", changed(lambda d: d.update({"claim.json": {**d["claim.json"], "kind": "convex"},
                                                         "evidence.json": {"method": "rules"}, T: save({})}), refuted),
                                                         "multiplied"),
    ("a larger box", changed(tensors(lambda t: t.update(t0=np.array(-1.0))), boxed), "pow loses it"),
]  # fmt: skip

PROGRAMS: list[Case] = [
    ("another exponent", changed(at(*NODE, 3, 2, to=[{"ref": 2}, 3])), "pow loses it"),
    ("another operation", changed(at(*NODE, 3, 1, to="aten.tanh.default")), "n3"),
    ("the problem is a list", changed(lambda d: d.update({"program.json": []})), "exactly the known fields"),
    ("a field too many in the problem", changed(at("program.json", "extra", to=1)), "exactly the known fields"),
    ("blocks in a list", changed(at("program.json", "blocks", to=["x"])), "well-formed problems"),
    ("programs in a table", changed(at("program.json", "programs", to={})), "well-formed problems"),
    ("a program that is a list", changed(at("program.json", "programs", 0, to=[])), "exactly the known fields"),
    ("nodes in a table", changed(at("program.json", "programs", 0, "nodes", to={})), "well-formed programs"),
    ("an output that is text", changed(at("program.json", "programs", 0, "output", to="4")), "well-formed programs"),
    ("an output that is true", changed(at("program.json", "programs", 0, "output", to=True)), "well-formed programs"),
    ("an output too far", changed(at("program.json", "programs", 0, "output", to=5)), "does not have"),
    ("an output before the end", changed(at("program.json", "programs", 0, "output", to=3)), "scalar cost"),
    ("a node without module", changed(at(*NODE, 3, to=["n3", "x", []])), "well-formed nodes"),
    ("a node whose arguments are text", changed(at(*NODE, 3, 2, to="x")), "well-formed nodes"),
    ("a node without name", changed(at(*NODE, 3, 0, to=None)), "well-formed nodes"),
    ("an operation that is a number", changed(at(*NODE, 3, 1, to=3)), "well-formed nodes"),
    ("arguments nested deeply", changed(at(*NODE, 3, 2, to=[[[[[[[[[1]]]]]]]]])), "shallow arguments"),
    ("an integer of 100 digits", changed(at(*NODE, 3, 2, to=[{"ref": 2}, 10**100])), "bounded integers"),
    ("an argument of unknown kind", changed(at(*NODE, 3, 2, to=[{"unknown": "device"}])), "known arguments"),
    ("an argument that is code", changed(at(*NODE, 3, 2, to=[{"ref": 2, "float": "inf"}])), "known arguments"),
    ("a negative reference", changed(at(*NODE, 3, 2, to=[{"ref": -1}, 2])), "known arguments"),
    ("a reference that is true", changed(at(*NODE, 3, 2, to=[{"ref": True}, 2])), "known arguments"),
    ("a reference forward", changed(at(*NODE, 3, 2, to=[{"ref": 4}, 2])), "does not come before"),
    ("a float that is none", changed(at(*NODE, 3, 2, to=[{"ref": 2}, {"float": "2.0"}])), "known arguments"),
    ("an exponent that is NaN", changed(at(*NODE, 3, 2, to=[{"ref": 2}, {"float": "nan"}])), "n3"),
    ("a cost of another block", changed(at(*NODE, 0, 2, to=["w"])), "inputs of the program"),
    ("a negative size", changed(at("program.json", "blocks", "x", to=[-2])), "block shapes"),
    ("a size that is a float", changed(at("program.json", "blocks", "x", to=[2.0])), "block shapes"),
    ("a shape that is a number", changed(at("program.json", "blocks", "x", to=2)), "block shapes"),
    ("a shape of 17 axes", changed(at("program.json", "blocks", "x", to=[1] * 17)), "block shapes"),
    ("a huge shape", changed(at("program.json", "blocks", "x", to=[2**39, 2**39])), "bounded sizes"),
    ("another shape", changed(at("program.json", "blocks", "x", to=[3])), "well-formed"),
    ("a term that is a list", changed(at("program.json", "terms", 0, to=[])), "exactly the known fields"),
    ("a term without program", changed(at("program.json", "terms", 0, "program", to=1)), "well-formed terms"),
    ("a term of program -1", changed(at("program.json", "terms", 0, "program", to=-1)), "well-formed terms"),
    ("a term whose program is true", changed(at("program.json", "terms", 0, "program", to=True)), "well-formed terms"),
    ("a term with a list of tensors", changed(at("program.json", "terms", 0, "tensors", to=["t0"])),
     "well-formed terms"),
    ("a term with a tensor that is not there", changed(at("program.json", "terms", 0, "tensors", "c", to="t1")),
     "known tensors"),
    ("no terms", changed(lambda d: d["program.json"].update(terms=[], programs=[])), "no unused tensors"),
    ("a program that no term uses",
     changed(lambda d: d["program.json"]["programs"].append(d["program.json"]["programs"][0])), "every program"),
    ("a weight that is a number", changed(at("program.json", "terms", 0, "weight", to=1)), "exact fractions"),
    ("a weight that is a float", changed(at("program.json", "terms", 0, "weight", to="0.5")), "exact fractions"),
    ("a weight over zero", changed(at("program.json", "terms", 0, "weight", to="1/0")), "exact fractions"),
    ("a weight of nothing", changed(at("program.json", "terms", 0, "weight", to="")), "exact fractions"),
    ("a weight of 5,000 digits", changed(at("program.json", "terms", 0, "weight", to="9" * 5000)), "exact fractions"),
    ("a weight of 3,000 digits", changed(at("program.json", "terms", 0, "weight", to="9" * 3000)), "OverflowError"),
    ("a negative weight", changed(at("program.json", "terms", 0, "weight", to="-1")), "positive weights"),
]  # fmt: skip

TENSORS: list[Case] = [
    ("a tensor that nothing uses", changed(tensors(lambda t: t.update(more=np.zeros(2)))), "no unused tensors"),
    ("a tensor under another name", changed(tensors(lambda t: t.update(t1=t.pop("t0")))), "known tensors"),
    ("no tensors", changed(lambda d: d.update({T: save({})})), "known tensors"),
    *(
        (f"a tensor of {d}", changed(tensors(lambda t, d=d: t.update(t0=np.ones(2, dtype=d)))),
        "float64, int64 or bool")
        for d in ("float32", "float16", "uint8", "int32", "uint64")
    ),
    ("a tensor of bfloat16", changed(header(lambda h: h["t0"].update(dtype="BF16", shape=[8]))), "damaged"),
    ("a tensor of complex numbers", changed(header(lambda h: h["t0"].update(dtype="C64"))), "tensors"),
    ("a tensor of unknown type", changed(header(lambda h: h["t0"].update(dtype="F65"))), "damaged"),
    ("a tensor with NaN", changed(tensors(lambda t: t.update(t0=np.array([np.nan, 1])))), "no NaN"),
    ("a tensor with infinity", changed(tensors(lambda t: t.update(t0=np.array([np.inf, 1])))), "finite real tensors"),
    ("a tensor of another shape", changed(tensors(lambda t: t.update(t0=np.zeros(3)))), "well-formed"),
    ("a tensor whose shape lies", changed(header(lambda h: h["t0"].update(shape=[3]))), "damaged"),
    ("a tensor of 2^62 numbers", changed(header(lambda h: h["t0"].update(shape=[2**31, 2**31]))), "damaged"),
    ("a tensor that wraps around", changed(header(lambda h: h["t0"].update(shape=[2**32, 2**32, 2]))), "damaged"),
    ("a tensor of nothing, hugely", changed(header(lambda h: h["t0"].update(shape=[0, 2**60, 2**60], data_offsets=[0,
     0]))), "damaged"),
    ("a tensor of 100 axes", changed(header(lambda h: h["t0"].update(shape=[1] * 100 + [2]))), "damaged"),
    ("offsets that leave", changed(header(lambda h: h["t0"].update(data_offsets=[8, 24]))), "damaged"),
    ("offsets backward", changed(header(lambda h: h["t0"].update(data_offsets=[16, 0]))), "damaged"),
    ("bytes after the tensors", changed(header(lambda h: None, b"more")), "damaged"),
    ("a header beyond the end", changed(lambda d: d.update({T: b"\xff" * 8 + d[T][8:]})), "damaged"),
    ("tensors that are none", changed(lambda d: d.update({T: b"nonsense"})), "damaged"),
    ("tensors of no bytes", changed(lambda d: d.update({T: b""})), "damaged"),
]  # fmt: skip

EVIDENCE: list[Case] = [
    ("evidence that is a list", changed(at("evidence.json", "method", to=["rules"])), "a known method"),
    ("evidence without method", changed(lambda d: d.update({"evidence.json": {}})), "a known method"),
    ("evidence that is text", changed(lambda d: d.update({"evidence.json": "rules"})), "a known method"),
    ("a method that is none", changed(at("evidence.json", "method", to="trust me")), "known method of proof"),
    ("a hint", changed(at("evidence.json", "hint", to=1)), "no unknown fields"),
    ("a chord without points", changed(at("evidence.json", "method", to="chord")), "exactly the known fields"),
    ("a chord with a hint", changed(at("evidence.json", "hint", to=1), refuted), "exactly the known fields"),
    ("a chord whose end is a tensor", changed(at("evidence.json", "a", to="t0"), refuted), "points by block"),
    ("a chord with an end that is not there", changed(at("evidence.json", "a", "x", to="t7"), refuted),
     "known tensors"),
    ("t is a number", changed(at("evidence.json", "t", to=0.5), refuted), "exact fractions"),
    ("t = 1", changed(at("evidence.json", "t", to="1"), refuted), "between the ends"),
    ("both ends the same", changed(lambda d: d["evidence.json"].update(b=d["evidence.json"]["a"]), refuted),
     "the same point"),
    ("a point at infinity", changed(tensors(lambda t: t.update(t0=np.array(np.inf))), refuted), "NaN or infinity"),
    ("a point of another shape", changed(tensors(lambda t: t.update(t0=np.zeros(2))), refuted),
     "must be float64 of shape"),
    ("a point of integers", changed(tensors(lambda t: t.update(t0=np.array(3))), refuted), "must be float64"),
    ("ends in the other diagonal", changed(lambda d: d["evidence.json"].update(
        a={"x": "t0", "y": "t0"}, b={"x": "t1", "y": "t1"}), refuted), "do not violate"),
    ("another program", other_cost("program"), "about this cost"),
    ("another tensor", other_cost("tensor"), "about this cost"),
]  # fmt: skip

CASES = CLAIMS + PROGRAMS + TENSORS + EVIDENCE
