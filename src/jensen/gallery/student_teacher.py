"""Safran and Shamir 2018, "Spurious local minima are common in two-layer ReLU neural networks": the population cost.

A student sum_i relu(w_i . x) learns a teacher sum_j relu(v_j . x) from all x ~ N(0, I) at once:
J = E (student - teacher)^2 / 2, a sum of f(u, v) = E relu(u . x) relu(v . x) over pairs, which has a closed form (the arc-cosine
kernel of degree one, Cho and Saul 2009): f = |u| |v| (sin t + (pi - t) cos t) / 2 pi for the angle t between u and v.

Written with acos, f has no derivative where u and v have one direction, and none that floats can compute nearby. Here
f = u . v / 2 + |u| |v| psi(p) / 2 pi with p = sin^2(t / 2) = |u/|u| - v/|v||^2 / 4, and the same without the first term for
p = cos^2(t / 2), for t beyond a right angle: psi(p) = sin t - t cos t is p^(3/2) times a power series, twice differentiable at 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jensen.cost import Cost
from jensen.errors import Misuse

SERIES = 0.02  # below this p, psi is its power series
TERMS = 11  # of which the first left out is 1e-19
COEFFICIENTS = tuple(
    8 * math.comb(2 * n, n) / 4**n / (2 * n + 1) / (2 * n + 3)
    for n in range(TERMS)  # of 8 t asin(t), integrated
)


def student_teacher(students: int = 6, teachers: int | None = None, dimension: int | None = None) -> Cost:
    """The cost of students W (students, dimension) against orthonormal teachers, the first unit vectors.

    Runs of the paper start at ``init="normal", scale=students**-0.5`` and descend with ``optimiser="gd", step=0.1`` until
    ``stop_on="largest row", stop=1e-9 / (2 * math.pi)``.

    Args:
        students: Neurons that learn.
        teachers: Neurons that are learnt from; as many as students by default.
        dimension: Of the input; as many as teachers by default.

    Raises:
        Misuse: Where the dimension has no room for so many orthonormal teachers.
    """
    teachers = students if teachers is None else teachers
    dimension = teachers if dimension is None else dimension
    if min(students, teachers) < 1 or dimension < teachers:
        raise Misuse(f"{teachers} orthonormal teachers and {students} students do not fit dimension {dimension}")
    given = torch.eye(teachers, dimension, dtype=torch.float64)
    own = teachers / 4 + teachers * (teachers - 1) / (4 * math.pi)  # of the teachers among themselves, halved
    weights = torch.cat([torch.full((students,), 0.5), torch.full((teachers,), -1.0)]).double()
    start = torch.randn(students, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def cost(W: Tensor) -> Tensor:
        return (weights * correlation(W, torch.cat([W, given]))).sum() + own

    return Cost.of(cost, W=start / students**0.5)


def correlation(u: Tensor, v: Tensor) -> Tensor:
    """E relu(u_i . x) relu(v_j . x) over x ~ N(0, I), for rows u (m, d) and v (n, d): (m, n)."""
    (long_u, unit_u), (long_v, unit_v) = _polar(u), _polar(v)
    product = u @ v.T
    acute = product >= 0
    apart = torch.where(acute[:, :, None], unit_u[:, None] - unit_v[None], unit_u[:, None] + unit_v[None])
    bent = long_u * long_v.T * _psi((apart * apart).sum(2) / 4) / (2 * math.pi)
    return torch.where(acute, product / 2, torch.zeros_like(product)) + bent


def _polar(u: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths (m, 1) and unit rows; a row of zeros has length 0 and no direction."""
    square = (u * u).sum(1, keepdim=True)
    real = square > 0
    length = torch.sqrt(torch.where(real, square, torch.ones_like(square)))
    return torch.where(real, length, torch.zeros_like(length)), u / length


def _psi(p: Tensor) -> Tensor:
    """sin t - t cos t for p = sin^2(t / 2) in [0, 1/2]; its derivative in p is 4 asin(sqrt p)."""
    tiny = p < SERIES
    low = torch.where(tiny & (p > 0), p, torch.full_like(p, SERIES))
    series = torch.full_like(low, COEFFICIENTS[-1])
    for c in COEFFICIENTS[-2::-1]:
        series = series * low + c
    series = torch.where(p > 0, low * torch.sqrt(low) * series, torch.zeros_like(p))
    high = torch.where(tiny, torch.full_like(p, SERIES), p)
    root = torch.sqrt(high)
    closed = (4 * high - 2) * torch.asin(root) + 2 * root * torch.sqrt(1 - high)
    return torch.where(tiny, series, closed)
