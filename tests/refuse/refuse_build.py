"""Small programs by hand, and certificate files by hand, also inconsistent ones."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from jensen import certificate
from jensen.atoms import registry
from jensen.kernel.check import Claim, check
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Node, Problem, Program, Ref, Term

OPS = {
    **{n: f"aten.{n}.Tensor" for n in ("add", "sub", "mul", "div", "gt", "slice")},
    **{
        n: f"aten.{n}.default"
        for n in ("neg", "exp", "log", "relu", "abs", "tanh", "sigmoid", "matmul", "expand", "repeat")
    },
    **{
        n: f"aten.{n}.default"
        for n in ("maximum", "minimum", "view", "log1p", "softplus", "elu", "leaky_relu", "linear", "sin")
    },
    **{n: f"aten.{n}.default" for n in ("logsumexp", "pad", "roll", "amax", "lgamma")},
    "pow": "aten.pow.Tensor_Scalar",
    "sum": "aten.sum.dim_IntList",
    "mean": "aten.mean.dim",
    "softmax": "aten.softmax.int",
    "where": "aten.where.self",
    "select": "aten.select.int",
    "gather": "aten.gather.default",
}
RULES = {"method": "rules"}
X = ("block", "x")
Y = ("block", "y")
XY: dict[str, tuple[int, ...]] = {"x": (), "y": ()}
R = Ref


def program(*nodes: tuple[Any, ...], output: int | None = None) -> Program:
    """Nodes as (short operation, arguments...); named n0, n1, ..."""
    made = tuple(Node(f"n{i}", OPS.get(op, op), tuple(args)) for i, (op, *args) in enumerate(nodes))
    return Program(made, len(made) - 1 if output is None else output)


def problem(
    *nodes: tuple[Any, ...],
    blocks: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Any] | None = None,
    output: int | None = None,
    weight: Any = 1,
) -> Problem:
    data = {k: v if isinstance(v, np.ndarray) else np.array(v, dtype=np.float64) for k, v in (tensors or {}).items()}
    return Problem((Term(program(*nodes, output=output), data, weight),), dict(blocks or {"x": ()}))


def box(**bounds: tuple[Any, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {n: (np.array(lo, dtype=np.float64), np.array(hi, dtype=np.float64)) for n, (lo, hi) in bounds.items()}


def accept(
    p: Problem, kind: str = "convex", asked: Any = None, within: Any = None, evidence: Any = RULES, ideal: bool = False
) -> Claim:
    """The kernel's answer."""
    evidence = {"method": evidence} if isinstance(evidence, str) else evidence
    return check(p, Claim(kind, tuple(p.blocks if asked is None else asked), within or {}, ideal), evidence, registry())


def rules(*nodes: tuple[Any, ...], kind: str = "convex", evidence: Any = RULES, **more: Any) -> Callable[[], Any]:
    """A case: these nodes, this claim."""
    mine = {k: more.pop(k) for k in ("asked", "within", "ideal") if k in more}
    return lambda: accept(problem(*nodes, **more), kind, evidence=evidence, **mine)


def point(**values: Any) -> dict[str, np.ndarray]:
    return {n: v if isinstance(v, np.ndarray) else np.array(v, dtype=np.float64) for n, v in values.items()}


def chord(
    *nodes: tuple[Any, ...],
    a: Any,
    b: Any,
    others: Any = None,
    t: Any = Fraction(1, 2),
    kind: str = "convex",
    **more: Any,
) -> Callable[[], Any]:
    """A case: the claim ``not kind`` by a chord; numbers stand for the block x."""
    ends = [p if isinstance(p, dict) else point(x=p) for p in (a, b)]
    more.setdefault("asked", tuple(ends[0]))
    return rules(*nodes, kind=f"not {kind}", evidence=Chord(ends[0], ends[1], point(**(others or {})), t), **more)


# -- files ---------------------------------------------------------------------------------------------------------

FOLDER = Path(tempfile.mkdtemp(prefix="jensen-refuse-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
_count = [0]


def path() -> Path:
    _count[0] += 1
    return FOLDER / f"{_count[0]}.jensen"


def write(p: Problem, kind: str = "convex", asked: Any = None, within: Any = None, evidence: Any = RULES) -> Path:
    out = path()
    claim = Claim(kind, tuple(p.blocks if asked is None else asked), within or {})
    certificate.write(certificate.Certificate(p, claim, evidence), out)
    return out


def proved() -> Path:
    """sum((x - c)^2) is convex in x."""
    return write(problem(("block", "x"), ("const", "c"), ("sub", R(0), R(1)), ("pow", R(2), 2), ("sum", R(3)),
                         blocks={"x": (2,)}, tensors={"c": [1.0, 2.0]}))  # fmt: skip


def refuted() -> Path:
    """x y is not convex."""
    ends = point(x=1.0, y=-1.0), point(x=-1.0, y=1.0)
    p = problem(X, Y, ("mul", R(0), R(1)), blocks=XY)
    return write(p, "not convex", evidence=Chord(ends[0], ends[1], {}, Fraction(1, 2)))


def boxed() -> Path:
    return write(problem(X, ("pow", R(0), 3)), within=box(x=(0.0, 1.0)))


def parts(file: Path) -> dict[str, Any]:
    """Its four parts: JSON parsed, tensors as bytes."""
    with zipfile.ZipFile(file) as z:
        return {n: z.read(n) if n.endswith("safetensors") else json.loads(z.read(n)) for n in z.namelist()}


def rebuild(data: Mapping[str, Any], rehash: bool = True, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A file of these parts; an adversary recomputes the hashes."""
    raw = {n: v if isinstance(v, bytes) else json.dumps(v).encode() for n, v in data.items()}
    if rehash and isinstance(data.get("claim.json"), dict) and isinstance(data["claim.json"].get("sha256"), dict):
        claim = dict(data["claim.json"])
        claim["sha256"] = {n: hashlib.sha256(raw.get(n, b"")).hexdigest() for n in claim["sha256"]}
        raw["claim.json"] = json.dumps(claim).encode()
    out = path()
    with zipfile.ZipFile(out, "w", compression) as z:
        for n, b in raw.items():
            z.writestr(n, b)
    return out


def changed(
    change: Callable[[dict[str, Any]], Any], source: Callable[[], Path] = proved, rehash: bool = True
) -> Callable[[], Any]:
    """A case: a certificate whose parts were changed."""

    def run() -> Any:
        data = parts(source())
        out = change(data)
        return certificate.verify(rebuild(data if out is None else out, rehash))

    return run


def raw(data: bytes | Callable[[bytes], bytes], source: Callable[[], Path] = proved) -> Callable[[], Any]:
    """A case: a file of these bytes."""

    def run() -> Any:
        out = path()
        out.write_bytes(data if isinstance(data, bytes) else data(source().read_bytes()))
        return certificate.verify(out)

    return run
