"""The search for a chord on which a claim fails. Floats only: the kernel decides."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from jensen.errors import Misuse
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Problem
from jensen.linalg.lanczos import lowest
from jensen.linalg.torch_reading import program_value, streamed

ROUNDS = 60
FEW = 4
MANY = 8
FAR = (1e-5, 1e3, 1e6, 1e10, 1e-3, 1e4, 1e8, 1e-8, 1e20, 1e-20, 1e15, 1e-15)

Theta = dict[str, Tensor]
Box = Mapping[str, tuple[np.ndarray, np.ndarray]]

STEPS = tuple(4.0**k for k in (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, -6, -7))


def sample(problem: Problem, k: int) -> Problem:
    """The k-th chunk with the weight of all of them, where there are many: directions are looked for in one at a time.

    What has no data (a penalty that stands alone) stays.
    """
    chunks = [term for term in problem.terms if term.data]
    if len(chunks) <= MANY and not (len(chunks) > 1 and streamed(problem)):
        return problem
    weight = sum((term.weight for term in chunks), Fraction(0))
    one = replace(chunks[k % len(chunks)], weight=weight)
    return Problem((one, *(term for term in problem.terms if not term.data)), problem.blocks)


def _log(v: float) -> float:
    return math.log(v) if v > 0 else math.nan


def _log_gap(a: float, m: float, b: float) -> float:
    if min(a, m, b) <= 0:
        return math.inf
    return _log(m) - (_log(a) + _log(b)) / 2


VIOLATION: dict[str, Callable[[float, float, float], float]] = {
    "convex": lambda a, m, b: m - (a + b) / 2,
    "concave": lambda a, m, b: (a + b) / 2 - m,
    "affine": lambda a, m, b: abs(m - (a + b) / 2),
    "quasiconvex": lambda a, m, b: m - max(a, b),
    "quasiconcave": lambda a, m, b: min(a, b) - m,
    "log-convex": lambda a, m, b: _log_gap(a, m, b),
    "log-concave": lambda a, m, b: math.inf if min(a, m, b) <= 0 else -_log_gap(a, m, b),
}
SIGNS = {"convex": (1,), "concave": (-1,), "affine": (1, -1), "quasiconvex": (1,), "quasiconcave": (-1,)}


@dataclass(frozen=True)
class Candidate:
    """A chord found in floats, and by how much it violates the claim, relative to the values' size."""

    chord: Chord
    values: tuple[float, float, float]
    margin: float


