"""First-order training of a whole stack: each copy has its own state, and leaves the stack when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.minima.spec import Spec
from jensen.linalg.flat import Flat

RELATIVE = 1e-6  # of a copy's first gradient, where no other end of the training was given

Gradients = Callable[[Tensor, int], tuple[Tensor, Tensor]]  # (points, step) -> values, gradients


@dataclass
class Trained:
    """Where the training left each copy.

    Attributes:
        points: (k, n); the last finite ones.
        values: J where the step was taken last, (k,).
        steps: Steps taken, (k,).
        settled: The first step with a gradient of at most epsilon; -1 for never.
        failed: Whether J or its gradient was not finite, so that the copy was given up.
    """

    points: Tensor
    values: Tensor
    steps: Tensor
    settled: Tensor
    failed: Tensor


State = dict[str, Tensor]


def train(gradients: Gradients, start: Tensor, spec: Spec, flat: Flat) -> Trained:
    """Take at most ``spec.steps`` steps from each start; what is done leaves the stack when the rest fits a smaller one.

    Stacks have few sizes, each a half of the last (a thirty-second where they are compiled), so that few graphs are made.
    """
    shrink = 32 if spec.compiled else 2
    k = len(start)
    out = Trained(
        start.clone(), start.new_full((k,), torch.nan), torch.zeros(k, dtype=torch.int64),
        torch.full((k,), -1, dtype=torch.int64), torch.zeros(k, dtype=torch.bool),
    )  # fmt: skip
    rows, points, before, state = torch.arange(k), start.clone(), start, {}
    steps, settled = torch.zeros(k, device=start.device), torch.full((k,), -1.0, device=start.device)
    limit = None if spec.stop is None else start.new_full((k,), spec.stop)
    done, bad = (torch.zeros(k, dtype=torch.bool, device=start.device) for _ in range(2))
    move = STEPS[spec.optimiser]
    for step in range(spec.steps + 1):
        values, slopes = gradients(points, step)
        size = measure(slopes, spec, flat)
        limit = RELATIVE * size if limit is None else limit
        bad = bad | ~(torch.isfinite(values) & torch.isfinite(size))
        done = done | bad | (size <= limit)  # for good, though another minibatch may have another gradient
        new = (slopes.norm(dim=1) <= spec.epsilon) & (settled < 0)
        settled = torch.where(new, step, settled)
        left, smaller = len(rows) - int(done.sum()), max(-(-len(rows) // shrink), 1)
        if left == 0 or step == spec.steps or (left <= smaller < len(rows)):
            last = torch.where(bad[:, None], before, points)
            _write(out, rows, last, torch.where(bad, torch.nan, values), steps, settled, bad)
            if left == 0 or step == spec.steps:
                break
            keep = torch.argsort(done.long(), stable=True)[:smaller]  # filled up with some that are done
            rows, points, before = rows[keep.cpu()], points[keep], before[keep]
            slopes, limit = slopes[keep], limit[keep]
            steps, settled, done, bad = steps[keep], settled[keep], done[keep], bad[keep]
            state = {n: t[keep] for n, t in state.items()}
        before = torch.where(done[:, None], before, points)
        points = torch.where(done[:, None], points, move(points, slopes, state, step + 1, spec))
        steps = torch.where(done, steps, step + 1)
    return out


def _write(
    out: Trained, rows: Tensor, points: Tensor, values: Tensor, steps: Tensor, settled: Tensor, bad: Tensor
) -> None:
    out.points[rows], out.values[rows] = points, values
    out.steps[rows], out.settled[rows] = steps.long().cpu(), settled.long().cpu()
    out.failed[rows] = bad.cpu()


def measure(slopes: Tensor, spec: Spec, flat: Flat) -> Tensor:
    """The size of each gradient (k,): its norm, or that of its largest row."""
    if spec.stop_on == "norm":
        return slopes.norm(dim=1)
    blocks = flat.rows(slopes, len(slopes))
    rows = [b.reshape(len(b), b.shape[1] if b.dim() > 2 else 1, -1).norm(dim=2).amax(1) for b in blocks]
    return torch.stack(rows).amax(0)


def adam(points: Tensor, slopes: Tensor, state: State, step: int, spec: Spec) -> Tensor:
    """Kingma and Ba 2015, with torch's defaults."""
    first, second = (state.setdefault(n, torch.zeros_like(points)) for n in ("first", "second"))
    first.lerp_(slopes, 0.1)
    second.mul_(0.999).addcmul_(slopes, slopes, value=0.001)
    scale = (1 - 0.999**step) ** 0.5
    return torch.addcdiv(points, first, second.sqrt().div_(scale).add_(1e-8), value=-spec.rate / (1 - 0.9**step))


def sgd(points: Tensor, slopes: Tensor, state: State, step: int, spec: Spec) -> Tensor:
    """Heavy ball, as torch.optim.SGD has it."""
    velocity = state.setdefault("velocity", torch.zeros_like(points))
    velocity.mul_(spec.momentum).add_(slopes)
    return torch.add(points, velocity, alpha=-spec.rate)


def descent(points: Tensor, slopes: Tensor, state: State, step: int, spec: Spec) -> Tensor:
    """Gradient descent with a stated step."""
    return torch.add(points, slopes, alpha=-spec.rate)


STEPS: dict[str, Callable[[Tensor, Tensor, State, int, Spec], Tensor]] = {"adam": adam, "sgd": sgd, "gd": descent}
