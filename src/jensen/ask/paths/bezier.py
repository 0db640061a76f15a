"""The middle control point of a quadratic Bezier curve of low cost (Garipov et al. 2018, Loss surfaces, mode connectivity).

They descend on the mean of J over random t. Here the places t are fixed, the descent is L-BFGS, and what is minimised
turns from the mean of J into its soft maximum round by round; where J is found to be highest on the curve of a round, a
place is added for the next.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jensen.ask.paths.curve import bezier

Gradient = Callable[[Tensor], tuple[float, Tensor]]

PLACES = 9
SHARPNESS = (0.0, 4.0, 16.0)  # of the soft maximum, in spreads of J over the places, by round
ASIDE = 1e-2  # a descent begins that share of the distance off the segment, on which symmetry may hold it


def middle(
    gradient: Gradient, a: Tensor, b: Tensor, steps: int, seed: int, highest: Callable[[Tensor], float]
) -> tuple[Tensor, int]:
    """The middle control point (n,), and how many gradients of J it took.

    Args:
        gradient: J and its gradient at a flat vector.
        a, b: The ends (n,).
        steps: L-BFGS steps of each round.
        seed: Of the first step aside.
        highest: The place t at which J is highest on the curve of a middle point.
    """
    w = (a + b) / 2 + aside(a, b, seed)
    places = [(k + 0.5) / PLACES for k in range(PLACES)]
    spent = 0
    for sharpness in SHARPNESS:
        w, used = _descend(gradient, a, b, w, places, sharpness, steps)
        spent += used
        places.append(highest(w))
    return w, spent


def aside(a: Tensor, b: Tensor, seed: int) -> Tensor:
    """A small random step off the segment (n,)."""
    step = torch.randn(a.shape, generator=torch.Generator().manual_seed(seed), dtype=a.dtype)
    return ASIDE * torch.linalg.vector_norm(b - a) / torch.linalg.vector_norm(step) * step


def _descend(
    gradient: Gradient, a: Tensor, b: Tensor, w: Tensor, places: list[float], sharpness: float, steps: int
) -> tuple[Tensor, int]:
    """L-BFGS on the soft maximum of J over the places."""
    w = w.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [w], max_iter=steps, max_eval=2 * steps, line_search_fn="strong_wolfe", history_size=20
    )
    spent = 0
    scale: float | None = None

    def closure() -> float:
        nonlocal spent, scale
        at = w.detach()
        found = [gradient(bezier((a, at, b), t)) for t in places]
        spent += len(places)
        values = torch.tensor([j for j, _ in found], dtype=a.dtype)
        if scale is None:
            scale = sharpness / max((values.max() - values.min()).item(), 1e-300)
        values = torch.where(torch.isfinite(values), values, torch.tensor(1e300, dtype=a.dtype))
        weights = torch.softmax(scale * values, 0)
        w.grad = sum((2 * t * (1 - t) * p * g for t, p, (_, g) in zip(places, weights, found, strict=True)), 0 * at)
        if scale == 0:
            return values.mean().item()
        return values.max().item() + (torch.logsumexp(scale * (values - values.max()), 0).item()) / scale

    optimiser.step(closure)  # type: ignore[arg-type]
    out = w.detach()
    return (out if torch.isfinite(out).all() else (a + b) / 2), spent
