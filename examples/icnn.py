"""An input-convex network: skip weights of any sign, weights between the layers that are not negative.

jensen says: its output is convex in the input x for these weights (``cost``: PROVED), and for every choice of skip
weights, as long as ``between`` and ``last`` are not negative:

    jensen check examples/icnn.py:network --of x --within between=0: --within last=0:

As a function of its parameters the same output is not convex (``network`` --of first --of between: REFUTED).
Reference: Amos, Xu, Kolter, Input Convex Neural Networks, 2017.
"""

import torch

import jensen

torch.manual_seed(0)
weights = {
    "first": torch.randn(16, 8, dtype=torch.float64),
    "between": torch.rand(16, 16, dtype=torch.float64),
    "second": torch.randn(16, 8, dtype=torch.float64),
    "last": torch.rand(16, dtype=torch.float64),
}
points = torch.randn(4, 8, dtype=torch.float64)


def output(x, first, between, second, last):
    """Two hidden layers; relu is convex and not decreasing, and so is every sum with weights >= 0 of such values."""
    hidden = torch.relu(x @ first.T)
    hidden = torch.relu(hidden @ between.T + x @ second.T)
    return (hidden @ last).sum()


cost = jensen.Cost.of(lambda x: output(x, **weights), x=points)
network = jensen.Cost.of(output, x=points, **weights)
