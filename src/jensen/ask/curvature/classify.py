"""What kind of point this is: minimum, saddle, maximum, degenerate, or not critical; with the figures that say so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from jensen.ambient import differentiable
from jensen.ask.curvature import beyond, nearby
from jensen.ask.curvature import counts as counting
from jensen.ask.curvature.afar import AHEAD, outwards
from jensen.ask.curvature.answers import Classification
from jensen.ask.curvature.asked import share, told
from jensen.ask.curvature.counts import Counts
from jensen.ask.curvature.crease import Along, Crease
from jensen.ask.curvature.creases import Edge, Unsettled, edge, follows
from jensen.ask.curvature.nearby import Near, Point
from jensen.ask.curvature.sides import across, leaves, sides
from jensen.ask.curvature.slopes import Changes
from jensen.ask.curvature.verdict import decide, kind_of, not_critical
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.ends import Ends, Wanted, ends, fitted, vector_bytes
from jensen.linalg.operators import Dense
from jensen.linalg.quadrature import Sampling

LIMIT = 3000  # up to so many parameters the matrix is formed
MEMORY = 2**31  # bytes for vectors
NEWTON = 3  # steps at most to the critical point nearby, each for one more matrix
STEPS = 32  # Lanczos steps of each probe for the index
SHARP = 16  # times the rounding is as narrow a band as can be counted
MARGIN = 4  # times the change over the Newton step: 2 is where Kantorovich's theorem ends, and where y^3 lies

Watch = Callable[[dict[str, Any]], None]


@differentiable()
def classify(
    cost: Cost,
    at: Mapping[str, Tensor] | None = None,
    of: str | Iterable[str] | None = None,
    symmetries: Any = None,
    tolerance: float | None = None,
    gradient: float = 1e-6,
    limit: int = LIMIT,
    failure: float = 1e-3,
    probes: int = 10,
    progress: Watch | None = None,
    seed: int = 0,
) -> Classification:
    """What kind of critical point, if it is one.

    Critical means that the gradient's norm is at most ``gradient`` times the spectral norm of the Hessian times
    max(1, norm of the parameters): then a relative step of that size along the stiffest direction would remove it. It
    has also to be no more than rounding along the flat directions, where no step removes it, and the Newton step to the
    critical point has to be short. All of it stays the same when J is multiplied by a positive number. At a point where
    kinks of J meet, its slopes across them decide first (Clarke 1975; ``jensen.ask.curvature.creases``).

    Up to ``limit`` parameters the Hessian is formed, and the eigenvalues below, within and above a band are counted exactly
    by inertia. The band is as narrow as rounding, and the change of the Hessian over the Newton step, allow. Beyond, counts
    have bounds: from below by Ritz values (certain), from above but for the probability ``failure``.

    Args:
        cost: The cost.
        at, of: Where, by default at the current parameters; and which blocks may move, by default all.
        symmetries: How many zero modes symmetry explains: a number, or an object with ``dimension``.
        tolerance: Eigenvalues up to this, relative to the spectral norm, count as zero; by default as few as rounding
            allows up to ``limit`` parameters, and 1e-3 beyond.
        gradient: See above.
        limit: The largest number of parameters for which the matrix is formed.
        failure: The allowed probability of having missed an eigenvalue, beyond ``limit``.
        probes: Random vectors for the 95 % interval of the index beyond ``limit``; 0 for none.
        progress: Called from time to time with a dict of figures.

    Raises:
        Misuse: For a question that cannot be asked like this, with the remedy.
    """
    start = time.perf_counter()
    _check(cost, limit, probes, seed, progress)
    _check_shares(tolerance, gradient, failure)
    point = _explained(nearby.point(cost, at, of, gradient), symmetries)
    small = point.operator.n <= limit
    ask = _formed if small else partial(_products, failure=failure, probes=probes, seed=seed)
    found = _judged(point, partial(ask, tolerance=tolerance, progress=progress), small)
    return replace(found, seconds=time.perf_counter() - start)


def _judged(point: Point, ask: Callable[[Point], tuple[Counts, Near, Point]], small: bool) -> Classification:
    """The kind of a point; where kinks meet that J climbs or descends at once, of the point along them."""
    counts, near, there = ask(point)
    near = _beyond(there, counts, near)
    if (seen := _edge(there, counts, near, small)) is not None:
        near = replace(near, edge=seen)
    if isinstance(seen, Crease):
        point = nearby.at_crease(there, seen)
        counts, near, there = ask(point)
        near = _beyond(there, counts, near)
    if there.at is point.at:
        point = replace(point, gradient=there.gradient, noise=there.noise)  # zero, where it was seen to be rounding
    point.operator.products = there.operator.products
    return _far(point, decide(point, counts, near))


def _check_shares(tolerance: Any, gradient: Any, failure: Any) -> None:
    for name, value in (("tolerance", tolerance), ("gradient", gradient), ("failure", failure)):
        if value is not None or name != "tolerance":
            share(name, value, "a natural scale")


def _check(cost: Any, limit: Any, probes: Any, seed: Any, progress: Any) -> None:
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    told(progress)
    if isinstance(limit, bool) or not isinstance(limit, Real) or not float(limit) >= 0:
        raise Misuse(f"limit={limit!r} must be a number of parameters, 0 or more")
    if isinstance(probes, bool) or not isinstance(probes, Integral) or not 0 <= int(probes) != 1:
        raise Misuse(f"probes={probes!r} must be 0, or two random vectors and more")
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise Misuse(f"seed={seed!r} must be a whole number; write seed=0, for example")


def _explained(point: Point, symmetries: Any) -> Point:
    """With the dimension of the orbit through the point: of the group, less that of its part that holds the point."""
    found = getattr(symmetries, "dimension", symmetries)
    if found is None:
        return point
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise Misuse(
            f"symmetries={symmetries!r}: give the number of zero modes that symmetry explains, or jensen.symmetries"
        )
    held = getattr(symmetries.stabiliser(point.at), "dimension", 0) if hasattr(symmetries, "stabiliser") else 0
    return replace(point, expected=max(found - held, 0))


def _formed(point: Point, tolerance: float | None, progress: Watch | None) -> tuple[Counts, Near, Point]:
    """Exact counts from the matrix; at the point, or a few steps of Newton's method from it if its distance blurs them."""
    best = counts, near, there = _at_one_point(point, tolerance, progress)
    travelled = 0.0
    for _ in range(NEWTON):
        if not near.blurred or near.move is None or counts.zero[1] <= point.expected:
            break
        travelled += near.step
        there = nearby.after(there, near.move)
        counts, near, there = _at_one_point(there, tolerance, progress)
        if not near.critical or near.step > nearby.FAR * point.length:
            break
        best = counts, replace(near, distance=travelled), there
    best[2].operator.products = there.operator.products
    return best


