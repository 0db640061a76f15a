"""False claims that the closer reading must not show: kinks, jumps, perspectives, quadratics, sorted values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from refuse_build import XY, R, X, Y, box, rules

Case = tuple[str, Callable[[], Any], str]
INF = float("inf")
GE, LE, EQ, NE = (f"aten.{n}.Tensor" for n in ("ge", "le", "eq", "ne"))
SORTED = "jensen.sorted"

ABOVE = (X, ("gt", R(0), 0.0))  # x, x > 0
POSITIVE = box(y=(0.5, INF))
VECTOR = {"x": (3,)}


def chosen(*parts: Any, kind: str = "convex", test: Any = ABOVE, **more: Any) -> Callable[[], Any]:
    """where(x > 0, above, below), each a node or a number; extra nodes come first."""
    *nodes, above, below = parts
    return rules(*test, *nodes, ("where", R(1), above, below), kind=kind, **more)


KINKS: list[Case] = [
    ("a slope that falls at a kink", chosen(("mul", R(0), 2.0), R(0), R(2)), ""),
    ("a slope that rises at a kink is not concave", chosen(("mul", R(0), 2.0), R(2), R(0), kind="concave"), ""),
    ("a slope that falls by one ulp", chosen(("mul", R(0), 1.0 + 2**-52), R(0), R(2)), ""),
    ("a jump upward", chosen(("add", R(0), 1.0), R(2), R(0)), ""),
    ("a jump by the smallest float", chosen(("add", R(0), 5e-324), R(2), R(0)), ""),
    ("a jump downward is monotone", chosen(("sub", R(0), 1.0), R(2), R(0), kind="quasiconvex"), ""),
    ("a step is log-concave", chosen(2.0, 1.0, kind="log-concave"), ""),
    ("one point that lies too high", chosen(1.0, 0.0, test=(X, (EQ, R(0), 0.0))), ""),
    ("one point that lies too low is quasiconcave",
     chosen(1.0, 0.0, test=(X, (NE, R(0), 0.0)), kind="quasiconcave"), ""),
    ("one end that lies too low",
     chosen(1.0, 0.0, test=(X, ("gt", R(0), 0.0)), kind="concave", within=box(x=(-1, 0.5))), ""),
    ("a jump at a point that is no float",
     rules(X, ("mul", R(0), 3.0), ("gt", R(1), 1.0), ("mul", R(0), 0.0), ("add", R(3), 1.0),
           ("where", R(2), R(4), R(3))), ""),
    ("a jump where no affine value turns",
     rules(X, ("pow", R(0), 2), ("gt", R(1), 1.0), ("mul", R(0), 0.0), ("add", R(3), 1.0), ("where", R(2), R(4), R(3))),
     ""),
    ("a kink where no affine value turns",
     rules(X, ("pow", R(0), 2), ("sub", R(1), 1.0), ("relu", R(2)), ("mul", R(1), 2.0), ("sub", R(4), R(3))), ""),
    ("two kinks at one point, of which one is not seen",
     rules(X, ("pow", R(0), 2), ("sub", R(1), 1.0), ("relu", R(2)), ("neg", R(3)), ("sub", R(0), 1.0), ("abs", R(5)),
           ("add", R(4), R(6))), ""),
    ("||x| - 1|", rules(X, ("abs", R(0)), ("sub", R(1), 1.0), ("abs", R(2))), ""),
    ("|x| - 1.5 relu is concave",
     rules(X, ("abs", R(0)), ("relu", R(0)), ("mul", R(2), 1.5), ("sub", R(1), R(3)), kind="concave"), ""),
    ("|x| - 2.5 relu is convex",
     rules(X, ("abs", R(0)), ("relu", R(0)), ("mul", R(2), 2.5), ("sub", R(1), R(3))), ""),
    ("a w is quasiconvex",
     rules(X, ("sub", R(0), 1.0), ("abs", R(1)), ("add", R(0), 1.0), ("abs", R(3)), ("minimum", R(2), R(4)),
           kind="quasiconvex"), ""),
    ("an m is quasiconcave",
     rules(X, ("abs", R(0)), ("sub", R(1), 1.0), ("abs", R(2)), ("neg", R(3)), kind="quasiconcave"), ""),
    ("a branch that is taken outside its domain", chosen(("log1p", R(0)), R(0), R(2)), ""),
    ("a branch that is taken outside its domain, at one point",
     chosen(("log", R(0)), R(2), R(0), test=(X, (GE, R(0), 0.0)), kind="concave"), ""),
    ("an undefined value times a mask", rules(*ABOVE, ("log", R(0)), ("jensen.real", R(1)), ("mul", R(2), R(3))), ""),
    ("a number taken for a truth value",
     rules(*ABOVE, ("where", R(1), 3.0, 1.0), ("jensen.real", R(2)), kind="affine"), ""),
    ("a mask of another value",
     rules(X, Y, ("gt", R(1), 0.0), ("neg", R(0)), ("where", R(2), R(0), R(3)), blocks=XY), ""),
    ("a number that stands for two",
     rules(X, ("const", "c"), ("mul", R(0), R(1)), ("relu", R(2)), ("mul", R(3), 2.0), ("relu", R(0)),
           ("sub", R(4), R(5)), ("sum", R(6)), blocks={"x": (2,)}, tensors={"c": [1.0, -1.0]}), ""),
    ("a softer kink of a value that bends",
     rules(X, Y, ("exp", R(1)), ("sub", R(0), R(2)), ("abs", R(3)), ("log1p", R(4)), ("sub", R(4), R(5)), blocks=XY),
     ""),
    ("tanh less x^3, far away", rules(X, ("tanh", R(0)), ("pow", R(0), 3), ("sub", R(1), R(2))), ""),
    ("x^2 - 1e-12 x^4", rules(X, ("pow", R(0), 2), ("pow", R(0), 4), ("mul", R(2), 1e-12), ("sub", R(1), R(3))), ""),
    ("sin x + 0.499 x^2",
     rules(X, ("sin", R(0)), ("pow", R(0), 2), ("mul", R(2), 0.499), ("add", R(1), R(3))), ""),
    ("minus the root of |x| is quasiconvex, but for what is not seen at 0",
     rules(X, ("pow", R(0), 2), ("pow", R(1), 0.25), ("neg", R(2)), kind="quasiconvex", within=box(x=(-1, 1))), ""),
    ("softplus less relu, across its threshold",
     rules(X, ("softplus", R(0)), ("relu", R(0)), ("sub", R(1), R(2)), ("mul", R(3), -1.0), ("add", R(4), R(2))), ""),
]  # fmt: skip

PERSPECTIVES: list[Case] = [
    ("a perspective of a value of any sign",
     rules(X, Y, ("div", R(0), R(1)), ("exp", R(2)), ("mul", R(1), R(3)), blocks=XY, within=box(y=(-1, 1))), ""),
    ("a perspective of a concave function",
     rules(X, Y, ("div", R(0), R(1)), ("log", R(2)), ("mul", R(1), R(3)), blocks=XY, within=box(x=(1, 2), y=(1, 2))),
     ""),
    ("a perspective with a bent divisor",
     rules(X, Y, ("pow", R(1), 2), ("div", R(0), R(2)), ("exp", R(3)), ("mul", R(2), R(4)), blocks=XY,
           within=POSITIVE), ""),
    ("a function that also looks at the divisor",
     rules(X, Y, ("div", R(0), R(1)), ("neg", R(1)), ("add", R(2), R(3)), ("exp", R(4)), ("mul", R(1), R(5)),
           blocks=XY, within=POSITIVE), ""),
    ("a falling function of a convex quotient",
     rules(X, Y, ("pow", R(0), 2), ("div", R(2), R(1)), ("neg", R(3)), ("exp", R(4)), ("mul", R(1), R(5)), blocks=XY,
           within=POSITIVE), ""),
    ("divisors that are mixed",
     rules(X, Y, ("div", R(0), R(1)), ("logsumexp", R(2), (0,)), ("mul", R(1), R(3)), ("sum", R(4)),
           blocks={"x": (2,), "y": (2,)}, within=box(y=([0.5, 0.5], [INF, INF]))), ""),
    ("divisors in another order",
     rules(X, Y, ("roll", R(1), (1,), (0,)), ("div", R(0), R(1)), ("exp", R(3)), ("mul", R(2), R(4)), ("sum", R(5)),
           blocks={"x": (2,), "y": (2,)}, within=box(y=([0.5, 0.5], [INF, INF]))), ""),
    ("a divisor that is widened",
     rules(X, Y, ("div", R(0), R(1)), ("sum", R(2), (0,), True), ("exp", R(3)), ("mul", R(1), R(4)), ("sum", R(5)),
           blocks={"x": (2,), "y": (2,)}, within=box(y=([0.5, 0.5], [INF, INF]))), ""),
    ("a perspective of a negative value",
     rules(X, Y, ("div", R(0), R(1)), ("exp", R(2)), ("mul", R(1), R(3)), blocks=XY, within=box(y=(-2, -1))), ""),
    ("quotients in another order",
     rules(X, Y, ("div", R(0), R(1)), ("roll", R(2), (1,), (0,)), ("exp", R(3)), ("mul", R(1), R(4)), ("sum", R(5)),
           blocks={"x": (2,), "y": (2,)}, within=box(y=([0.5, 0.5], [INF, INF]))), ""),
    ("y (x/y)^-1 is concave",
     rules(X, Y, ("div", R(0), R(1)), ("pow", R(2), -1.0), ("mul", R(1), R(3)), blocks=XY,
           within=box(x=(0.5, INF), y=(0.5, INF)), kind="concave"), ""),
    ("y (y/exp(x))^-1 is concave",
     rules(X, Y, ("exp", R(0)), ("div", R(1), R(2)), ("pow", R(3), -1.0), ("mul", R(1), R(4)), blocks=XY,
           within=POSITIVE, kind="concave"), ""),
    ("y (y/x)^0.5 of an x of any sign",
     rules(X, Y, ("div", R(1), R(0)), ("pow", R(2), 0.5), ("mul", R(1), R(3)), blocks=XY,
           within=box(x=(-1, 1), y=(0.5, 2))), ""),
    ("y^2 exp(x/y)",
     rules(X, Y, ("div", R(0), R(1)), ("exp", R(2)), ("pow", R(1), 2), ("mul", R(3), R(4)), blocks=XY,
           within=POSITIVE), ""),
    ("a negative multiple in the quotient",
     rules(X, Y, ("add", R(0), R(1)), ("mul", R(0), -2.0), ("div", R(3), R(2)), ("exp", R(4)), ("mul", R(0), R(5)),
           blocks=XY, within=box(x=(0.5, INF), y=(0.5, INF)), kind="concave"), ""),
]  # fmt: skip

THIN = [[1.0, 0.0], [0.0, -1e-11]]
FORM = (X, ("const", "q"), ("matmul", R(1), R(0)), ("matmul", R(0), R(2)))
REST: list[Case] = [
    ("exp of a form that is not semidefinite",
     rules(*FORM, ("exp", R(3)), blocks={"x": (2,)}, tensors={"q": THIN}), ""),
    ("the root of a form that is not semidefinite, shifted into its domain",
     rules(*FORM, ("add", R(3), 1.0), ("pow", R(4), 0.5), blocks={"x": (2,)}, tensors={"q": THIN},
           within=box(x=([-1, -1], [1, 1]))), ""),
    ("the root of a quadratic with a negative minimum",
     rules(X, ("pow", R(0), 2), ("add", R(1), R(0)), ("pow", R(2), 0.5), within=box(x=(0, 5))), ""),
    ("exp of a form in two blocks, one of them fixed",
     rules(X, Y, ("mul", R(0), R(1)), ("pow", R(0), 2), ("add", R(2), R(3)), ("exp", R(4)), blocks=XY), ""),
    ("x + y - 2 sqrt(x y) with a factor too large",
     rules(X, Y, ("pow", R(0), 0.5), ("pow", R(1), 0.5), ("mul", R(3), 1.5), ("sub", R(2), R(4)), ("pow", R(5), 2),
           blocks=XY, within=box(x=(0.1, 9), y=(0.1, 9)), kind="concave"), ""),
    ("(x^2 - y^2)^2",
     rules(X, Y, ("pow", R(0), 2), ("pow", R(1), 2), ("sub", R(2), R(3)), ("pow", R(4), 2), blocks=XY), ""),
    ("x / (x + y) is concave", rules(X, Y, ("add", R(0), R(1)), ("div", R(0), R(2)), blocks=XY, kind="concave",
     within=box(x=(0.1, 9), y=(0.1, 9))), ""),
    ("x y / (x + y) is convex", rules(X, Y, ("add", R(0), R(1)), ("mul", R(0), R(1)), ("div", R(3), R(2)), blocks=XY,
     within=box(x=(0.1, 9), y=(0.1, 9))), ""),
    ("(t^3 - x^2)^(1/2)",
     rules(X, Y, ("pow", R(1), 3), ("pow", R(0), 2), ("sub", R(2), R(3)), ("pow", R(4), 0.5), blocks=XY,
           within=box(x=(-1, 1), y=(2, 9)), kind="concave"), ""),
    ("log(t - x^2) of a convex t",
     rules(X, Y, ("exp", R(1)), ("pow", R(0), 2), ("sub", R(2), R(3)), ("log", R(4)), blocks=XY,
           within=box(x=(-1, 1), y=(2, 9)), kind="concave"), ""),
    ("x^2 / y is convex for y < 0", rules(X, Y, ("pow", R(0), 2), ("div", R(2), R(1)), blocks=XY,
     within=box(y=(-9, -1))), ""),
    ("rising weights on falling values",
     rules(X, ("const", "c"), (SORTED, R(0), 3, 0, True), ("mul", R(2), R(1)), ("sum", R(3)), blocks=VECTOR,
           tensors={"c": [1.0, 2.0, 3.0]}), ""),
    ("weights with a dent",
     rules(X, ("const", "c"), (SORTED, R(0), 3, 0, True), ("matmul", R(2), R(1)), blocks=VECTOR,
           tensors={"c": [3.0, 2.0, 2.0 + 2**-51]}), ""),
    ("a negative weight before those left out",
     rules(X, ("const", "c"), (SORTED, R(0), 2, 0, True), ("matmul", R(2), R(1)), blocks=VECTOR,
           tensors={"c": [1.0, -1.0]}), ""),
    ("rising weights on the smallest",
     rules(X, ("const", "c"), (SORTED, R(0), 2, 0, False), ("matmul", R(2), R(1)), blocks=VECTOR,
           tensors={"c": [1.0, 2.0]}, kind="concave"), ""),
    ("a negative weight on convex values",
     rules(X, ("const", "c"), ("abs", R(0)), (SORTED, R(2), 3, 0, True), ("matmul", R(3), R(1)), blocks=VECTOR,
           tensors={"c": [1.0, 0.0, -1.0]}), ""),
    ("whole numbers as weights",
     rules(X, ("const", "c"), (SORTED, R(0), 3, 0, True), ("mul", R(2), R(1)), ("sum", R(3)), blocks=VECTOR,
           tensors={"c": np.array([1, 2, 3])}), ""),
    ("the mean of the smallest is convex",
     rules(X, (SORTED, R(0), 2, 0, False), ("mean", R(1)), blocks=VECTOR), ""),
    ("the mean of the smallest of each row is convex",
     rules(X, (SORTED, R(0), 2, 1, False), ("mean", R(1)), blocks={"x": (2, 5)}), ""),
    ("a point is no interval", rules(X, Y, ("mul", R(0), R(1)), blocks=XY, within=box(x=(1, 1), y=(1, 1 + 2**-52)),
     kind="log-convex"), ""),
]  # fmt: skip

END = (X, ("gt", R(0), 0.0), ("add", R(0), 1.0), ("where", R(1), R(2), -5.0), ("view", R(3), ()))  # -5, then above 1
NUMBER = (X, ("aten.clamp.default", R(0), 1.0, 2.0), ("neg", R(0)))
ENDS: list[Case] = [
    ("a root of a value that is negative at one end",
     rules(*END, ("pow", R(4), 0.5), within=box(x=(0, 1)), kind="quasiconvex"), ""),
    ("a reciprocal that is negative at one end",
     rules(*END, ("div", 1.0, R(4)), within=box(x=(0, 1)), kind="quasiconvex"), ""),
    ("a choice of whole numbers, cast", rules(*ABOVE, ("where", R(1), 3, 2), ("jensen.real", R(2))), ""),
    ("a number for a condition",
     rules(*NUMBER, ("where", R(1), R(2), R(0)), ("relu", R(3)), within=box(x=(-3, 0.5)), kind="concave"), ""),
    ("a sum of three", rules(X, ("exp", R(0)), ("add", R(1), R(1), -5.0)), "well-formed arguments"),
    ("a comparison of three", rules(X, ("gt", R(0), 0.0, 1.0), ("where", R(1), R(0), 0.0)), "well-formed arguments"),
    ("a constant divided by zero beside a choice",
     rules(*ABOVE, ("div", R(0), 0.0), ("exp", R(0)), ("where", R(1), R(2), R(3)), kind="quasiconvex"), ""),
]  # fmt: skip

CASES = [*KINKS, *PERSPECTIVES, *REST, *ENDS]
