"""Moves that hold for one data set or one batch: derived by hand, tried, and measured against the Jacobian on that data."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import jensen

CE = nn.CrossEntropyLoss()
ROWS = 40


def _data(inputs: int = 8) -> Tensor:
    """Generic columns but: 2 is 0, 3 constant, 5 equals 1, and 6 = 2 x0 - x4 + 0.7."""
    x = torch.randn(ROWS, inputs, generator=torch.Generator().manual_seed(3)).double()
    x[:, 2], x[:, 3], x[:, 5], x[:, 6] = 0.0, 0.3, x[:, 1], 2 * x[:, 0] - x[:, 4] + 0.7
    return x


def _cost(model: nn.Module, x: Tensor, outputs: int = 9, **options) -> jensen.Cost:
    torch.manual_seed(1)
    return jensen.Cost(model.double(), CE, (x, torch.randint(outputs, (len(x),))), **options)


def _listed(cost: jensen.Cost) -> list[tuple[str, int, int]]:
    return [(m.kind, m.size, m.dimension) for m in jensen.symmetries(cost, completeness=False).data_dependent]


def _free(cost: jensen.Cost) -> int:
    """Parameters less the rank of the log-probabilities on the cost's own data, at a random point: another way to count."""
    x = cost.parts()[0][0].tensors[0]
    generator = torch.Generator().manual_seed(5)
    point = {
        n: (t + torch.randn(t.shape, generator=generator).double()).requires_grad_() for n, t in cost.theta.items()
    }
    out = torch.func.functional_call(cost._private, point, (x,)).log_softmax(-1).reshape(-1)
    rows = torch.autograd.grad(
        out, list(point.values()), torch.eye(len(out)).double(), is_grads_batched=True, materialize_grads=True
    )
    j = torch.cat([r.reshape(len(out), -1) for r in rows], 1)
    return j.shape[1] - int(torch.linalg.matrix_rank(j, rtol=1e-10))


def _tried(cost: jensen.Cost) -> None:
    """Every move keeps the cost at several points and moves something; batch scales move what they say."""
    group = jensen.symmetries(cost, completeness=False)
    for k, m in enumerate(group.data_dependent):
        generator = torch.Generator().manual_seed(k)
        theta = {n: t + 0.5 * torch.randn(t.shape, generator=generator).double() for n, t in cost.theta.items()}
        there = m.act(theta, m.sample(generator))
        assert float(cost(there)) == pytest.approx(float(cost(theta)), rel=1e-9)
        changed = {n for n in theta if not torch.allclose(there[n], theta[n], atol=1e-6)}
        assert changed == set(m.blocks)


def test_inputs_that_are_0_constant_equal_or_dependent():
    """Each of the four columns frees one number for each of the 4 outputs; the constant and the last one with the bias."""
    cost = _cost(nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 9)), _data())
    assert _listed(cost) == [
        ("zero inputs", 1, 4), ("constant inputs", 1, 4), ("equal inputs", 1, 4), ("dependent inputs", 1, 4),
    ]  # fmt: skip
    _tried(cost)
    group = jensen.symmetries(cost, completeness=False)
    assert _free(cost) == group.dimension + 16  # log-softmax shifts, and the 16


def test_without_a_bias_the_constant_is_used_by_the_others():
    """Then 0.3 stands for the ones: x6 = 2 x0 - x4 + 0.7/0.3 x3, and no column moves against a bias."""
    cost = _cost(nn.Sequential(nn.Linear(8, 4, bias=False), nn.Tanh(), nn.Linear(4, 9)), _data())
    assert _listed(cost) == [("zero inputs", 1, 4), ("equal inputs", 1, 4), ("dependent inputs", 1, 4)]
    _tried(cost)


