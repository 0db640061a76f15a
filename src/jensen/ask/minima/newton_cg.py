"""Trust-region steps from products with the Hessian, for a whole stack (Steihaug 1983): no matrix is formed.

Conjugate gradients follow the Newton direction until the residual is small, the radius is reached, or a direction of negative
curvature shows up, along which the radius is reached at once. Copies that are finished stay as they are while others go on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.linalg.population import Population

MOST = 200  # products of one step


def cg_step(population: Population, points: Tensor, slopes: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Steps (k, n) within the radius, and what they promise to lower J by, (k,)."""
    step, residual = torch.zeros_like(slopes), slopes
    way, square = -residual, (residual**2).sum(1)
    size = square.sqrt()
    goal = size * torch.minimum(torch.full_like(size, 0.1), size.sqrt()).clamp(min=1e-6)
    promised, open_ = torch.zeros_like(size), size > 0
    for _ in range(min(MOST, 2 * population.n)):
        if not bool(open_.any()):
            break
        image = torch.zeros_like(way)
        rows = torch.nonzero(open_)[:, 0]
        image[rows] = population.products(points[rows], way[rows])
        bent = (way * image).sum(1)
        length = square / bent.where(bent > 0, torch.ones_like(bent))
        edge = _to_edge(step, way, radius)
        leave = (bent <= 0) | ((step + length[:, None] * way).norm(dim=1) >= radius)
        length = torch.where(open_, torch.where(leave, edge, length), 0.0)
        promised = promised - length * (residual * way).sum(1) - length**2 * bent / 2
        step, residual = step + length[:, None] * way, residual + length[:, None] * image
        new = (residual**2).sum(1)
        open_ = open_ & ~leave & (new.sqrt() > goal)
        way = torch.where(open_[:, None], -residual + (new / square.clamp(min=1e-300))[:, None] * way, way)
        square = new
    return step, promised


def _to_edge(step: Tensor, way: Tensor, radius: Tensor) -> Tensor:
    """How far along the way the radius is reached, (k,)."""
    a, b, c = (way**2).sum(1), (step * way).sum(1), (step**2).sum(1) - radius**2
    root = (b**2 - a * c.clamp(max=0.0)).clamp(min=0.0).sqrt()
    return (root - b) / a.clamp(min=1e-300)


def minres_step(population: Population, points: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Steps that make |g + H p| small over Krylov spaces (MINRES, by conjugate residuals), and the fall of |g|^2 they promise.

    Where the matrix is indefinite a residual that is orthogonal to its image ends the iteration.
    """
    step, residual = torch.zeros_like(slopes), -slopes
    image = population.products(points, residual)
    way, far = residual, image
    inner = (residual * image).sum(1)
    open_, size = slopes.norm(dim=1) > 0, slopes.norm(dim=1)
    for _ in range(min(MOST, 2 * population.n)):
        square = (far**2).sum(1)
        open_ = open_ & (square > 0) & (residual.norm(dim=1) > 1e-6 * size)
        if not bool(open_.any()):
            break
        length = torch.where(open_, (residual * far).sum(1) / square.clamp(min=1e-300), 0.0)
        step, residual = step + length[:, None] * way, residual - length[:, None] * far
        image = torch.zeros_like(residual)
        rows = torch.nonzero(open_)[:, 0]
        image[rows] = population.products(points[rows], residual[rows])
        new = (residual * image).sum(1)
        turn = torch.where(open_ & (inner != 0), new / inner.where(inner != 0, torch.ones_like(inner)), 0.0)
        way, far, inner = residual + turn[:, None] * way, image + turn[:, None] * far, new
    return step, size**2 - (residual**2).sum(1)
