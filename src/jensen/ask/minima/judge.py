"""What each end of a stack is: minimum, saddle, degenerate, at infinity, or no critical point at all.

Every threshold is relative to a measured scale: rounding of J and of its gradient at the point, the spectral norm, the
length of the point. Nothing is called a minimum on a semidefinite Hessian alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from jensen.ask.minima import infinity, saturated
from jensen.ask.minima.counts import Counts, count
from jensen.ask.minima.higher import Reduced, Turned, reduced
from jensen.ask.minima.kinks import kinks
from jensen.ask.minima.polish import EPS, Local, Path, look, scale_of
from jensen.linalg.population import Population

NEAR = 1e-7  # of the point's length: a Newton step that is longer has not arrived
MEETS = 1e-14  # of the fall from the start (of its root): J is this near to a bound that it cannot pass

VANISHED, LONG = 1e-10, 1e-3  # of the fall: a curvature that has gone; of the point's length: a step that is long
FLAT = 1e-3  # the share of a gradient's norm that may change over the point's length where it is called flat
BENDS = 2.5  # a power that a smooth J cannot have where its Hessian is zero
SURE = 4.0  # times the rounding of the point: what may be left to the minimum
REAL = 8.0  # times the rounding: a slope along null directions is one

SETTLE = "a term of higher order that falls, or a lower bound that J meets (lower=...), would settle it"


@dataclass(frozen=True)
class Judged:
    """What one end is; ``lower`` is a point below it where J was seen to fall beyond second order."""

    kind: str
    how: str
    value: float
    error: float
    gradient_norm: float
    index: int
    zero_modes: int
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    lower: Tensor | None = None


@dataclass
class View:
    """A stack at its ends, with everything that was measured of it at once."""

    population: Population
    path: Path
    local: Local
    counts: Counts
    asleep: Tensor
    kink: Tensor
    heights: Tensor  # J where the runs started
    bound: float | None
    expected: int


def judge(population: Population, path: Path, heights: Tensor, bound: float | None, expected: int) -> list[Judged]:
    """What the ends of some paths are.

    Args:
        population: J.
        path: How the polishing of k points went.
        heights: J where the runs started, (k,), as the scale of J.
        bound: What J is never below.
        expected: So many zero modes are explained by symmetry.
    """
    points = path.points
    local = look(population, points)
    counts = count(population, points, local)
    asleep = saturated.asleep(population, points)
    kink = kinks(population, points, local)
    view = View(population, path, local, counts, asleep, kink, heights, bound, expected)
    return [_one(view, i) for i in range(len(points))]


def _one(v: View, i: int) -> Judged:
    kind, how, reason, more = (
        _nowhere(v, i) or _far(v, i) or _unsmooth(v, i) or _not_there(v, i) or _curved(v, i) or _flat(v, i)
    )
    lower = more.pop("point", None)
    c, low = v.counts, v.local.low[i]
    evidence = {
        "lowest": [float(t) for t in low[:3]],
        "highest": float(low[-1]),
        "band": float(c.band[i]),
        "newton_step": float(c.newton[i]),
        "slope": float(c.slope[i]),
        "noise": [float(v.local.noise[0][i]), float(v.local.noise[1][i])],
        "length": float(v.path.points[i].norm()),
        "polish_steps": int(v.path.taken[i]),
        "explained": v.expected,
        "bound": v.bound,
        **more,
    }
    index, zero = int(c.negative[i].sum()), int(c.null[i].sum())
    value, size = float(v.local.values[i]), float(v.local.slopes[i].norm())
    return Judged(kind, how, value, 8 * float(v.local.noise[0][i]), size, index, zero, reason, evidence, lower)


Answer = tuple[str, str, str, dict[str, Any]]


def _nowhere(v: View, i: int) -> Answer | None:
    if torch.isfinite(v.local.values[i]) and bool(torch.isfinite(v.local.slopes[i]).all()):
        return None
    return "not converged", "", "J or its gradient is not a finite number there", {}


def _far(v: View, i: int) -> Answer | None:
    """Where the parameters go on growing."""
    if bool(v.asleep[i]):
        reason = "a slope that is far above its own rounding goes on falling with the distance: J has a tail there"
        return "at infinity", "", f"measured: {reason}, and no critical point was found", {}
    if _vanished(v, i):
        reason = "J fell to its lower bound in steps that did not shrink, and its curvature vanished with it"
        return "at infinity", "", f"measured: {reason}: the bound is approached, not met", {}
    if not bool(v.path.drift[i]):
        return None
    way = float((v.path.points[i] - v.path.trail[i, 0]).norm())
    reason = (
        f"measured: the last {len(v.path.lengths[i])} steps did not shrink (together {way:.3g}), J fell with each of them and "
        f"still does {infinity.AHEAD[-1]:g} times as far ahead; no critical point was found"
    )
    figures = {
        "lengths": v.path.lengths[i].tolist(),
        "ahead": v.path.ahead[i].tolist(),
        "values": v.path.values[i].tolist(),
    }
    return "at infinity", "", reason, figures


def _vanished(v: View, i: int) -> bool:
    """Whether J, its gradient and its curvature have become nothing, but not zero, on the way from afar."""
    if v.bound is None or int(v.path.taken[i]) < 3 or not float(v.local.slopes[i].norm()) > 0:
        return False
    fall, scale = float(v.heights[i]) - v.bound, float(scale_of(v.path.points[i : i + 1])[0])
    low = float(v.local.values[i]) - v.bound <= MEETS * fall
    flat = float(v.counts.norm[i]) * scale**2 <= VANISHED * fall
    return low and flat and float(v.path.lengths[i, -3:].min()) >= LONG * scale


def _unsmooth(v: View, i: int) -> Answer | None:
    if float(v.kink[i]) == 0.0:
        return None
    if _meets(v, i):
        return "minimum", "global", f"J meets its lower bound {v.bound:g}, at a kink", {}
    text = f"J has a kink here: at a tiny distance it changes by {float(v.kink[i]):.3g} more than second order says"
    return "degenerate", "kink", f"{text}; a smooth activation or penalty, or a point off the kink, would settle it", {}


def _not_there(v: View, i: int) -> Answer | None:
    """Where a slope is left that is more than rounding."""
    scale = float(scale_of(v.path.points[i : i + 1])[0])
    parts, low, null = v.local.parts[i], v.local.low[i], v.counts.null[i]
    size, turn = float(v.local.slopes[i].norm()), float((parts * low).norm())
    if bool(v.path.done[i]) and size > REAL * float(v.local.noise[1][i]) and turn * scale <= FLAT * size**2:
        text = f"the gradient's norm {size:.3g} has a minimum here that is not zero: the Hessian takes it to {turn:.2g}"
        return "not critical", "gradient-flat", text, {}
    if float(v.counts.newton[i]) > NEAR * scale:
        text = f"the Newton step that is left has length {float(v.counts.newton[i]):.3g}: more steps would be needed"
        return "not converged", "", text, {}
    real = null & (parts.abs() > REAL * float(v.local.noise[1][i])) & (parts.abs() > NEAR * scale * low.abs())
    if not bool(real.any()):
        return None
    text = f"a slope of {float(v.counts.slope[i]):.3g} is left along directions without curvature"
    return "not converged", "", f"{text}: more steps would be needed", {}


def _curved(v: View, i: int) -> Answer | None:
    """What the Hessian alone can tell."""
    negative, null, positive = (int(t[i].sum()) for t in (v.counts.negative, v.counts.null, v.counts.positive))
    if negative and positive:
        return "saddle", "strict", f"{negative} eigenvalues are negative and {positive} positive", {}
    if negative and null <= v.expected:
        return "maximum", "strict" if not null else "symmetry", "no eigenvalue is positive", {}
    if null:
        return None
    how = "global" if _meets(v, i, regular=True) else "strict"
    return "minimum", how, f"all eigenvalues are above {float(v.counts.band[i]):.3g}", {}


def _meets(v: View, i: int, regular: bool = False) -> bool:
    """Whether J meets its bound as nearly as can be told; at a regular minimum that is what rounding of the point explains."""
    scale, slope = float(scale_of(v.path.points[i : i + 1])[0]), float(v.local.slopes[i].norm())
    step = 0.0 if float(v.kink[i]) else float(v.counts.newton[i])  # at a kink it tells nothing
    away = SURE * EPS * scale + step
    error = 8 * float(v.local.noise[0][i]) + float(v.counts.norm[i]) * away**2 + slope * away
    height = v.bound or 0.0 if regular else float(v.heights[i])
    return meets(float(v.local.values[i]), height, v.bound, error)


def meets(value: float, height: float, bound: float | None, error: float) -> bool:
    """Whether a value is its bound, but for its error and a part of the fall from a height that cannot be told.

    Where J is a sum of squares these are known to ``MEETS`` each. A value below it shows that the bound is none.
    """
    return bound is not None and abs(value - bound) <= max(MEETS**2 * (height - bound), error)


def _flat(v: View, i: int) -> Answer:
    """A semidefinite Hessian with null directions: the bound, or what is beyond second order.

    Where its other eigenvalues are negative, -J is looked at.
    """
    null = v.counts.null[i]
    d = int(null.sum())
    if bool(v.counts.negative[i].any()):
        return _top(v, i, d)
    if _meets(v, i):
        return "minimum", "global", f"J meets its lower bound {v.bound:g}; {d} directions are flat", {}
    r = reduced(v.population, v.path.points[i], _here(v, i), null)
    return (*_beyond(r, d, v.expected, bool(null.all())), {"reduced": r.figures, "point": r.lower})


def _top(v: View, i: int, d: int) -> Answer:
    """Negative eigenvalues and null ones: a maximum, if it is one beyond second order too."""
    here = _here(v, i)
    turned = replace(here, values=-here.values, slopes=-here.slopes, low=-here.low)
    r = reduced(Turned(v.population), v.path.points[i], turned, v.counts.null[i])
    kind, how, reason = _beyond(r, d, v.expected, False)
    kind = "maximum" if kind == "minimum" else kind
    reason = reason.replace(SETTLE, "a term of higher order that falls would settle it")  # bounds are from below
    return kind, how, reason.replace("J", "-J").replace("negative", "positive"), {"reduced": r.figures}


def _here(v: View, i: int) -> Local:
    return Local(*(_row(getattr(v.local, f.name), i) for f in fields(Local)))


def _row(kept: Any, i: int) -> Any:
    return tuple(t[i : i + 1] for t in kept) if isinstance(kept, tuple) else kept[i : i + 1]


def _beyond(r: Reduced, d: int, expected: int, all_null: bool) -> tuple[str, str, str]:
    where = f"along {d} null directions of a Hessian without negative eigenvalues ({r.lines} lines probed)"
    if r.verdict == "flat":
        how = "symmetry" if d <= expected else "flat"
        text = f"measured: {where}, J and the vanishing of its gradient do not change: equal critical points"
        if r.onset < math.inf:
            text += f", up to kinks of J of which the nearest was met at {r.onset:.2g} of the point's length"
        return "minimum", how, text
    if r.verdict == "falls":
        if r.order is not None and r.order < 1.5:
            return "degenerate", "kink", f"measured: {where}, J falls in proportion to the distance: a kink"
        if r.everywhere and all_null:  # nowhere does J rise: a maximum, if there is but one line
            kind, how = ("maximum", "higher order") if d == 1 else ("degenerate", "falls")
            return kind, how, f"measured: {where}, J falls like the power {r.order or 0:.2g} of the distance both ways"
        return "saddle", "higher order", f"measured: {where}, J falls like the power {r.order or 0:.2g} of the distance"
    if r.verdict == "rises" and d == 1:
        return "minimum", "higher order", f"measured: {where}, J rises like the power {r.order or 0:.2g} both ways"
    if r.verdict.startswith("rises") and r.order is not None and r.order < BENDS:
        text = f"J rises like the power {r.order:.2g} of the distance, where the Hessian has no curvature: a kink"
        return "degenerate", "kink", f"measured: {where}, {text}"
    grows = f" (like the power {r.order:.2g})" if r.order else ""
    return "degenerate", r.verdict, f"measured: {where}, J {r.verdict}{grows}; {SETTLE}"
