"""False claims, malformed claims and claims that ask for too much: (name, builder, fragment of the reason)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from refuse_build import OPS, RULES, XY, R, X, Y, accept, box, chord, point, problem, rules

from jensen.atoms import registry
from jensen.atoms.registry import Atom, Registry
from jensen.kernel.check import Claim, check
from jensen.kernel.claims import jets
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Problem

Case = tuple[str, Callable[[], Any], str]

SQUARE = (X, ("pow", R(0), 2))
PRODUCT = (X, Y, ("mul", R(0), R(1)))
HALF = Fraction(1, 2)
INF = float("inf")


def liar(**changes: Any) -> Callable[[], Any]:
    """The square of x under a registry whose power is not what it says."""

    def run() -> Any:
        atoms = Registry({**registry().atoms}, registry().rewrites, registry().ideals, registry().slopes)
        atoms.atoms[OPS["pow"]] = replace(atoms.atoms[OPS["pow"]], **changes)
        evidence = Chord(point(x=0.0), point(x=1.0), {}, HALF)
        return check(problem(*SQUARE), Claim("not convex", ("x",), {}), evidence, atoms)

    return run


def shrinking() -> Any:
    """exp(x).sum() of three numbers, under a registry that rewrites exp(x) to the sum of x."""

    def shrink(merger: Any, node: Any) -> int:
        return merger.add("aten.sum.dim_IntList", (node.args[0], None, False), node.name)

    atoms = Registry(registry().atoms, {"aten.exp.default": shrink}, {}, registry().slopes)
    nodes = problem(X, ("exp", R(0)), ("sum", R(1)), blocks={"x": (3,)})
    return check(nodes, Claim("convex", ("x",), {}), RULES, atoms)


def crash(error: type[BaseException]) -> Callable[[], Any]:
    def facts(*args: Any) -> Any:
        raise error("boom")

    def run() -> Any:
        atoms = Registry({OPS["pow"]: Atom(OPS["pow"], lambda x, p: x, facts, lambda x: x)})
        return check(problem(*SQUARE), Claim("convex", ("x",), {}), RULES, atoms)

    return run


def ideal_first() -> Any:
    """The ideal reading is convex; the implementation is not, also when asked second of the same problem."""
    p = problem(X, ("softplus", R(0)))
    accept(p, ideal=True)
    return accept(p)


def deep(n: int) -> Any:
    args: Any = R(0)
    for _ in range(n):
        args = (args,)
    return args


MEANING: list[Case] = [
    ("no block of that name", rules(*SQUARE, asked=["z"]), "no block"),
    ("one good and one unknown block", rules(*SQUARE, asked=["x", "z"]), "'z' is not a block"),
    ("no blocks", rules(*SQUARE, asked=[]), "about no block"),
    ("a block twice", rules(*SQUARE, asked=["x", "x"]), "named twice"),
    ("blocks without numbers", rules(X, ("sum", R(0)), blocks={"x": (0,)}), "non-empty set of blocks"),
    ("an unprintable block", rules(("block", "x\n"), blocks={"x\n": ()}), "printable"),
    ("a block without name", rules(("block", ""), blocks={"": ()}), "printable"),
    ("a block that is no input", rules(*SQUARE, blocks={"x": (), "y": ()}, asked=["y"]), "inputs of the program"),
    ("a float became a constant", rules(("const", "c"), tensors={"c": 1.0}), "inputs of the program"),
    ("no terms", lambda: accept(Problem((), {"x": ()})), "no terms"),
    ("a weight of zero", rules(*SQUARE, weight=Fraction(0)), "positive weights"),
    ("a negative weight", rules(*SQUARE, weight=Fraction(-1)), "positive weights"),
    ("a weight beyond floats", rules(*SQUARE, weight=Fraction(10) ** 400), "OverflowError"),
    ("a kind that is none", rules(*SQUARE, kind="nice"), "known claim"),
    ("twice not", rules(*SQUARE, kind="not not convex"), "known claim"),
    ("evidence for the opposite", rules(*SQUARE, kind="not convex"), "evidence fits"),
    ("a chord for convex", rules(*SQUARE, evidence=Chord(point(x=0.0), point(x=1.0), {}, HALF)), "evidence fits"),
    ("a method that is none", rules(*SQUARE, evidence="magic"), "known method"),
    ("no method", rules(*SQUARE, evidence={}), "known method"),
    ("evidence that is a list", rules(*SQUARE, evidence=[1]), "known method"),
    ("a method that is a list", rules(*SQUARE, evidence={"method": ["rules"]}), "known method"),
    ("unknown evidence for rules", rules(*SQUARE, evidence={"method": "rules", "hint": 1}), "no unknown fields"),
    (
        "unknown evidence for a quadratic",
        rules(*SQUARE, evidence={"method": "quadratic", "hint": 1}),
        "no unknown fields",
    ),
    ("unknown evidence for a box", rules(*SQUARE, evidence={"method": "box", "hint": 1}), "no unknown fields"),
    ("the ideal reading asked first", ideal_first, "softplus"),
]

PROGRAMS: list[Case] = [
    ("cut off before the end", rules(*SQUARE, output=2), "does not have"),
    ("an output before the start", rules(*SQUARE, output=-1), "does not have"),
    ("a reference forward", rules(X, ("exp", R(2)), ("exp", R(1))), "does not come before"),
    ("a reference to itself", rules(X, ("exp", R(1))), "does not come before"),
    ("a negative reference", rules(X, ("exp", R(-1))), "does not come before"),
    ("an output that is no scalar", rules(X, ("exp", R(0)), blocks={"x": (2,)}), "scalar cost"),
    ("a vector's chord", chord(X, ("exp", R(0)), blocks={"x": (2,)}, a=np.zeros(2), b=np.ones(2)), "scalar cost"),
    ("an unknown operation", rules(X, ("aten.nonsense.default", R(0))), "no atom models"),
    ("an unknown operation on the way", rules(X, ("aten.nonsense.default", R(0)), ("exp", R(1))), "no atom models"),
    ("an unknown operation in a chord", chord(X, ("aten.nonsense.default", R(0)), a=0.0, b=1.0), "no atom models"),
    ("an unknown operation in a quadratic", rules(X, ("aten.nonsense.default", R(0)), evidence="quadratic"), "no atom"),
    ("an unknown leaf", rules(("parameter", "x"), ("exp", R(0))), "inputs of the program"),
    ("a leaf without name", rules(X, ("block",), ("add", R(0), R(1))), "a leaf has one argument"),
    ("a leaf with two names", rules(X, ("const", "a", "b"), ("add", R(0), R(1))), "a leaf has one argument"),
    ("a leaf that refers", rules(X, ("const", R(0)), ("add", R(0), R(1))), "a leaf has one argument"),
    ("a block that the problem lacks", rules(X, Y, ("add", R(0), R(1)), asked=["x"]), "block 'y'"),
    ("a tensor that is not there", rules(X, ("const", "c"), ("add", R(0), R(1))), "tensor 'c'"),
    (
        "shapes that do not fit, at the end",
        rules(X, Y, ("add", R(0), R(1)), blocks={"x": (2,), "y": (3,)}),
        "well-formed",
    ),
    (
        "shapes that do not fit",
        rules(X, Y, ("add", R(0), R(1)), ("sum", R(2)), blocks={"x": (2,), "y": (3,)}),
        "well-formed",
    ),
    (
        "a matrix product of vectors of other lengths",
        rules(X, Y, ("matmul", R(0), R(1)), blocks={"x": (2,), "y": (3,)}, asked=["x"]),
        "well-formed",
    ),
    (
        "the mean of nothing",
        rules(X, Y, ("mean", R(1)), ("add", R(0), R(2)), blocks={"x": (), "y": (0,)}),
        "well-formed",
    ),
    ("too few arguments", rules(X, ("exp",)), "well-formed"),
    ("too many arguments", rules(X, ("exp", R(0), R(0))), "not modelled"),
    ("an argument that is a string", rules(X, ("add", R(0), "one")), "scalar"),
    ("an exponent that is a value", rules(X, ("pow", R(0), R(0))), "constant exponent"),
    ("an exponent that is true", rules(X, ("pow", R(0), True)), "constant exponent"),
    ("an infinite exponent", rules(X, ("pow", R(0), INF)), "finite"),
    ("an infinite number", rules(X, ("add", R(0), INF)), "finite"),
    ("an integer that is no float", rules(X, ("mul", R(0), 2**53 + 1)), "exact"),
    ("arguments nested to the moon", rules(X, ("exp", deep(100_000))), "RecursionError"),
    ("axes twice", rules(X, ("sum", R(0), (0, 0)), blocks={"x": (2,)}), "well-formed"),
    (
        "a reference where a number belongs is not that number",
        rules(X, ("sum", R(0), (0,)), ("sum", R(0), R(0)), ("add", R(1), R(2)), blocks={"x": (2,)}),
        "well-formed",
    ),
    ("a huge view", rules(X, ("expand", R(0), (10**9, 10**9)), ("sum", R(1))), "n1"),
    ("a large view", rules(X, ("expand", R(0), (2**20, 2**20)), ("sum", R(1))), "bounded sizes"),
    ("a huge repeat", rules(X, ("repeat", R(0), (10**9, 10**4)), ("sum", R(1)), blocks={"x": (1,)}), "bounded sizes"),
    (
        "repeats of repeats",
        rules(X, *(("repeat", R(k), (2**30,)) for k in range(3)), ("sum", R(3)), blocks={"x": (1,)}),
        "bounded sizes",
    ),
    ("a block larger than the world", rules(X, ("sum", R(0)), blocks={"x": (2**32, 2**32)}), "bounded sizes"),
    (
        "a block whose size wraps to zero",
        rules(X, ("sum", R(0)), blocks={"x": (2**32, 2**32)}, evidence="quadratic"),
        "bounded",
    ),
    (
        "enclosures larger than memory",
        chord(X, ("expand", R(0), (2**13, 2**13)), ("exp", R(1)), ("sum", R(2)), a=0.0, b=1.0),
        "fit into memory",
    ),
    (
        "many large enclosures",
        chord(X, ("expand", R(0), (2**24,)), *(("exp", R(k)) for k in range(1, 80)), ("sum", R(80)), a=0.0, b=1.0),
        "memory",
    ),
    ("an atom that lies about shapes", liar(balls=lambda x, p: np.array([x, x])), "shapes agree"),
    ("an atom that fails", liar(balls=lambda x, p: x.shape[5]), "has no enclosure here"),
    ("an error in arithmetic", crash(OverflowError), "OverflowError"),
    ("an error for want of memory", crash(MemoryError), "MemoryError"),
    ("a recursion without end", crash(RecursionError), "RecursionError"),
    ("a missing key", crash(KeyError), "KeyError"),
]

TENSORS: list[Case] = [
    (f"a tensor {name}", rules(X, ("const", "c"), ("mul", R(0), R(1)), tensors={"c": value}), "finite real tensors")
    for name, value in {
        "with NaN": np.array(np.nan),
        "with infinity": np.array(np.inf),
        "of complex numbers": np.array(1j),
        "of objects": np.array([None]),
        "of strings": np.array("1"),
        "of long doubles": np.array(1, dtype=np.longdouble),
    }.items()
] + [
    ("a condition of floats", chord(X, ("const", "c"), ("where", R(1), R(0), 1.0), a=0.0, b=1.0, tensors={"c": 1.0}),
     "boolean"),
    ("indices of floats",
     chord(X, ("const", "i"), ("gather", R(0), 0, R(1)), ("sum", R(2)), a=np.zeros(2), b=np.ones(2),
           blocks={"x": (2,)}, tensors={"i": [0.0]}), "integers"),
    ("an index outside",
     rules(X, ("const", "i"), ("gather", R(0), 0, R(1)), ("sum", R(2)), blocks={"x": (2,)},
     tensors={"i": np.array([2])}), "domain"),
    ("the same index outside, in a chord",
     chord(X, ("const", "i"), ("gather", R(0), 0, R(1)), ("sum", R(2)), a=np.zeros(2), b=np.ones(2),
           blocks={"x": (2,)}, tensors={"i": np.array([2])}), "segment in the domain"),
    ("a large integer times a convex value",
     rules(X, ("const", "c"), ("pow", R(0), 2), ("mul", R(1), R(2)), tensors={"c": np.array(-(2**60))}), "n3"),
]  # fmt: skip

BOXES: list[Case] = [
    ("a box for no block", rules(*SQUARE, within=box(z=(0.0, 1.0))), "not a block of this cost"),
    ("a box of another shape", rules(*SQUARE, within=box(x=([0.0], [1.0]))), "must be float64 of shape"),
    ("a box in float32", rules(*SQUARE, within={"x": (np.float32(0), np.float32(1))}), "must be float64"),
    ("a box of NaN", rules(*SQUARE, within=box(x=(np.nan, 1.0))), "non-empty box"),
    ("an empty box", rules(*SQUARE, within=box(x=(1.0, 0.0))), "non-empty box"),
    ("a box at infinity", rules(*SQUARE, within=box(x=(INF, INF))), "non-empty box"),
    ("a box with empty part", rules(X, ("sum", R(0)), blocks={"x": (2,)}, within=box(x=([0.0, 1.0], [1.0, 0.0]))),
     "non-empty"),
    ("x^3 on no box", rules(X, ("pow", R(0), 3), evidence="box"), "near"),
    ("x^3 on an infinite box", rules(X, ("pow", R(0), 3), within=box(x=(-1, INF)), evidence="box"), "near"),
    ("tanh in its tail", rules(X, ("tanh", R(0)), within=box(x=(0, INF)), evidence="box"), "near"),
    ("a kink between infinite pieces", rules(X, ("abs", R(0)), ("neg", R(1)), evidence="box"), "near"),
    ("y x^2 with y free", rules(*SQUARE, Y, ("mul", R(1), R(2)), blocks=XY, asked=["x"], evidence="box"), "near"),
    ("a proof on a box of many", rules(X, ("sum", R(0)), blocks={"x": (7,)}, within=box(x=([0.0] * 7, [1.0] * 7)),
     evidence="box"),
     "at most 6"),
    ("a box for affine", rules(*SQUARE, kind="affine", within=box(x=(0, 1)), evidence="box"), "boxes do not prove affine"),
    ("sin on a box is not quasiconvex", rules(X, ("sin", R(0)), kind="quasiconvex", within=box(x=(0, 3)), evidence="box"),
     "near"),
    ("x^2 is not log-convex where it is zero", rules(*SQUARE, kind="log-convex", within=box(x=(0, 1)), evidence="box"),
     "near"),
    ("a quotient on a box that begins at its pole",
     rules(X, ("exp", R(0)), ("sub", R(1), 1.0), ("div", 1.0, R(2)), within=box(x=(0, 1)), evidence="box"),
     "not shown near"),
    ("a quotient on a box with its pole inside",
     rules(X, ("exp", R(0)), ("sub", R(1), 1.5), ("div", 1.0, R(2)), within=box(x=(0, 1)), evidence="box"),
     "divisor's range"),
    ("a rewriting that changes the shape", shrinking, "was rewritten to shape"),
    ("a jet over zero", lambda: jets.variable((0.0, 1.0, False, False), 0, 1) / jets.variable((0.0, 1.0, False, False), 0, 1),
     "touches zero"),
    ("unknown evidence for a quotient", rules(*SQUARE, evidence={"method": "rational", "hint": 1}), "no unknown fields"),
    ("a quotient of too high a degree", rules(X, ("add", R(0), 1.0), ("add", R(0), 2.0), ("pow", R(1), 40),
     ("pow", R(2), 40), ("mul", R(3), R(4)), evidence="rational"), "degree"),
    ("a power of too high a degree", rules(X, ("pow", R(0), 60), ("add", R(1), 1.0), ("pow", R(2), 3),
     evidence="rational"), "degree"),
    ("a quotient by zero", rules(X, ("sub", R(0), R(0)), ("div", 1.0, R(1)), evidence="rational"), "a divisor is zero"),
    ("a quotient with a pole", rules(X, ("div", 1.0, R(0)), within=box(x=(-1, 1)), evidence="rational"), "root in the box"),
    ("a quotient with a pole at an end", rules(X, ("div", 1.0, R(0)), within=box(x=(0, 1)), evidence="rational"),
     "root in the box"),
    ("x^3 as a quotient", rules(X, ("pow", R(0), 3), within=box(x=(-0.001, 1)), evidence="rational"), "do not make"),
    ("1 / (1 + x^2) far out", rules(*SQUARE, ("add", R(1), 1.0), ("div", 1.0, R(2)), kind="quasiconvex",
     evidence="rational"), "do not make"),
    ("0 is not log-convex", rules(X, ("sub", R(0), R(0)), kind="log-convex", evidence="rational"), "do not make"),
    ("a quotient of two variables", rules(*PRODUCT, blocks=XY, evidence="rational"), "one variable"),
    ("a quotient at a point", rules(*SQUARE, within=box(x=(1, 1)), evidence="rational"), "an inside"),
    ("exp as a quotient", rules(X, ("exp", R(0)), evidence="rational"), "not a rational function"),
    ("x y on a box", rules(*PRODUCT, blocks=XY, within=box(x=(0, 1), y=(0, 1)), evidence="box"), "near"),
    ("x^3 on a box around zero", rules(X, ("pow", R(0), 3), within=box(x=(-1, 1)), evidence="box"), "near"),
    ("x^3 is concave on a positive box", rules(X, ("pow", R(0), 3), kind="concave", within=box(x=(1, 2)),
     evidence="box"), "near"),
    ("tanh on a box", rules(X, ("tanh", R(0)), within=box(x=(0, 1)), evidence="box"), "near"),
    ("-relu between two pieces", rules(X, ("relu", R(0)), ("neg", R(1)), within=box(x=(-1, 1)), evidence="box"),
     "near"),
    ("-|x| between two pieces", rules(X, ("abs", R(0)), ("neg", R(1)), within=box(x=(-1, 1)), evidence="box"), "near"),
    ("-relu(x - 1/2) between smaller pieces",
     rules(X, ("sub", R(0), 0.5), ("relu", R(1)), ("neg", R(2)), within=box(x=(0, 2)), evidence="box"), "near"),
    ("relu(-relu) has a kink",
     rules(X, ("relu", R(0)), ("sub", 1.0, R(1)), ("relu", R(2)), within=box(x=(-1, 2)), evidence="box"), "near"),
    ("softplus over its threshold on a box",
     rules(X, ("softplus", R(0)), within=box(x=(19, 21)), evidence="box"), "threshold"),
    ("a pole in the box", rules(X, ("div", 1.0, R(0)), within=box(x=(-1, 1)), evidence="box"), "touches zero"),
    ("1/x near zero", rules(X, ("pow", R(0), -1), within=box(x=(0, 1)), evidence="box"), "touches zero"),
    ("a divisor that vanishes only in the pieces",
     rules(X, ("mul", R(0), R(0)), ("sub", R(1), R(0)), ("add", R(2), 1.0), ("div", 1.0, R(3)), within=box(x=(0, 4)),
     evidence="box"),
     "near"),
    ("log on a box that touches zero", rules(X, ("log", R(0)), ("neg", R(1)), within=box(x=(0, 1)), evidence="box"),
     "leaves the function's domain"),
    ("an operation without slopes", rules(X, ("elu", R(0)), within=box(x=(1, 2)), evidence="box"),
     "known derivatives"),
    ("an operation of several values",
     rules(X, ("logsumexp", R(0), (0,)), blocks={"x": (2,)}, within=box(x=([0] * 2, [1] * 2)), evidence="box"),
     "is not one of them"),
    ("a whole root on a box that touches zero", rules(X, ("pow", R(0), 1.5), within=box(x=(0, 1)), evidence="box"),
     "touches zero"),
    ("an exponent whose slope has none", rules(X, ("pow", R(0), 0.1), within=box(x=(1, 2)), evidence="box"),
     "exact exponents"),
    ("too large for a box",
     rules(X, ("expand", R(0), (5000,)), ("sum", R(1)), within=box(x=(0, 1)), evidence="box"), "too many elements"),
    ("too long for a box",
     rules(X, ("expand", R(0), (2000,)), *(("exp", R(k)) for k in range(1, 600)), ("sum", R(600)), within=box(x=(0,
     1)), evidence="box"),
     "too long"),
    ("1 / y with y free", rules(*SQUARE, Y, ("div", R(1), R(2)), blocks=XY, asked=["x"], evidence="box"), "touches zero"),
    ("a box too narrow to halve", rules(X, ("neg", R(0)), ("pow", R(1), 2), ("neg", R(2)), within=box(x=(1.0,
     1.0 + 2**-52)),
     evidence="box"), "not shown near"),
    ("a divisor below floats", rules(X, ("exp", R(0)), ("div", 1.0, R(1)), within=box(x=(-800, -799)), evidence="box"),
     "touches zero"),
    ("an integer that is no float, on a box",
     rules(X, ("const", "c"), ("mul", R(0), R(1)), tensors={"c": np.array(2**60 + 1)}, within=box(x=(0, 1)),
     evidence="box"), "exact"),
    ("a coarse answer in many pieces",
     rules(X, Y, ("sub", R(0), R(1)), ("pow", R(2), 4), ("pow", R(0), 2), ("pow", R(1), 2), ("add", R(4), R(5)),
     ("mul", R(6), 1e-9),
           ("add", R(3), R(7)), blocks=XY, within=box(x=(0, 1), y=(0, 1)), evidence="box"), "pieces"),
]  # fmt: skip

CHORDS: list[Case] = [
    ("a chord of one point", chord(*SQUARE, a=1.0, b=1.0), "the same point"),
    ("a chord of one point, signed zeros", chord(*SQUARE, a=0.0, b=-0.0), "the same point"),
    ("t = 0", chord(*SQUARE, a=0.0, b=1.0, t=Fraction(0)), "between the ends"),
    ("t = 1", chord(*SQUARE, a=0.0, b=1.0, t=Fraction(1)), "between the ends"),
    ("t = 3", chord(*SQUARE, a=0.0, b=1.0, t=Fraction(3)), "between the ends"),
    ("t is a float", chord(*SQUARE, a=0.0, b=1.0, t=0.5), "between the ends"),
    ("a block is missing", chord(*PRODUCT, a=1.0, b=-1.0, blocks=XY), "each block once"),
    ("a block too many", chord(*SQUARE, a=point(x=0.0, z=0.0), b=point(x=1.0, z=0.0), asked=["x"]), "each block once"),
    ("ends of other blocks", chord(*PRODUCT, a=point(x=0.0), b=point(y=1.0), blocks=XY, asked=["x"]),
     "each block once"),
    ("another block moves", chord(*PRODUCT, a=point(x=0.0, y=1.0), b=point(x=1.0, y=0.0), blocks=XY, asked=["x"]),
     "each block once"),
    ("a point of another shape", chord(*SQUARE, a=np.zeros(1), b=np.ones(1)), "must be float64 of shape"),
    ("a point in float32", chord(*SQUARE, a=np.array(0, np.float32), b=np.array(1, np.float32)), "must be float64"),
    ("a point of numbers", chord(*SQUARE, a={"x": 0.0}, b={"x": 1.0}), "must be float64"),
    ("a point with NaN", chord(*SQUARE, a=np.nan, b=1.0), "NaN or infinity"),
    ("a point at infinity", chord(*SQUARE, a=0.0, b=INF), "NaN or infinity"),
    ("other blocks at NaN", chord(*PRODUCT, a=0.0, b=1.0, others={"y": np.nan}, blocks=XY), "NaN or infinity"),
    ("a chord outside the box", chord(*SQUARE, a=0.0, b=2.0, within=box(x=(0, 1))), "leaves the box"),
    ("others outside the box", chord(*PRODUCT, a=0.0, b=1.0, others={"y": 3.0}, blocks=XY, within=box(y=(0, 1))),
     "leaves the box"),
    ("a convex function is not not convex", chord(*SQUARE, a=0.0, b=1.0), "do not violate"),
    ("the wrong direction", chord(X, ("exp", R(0)), a=0.0, b=1.0), "do not violate"),
    ("a concave one is not not concave", chord(X, ("log", R(0)), a=1.0, b=2.0, kind="concave"), "do not violate"),
    ("an affine function is convex", chord(X, ("mul", R(0), 3.0), a=0.1, b=0.7), "cannot be told apart"),
    ("an affine function is affine", chord(X, ("mul", R(0), 3.0), a=0.1, b=0.7, kind="affine"), "cannot be told apart"),
    ("a product is affine in one factor",
     chord(*PRODUCT, a=0.1, b=0.3, others={"y": 0.7}, blocks=XY, kind="affine", t=Fraction(1, 3)),
     "cannot be told apart"),
    ("a monotone function is quasiconvex", chord(X, ("exp", R(0)), a=0.0, b=1.0, kind="quasiconvex"), "do not violate"),
    ("and quasiconcave", chord(X, ("exp", R(0)), a=0.0, b=1.0, kind="quasiconcave"), "do not violate"),
    ("a constant's quasiconvexity", chord(X, ("mul", R(0), 0.0), a=0.0, b=1.0, kind="quasiconvex"),
     "cannot be told apart"),
    ("exp is log-concave", chord(X, ("exp", R(0)), a=0.0, b=1.0, kind="log-concave"), "cannot be told apart"),
    ("a bell is log-concave", chord(X, ("pow", R(0), 2), ("neg", R(1)), ("exp", R(2)), a=-1.0, b=1.0,
     kind="log-concave"), "do not"),
    ("cosh is log-convex",
     chord(X, ("exp", R(0)), ("neg", R(0)), ("exp", R(2)), ("add", R(1), R(3)), a=-1.0, b=1.0, kind="log-convex"),
     "do not violate"),
    ("across a pole", chord(X, ("pow", R(0), -2), a=-1.0, b=2.0), "segment in the domain"),
    ("across a pole, concave", chord(X, ("pow", R(0), -1), a=-3.0, b=1.0, kind="concave"), "segment in the domain"),
    ("the middle point at a pole", chord(X, ("div", 1.0, R(0)), a=-1.0, b=1.0), "segment in the domain"),
    ("an end outside the domain", chord(X, ("log", R(0)), a=-1.0, b=3.0), "segment in the domain"),
    ("an end at the border", chord(X, ("log", R(0)), a=1.0, b=0.0), "segment in the domain"),
    ("0 log(x) is not defined at -1", chord(X, ("log", R(0)), ("mul", R(1), 0.0), ("pow", R(0), 2), ("sub", R(2),
     R(3)), a=-1.0, b=1.0),
     "segment in the domain"),
    ("a difference below all precision",
     chord(X, ("pow", R(0), 2), ("mul", R(1), 1e-300), ("mul", R(2), 1e-300), ("mul", R(0), 1e300), ("mul", R(4),
     1e300),
           ("sub", R(5), R(3)), a=1e-300, b=2e-300), "cannot be told apart"),
    ("a comparison that is not certain",
     chord(X, ("exp", R(0)), ("log", R(1)), ("sub", R(2), R(0)), ("gt", R(3), 0.0), ("where", R(4), R(0), 0.0), a=1.0,
     b=3.0), "threshold"),
    ("a chord through text", chord(*SQUARE, ("add", R(1), "0.5"), a=0.0, b=1.0), "scalar"),
    ("values beyond all numbers", chord(X, *(("exp", R(k)) for k in range(8)), a=5.0, b=6.0),
     "no finite enclosure at a"),
    ("the largest of nothing",
     chord(X, Y, ("aten.amax.default", R(1)), ("add", R(0), R(2)), a=0.0, b=1.0, others={"y": np.zeros(0)},
     blocks={"x": (), "y": (0,)}),
     "well-formed"),
]  # fmt: skip

CASES: list[Case] = MEANING + PROGRAMS + TENSORS + BOXES + CHORDS
