"""How far beyond the largest Ritz value an eigenvalue can still lie, with a stated probability of being wrong.

After j steps of Lanczos from v, the next vector is p(H) v with a known polynomial p, and has norm one. So an eigenvalue
whose eigenvector has the share g in v obeys |g p(lambda)| <= 1. A random v has |g| >= d but for a known probability, and
p grows beyond the Ritz values: lambda lies below the point where p reaches 1/d (van Dorsselaer, Hochstenbach and van der
Vorst 2000, "Computing probabilistic bounds for extreme eigenvalues of symmetric matrices with the Lanczos method").
The event is about v alone, so one probability covers every step, and stopping when one likes.
"""

from __future__ import annotations

import math

import numpy as np

ROUNDS = 16  # of narrowing to a part, which leaves nothing but rounding
PARTS = np.linspace(0, 1, 17)[1:]


def share(n: int, failure: float) -> float:
    """The d that the share of a fixed unit vector in a random one of R^n exceeds but for a probability ``failure``."""
    from scipy.special import betaincinv

    return 1.0 if n == 1 else math.sqrt(betaincinv(0.5, (n - 1) / 2, failure))


def between(chains: list[tuple[np.ndarray, np.ndarray]], n: int, failure: float) -> tuple[float, float]:
    """How low and how high eigenvalues can lie, but for a probability ``failure`` each, by Lanczos from several vectors.

    An eigenvector is missed where it has a small share in every one of the vectors, which are independent. A part of the
    probability is kept for each number of vectors, because which one is the last depends on what they show.

    Args:
        chains: Ritz values and betas of each vector, see ``above``.
        n: The dimension.
        failure: The probability.
    """
    count = len(chains)
    d = share(n, (failure / 2.0 ** min(count, 60)) ** (1 / count))
    return min(below(*chain, d) for chain in chains), max(above(*chain, d) for chain in chains)


def above(values: np.ndarray, betas: np.ndarray, d: float) -> float:
    """Below this lies the largest eigenvalue, if its eigenvector has at least the share d in the start vector.

    Args:
        values: The j Ritz values.
        betas: The j norms that Lanczos divided by; the last one zero where the space is invariant.
        d: The share.
    """
    top = float(values.max())
    if not (betas > 0).all():
        return top
    goal = float(np.log(betas).sum()) - math.log(d)
    width = max(float(np.exp(goal / len(values))), 1e-300)  # at top + width every factor is at least width
    low, high = 0.0, width
    for _ in range(ROUNDS):
        steps = low + (high - low) * PARTS
        gaps = np.maximum((top - values) + steps[:, None], 1e-300)
        enough = np.log(gaps).sum(1) >= goal
        first = int(enough.argmax()) if enough.any() else len(steps) - 1
        low, high = steps[first - 1] if first else low, steps[first]
    return top + high


def below(values: np.ndarray, betas: np.ndarray, d: float) -> float:
    """Above this lies the smallest eigenvalue, likewise."""
    return -above(-values, betas, d)
