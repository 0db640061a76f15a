"""Graphs by the short way: those of make_fx, operation by operation, and refused where they could be others."""

import pytest
import torch
import torch.nn.functional as F
from torch import fx
from torch.fx.node import map_arg

from jensen.linalg import linear_graph
from jensen.linalg.linear_graph import trace
from jensen.linalg.linear_record import NotPlain, Writes, record
from jensen.linalg.linear_slopes import SLOPES, derivative


def cell(x, h, w):
    i, f, g, o = (torch.cat([x, h], 1) @ w).chunk(4, 1)
    c = i.sigmoid() * g.tanh() + f.sigmoid()
    return [(o.sigmoid() * c.tanh()).square().mean(), c]


def image(x, k, b):
    y = F.conv2d(F.pad(x, [1, 1, 1, 1]), k, b, stride=2)
    return [F.max_pool2d(F.group_norm(y, 2), 2).logsumexp((1, 2, 3)).sum()]


def reads(x, i):
    mask = torch.arange(len(x)) < 3
    return [torch.where(mask[:, None], x[i], x.flip(0)).transpose(0, 1).reshape(-1).cumsum(0), x.new_ones(2, 3)]


def mapped(x, h, w):
    return [torch.vmap(lambda a, b: cell(a, b, w)[0])(x.expand(5, *x.shape), h.expand(5, *h.shape))]


def differentiated(x, h, w):
    return torch.func.grad_and_value(lambda *t: cell(*t)[0], argnums=(0, 1, 2))(x, h, w)[0]


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


CELL = (drawn(3, 4), drawn(3, 5), drawn(9, 20))
FUNCTIONS = [
    (cell, CELL),
    (image, (drawn(2, 3, 9, 9), drawn(4, 3, 3, 3), drawn(4))),
    (reads, (drawn(6, 4), torch.tensor([0, 5, 5, 1, 2, 3]))),
    (mapped, CELL),
    (differentiated, CELL),
]


def written(graph):
    """What a graph computes, with what torch would say of each result."""
    at = {n: i for i, n in enumerate(graph.nodes)}
    lines = []
    for n in graph.nodes:
        value = n.meta.get("val")
        kind = (tuple(value.shape), value.stride(), value.dtype, value.device) if torch.is_tensor(value) else None
        lines.append((n.op, n.op == "call_function" and n.target, map_arg((n.args, n.kwargs), lambda a: at[a]), kind))
    return lines


@pytest.mark.parametrize(("f", "args"), FUNCTIONS, ids=[f.__name__ for f, _ in FUNCTIONS])
def test_the_graph_is_that_of_make_fx(f, args, monkeypatch):
    table = linear_graph.decompositions()
    root, graph = record(f, args, table)
    linear_graph.clean(graph)
    short = fx.GraphModule(root, graph)
    monkeypatch.setattr(linear_graph, "record", None)
    long = trace(f, args, "fake")
    assert [line[1:] for line in written(short.graph)] == [line[1:] for line in written(long.graph)]
    for a, b in zip(short(*args), f(*args), strict=True):
        assert torch.allclose(a, b, rtol=1e-13, atol=1e-13)


def test_the_short_way_is_taken(monkeypatch):
    monkeypatch.setattr(linear_graph, "make_fx", None)
    f, args = FUNCTIONS[1]
    assert torch.allclose(trace(f, args, "fake")(*args)[0], f(*args)[0])


def test_tensors_from_outside_are_kept_with_their_values():
    def f(x):
        return [x * torch.tensor([2.0, 3.0])]

    graph = fx.GraphModule(*record(f, [torch.ones(2)], {}))
    assert graph(torch.tensor([1.0, 10.0]))[0].tolist() == [2.0, 30.0]


def test_writes_become_new_tensors():
    def f(x):
        buffer = torch.zeros_like(x)
        buffer[1:].copy_(x[:-1].sin())
        return [buffer * x]

    x = torch.rand(4)
    with pytest.raises(Writes):
        record(f, [x], {})

    def g(x):
        return [torch.zeros_like(x).add_(x.sin()).mul_(x)]

    graph = trace(g, [x], "fake")
    assert torch.allclose(graph(x)[0], g(x)[0])
    assert not any(n.target._schema.is_mutable for n in graph.graph.nodes if n.op == "call_function")


OUTSIDE = torch.ones(3)


@pytest.mark.parametrize(
    "f",
    [lambda x: [x * float(x[0])], lambda x: [x * OUTSIDE], lambda x: [x[x > 0]], lambda x: [x if x.sum() > 0 else -x]],
    ids=["item", "outside", "mask", "branch"],
)
def test_what_depends_on_values_is_left_to_make_fx(f):
    with pytest.raises(Exception) as caught:  # torch's own among them
        record(f, [torch.ones(3)], {})
    assert not isinstance(caught.value, AttributeError)


def test_several_devices_are_left_to_make_fx():
    with pytest.raises(NotPlain, match="devices"):
        record(lambda x, y: [x + 1], [torch.ones(3), torch.ones(3, device="meta")], {})


@pytest.mark.parametrize("op", SLOPES, ids=str)
def test_slopes_are_torch_s(op):
    far = [1e-300, 1e-8, 0.3, 1.0, 2.5, 40.0, 1e3, 1e200]
    signed = [-t for t in far] + [0.0, float("nan"), float("inf")]
    x = torch.tensor(far + signed, dtype=torch.float64)
    want = torch.func.jvp(op, (x,), (torch.ones_like(x),))[1]
    assert torch.allclose(derivative(op, (x,), 0, op(x)), want, rtol=1e-14, atol=0.0, equal_nan=True)
