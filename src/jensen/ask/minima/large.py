"""What ends are beyond the size at which all Hessians are formed: ``jensen.classify``, after what can be told from gradients.

Where second order does not settle it, the Hessian of that one point is formed up to a few thousand parameters, and J is looked
at beyond second order along its null directions.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature.classify import classify
from jensen.ask.minima import saturated
from jensen.ask.minima.judge import NEAR, SURE, Judged, judge, meets
from jensen.ask.minima.newton_cg import cg_step
from jensen.ask.minima.polish import EPS, Path, first, scale_of
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.population import Population

UNSETTLED = ("degenerate", "not converged")  # kinds that orders beyond the second may settle
FORMED = 3000  # parameters
POWERS = 10  # steps towards a Hessian's norm
NORMS = ("norm", "band", "exact", "failure", "newton_step", "slope", "method")


def judge_large(
    cost: Cost, population: Population, path: Path, heights: Tensor, bound: float | None, expected: int
) -> list[Judged]:
    """What the ends of some paths are; see :func:`jensen.ask.minima.judge.judge`."""
    values, slopes, noise = first(population, path.points)
    asleep = saturated.asleep(population, path.points) & ~path.done
    errors = cache(lambda: (8 * noise[0] + _away(population, path.points, slopes)).tolist())
    out = []
    for i in range(len(path.points)):
        value, size, error = float(values[i]), float(slopes[i].norm()), 8 * float(noise[0][i])
        evidence: dict[str, Any] = {"noise": [float(noise[0][i]), float(noise[1][i])], "bound": bound}
        evidence |= {"polish_steps": int(path.taken[i]), "length": float(path.points[i].norm())}
        if not torch.isfinite(values[i]) or not bool(torch.isfinite(slopes[i]).all()):
            found = "not converged", "", 0, 0, "J or its gradient is not a finite number there"
        elif bool(path.drift[i] | asleep[i]):
            reason = "measured: steps did not shrink, J fell with each of them and still does further ahead"
            found = "at infinity", "", 0, 0, f"{reason}; no critical point was found"
        elif bound is not None and bool(path.done[i]) and meets(value, float(heights[i]), bound, errors()[i]):
            found = "minimum", "global", 0, 0, f"J meets its lower bound {bound:g}"
        else:
            found, more = _asked(cost, population, path.points[i], expected)
            evidence |= more
            if found[0] == "not critical" and not bool(path.done[i]):
                found = ("not converged", *found[1:])  # the steps were used up
            elif found[0] in UNSETTLED and population.n <= FORMED:
                out.append(judge(population, path.row(i), heights[i : i + 1], bound, expected)[0])
                continue
        kind, how, index, zero, reason = found
        out.append(Judged(kind, how, value, error, size, index, zero, reason, evidence))
    return out


def _away(population: Population, points: Tensor, slopes: Tensor) -> Tensor:
    """How far J may be above its value where Newton's step and the rounding of the point lead, (k,).

    Zero where a direction of negative curvature or a long step shows that the point has not arrived: there it excuses nothing.
    """
    scale = scale_of(points)
    step = cg_step(population, points, slopes, NEAR * scale)[0].norm(dim=1)
    away = SURE * EPS * scale + step
    raised = _norms(population, points) * away**2 + slopes.norm(dim=1) * away
    return torch.where(step < 0.999 * NEAR * scale, raised, 0.0)


def _norms(population: Population, points: Tensor) -> Tensor:
    """The Hessians' norms by some power steps, (k,)."""
    way = torch.randn(points.shape, dtype=points.dtype, generator=torch.Generator().manual_seed(0)).to(points.device)
    size = way.norm(dim=1)
    for _ in range(POWERS):
        way = population.products(points, way / size.clamp(min=1e-300)[:, None])
        size = way.norm(dim=1)
    return size


def _asked(
    cost: Cost, population: Population, point: Tensor, expected: int
) -> tuple[tuple[str, str, int, int, str], dict[str, Any]]:
    """The answer of classify."""
    theta = {n: t[0].cpu() for n, t in population.blocks(point[None]).items()}
    try:
        c = classify(cost, theta, symmetries=expected or None, probes=0)
    except Misuse as e:
        return ("not converged", "", 0, 0, f"its kind cannot be asked: {e}"), {}
    how = ("symmetry" if c.zero_modes else "strict") if c.kind in ("minimum", "maximum", "saddle") else ""
    reason = f"{c.reason}; {c.settle}" if c.settle else c.reason
    figures = {n: c.evidence[n] for n in NORMS if n in c.evidence}
    figures["lowest"] = [float(c.evidence["lowest"]["value"])]
    return (c.kind, "strict" if c.kind == "saddle" else how, c.index, c.zero_modes, reason), figures
