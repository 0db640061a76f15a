"""One look at a cost in training: J, its gradient, both ends of the Hessian's spectrum, and the direction of the lowest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature.operator import hessian
from jensen.ask.curvature.shadow import Shadow, undisturbed
from jensen.ask.curvature.shards import ALONE
from jensen.ask.curvature.slopes import value_and_gradient
from jensen.ask.curvature.warm import Ends, Late, ends
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.parts import FunctionPart
from jensen.trace import outdated

AT_LEAST = (
    "index: as many negative Ritz values were found, so at least so many eigenvalues are negative; there may be more"
)
EXACT = "index: the basis spans the whole space, so it is exact to rounding"
NOT_FINITE = "J is not finite"
FIELDS: Mapping[str, Any] = {
    "J": None, "gradient_norm": None, "lowest": (), "highest": (), "index": None, "index_words": "",
    "loss_part": None, "network_part": None, "penalty_part": None, "converged": None, "products": 0, "mode": "", "error": "",
}  # fmt: skip


class Looker:
    """Looks at a cost again and again, and remembers where the ends of its spectrum were.

    Args:
        shadow: The cost's twin.
        solver: Eigenvalues at each end, tolerance and most products; None for J and the gradient alone.
        seed: For the random part of the start vectors.
        operator: Settings of :func:`jensen.hessian`.
    """

    def __init__(self, shadow: Shadow, solver: tuple[int, float, int] | None, seed: int, operator: Mapping[str, Any]):
        self.shadow, self.solver = shadow, solver
        self.operator = {"device": shadow.device, **operator}
        self.generator = torch.Generator().manual_seed(seed)
        self.warm: Tensor | None = None

    def prepare(self) -> None:
        """Trace, linearise and check once, so that a look takes as long as later ones, which may find buffers moved."""
        if self.solver is None:
            return
        with undisturbed():
            cost = self.shadow.look()
            for h in self._maps(cost, None, {}):
                _ = h @ torch.ones(h.n, dtype=h.dtype, device=h.device)
            if cost.buffers:
                outdated(cost)

    def look(
        self, body: dict[str, Any], theta: Mapping[str, Tensor] | None, late: Late = lambda: False
    ) -> Tensor | None:
        """Put the figures into a record's body as they come; the most negative direction, shape (n,).

        Args:
            body: What is filled: a copy of ``FIELDS``.
            theta: The parameters, where they do not live in the cost's model.
            late: Asked after each product: whether to leave the bounds as they are.
        """
        with undisturbed():
            return self._look(body, theta, late)

    def _look(self, body: dict[str, Any], theta: Mapping[str, Tensor] | None, late: Late) -> Tensor | None:
        cost, body["mode"] = self.shadow.look(), self.shadow.mode
        if self.solver is None:
            body["J"], body["gradient_norm"] = value_and_gradient_norm(cost, theta, self.operator.get("of"))
            body["error"] = "" if math.isfinite(body["J"]) else NOT_FINITE
            return None
        maps = self._maps(cost, theta, body)
        if not maps:
            return None
        h, *convex = maps
        body["J"], body["gradient_norm"] = h.value, float(h.gradient.norm())
        found = self._ends(h, late)
        body.update(_spectrum(found))
        direction = found.vectors[:, 0]
        if convex:
            body.update(_parts(convex[0], cost, theta, direction, found.lowest[0][0]))
        return direction

    def _maps(self, cost: Cost, theta: Mapping[str, Tensor] | None, body: dict[str, Any]) -> list[Any]:
        """The Hessian, and its Gauss-Newton part where there is a model whose output can be told from the loss.

        None of them where J is not finite, which the record's body then says.
        """
        try:
            h = hessian(cost, at=theta, shard=ALONE, **self.operator)  # pyright: ignore[reportArgumentType]
        except Misuse:
            with torch.no_grad():
                body["J"] = float(cost(theta))
            if math.isfinite(body["J"]):
                raise
            body["error"] = NOT_FINITE
            return []
        return [h] if isinstance(cost._private, FunctionPart) else [h, h.gauss_newton]

    def _ends(self, h: Any, late: Late) -> Ends:
        count, tolerance, products = self.solver or (1, 1.0, 1)
        fresh = torch.randn(h.n, generator=self.generator, dtype=torch.float64).to(device=h.device, dtype=h.dtype)
        start = fresh / fresh.norm()
        if self.warm is not None:
            # As much of the ends last seen as of chance: a block of them needs more products as soon as they have moved,
            # and their sum alone is blind to a new end.
            start = start + self.warm / self.warm.norm()
        found = ends(h, start[:, None], count, tolerance, products, late=late)
        self.warm = found.vectors.sum(1)
        return found


def _spectrum(found: Ends) -> dict[str, Any]:
    return {
        "lowest": [{"value": v, "bound": b} for v, b in found.lowest],
        "highest": [{"value": v, "bound": b} for v, b in found.highest],
        "index": found.negative,
        "index_words": EXACT if found.exact else AT_LEAST,
        "converged": found.converged,
        "products": found.products,
    }


def _parts(
    convex: Any, cost: Cost, at: Mapping[str, Tensor] | None, direction: Tensor, curvature: float
) -> dict[str, float]:
    """The curvature along a direction: of the loss around a linearised network, of the network itself, of the penalty."""
    loss = float(direction @ (convex @ direction))
    penalty = _penalty(cost, at, convex.unflatten(direction.to("cpu", cost.dtype)))
    network = curvature - loss - penalty
    return {"loss_part": loss, "network_part": network, "penalty_part": penalty}


def _penalty(cost: Cost, at: Mapping[str, Tensor] | None, along: Mapping[str, Tensor]) -> float:
    """The penalty's second derivative along a direction; zero where there is none."""
    if cost._penalty is None:
        return 0.0
    theta = {n: t.detach().clone().requires_grad_() for n, t in cost._values(at).items()}
    moved = [theta[n] for n in along]
    first = torch.autograd.grad(cost._penalty(theta), moved, create_graph=True, materialize_grads=True)
    slope = _along(first, along)
    if not slope.requires_grad:
        return 0.0
    return float(_along(torch.autograd.grad(slope, moved, materialize_grads=True), along))


def _along(gradient: Iterable[Tensor], direction: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([(g * d).sum() for g, d in zip(gradient, direction.values(), strict=True)]).sum()


def value_and_gradient_norm(cost: Cost, at: Mapping[str, Tensor] | None, of: Any = None) -> tuple[float, float]:
    """J, and the Euclidean norm of its gradient in the asked blocks."""
    value, grads = value_and_gradient(cost, cost._values(at), cost.match(of))
    return float(value), float(torch.stack([g.square().sum() for g in grads]).sum().sqrt())
