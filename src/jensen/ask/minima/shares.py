"""Shares, and what was not seen yet: intervals for counts of independent runs.

Wilson (1927), Probable inference, the law of succession, and statistical inference: the score interval of a share.
Good (1953), The population frequencies of species and the estimation of population parameters: the chance that the next
run ends in a class not seen yet is about the share of classes seen once. Its variance is that of Esty (1983), A normal
limit law for a nonparametric estimator of the coverage of a random sample; the interval inverts the score, as Wilson's
does, so that it does not collapse to a point where nothing was seen once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from jensen.ask.curvature.answers import Estimate
from jensen.errors import Misuse

LEVEL = 0.95
FEW = 3  # classes seen once happen to be the last ones often enough: then nothing may be missing at all


def wilson(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a share of independent runs; all of [0, 1] where there are none.

    Raises:
        Misuse: For counts that are none, or a level outside (0, 1).
    """
    if not 0 <= count <= of:
        raise Misuse(f"{count} of {of} is no share; give a count between 0 and the number of runs")
    return _score(count / of if of else 0.0, of, 0.0, level)


def missing(counts: Iterable[int], level: float = LEVEL) -> Estimate:
    """The chance that the next run lands in a class not seen yet, from how often each class was seen.

    Args:
        counts: Runs in each class.
        level: Of the interval.

    Returns:
        Good's estimate (once-seen classes / runs), its standard error and interval.
    """
    seen = [c for c in counts if c > 0]
    n, once, twice = sum(seen), seen.count(1), seen.count(2)
    if n == 0:
        return Estimate(1.0, math.inf, 0.0, 1.0)
    share = once / n
    error = math.sqrt((share * (1 - share) + 2 * twice / n) / n)
    low, high = _score(share, n, 2 * twice / n, level)
    return Estimate(share, error, low if once > FEW else 0.0, high)


def _score(share: float, n: int, extra: float, level: float) -> tuple[float, float]:
    """All m in [0, 1] with (share - m)^2 <= z^2 (m (1 - m) + extra) / n."""
    if not 0 < level < 1:
        raise Misuse(f"level={level!r} must lie between 0 and 1")
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    inside = middle**2 - (share**2 - z2 * extra / n) / (1 + z2 / n)
    half = math.sqrt(max(inside, 0.0))
    low = 0.0 if share == 0 else max(middle - half, 0.0)
    return low, 1.0 if share == 1 else min(middle + half, 1.0)