def test_the_groups_own_translations_do_not_count_again():
    """Softmax regression: a column of the weight may be shifted as a whole for all data, so that 8 of 9 outputs are left."""
    cost = _cost(nn.Linear(8, 9), _data())
    group = jensen.symmetries(cost, completeness=False)
    assert [m.dimension for m in group.data_dependent] == [8, 8, 8, 8]
    assert group.dimension == 9
    assert _free(cost) == 9 + 32
    _tried(cost)


def test_fewer_rows_than_inputs():
    """6 rows of 20 inputs and the ones leave 15 directions."""
    cost = _cost(nn.Sequential(nn.Linear(20, 3), nn.Tanh(), nn.Linear(3, 9)), _data(20)[:6])
    assert sum(d for _, _, d in _listed(cost)) == 15 * 3
    _tried(cost)


def test_a_penalty_reads_the_weights():
    def ridge(p):
        return sum(t.square().sum() for t in p.values())

    cost = _cost(nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 9)), _data(), penalty=ridge)
    assert not _listed(cost)
    assert len(jensen.symmetries(cost, penalty=False, completeness=False).data_dependent) == 4


def test_all_chunks_count():
    """A column that is 0 in the first chunk alone is read; what holds in all chunks is listed."""
    a, b = _data()[:15], _data()[15:]
    a[:, 7] = 0.0
    y = torch.randint(9, (ROWS,), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 9)).double()
    cost = jensen.Cost(model, CE, [(a, y[:15]), (b, y[15:])])
    assert [s for _, s, _ in _listed(cost)] == [1, 1, 1, 1]
    _tried(cost)


def test_patches_of_a_convolution():
    """A constant channel: without padding its 3 x 3 weights move against the bias; with padding its middle alone is constant."""
    x = torch.randn(9, 2, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    x[:, 1] = 0.5
    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 9))
    assert _listed(_cost(plain, x)) == [("constant inputs", 9, 27)]
    padded = _cost(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(108, 9)), x)
    assert _listed(padded) == [("constant inputs", 1, 3)]
    _tried(padded)


def test_rows_of_a_table_that_no_token_asks_for():
    tokens = torch.randint(0, 5, (ROWS, 3), generator=torch.Generator().manual_seed(0))
    cost = _cost(nn.Sequential(nn.Embedding(11, 4), nn.Flatten(), nn.Linear(12, 9)), tokens)
    assert _listed(cost) == [("unused rows", 6, 24)]
    _tried(cost)


def test_a_layer_that_a_restriction_feeds():
    """With the first layer fixed, two equal hidden units are equal inputs of the second."""
    cost = _cost(nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 9)), torch.randn(ROWS, 8).double())
    with torch.no_grad():
        cost._model[0].weight[3], cost._model[0].bias[3] = cost._model[0].weight[1], cost._model[0].bias[1]
    assert _listed(cost.restrict("2.*")) == [("equal inputs", 1, 8)]


def test_a_function_reads_its_constants():
    x, t = _data(), torch.randn(ROWS, generator=torch.Generator().manual_seed(0)).double()
    cost = jensen.Cost.of(lambda w, b: ((x @ w + b - t) ** 2).mean(), w=torch.randn(8), b=0.1)
    assert [s for _, s, _ in _listed(cost)] == [1, 1, 1, 1]
    _tried(cost)


def test_the_digits_have_pixels_that_are_always_0():
    pixels = torch.tensor(load_digits().data) / 16
    cost = _cost(nn.Sequential(nn.Linear(64, 3), nn.Tanh(), nn.Linear(3, 10)), pixels, outputs=10)
    (move,) = jensen.symmetries(cost, completeness=False).data_dependent
    assert (move.kind, move.size, move.dimension) == ("zero inputs", 3, 9)
    assert set((move.entries[0]).tolist()) == {0, 32, 39}


def _normed(norm: nn.Module, act: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(8, 4), norm, act or nn.Tanh(), nn.Linear(4, 9))


