"""L-BFGS on a whole stack (Nocedal 1980; Liu and Nocedal 1989): each copy has its own pairs and its own line search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.minima.spec import Spec
from jensen.ask.minima.train import RELATIVE, Gradients, Trained, measure
from jensen.linalg.flat import Flat

PAIRS = 10
HALVINGS = 30
ARMIJO = 1e-4


@dataclass
class Memory:
    """The last pairs of steps and changes of the gradient, (k, n) each; a pair without curvature counts nothing."""

    steps: list[Tensor]
    changes: list[Tensor]

    def add(self, step: Tensor, change: Tensor) -> None:
        curved = (step * change).sum(1, keepdim=True) > 1e-10 * step.norm(dim=1, keepdim=True) * change.norm(
            dim=1, keepdim=True
        )
        self.steps.append(torch.where(curved, step, 0.0))
        self.changes.append(torch.where(curved, change, 0.0))
        del self.steps[:-PAIRS], self.changes[:-PAIRS]

    def keep(self, rows: Tensor) -> None:
        self.steps, self.changes = [s[rows] for s in self.steps], [c[rows] for c in self.changes]

    def direction(self, slopes: Tensor) -> Tensor:
        """Minus the inverse Hessian that the pairs imply, times the gradient."""
        q, parts = slopes, []
        for s, y in zip(reversed(self.steps), reversed(self.changes), strict=True):
            curvature = (s * y).sum(1, keepdim=True)
            part = torch.where(curvature > 0, (s * q).sum(1, keepdim=True) / curvature, 0.0)
            q = q - part * y
            parts.append((part, curvature))
        scale = torch.ones_like(q[:, :1])
        for s, y in zip(self.steps, self.changes, strict=True):  # the newest pair that has curvature scales the start
            curvature = (s * y).sum(1, keepdim=True)
            scale = torch.where(curvature > 0, curvature / (y * y).sum(1, keepdim=True), scale)
        q = scale * q
        for (s, y), (part, curvature) in zip(zip(self.steps, self.changes, strict=True), reversed(parts), strict=True):
            q = q + s * torch.where(curvature > 0, part - (y * q).sum(1, keepdim=True) / curvature, 0.0)
        return -q


def lbfgs(gradients: Gradients, start: Tensor, spec: Spec, flat: Flat) -> Trained:
    """At most ``spec.steps`` steps of each copy, whose line search halves until J falls enough."""
    k = len(start)
    values, slopes = gradients(start, 0)
    out = Trained(
        start.clone(), values.clone(), torch.zeros(k, dtype=torch.int64),
        torch.full((k,), -1, dtype=torch.int64), ~torch.isfinite(values).cpu(),
    )  # fmt: skip
    rows, points, memory = torch.arange(k), start.clone(), Memory([], [])
    size = measure(slopes, spec, flat)
    limit = RELATIVE * size if spec.stop is None else torch.full_like(size, spec.stop)
    for step in range(spec.steps + 1):
        small = slopes.norm(dim=1) <= spec.epsilon
        new = rows[small.cpu()]
        out.settled[new[out.settled[new] < 0]] = step
        out.points[rows], out.values[rows], out.steps[rows] = points, values, step
        going = (measure(slopes, spec, flat) > limit) & torch.isfinite(values)
        if step == spec.steps or not bool(going.any()):
            break
        rows, points, values, slopes, limit = (t[m] for t, m in zip(
            (rows, points, values, slopes, limit), (going.cpu(), going, going, going, going), strict=True))  # fmt: skip
        memory.keep(going)
        moved = _search(gradients, points, values, slopes, memory.direction(slopes), spec)
        stuck = (moved[0] == points).all(1)
        if bool(stuck.any()):  # once more, straight down
            again = _search(gradients, points[stuck], values[stuck], slopes[stuck], -slopes[stuck], spec)
            for t, a in zip(moved, again, strict=True):
                t[stuck] = a
        memory.add(moved[0] - points, moved[2] - slopes)
        stuck = (moved[0] == points).all(1)
        limit = torch.where(stuck, torch.inf, limit)  # rounding leaves no way down
        points, values, slopes = moved
    return out


def _search(
    gradients: Gradients, points: Tensor, values: Tensor, slopes: Tensor, way: Tensor, spec: Spec
) -> tuple[Tensor, Tensor, Tensor]:
    """The first of 1, 1/2, 1/4, ... steps that lowers J as much as its slope promises; copies without one stay."""
    falls = (way * slopes).sum(1)
    way = torch.where((falls < 0)[:, None], way, -slopes)
    falls = (way * slopes).sum(1)
    length = way.norm(dim=1)
    reach = spec.rate * torch.clamp(
        points.norm(dim=1).clamp(min=1.0) / length, max=1.0
    )  # no step is longer than the point
    out = points.clone(), values.clone(), slopes.clone()
    open_ = torch.arange(len(points), device=points.device)
    for _ in range(HALVINGS):
        trial = points[open_] + reach[open_, None] * way[open_]
        v, g = gradients(trial, 0)
        good = (v <= values[open_] + ARMIJO * reach[open_] * falls[open_]) & torch.isfinite(g).all(1)
        for t, new in zip(out, (trial, v, g), strict=True):
            t[open_[good]] = new[good]
        open_ = open_[~good]
        if not len(open_):
            break
        reach[open_] *= 0.5
    return out
