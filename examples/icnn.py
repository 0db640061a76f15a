"""An input-convex network: skip weights of any sign, weights between the layers that are not negative.

jensen says: its output is convex in the input x (PROVED): ``cost``. As a function of all its parameters the same output
is not convex (``parameters``: REFUTED), not even where the weights between the layers are not negative.
Reference: Amos, Xu, Kolter, Input Convex Neural Networks, 2017.
"""

import torch

import jensen

torch.manual_seed(0)
skip = [torch.randn(16, 8, dtype=torch.float64), torch.randn(16, 8, dtype=torch.float64)]
between = torch.rand(16, 16, dtype=torch.float64)
last = torch.rand(16, dtype=torch.float64)
points = torch.randn(4, 8, dtype=torch.float64)


def network(x, first, between, second, last):
    """Two hidden layers; relu is convex and not decreasing, and so is every sum with weights >= 0 of such values."""
    hidden = torch.relu(x @ first.T)
    hidden = torch.relu(hidden @ between.T + x @ second.T)
    return hidden @ last


cost = jensen.Cost.of(lambda x: network(x, skip[0], between, skip[1], last).sum(), x=points)
parameters = jensen.Cost.of(
    lambda first, between, second, last: network(points, first, between, second, last).sum(),
    first=skip[0],
    between=between,
    second=skip[1],
    last=last,
)
