"""Spectral densities, shares and moments from some known eigenvalues and quadrature rules of the rest, with 95 % bands.

For f smooth or not, each probe's rule gives an unbiased estimate of the mean of f over the rest, up to the quadrature. The
band is a t-quantile times the standard error, and for this the larger of two is taken: the spread over the probes, and what
vectors uniform on the sphere imply, Var = 2 / (d + 2) (mean f^2 - (mean f)^2). The first alone covers too little where a few
eigenvalues make up the value (86 % for one eigenvalue and ten probes); the larger covers at least 95 % there and elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jensen.linalg.quadrature import Rule

Banded = tuple[np.ndarray, np.ndarray, np.ndarray]
FAR = 12.0
SQRT_2PI = float(np.sqrt(2 * np.pi))
STEEPEST = float(np.exp(-0.5) / SQRT_2PI)  # the largest slope of the standard normal density


@dataclass(frozen=True)
class Measure:
    """A spectral distribution in parts.

    Attributes:
        known: Eigenvalues that were computed, each counting once.
        shift: How far an eigenvalue may have been moved by having split off the known ones (Weyl).
        spread: How far all of them together (Mirsky).
        rules: The probes of the rest.
        n: The number of all eigenvalues.
    """

    known: np.ndarray
    shift: float
    spread: float
    rules: tuple[Rule, ...]
    n: int

    @property
    def rest(self) -> int:
        return self.n - len(self.known)


def smoothed(m: Measure, grid: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The density smoothed by a Gaussian, the half-width of its band from the probes, and the error of the quadrature.

    The error of the quadrature is estimated by the difference from three quarters of the steps, which is larger.
    """
    exact, _ = bumps(grid, m.known, np.ones(len(m.known)), bandwidth)
    moved = STEEPEST / bandwidth**2 * m.spread / m.n
    if not m.rest:
        return exact / m.n, np.zeros(len(grid)), np.full(len(grid), moved)
    first, second, fewer = [], [], []
    for rule in m.rules:
        one, two = bumps(grid, *rule.gauss, bandwidth)
        first.append(one)
        second.append(two)
        shorter = rule.cut(max(3 * rule.steps // 4, 1)) if rule.betas[-1] > 0 else rule
        fewer.append(bumps(grid, *shorter.gauss, bandwidth)[0])
    mean, half = band(np.array(first), np.array(second), m.rest)
    share = m.rest / m.n
    return exact / m.n + share * mean, share * half, share * np.abs(mean - np.mean(fewer, 0)) + moved


def bumps(grid: np.ndarray, nodes: np.ndarray, weights: np.ndarray, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sums, at each point, of normal densities around the nodes, and of their squares.

    Each is left out beyond ``FAR`` bandwidths, where it is below 1e-31 of its height.
    """
    order = np.argsort(grid, kind="stable")
    points = grid[order]
    first, second = np.zeros(len(grid)), np.zeros(len(grid))
    starts = np.searchsorted(points, nodes - FAR * bandwidth)
    ends = np.searchsorted(points, nodes + FAR * bandwidth, "right")
    for node, weight, i, j in zip(nodes, weights, starts, ends, strict=True):
        bump = np.exp(-0.5 * ((points[i:j] - node) / bandwidth) ** 2) / (SQRT_2PI * bandwidth)
        first[i:j] += weight * bump
        second[i:j] += weight * bump**2
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return first[back], second[back]


def band(first: np.ndarray, second: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over probes (axis 0) and half-width of the 95 % band.

    Args:
        first: Each probe's mean of f, (probes, points).
        second: Each probe's mean of f squared, alike.
        d: The dimension of the sphere's space.
    """
    from scipy.special import stdtrit

    probes = len(first)
    mean = first.mean(0)
    error = standard_error(first, second, d)
    return mean, float(stdtrit(probes - 1, 0.975)) * error


def standard_error(first: np.ndarray, second: np.ndarray, d: int) -> np.ndarray:
    """Of the mean over probes: the larger of the sample's and the one that the sphere implies."""
    probes = len(first)
    sample = first.std(0, ddof=1) / np.sqrt(probes)
    implied = 2 / (d + 2) * np.maximum(second.mean(0) - first.mean(0) ** 2, 0.0) / probes
    return np.maximum(sample, np.sqrt(implied))


def cumulative(m: Measure, grid: np.ndarray) -> Banded:
    """The share of eigenvalues below each point: estimate, and 95 % band around rigorous brackets of every probe."""
    sure = (m.known[None, :] < grid[:, None] - m.shift).sum(1)
    may = (m.known[None, :] <= grid[:, None] + m.shift).sum(1)
    return _between(m, sure, may, *_brackets(m, grid))


def within(m: Measure, width: float) -> Banded:
    """The share of eigenvalues in [-width, width], likewise; arrays of one element."""
    size = np.abs(m.known)
    sure, may = (size <= width - m.shift).sum(keepdims=True), (size <= width + m.shift).sum(keepdims=True)
    lower, upper = _brackets(m, np.array([-width, width]))
    inner = np.maximum(lower[:, 1:] - upper[:, :1], 0.0)
    return _between(m, sure, may, inner, upper[:, 1:] - lower[:, :1])


def _brackets(m: Measure, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of each probe's measure below each point, (probes, points)."""
    lower = [[rule.below(float(t) - m.shift)[0] for t in grid] for rule in m.rules]
    upper = [[rule.below(float(t) + m.shift)[1] for t in grid] for rule in m.rules]
    shape = (len(m.rules), len(grid))
    return np.clip(lower, 0.0, 1.0).reshape(shape), np.clip(upper, 0.0, 1.0).reshape(shape)


def _between(m: Measure, sure: np.ndarray, may: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Banded:
    """Known and sampled parts together; an indicator is its own square."""
    if not m.rest:
        return (sure + may) / 2 / m.n, sure / m.n, may / m.n
    low, half_low = band(lower, lower, m.rest)
    high, half_high = band(upper, upper, m.rest)
    middle = ((sure + may) / 2 + m.rest * (low + high) / 2) / m.n
    down = np.maximum(sure + m.rest * (low - half_low), sure) / m.n
    return middle, down, np.minimum(may + m.rest * (high + half_high), may + m.rest) / m.n


def moment(m: Measure, power: int) -> tuple[float, float, float]:
    """The sum of the eigenvalues' powers (1 or 2), its standard error, and the half-width of its 95 % interval."""
    known = float((m.known**power).sum())
    if not m.rest:
        return known, 0.0, 0.0
    first = np.array([[_moment(r, power)] for r in m.rules])
    second = np.array([[_moment(r, 2 * power)] for r in m.rules])
    mean, half = band(first, second, m.rest)
    error = standard_error(first, second, m.rest)
    return known + m.rest * float(mean[0]), m.rest * float(error[0]), m.rest * float(half[0])


def _moment(rule: Rule, power: int) -> float:
    """The measure's mean of x**power: e' T^power e with T as far as the recurrence is known; exact up to power 2 steps."""
    size = rule.steps
    t = np.diag(np.append(rule.alphas, 0.0)) + np.diag(rule.betas, -1) + np.diag(rule.betas, 1)
    e = np.zeros(size + 1)
    e[0] = 1.0
    left, right = e, e
    for _ in range(power // 2):
        left = t @ left
    for _ in range(power - power // 2):
        right = t @ right
    return float(left @ right)
