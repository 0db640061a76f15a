"""What counts, slopes and kinks at a point make it: its kind, the reason, and what would settle it; each rule once."""

from __future__ import annotations

from dataclasses import replace

import torch

from jensen.ask.curvature import kink_words as words
from jensen.ask.curvature import nearby
from jensen.ask.curvature.answers import Classification
from jensen.ask.curvature.counts import Counts
from jensen.ask.curvature.crease import Crease
from jensen.ask.curvature.creases import Unsettled
from jensen.ask.curvature.nearby import Near, Point

SLOPE = 1e-11  # of the gradient's natural scale: a slope along flat directions that is more than rounding
POLISH = "minimise further in float64, for example with L-BFGS or Newton's method, and ask again"


def decide(point: Point, c: Counts, near: Near) -> Classification:
    size = nearby.norm_of(point.gradient)
    allowed, along = point.allowed * c.norm * point.length, _along(c, point.crease)
    evidence = {
        "gradient_allowed": allowed,
        "norm": c.norm,
        "band": c.band,
        "negative": list(along.negative),
        "zero": list(c.zero),
        "positive": list(along.positive),
        "exact": c.exact,
        "failure": c.failure,
        "lowest": {"value": along.lowest[0], "bound": along.lowest[1]},
        "highest": {"value": along.highest[0], "bound": along.highest[1]},
        "explained": min(point.expected, c.zero[1]),
        "distance": near.distance,
        "newton_step": near.step,
        "slope": near.slope,
        "change": near.change,
        "kink": near.kink,
        "fall": near.fall,
        "kinks": words.looked(near),
        "rounding": c.rounding,
        "parameters": c.n,
        "value": point.value,
        "products": point.operator.products,
        "method": c.method,
        **c.figures,
        **words.across(point.crease),
    }
    left = not_critical(point, c, near)
    unsure = left is not None and isinstance(near.edge, Unsettled)
    kind, reason, settle = (
        (words.on_edge(near.edge, size) if unsure else left)
        or words.not_smooth(near)
        or _blurred(point, c, near)
        or words.with_kinks(near, *kind_of(c, point.expected), point.crease)
    )
    statement = words.UNSURE if unsure else _statement(kind, along, point.expected, near.distance, point.crease)
    return Classification(kind, c.negative[0], size, c.zero[0], evidence, statement, reason, settle)


def _along(c: Counts, crease: Crease | None) -> Counts:
    """The counts and ends along a crease, without the directions across it."""
    if crease is None:
        return c
    down, up = (tuple(max(t - k, 0) for t in r) for r, k in ((c.negative, crease.down), (c.positive, crease.up)))
    return replace(c, negative=down, positive=up, lowest=crease.lowest, highest=crease.highest)


def not_critical(point: Point, c: Counts, near: Near) -> tuple[str, str, str] | None:
    """Kind, reason and what would settle it, where the gradient leads away; None elsewhere."""
    size, allowed = nearby.norm_of(point.gradient), point.allowed * c.norm * point.length
    if size > allowed:
        reason = f"the gradient's norm {size:.3g} exceeds {allowed:.3g}, {point.allowed:g} of its natural scale"
        return "not critical", reason, POLISH
    if near.slope > _slope(point, c) and c.failure == 0:
        reason = f"the gradient has norm {near.slope:.3g} along directions without curvature: no critical point is near"
        return "not critical", reason, POLISH
    if near.step > nearby.FAR * point.length:
        reason = f"the Newton step to a critical point has length {near.step:.3g}, far beyond where second order holds"
        return "not critical", reason, POLISH
    return None


def _slope(point: Point, c: Counts) -> float:
    """The largest slope along directions in the band that can be rounding."""
    return max(SLOPE, 100 * torch.finfo(point.operator.dtype).eps) * c.norm * point.length


def _blurred(point: Point, c: Counts, near: Near) -> tuple[str, str, str] | None:
    """Not near enough to the critical point to tell its small eigenvalues from zero; a saddle is one all the same."""
    if c.negative[0] and c.positive[0]:
        return None
    if near.blurred and c.zero[1] > point.expected:
        reason = (
            f"{_range(c.zero)} eigenvalues are smaller than {c.band:.3g}, which is how much the Hessian changes on the way "
            f"to the critical point, {near.step:.3g} from here"
        )
        return "not converged", reason, POLISH
    if near.slope > _slope(point, c):
        reason = (
            f"the gradient has norm {near.slope:.3g} along directions of curvature below {c.band:.3g}, which leads on"
        )
        return "not converged", reason, POLISH
    return None


def kind_of(c: Counts, expected: int) -> tuple[str, str, str]:
    """Kind, reason, and what would settle it."""
    sure = "" if c.failure == 0 else f", but for a probability of {c.failure:g}"
    exact = "" if c.failure == 0 else f"limit={c.n} forms the matrix and counts exactly"
    if c.negative[0] and c.positive[0]:
        return "saddle", f"the Hessian has eigenvalues below -{c.band:.3g} and above {c.band:.3g}", ""
    for kind, none, some in (("minimum", c.negative, c.positive), ("maximum", c.positive, c.negative)):
        if none[1] == 0 and some[0] and c.zero[1] <= expected:
            side = "below" if kind == "minimum" else "above"
            if c.zero[1]:
                text = f"no eigenvalue lies {side} the band of {c.band:.3g} around zero{sure}; symmetry explains those within"
            else:
                text = f"no eigenvalue lies {side} or in the band of {c.band:.3g} around zero{sure}"
            return kind, text, exact
    if c.zero[0] > expected and (c.negative[1] == 0 or c.positive[1] == 0):
        count = c.zero[0] - expected
        reason = (
            f"{count} eigenvalues within {c.band:.3g} of zero are not explained by symmetry: second order cannot tell"
        )
        return (
            "degenerate",
            reason,
            (
                "symmetries=... where symmetry explains them; terms of third and fourth order along these directions; "
                "or jensen.check: every critical point of a cost that is proved convex is a global minimum"
            ),
        )
    return "not converged", f"the counts are not settled: {_counts(c)}", exact or "a wider tolerance, or another point"


def _range(r: tuple[int, int]) -> str:
    return str(r[0]) if r[0] == r[1] else f"{r[0]} to {r[1]}"


def _counts(c: Counts) -> str:
    negative, zero, positive = _range(c.negative), _range(c.zero), _range(c.positive)
    return f"{negative} eigenvalues below -{c.band:.3g}, {zero} within, {positive} above {c.band:.3g}"


def _statement(kind: str, c: Counts, expected: int, distance: float, crease: Crease | None) -> str:
    sure = "" if c.failure == 0 else f" (no eigenvalue was missed, but for a probability of {c.failure:g})"
    index = c.negative[0] + (crease.down if crease else 0)
    names = {
        "saddle": f"A saddle of index {index}"
        if c.negative[0] == c.negative[1]
        else f"A saddle of index at least {index}",
        "minimum": "A strict local minimum" if not c.zero[1] else "A local minimum, strict but for its symmetries",
        "maximum": "A strict local maximum" if not c.zero[1] else "A local maximum, strict but for its symmetries",
        "degenerate": "A degenerate critical point",
        "not critical": "Not a critical point",
        "not converged": "A critical point whose kind is not settled",
    }
    explained = f", {min(expected, c.zero[1])} of the zero ones by symmetry" if expected and c.zero[1] else ""
    where = f", at the point {distance:.3g} from here to which Newton's method leads" if distance else ""
    kinked = f", along the kinks here; J {words.climbs(crease)} across them" if crease else ""
    return f"{names[kind]}{where}: {_counts(c)}{kinked}{explained}{sure}."
