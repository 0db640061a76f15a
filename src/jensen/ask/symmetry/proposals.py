"""Moves of whole axes that a reading of places does not see, for costs that are functions without data.

A sum over all pairs of rows is the same for every order of the rows, and one of distances for every rotation, but the pairs
themselves are told apart by the reading. So each axis of each block is proposed as one of interchangeable units, of
orthogonal matrices, of one common translation; each block as one that may change its sign. A proposal is believed where J
and all of its derivatives follow it at random points, far closer than a single value would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.exactly import Exactly
from jensen.ask.symmetry.group import Coordinates, Factor, Site, Theta
from jensen.ask.symmetry.tried import generic, scattered
from jensen.kernel.program import Problem
from jensen.linalg.population import Population

STRICT = ("permutation", "sign", "orthogonal")  # kinds that were read and are tried again, as closely
MOST = 400  # parameters: beyond, a function is left to the reading
POINTS, ENOUGH = 4, 2  # random points, and those at which J has to be finite
FAR = tuple(s for s in (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6) for _ in range(6))  # how far out others lie
ALIKE, SMALL = 1e-9, 1e-12  # of a derivative, and of the largest one


def proposed(
    problem: Problem, kept: Sequence[Factor], frames: Sequence[Coordinates], theta: Theta, held: frozenset[str]
) -> tuple[Factor, ...]:
    """The factors of the group with those of whole axes that hold, in place of the parts of these that were read.

    Blocks that are ``held`` have coordinates of their own: factors that move them stay as they are.
    """
    shapes = {n: tuple(t.shape) for n, t in theta.items() if n not in held}
    if frames or sum(prod(s) for s in shapes.values()) > MOST:
        return tuple(kept)
    tried = _Trial(problem, theta)
    found = [f for f in kept if f.kind not in STRICT or held & {*f.blocks} or tried.holds(f)]
    for f in _candidates(shapes):
        if not any(_covers(g, f) for g in found) and tried.holds(f):
            found = [g for g in found if not _covers(f, g)] + [f]
    return tuple(found)


def _candidates(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Factor]:
    """Orthogonal matrices before the permutations and signs that are some of them."""
    for kind in ("orthogonal", "permutation", "translation"):
        for sites in _axes(shapes, kind):
            rest = prod(n for a, n in enumerate(shapes[sites[0].block]) if a not in sites[0].axes)
            size = 1 if kind == "translation" else len(sites[0].positions)
            label = " ".join(f"{s.block} axis {s.axes[0]}" for s in sites)
            yield Factor(kind, size, label, sites, rest=rest if kind == "translation" else 1)  # pyright: ignore[reportArgumentType]
    for name, shape in shapes.items():
        every = np.arange(prod(shape)).reshape(1, -1)
        yield Factor("sign", 1, name, (Site(name, tuple(range(len(shape))), every),))


def _axes(shapes: Mapping[str, tuple[int, ...]], kind: str) -> Iterator[tuple[Site, ...]]:
    """Each axis of each block; then the first axes of all blocks that have the same length, together."""
    one = kind == "translation"

    def site(name: str, axis: int) -> Site:
        places = np.arange(shapes[name][axis])
        return Site(name, (axis,), places[None, :] if one else places[:, None])

    for name, shape in shapes.items():
        for axis, n in enumerate(shape):
            if n > 1:
                yield (site(name, axis),)
    for n in dict.fromkeys(s[0] for s in shapes.values() if s and s[0] > 1):
        alike = [name for name, s in shapes.items() if s and s[0] == n]
        if len(alike) > 1 and kind != "translation":
            yield tuple(site(name, 0) for name in alike)


def _covers(f: Factor, g: Factor) -> bool:
    """Whether all elements of g are elements of f, or of a product of copies of f that was found; by places alone."""
    if "translation" in (f.kind, g.kind) or "shift" in (f.kind, g.kind):
        return {f.kind, g.kind} <= {"translation", "shift"} and set(f.blocks) == set(g.blocks)
    if g.kind == "sign" and g.size == 1 and f.kind in ("sign", "orthogonal", "linear"):
        return set(f.blocks) == set(g.blocks) and len(f.sites) == 1 and _whole(f.sites[0]) == _whole(g.sites[0])
    if f.kind == "sign":
        return g.kind == "sign" and _inside(g, f) and _inside(f, g)
    inside = {"orthogonal": ("orthogonal", "permutation", "sign"), "linear": ("orthogonal", "permutation", "sign")}
    return g.kind in inside.get(f.kind, ("permutation",) if f.kind == "permutation" else ()) and _inside(g, f)


def _inside(g: Factor, f: Factor) -> bool:
    """Whether the units of g stand among those of f, unit by unit, in the same blocks."""
    if len(g.sites) != len(f.sites):
        return False
    return all(any(_within(s, t) for t in f.sites) for s in g.sites)


def _whole(s: Site) -> bool:
    """Whether the units fill their axes, as far as the places tell."""
    places = s.positions.reshape(-1)
    return len(np.unique(places)) == len(places) and int(places.min()) == 0 and int(places.max()) == len(places) - 1


def _within(s: Site, t: Site) -> bool:
    if s.block != t.block or s.axes != t.axes:
        return False
    rows = {tuple(sorted(r)) for r in t.positions.tolist()}
    return all(tuple(sorted(r)) in rows for r in s.positions.tolist())


class _Trial:
    """J and its derivatives at random points."""

    def __init__(self, problem: Problem, theta: Theta):
        self._many = Population(problem)
        self._numbers = torch.Generator().manual_seed(11)
        points = [scattered(theta, self._numbers, 0.3 * 3.0 ** (k % 3)) for k in range(2 * POINTS)]
        values, slopes = self._all(points)
        good = torch.isfinite(values) & torch.isfinite(slopes).all(1)
        rows = torch.nonzero(good)[:POINTS, 0]
        self.near = len(rows)
        if self._many.switches:  # J may be another formula out there
            far = [scattered(theta, self._numbers, s) for s in FAR]
            more, turned = self._all(far)
            good = torch.isfinite(more) & torch.isfinite(turned).all(1)
            rows = torch.cat([rows, len(points) + torch.nonzero(good)[:, 0]])
            points, values, slopes = [*points, *far], torch.cat([values, more]), torch.cat([slopes, turned])
        self.points = [points[i] for i in rows.tolist()]
        self.values, self.slopes = values[rows], slopes[rows]
        self._exact = Exactly(problem, theta, self._many.switches)

    def _all(self, points: Sequence[Theta]) -> tuple[Tensor, Tensor]:
        return self._many.gradients(torch.stack([self._flat(p) for p in points]))

    def _flat(self, point: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([point[n].double().reshape(-1) for n in self._many.flat.shapes])

    def holds(self, f: Factor) -> bool:
        """Whether elements of the factor take J and its gradient along."""
        if self.near < ENOUGH:
            return False
        elements = [generic(f, self._numbers, k) for k in range(len(self.points))]
        values, slopes = self._all([f.act(e, p) for e, p in zip(elements, self.points, strict=True)])
        if not bool(((values - self.values).abs() <= SMALL * (values.abs() + self.values.abs())).all()):
            return False
        expected = torch.stack([self._carried(f, e, g) for e, g in zip(elements, self.slopes, strict=True)])
        size = expected.abs().amax(1, keepdim=True)
        allowed = SMALL * size + (ALIKE * expected.abs() if f.kind != "orthogonal" else 0.0)
        near = torch.isfinite(slopes).all() and ((slopes - expected).abs() <= allowed).all()
        return bool(near) and not self._exact.breaks(f)

    def _carried(self, f: Factor, element: Tensor, slopes: Tensor) -> Tensor:
        """The gradient at the moved point: translations leave it, everything else here is orthogonal."""
        if f.kind == "translation":
            return slopes
        blocks = {n: t[0] for n, t in self._many.blocks(slopes[None]).items()}
        return self._flat(f.act(element, blocks))
