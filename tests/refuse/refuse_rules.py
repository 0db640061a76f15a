"""False claims by the composition rules and by quadratics: (name, builder, fragment of the reason)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from refuse_build import RULES, XY, R, X, Y, accept, box, program, rules

from jensen.kernel.program import Problem, Term

Case = tuple[str, Callable[[], Any], str]

SQUARE = (X, ("pow", R(0), 2))
PRODUCT = (X, Y, ("mul", R(0), R(1)))
INF = float("inf")


def chunks(kind: str, *signs: float, evidence: Any = RULES, weights: Any = None) -> Callable[[], Any]:
    """A sum of terms exp(-(s x)^2)."""
    p = program(X, ("const", "s"), ("mul", R(0), R(1)), ("pow", R(2), 2), ("neg", R(3)), ("exp", R(4)))
    many = weights or [Fraction(1)] * len(signs)
    terms = tuple(Term(p, {"s": np.array(s)}, w) for s, w in zip(signs, many, strict=True))
    return lambda: accept(Problem(terms, {"x": ()}), kind, evidence=evidence)


THIN = [[1.0, 0.0], [0.0, -1e-11]]
FORM = (X, ("const", "q"), ("matmul", R(1), R(0)), ("matmul", R(0), R(2)), ("mul", R(3), 1e20))
CONE = (X, ("const", "q"), ("matmul", R(1), R(0)), ("matmul", R(0), R(2)))

QUADRATICS: list[Case] = [
    ("x y by a quadratic", rules(*PRODUCT, blocks=XY, evidence="quadratic"), "semidefinite matrix"),
    ("1e-11 x y by a quadratic", rules(*PRODUCT, ("mul", R(2), 1e-11), blocks=XY, evidence="quadratic"),
     "semidefinite matrix"),
    ("-1e-9 x^2", rules(*SQUARE, ("mul", R(1), -1e-9), evidence="quadratic"), "semidefinite matrix"),
    ("-5e-324 x^2", rules(*SQUARE, ("mul", R(1), -5e-324), evidence="quadratic"), "semidefinite matrix"),
    ("1e20 z'diag(1, -1e-11) z", rules(*FORM, blocks={"x": (2,)}, tensors={"q": THIN}, evidence="quadratic"),
     "semidefinite matrix"),
    ("a square is not concave", rules(*SQUARE, kind="concave", evidence="quadratic"), "semidefinite matrix"),
    ("a matrix short of rank by one ulp",
     rules(*CONE, blocks={"x": (2,)}, tensors={"q": [[1.0, 1.0], [1.0, 1.0 - 2**-53]]}, evidence="quadratic"),
     "semidefinite matrix"),
    ("a zero pivot beside something",
     rules(*CONE, blocks={"x": (2,)}, tensors={"q": [[0.0, 1.0], [1.0, 5.0]]}, evidence="quadratic"),
     "semidefinite matrix"),
    ("x^2 y is no quadratic", rules(*SQUARE, Y, ("mul", R(1), R(2)), blocks=XY, evidence="quadratic"),
     "constant Hessian"),
    ("(x^2 + 1)^2 is no quadratic", rules(*SQUARE, ("add", R(1), 1.0), ("pow", R(2), 2), evidence="quadratic"),
     "constant Hessian"),
    ("((x^2 + 1)^2 + 1)^2 is no quadratic",
     rules(*SQUARE, ("add", R(1), 1.0), ("pow", R(2), 2), ("add", R(3), 1.0), ("pow", R(4), 2), evidence="quadratic"),
     "degree is too high"),
    ("x^3 is no square", rules(X, ("pow", R(0), 3), evidence="quadratic"), "not a polynomial of low degree"),
    ("exp is no polynomial", rules(X, ("exp", R(0)), evidence="quadratic"), "not a polynomial"),
    ("x^2 / x is none", rules(X, ("mul", R(0), R(0)), ("div", R(1), R(0)), evidence="quadratic"), "non-zero constant"),
    ("division by zero", rules(X, ("div", R(0), 0.0), evidence="quadratic"), "non-zero constant"),
    ("y x^2 in x", rules(*SQUARE, Y, ("mul", R(1), R(2)), blocks=XY, asked=["x"], evidence="quadratic"),
     "constant Hessian"),
    ("a square as affine", rules(*SQUARE, kind="affine", evidence="quadratic"), "is not affine"),
    ("quasiconvex by a quadratic", rules(*SQUARE, kind="quasiconvex", evidence="quadratic"), "prove convex or concave"),
    ("too many parameters", rules(X, ("sum", R(0)), blocks={"x": (97,)}, evidence="quadratic"), "at most 96"),
    ("a matrix of operands", rules(X, ("gt", R(0), 0.0), ("where", R(1), R(0), 0.0), evidence="quadratic"), "n"),
    ("a number that is text", rules(X, ("add", R(0), "1/2"), evidence="quadratic"), "is not a number"),
    ("a number that is nothing", rules(X, ("add", R(0), None), evidence="quadratic"), "is not a number"),
    ("infinity in a quadratic", rules(X, ("add", R(0), INF), evidence="quadratic"), "cannot be read"),
    ("a power of a number", rules(X, ("pow", 2.0, R(0)), evidence="quadratic"), "n1"),
    ("an operation that is none of them", rules(X, ("amax", R(0)), ("add", R(1), ("x",)), evidence="quadratic"), "n"),
    ("a square of squares of sums",
     rules(X, ("sum", R(0)), ("pow", R(1), 2), ("pow", R(2), 2), ("add", R(0), R(2)), ("pow", R(4), 2), ("sum", R(5)),
           blocks={"x": (90,)}, evidence="quadratic"), "too many terms"),
    ("too large for a quadratic", rules(X, ("expand", R(0), (5000,)), ("sum", R(1)), evidence="quadratic"),
     "too many elements"),
    ("too long for a quadratic",
     rules(X, ("expand", R(0), (4000,)), *(("add", R(k), 1.0) for k in range(1, 600)), ("sum", R(600)),
     evidence="quadratic"),
     "too long"),
]  # fmt: skip

RULE: list[Case] = [
    ("x y", rules(*PRODUCT, blocks=XY), "are multiplied"),
    ("x y is affine", rules(*PRODUCT, blocks=XY, kind="affine"), "are multiplied"),
    ("x y is quasiconvex", rules(*PRODUCT, blocks=XY, kind="quasiconvex"), "are multiplied"),
    ("x y on a box with the smallest side", rules(*PRODUCT, blocks=XY, within=box(x=(0, 5e-324))), "are multiplied"),
    ("1e-11 x y", rules(*PRODUCT, ("mul", R(2), 1e-11), blocks=XY), "are multiplied"),
    ("-1e-9 x^2 by rules", rules(*SQUARE, ("mul", R(1), -1e-9)), "makes it convex"),
    ("1e20 z'diag(1, -1e-11) z by rules", rules(*FORM, blocks={"x": (2,)}, tensors={"q": THIN}), "n"),
    ("two blocks that were one", rules(*PRODUCT, blocks=XY, kind="concave"), "are multiplied"),
    ("y x^2 for every y", rules(*SQUARE, Y, ("mul", R(1), R(2)), blocks=XY, asked=["x"]), "n3"),
    ("y x^2 for y > -1", rules(*SQUARE, Y, ("mul", R(1), R(2)), blocks=XY, asked=["x"], within=box(y=(-1, 1))), "n3"),
    ("a negative weight on a convex part", rules(*SQUARE, ("exp", R(0)), ("sub", R(1), R(2))), "n"),
    ("a negative constant", rules(*SQUARE, ("const", "c"), ("mul", R(1), R(2)), tensors={"c": -1e-300}),
     "makes it convex"),
    ("x^3", rules(X, ("pow", R(0), 3)), "n1"),
    ("x^3 on x <= 0", rules(X, ("pow", R(0), 3), within=box(x=(-1, 0))), "makes it convex"),
    ("x^3 is concave on x >= 0", rules(X, ("pow", R(0), 3), within=box(x=(0, 1)), kind="concave"), "makes it concave"),
    ("a root is convex", rules(X, ("pow", R(0), 0.5), within=box(x=(0, 1))), "makes it convex"),
    ("a root of any value", rules(X, ("pow", R(0), 0.5), kind="concave"), "may leave its domain"),
    ("log of any value", rules(X, ("log", R(0)), kind="concave"), "may leave its domain"),
    ("log of a range that touches zero", rules(X, ("log", R(0)), kind="concave", within=box(x=(0, 1))),
     "may leave its domain"),
    ("0 log(x)", rules(X, ("log", R(0)), ("mul", R(1), 0.0)), "may leave its domain"),
    ("log(x) - log(x)", rules(X, ("log", R(0)), ("sub", R(1), R(1))), "may leave its domain"),
    ("a constant outside the domain", rules(X, ("const", "c"), ("log", R(1)), ("add", R(0), R(2)),
     tensors={"c": -1.0}), "domain"),
    ("a block that is fixed, outside the domain", rules(X, Y, ("log", R(1)), ("add", R(0), R(2)), blocks=XY,
     asked=["x"]), "domain"),
    ("0 times a value that is not defined", rules(X, ("log", R(0)), ("const", "c"), ("mul", R(1), R(2)),
     tensors={"c": 0.0}), "domain"),
    ("the larger of an undefined one and a constant",
     rules(X, ("log", R(0)), ("minimum", R(1), 0.0), ("maximum", R(2), 1.0)), "may leave its domain"),
    ("1 / x", rules(X, ("div", 1.0, R(0))), "may leave its domain"),
    ("1 / x through zero", rules(X, ("div", 1.0, R(0)), within=box(x=(-1, 1))), "may leave its domain"),
    ("1 / x is concave", rules(X, ("div", 1.0, R(0)), within=box(x=(1, 2)), kind="concave"), "makes it concave"),
    ("x^2 / y^2", rules(*SQUARE, Y, ("pow", R(2), 2), ("div", R(1), R(3)), blocks=XY, within=box(y=(1, 2))), "n4"),
    ("x^2 / y is concave", rules(*SQUARE, Y, ("div", R(1), R(2)), blocks=XY, within=box(y=(1, 2)), kind="concave"),
     "n3"),
    ("max is concave", rules(X, Y, ("maximum", R(0), R(1)), blocks=XY, kind="concave"), "makes it concave"),
    ("min is convex", rules(X, Y, ("minimum", R(0), R(1)), blocks=XY), "makes it convex"),
    ("max of a concave one", rules(X, ("pow", R(0), 2), ("neg", R(1)), ("maximum", R(2), -1.0)), "n"),
    ("relu is concave", rules(X, ("relu", R(0)), kind="concave"), "makes it concave"),
    ("leaky relu of slope 2", rules(X, ("leaky_relu", R(0), 2.0)), "makes it convex"),
    ("leaky relu of slope 1 + 1e-15", rules(X, ("leaky_relu", R(0), 1.0 + 2**-50)), "makes it convex"),
    ("elu of alpha 2", rules(X, ("elu", R(0), 2.0)), "n1"),
    ("elu of alpha -1", rules(X, ("elu", R(0), -1.0)), "n1"),
    ("softplus across its threshold", rules(X, ("softplus", R(0))), "softplus"),
    ("softplus just across", rules(X, ("softplus", R(0)), within=box(x=(0.0, 20.000000000000004))), "softplus"),
    ("softplus across a smaller threshold", rules(X, ("softplus", R(0), 1.0, 5.0), within=box(x=(0, 6))), "softplus"),
    ("tanh", rules(X, ("tanh", R(0))), "neither convex nor concave"),
    ("tanh just across", rules(X, ("tanh", R(0)), within=box(x=(-1, 5e-324))), "neither convex nor concave"),
    ("sigmoid is log-convex", rules(X, ("sigmoid", R(0)), kind="log-convex"), "n1"),
    ("exp of a concave one", rules(X, ("pow", R(0), 2), ("neg", R(1)), ("exp", R(2))), "n3"),
    ("a square of a convex one that changes sign", rules(*SQUARE, ("sub", R(1), 1.0), ("pow", R(2), 2)), "n3"),
    ("relu of a concave one", rules(*SQUARE, ("sub", 1.0, R(1)), ("relu", R(2))), "n3"),
    ("a root of a convex one", rules(X, ("exp", R(0)), ("exp", R(1)), ("log1p", R(2)), kind="concave"), "n"),
    ("|x| - |y|", rules(X, Y, ("abs", R(0)), ("abs", R(1)), ("sub", R(2), R(3)), blocks=XY), "n4"),
    ("exp(x) y^2: convex and positive, not convex", rules(X, Y, ("exp", R(0)), ("pow", R(1), 2), ("mul", R(2), R(3)),
     blocks=XY), "n4"),
    ("a product of convex positive ones is log-convex",
     rules(X, Y, ("pow", R(0), 2), ("pow", R(1), 2), ("add", R(2), 1.0), ("add", R(3), 1.0), ("mul", R(4), R(5)),
           blocks=XY, kind="log-convex"), "n"),
    ("x^2 + 1 is log-convex", rules(*SQUARE, ("add", R(1), 1.0), kind="log-convex"), "n2"),
    ("x^2 is log-convex", rules(*SQUARE, kind="log-convex"), "n1"),
    ("zero is log-convex", rules(X, ("mul", R(0), 0.0), kind="log-convex"), "n"),
    ("zero is log-concave", rules(X, ("mul", R(0), 0.0), kind="log-concave"), "n"),
    ("x is log-concave", rules(X, kind="log-concave"), "n0 alone is affine"),
    ("x is log-concave on x >= 0", rules(X, kind="log-concave", within=box(x=(0, 1))), "n0 alone"),
    ("log(x) is log-concave where negative", rules(X, ("log", R(0)), kind="log-concave", within=box(x=(0.5, 2))), "n1"),
    ("a sum of log-concave ones",
     rules(X, ("sub", R(0), 3.0), ("pow", R(0), 2), ("neg", R(2)), ("exp", R(3)), ("pow", R(1), 2), ("neg", R(5)),
     ("exp", R(6)),
           ("add", R(4), R(7)), kind="log-concave"), "n"),
    ("1 - a log-concave one", rules(X, ("pow", R(0), 2), ("neg", R(1)), ("exp", R(2)), ("sub", 2.0, R(3)),
     kind="log-concave"), "n"),
    ("a sum of quasiconvex ones", rules(X, Y, ("tanh", R(0)), ("tanh", R(1)), ("add", R(2), R(3)), blocks=XY,
     kind="quasiconvex"), "tanh"),
    ("a sum of quasiconcave ones",
     rules(X, ("tanh", R(0)), ("exp", R(0)), ("neg", R(2)), ("add", R(1), R(3)), kind="quasiconcave"), "tanh"),
    ("a square of a quasiconvex one", rules(X, Y, ("tanh", R(0)), ("pow", R(2), 2), ("mul", R(3), R(1)), blocks=XY,
     kind="quasiconvex"), "n"),
    ("a concave one is quasiconvex", rules(*SQUARE, ("neg", R(1)), kind="quasiconvex"), "n"),
    ("softmax is convex", rules(X, ("softmax", R(0), 0), ("sum", R(1)), blocks={"x": (2,)}), "n"),
    ("logsumexp is concave", rules(X, ("logsumexp", R(0), (0,)), blocks={"x": (2,)}, kind="concave"),
     "makes it concave"),
    ("logsumexp of concave values",
     rules(X, ("pow", R(0), 2), ("neg", R(1)), ("logsumexp", R(2), (0,)), blocks={"x": (2,)}), "n3"),
    ("a quadratic form with a negative entry",
     rules(X, ("exp", R(0)), ("const", "q"), ("matmul", R(2), R(1)), ("matmul", R(1), R(3)), blocks={"x": (2,)},
           tensors={"q": [[1.0, -0.5], [-0.5, 1.0]]}), "n"),
    ("x^2 is affine", rules(*SQUARE, kind="affine"), "makes it affine"),
    ("a condition that moves", rules(X, ("gt", R(0), 0.0), ("where", R(1), R(0), 0.0), ("where", R(1), R(2), -1.0)),
     "n"),
    ("a sum over chunks of log-concave ones", chunks("log-concave", 1.0, 2.0), "sum over chunks"),
    ("a sum over chunks of quasiconcave ones", chunks("quasiconcave", 1.0, 2.0), "sum over chunks"),
    ("a chunk that is not convex", chunks("convex", 1.0, 2.0), "n"),
    ("chunks are no quadratic", chunks("convex", 1.0, 2.0, evidence="quadratic"), "not a polynomial"),
    ("a weight beyond floats among chunks", chunks("quasiconcave", 1.0, 1.0, weights=[Fraction(10) ** 400,
     Fraction(1)]), "Overflow"),
]  # fmt: skip

CASES: list[Case] = QUADRATICS + RULE
