"""Spectra with traps, and symmetric matrices that have them."""

from __future__ import annotations

import numpy as np
import torch

from jensen.linalg.operators import Counted, Dense

RNG = np.random.default_rng(7)

SPECTRA: dict[str, np.ndarray] = {
    "one": np.array([3.0]),
    "three": np.array([-1.0, 2.0, 5.0]),
    "zero": np.zeros(40),
    "identity": np.ones(120),
    "plus and minus one": np.r_[np.ones(60), -np.ones(60)],
    "rank one": np.r_[np.zeros(150), 1.0],
    "rank one below": np.r_[np.zeros(150), -2.0],
    "ten equal on top": np.r_[np.full(10, 5.0), RNG.uniform(0, 1, 200)],
    "pairs": np.r_[5.0, 5.0, 4.0, 4.0, 3.0, RNG.uniform(0, 1, 200)],
    "equal at both ends": np.r_[np.full(3, -2.0), RNG.uniform(-1, 1, 200), np.full(4, 3.0)],
    "a cluster": np.r_[1 + 1e-9 * np.arange(5), RNG.uniform(-1, 0.5, 200)],
    "uniform": RNG.uniform(0, 1, 400),
    "range of 1e12": np.geomspace(1e-12, 1, 200),
    "all negative": -np.geomspace(1e-12, 1, 200),
    "a network": np.r_[np.geomspace(1e-8, 1, 150), -1e-3 * np.geomspace(1e-6, 1, 60), np.zeros(100)],
}


def matrix(values: np.ndarray, seed: int = 1) -> torch.Tensor:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    n = len(values)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    a = (q * values) @ q.T
    return torch.from_numpy((a + a.T) / 2)


def operator(values: np.ndarray, dtype: torch.dtype = torch.float64) -> Counted:
    return Counted(Dense(matrix(values).to(dtype)))
