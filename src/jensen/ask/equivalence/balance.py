"""The point of least norm on the orbit of scales, matrices and complex scalars (Kempf and Ness 1979).

|exp(xi) x|^2 is convex in symmetric xi along lines, with second derivative 4 |xi x|^2: Newton's step is the least-squares
solution of xi x = -x/2. It is found by conjugate gradients, each factor preconditioned by what its own sites say. What is
left of x does not vanish there, so the residual of the normal equations is updated by itself: taken anew from what is left,
as in :mod:`jensen.ask.equivalence.intertwine`, it would lose its last digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.equivalence import scales
from jensen.ask.equivalence.conjugate import conjugate
from jensen.ask.symmetry.group import Factor, Step

ITERATIONS = 40  # of Newton
LONGEST = 0.7  # of a step
SETTLED = 1e-12  # of the moment, relative to the squared norm

Theta = dict[str, Tensor]
Rows = list[tuple[float, Tensor]]


@dataclass(frozen=True, eq=False)
class _Part:
    """A factor and how symmetric directions of it move its rows: numbers for scales and pairs, matrices else."""

    factor: Factor

    @property
    def matrix(self) -> bool:
        return self.factor.kind == "linear"

    def directions(self, x: Mapping[str, Tensor]) -> Rows:
        return [(s.degree, s.rows(x[s.block]).double().reshape(self.factor.size, -1)) for s in self.factor.sites]

    def pushed(self, xi: Tensor, rows: Tensor, degree: float) -> Tensor:
        """How rows (n, all) move."""
        if self.matrix:
            return (1.0 if degree > 0 else -1.0) * xi @ rows
        return degree * self._each(xi)[:, None] * rows

    def pulled(self, r: Tensor, rows: Tensor, degree: float) -> Tensor:
        """The transposed map."""
        if self.matrix:
            g = (1.0 if degree > 0 else -1.0) * r @ rows.T
            return (g + g.T) / 2
        g = degree * (r * rows).sum(1)
        return g.reshape(-1, 2).sum(1) if self.factor.kind == "complex" else g

    def _each(self, xi: Tensor) -> Tensor:
        return xi.repeat_interleave(2) if self.factor.kind == "complex" else xi

    def element(self, xi: Tensor) -> Tensor:
        """exp of a direction."""
        if self.matrix:
            return torch.linalg.matrix_exp(xi)
        return torch.diag(self._each(xi).exp()) if self.factor.kind == "complex" else xi.exp()

    def eased(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """The preconditioner: eigenvectors and divisors."""
        if not self.matrix:
            size = sum((d * d * v.square().sum(1) for d, v in rows), torch.zeros(self.factor.size, dtype=torch.float64))
            size = size.reshape(-1, 2).sum(1) if self.factor.kind == "complex" else size
            return torch.zeros(0), size.clamp_min(max(float(size.max()), 1e-300) * 1e-12)
        g = sum((v @ v.T for _, v in rows), torch.zeros(self.factor.size, self.factor.size, dtype=torch.float64))
        values, vectors = torch.linalg.eigh(g)
        values = values.clamp_min(max(float(values.max()), 1e-300) * 1e-12)
        return vectors, (values[:, None] + values) / 2

    def ease(self, g: Tensor, by: tuple[Tensor, Tensor]) -> Tensor:
        vectors, values = by
        return vectors @ ((vectors.T @ g @ vectors) / values) @ vectors.T if self.matrix else g / values


def newton(factors: Sequence[Factor], x: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """The balanced point, as near as some iterations come to it, and the elements that lead there."""
    if all(f.kind in scales.KINDS for f in factors):
        return _scaled(factors, x)
    parts = [_Part(f) for f in factors]
    out = dict(x)
    elements = [f.identity() for f in factors]
    for _ in range(ITERATIONS):
        xis, moment = _direction(parts, out)
        if moment <= SETTLED:
            break
        longest = max(float(xi.abs().max()) if xi.dim() == 1 else float(torch.linalg.matrix_norm(xi, 2)) for xi in xis)
        damp = min(1.0, LONGEST / max(longest, 1e-300))
        for k, (p, xi) in enumerate(zip(parts, xis, strict=True)):
            e = p.element(damp * xi)
            out = p.factor.act(e, out)
            elements[k] = e * elements[k] if e.dim() == 1 else e @ elements[k]
    return out, [Step(f, e) for f, e in zip(factors, elements, strict=True)]


def _scaled(factors: Sequence[Factor], x: Mapping[str, Tensor]) -> tuple[Theta, list[Step]]:
    """The same where nothing but scales moves."""
    found = scales.entries(factors, x)
    logs: list[Tensor] = []
    for _ in range(ITERATIONS):
        xis, moment = scales.direction(factors, found, SETTLED)
        logs = logs or [torch.zeros_like(xi) for xi in xis]
        if moment <= SETTLED:
            break
        damp = min(1.0, LONGEST / max(max(float(xi.abs().max()) for xi in xis), 1e-300))
        found = scales.moved(found, [damp * xi for xi in xis])
        logs = [log + damp * xi for log, xi in zip(logs, xis, strict=True)]
    steps = [Step(f, scales.element(f, log)) for f, log in zip(factors, logs, strict=True)]
    out = dict(x)
    for s in steps:
        out = s.factor.act(s.element, out)
    return out, steps


def _direction(parts: Sequence[_Part], x: Mapping[str, Tensor]) -> tuple[list[Tensor], float]:
    """Newton's direction, and how far the moment is from zero."""
    rows = [p.directions(x) for p in parts]
    by = [p.eased(r) for p, r in zip(parts, rows, strict=True)]
    names = sorted({s.block for p in parts for s in p.factor.sites})
    total = sum(float(x[n].double().square().sum()) for n in names)

    def forward(xis: Sequence[Tensor]) -> Theta:
        moved = {n: torch.zeros_like(x[n], dtype=torch.float64) for n in names}
        for p, xi, found in zip(parts, xis, rows, strict=True):
            for s, (d, v) in zip(p.factor.sites, found, strict=True):
                now = s.rows(moved[s.block])
                moved[s.block] = s.put(moved[s.block], now + p.pushed(xi, v, d).reshape(now.shape))
        return moved

    def backward(r: Mapping[str, Tensor]) -> list[Tensor]:
        out = []
        for p, found in zip(parts, rows, strict=True):
            pairs = zip(p.factor.sites, found, strict=True)
            pulled = [p.pulled(s.rows(r[s.block]).reshape(v.shape), v, d) for s, (d, v) in pairs]
            out.append(torch.stack(pulled).sum(0))
        return out

    g = [-t / 2 for t in backward({n: x[n].double() for n in names})]
    moment = max((float(t.abs().max()) for t in g), default=0.0) / max(total, 1e-300)
    if moment <= SETTLED:
        return g, moment

    def ease(t: Sequence[Tensor]) -> list[Tensor]:
        return [p.ease(i, b) for p, i, b in zip(parts, t, by, strict=True)]

    return conjugate(g, forward, backward, ease, moment), moment
