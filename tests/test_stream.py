"""Streamed data: exact values and derivatives, data that changes, and how often and how much of it is in memory."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from jensen import Cost, Misuse, Verdict, blocks, check, chunks
from jensen.ask.search import sample
from jensen.linalg.torch_reading import program_value
from jensen.trace import trace

D = torch.float64


@pytest.fixture(autouse=True)
def _nothing_is_small(monkeypatch):
    monkeypatch.setattr(chunks, "IN_MEMORY", 0)


def tensors(n: int = 37) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 5, generator=g, dtype=D), torch.randint(0, 3, (n,), generator=g)


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


class Walks:
    """Chunks of some data; how often they were walked, and what changes on a later walk."""

    def __init__(self, data: tuple[torch.Tensor, torch.Tensor], size: int = 10):
        self.data, self.size = data, size
        self.walks = self.read = 0
        self.change: tuple[str, int] = ("", 10**9)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.walks += 1
        x, y = (t.split(self.size) for t in self.data)
        kind = self.change[0] if self.walks >= self.change[1] else ""
        for k in range(len(x) - (kind == "fewer")):
            self.read += 1
            yield x[k] + (1e-9 if kind == "other" and k == 1 else 0.0), y[k]
        if kind == "more":
            yield x[0], y[0]


WEIGHTS = torch.tensor([1.0, 7.0, 0.25], dtype=D)
LOSSES = {
    "mean": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "class weights": nn.CrossEntropyLoss(weight=WEIGHTS),
    "ignored": nn.CrossEntropyLoss(ignore_index=1),
    "ignored and weighted": nn.CrossEntropyLoss(ignore_index=1, weight=WEIGHTS),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [36, 10, 1])
def test_the_value_is_that_of_the_whole(name, size):
    x, y = tensors()
    model, loss = net(), copy.deepcopy(LOSSES[name])
    cost = Cost(model, loss, DataLoader(TensorDataset(x, y), batch_size=size))
    assert cost.streamed
    assert cost().item() == pytest.approx(loss(model(x), y).item(), rel=1e-13)


def test_a_chunk_of_ignored_targets_has_no_part():
    x, y = tensors(20)
    y[10:] = 1
    loss = nn.CrossEntropyLoss(ignore_index=1)
    model = net()
    cost = Cost(model, loss, [(x[:10], y[:10]), (x[10:], y[10:])])
    assert cost().item() == pytest.approx(loss(model(x), y).item(), rel=1e-13)
    assert len(cost.parts()) == 1


@pytest.fixture
def pair(monkeypatch):
    """The same cost streamed and in memory, with a penalty."""
    data = Walks(tensors())
    made = []
    for limit in (0, 10**9):
        monkeypatch.setattr(chunks, "IN_MEMORY", limit)
        made.append(Cost(net(), nn.CrossEntropyLoss(), data, penalty=lambda p: p["0.weight"].pow(2).sum()))
    assert [c.streamed for c in made] == [True, False]
    return made, data


def test_derivatives_are_those_of_the_whole(pair):
    (streamed, kept), _ = pair
    values = [streamed, kept, lambda t: program_value(trace(streamed).problem, t)]
    generator = torch.Generator().manual_seed(3)
    v = {n: torch.randn(t.shape, generator=generator, dtype=D) for n, t in kept.theta.items()}
    found = []
    for value in values:
        theta = {n: t.requires_grad_(n != "2.bias") for n, t in kept.theta.items()}
        leaves = [t for t in theta.values() if t.requires_grad]
        first = torch.autograd.grad(value(theta), leaves, create_graph=True)
        dot = sum((g * v[n]).sum() for n, g in zip(theta, first, strict=False))
        second = torch.autograd.grad(dot, leaves)
        found.append(torch.cat([t.reshape(-1) for t in (*first, *second)]))
    for other in found[1:]:
        assert torch.allclose(found[0], other, rtol=1e-12, atol=1e-14)


def test_the_constants_are_those_of_the_whole_and_one_program_serves_equal_shapes(pair):
    (streamed, kept), _ = pair
    a, b = trace(streamed).problem, trace(kept).problem
    assert len(a.terms) == len(b.terms) == 5
    assert len({id(t.program) for t in a.terms}) == 3  # ten rows, seven rows, the penalty
    for s, t in zip(a.terms, b.terms, strict=True):
        assert s.program == t.program
        assert s.weight == t.weight
        assert set(s.tensors) == set(t.tensors)
        assert all(np.array_equal(s.tensors[n], v) for n, v in t.tensors.items())


def test_the_data_is_not_walked_for_every_claim(pair):
    (streamed, _), data = pair
    finding = check(streamed, of="2.*")
    assert finding.verdict == Verdict.PROVED
    before = data.walks
    assert check(streamed, of="2.weight").verdict == Verdict.PROVED
    assert data.walks == before


def test_chunks_in_order_cost_one_walk_and_going_back_another():
    data = Walks(tensors())
    cost = Cost(net(), nn.CrossEntropyLoss(), data)
    parts = [c for c, _ in cost.parts()]
    before = data.walks
    for c in parts:
        assert torch.equal(c.tensors[0], data.data[0][10 * c.index : 10 * c.index + 10])
        assert c.tensors is c.tensors
    assert data.walks == before + 1
    parts[2].tensors, parts[0].tensors, parts[1].tensors
    assert data.walks == before + 3


def test_lists_are_read_where_they_are():
    x, y = tensors(30)
    cost = Cost(net(), nn.CrossEntropyLoss(), [(x[:10], y[:10]), (x[10:20], y[10:20]), (x[20:], y[20:])])
    assert cost.streamed
    last = cost.parts()[2][0]
    assert torch.equal(last.tensors[0], x[20:])
    x[15] += 1.0
    with pytest.raises(Misuse, match="the data differed on two passes: chunk 1"):
        cost()


CHANGES = {
    "other": "chunk 1 had sha256",
    "fewer": "it gave 4 chunks at first and 3 later",
    "more": "it gave 4 chunks at first and more later",
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("limit", [0, 10**9])
def test_data_that_changes_is_refused(kind, limit, monkeypatch):
    monkeypatch.setattr(chunks, "IN_MEMORY", limit)
    data = Walks(tensors())
    data.change = (kind, 2)
    with pytest.raises(Misuse, match=CHANGES[kind]) as e:
        Cost(net(), nn.CrossEntropyLoss(), data)
    assert "use shuffle=False and no random augmentation" in str(e.value)


@pytest.mark.parametrize("later", [1, 2, 3])
def test_data_that_changes_later_is_refused_too(later):
    data = Walks(tensors())
    cost = Cost(net(), nn.CrossEntropyLoss(), data)
    data.change = ("other", data.walks + later)
    with pytest.raises(Misuse, match="differed on two passes"):
        check(cost, of="2.*")


def test_shuffling_is_refused():
    with pytest.raises(Misuse, match="shuffle=False"):
        Cost(net(), nn.CrossEntropyLoss(), DataLoader(TensorDataset(*tensors()), 10, shuffle=True))


def test_what_can_be_walked_only_once_must_be_small(monkeypatch):
    x, y = tensors()
    with pytest.raises(Misuse, match="generator, which can be walked only once, and too large to keep") as e:
        Cost(net(), nn.CrossEntropyLoss(), (p for p in zip(x.split(10), y.split(10), strict=True)))
    assert "give a DataLoader" in str(e.value)
    monkeypatch.setattr(chunks, "IN_MEMORY", 10**9)
    cost = Cost(net(), nn.CrossEntropyLoss(), (p for p in zip(x.split(10), y.split(10), strict=True)))
    assert not cost.streamed
    assert cost().item() == cost().item()


def test_what_is_no_data():
    with pytest.raises(Misuse, match="the data is int; give"):
        Cost(net(), nn.CrossEntropyLoss(), 5)


def test_kept_data_is_the_costs_own(monkeypatch):
    monkeypatch.setattr(chunks, "IN_MEMORY", 10**9)
    x, y = tensors()
    cost = Cost(net(), nn.CrossEntropyLoss(), (x, y))
    before = cost().item()
    x.zero_()
    assert cost().item() == before


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.3, dtype=D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w * x


def test_every_chunk_is_searched_for_a_direction():
    """Only one late chunk bends down, and it outweighs the others."""
    x = torch.ones(11, 1, dtype=D)
    y = torch.ones(11, 1, dtype=D)
    y[4] = -50.0
    cost = Cost(Scale(), lambda out, s: (out**2 * s).mean(), list(zip(x.split(1), y.split(1), strict=True)))
    problem = trace(cost).problem
    assert [len(sample(problem, k).terms) for k in range(3)] == [1, 1, 1]
    assert sample(problem, 4).terms[0].weight == 1
    assert check(cost).verdict == Verdict.REFUTED


def test_the_sets_of_blocks_of_a_streamed_cost():
    cost = Cost(net(), nn.CrossEntropyLoss(), Walks(tensors()))
    found = blocks(cost)
    assert cost.streamed
    assert found.maximal == (("2.weight", "2.bias"),)
    assert [c.blocks for c in found.conflicts] == [("0.weight",), ("0.bias",)]
    assert found.complete


@pytest.mark.slow
def test_memory_is_bounded():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("stream_memory.py"))], capture_output=True, text=True, check=True
    )
    data, grown, verdict = done.stdout.split()
    assert verdict == "PROVED"
    assert float(grown) < 0.4 * float(data)
