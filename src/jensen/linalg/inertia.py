"""How many eigenvalues of a symmetric matrix lie below a number, exactly: Sylvester's law on a shifted LDL'.

A - x I = L D L' has as many negative eigenvalues as D, whose blocks are 1x1 and 2x2 (Bunch and Kaufman 1977). What is
factorised is a matrix close by, so the count is right wherever no eigenvalue lies within the backward error of x; two shifts
around x that give the same count show that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VECTORS = 8  # on which the backward error is measured
SAFE = 10.0  # and by which it is multiplied: an underestimate by more has a probability below 1e-8


@dataclass(frozen=True)
class Below:
    """At least ``least`` and at most ``most`` eigenvalues lie below ``x``; equal where none is within ``reach`` of it."""

    x: float
    least: int
    most: int
    reach: float

    @property
    def decided(self) -> bool:
        return self.least == self.most


def below(matrix: np.ndarray, x: float, error: float) -> Below:
    """Count the eigenvalues below x of any symmetric matrix within ``error`` (in the spectral norm) of the given one."""
    n = len(matrix)
    size = float(np.abs(matrix).sum(1).max(initial=0.0)) + abs(x)
    reach = 2 * error + 64 * np.finfo(float).eps * size
    for _ in range(3):
        (least, wrong), (most, wrong_too) = (negative(matrix, x + s * reach) for s in (-1.0, 1.0))
        if error + max(wrong, wrong_too) <= reach:
            return Below(x, least, most, 2 * reach)
        reach = 4 * (error + max(wrong, wrong_too))
    return Below(x, 0, n, np.inf)


def negative(matrix: np.ndarray, x: float) -> tuple[int, float]:
    """The number of negative eigenvalues of a matrix near ``matrix - x I``, and how near (in the spectral norm)."""
    from scipy.linalg import ldl

    shifted = matrix - x * np.eye(len(matrix))
    factor, middle, _ = ldl(shifted, lower=True, check_finite=False)
    v = np.random.default_rng(0).standard_normal((len(matrix), VECTORS))
    gap = shifted @ v - factor @ (middle @ (factor.T @ v))
    return signs(middle), SAFE * float(np.sqrt((gap**2).sum() / VECTORS))


def signs(middle: np.ndarray) -> int:
    """Negative eigenvalues of a block diagonal matrix with blocks 1x1 and 2x2."""
    diagonal, off = np.diag(middle), np.append(np.diag(middle, -1), 0.0)
    count, i = 0, 0
    while i < len(diagonal):
        if off[i] == 0.0:
            count += int(diagonal[i] < 0)
            i += 1
        else:
            count += int((np.linalg.eigvalsh(middle[i : i + 2, i : i + 2]) < 0).sum())
            i += 2
    return count
