"""Softmax regression on the 1,797 digits of scikit-learn: one linear layer with cross entropy.

jensen says: convex in the weights and biases jointly (PROVED), with a penalty too.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import jensen

digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float64) / 16
labels = torch.tensor(digits.target)

torch.manual_seed(0)
model = nn.Linear(64, 10)

cost = jensen.Cost(model, nn.CrossEntropyLoss(), (images, labels))
ridge = jensen.Cost(
    model, nn.CrossEntropyLoss(), (images, labels), penalty=lambda blocks: 1e-3 * blocks["weight"].square().sum()
)
