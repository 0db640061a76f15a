"""Kept linearisations: exact over every kind of layer, and safe where torch's own linearisation is silently wrong."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import jensen
from atoms.layer_cases import LAYERS
from atoms.tensor_cases import CASES
from curvature_models import double_backward
from jensen import Cost, Misuse
from jensen.linalg import linear_convolution, linear_form, linear_generic, linear_kernels, linear_memory
from jensen.linalg.linear_graph import trace
from jensen.linalg.linearise import linearise

CHOSEN = [
    "Linear",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "MaxPool",
    "AvgPool",
    "AdaptiveMaxPool",
    "CircularPad2d",
    "ReflectionPad1d",
    "Fold",
    "PixelShuffle",
    "UpsamplingBilinear2d",
    "BatchNorm1d",
    "BatchNorm2d_eval",
    "BatchNorm2d_plain",
    "LayerNorm",
    "GroupNorm",
    "InstanceNorm2d_tracked",
    "RMSNorm",
    "LocalResponseNorm",
    "Softmax2d",
    "CosineSimilarity",
    "MultiheadAttention_padded",
    "MultiheadAttention_causal",
    "TransformerEncoderLayer_eval",
    "RNN_relu",
    "LSTM_projected",
    "GRU",
    "LSTMCell",
    "EmbeddingBag_sum",
]
BUILD = {name: (build, shape) for name, build, shape in LAYERS}
OPERATIONS = [c for c in CASES if c[3] != "unknown" and not c[0].endswith("_norm")][::6]  # norms come in parts


def near(a, b, tolerance=1e-10):
    return float((a - b).norm()) <= tolerance * float(b.norm())


@pytest.mark.parametrize("name", CHOSEN)
def test_layer(name):
    torch.manual_seed(0)
    build, shape = BUILD[name]
    cost = Cost(build(), lambda out, y: (out * 1.3 + 0.2).sin().mean(), (torch.randn(shape), torch.zeros(shape[0])))
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    got = h @ v
    assert h.report.mode == "kept" and not h.report.notes
    try:
        want = double_backward(cost, v)
    except NotImplementedError:  # _embedding_bag_backward: the check has taken finite differences
        assert h.report.checks[0]["reference"].startswith("finite") and h.report.checks[0]["error"] < 1e-9
        return
    assert near(got, want)


def test_more_than_25_architectures_are_covered():
    assert len(set(CHOSEN)) >= 25


def parts(f, *tensors):
    """The linearised gradient of f, what it keeps at these tensors, and its value and gradient there."""

    def gradient(*t):
        grads, value = torch.func.grad_and_value(lambda ts: f(*ts))(t)
        return [value, *grads]

    made = linearise(gradient, tensors, len(tensors), mode="real")  # the constants are real tensors
    out = made.primal(*tensors)
    return made, out[1 + len(tensors) :], out[: 1 + len(tensors)]


def twice(f, tensors, vectors):
    """Products by double backward, by torch alone."""
    leaves = [t.clone().requires_grad_() for t in tensors]
    grads = torch.autograd.grad(f(*leaves), leaves, create_graph=True, allow_unused=True, materialize_grads=True)
    dot = sum((g * v).sum() for g, v in zip(grads, vectors, strict=True))
    return torch.autograd.grad(dot, leaves, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("case", OPERATIONS, ids=[c[0] for c in OPERATIONS])
def test_operation(case):
    _, fn, shapes, _ = case
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes.values()]

    def f(*t):
        with sdpa_kernel(SDPBackend.MATH):  # as captured programs have it
            return (fn(**dict(zip(shapes, t, strict=True))) * 1.1).sin().sum()

    made, kept, _ = parts(f, *tensors)
    vectors = [torch.randn(3, *t.shape, generator=generator, dtype=torch.float64) for t in tensors]
    wide = made.tangent(3)(*kept, *vectors)
    for i in range(3):
        one = made.tangent(0)(*kept, *(v[i] for v in vectors))
        want = twice(f, tensors, [v[i] for v in vectors])
        size = sum(float(w.norm()) for w in want)
        for a, b, w in zip(one, wide, want, strict=True):
            assert max(float((a - w).norm()), float((b[i] - w).norm())) <= 1e-10 * size


def test_writes_in_place_are_refused_where_they_cannot_be_removed():
    def f(w):
        buffer = torch.zeros_like(w)
        buffer[1:].copy_(w[:-1].sin())
        buffer[0] = w[-1] ** 3
        return (buffer * w).sum()

    with pytest.raises(Misuse, match="memory is laid out"):
        parts(f, torch.randn(5, dtype=torch.float64))

    def g(w):
        buffer = torch.zeros_like(w)
        buffer.add_(w.sin()).mul_(w)
        return buffer.square().sum()

    w, v = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    made, kept, _ = parts(g, w)
    assert near(made.tangent(0)(*kept, v)[0], twice(g, [w], [v])[0], 1e-12)


def test_operations_without_a_forward_formula():
    def f(x, y):
        return (x @ y).sin(), y.exp()

    primals = torch.randn(2, 3), torch.randn(3, 2)
    along = torch.randn(2, 3), torch.randn(3, 2)
    got, want = linear_generic.twice_reversed(f, primals, along), torch.func.jvp(f, primals, along)[1]
    assert all(torch.allclose(a, b) for a, b in zip(got, want, strict=True))


def test_primitives_that_torch_differentiates_to_zero_are_refused():
    def gradient(x):
        return [x.sum(), torch.ops.prims.hypot(x, x)]

    with pytest.raises(Misuse, match="no derivative"):
        linearise(gradient, [torch.rand(3)], 1)
    with pytest.raises(Misuse, match="memory is laid out"):
        trace(lambda x: x.as_strided((2,), (2,)).sin(), [torch.rand(4)], "fake")


def test_products_write_over_nothing_that_is_not_theirs():
    def f(a, b):
        return F.softmax((a @ b).tanh() @ b.T, 1).log().square().sum()

    a, b = torch.rand(4, 3, dtype=torch.float64), torch.rand(3, 3, dtype=torch.float64)
    made, kept, _ = parts(f, a, b)
    vectors = [torch.rand_like(a), torch.rand_like(b)]
    before = [t.clone() for t in (*kept, *vectors)]
    first = [t.clone() for t in made.tangent(0)(*kept, *vectors)]
    assert any("_." in str(n.target) for n in made.tangent(0).graph.nodes)  # something is written over
    assert all(torch.equal(s, t) for s, t in zip(before, (*kept, *vectors), strict=True))
    assert all(torch.equal(s, t) for s, t in zip(first, made.tangent(0)(*kept, *vectors), strict=True))


def test_forms_merge_equal_bases_and_multiply_no_ones():
    base, scale = torch.rand(3), torch.rand(3)
    twice_ = linear_form.total([linear_form.of(base), linear_form.of(base).scaled(scale, (3,))], (3,))
    assert len(twice_.terms) == 1 and torch.allclose(twice_.value(), base * (1 + scale))
    assert linear_form.times(linear_form.ONE, scale) is scale
    wide = linear_form.Form((2, 3), [(linear_form.ONE, base)])
    assert wide.value().shape == (2, 3)
    many = linear_form.total([linear_form.of(torch.rand(3)) for _ in range(6)], (3,))
    assert len(many.terms) == 1


GEOMETRIES = [  # input, kernel, stride, padding, dilation
    ((6, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((6, 5), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((7, 12), (2, 4), (3, 2), (1, 2), (1, 1)),
    ((9, 8), (1, 1), (2, 3), (0, 0), (1, 1)),
    ((9, 8), (5, 3), (4, 1), (2, 1), (1, 1)),
    ((9, 8), (3, 2), (2, 1), (2, 0), (2, 1)),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_ways_to_the_gradients_of_a_convolution_agree(size, kernel, stride, padding, dilation):
    x, pairs = torch.randn(2, 3, *size, dtype=torch.float64), []
    for _ in range(2):
        w = torch.randn(4, 3, *kernel, dtype=torch.float64)
        pairs.append((torch.randn_like(F.conv2d(x, w, None, stride, padding, dilation)), w))
    how = [list(stride), list(padding), list(dilation), False, [0, 0], 1]
    want = sum(torch.nn.grad.conv2d_input(x.shape, w, g, stride, padding, dilation) for g, w in pairs)
    ways = linear_convolution.possible(x, w, how)
    assert "columns" in ways and ("phases" in ways) == (max(stride) > 1 and max(dilation) == 1)
    for name in ("direct", *ways):
        assert near(linear_convolution.WAYS[name](pairs, x, how), want, 1e-13), name
    g, y = pairs[0][0], torch.randn_like(x)
    want = sum(torch.nn.grad.conv2d_weight(a, w.shape, g, stride, padding, dilation) for a in (x, y))
    for last in (False, True):
        assert near(linear_convolution._kernels([(g, x), (g, y)], w, how, last), want, 1e-13)


@pytest.mark.parametrize("way", ["columns", "phases"])
def test_a_product_by_every_way_of_a_convolution(monkeypatch, way):
    monkeypatch.setattr(linear_convolution, "_CHOSEN", {})
    monkeypatch.setitem(linear_convolution.MEASURED, "input", lambda *_: way)
    monkeypatch.setitem(linear_convolution.MEASURED, "weight", lambda *_: "channels last")
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 2))
    cost = Cost(model, nn.MSELoss(), (torch.randn(3, 2, 6, 5), torch.randn(3, 2)))
    v = torch.randn(sum(p.numel() for p in model.parameters()), 3, dtype=torch.float64)
    for width in (1, 3):
        h = jensen.hessian(cost, width=width, mode="kept")
        assert near((h @ v)[:, 2], double_backward(cost, v[:, 2]))
    assert way in linear_convolution._CHOSEN.values()


onednn = pytest.mark.skipif(not linear_kernels.available(), reason="this torch has no oneDNN")


@onednn
def test_products_of_the_two_libraries_agree():
    a, b, bias = torch.randn(40, 30), torch.randn(60, 50), torch.randn(20)
    for x in (b[:30, :20], b[5:35, 7:27], b[:20, :30].t(), b[::2, :20], torch.randn(1, 20).expand(30, 20)):
        assert near(linear_kernels.onednn(a, x, bias), a @ x + bias, 1e-5)
        assert near(linear_kernels.onednn(x.t(), a.t()), x.t() @ a.t(), 1e-5)
    for row in (bias, torch.randn(1), torch.randn(40, 1), torch.tensor(2.0)):
        assert near(
            linear_kernels.ONEDNN[torch.ops.aten.addmm.default](row, a, b[:30, :20]), row + a @ b[:30, :20], 1e-5
        )


def test_turned_products_agree():
    a, b = torch.randn(40, 30), torch.randn(60, 50)
    for x in (b[:30, :7], b[:7, :30].t(), torch.randn(1, 7).expand(30, 7)):
        assert near(linear_kernels.turned(a, x), a @ x, 1e-5)
        for bias in (torch.randn(7), torch.randn(1), torch.randn(40, 1), torch.randn(40, 7), torch.tensor(2.0)):
            assert near(linear_kernels.TURNED[torch.ops.aten.addmm.default](bias, a, x), bias + a @ x, 1e-5)


@onednn
def test_a_library_that_is_switched_off_is_not_asked(monkeypatch):
    monkeypatch.setattr(type(torch.backends.mkldnn), "enabled", False)
    assert not linear_kernels.available()


@pytest.mark.parametrize("way", ["PLAIN", "TURNED", pytest.param("ONEDNN", marks=onednn)])
def test_the_chosen_way_multiplies(monkeypatch, way):
    chosen = getattr(linear_kernels, way)
    monkeypatch.setattr(linear_kernels, "_CHOSEN", {})
    monkeypatch.setattr(linear_kernels, "SMALL", 0)
    monkeypatch.setattr(linear_kernels, "_fastest", lambda *_: chosen)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3))
    cost = Cost(model, nn.CrossEntropyLoss(), (torch.randn(9, 5), torch.arange(9) % 3))
    h = jensen.hessian(cost, dtype=torch.float32, mode="kept", width=1)
    v = torch.randn(h.n, dtype=torch.float64)
    assert near((h @ v).double(), double_backward(cost, v), 1e-5)
    targets = {n.target for n in h._products.kept[0][0].tangent(0).graph.nodes}
    own = {f for table in linear_kernels.WAYS.values() for f in table.values()}
    assert targets & own == targets & set(chosen.values()) and bool(targets & own) == bool(chosen)
    assert bool(targets & set(linear_kernels.ONEDNN)) != (way == "ONEDNN")
    exact = jensen.hessian(cost, width=1)  # oneDNN has no float64
    assert near(exact @ v, double_backward(cost, v), 1e-12)
    assert not {n.target for n in exact._products.kept[0][0].tangent(0).graph.nodes} & own


def test_measuring_takes_no_random_numbers(monkeypatch):
    monkeypatch.setattr(linear_convolution, "_CHOSEN", {})
    monkeypatch.setattr(linear_kernels, "_CHOSEN", {})
    monkeypatch.setattr(linear_kernels, "SMALL", 0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Conv2d(2, 2, 2), nn.Flatten(), nn.Linear(8, 2))
    cost = Cost(model, nn.MSELoss(), (torch.randn(4, 1, 4, 4), torch.randn(4, 2)))
    h, before = jensen.hessian(cost, dtype=torch.float32), torch.get_rng_state()
    _ = h @ torch.ones(h.n)
    _ = jensen.hessian(cost).dense()
    assert torch.equal(before, torch.get_rng_state())


def test_peak_memory_of_a_chain():
    module = trace(lambda x: ((x * 2).sin() + 1).sum(), [torch.rand(1000)], "fake")
    assert 8000 <= linear_memory.peak(module) <= 8100
    x = torch.rand(10)
    y = torch.rand(5)
    assert linear_memory.size([x, x[2:], y]) == 60 and linear_memory.size([x, y], apart=[y]) == 40
    assert linear_memory.available(torch.device("cpu")) > 0


def test_layers_at_a_mode_of_their_own():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    x, y = torch.randn(6, 3), torch.randn(6, 2)
    for mode in (True, False):
        cost = Cost(model.train(mode), nn.MSELoss(), (x, y))
        h = jensen.hessian(cost)
        v = torch.randn(h.n, dtype=torch.float64)
        assert near(h @ v, double_backward(cost, v))


def test_a_product_is_not_turned_where_its_reader_asks_for_order(monkeypatch):
    aten = torch.ops.aten
    graph = torch.fx.Graph()
    a, b = graph.placeholder("a"), graph.placeholder("b")
    read, viewed, given = (graph.call_function(aten.mm.default, (a, b)) for _ in range(3))
    total = graph.call_function(aten.sum.dim_IntList, (graph.call_function(aten.mul_.Tensor, (read, read)), [0]))
    shape = graph.call_function(aten.view.default, (graph.call_function(aten.add.Tensor, (viewed, viewed)), [-1]))
    graph.output((total, shape, given))
    for node, v in ((a, torch.empty(400, 30)), (b, torch.empty(30, 40))):
        node.meta["val"] = v
    monkeypatch.setattr(linear_kernels, "_CHOSEN", {})
    monkeypatch.setattr(linear_kernels, "_fastest", lambda *_: linear_kernels.TURNED)
    linear_kernels.choose(graph)
    assert [n.target for n in (read, viewed, given)] == [linear_kernels.turned, aten.mm.default, aten.mm.default]
