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

SERIES = 0.004  # below this p, psi is its power series
TERMS = 8  # of which the first left out is 1e-20
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
    own = teachers / 4 + teachers * (teachers - 1) / (4 * math.pi)  # of the teachers among themselves, halved
    first, second = torch.triu_indices(students, students, 1)
    others = 1.0 - torch.eye(dimension, teachers, dtype=torch.float64)
    start = torch.randn(students, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def cost(W: Tensor) -> Tensor:
        length, unit = polar(W)
        among = correlation(length[first] * length[second], *between(unit[first], unit[second])).sum()
        to_teachers = correlation(length, *towards(unit, others)).sum()
        return (W * W).sum() / 4 + among - to_teachers + own

    return Cost.of(cost, W=start / students**0.5)


def correlation(lengths: Tensor, cosine: Tensor, acute: Tensor, p: Tensor) -> Tensor:
    """E relu(u . x) relu(v . x) over x ~ N(0, I), elementwise.

    Args:
        lengths: |u| |v|.
        cosine: Of the angle between u and v.
        acute: Whether it is not negative.
        p: (1 - |cosine|) / 2, with a small relative error.
    """
    return lengths * (torch.where(acute, cosine / 2, torch.zeros_like(cosine)) + _psi(p) / (2 * math.pi))


def between(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine, whether it is not negative, and p of unit rows u and v, (m, d) each: (m, 1) each."""
    cosine = (u * v).sum(1, keepdim=True)
    acute = cosine >= 0
    apart = u - torch.where(acute, 1.0, -1.0).to(v.dtype) * v
    return cosine, acute, (apart * apart).sum(1, keepdim=True) / 4


def towards(u: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of unit rows u (m, d) and the first n unit vectors, (m, n); ``others`` (d, n) is 1 off its diagonal."""
    cosine = u[:, : others.shape[1]]
    acute = cosine >= 0
    square = (u * u) @ others  # 1 - cosine^2, without cancellation
    return cosine, acute, square / (2 * (1 + torch.where(acute, 1.0, -1.0).to(u.dtype) * cosine))


def polar(u: Tensor) -> tuple[Tensor, Tensor]:
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