def _beyond(point: Point, c: Counts, near: Near) -> Near:
    """What second order cannot see: kinks, and falls along the directions that symmetry is said to explain."""
    if not near.critical:
        return near
    soft = near.soft if near.soft is not None else point.gradient[:, None][:, :0]
    least = min(max(abs(value), c.band) for value, _ in (c.lowest, c.highest))
    near = replace(near, kink=beyond.kink(point, c.norm, soft, least))
    if c.negative[0] and c.positive[0]:
        values = Changes(point)
        return replace(
            near, proven=near.kink > 0 and all(any(leaves(values, v, s) for v in soft.T) for s in (1.0, -1.0))
        )
    sign = -1.0 if c.negative[0] else 1.0
    if near.kink or kind_of(c, point.expected)[0] in ("minimum", "maximum"):
        seen = across(point, soft, sign) if point.crease else sides(point, near, sign, least, not c.zero[1])
        near = replace(near, sides=seen)
        if seen is None or seen.found.unread:
            near = replace(near, jump=beyond.jump(point))
    if near.flat is None or not near.flat.shape[1]:
        return near
    return replace(near, fall=beyond.fall(point, near.flat, sign))


def _edge(point: Point, c: Counts, near: Near, small: bool) -> Edge | None:
    """What J does to first order at kinks here, where torch's gradient or second order may not be all there is to say.

    Where J follows a gradient that is not zero, the point is no minimum and no maximum. Large networks are not read then.
    """
    if not near.critical:
        if not small and follows(point, c.norm):
            return None
        seen = edge(point, c.norm)
        return None if small and isinstance(seen, Unsettled) and follows(point, c.norm) else seen
    if near.distance or point.crease:
        return None
    at = near.sides
    bent = near.kink > 0 and not near.proven
    if bent or (at is not None and at.found and not at.harmless):
        return edge(point, c.norm)
    seen = edge(point, c.norm) if small and not_critical(point, c, near) else None
    return None if isinstance(seen, Unsettled) and seen.found is None else seen


