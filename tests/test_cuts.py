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


class Named(nn.CrossEntropyLoss):
    """torch's loss under another name."""

    def forward(self, out, y):
        return super().forward(out, y)


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
        Named(weight=CLASSES),
        Named(ignore_index=2, label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=CLASSES, ignore_index=2, label_smoothing=0.0),
        lambda out, y: F.cross_entropy(out, y),
        lambda out, y: F.multi_margin_loss(out, y),
    ],
    ids=["subclass", "named anew", "named anew, ignoring", "torch's own", "function", "margin"],
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


def told_of(net, loss, chunks, **how):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cost = Cost(net, loss, chunks, **how)
    return cost, [str(w.message) for w in seen if w.category is ChunkWarning]


def test_the_last_chunk_is_tried_too():
    """Masks that hide as much of the first two chunks, and less of the last."""
    x, labels = data(20)
    mask = torch.tensor([1.0, 1, 1, 0] * 4 + [1.0] * 4)

    def masked(out, y):
        return (F.cross_entropy(out, y[0], reduction="none") * y[1]).sum() / y[1].sum()

    chunks = [(x[i : i + 8], (labels[i : i + 8], mask[i : i + 8])) for i in (0, 8, 16)]
    _, told = told_of(nn.Linear(4, 3), masked, chunks)
    assert len(told) == 1 and "not that of all data as one batch" in told[0]
    assert not told_of(nn.Linear(4, 3), masked, chunks, weight=lambda x, y: y[1].sum())[1]


def tokens(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten())


def test_a_function_of_targets_of_unlike_length_is_told():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9))
    first, second = torch.arange(20).view(4, 5) % 9, torch.arange(24).view(3, 8) % 9
    chunks = [(first, first), (second, second)]
    _, told = told_of(net, tokens, chunks)
    assert len(told) == 1 and "differ beside their rows" in told[0] and "weight=" in told[0]
    whole = torch.cat([first.flatten(), second.flatten()])[None]
    cost, told = told_of(net, tokens, chunks, weight=lambda x, y: y.numel())
    assert not told and float(cost()) == pytest.approx(float(Cost(net, tokens, (whole, whole))()), rel=1e-12)
    labels = [(first, torch.arange(4)), (second, torch.arange(3))]  # sequences of unlike length, one label each
    assert not told_of(net, lambda out, y: F.cross_entropy(out.mean(1), y), labels)[1]


def test_probabilities_of_classes_count_by_what_they_belong_to():
    torch.manual_seed(0)
    net, loss = nn.Conv1d(2, 3, 1), nn.CrossEntropyLoss(weight=CLASSES)
    pieces = [(torch.randn(2, 2, n), torch.rand(2, 3, n)) for n in (4, 7)]
    cost, told = told_of(net, loss, pieces)
    assert not told
    whole = tuple(torch.cat(t, 2) for t in zip(*pieces, strict=True))
    assert float(cost()) == pytest.approx(float(Cost(net, loss, whole)()), rel=1e-12)


def test_ctc_counts_sequences():
    torch.manual_seed(0)
    x, lengths, inputs = torch.randn(4, 6, 3), torch.tensor([1, 3, 2, 3]), torch.full((4,), 6)
    targets = torch.randint(1, 5, (9,)).split(lengths.tolist())

    class Net(nn.Linear):
        def forward(self, x):
            return super().forward(x).log_softmax(-1).transpose(0, 1)

    def chunk(a, b):
        return x[a:b], (torch.cat(targets[a:b]), inputs[a:b], lengths[a:b])

    net = Net(3, 5)
    cost, told = told_of(net, nn.CTCLoss(), [chunk(0, 1), chunk(1, 4)])
    assert not told and float(cost()) == pytest.approx(float(Cost(net, nn.CTCLoss(), chunk(0, 4))()), rel=1e-12)


def test_ignored_labels_of_a_function_are_told_wherever_they_are():
    torch.manual_seed(0)
    x, y = data(220)
    y[150:170] = -100
    chunks = [(x[i : i + 70], y[i : i + 70]) for i in range(0, 220, 70)]
    net = nn.Linear(4, 3)
    assert told_of(net, lambda out, t: F.cross_entropy(out, t), chunks)[1]
    assert not told_of(net, nn.CrossEntropyLoss(), chunks)[1]
    rows = (lambda out, t: F.cross_entropy(out, t, reduction="none").mean(), [(x, y.clamp(min=0)) for x, y in chunks])
    assert not told_of(net, *rows)[1]


def test_a_chunk_with_more_ignored_labels_than_the_others_is_told():
    """Every row has some: rows do not tell the chunks apart."""
    torch.manual_seed(0)
    x, y = torch.randn(16, 5, 4), torch.randint(0, 3, (16, 5))
    y[:, 4:] = -100
    y[8:12, 1:] = -100
    chunks = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 16, 4)]
    net = nn.Linear(4, 3)
    for order in ((0, 1, 2, 3), (0, 2, 1, 3), (2, 0, 1, 3)):
        assert told_of(net, lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), [chunks[i] for i in order])[1]
    alike = [c for i, c in enumerate(chunks) if i != 2]
    assert not told_of(net, lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), alike)[1]
