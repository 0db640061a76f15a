"""Training only the head of a network: parameters without gradients are constants, so they are no blocks.

jensen says: convex in the head jointly with its bias (PROVED), although the whole network's cost is not.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import jensen

digits = load_digits()
images = torch.tensor(digits.data[:500], dtype=torch.float64) / 16
labels = torch.tensor(digits.target[:500])

torch.manual_seed(0)
body = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 32), nn.SiLU())
head = nn.Linear(32, 10)
whole = jensen.Cost(nn.Sequential(body, head), nn.CrossEntropyLoss(), (images, labels))

body.requires_grad_(False)
cost = jensen.Cost(nn.Sequential(body, head), nn.CrossEntropyLoss(), (images, labels))
