"""Logistic regression on the breast cancer data of scikit-learn, with torch's BCEWithLogitsLoss.

jensen says: convex (PROVED). Written as BCELoss(sigmoid(z)) the same cost is not convex, because torch clamps the
logarithm at -100: ``clamped`` is REFUTED or not known as torch computes it, and PROVED with ``ideal=True``.
"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

import jensen

data = load_breast_cancer()
features = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0), dtype=torch.float64)
labels = torch.tensor(data.target, dtype=torch.float64).unsqueeze(1)

torch.manual_seed(0)
model = nn.Linear(30, 1)

cost = jensen.Cost(model, nn.BCEWithLogitsLoss(), (features, labels))
clamped = jensen.Cost(nn.Sequential(model, nn.Sigmoid()), nn.BCELoss(), (features, labels))
