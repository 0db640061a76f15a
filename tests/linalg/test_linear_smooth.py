"""Zeros and other points where torch's formulas split, in a chunk that the check at first use does not see."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import jensen
from curvature_models import double_backward
from jensen import Cost

LOSSES = {
    "bce": lambda out, y: F.binary_cross_entropy_with_logits(out, (y > 0).to(out)),
    "weighted bce": lambda out, y: F.binary_cross_entropy_with_logits(
        out, (y > 0).to(out), pos_weight=out.new_ones(1) * 3
    ),
    "soft margin": lambda out, y: F.soft_margin_loss(out, y.sign()),
    "log sigmoid": lambda out, y: -F.logsigmoid(out * y).mean(),
    "elu": lambda out, y: (F.elu(out, 1.5) - y).square().mean(),
    "selu": lambda out, y: (F.selu(out) - y).square().mean(),
    "celu": lambda out, y: (F.celu(out, 2.0) - y).square().mean(),
    "huber": lambda out, y: F.huber_loss(out, torch.zeros_like(y), delta=0.5),
}


class Shifted(nn.Module):
    """Rows of zeros stay at the shift, which moves."""

    def __init__(self, shift):
        super().__init__()
        self.lin, self.shift = nn.Linear(3, 1, bias=False), nn.Parameter(torch.full((1,), shift))

    def forward(self, x):
        return self.lin(x) + self.shift


@pytest.mark.parametrize("name", LOSSES)
def test_outputs_that_split_torch_s_formulas_are_right_in_every_chunk(name):
    torch.manual_seed(0)
    x, y = torch.randn(12, 3), torch.randn(12, 1)
    x[8:] = 0.0
    cost = Cost(Shifted(0.5 if name == "huber" else 0.0), LOSSES[name], [(x[:6], y[:6]), (x[6:], y[6:])])
    h = jensen.hessian(cost)
    eye = torch.eye(h.n, dtype=torch.float64)
    want = torch.stack([double_backward(cost, e) for e in eye])
    assert float((h.dense() - want).norm()) <= 1e-12 * float(want.norm())
    assert h.report.mode == "kept"
