"""A 64-256-256-10 tanh network with cross entropy on all 1,797 digits of scikit-learn: the famous question.

jensen says: not convex in all its weights and biases (REFUTED, with a chord); convex in the last layer alone (PROVED).
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import jensen

digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float64) / 16
labels = torch.tensor(digits.target)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10))

cost = jensen.Cost(model, nn.CrossEntropyLoss(), (images, labels))
