"""Whether a point that is no critical point lies on the way to infinity: J goes on falling, ever less, and ends nowhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.curvature.nearby import Point, norm_of
from jensen.ask.curvature.slopes import after, rounding, value_after

AHEAD = (1.0, 3.0, 7.0, 15.0, 31.0, 63.0)  # how far J is followed, in lengths of the point
BACK = (0.0, *(2.0**-k for k in range(16, 0, -1)))  # where J is asked on the way here, as parts of the point
FLATTER = 0.95  # from place to place the gradient has to shrink at least so much
LEFT = 1e-3  # of the fall on the way here: what is left of it ahead


@dataclass(frozen=True)
class Afar:
    """What was seen along a way out.

    Attributes:
        values: J here and at the places ahead; ``gradients`` are the gradient's norms there.
        came: By how much J fell from its highest on the straight way from the origin.
    """

    values: tuple[float, ...]
    gradients: tuple[float, ...]
    came: float


def outwards(point: Point) -> Afar | None:
    """Whether J falls along the point's own direction, or against its gradient, without coming to a critical point.

    At every place ahead J may not be higher than before, its slope not turn, and the gradient's norm has to shrink. What J
    still falls by must be little beside what it fell by from near the origin: a point that is only on its way down, where a
    minimum may come, is not called one at infinity. It is a measurement, and no proof: nothing is known beyond the last place.
    """
    flat = point.operator.inner.flat
    here = flat.join({n: point.at[n].detach().to("cpu", torch.float64) for n in flat.shapes})
    gradient = point.gradient.to("cpu", torch.float64)
    size, length = norm_of(gradient), norm_of(here)
    if size == 0.0 or length == 0.0:
        return None
    for way in (here / length, -gradient / size):
        if float(way @ gradient) >= 0:
            continue
        seen = _along(point, here, way, length)
        if seen is not None:
            return seen
    return None


def _along(point: Point, here: Tensor, way: Tensor, length: float) -> Afar | None:
    values, sizes = [], []
    for t in (0.0, *AHEAD):
        j, g = after(point, t * length * way)
        if not math.isfinite(j) or (values and j > values[-1] + rounding(point, j, values[0])):
            return None
        if float(way @ g) > 0 or (sizes and norm_of(g) > FLATTER * sizes[-1]):
            return None
        values.append(j)
        sizes.append(norm_of(g))
    back = [j for j in (value_after(point, (s - 1.0) * here) for s in BACK) if math.isfinite(j)]
    came = max(back, default=values[0]) - values[0]
    return Afar(tuple(values), tuple(sizes), came) if came > 0 and values[0] - values[-1] <= LEFT * came else None
