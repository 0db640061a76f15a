"""What a look for missed values leaves out of a map H, and what its answer says of the whole map.

Let Y be Ritz vectors with values Theta and residuals H Y - Y Theta = F R, with F orthonormal and outside Y, and let H on the
complement of Y have no eigenvalue above u. Then H is at most M = [Theta, R'; R, u] on Y and F, and u elsewhere, in the
order of symmetric matrices; so the eigenvalues of H, counted from the top, are at most those of M (Courant and Fischer;
Parlett 1980, section 10.1). Leaving out more than the values asked for leaves a smaller map to look through, where Lanczos
needs fewer steps; but what is left out with a large residual lets the eigenvalues of M rise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from jensen.linalg import krylov
from jensen.linalg.krylov import Krylov

ALONE = 0.5  # of the space to the next Ritz value: with a larger residual, one stands for several eigenvalues
WORTH = 0.25  # of the distance that the values asked for alone would leave; with less, it is these that are left out


@dataclass(frozen=True)
class Reach:
    """Limits of the outermost eigenvalues of H.

    Attributes:
        lows: The i-th eigenvalue from below is at least the i-th of these, increasing.
        highs: The i-th eigenvalue from above is at most the i-th of these, decreasing.
    """

    lows: np.ndarray
    highs: np.ndarray


def unknown(low: int, high: int) -> Reach:
    """No limits."""
    return Reach(np.full(low + 1, -np.inf), np.full(high + 1, np.inf))


@dataclass(frozen=True)
class Aside:
    """Ritz vectors left out of a map: as many as are asked for at each end, and perhaps more.

    Attributes:
        vectors: (n, p), orthonormal columns.
        values: (p,), increasing.
        residuals: R, (f, p).
        noise: How far rounding may have moved the residuals, in the spectral norm.
        low, high: How many values are asked for at each end.
        slack: How far off these may be, and how far beyond the last of them an eigenvalue may lie unseen.
        extra: How many vectors stand for none of these.
        after: The Ritz values after these at the low and at the high end; these themselves where there are no others.
    """

    vectors: Tensor
    values: np.ndarray
    residuals: np.ndarray
    noise: float
    low: int
    high: int
    slack: float
    extra: int
    after: tuple[float, float]

    def reach(self, down: float, up: float) -> Reach:
        """How far the values asked for and one more at each end can reach, if the rest lies between ``down`` and ``up``."""
        return Reach(-self._highest(-self.values, -down, self.low), self._highest(self.values, up, self.high))

    def near(self, down: float, up: float) -> bool:
        """Whether the limits can do, if the rest lies between ``down`` and ``up``: the next values' are no closer in."""
        sides = self._sides(Reach(np.array([down]), np.array([up])))
        return all(limits[-1] <= found[-1] + self.slack for found, limits, _ in sides)

    def clear(self, reach: Reach) -> bool:
        """Whether the values asked for are the eigenvalues at both ends, and no other lies beyond them, but for the slack."""
        return all(_settled(found, limits, self.slack, 0.0) for found, limits, _ in self._sides(reach))

    def fair(self, reach: Reach) -> bool:
        """Whether a look has enough room between the values asked for and the rest, if this is how far the rest reaches."""
        sides = self._sides(reach)
        return all(_settled(v, limits, self.slack, WORTH * (v[-1] + self.slack - after)) for v, limits, after in sides)

    def _sides(self, reach: Reach) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """The values asked for, from the outside, their limits, and the value after them; all turned round for the low end."""
        high, low = self.values[::-1][: self.high], -self.values[: self.low]
        sides = (high, reach.highs, self.after[1]), (low, -reach.lows, -self.after[0])
        return [side for side in sides if len(side[0])]

    def _highest(self, values: np.ndarray, up: float, k: int) -> np.ndarray:
        """The k + 1 largest eigenvalues of M."""
        joint = float(np.linalg.norm(self.residuals, 2)) if self.residuals.size else 0.0
        moved = np.sqrt(self.noise * (2 * joint + self.noise))  # R'R of exact residuals is at most R'R and this squared
        rows = np.vstack([self.residuals, moved * np.eye(len(values))])
        m = np.block([[np.diag(values), rows.T], [rows, up * np.eye(len(rows))]])
        return -np.sort(-np.append(np.linalg.eigvalsh(m), np.full(k + 1, up)))[: k + 1]


def aside(space: Krylov, low: int, high: int, slack: float, noise: float, most: int) -> Aside:
    """The Ritz vectors of so many values at each end, with up to ``most`` more that make the look shorter.

    Args:
        space: What has been found.
        low, high: How many values are asked for at each end.
        slack: How far beyond the last of them an eigenvalue may lie unseen.
        noise: The level of rounding.
        most: How many vectors more there is room for.
    """
    values, coefficients = krylov.ritz(space)
    low, high = min(low, space.size), min(high, space.size)
    residuals = space.coupling @ coefficients
    below, above = _more(values, np.linalg.norm(residuals, axis=0), low, high, slack) if slack > 0 else (0, 0)
    if below + above > most:
        below = above = 0
    keep = np.r_[: low + below, max(space.size - high - above, low + below) : space.size]
    vectors = krylov.vectors_of(space, coefficients[:, keep])
    after = float(values[min(low, space.size - 1)]), float(values[max(space.size - high - 1, 0)])
    return Aside(vectors, values[keep], residuals[:, keep], noise, low, high, slack, below + above, after)


def _more(values: np.ndarray, radii: np.ndarray, low: int, high: int, slack: float) -> tuple[int, int]:
    """How many more to leave out at each end, so that the rest ends farthest from the values asked for.

    Those that stand for one eigenvalue each: behind others there may be many that nothing has shown yet.
    A vector left out lets an eigenvalue beyond its own rise by its squared residual over the distance, to first order.
    """
    middle = slice(low, len(values) - high)
    rest, squares = values[middle], radii[middle] ** 2
    count = len(rest)
    if not count or not low + high:
        return 0, 0
    spaces = np.diff(values, prepend=-np.inf, append=np.inf)
    single = (radii <= ALONE * np.minimum(spaces[1:], spaces[:-1]))[middle]
    i, j = np.meshgrid(np.arange(1 + _first(single, low)), np.arange(1 + _first(single[::-1], high)), indexing="ij")
    inside = i + j < count
    i, j = i[inside], j[inside]
    gaps = np.full(len(i), np.inf)
    if high:
        goal = values[-high] + slack
        gaps = np.minimum(gaps, goal - _rise(squares / (goal - rest), i, j) - rest[count - 1 - j])
    if low:
        goal = values[low - 1] - slack
        gaps = np.minimum(gaps, rest[i] - _rise(squares / (rest - goal), i, j) - goal)
    best = int(np.argmax(gaps))
    return int(i[best]), int(j[best])


def _first(single: np.ndarray, asked: int) -> int:
    """How many hold before one does not, at an end that is asked for."""
    return int(np.argmin(np.append(single, False))) if asked else 0


def _settled(found: np.ndarray, limits: np.ndarray, slack: float, room: float) -> bool:
    return bool((limits[:-1] <= found + slack).all() and limits[-1] <= found[-1] + slack - room)


def _rise(terms: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Sums of the first i and the last j terms."""
    sums = np.append(0.0, np.cumsum(terms))
    return sums[i] + sums[-1] - sums[len(terms) - j]
