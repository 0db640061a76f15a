"""The jet and the secant reading of every operation in the table, against reverse over reverse and differences."""

import pytest
import torch

from jensen.atoms import registry
from jensen.errors import Misuse
from jensen.kernel.program import Node, Program, Ref
from jensen.linalg.jets import forward, pushed, second_order
from jensen.linalg.jets_kinds import LINEAR, PIECES, PRODUCTS
from jensen.linalg.secants import second_difference
from jensen.linalg.secants_paths import leads
from jensen.linalg.torch_reading import run
from operations import LOGICAL, REWRITTEN, X, cases, inputs, program

CASES = list(cases())
NOT_TWICE = {"aten.hardsigmoid.default"}  # torch differentiates it once only


def at(theta, d, t):
    return {n: v + t * d[n] for n, v in theta.items()}


def reverse_over_reverse(f, theta, d):
    leaves = {n: v.clone().requires_grad_() for n, v in theta.items()}
    gradient = torch.autograd.grad(f(leaves), list(leaves.values()), create_graph=True, allow_unused=True)
    slope = sum((g * d[n]).sum() for n, g in zip(leaves, gradient, strict=True) if g is not None)
    if not slope.requires_grad:
        return 0.0
    back = torch.autograd.grad(slope, list(leaves.values()), allow_unused=True)
    return float(sum((h * d[n]).sum() for n, h in zip(leaves, back, strict=True) if h is not None))


def differences(f, theta, d, h=1e-3):
    v = {k: float(f(at(theta, d, k * h))) for k in (-2, -1, 0, 1, 2)}
    return (16 * (v[1] + v[-1]) - (v[2] + v[-2]) - 30 * v[0]) / (12 * h * h)


def test_every_operation_has_a_case():
    listed = {c[0] for c in CASES}
    assert set(registry().atoms) - listed - LOGICAL - REWRITTEN == set()


@pytest.mark.parametrize("case", CASES, ids=[f"{c[0]}{i}" for i, c in enumerate(CASES)])
def test_operation(case):
    op, args, shapes, span = case
    p, tensors = program(op, args, shapes)
    theta, d = inputs(shapes, span, seed=3)

    def f(x):
        return run(p, tensors, x)

    terms = second_order(p, tensors, theta, d)
    total, size = sum(terms.values()), sum(abs(v) for v in terms.values())
    if op not in NOT_TWICE:
        assert abs(total - reverse_over_reverse(f, theta, d)) <= 1e-10 * size
    assert abs(total - differences(f, theta, d)) <= 1e-5 * (size + abs(float(f(theta))))
    if op in LINEAR:
        assert "op" not in {p.nodes[i].name for i in terms}
    for h in (0.2, 1e-3):
        chord(p, tensors, theta, {n: v * (span[1] - span[0]) / 3 for n, v in d.items()}, span, h)


def chord(p, tensors, theta, d, span, h):
    """Shares sum to the second difference; where the chord is short they are the second derivative's."""
    a, b = ({n: v.clamp(*span) for n, v in at(theta, d, t).items()} for t in (h, -h))
    m = {n: (v + b[n]) / 2 for n, v in a.items()}
    terms, difference = second_difference(p, tensors, a, b)
    values = [float(run(p, tensors, x)) for x in (a, b, m)]
    size, noise = sum(abs(v) for v in terms.values()), 1e-14 * sum(abs(v) for v in values)
    assert abs(difference - (values[0] + values[1] - 2 * values[2])) <= 1e-14
    assert abs(sum(terms.values()) - difference) <= 1e-9 * size + noise
    if h < 0.01:
        half = {n: (a[n] - b[n]) / 2 for n in a}
        jets = second_order(p, tensors, m, half)
        for i, v in terms.items():
            assert abs(v - jets[i]) <= 0.02 * sum(abs(x) for x in jets.values()) + noise


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in LINEAR | PRODUCTS][::3], ids=lambda c: c[0])
def test_tables_of_linear_operations_and_products(case):
    """D^2 f is zero in each factor alone; for linear operations in all of them together."""
    op, args, shapes, span = case
    p, tensors = program(op, args, shapes)
    p = Program(p.nodes, next(i for i, n in enumerate(p.nodes) if n.name == "op"))
    theta, d = inputs(shapes, span, seed=5)
    moves = [d] if op in LINEAR else [{n: v if n == k else 0 * v for n, v in d.items()} for k in d]
    if all(type(a) is X and a.k == 0 for a in args[:2]):
        return
    for e in moves:
        y = [run(p, tensors, at(theta, e, t)) for t in (-1.0, 0.0, 1.0)]
        torch.testing.assert_close(y[0] + y[2], 2 * y[1])


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in PIECES], ids=lambda c: c[0])
def test_table_of_piecewise_linear_operations(case):
    op, args, shapes, span = case
    p, tensors = program(op, args, shapes)
    p = Program(p.nodes, next(i for i, n in enumerate(p.nodes) if n.name == "op"))
    theta, d = inputs(shapes, span, seed=5)
    y = [run(p, tensors, at(theta, d, 1e-5 * t)) for t in (-1.0, 0.0, 1.0)]
    torch.testing.assert_close(y[0] + y[2], 2 * y[1], atol=1e-12, rtol=0)


