"""An LSTM that reads handwritten digits row by row: scikit-learn's digits where installed, synthetic ones elsewhere."""

import torch
from torch import nn

from jensen.cost import Cost


class Reader(nn.Module):
    def __init__(self, width: int = 32, layers: int = 1):
        super().__init__()
        self.lstm = nn.LSTM(8, width, layers, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (count, 8, 8) in [0, 1], and their classes."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return torch.rand(count, 8, 8), torch.randint(10, (count,))
    data = load_digits()
    return torch.tensor(data.images[:count] / 16.0), torch.tensor(data.target[:count])


def build(count: int = 64, width: int = 32, layers: int = 1) -> Cost:
    torch.manual_seed(0)
    return Cost(Reader(width, layers), nn.CrossEntropyLoss(), digits(count))


def __getattr__(name: str) -> Cost:
    if name != "cost":
        raise AttributeError(name)
    globals()["cost"] = build()
    return globals()["cost"]
