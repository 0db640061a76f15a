"""A randomised attack on the kernel: random programs, whatever it accepts, and a search for what would prove it wrong.

An accepted claim for which the kernel also accepts a violating chord is a contradiction: a bug in the kernel. So is a
value outside the range that the facts give it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from jensen.atoms import registry
from jensen.kernel import balls
from jensen.kernel.check import KINDS, Claim, check
from jensen.kernel.claims import box, closer
from jensen.kernel.claims import chord as chords
from jensen.kernel.claims.leaves import Leaves
from jensen.kernel.errors import Rejected
from jensen.kernel.facts import CONCAVE, CONSTANT, CONVEX, QUASICONCAVE, QUASICONVEX, UNDEFINED
from jensen.kernel.program import Node, Problem, Program, Ref, Term, fill
from jensen.kernel.readings import node_value, read_facts

UNARY = (
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1",
    "gelu", "hardsigmoid", "hardswish", "hardtanh", "lgamma", "log", "log10", "log1p", "log2", "log_sigmoid",
    "logit", "mish", "neg", "relu", "relu6", "round", "rsqrt", "selu", "sigmoid", "sign", "silu", "sin", "sinh",
    "softplus", "softsign", "sqrt", "square", "tan", "tanh", "tanhshrink", "reciprocal", "floor", "celu", "elu",
    "leaky_relu", "hardshrink", "softshrink", "clamp", "clamp_min", "clamp_max", "threshold",
)  # fmt: skip
SMOOTH = (
    "abs", "relu", "exp", "tanh", "sigmoid", "softplus", "silu", "log_sigmoid", "log", "log1p", "expm1", "neg",
    "erf", "sinh", "cosh", "atan", "asinh", "square",
)  # fmt: skip
ATTRIBUTES = {
    "elu": [(), (0.5,), (2.0,), (-1.0,)],
    "celu": [(), (0.5,), (2.0,)],
    "leaky_relu": [(), (0.2,), (2.0,), (-0.5,)],
    "softplus": [(), (2.0,), (1.0, 0.5), (0.5, 3.0)],
    "hardshrink": [(), (0.25,)],
    "softshrink": [(), (0.25,)],
    "clamp": [(-0.5, 1.0), (0.0, None), (None, 0.25)],
    "clamp_min": [(0.0,), (-0.5,)],
    "clamp_max": [(0.0,), (0.5,)],
    "threshold": [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0), (-1.0, -2.0)],
    "gelu": [(), ("tanh",)],
}
EXPONENTS = (2, 3, 0.5, 1.5, -1, -2, -0.5, 4, 0, 1, -3, 2.5, 1 / 3, 0.25, -1.5)
NUMBERS = (0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 1e-9, -1e-9, 0.1)
BINARY = ("add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "maximum.default", "minimum.default")
PAIRS = ("logaddexp.default", "hypot.default", "atan2.default", "xlogy.Tensor", "pow.Tensor_Tensor")
INF = float("inf")
SHAPES = ((), (2,), (2, 2), (1, 2))


class Builder:
    """A random program, grown node by node; nodes whose shapes do not fit are dropped when it is linked."""

    def __init__(self, rng: np.random.Generator, small: bool = False):
        self.rng, self.small = rng, small
        self.nodes: list[Node] = []
        self.shapes: list[tuple[int, ...]] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.blocks: dict[str, tuple[int, ...]] = {}
        self.atoms = registry()

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def leaf(self, op: str, name: str, shape: tuple[int, ...]) -> None:
        self.nodes.append(Node(f"n{len(self.nodes)}", op, (name,)))
        self.shapes.append(shape)

    def add(self, op: str, *args: Any) -> bool:
        """Append the operation if its arguments fit."""
        atom = self.atoms.get(op)
        if atom is None:
            return False
        try:
            shape = tuple(atom.shape(*fill(args, self.shapes)))
        except Exception:
            return False
        self.nodes.append(Node(f"n{len(self.nodes)}", op, args))
        self.shapes.append(shape)
        return True

    def some(self) -> Ref:
        """A recent value more often than an old one."""
        n = len(self.nodes)
        return Ref(max(int(self.rng.integers(n)), int(self.rng.integers(n))))

    def grow(self) -> None:
        kind, a, b = self.rng.random() * (0.76 if self.small else 1), self.some(), self.some()
        if self.rng.random() < 0.15 and not self.small:
            self.group(int(self.rng.integers(6)), a, b)
        elif kind < 0.36:
            op = self.pick(SMOOTH if self.small else UNARY)
            self.add(f"aten.{op}.default", a, *self.pick(ATTRIBUTES.get(op, [()])))
        elif kind < 0.5:
            self.add("aten.pow.Tensor_Scalar", a, self.pick(EXPONENTS))
        elif kind < 0.76:
            other = self.pick(NUMBERS) if self.rng.random() < 0.4 else b
            args = (a, other) if self.rng.random() < 0.7 else (other, a)
            self.add("aten." + self.pick(BINARY[:4] if self.small else BINARY), *args)
        elif kind < 0.8:
            self.add("aten." + self.pick(PAIRS), a, b)
        else:
            self.reduce(a, b)

    def group(self, which: int, a: Ref, b: Ref) -> None:
        """Operations that mean something together: what the closer reading looks for."""
        op = self.pick(SMOOTH)
        if which < 3:  # a function of one value with a branch
            self.add("aten." + self.pick(("gt", "ge", "lt", "le", "eq")) + ".Tensor", a, self.pick(NUMBERS))
            test, sides = Ref(len(self.nodes) - 1), []
            for _ in range(2):
                self.add("aten.mul.Tensor", a, self.pick(NUMBERS))
                self.add("aten." + self.pick(BINARY[:2]), Ref(len(self.nodes) - 1), self.pick(NUMBERS))
                self.add(f"aten.{op}.default", Ref(len(self.nodes) - 1))
                sides.append(Ref(len(self.nodes) - 1 - int(self.rng.integers(2))))
            self.add("aten.where.self", test, *sides)
        elif which == 3:  # a perspective, or nearly one
            self.add("aten.div.Tensor", a, b)
            self.add(f"aten.{op}.default", Ref(len(self.nodes) - 1))
            self.add("aten.mul.Tensor", Ref(len(self.nodes) - 1), self.pick((b, b, a)))
        elif which == 4:
            self.add("aten.add.Tensor", a, b)
            self.add("aten.mul.Tensor", a, b)
            self.add("aten.div.Tensor", self.pick((Ref(len(self.nodes) - 1), a)), Ref(len(self.nodes) - 2))
        elif self.shapes[a.index]:
            n = self.shapes[a.index][-1]
            self.tensors[f"w{len(self.nodes)}"] = self.rng.choice(NUMBERS, (n,))
            self.leaf("const", f"w{len(self.nodes)}", (n,))
            self.add("jensen.sorted", a, n, len(self.shapes[a.index]) - 1, bool(self.rng.integers(2)))
            self.add("aten.mul.Tensor", Ref(len(self.nodes) - 1), Ref(len(self.nodes) - 2))

    def reduce(self, a: Ref, b: Ref) -> None:
        rank = len(self.shapes[a.index])
        dims = self.pick([(0,), (-1,), None]) if rank else None
        which = int(self.rng.integers(9))
        if which < 4:
            op = ("sum.dim_IntList", "mean.dim", "amax.default", "amin.default")[which]
            self.add("aten." + op, a, dims)
        elif which == 4:
            self.add("aten.linalg_vector_norm.default", a, self.pick((1, 2, 3, 0.5, float("inf"))), dims)
        elif which == 5:
            self.add("aten.matmul.default", a, b)
        elif which == 6:
            self.add("aten.logsumexp.default", a, (0,))
        elif which == 7:
            self.add(self.pick(("aten.softmax.int", "aten.log_softmax.int", "aten.prod.dim_int")), a, 0)
        else:
            self.add("aten.gt.Tensor", a, self.pick(NUMBERS))
            self.add("aten.where.self", Ref(len(self.nodes) - 1), a, b)

    def problem(self) -> Problem:
        for name in ("x", "y")[: 1 + int(self.rng.random() < 0.6)]:
            self.blocks[name] = () if self.small else self.pick(SHAPES[:3])
            self.leaf("block", name, self.blocks[name])
        for k in range(int(self.rng.integers(0, 3))):
            shape = self.pick(SHAPES)
            values = np.array(
                self.rng.choice(NUMBERS, shape) if self.rng.random() < 0.5 else self.rng.normal(size=shape)
            )
            self.tensors[f"c{k}"] = np.abs(values) if self.rng.random() < 0.3 else values
            self.leaf("const", f"c{k}", shape)
        for _ in range(int(self.rng.integers(2, 9))):
            self.grow()
        if self.shapes[-1]:
            self.add("aten.sum.dim_IntList", Ref(len(self.nodes) - 1))
        p = Program(tuple(self.nodes), len(self.nodes) - 1)
        return Problem((Term(p, self.tensors, Fraction(1)),), self.blocks)


@dataclass
class Figures:
    """What an attack has seen."""

    programs: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    chords: int = 0
    values: int = 0
    found: list[str] = field(default_factory=list)
    undecided: Counter[str] = field(default_factory=Counter)  # enclosures that gave up: a loss, no contradiction


def boxes(rng: np.random.Generator, problem: Problem, small: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    out = {}
    for n, shape in problem.blocks.items():
        if small:
            lo = rng.choice([0.0, -1.0, 0.5, -0.25, -0.5, -np.inf])
            out[n] = (np.array(lo), np.array(max(lo, -5.0) + rng.choice([0.25, 0.5, 1.0, 2.0, np.inf])))
            continue
        if rng.random() < 0.35:
            continue
        lo = rng.choice([0.0, -1.0, 0.5, 1.0, -3.0, 2.0**-20, -0.25], shape)
        wide = (
            rng.choice([0.0, 0.5, 1.0, 4.0, np.inf], shape)
            if rng.random() < 0.5
            else rng.choice([0.5, 1.0, 2.0], shape)
        )
        out[n] = (np.array(lo), np.array(lo + wide))
    return out


def points(rng: np.random.Generator, problem: Problem, within: Any) -> dict[str, np.ndarray]:
    """A point in the boxes, often at corners and at zero."""
    out = {}
    for n, shape in problem.blocks.items():
        lo, hi = within.get(n, (np.full(shape, -np.inf), np.full(shape, np.inf)))
        v = rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 1.5)
        v = np.where(
            np.isfinite(lo) & np.isfinite(hi), lo + rng.random(shape) * np.where(np.isfinite(hi - lo), hi - lo, 1.0), v
        )
        v = np.where(rng.random(shape) < 0.15, 0.0, v)
        v = np.where(rng.random(shape) < 0.1, lo, v)
        v = np.where(rng.random(shape) < 0.1, hi, v)
        v = np.where(np.isfinite(v), v, rng.normal(size=shape))
        out[n] = np.array(np.clip(np.round(v * 1024) / 1024 if rng.random() < 0.5 else v, lo, hi))
    return out


def evidences(kind: str) -> Iterator[str]:
    yield "rules"
    if kind in ("convex", "concave"):
        yield "quadratic"
        yield "box"


def inside(values: np.ndarray, r: Any) -> bool:
    """Whether balls lie in a range as they stand, with their radii."""
    return all(v.is_finite() and v > r[0] and v < r[1] for v in balls.real(values).ravel())


def values_at(linked: Any, term: Term, theta: Any) -> list[Any]:
    """Enclosures of all nodes; None where one has none, and after it."""
    values: list[Any] = []
    for i, inputs in enumerate(linked.inputs):
        known = all(values[j] is not None for j in inputs)
        try:
            values.append(node_value(linked, term.tensors, i, values, theta) if known else None)
        except Rejected:
            values.append(None)
    return values


def mean_of(order: Any, a: Any, b: Any) -> Any:
    """The power mean of two positive balls with equal weights, of finite order."""
    p = arb(fmpq(*Fraction(order).as_integer_ratio()))
    return ((a**p + b**p) / 2) ** (1 / p) if order else (a * b).sqrt()


def contradiction(f: Any, a: Any, m: Any, b: Any) -> str | None:
    """What a fact says that three values, the middle one between the others, contradict."""
    positive = a > 0 and m > 0 and b > 0 and f.range[0] >= 0
    for said, wrong in (
        ("convex", lambda: f.bits & CONVEX and 2 * m > a + b),
        ("concave", lambda: f.bits & CONCAVE and 2 * m < a + b),
        ("quasiconvex", lambda: f.bits & QUASICONVEX and m > a and m > b),
        ("quasiconcave", lambda: f.bits & QUASICONCAVE and m < a and m < b),
        (f"{f.vex}-convex", lambda: positive and abs(f.vex) < INF and m > mean_of(f.vex, a, b)),
        (f"{f.cave}-concave", lambda: positive and abs(f.cave) < INF and m < mean_of(f.cave, a, b)),
    ):
        if wrong():
            return said
    return None


def attack_facts(rng: np.random.Generator, problem: Problem, within: Any, tries: int, seen: Figures) -> None:
    """No chord contradicts what the closer reading says of any node."""
    linked, term = problem.linked(0, registry()), problem.terms[0]
    leaf = Leaves(term.tensors, tuple(problem.blocks), within)
    plain = read_facts(linked, leaf)
    facts = closer.read(linked, leaf, registry(), plain)
    new = [i for i, f in enumerate(facts) if f != plain[i] and not f.bits & CONSTANT]
    for _ in range(tries if new else 0):
        with balls.precision(2 * balls.PRECISION):
            a, b = points(rng, problem, within), points(rng, problem, within)
            a, b = ({n: balls.from_array(v) for n, v in p.items()} for p in (a, b))
            middle = {n: balls.elementwise(lambda x, y: (x + y) / 2, a[n], b[n]) for n in a}
            found = [values_at(linked, term, p) for p in (a, middle, b)]
            for i in new:
                three = [v[i] for v in found]
                if any(v is None or v.dtype != object for v in three):
                    continue
                for x, m, y in zip(*(v.ravel() for v in three), strict=True):
                    said, r = contradiction(facts[i], x, m, y), facts[i].range
                    seen.values += 3
                    if said or any(
                        v < r[0] or v > r[1] or (r[2] and v <= r[0]) or (r[3] and v >= r[1]) for v in (x, m, y)
                    ):
                        seen.found.append(
                            f"{said or r} at {linked.nodes[i]}: {x}, {m}, {y} within {within}: {linked.nodes}"
                        )


def attack_values(rng: np.random.Generator, problem: Problem, within: Any, tries: int, seen: Figures) -> None:
    """Every value lies in the range that the facts give it."""
    linked, term = problem.linked(0, registry()), problem.terms[0]
    facts = read_facts(linked, Leaves(term.tensors, tuple(problem.blocks), within))
    for _ in range(tries):
        theta = points(rng, problem, within)
        values: list[Any] = []
        for i, node in enumerate(linked.nodes):
            if linked.atoms[i] is None:
                values.append(
                    balls.from_array(theta[node.args[0]] if node.op == "block" else term.tensors[node.args[0]])
                )
                continue
            try:
                values.append(linked.atoms[i].balls(*fill(node.args, values)))
            except (Rejected, ValueError, ZeroDivisionError):
                break
            if facts[i] is UNDEFINED or values[i].dtype != object:
                continue
            r = facts[i].range
            for v in values[i].ravel():
                seen.values += 1
                if v.is_nan() and all(inside(values[j], facts[j].range) for j in linked.inputs[i]):
                    seen.undecided[node.op] += 1
                if v < r[0] or v > r[1] or (r[2] and v <= r[0]) or (r[3] and v >= r[1]):
                    seen.found.append(
                        f"{v} outside {r} at {node} within {within} at {theta}: {linked.nodes} {term.tensors}"
                    )


def attack_claim(rng: np.random.Generator, problem: Problem, claim: Claim, tries: int, seen: Figures) -> None:
    """No chord violates an accepted claim."""
    opposite = Claim(f"not {claim.kind}", claim.blocks, claim.within)
    violated = chords.VIOLATIONS[claim.kind]
    for _ in range(tries):
        a, b = points(rng, problem, claim.within), points(rng, problem, claim.within)
        others = {n: v for n, v in a.items() if n not in claim.blocks}
        ends = [{n: p[n] for n in claim.blocks} for p in (a, b)]
        if all(np.array_equal(ends[0][n], ends[1][n]) for n in claim.blocks):
            continue
        found = chords.Chord(ends[0], ends[1], others, Fraction(int(rng.integers(1, 8)), 8))
        seen.chords += 1
        try:
            with balls.precision(balls.PRECISION):
                if violated(chords.enclose(problem, claim, found, registry())):
                    said = check(problem, opposite, found, registry())
                    seen.found.append(f"{claim.kind} in {claim.blocks}: {said.statement}: {problem} {found}")
        except Rejected:
            continue


def attack(seed: int, programs: int = 10**9, seconds: float = 1e9, tries: int = 12) -> Figures:
    """Attack with random programs from a seed, as many or as long as told."""
    rng, seen = np.random.default_rng(seed), Figures()
    stop = time.monotonic() + seconds
    box.PIECES = 60
    while seen.programs < programs and time.monotonic() < stop:
        seen.programs += 1
        small = rng.random() < 0.4
        problem = Builder(rng, small).problem()
        within = boxes(rng, problem, small)
        try:
            attack_values(rng, problem, within, 3, seen)
            attack_facts(rng, problem, within, tries, seen)
        except Rejected:
            continue
        asked = tuple(n for n in problem.blocks if rng.random() < 0.75) or ("x",)
        for kind in KINDS:
            claim = Claim(kind, asked, within)
            for method in evidences(kind):
                try:
                    said = check(problem, claim, {"method": method}, registry())
                except Rejected:
                    continue
                if "does not depend" in said.statement:
                    break
                seen.accepted[f"{kind} by {method}"] += 1
                attack_claim(rng, problem, claim, tries, seen)
                break
    return seen
