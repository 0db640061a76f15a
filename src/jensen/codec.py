"""Problems, claims and evidence as JSON, and back, strictly."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from jensen.kernel.check import Claim
from jensen.kernel.claims.chord import Chord
from jensen.kernel.claims.claim import INVARIANT
from jensen.kernel.claims.factor import Factor, Site
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Node, Problem, Program, Ref, Term

CLAIM_FIELDS = ("kind", "blocks", "within", "ideal")
MAX_NODES = 2_000_000
MAX_DEPTH = 6
MAX_ITEMS = 8_000_000

DTYPES = ("float64", "int64", "bool")


class Store(Protocol):
    """Takes a tensor, which may be data, and gives the key under which it is found again."""

    def __call__(self, value: np.ndarray, data: bool = False) -> str: ...


@dataclass(frozen=True)
class Reference:
    """What a file knows of a tensor that it does not hold."""

    sha256: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape} with sha256 {self.sha256[:12]}..."


def reference(value: np.ndarray) -> Reference:
    """A tensor's own: the hash is that of its elements in order, little-endian."""
    value = np.ascontiguousarray(value).reshape(value.shape)
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return Reference(hashlib.sha256(little.data).hexdigest(), value.dtype.name, value.shape)


def dump(data: Any) -> bytes:
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a field is given twice")
    return out


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not allowed")


def _finite(text: str) -> float:
    x = float(text)
    return x if math.isfinite(x) else _no_constant(text)


def parse(data: bytes, part: str) -> Any:
    """Strict JSON: no repeated fields, no NaN, no number too large for a float, a bounded number of items."""
    if sum(data.count(c) for c in (b",", b"[", b"{")) > MAX_ITEMS:
        raise Rejected(part, "bounded sizes", "the part has too many items")
    hooks = {"object_pairs_hook": _unique, "parse_constant": _no_constant, "parse_float": _finite}
    try:
        return json.loads(data.decode("utf-8"), **hooks)
    except (ValueError, RecursionError) as e:
        raise Rejected(part, "strict JSON", f"the part cannot be read: {e}") from None


class Lookup:
    """Tensors by key, remembering which were used; those of the program may be references."""

    def __init__(self, tensors: Mapping[str, np.ndarray]):
        self.tensors, self.used = tensors, set[str]()
        self.references: Mapping[str, Reference] = {}

    def constant(self, key: Any) -> np.ndarray | Reference:
        if isinstance(key, str) and key in self.references:
            self.used.add(key)
            return self.references[key]
        return self(key)

    def __call__(self, key: Any) -> np.ndarray:
        if not isinstance(key, str) or key not in self.tensors:
            raise Rejected("tensors.safetensors", "known tensors", f"tensor {key!r} is missing")
        self.used.add(key)
        return self.tensors[key]


def _fields(data: Any, names: set[str], part: str) -> dict[str, Any]:
    if not isinstance(data, dict) or set(data) != names:
        raise Rejected(part, "exactly the known fields", f"expected the fields {sorted(names)}")
    return data


def _strings(data: Any, part: str) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(s, str) for s in data):
        raise Rejected(part, "a list of names", "this is not a list of strings")
    return tuple(data)


# -- arguments -----------------------------------------------------------------------------------------------------


def _encode(a: Any) -> Any:
    if type(a) is Ref:
        return {"ref": a.index}
    if type(a) is tuple:
        return [_encode(x) for x in a]
    if isinstance(a, float) and not math.isfinite(a):
        return {"float": str(a)}
    if a is None or isinstance(a, (bool, int, float, str)):
        return a
    return {"unknown": str(a)}