class Search:
    """Points and directions for one question; all randomness from one seed."""

    def __init__(self, problem: Problem, theta: Theta, names: tuple[str, ...], within: Box, kind: str, budget: float):
        self.whole, self.problem, self.names, self.kind = problem, sample(problem, 0), names, kind
        self.theta = {n: t.detach().clone() for n, t in theta.items()}
        self.lo = {n: torch.from_numpy(np.asarray(within[n][0])) for n in within}
        self.hi = {n: torch.from_numpy(np.asarray(within[n][1])) for n in within}
        self.generator = torch.Generator().manual_seed(1906)
        self.stop = time.perf_counter() + budget
        self.sizes = [self.theta[n].numel() for n in names]
        if not sum(self.sizes):
            raise Misuse("the asked blocks have no entries, so that nothing can move: ask about others with of=...")
        self.round = 0

    # -- points ----------------------------------------------------------------------------------------------------

    def base(self, k: int) -> Theta:
        """The k-th base point: the current one, then random ones, inside the boxes."""
        out = {}
        for n, t in self.theta.items():
            if k == 0:
                out[n] = self.clip(n, t)
            elif n in self.lo and bool(torch.isfinite(self.lo[n]).all() and torch.isfinite(self.hi[n]).all()):
                out[n] = self._inside(n, t)
            else:
                size = self.scale(k)
                spread = size * (float(t.abs().mean()) + (1.0 if t.numel() <= 64 or k % 2 else 0.0) + 1e-3)
                centre = t if k % 3 == 1 else torch.zeros_like(t)
                out[n] = self.clip(n, centre + spread * self._normal(t.shape))
        return out

    def scale(self, k: int) -> float:
        """How far out the k-th base point lies; a few variables are also tried very near and very far."""
        if sum(self.sizes) <= FEW and k % 8 >= 4:
            return FAR[(k // 8 * 4 + k % 8 - 4) % len(FAR)]
        return (0.3, 1.0, 3.0, 10.0)[k % 4]

    def _normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def _inside(self, n: str, t: Tensor) -> Tensor:
        u = torch.rand(t.shape, generator=self.generator, dtype=torch.float64)
        return self.lo[n] + u * (self.hi[n] - self.lo[n])

    def clip(self, n: str, t: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(t, self.lo[n]), self.hi[n]) if n in self.lo else t.clone()

    def late(self) -> bool:
        return time.perf_counter() > self.stop

    # -- values ----------------------------------------------------------------------------------------------------

    def value(self, theta: Theta) -> float:
        with torch.no_grad():
            return float(program_value(self.problem, theta))

    def flat(self, theta: Theta) -> Tensor:
        return torch.cat([theta[n].reshape(-1) for n in self.names])

    def move(self, theta: Theta, flat: Tensor) -> Theta:
        parts = torch.split(flat, self.sizes)
        return {**theta, **{n: p.reshape(theta[n].shape) for n, p in zip(self.names, parts, strict=True)}}

    def hessian(self, theta: Theta) -> tuple[Callable[[Tensor], Tensor], Tensor] | None:
        """The Hessian product in the asked blocks at a point, and the gradient; None where there is none."""
        leaves = [theta[n].detach().clone().requires_grad_() for n in self.names]
        value = program_value(self.problem, {**theta, **dict(zip(self.names, leaves, strict=True))})
        if not torch.isfinite(value) or not value.requires_grad:
            return None
        grads = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
        flat = torch.cat(
            [(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(grads, leaves, strict=True)]
        )

        def apply(v: Tensor) -> Tensor:
            if not flat.requires_grad:
                return torch.zeros_like(v)
            out = torch.autograd.grad(flat @ v, leaves, retain_graph=True, allow_unused=True)
            return torch.cat(
                [(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(out, leaves, strict=True)]
            ).detach()

        return apply, flat.detach()

    # -- chords ----------------------------------------------------------------------------------------------------

    def along(self, theta: Theta, direction: Tensor, steps: tuple[float, ...] = STEPS) -> Candidate | None:
        """The best chord around a point in a direction."""
        centre = self.flat(theta)
        length = float(direction.norm())
        if not length > 0 or not math.isfinite(length):
            return None
        reach = float(centre.norm()) / math.sqrt(centre.numel())
        unit = direction / length * (reach if 0.0 < reach < 0.03 and centre.numel() <= FEW else reach + 1.0)
        best: Candidate | None = None
        for s in steps:
            found = self.chord(theta, centre - s * unit, centre + s * unit)
            if found is not None and (best is None or found.margin > 1.5 * best.margin):
                best = found
        return best

    def chord(self, theta: Theta, left: Tensor, right: Tensor) -> Candidate | None:
        """The candidate between two points, on a grid where the middle point is exact; None if it violates nothing."""
        m, d = (left + right) / 2, (right - left) / 2
        top = float(torch.maximum(m.abs(), d.abs()).max())
        if not 0 < top < 1e150:
            return None
        grid = 2.0 ** (math.ceil(math.log2(top)) - 44)
        m, d = torch.round(m / grid) * grid, torch.round(d / grid) * grid
        a, b = self.move(theta, m - d), self.move(theta, m + d)
        for n in self.names:
            if n in self.lo:
                a[n], b[n] = self.clip(n, a[n]), self.clip(n, b[n])
        if all(torch.equal(a[n], b[n]) for n in self.names):
            return None
        middle = {n: (a[n] + b[n]) / 2 if n in self.names else t for n, t in a.items()}
        values = self.value(a), self.value(middle), self.value(b)
        others = {n: t.numpy() for n, t in theta.items() if n not in self.names}
        points = [{n: p[n].detach().numpy().copy() for n in self.names} for p in (a, b)]
        return self._violation(Chord(points[0], points[1], others, Fraction(1, 2)), values)

    def _violation(self, chord: Chord, values: tuple[float, float, float]) -> Candidate | None:
        if not all(math.isfinite(v) for v in values):
            return None
        gap = VIOLATION[self.kind](*values)
        size = max(abs(v) for v in values) if not self.kind.startswith("log") else 1.0
        margin = gap / size if size > 0 else 0.0
        return Candidate(chord, values, margin) if margin > 4e-16 else None

    # -- strategies ------------------------------------------------------------------------------------------------

    def candidates(self, skip: int = 0) -> Iterator[Candidate]:
        """Chords that violate the claim in floats, from cheap and likely to dear, after some rounds already done."""
        for found in self._found(skip):
            yield from _some(found if self.problem is self.whole else self._confirmed(found))

    def _confirmed(self, found: Candidate) -> Candidate | None:
        """A chord that violates the claim on a sample of the data, with its values on all of it, if it does there too."""
        chord = found.chord
        others = {n: torch.from_numpy(v) for n, v in chord.others.items()}
        ends = [{n: torch.from_numpy(v) for n, v in p.items()} for p in (chord.a, chord.b)]
        middle = {n: (ends[0][n] + ends[1][n]) / 2 for n in self.names}
        with torch.no_grad():
            a, m, b = (float(program_value(self.whole, {**others, **p})) for p in (ends[0], middle, ends[1]))
        return self._violation(chord, (a, m, b))

    def _found(self, skip: int) -> Iterator[Candidate]:
        for k in range(ROUNDS if sum(self.sizes) <= 64 else 10_000):
            if self.late():
                return
            self.round = k
            self.problem = sample(self.whole, k)
            if 0 < k < skip:
                self.base(k)  # keeps the random numbers going
                continue
            theta = self.base(k)
            yield from self._around(theta, k)
            if sum(self.sizes) <= 64:
                yield from self._pairs(theta, 24)
            if k in (0, 1, 2, 5, 9, 14) or k % 10 == 9:
                yield from self._ascent(theta)

    def _around(self, theta: Theta, k: int) -> Iterator[Candidate]:
        found = self.hessian(theta)
        if found is None:
            return
        apply, gradient = found
        start = self._normal(gradient.shape)
        for sign in SIGNS.get(self.kind, (1, -1)):
            _, direction = lowest(lambda v, s=sign: s * apply(v), start, 8 if k == 0 else 16)
            yield from _some(self.along(theta, direction))
        yield from _some(self.along(theta, start))
        if float(gradient.norm()) > 0:
            yield from _some(self.along(theta, gradient))

    def _pairs(self, theta: Theta, n: int) -> Iterator[Candidate]:
        """Chords between random points."""
        for i in range(n):
            if self.late():
                return
            left = self.flat({**theta, **{m: self.base(i + 1)[m] for m in self.names}})
            right = self.flat({**theta, **{m: self.base(i + 2)[m] for m in self.names}})
            yield from _some(self.chord(theta, left, right))
            if i % 3 == 0:
                one = torch.zeros_like(left)
                one[i % left.numel()] = right[i % left.numel()] - left[i % left.numel()]
                yield from _some(self.chord(theta, left, left + one))

    def _ascent(self, theta: Theta, steps: int = 40) -> Iterator[Candidate]:
        """Ascent on the violation itself; kinks have no curvature to see."""
        sign = -1.0 if self.kind in ("concave", "quasiconcave", "log-concave") else 1.0
        centre = self.flat(theta)
        spread = float(centre.abs().mean()) + 0.3
        m = (centre + 0.1 * spread * self._normal(centre.shape)).requires_grad_()
        d = (spread * self._normal(centre.shape)).requires_grad_()
        optimiser = torch.optim.Adam([m, d], lr=0.1 * spread)
        best: Candidate | None = None
        for i in range(steps):
            if self.late():
                break
            a, c, b = (program_value(self.problem, self.move(theta, x)) for x in (m - d, m, m + d))
            peak = torch.maximum(a, b) if sign > 0 else torch.minimum(a, b)
            mean = peak if self.kind.startswith("quasi") else (a + b) / 2
            size = a.detach().abs() + b.detach().abs() + c.detach().abs() + 1e-300
            loss = -sign * (c - mean) / size
            if not torch.isfinite(loss) or not loss.requires_grad:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if i % 8 == 7:
                found = self.chord(theta, (m - d).detach(), (m + d).detach())
                if found is not None and (best is None or found.margin > best.margin):
                    best = found
        yield from _some(best)


def _some(c: Candidate | None) -> Iterator[Candidate]:
    if c is not None:
        yield c
