"""A small convolutional network on 64 digits of scikit-learn.

jensen says: not convex in all blocks (REFUTED); convex in the last layer, whatever the convolutions are (PROVED).
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import jensen

digits = load_digits()
images = torch.tensor(digits.images[:64], dtype=torch.float64).unsqueeze(1) / 16
labels = torch.tensor(digits.target[:64])

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(4, 8, 3, padding=1),
    nn.ReLU(),
    nn.AvgPool2d(2),
    nn.Flatten(),
    nn.Linear(32, 10),
)

cost = jensen.Cost(model, nn.CrossEntropyLoss(), (images, labels))
