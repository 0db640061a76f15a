"""Models that checkpoint their activations."""

import pytest
import torch
from torch import nn
from torch.utils import checkpoint

import jensen
from curvature_models import differences, double_backward
from jensen import Cost


class Saved(nn.Module):
    """Two layers, the first one checkpointed or not."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b, self.how = nn.Linear(3, 4), nn.Linear(4, 2), how

    def first(self, x):
        return torch.tanh(self.a(x))

    def forward(self, x):
        if self.how is None:
            return self.b(self.first(x))
        if self.how == "sequential":
            return self.b(checkpoint.checkpoint_sequential([self.first, torch.sin], 2, x, use_reentrant=False))
        return self.b(checkpoint.checkpoint(self.first, x, use_reentrant=self.how))


@pytest.mark.parametrize("how", [True, False, "sequential"])
def test_a_checkpointed_model_is_the_same_cost(how):
    torch.manual_seed(0)
    data = torch.randn(5, 3), torch.randn(5, 2)
    model = Saved(how)
    cost = Cost(model, nn.MSELoss(), data)
    h = jensen.hessian(cost)
    v = torch.randn(h.n, dtype=torch.float64)
    got = h @ v
    assert float((got - differences(cost, v)).norm()) <= 1e-8 * float(got.norm())
    if how != "sequential":
        plain = Saved(None)
        plain.load_state_dict(model.state_dict())
        assert torch.allclose(got, double_backward(Cost(plain, nn.MSELoss(), data), v), rtol=1e-12)
        one, other = (jensen.hessian(Cost(m, nn.MSELoss(), data)).gauss_newton @ v for m in (model, plain))
        assert torch.allclose(one, other, rtol=1e-12)
        assert jensen.check(cost, of="b.*").verdict == jensen.Verdict.PROVED


def test_training_checkpoints_as_before():
    """What jensen puts in torch's place is there only while it computes."""
    before = checkpoint.CheckpointFunction
    torch.manual_seed(0)
    model, x = Saved(True), torch.randn(5, 3, requires_grad=True)
    jensen.hessian(Cost(model, nn.MSELoss(), (x.detach(), torch.zeros(5, 2))))
    assert checkpoint.CheckpointFunction is before
    model(x).sum().backward()
    assert x.grad is not None and model.a.weight.grad is not None
