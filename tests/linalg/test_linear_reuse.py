"""Graphs of wide maps: shared factors are not repeated, sums are taken up by products, and values stay what they were."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from jensen.linalg import linear_fold
from jensen.linalg.linear_fold import Product, fold
from jensen.linalg.linear_graph import clean
from jensen.linalg.linear_reuse import reuse

aten = torch.ops.aten
WIDTH = 8


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def wide(f, *args):
    """A function of a stack, mapped over columns as maps are: as a graph."""
    graph = make_fx(f, tracing_mode="fake")(*args)
    clean(graph.graph)
    graph.recompile()
    return graph


def products(graph):
    return [
        tuple(n.meta["val"].shape) for n in graph.graph.nodes if n.target in (aten.bmm.default, aten.baddbmm.default)
    ]


@pytest.mark.parametrize(
    ("shared", "moving", "left", "folded"),
    [
        ((3, 2, 9, 9), (3, 2, 9, 2), True, (6, 9, 2 * WIDTH)),  # attention's weights times a value that moves
        ((3, 2, 9, 9), (3, 2, 2, 9), False, (6, 2 * WIDTH, 9)),
        ((3, 2, 9, 2), (3, 2, 2, 9), True, (6 * WIDTH, 9, 9)),  # repeating the small factor moves less
    ],
)
def test_a_shared_factor_is_not_repeated_where_it_is_the_larger_one(shared, moving, left, folded):
    a, c = numbers(*shared), numbers(WIDTH, *moving)

    def f(a, c):
        return torch.vmap(lambda x: a @ x if left else x @ a)(c)

    graph = wide(f, a, c)
    assert [p[0] for p in products(graph)] == [6 * WIDTH]
    fold(graph.graph, WIDTH)
    graph.recompile()
    assert products(graph) == [folded]
    torch.testing.assert_close(graph(a, c), f(a, c), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(reuse(graph)(a, c), f(a, c), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("count", [1, 6])
def test_where_it_is_measured_to_be_faster_any_shared_factor_is_folded(monkeypatch, right, count):
    monkeypatch.setattr(linear_fold, "_pays", lambda product, shared, other: True)
    lead = (3, 2) if count > 1 else ()
    a, c = numbers(*lead, 5, 7), numbers(WIDTH, *lead, *((4, 5) if right else (7, 4)))

    def f(a, c):
        return torch.vmap(lambda x: x @ a if right else a @ x)(c)

    graph = wide(f, a, c)
    fold(graph.graph, WIDTH)
    graph.recompile()
    torch.testing.assert_close(graph(a, c), f(a, c), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(reuse(graph)(a, c), f(a, c), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_both_ways_to_multiply_by_a_shared_factor_agree(right, count):
    product = Product(WIDTH, count, (5, 7), (4, 5) if right else (7, 4), right)
    a, c = numbers(count, 5, 7), numbers(WIDTH * count, *product.other)
    got = product.folded(a, c)
    assert tuple(got.shape) == (WIDTH * count, *product.out)
    torch.testing.assert_close(got, product.repeated(a, c), rtol=1e-14, atol=1e-14)


def test_what_is_measured_lies_in_memory_as_what_was_traced():
    for t in (numbers(3, 4).t(), numbers(4).expand(2, 4), numbers(2, 6, 5)[:, ::2]):
        ones = linear_fold._ones(t)
        assert ones.shape == t.shape and ones.stride() == t.stride() and bool((ones == 1).all())


def test_products_that_are_no_columns_of_this_width_are_left_alone():
    a, c = numbers(3, 2, 9, 9), numbers(WIDTH, 3, 2, 9, 2)
    graph = wide(lambda a, c: torch.vmap(lambda x: a @ x)(c), a, c)
    before = products(graph)
    fold(graph.graph, WIDTH // 2)
    assert products(graph) == before


def test_sums_are_taken_up_by_products_and_nothing_given_is_written_to():
    x, w, v, d = numbers(5, 4), numbers(4, 3), numbers(WIDTH, 4, 3), numbers(WIDTH, 5, 4)

    def f(x, w, v, d):
        return torch.vmap(lambda v, d: (d @ w + x @ v) * 2.0)(v, d)

    graph = wide(f, x, w, v, d)
    fast = reuse(graph)
    assert aten.baddbmm_.default in {n.target for n in fast.graph.nodes}
    given = [t.clone() for t in (x, w, v, d)]
    for _ in range(2):
        torch.testing.assert_close(fast(*given), f(x, w, v, d), rtol=1e-14, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(given, (x, w, v, d), strict=True))


def test_a_sum_whose_parts_are_read_again_is_not_written_over():
    a, b, c = numbers(WIDTH, 4, 5), numbers(WIDTH, 5, 3), numbers(WIDTH, 5, 3)

    def f(a, b, c):
        one, two = torch.bmm(a, b), torch.bmm(a, c)
        total = one.reshape(2, WIDTH // 2, 4, 3) + two.reshape(2, WIDTH // 2, 4, 3)
        return total, one, two.reshape(WIDTH, 4, 3) * 3

    fast = reuse(wide(f, a, b, c))
    for got, want in zip(fast(a, b, c), f(a, b, c), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-14, atol=1e-14)


def test_a_sum_behind_another_shape_is_taken_up_before_it():
    a, b, c, e = numbers(WIDTH, 4, 5), numbers(WIDTH, 5, 3), numbers(WIDTH, 5, 3), numbers(WIDTH, 4, 5)

    def f(a, b, c, e):
        return torch.bmm(a, b).reshape(2, WIDTH // 2, 4, 3) + torch.bmm(e, c).reshape(2, WIDTH // 2, 4, 3)

    fast = reuse(wide(f, a, b, c, e))
    kinds = [n.target for n in fast.graph.nodes]
    assert aten.add.Tensor not in kinds and aten.add_.Tensor not in kinds
    torch.testing.assert_close(fast(a, b, c, e), f(a, b, c, e), rtol=1e-14, atol=1e-14)


def test_multiplying_by_one_is_left_out():
    graph = wide(lambda x: torch.mul(x.reshape(4, 3), 1.0) + torch.mul(x, 2.0), numbers(4, 3))
    assert [n.target for n in graph.graph.nodes if n.op == "call_function"].count(aten.mul.Tensor) <= 1
    assert aten.reshape.default not in {n.target for n in graph.graph.nodes}