def _at_one_point(point: Point, tolerance: float | None, progress: Watch | None) -> tuple[Counts, Near, Point]:
    """The band moves a little where an eigenvalue lies on its edge."""
    point, matrix = _matrix(point, progress)
    symmetric = (matrix + matrix.T) / 2
    found, _ = ends(Dense(symmetric), Wanted(1, 1, 1e-6))
    point = nearby.settled(point, found.norm)
    rounding = max(counting.rounding_of(matrix, point.operator.dtype), nearby.rounded(point))
    narrow = max(SHARP * rounding, (tolerance or 0.0) * found.norm, _bent(point))
    near = nearby.near(point, Dense(symmetric), found.norm, SHARP * rounding, steps=400)
    near = replace(near, blurred=MARGIN * near.change > narrow)
    counts = counting.from_matrix(symmetric, found, rounding, max(narrow, MARGIN * near.change))
    for factor in (1.3, 1.7, 2.2):
        if counts.exact:
            break
        counts = counting.from_matrix(symmetric, found, rounding, max(narrow, MARGIN * near.change) * factor)
    flat = counting.band_vectors(symmetric, counts.band) if point.expected and counts.zero[1] else None
    return counts, replace(near, soft=_outer(found), flat=flat), point


def _matrix(point: Point, progress: Watch | None) -> tuple[Point, Tensor]:
    """The matrix to be counted, and the point with the Hessian whole; along a crease one is made of the other."""
    if point.crease is None or point.matrix is None:
        matrix = counting.matrix_of(point.operator, progress)
        return (point if point.crease else replace(point, matrix=matrix)), matrix
    along = Along(Dense(point.matrix), point.crease)
    return point, along @ torch.eye(along.n, dtype=along.dtype)


def _bent(point: Point) -> float:
    return MARGIN * point.crease.bent if point.crease else 0.0


def _outer(found: Ends) -> Tensor:
    """The outermost eigenvectors."""
    return torch.cat([found.low_vectors, found.high_vectors], 1)


def _products(
    point: Point, tolerance: float | None, progress: Watch | None, failure: float, probes: int, seed: int
) -> tuple[Counts, Near, Point]:
    """Bounds of the counts from products."""
    tolerance = tolerance or 1e-3
    wanted = Wanted(max(5, min(point.expected + 1, 40)), 5, min(tolerance, 1e-3) / 2, failure, seed=seed)
    wanted = fitted(wanted, point.operator, MEMORY)
    report = None if progress is None else lambda state, figures: progress(figures)
    found, state = ends(point.operator, wanted, None, report)
    point = nearby.settled(point, found.norm)
    near = nearby.near(point, point.operator, found.norm, tolerance * found.norm)
    band = max(4 * found.noise, MARGIN * near.change, tolerance * found.norm, _bent(point), nearby.rounded(point))
    counts = counting.from_ends(found, state, band)
    flat = counting.band_ritz(state, band) if point.expected else None
    near = replace(near, soft=_outer(found), flat=flat)
    if counts.negative[1] and probes and near.critical:
        at_once = max(min(probes, 4, MEMORY // (2 * STEPS * vector_bytes(point.operator))), 1)
        plan = Sampling(probes, STEPS, at_once, wanted.seed)
        low, high = counting.share_negative(point.operator, found, state, band, plan)
        index = [max(counts.negative[0], math.floor(low * counts.n)), math.ceil(high * counts.n)]
        counts = replace(counts, figures={**counts.figures, "index_95": index})
    return counts, near, point


def _far(point: Point, found: Classification) -> Classification:
    """Where no critical point is near, whether J goes on falling towards infinity."""
    seen = outwards(point) if found.kind in ("not critical", "not converged") else None
    if seen is None:
        return found
    reason = (
        f"measured: {found.reason}; further out J falls on from {seen.values[0]:.6g} to {seen.values[-1]:.6g}, "
        f"{1 + AHEAD[-1]:g} times as far from the origin, and the gradient's norm from {seen.gradients[0]:.3g} to "
        f"{seen.gradients[-1]:.3g}"
    )
    statement = "No critical point: J goes on falling as the parameters grow (measured)."
    evidence = {
        **found.evidence,
        "ahead": list(seen.values),
        "gradients_ahead": list(seen.gradients),
        "came": seen.came,
    }
    settle = "a penalty on the parameters gives J a minimum; jensen.minima follows it further"
    return replace(found, kind="at infinity", statement=statement, reason=reason, settle=settle, evidence=evidence)