def test_tangents_by_two_reverse_passes_are_those_of_forward_mode():
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    t = torch.randn(2, 3, dtype=torch.float64)
    y = torch.softmax(x, 1)
    want = y * (t - (y * t).sum(1, keepdim=True))
    torch.testing.assert_close(pushed(y, {0: x}, {0: t}), want.detach())


def test_results_of_several_parts():
    """An operation with a tuple of results, of which one is read twice."""
    nodes = (
        Node("x", "block", ("x",)),
        Node("eig", "aten._linalg_eigh.default", (Ref(0),)),
        Node("values", "python.getitem", (Ref(1), 0)),
        Node("square", "aten.mul.Tensor", (Ref(2), Ref(2))),
        Node("cube", "aten.mul.Tensor", (Ref(2), Ref(3))),
        Node("sum", "aten.sum.dim_IntList", (Ref(4), None, False)),
    )
    p = Program(nodes, 5)
    g = torch.Generator().manual_seed(0)
    x, d = (m + m.T for m in torch.randn(2, 3, 3, generator=g, dtype=torch.float64))
    terms = second_order(p, {}, {"x": x}, {"x": d})
    # the sum of cubed eigenvalues of X + tD is tr (X + tD)^3, with second derivative 6 tr X D^2
    assert sum(terms.values()) == pytest.approx(float(6 * torch.trace(x @ d @ d)), rel=1e-10)
    terms, difference = second_difference(p, {}, {"x": x + d}, {"x": x - d})
    assert sum(terms.values()) == pytest.approx(difference, rel=1e-9)


def test_fixed_blocks_do_not_move():
    nodes = (Node("x", "block", ("x",)), Node("y", "block", ("y",)), Node("mul", "aten.mul.Tensor", (Ref(0), Ref(1))))
    theta = {"x": torch.tensor(2.0).double(), "y": torch.tensor(3.0).double()}
    assert second_order(Program(nodes, 2), {}, theta, {"x": torch.tensor(1.0).double()}) == {}
    tape = forward(Program(nodes, 2), {}, theta, {"x": torch.tensor(1.0).double()})
    assert tape.tangents[1] is None and float(tape.tangents[2]) == 3.0


def test_no_second_derivative_names_the_operation():
    nodes = (Node("x", "block", ("x",)), Node("root", "aten.pow.Tensor_Scalar", (Ref(0), 0.5)))
    with pytest.raises(Misuse, match="root"):
        second_order(Program(nodes, 1), {}, {"x": torch.zeros(()).double()}, {"x": torch.ones(()).double()})


def test_leading_shares_of_maxima():
    start = torch.tensor([[0.0, 1.0, -1.0], [0.0, 0.0, 0.0], [5.0, 0.0, 0.0]], dtype=torch.float64)
    move = torch.tensor([[4.0, 0.0, 9.0], [0.0, 1.0, -1.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
    shares = leads(start, move)
    # max(4t, 1, 9t - 1): the second leads until 2/9, then the third, which the first never catches
    assert shares[0].tolist() == pytest.approx([0.0, 2 / 9, 7 / 9])
    assert shares[1].tolist() == [0.0, 1.0, 0.0] and shares[2].tolist() == [1.0, 0.0, 0.0]
    rise = (start + move).max(1).values - start.max(1).values
    assert (shares * move).sum(1).tolist() == pytest.approx(rise.tolist())