def _decode(a: Any, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise Rejected("program.json", "shallow arguments", "arguments are nested too deeply")
    if isinstance(a, list):
        return tuple(_decode(x, depth + 1) for x in a)
    if isinstance(a, dict):
        if set(a) == {"ref"} and type(a["ref"]) is int and a["ref"] >= 0:
            return Ref(a["ref"])
        if set(a) == {"float"} and a["float"] in ("inf", "-inf", "nan"):
            return float(a["float"])
        raise Rejected("program.json", "known arguments", f"an argument is {str(a)[:60]}")
    if type(a) is int and abs(a) >= 2**63:
        raise Rejected("program.json", "bounded integers", "an integer argument is too large")
    return a


# -- problem -------------------------------------------------------------------------------------------------------


def program_json(problem: Problem, store: Store) -> dict[str, Any]:
    programs: list[Program] = []
    terms = []
    for term in problem.terms:
        index = next((i for i, p in enumerate(programs) if p is term.program or p == term.program), len(programs))
        if index == len(programs):
            programs.append(term.program)
        tensors = {name: store(term.tensors[name], name in term.data) for name in sorted(term.tensors)}
        terms.append({"program": index, "weight": str(term.weight), "tensors": tensors})
    return {
        "blocks": {name: list(shape) for name, shape in problem.blocks.items()},
        "programs": [{"nodes": [_node_json(n) for n in p.nodes], "output": p.output} for p in programs],
        "terms": terms,
    }


def _node_json(n: Node) -> list[Any]:
    return [n.name, n.op, [_encode(a) for a in n.args], n.module]


def _read_node(data: Any) -> Node:
    if not isinstance(data, list) or len(data) != 4 or not isinstance(data[2], list):
        raise Rejected("program.json", "well-formed nodes", "a node is not [name, operation, arguments, module]")
    if not all(isinstance(data[i], str) for i in (0, 1, 3)):
        raise Rejected("program.json", "well-formed nodes", "a node's name, operation and module must be strings")
    return Node(data[0], data[1], tuple(_decode(a) for a in data[2]), data[3])


def _read_program(data: Any) -> Program:
    data = _fields(data, {"nodes", "output"}, "program.json")
    if not isinstance(data["nodes"], list) or len(data["nodes"]) > MAX_NODES or type(data["output"]) is not int:
        raise Rejected("program.json", "well-formed programs", "nodes must be a list, output an index")
    return Program(tuple(_read_node(n) for n in data["nodes"]), data["output"])


def _shape(data: Any) -> tuple[int, ...]:
    if not isinstance(data, list) or len(data) > 16 or not all(type(n) is int and 0 <= n < 2**40 for n in data):
        raise Rejected("program.json", "block shapes", "the shape of a block or a tensor is not a list of sizes")
    return tuple(data)


def references_json(references: Mapping[str, Reference]) -> dict[str, Any]:
    return {key: {"sha256": r.sha256, "dtype": r.dtype, "shape": list(r.shape)} for key, r in references.items()}


def _references(data: Any) -> dict[str, Reference]:
    if not isinstance(data, dict):
        raise Rejected("program.json", "well-formed references", "the references are not a table")
    return {key: _reference(r) for key, r in data.items()}


def _reference(data: Any) -> Reference:
    data = _fields(data, {"sha256", "dtype", "shape"}, "program.json")
    digest, dtype = data["sha256"], data["dtype"]
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise Rejected("program.json", "well-formed references", "a reference's sha256 is not 64 hexadecimal digits")
    if dtype not in DTYPES:
        raise Rejected("program.json", "float64, int64 or bool tensors", f"a reference has dtype {str(dtype)[:40]}")
    return Reference(digest, dtype, _shape(data["shape"]))


def read_problem(data: Any, lookup: Lookup) -> Problem:
    """A problem; constants that the file only refers to are References in its terms.

    Format 1 has no field for references.
    """
    optional = {"references"} & set(data) if isinstance(data, dict) else set()
    data = _fields(data, {"blocks", "programs", "terms", *optional}, "program.json")
    lookup.references = _references(data.get("references", {}))
    if not lookup.references.keys().isdisjoint(lookup.tensors):
        raise Rejected("program.json", "well-formed references", "a tensor is both in the file and referred to")
    if not all((isinstance(data["blocks"], dict), isinstance(data["programs"], list), isinstance(data["terms"], list))):
        raise Rejected("program.json", "well-formed problems", "blocks, programs or terms have the wrong type")
    programs = [_read_program(p) for p in data["programs"]]
    terms = []
    for t in data["terms"]:
        t = _fields(t, {"program", "weight", "tensors"}, "program.json")
        if type(t["program"]) is not int or not 0 <= t["program"] < len(programs) or not isinstance(t["tensors"], dict):
            raise Rejected("program.json", "well-formed terms", "a term names a program or tensors that are not there")
        tensors = {name: lookup.constant(key) for name, key in t["tensors"].items()}
        named = frozenset(name for name, value in tensors.items() if isinstance(value, Reference))
        terms.append(Term(programs[t["program"]], tensors, fraction(t["weight"]), named))  # type: ignore[arg-type]
    if {id(t.program) for t in terms} != {id(p) for p in programs}:
        raise Rejected("program.json", "every program is used", "a program belongs to no term")
    return Problem(tuple(terms), {name: _shape(s) for name, s in data["blocks"].items()})


def fraction(text: Any) -> Fraction:
    if not isinstance(text, str) or len(text) > 4000 or not set(text) <= set("0123456789/-"):
        raise Rejected("fraction", "exact fractions", f"{str(text)[:40]!r} is not a fraction such as '1/2'")
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise Rejected("fraction", "exact fractions", f"{text[:40]!r} is not a fraction such as '1/2'") from None


# -- claim and evidence --------------------------------------------------------------------------------------------


def claim_json(claim: Claim, store: Store) -> dict[str, Any]:
    within = {name: [store(np.asarray(lo)), store(np.asarray(hi))] for name, (lo, hi) in claim.within.items()}
    data = {"kind": claim.kind, "blocks": list(claim.blocks), "within": within, "ideal": claim.ideal}
    return {**data, "factors": [_factor_json(f, store) for f in claim.factors]} if claim.kind == INVARIANT else data


def _factor_json(f: Factor, store: Store) -> dict[str, Any]:
    sites = [
        {"block": s.block, "axes": list(s.axes), "positions": store(np.asarray(s.positions)), "degree": str(s.degree)}
        for s in f.sites
    ]
    return {"kind": f.kind, "size": f.size, "sites": sites, "frames": [list(pair) for pair in f.frames]}


def _read_factor(data: Any, lookup: Lookup) -> Factor:
    data = _fields(data, {"kind", "size", "sites", "frames"}, "claim.json")
    if not isinstance(data["kind"], str) or not isinstance(data["sites"], list):
        raise Rejected("claim.json", "well-formed factors", "a factor's kind or sites have the wrong type")
    pairs = [_strings(pair, "claim.json") for pair in data["frames"]] if isinstance(data["frames"], list) else [()]
    if any(len(pair) != 2 for pair in pairs):
        raise Rejected("claim.json", "well-formed factors", "a factor's frames are not pairs of blocks")
    sites = tuple(_read_site(s, lookup) for s in data["sites"])
    return Factor(data["kind"], data["size"], sites, tuple((pair[0], pair[1]) for pair in pairs))


def _read_site(data: Any, lookup: Lookup) -> Site:
    data = _fields(data, {"block", "axes", "positions", "degree"}, "claim.json")
    if not isinstance(data["block"], str) or not isinstance(data["axes"], list):
        raise Rejected("claim.json", "well-formed factors", "a site's block or axes have the wrong type")
    return Site(data["block"], tuple(data["axes"]), lookup(data["positions"]), fraction(data["degree"]))


def claim_fields(data: Any) -> set[str]:
    """The fields that a claim must have: only invariance is about moves."""
    moves = isinstance(data, dict) and data.get("kind") == INVARIANT
    return {*CLAIM_FIELDS, "factors"} if moves else {*CLAIM_FIELDS}


def read_claim(data: dict[str, Any], lookup: Lookup) -> Claim:
    if not isinstance(data["kind"], str) or type(data["ideal"]) is not bool or not isinstance(data["within"], dict):
        raise Rejected("claim.json", "well-formed claims", "kind, ideal or within has the wrong type")
    within = {}
    for name, pair in data["within"].items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise Rejected("claim.json", "a box per block", f"the box of {name!r} is not a pair of tensors")
        within[name] = (lookup(pair[0]), lookup(pair[1]))
    factors = data.get("factors", [])
    if not isinstance(factors, list):
        raise Rejected("claim.json", "well-formed factors", "the factors are not a list")
    moves = tuple(_read_factor(f, lookup) for f in factors)
    return Claim(data["kind"], _strings(data["blocks"], "claim.json"), within, data["ideal"], factors=moves)


def evidence_json(evidence: Any, store: Store) -> dict[str, Any]:
    if isinstance(evidence, Chord):
        points = {k: {n: store(v) for n, v in getattr(evidence, k).items()} for k in ("a", "b", "others")}
        return {"method": "chord", "t": str(evidence.t), **points}
    return dict(evidence)


def read_evidence(data: Any, lookup: Lookup) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get("method"), str):
        raise Rejected("evidence.json", "a known method", "the evidence names no method")
    if data["method"] != "chord":
        return data
    data = _fields(data, {"method", "t", "a", "b", "others"}, "evidence.json")
    points = []
    for k in ("a", "b", "others"):
        if not isinstance(data[k], dict):
            raise Rejected("evidence.json", "points by block", f"{k} is not a table of tensors")
        points.append({n: lookup(key) for n, key in data[k].items()})
    return Chord(points[0], points[1], points[2], fraction(data["t"]))
