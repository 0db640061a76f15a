"""What atoms say of moves of their arguments' entries, attacked on numbers through torch."""

from __future__ import annotations

import pytest
import torch

from atoms.test_rows import OTHERS as JUMPS
from atoms.test_rows import ROWS
from jensen.atoms import registry
from jensen.linalg.torch_reading import function
from operations import OTHERS, C, X

D = torch.float64
POINTS = torch.tensor([0.0137, 0.31, 0.49, 0.77, 1.3, 2.9, 7.1], dtype=D)
NATURES = [(op, a) for op, a in [*ROWS, *JUMPS] if op in registry().natures]
MASKED = torch.tensor([[True, False, True], [False, True, True]])
MORE = [
    ("aten.add.Tensor", (X(0), X(1)), [(2, 3), (3,)]),
    ("aten.sub.Tensor", (X(0), X(1)), [(2, 3), (3,)]),
    ("aten.where.self", (C(MASKED), X(0), X(1)), [(2, 3), (2, 1)]),
    ("aten.masked_fill.Scalar", (X(0), C(MASKED), 0.0), [(2, 3)]),
    *((f"aten.{t}.Tensor", (X(0), X(1)), [(2, 3), (3,)]) for t in ("gt", "ge", "lt", "le", "eq", "ne")),
    ("jensen.resample", (X(0), 1, 5, False), [(2, 3)]),
    ("aten.pad.default", (X(0), (1, 2), "constant", 0.0), [(2, 3)]),
]
ACTED = [
    (op, args, shapes)
    for op, args, shapes in [*OTHERS, *MORE]
    if op in registry().acts and any(type(a) is X for a in args)
]


def _is(a, b) -> bool:
    return torch.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize(("op", "attributes"), NATURES)
def test_natures(op, attributes):
    said = registry().natures[op](*attributes)
    f = lambda x: function(op)(x, *attributes)  # noqa: E731
    x = torch.cat([POINTS, -POINTS])
    if said.degree is not None:
        for s in (0.37, 3.0):
            assert _is(f(s * x), s ** float(said.degree) * f(x))
    if said.parity is not None:
        assert _is(f(-x), (-1.0) ** said.parity * f(x))
    if said.flip is not None:
        assert _is(f(-x), said.flip - f(x))


def _called(op, args, values):
    filled = [values[a.k] if type(a) is X else torch.as_tensor(a.value) if type(a) is C else a for a in args]
    return function(op)(*filled)


def _values(shapes):
    g = torch.Generator().manual_seed(5)
    return [0.2 + torch.rand(s, generator=g, dtype=D) for s in shapes]


@pytest.mark.parametrize(("op", "args", "shapes"), ACTED)
def test_exchanges(op, args, shapes):
    act, values = registry().acts[op], _values(shapes)
    out = _called(op, args, values)
    if act.form == "map":
        order = torch.randperm(out.numel(), generator=torch.Generator().manual_seed(1))
        mixed = lambda v: v.expand(out.shape).reshape(-1)[order].reshape(out.shape)  # noqa: E731
        constants = tuple(C(mixed(torch.as_tensor(a.value))) if type(a) is C else a for a in args)
        assert _is(_called(op, constants, [mixed(v) for v in values]).to(D), mixed(out).to(D))
        return
    x, axes = values[0], act.axes(tuple(values[0].shape), *args[1:])
    for a in range(x.dim()):
        if a in axes and act.form == "window":
            continue  # a window slides in an order
        moved = tuple(C(torch.as_tensor(c.value).roll(1, a)) if type(c) is C else c for c in args)
        kept = out.dim() == x.dim()
        at = a if kept else a - sum(b < a for b in axes)
        still = a in axes and act.form == "fold"
        assert _is(_called(op, moved, [x.roll(1, a)]), out if still else out.roll(1, at))


@pytest.mark.parametrize(("op", "args", "shapes"), ACTED)
def test_multiples(op, args, shapes):
    law, values = registry().acts[op].law, _values(shapes)
    out, n = _called(op, args, values), len(values)
    plain = not any(type(a) is float and a for a in args) or law in ("size", "product", "quotient")
    for s in (2.5, -2.5) if plain else ():
        there = _called(op, args, [s * v for v in values])
        if law in ("sum", "choice", "fill", "padding") or (s > 0 and law in ("largest", "size")):
            assert _is(there, s * out)
        elif law == "size" or (law == "test" and s > 0):
            assert torch.equal(there, out) if law == "test" else _is(there, -s * out)
        elif law in ("product", "quotient") and n == 2:
            assert _is(_called(op, args, [values[0], s * values[1]]), out * s if law == "product" else out / s)
            assert _is(_called(op, args, [s * values[0], values[1]]), out * s)


@pytest.mark.parametrize(("op", "args", "shapes"), [c for c in ACTED if registry().acts[c[0]].shift])
def test_shifts(op, args, shapes):
    act, (x,) = registry().acts[op], _values(shapes)
    axes = act.axes(tuple(x.shape), *args[1:])
    c = torch.rand(
        [1 if a in axes else n for a, n in enumerate(x.shape)], generator=torch.Generator().manual_seed(3), dtype=D
    )
    out, there = _called(op, args, [x]), _called(op, args, [x + c])
    times = {"through": 1, "away": 0, "times": x.numel() // c.numel()}[act.shift]
    wide = c if out.dim() == x.dim() else c.reshape(out.shape)
    assert _is(there, out + times * wide)


def test_every_word_is_tried():
    tried = {op for op, _, _ in ACTED} | {"aten.neg.default", "jensen.real"}
    untried = {op for op in registry().acts if op not in tried}
    assert all("logical" in op or op in KNOWN for op in untried), untried
    assert {op for op, _ in NATURES} == set(registry().natures)


KNOWN = {
    "aten.pow.Tensor_Tensor",
    "aten.xlogy.Tensor",
    "aten.special_xlog1py.default",
    "jensen.rel_entr",
    "jensen.positive_rel_entr",
}
