"""What a classification says of kinks, jumps and falls beyond second order."""

from __future__ import annotations

from typing import Any

from jensen.ask.curvature.crease import Crease
from jensen.ask.curvature.creases import Unsettled
from jensen.ask.curvature.nearby import Near
from jensen.ask.curvature.sides import Sides

UNSURE = "A point on a kink or a jump of J: whether it is a critical point is not settled."
OFF = "a smooth activation or penalty, a point off the kink, or a proof that J is convex (jensen.check)"


def not_smooth(near: Near) -> tuple[str, str, str] | None:
    """Kind, reason and what would settle it, where second order does not; None where it may speak."""
    if near.proven:
        return None
    at: Sides = near.sides or Sides()
    if near.jump and not at.found:
        return "degenerate", f"J jumps here, by {near.jump:.3g} along a direction that was tried", OFF
    if at.harmless or (near.kink == 0.0 and not at.found):
        return None if near.fall == 0.0 else _falls(near)
    bent = (
        f"at a tiny distance it bends by {near.kink:.3g} more than its Hessian, which cannot tell" if near.kink else ""
    )
    if not at.found:
        return "degenerate", f"J has a kink here: {bent}", OFF
    if at.fall:
        seen = f"J changes by {at.fall:.3g} to the wrong side along a direction across it (measured at two distances)"
        return "degenerate", f"J has a kink or a jump exactly here ({at.found}): {seen}", OFF
    seen = (
        bent
        or "the Hessian is that of one of its sides, and that no direction that was tried leads down proves nothing"
    )
    return "degenerate", f"J has a kink or a jump exactly here ({at.found}): {seen}", OFF


def on_edge(edge: Unsettled, size: float) -> tuple[str, str, str]:
    """Kind, reason and what would settle it, where the gradient leads away, but is one of kinks and not J's."""
    what = f"a kink or a jump exactly here ({edge.found})" if edge.found else "operations that cannot be read here"
    seen = f"J has {what}: torch's gradient, of norm {size:.3g}, is one of many, and J was not seen to follow it"
    return "degenerate", seen, OFF


def climbs(crease: Crease) -> str:
    """What J does across the kinks of a crease."""
    ways = [(verb, n) for verb, n in (("rises", crease.up), ("falls", crease.down)) if n]
    return " and ".join(f"{verb} in {n} direction{'s' if n > 1 else ''}" for verb, n in ways)


def across(crease: Crease | None) -> dict[str, Any]:
    """The figures of a crease; of none where there is none."""
    if crease is None:
        return {}
    return {"crease": {"rises": crease.up, "falls": crease.down, "slope": _slope(crease)}}


def _slope(crease: Crease) -> float:
    """By how much J rises or falls at least across a kink, for each unit of the distance from it."""
    return float((crease.heights.abs() * (1 - crease.shares.abs())).min())


def _at_crease(crease: Crease, kind: str, reason: str, settle: str) -> tuple[str, str, str]:
    """The kind, with what J does across the kinks that meet here."""
    told = f"J {climbs(crease)} across the kinks here ({crease.found}), by {_slope(crease):.3g} of the distance or more"
    return kind, told if kind == "saddle" else f"{told}; along them {reason}", settle


def _falls(near: Near) -> tuple[str, str, str]:
    reason = f"J changes by {near.fall:.3g} to the wrong side along directions without curvature, which symmetry does not explain"
    return (
        "degenerate",
        reason,
        "terms of third and fourth order along these directions, or the number of zero modes here",
    )


def with_kinks(near: Near, kind: str, reason: str, settle: str, crease: Crease | None = None) -> tuple[str, str, str]:
    """The kind, with what its reason has to say of kinks that do not change it."""
    if crease is not None:
        return _at_crease(crease, kind, reason, settle)
    if near.proven:
        reason += ", and J itself falls along an eigenvector and rises along another; J has a kink here: its Hessian is one side's"
    elif kind in ("minimum", "maximum") and (near.sides is None or near.sides.found.unread):
        unread = near.sides and f", for {', '.join(near.sides.found.unread)} cannot be read"
        reason += f"; whether J is smooth here was looked at along sampled directions alone{unread or ''}"
    elif near.sides is not None and near.sides.found:
        reason += f"; nor on any other side of the kinks here ({near.sides.found})"
    return kind, reason, settle


def looked(near: Near) -> dict[str, Any]:
    """What was looked at: each operation's inputs (which, and what its sides do), or J at sampled points alone."""
    found = near.edge.found if isinstance(near.edge, Unsettled) else None
    at: Sides | None = near.sides or (Sides(found) if found else None)
    if at is None:
        return {"looked": "samples"}
    by = "operations and samples"
    if at.found.unread:
        by = f"samples, and operations but {', '.join(at.found.unread)}"
    return {"looked": by, "found": at.found.counts, "fall": at.fall, "harmless": at.harmless}
