"""A polyline of low cost by the nudged elastic band (Henkelman and Jónsson 2000; for networks Draxler et al. 2018).

Corners are drawn down by the part of -grad J across the band and kept apart by springs along it; the highest corner
climbs along the band, so that it ends at a saddle (Henkelman, Uberuaga and Jónsson 2000). The motion is FIRE (Bitzek et
al. 2006), which needs no step size from the user. Where J is highest inside a part of the band, corners are added.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Gradient = Callable[[Tensor], tuple[float, Tensor]]

SPRING = 1.0  # in units of the forces' size over the spacing of the corners
ROUNDS = 3  # between two of them corners are added
NEAR = 0.1  # of a part: a corner is nearby
STILL = 1e-6  # of the strongest force: then the band is at rest
CLIMB = 0.5  # of a round: from then on the highest corner climbs


def band(
    gradient: Gradient, corners: list[Tensor], steps: int, highest: Callable[[list[Tensor]], float]
) -> tuple[list[Tensor], int]:
    """A lower band from given corners (at least three, the ends first and last), and how many gradients it took.

    Args:
        gradient: J and its gradient at a flat vector.
        corners: Flat vectors (n,).
        steps: Of each round.
        highest: The t in [0, 1] at which J is highest on the polyline of some corners.
    """
    spent = 0
    ends = tuple(gradient(x)[0] for x in (corners[0], corners[-1]))
    for k in range(ROUNDS):
        x = torch.stack(corners)
        x, used = _relax(gradient, x, ends, steps)
        spent += used
        corners = list(x)
        if k < ROUNDS - 1:
            corners = _with_corner(corners, highest(corners))
    return corners, spent


def _with_corner(corners: list[Tensor], t: float) -> list[Tensor]:
    """One more corner at t; where there is one nearby, one halfway to each of its neighbours."""
    parts = len(corners) - 1
    k = min(int(t * parts), parts - 1)
    s = t * parts - k
    if NEAR < s < 1 - NEAR:
        return [*corners[: k + 1], (1 - s) * corners[k] + s * corners[k + 1], *corners[k + 1 :]]
    k = min(max(k + round(s), 1), parts - 1)
    before, here, after = corners[k - 1 : k + 2]
    return [*corners[:k], (before + here) / 2, here, (here + after) / 2, *corners[k + 1 :]]


def _relax(gradient: Gradient, x: Tensor, ends: tuple[float, ...], steps: int) -> tuple[Tensor, int]:
    """FIRE on the forces of the band; of all bands on the way the one whose highest corner was lowest."""
    velocity = torch.zeros_like(x)
    pace, mix, good = 0.0, 0.1, 0
    best, kept, largest, spent, strongest = float("inf"), x, 0.0, 0, 0.0
    for step in range(steps):
        spent += len(x) - 2
        found = [gradient(c) for c in x[1:-1]]
        values = torch.tensor([ends[0], *(j for j, _ in found), ends[1]], dtype=x.dtype)
        top = values.max().item()
        if not torch.isfinite(values).all():
            x, velocity, pace, largest = kept.clone(), torch.zeros_like(x), pace / 4, largest / 4
            continue
        if top < best:
            best, kept = top, x.clone()
        force = _forces(x, values, torch.stack([g for _, g in found]), climb=step > CLIMB * steps)
        strongest = max(strongest, _norm(force))
        if _norm(force) <= STILL * strongest:
            break
        if pace == 0.0:
            pace = _first_pace(x, force)
            largest = 20 * pace
        power = (force * velocity).sum().item()
        if power > 0:
            velocity = (1 - mix) * velocity + mix * _norm(velocity) / max(_norm(force), 1e-300) * force
            good += 1
            if good > 5:
                pace, mix = min(pace * 1.1, largest), mix * 0.99
        else:
            velocity, pace, mix, good = torch.zeros_like(x), pace * 0.5, 0.1, 0
        velocity = velocity + pace * force
        x = x + _capped(pace * velocity, x)
    return kept, spent


def _norm(t: Tensor) -> float:
    return torch.linalg.vector_norm(t).item()


def _first_pace(x: Tensor, force: Tensor) -> float:
    """A pace at which the first step is a hundredth of the spacing."""
    spacing = torch.linalg.vector_norm(x[1:] - x[:-1], dim=1).mean().item()
    strongest = torch.linalg.vector_norm(force, dim=1).max().item()
    return (0.01 * spacing / max(strongest, 1e-300)) ** 0.5


def _capped(step: Tensor, x: Tensor) -> Tensor:
    """Steps no longer than a fifth of the spacing of the corners."""
    limit = 0.2 * torch.linalg.vector_norm(x[1:] - x[:-1], dim=1).mean()
    lengths = torch.linalg.vector_norm(step, dim=1, keepdim=True)
    return step * torch.clamp(limit / lengths.clamp_min(1e-300), max=1.0)


def _forces(x: Tensor, values: Tensor, gradients: Tensor, climb: bool) -> Tensor:
    """(corners, n): zero at the ends."""
    out = torch.zeros_like(x)
    top = int(values.argmax())
    pull = gradients.norm(dim=1).mean()
    ahead, behind = x[2:] - x[1:-1], x[1:-1] - x[:-2]
    spacing = (x[1:] - x[:-1]).norm(dim=1)
    for k in range(1, len(x) - 1):
        tangent = _tangent(ahead[k - 1], behind[k - 1], values[k - 1 : k + 2])
        g = gradients[k - 1]
        along = (g @ tangent) * tangent
        if climb and k == top:
            out[k] = -g + 2 * along
            continue
        spring = SPRING * pull * (spacing[k] - spacing[k - 1]) / spacing.mean()
        out[k] = -(g - along) + spring * tangent
    return out


def _tangent(ahead: Tensor, behind: Tensor, values: Tensor) -> Tensor:
    """Towards the higher neighbour; a mixture at the tops and bottoms (Henkelman and Jónsson 2000, equations 8 to 11)."""
    before, here, after = values.tolist()
    if before < here < after:
        t = ahead
    elif before > here > after:
        t = behind
    else:
        big, small = max(abs(after - here), abs(before - here)), min(abs(after - here), abs(before - here))
        t = ahead * (big if after > before else small) + behind * (small if after > before else big)
        t = t if torch.linalg.vector_norm(t) > 0 else ahead + behind
    return t / torch.linalg.vector_norm(t).clamp_min(1e-300)