def test_batch_norm_in_training():
    """Every channel in front of the norm has a scale; the gain takes up sqrt((c^2 v + eps) / (v + eps)) / c, with a large eps."""
    cost = _cost(_normed(nn.BatchNorm1d(4, eps=0.1)), torch.randn(ROWS, 8))
    group = jensen.symmetries(cost, completeness=False)
    assert not any(f.kind == "scale" for f in group.factors)
    (move,) = group.data_dependent
    assert (move.kind, move.size, move.dimension) == ("batch scale", 4, 4)
    theta = cost.theta
    c = torch.tensor([3.0, 1.0, 0.5, 1.0], dtype=torch.float64)
    there = move.act(theta, c)
    z = cost.parts()[0][0].tensors[0] @ theta["0.weight"].T + theta["0.bias"]
    v = z.var(0, unbiased=False)
    assert torch.allclose(there["0.weight"], c[:, None] * theta["0.weight"])
    assert torch.allclose(there["1.weight"], theta["1.weight"] * ((c**2 * v + 0.1) / (v + 0.1)).sqrt() / c)
    assert torch.equal(there["3.weight"], theta["3.weight"])
    _tried(cost)
    assert _free(cost) == group.dimension + 4


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.GroupNorm(4, 4)], ids=["group", "layer", "each"]
)
def test_norms_of_rows_have_none(norm):
    """A variance for each row, and one gain for all of them."""
    assert not _listed(_cost(_normed(norm), torch.randn(ROWS, 8)))


class Residual(nn.Module):
    """A stream read by batch norms alone."""

    def __init__(self):
        super().__init__()
        self.stem, self.up, self.down, self.head = nn.Linear(8, 5), nn.Linear(5, 6), nn.Linear(6, 5), nn.Linear(5, 9)
        self.a, self.b, self.c = (nn.BatchNorm1d(n, eps=0.1) for n in (5, 6, 5))

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        h = h + self.down(torch.relu(self.b(self.up(torch.relu(self.a(h))))))
        return self.head(torch.relu(self.c(h)))


def test_a_stream_scales_with_all_that_write_it_and_every_norm_that_reads_it_makes_up():
    cost = _cost(Residual(), torch.randn(ROWS, 8))
    moves = {m.size: m for m in jensen.symmetries(cost, completeness=False).data_dependent}
    assert {n: m.dimension for n, m in moves.items()} == {5: 5, 6: 6}
    assert {"stem.weight", "down.weight", "a.weight", "c.weight"} <= set(moves[5].blocks)
    assert set(moves[6].blocks) == {"up.weight", "up.bias", "b.weight"}
    _tried(cost)


class OwnNorm(nn.Module):
    """Batch norm by hand."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, z: Tensor) -> Tensor:
        return (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-2) * self.gain


def test_on_several_chunks_it_is_not_listed_and_said_why():
    x, y = torch.randn(ROWS, 8), torch.randint(9, (ROWS,))
    one = jensen.Cost(_normed(OwnNorm()), CE, (x, y))
    assert _listed(one) == [("batch scale", 4, 4)]
    two = jensen.Cost(_normed(OwnNorm()), CE, [(x[:15], y[:15]), (x[15:], y[15:])])
    group = jensen.symmetries(two, completeness=False)
    assert not group.data_dependent
    assert "each of the 2 chunks" in group.unlisted[0]


def test_plain_data_and_words():
    cost = _cost(_normed(nn.BatchNorm1d(4)), _data())
    group = jensen.symmetries(cost, completeness=False)
    rows = group.to_dict()["data_dependent"]
    assert [r["kind"] for r in rows] == [m.kind for m in group.data_dependent]
    assert rows[0]["words"] == "1 input of 0.weight that is 0 in all the data"
    order, dimension = group.order, group.dimension
    alone = jensen.symmetries(cost, completeness=False, data=False)
    assert (alone.order, alone.dimension, alone.data_dependent) == (order, dimension, ())
