"""A radial-basis-function network with square loss: heights, centres and widths of Gaussian bumps.

jensen says: not convex in all of them (REFUTED); convex in the heights, whatever centres and widths are (PROVED).
"""

import torch
from torch import nn

import jensen


class RBF(nn.Module):
    """y = sum of heights times exp(-rate |x - centre|^2)."""

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.centre = nn.Parameter(torch.randn(units, inputs))
        self.rate = nn.Parameter(torch.ones(units))
        self.height = nn.Parameter(torch.randn(units) / units)

    def forward(self, x):
        distance = (x.unsqueeze(1) - self.centre).square().sum(-1)
        return torch.exp(-self.rate * distance) @ self.height


torch.manual_seed(0)
inputs = torch.randn(40, 2, dtype=torch.float64)
targets = torch.sin(inputs[:, 0]) * inputs[:, 1]

cost = jensen.Cost(RBF(2, 6), nn.MSELoss(), (inputs, targets))
