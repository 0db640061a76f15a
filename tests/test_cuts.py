"""J over chunks beside J of all data as one batch."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import jensen
from jensen import Cost
from jensen.errors import ChunkWarning

CLASSES = torch.tensor([1.0, 5.0, 0.2])


def data(rows=40):
    g = torch.Generator().manual_seed(2)
    x = torch.randn(rows, 4, generator=g)
    return x, torch.randint(3, (rows,), generator=g)


class Focal(nn.CrossEntropyLoss):
    """A mean over rows, whatever the base class does."""

    def forward(self, out, y):
        each = F.cross_entropy(out, y, weight=self.weight, reduction="none")
        return ((1 - torch.exp(-each)) ** 2 * each).mean()


class OverTheBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 3)

    def forward(self, x):
        return F.batch_norm(self.lin(x), None, None, training=True)


def pair(net, loss, x, y, cut=24, axis=0, **how):
    chunks = list(zip(x.split(cut, axis), y.split(cut, axis if y.dim() > 1 else 0), strict=True))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cost = Cost(net, loss, chunks, **how)
    return cost, Cost(net, loss, (x, y)), [w for w in seen if w.category is ChunkWarning]


@pytest.mark.parametrize(
    ("net", "loss"),
    [
        (nn.Linear(4, 3), lambda out, y: F.cross_entropy(out, y, weight=CLASSES.to(out))),
        (nn.Linear(4, 3), lambda out, y: F.cross_entropy(out, y, ignore_index=2)),
        (OverTheBatch(), nn.CrossEntropyLoss()),
        (nn.Linear(4, 3), lambda out, y: F.cross_entropy(out, y).sqrt()),
    ],
    ids=["class weights", "ignored labels", "batch statistics", "no mean"],
)
def test_a_cost_that_cutting_changes_is_told(net, loss):
    cut, whole, told = pair(net, loss, *data())
    assert abs(float(cut()) - float(whole())) > 1e-6 and len(told) == 1
    assert "not that of all data as one batch" in str(told[0].message)


@pytest.mark.parametrize(
    "loss",
    [
        Focal(weight=CLASSES.double()),
        nn.CrossEntropyLoss(weight=CLASSES, ignore_index=2, label_smoothing=0.0),
        lambda out, y: F.cross_entropy(out, y),
        lambda out, y: F.multi_margin_loss(out, y),
    ],
    ids=["subclass", "torch's own", "function", "margin"],
)
def test_means_over_rows_are_one_batch_and_nothing_is_said(loss):
    torch.manual_seed(0)
    cut, whole, told = pair(nn.Linear(4, 3), loss, *data())
    assert not told
    a, b = jensen.hessian(cut), jensen.hessian(whole)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    assert float((a.dense() - b.dense()).norm()) <= 1e-12 * float(b.dense().norm())


def test_sequences_first_count_their_elements():
    torch.manual_seed(0)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(3, 2)

        def forward(self, x):
            return self.rnn(x)[0]

    x, y = torch.randn(5, 9, 3), torch.randn(5, 9, 2)
    cut, whole, told = pair(Last(), nn.MSELoss(), x, y, cut=6, axis=1)
    assert not told and float(cut()) == pytest.approx(float(whole()), rel=1e-12)


def test_a_stated_share_is_believed():
    _, _, told = pair(
        nn.Linear(4, 3), lambda out, y: F.cross_entropy(out, y, ignore_index=2), *data(), weight=lambda x, y: 1.0
    )
    assert not told
