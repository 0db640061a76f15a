"""What an answer says when there is none: the operation, the block, and a box that would do."""

from __future__ import annotations

import ast
import re

import pytest
import torch
from torch import nn

from jensen import Cost, Misuse, Verdict, blocks, check


class Speech(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x).view(3, 2, 4).log_softmax(2)


class Adaptive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(5, 20)
        self.a = nn.AdaptiveLogSoftmaxWithLoss(20, 10, [2, 5])

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.a(self.l(x), y).loss


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.l(x)
        return y if y.sum() > 0 else -y


class Select(Branch):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x[torch.nonzero(x.sum(1) > 0).flatten()]).sum(0, keepdim=True).expand(6, 1)


X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
Y = torch.zeros(6, 1)


def ctc() -> Cost:
    return Cost(Speech(), nn.CTCLoss(), (X, (torch.tensor([[1], [2]]), torch.tensor([3, 3]), torch.tensor([1, 1]))))


def adaptive() -> Cost:
    return Cost(Adaptive(), lambda out, _: out, ((X, torch.arange(6)), Y))


@pytest.mark.parametrize(("make", "name"), [(ctc, "ctc_loss"), (adaptive, "AdaptiveLogSoftmaxWithLoss")])
def test_an_operation_that_cannot_be_captured_is_unknown(make, name):
    cost = make()
    finding = check(cost)
    assert finding.verdict == Verdict.UNKNOWN
    assert f"torch.export cannot capture {name} (" in finding.reason
    assert finding.to_dict()["verdict"] == "UNKNOWN"
    assert finding.__rich__() is not None
    found = blocks(cost)
    assert set(found.unknown) == {(n,) for n in cost.blocks}
    assert not found.complete


@pytest.mark.parametrize("model", [Branch, Select])
def test_control_flow_of_ones_own_is_misuse(model):
    with pytest.raises(Misuse, match=r"depend on values of tensors.*use torch\.where"):
        check(Cost(model(), nn.MSELoss(), (X, Y)))


OUTSIDE = {
    "log": (lambda x: x.log(), "concave", "x"),
    "root": (lambda x: x**1.5, "convex", "x"),
    "of a sum": (lambda x, w: (w + x).log(), "concave", "x and w"),
    "of one of two": (lambda x, w: w * w - (x + 1.0).log(), "convex", "x"),
    "atanh": (lambda x: torch.atanh(x), "quasiconvex", "x"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_domain_names_its_blocks_and_a_box_that_would_do(name):
    fn, claim, names = OUTSIDE[name]
    values = {"x": 0.5} | ({"w": 1.0} if "w" in fn.__code__.co_varnames else {})
    cost = Cost.of(fn, **values)
    finding = check(cost, claim=claim, budget=0.0)
    assert "may leave its domain" in finding.reason
    assert f"it depends on {names}: " in finding.reason
    box = ast.literal_eval(re.search(r"within=(\{.*?\})", finding.reason).group(1))
    assert "may leave its domain" not in check(cost, claim=claim, within=box, budget=0.0).reason


def test_a_box_that_is_given_is_kept():
    cost = Cost.of(lambda x: x.log(), x=0.5)
    finding = check(cost, claim="concave", within={"x": (-2.0, -1.0)}, budget=0.0)
    assert "ask within a box that keeps it inside" in finding.reason


@pytest.mark.parametrize(
    ("bounds", "words"), [((0.1, None), "[0.1, inf)"), ((None, 3.0), "(-inf, 3]"), ((0.5, 2.0), "[0.5, 2]")]
)
def test_open_ends_of_a_box_are_written_as_open(bounds, words):
    finding = check(Cost.of(lambda x: x * 2.0, x=1.0), within={"x": bounds})
    assert finding.statement.endswith(f"within x in {words}")


def test_a_drop_too_small_for_floats_is_not_zero():
    cost = Cost.of(lambda x: nn.functional.softplus(x, threshold=1e6), x=1.0)
    assert "a drop below 1e-434294 at the operation" in check(cost, budget=0.0).reason
