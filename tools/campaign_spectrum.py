"""Does the spectrum cover what it says? 200 repetitions against the full float64 Hessian of a trained network.

    python tools/campaign_spectrum.py [repetitions] [hidden units]

Prints how often the trace, the squared norm, the shares, and each point of the density and of the cumulative distribution
lie inside their 95 % bands (the claim: in at least 180 of 200), and how often a listed eigenvalue is off by more than its
bound (the claim: never more often than the stated probability).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

import jensen
from jensen.ask.curvature.answers import Estimate


def trained(hidden: int) -> jensen.Cost:
    """A tanh network on scikit-learn's digits after 300 steps of Adam."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float64) / 16, torch.tensor(digits.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 10))
    model = model.double()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return jensen.Cost(model, nn.CrossEntropyLoss(), (x, y))


class Matrix:
    """The Hessian as a matrix, so that 200 repetitions take minutes."""

    def __init__(self, matrix: torch.Tensor):
        self.matrix, self.n = matrix, len(matrix)
        self.dtype, self.device = matrix.dtype, matrix.device

    def __matmul__(self, block: torch.Tensor) -> torch.Tensor:
        return self.matrix @ block


def holds(e: Estimate | None, truth: float) -> bool:
    return e is not None and e.low <= truth + 1e-12 and truth - 1e-12 <= e.high


def main(repeats: int, hidden: int) -> None:
    h = jensen.hessian(trained(hidden)).dense()
    h = (h + h.T) / 2
    values = torch.linalg.eigvalsh(h).numpy()
    n = len(values)
    print(f"{n} parameters, eigenvalues from {values[0]:.3g} to {values[-1]:.3g}, {repeats} repetitions")
    counts = dict.fromkeys(("trace", "squared norm", "negative", "zero"), 0)
    sigma = min((values[-1] - values[0]) / 100, -values[0] / 3)
    grid = np.unique(
        np.r_[
            np.linspace(values[0] - 4 * sigma, 30 * sigma, 150),
            np.geomspace(30 * sigma, values[-1] + 4 * sigma, 150),
            values[-20:],
        ]
    )
    bumps = np.exp(-0.5 * ((grid[:, None] - values) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    truth, points = bumps.mean(1), np.zeros(len(grid))
    cumulative, off, products = [], 0, []
    for seed in range(repeats):
        s = jensen.spectrum(Matrix(h), method="iterative", seed=seed, bandwidth=sigma, grid=grid)
        d = s.density
        if d is None:
            continue
        points += (d.low <= truth) & (truth <= d.high)
        counts["trace"] += holds(s.trace, values.sum())
        counts["squared norm"] += holds(s.squared_norm, (values**2).sum())
        counts["negative"] += holds(s.negative, (values < -s.zero_width).mean())
        counts["zero"] += holds(s.zero, (np.abs(values) <= s.zero_width).mean())
        c = d.cumulative
        cumulative.append(
            ((c.low <= (values <= c.grid[:, None]).mean(1)) & ((values < c.grid[:, None]).mean(1) <= c.high)).mean()
        )
        for got, want in ((s.lowest, values), (s.highest, values[::-1])):
            off += any(abs(e.value - t) > e.bound for e, t in zip(got, want, strict=False))
        products.append(s.products)
    for name, count in counts.items():
        print(f"{name}: inside in {count} of {repeats}")
    print(
        f"density: the worst of {len(grid)} points inside in {int(points.min())} of {repeats}, the median in {int(np.median(points))}"
    )
    print(f"cumulative: {np.mean(cumulative):.1%} of all points inside")
    print(f"ends: an eigenvalue beyond its bound in {off} of {2 * repeats} ends")
    print(f"products: {int(np.median(products))} (median)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, int(sys.argv[2]) if len(sys.argv) > 2 else 16)
