"""How float32 is multiplied is the process's own before and after."""

import pytest
import torch
from torch import nn

import jensen
from jensen import Verdict
from jensen.precision import multiplied, readable

PLACES = [torch.backends.cudnn.conv, torch.backends.cudnn.rnn]


def told():
    return [p.fp32_precision for p in PLACES]


@pytest.mark.parametrize("how", ["ieee", "tf32"])
def test_it_is_as_before_afterwards(how):
    before = told()
    with multiplied(PLACES, how):
        assert told() == [how, how]
    assert told() == before
    with pytest.raises(ZeroDivisionError), multiplied(PLACES, how):
        raise ZeroDivisionError
    assert told() == before


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize(
    "how", [("ieee", "tf32"), ("tf32", "ieee"), ("ieee", "ieee"), ("tf32", "tf32"), ("none", "none")]
)
def test_a_cost_is_captured_whatever_cudnn_was_told(legacy, how):
    cudnn, before = torch.backends.cudnn, told()
    cudnn.allow_tf32 = legacy
    try:
        for place, one in zip(PLACES, how, strict=True):
            place.fp32_precision = one
        mixed = told()
        cost = jensen.Cost(nn.Linear(3, 1), nn.MSELoss(), (torch.randn(5, 3), torch.randn(5, 1)))
        assert jensen.check(cost).verdict == Verdict.PROVED
        assert told() == mixed
    finally:
        cudnn.allow_tf32 = True
    assert told() == before


def test_nothing_is_touched_where_torch_answers():
    before = told()
    with readable():
        assert told() == before
