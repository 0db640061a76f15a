"""False and malformed claims that moves leave a cost as it is: (name, builder, fragment of the reason)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from refuse_build import R, X, box, changed, path, problem

from jensen import certificate
from jensen.atoms import registry
from jensen.kernel.check import Claim, check
from jensen.kernel.claims.factor import Factor, Site
from jensen.kernel.claims.invariance_moves import summed
from jensen.kernel.program import Problem

Case = tuple[str, Callable[[], Any], str]
MOVES = {"method": "moves"}
CAT, STACK, SLICE = "aten.cat.default", "aten.stack.default", "aten.slice.Tensor"


def site(block: str = "x", positions: Any = ((0,), (1,)), axes: tuple[int, ...] = (0,), degree: Any = 1) -> Site:
    return Site(block, axes, np.array(positions, dtype=np.int64), Fraction(degree))


SWAP = Factor("permutation", 2, (site(),))
SIGNS, SCALES = (Factor(kind, 2, (site(),)) for kind in ("sign", "scale"))


def claim(*factors: Factor, **changes: Any) -> Claim:
    blocks = tuple(dict.fromkeys(b for f in factors for b in f.blocks))
    return Claim(**{"kind": "invariant", "blocks": blocks, "within": {}, "factors": factors, **changes})


def moves(
    *nodes: Any, by: Any = SWAP, evidence: Any = MOVES, blocks: Any = None, tensors: Any = None, **changes: Any
) -> Any:
    """A case: these nodes, and what moves their blocks."""
    factors = by if isinstance(by, tuple) else (by,)

    def run() -> Any:
        p = problem(*nodes, blocks=blocks or {"x": (2,)}, tensors=tensors)
        return check(p, claim(*factors, **changes), evidence, registry())

    return run


def layers(*sites: Site, kind: str = "permutation", act: str = "tanh", **more: Any) -> Any:
    """Two layers v(act(u c + b)) on fixed data, and a factor with these sites."""
    nodes = (
        ("const", "c"), ("block", "u"), ("block", "b"), ("linear", R(0), R(1), R(2)), (act, R(3)), ("block", "v"),
        ("linear", R(4), R(5)), ("pow", R(6), 2), ("sum", R(7)),
    )  # fmt: skip
    shapes = {"u": (3, 3), "b": (3,), "v": (3, 3)}
    by = Factor(kind, 3, sites)
    return moves(*nodes, by=by, blocks=shapes, tensors={"c": [[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]]}, **more)


ROWS = ((0,), (1,), (2,))
U, B, V = site("u", ROWS), site("b", ROWS), site("v", ROWS, (1,), -1)
PERMUTED = tuple(replace(s, degree=Fraction(1)) for s in (U, B, V))
SUM = (X, ("sum", R(0)))
SQUARES = (X, ("pow", R(0), 2), ("sum", R(1)))
TWO = {"x": (2,), "y": (2,)}
LONG = 2**24 + 2


def written() -> Path:
    """The sum of x does not change when its two entries change places."""
    out = path()
    certificate.write(certificate.Certificate(problem(*SUM, blocks={"x": (2,)}), claim(SWAP), MOVES), out)
    return out


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[], Any]:
    """A case: the file with another claim."""
    return changed(lambda data: change(data["claim.json"]), written)


def factor_of(data: dict[str, Any]) -> dict[str, Any]:
    return data["factors"][0]


CLAIMS: list[Case] = [
    ("no factors", moves(*SUM, by=(), blocks={"x": (2,)}, kind="invariant"), "about no block"),
    ("no factors for a block", lambda: check(problem(*SUM, blocks={"x": (2,)}), Claim("invariant", ("x",), {}), MOVES,
     registry()), "do not move the blocks"),
    ("a block that no factor moves", lambda: check(problem(*SUM, ("block", "y"), ("sum", R(2)), ("add", R(1), R(3)),
     blocks=TWO), claim(SWAP, blocks=("x", "y")), MOVES, registry()), "do not move the blocks"),
    ("moves of a convex function", moves(*SUM, kind="convex"), "not about moves"),
    ("convexity by moves", lambda: check(problem(*SUM, blocks={"x": (2,)}), Claim("convex", ("x",), {}), MOVES, registry()),
     "proves invariance"),
    ("invariance by rules", moves(*SUM, evidence={"method": "rules"}), "a known method of proof"),
    ("not invariant", moves(*SUM, kind="not invariant"), "is not one of"),
    ("a hint", moves(*SUM, evidence={"method": "moves", "hint": 1}), "needs no evidence"),
    ("invariance on a box", moves(*SUM, within=box(x=([0, 0], [1, 1]))), "not kept by moves"),
    ("an ideal invariance", moves(*SUM, ideal=True), "not kept by moves"),
    ("a kind that is none", moves(*SUM, by=replace(SWAP, kind="rotation")), "is not one of permutation"),
    ("one unit changes places", moves(*SUM, by=Factor("permutation", 1, (site(positions=((0,),)),))), "moves nothing"),
    ("a size of 1.0", moves(*SUM, by=replace(SIGNS, size=2.0)), "moves nothing"),
    ("an axis that is none", moves(*SUM, by=Factor("permutation", 2, (site(axes=(1,)),))), "not axes of a block"),
    ("an axis twice", moves(*SUM, by=Factor("permutation", 2, (site(axes=(0, 0)),))), "not axes of a block"),
    ("no axis", moves(*SUM, by=Factor("permutation", 2, (site(axes=()),))), "not axes of a block"),
    ("places that are no integers", moves(*SUM, by=Factor("permutation", 2, (replace(site(), positions=np.array([[0.0], [1.0]])),))),
     "not int64"),
    ("a row too few", moves(*SUM, by=Factor("permutation", 2, (site(positions=((0, 1),)),))), "with 2 rows"),
    ("a place outside", moves(*SUM, by=Factor("permutation", 2, (site(positions=((0,), (2,))),))), "outside the block"),
    ("a place twice", moves(*SUM, by=Factor("permutation", 2, (site(positions=((0,), (0,))),))), "named twice"),
    ("degree 0", moves(*SUM, by=Factor("scale", 2, (site(degree=0),))), "the degree is 0"),
    ("degree 1/65", moves(*SUM, by=Factor("scale", 2, (site(degree="1/65"),))), "the degree is 1/65"),
    ("half a sign", moves(*SUM, by=Factor("sign", 2, (site(degree="1/2"),))), "has degree 1/2"),
    ("a permutation of degree 2", moves(*SUM, by=Factor("permutation", 2, (site(degree=2),))), "has degree 2"),
    ("moves and an operation that is not known", moves(X, ("aten.nonsense", R(0)), ("sum", R(1))), "no atom models"),
]  # fmt: skip

EXCHANGES: list[Case] = [
    ("one entry read alone", moves(X, ("select", R(0), 0, 0)), "picked out of the others"),
    ("one entry in a slice", moves(X, (SLICE, R(0), 0, 0, 2), ("sum", R(1)), blocks={"x": (3,)},
     by=Factor("permutation", 3, (site(positions=ROWS),))), "leaves the part"),
    ("rows against columns", moves(X, ("aten.transpose.int", R(0), 0, 1), ("mul", R(0), R(1)), ("sum", R(2)),
     blocks={"x": (2, 2)}), "change places differently"),
    ("data that tells units apart", moves(X, ("const", "c"), ("mul", R(0), R(1)), ("sum", R(2)), tensors={"c": [1.0, 2.0]}),
     "tells them apart"),
    ("another block that tells units apart", moves(X, ("block", "y"), ("mul", R(0), R(1)), ("sum", R(2)), blocks=TWO),
     "tells them apart"),
    ("an exchange that is none", lambda: summed((np.array([0, 0]),), (2,), (0,)), "with one outside the sum"),
    ("a sum whose units change rows", moves(X, ("sum", R(0), (0,)), ("pow", R(1), 2), ("sum", R(2)), blocks={"x": (2, 2)},
     by=Factor("permutation", 2, (site(axes=(0, 1), positions=((0,), (1,))),))), "others than those that are summed"),
    ("a running sum", moves(X, ("aten.cumsum.default", R(0), 0), ("pow", R(1), 2), ("sum", R(2))), "on which a window slides"),
    ("an index that moves", moves(X, ("const", "c"), ("jensen.scatter", R(1), 0, R(1), R(0)), ("sum", R(2)),
     tensors={"c": np.array([0, 1])}), "nothing is known of"),
    ("a table with exchanged rows", moves(X, ("const", "c"), ("aten.embedding.default", R(0), R(1)), ("pow", R(2), 2),
     ("sum", R(3)), blocks={"x": (2, 1)}, tensors={"c": np.array([0, 0])}), "picked out of the others"),
    ("an attribute that moves", moves(X, ("const", "c"), ("aten.embedding.default", R(1), R(0)), ("sum", R(2)),
     tensors={"c": [[1.0], [2.0]]}), "more than the first argument"),
    ("a table read at places of its own", moves(X, ("aten.embedding.default", R(0), R(0)), ("sum", R(1)), blocks={"x": (2, 2)},
     by=Factor("permutation", 2, (site(axes=(1,)),))), "more than the first argument"),
    ("an empty vector beside a matrix", moves(X, ("block", "y"), (CAT, (R(0), R(1)), 0), ("sum", R(2)),
     blocks={"x": (2, 1), "y": (0,)}), "an empty vector"),
    ("too many entries to follow", moves(X, ("view", R(0), (2 * LONG,)), ("sum", R(1)), blocks={"x": (2, LONG)}), "too large"),
    ("an index that is computed", moves(X, ("const", "c"), ("add", R(1), 0), ("aten.index.Tensor", R(0), (R(2),)), ("pow", R(3), 2),
     ("sum", R(4)), tensors={"c": np.array([0, 0])}), "is itself computed"),
    ("a table read at computed places", moves(X, ("const", "c"), ("add", R(1), 0), ("aten.embedding.default", R(0), R(2)),
     ("pow", R(3), 2), ("sum", R(4)), blocks={"x": (2, 1)}, tensors={"c": np.array([0, 0])}), "is itself computed"),
    ("two sites that undo each other", moves(X, ("const", "c"), ("mul", R(0), R(1)), ("sum", R(2)), blocks={"x": (3,)},
     tensors={"c": [1.0, 2.0, 3.0]}, by=Factor("permutation", 3, (site(positions=ROWS), site(positions=((1,), (0,), (2,)))))),
     "share places"),
    ("a row and its entries", moves(X, ("sum", R(0)), blocks={"x": (2, 2)},
     by=Factor("permutation", 2, (site(), site(axes=(0, 1), positions=((1,), (2,)))))), "share places"),
    ("one site missing", layers(PERMUTED[0], PERMUTED[2]), "tells them apart"),
    ("another axis", layers(replace(PERMUTED[0], axes=(1,)), PERMUTED[1], PERMUTED[2]), "tells them apart"),
    ("units paired wrongly", layers(PERMUTED[0], site("b", ((0,), (2,), (1,))), PERMUTED[2]), "change places differently"),
]  # fmt: skip

POWERS: list[Case] = [
    ("signs in a sum", moves(*SUM, by=SIGNS), "meet in a sum"),
    ("scales in squares", moves(*SQUARES, by=SCALES), "meet in a sum"),
    ("a common scale", moves(*SQUARES, by=Factor("scale", 1, (site(positions=((0, 1),)),))), "the output itself moves"),
    ("signs beside a number", moves(X, ("add", R(0), 1.0), ("pow", R(1), 2), ("sum", R(2)), by=SIGNS), "meet in a sum"),
    ("signs through relu", layers(U, B, V, kind="sign", act="relu"), "not homogeneous"),
    ("scales through tanh", layers(U, B, V, kind="scale"), "not homogeneous"),
    ("scales of the wrong power", layers(U, B, replace(V, degree=Fraction(-2)), kind="scale", act="relu"), "meet in a sum"),
    ("scales without the bias", layers(U, V, kind="scale", act="relu"), "meet in a sum"),
    ("signs of a largest", moves(X, ("amax", R(0), (0,)), by=SIGNS), "not homogeneous"),
]  # fmt: skip

PAIR = site("x", ROWS), site("y", ROWS, degree=-1)
XYS = {"x": (3,), "y": (3,)}
BOTH = (("block", "x"), ("block", "y"))
GL, O3 = Factor("linear", 3, PAIR), Factor("orthogonal", 3, PAIR)
ONE = Factor("linear", 2, (site(),))
DOT = ("matmul", R(0), R(1))

MATRICES: list[Case] = [
    ("matrices through tanh", moves(X, ("tanh", R(0)), ("sum", R(1)), by=ONE), "is not linear"),
    ("matrices in a sum", moves(*SUM, by=ONE), "that a matrix acts on"),
    ("matrices in squares", moves(*SQUARES, by=ONE), "is not linear"),
    ("matrices and a largest", moves(X, ("amax", R(0), (0,)), by=ONE), "a function that is not linear"),
    ("the same matrix twice", moves(*BOTH, DOT, by=replace(GL, sites=(PAIR[0], site("y", ROWS))), blocks=XYS), "does not undo"),
    ("a matrix on one side", moves(*BOTH, DOT, by=Factor("linear", 3, PAIR[:1]), blocks=XYS), "place by place"),
    ("a matrix in a sum of two", moves(*BOTH, ("add", R(0), R(1)), ("matmul", R(2), R(1)), by=GL, blocks=XYS),
     "different matrices"),
    ("half a vector", moves(X, (SLICE, R(0), 0, 0, 2), ("sum", R(1)), blocks={"x": (3,)},
     by=Factor("linear", 3, (site("x", ROWS),))), "is cut"),
    ("matrices on rows and columns", moves(X, ("pow", R(0), 2), ("sum", R(1)), blocks={"x": (3, 3)},
     by=Factor("orthogonal", 3, (site("x", ROWS), site("x", ROWS, (1,))))), "on several axes"),
    ("two matrices on one place", moves(X, ("pow", R(0), 2), ("sum", R(1)), blocks={"x": (3,)},
     by=Factor("orthogonal", 3, (site("x", ROWS), site("x", ROWS)))), "share a place"),
    ("rows beside columns", moves(*BOTH, (CAT, (R(0), R(1)), 0), ("pow", R(2), 2), ("sum", R(3)),
     blocks={"x": (3, 3), "y": (3, 3)}, by=Factor("orthogonal", 3, (site("x", ROWS), site("y", ROWS, (1,))))),
     "different axes of values"),
    ("a matrix of degree 2", moves(*SUM, by=Factor("linear", 2, (site(degree=2),))), "has degree 2"),
]  # fmt: skip

SHIFTED = Factor("shift", 2, (site(),))
COMMON = Factor("shift", 1, (site(positions=((0, 1),)),))
KERNEL = ("aten.conv1d.default", R(1), R(0))

SHIFTS: list[Case] = [
    ("a shift of a sum", moves(*SUM, by=COMMON), "the output itself moves"),
    ("shifts of a mean", moves(X, ("mean", R(0)), by=SHIFTED), "meet in a sum"),
    ("a shift of squares", moves(*SQUARES, by=COMMON), "what is shifted meets"),
    ("a shift of a product", moves(X, ("aten.prod.dim_int", R(0), 0), by=COMMON), "does not pass it on"),
    ("a shift times itself", moves(X, ("add", R(0), 1.0), ("mul", R(0), R(1)), ("sum", R(2)), by=COMMON), "both shifted"),
    ("a shifted divisor", moves(*BOTH, ("div", R(0), R(1)), ("sum", R(2)), blocks=TWO,
     by=Factor("shift", 2, (site("y"),))), "a divisor is shifted"),
    ("a larger one of two shifted", moves(*BOTH, ("maximum", R(0), R(1)), ("sum", R(2)), blocks=TWO,
     by=Factor("shift", 2, (site("x"), site("y")))), "shifted at different places"),
    ("a shifted kernel", moves(X, ("const", "c"), KERNEL, ("sum", R(2)), blocks={"x": (2, 1, 1)}, tensors={"c": np.ones((1, 1, 3))},
     by=Factor("translation", 2, (site(),))), "different things of a shift"),
    ("a shift before padding", moves(("block", "x"), ("const", "c"), ("aten.conv1d.default", R(0), R(1), None, 1, 1), ("sum", R(2)),
     blocks={"x": (1, 1, 2)}, tensors={"c": np.ones((1, 1, 3))}, by=Factor("shift", 1, (site(positions=((0, 1),), axes=(2,)),))),
     "different things of a shift"),
    ("a translation of blocks that differ", moves(*BOTH, DOT, blocks={"x": (2,), "y": (2, 2)},
     by=Factor("translation", 2, (site("x"), site("y")))), "different numbers of entries"),
    ("a shift under another softmax", moves(X, ("softmax", R(0), 0), ("pow", R(1), 2), ("sum", R(2)), blocks={"x": (2, 2)},
     by=SHIFTED), "meet in a sum"),
]  # fmt: skip

NORM = (
    ("const", "c"), ("block", "x"), ("block", "y"), ("block", "u"), ("mul", R(0), R(3)), ("const", "m"), ("sub", R(4), R(5)),
    ("const", "r"), ("mul", R(6), R(7)), ("mul", R(8), R(1)), ("add", R(9), R(2)), ("relu", R(10)), ("pow", R(11), 2), ("sum", R(12)),
)  # fmt: skip
FRAMED = Factor("permutation", 2, (site("u"), site("x"), site("y")), (("x", "y"),))


def norm(nodes: Any = NORM, by: Factor = FRAMED, **tensors: Any) -> Any:
    """relu(((c u - m) r) x + y), in coordinates that take m and r into x and y."""
    data = {"c": [3.0, 3.0], "m": [1.0, 2.0], "r": [2.0, 5.0], **tensors}
    return moves(*nodes, by=by, blocks=dict.fromkeys("xyu", (2,)), tensors=data)


def two_norms(nodes: Any = NORM, **tensors: Any) -> Any:
    """The same, and a term more."""
    data = {"c": [3.0, 3.0], "m": [1.0, 2.0], "r": [2.0, 5.0]}

    def run() -> Any:
        blocks = dict.fromkeys("xyu", (2,))
        one, other = (problem(*n, blocks=blocks, tensors=t) for n, t in ((NORM, data), (nodes, {**data, **tensors})))
        return check(Problem(one.terms + other.terms, blocks), claim(FRAMED), MOVES, registry())

    return run


FLIP = "aten.flip.default"
FLIPPED = (
    *NORM[:9], (FLIP, R(1), (0,)), ("mul", R(8), R(9)), (FLIP, R(2), (0,)), ("add", R(10), R(11)), ("relu", R(12)),
    ("pow", R(13), 2), ("sum", R(14)),
)  # fmt: skip

FRAMES: list[Case] = [
    ("a term with another mean", two_norms(m=[1.0, 3.0]), "not the same in all terms"),
    ("a term with another rate", two_norms(r=[2.0, 6.0]), "not the same in all terms"),
    ("a term with its weights in another order", two_norms(FLIPPED), "not the same in all terms"),
    ("statistics that tell units apart", norm(by=replace(FRAMED, frames=())), "tells them apart"),
    ("data that tells units apart, before a norm", norm(c=[3.0, 4.0]), "tells them apart"),
    ("a rate that is 0", norm(r=[2.0, 0.0]), "not weight and bias of a norm"),
    ("bias and weight in the other order", norm(by=replace(FRAMED, frames=(("y", "x"),))), "not weight and bias of a norm"),
    ("coordinates of no block", norm(by=replace(FRAMED, frames=(("x", "z"),))), "not a block of this cost"),
    ("a bias that is read again", norm((*NORM[:11], ("add", R(10), R(2)), ("relu", R(11)), ("sum", R(12)))), "not weight and bias"),
]  # fmt: skip

FILES: list[Case] = [
    ("frames of three", edited(lambda c: factor_of(c).update(frames=[["x", "y", "z"]])), "not pairs of blocks"),
    ("frames that are a table", edited(lambda c: factor_of(c).update(frames={})), "not pairs of blocks"),
    ("moves without factors", edited(lambda c: c.pop("factors") and None), "fields are missing"),
    ("factors of a convex claim", edited(lambda c: c.update(kind="convex")), "fields are missing or unknown"),
    ("factors that are a table", edited(lambda c: c.update(factors={})), "factors are not a list"),
    ("a factor with a hint", edited(lambda c: factor_of(c).update(hint=1)), "exactly the known fields"),
    ("a factor of no kind", edited(lambda c: factor_of(c).update(kind=1)), "kind or sites have the wrong type"),
    ("a factor whose sites are a table", edited(lambda c: factor_of(c).update(sites={})), "kind or sites have the wrong type"),
    ("a site with a hint", edited(lambda c: factor_of(c)["sites"][0].update(hint=1)), "exactly the known fields"),
    ("a site of no block", edited(lambda c: factor_of(c)["sites"][0].update(block=0)), "block or axes have the wrong type"),
    ("a site of another block", edited(lambda c: factor_of(c)["sites"][0].update(block="y")), "do not move the blocks"),
    ("a site whose axes are a number", edited(lambda c: factor_of(c)["sites"][0].update(axes=0)), "have the wrong type"),
    ("a site with an axis of text", edited(lambda c: factor_of(c)["sites"][0].update(axes=["0"])), "not axes of a block"),
    ("a degree that is a number", edited(lambda c: factor_of(c)["sites"][0].update(degree=1)), "exact fractions"),
    ("places that are not there", edited(lambda c: factor_of(c)["sites"][0].update(positions="t9")), "known tensors"),
    ("a size of text", edited(lambda c: factor_of(c).update(size="2")), "moves nothing"),
    ("a kind that nobody knows", edited(lambda c: factor_of(c).update(kind="rotation")), "is not one of permutation"),
    ("signs instead of a swap", edited(lambda c: factor_of(c).update(kind="sign")), "meet in a sum"),
]  # fmt: skip

CASES = CLAIMS + EXCHANGES + POWERS + MATRICES + SHIFTS + FRAMES + FILES
