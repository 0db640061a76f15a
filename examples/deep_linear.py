"""A deep linear network with square loss: linear in its input, and still not convex in its weights.

jensen says: not convex jointly (REFUTED): the weights of the layers are multiplied. Convex in each alone (PROVED).
"""

import torch
from torch import nn

import jensen

torch.manual_seed(0)
inputs = torch.randn(50, 6, dtype=torch.float64)
targets = inputs @ torch.randn(6, 2, dtype=torch.float64)
model = nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 2, bias=False))

cost = jensen.Cost(model, nn.MSELoss(), (inputs, targets))
