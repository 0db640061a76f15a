"""False claims made from true factors: a site missing, on another axis, of another power, with its units paired wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from jensen.ask.symmetry.group import Coordinates, Factor, Move, Site, Step, Theta
from jensen.ask.symmetry.tried import generic, scattered
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value


def mutants(f: Factor, blocks: Mapping[str, tuple[int, ...]]) -> Iterator[Factor]:
    """Other factors near this one; some of them may be symmetries too."""
    for k, s in enumerate(f.sites):
        rest = f.sites[:k], f.sites[k + 1 :]
        for changed in _sites(f, s, blocks[s.block]):
            yield replace(f, sites=(*rest[0], changed, *rest[1]))
        if len(f.sites) > 1:
            yield replace(f, sites=(*rest[0], *rest[1]))
    if f.kind in ("permutation", "sign", "scale"):
        for kind in {"permutation", "sign", "scale"} - {f.kind}:
            if f.size > 1 or kind != "permutation":
                degree = {"degree": 1.0} if kind == "permutation" else {}
                yield replace(f, kind=kind, sites=tuple(replace(s, **degree) for s in f.sites))


def _sites(f: Factor, s: Site, shape: tuple[int, ...]) -> Iterator[Site]:
    p = s.positions
    if len(s.axes) == 1:
        n = shape[s.axes[0]]
        for a in range(len(shape)):
            if a != s.axes[0] and shape[a] >= n and (f.kind != "translation" or shape[a] == n):
                yield replace(s, axes=(a,))
        left = sorted(set(range(n)) - set(p.reshape(-1).tolist()))
        if left:  # one unit taken for a place that is nobody's
            other = p.copy()
            other[0, 0] = left[0]
            yield replace(s, positions=other)
    if f.size > 2:
        yield replace(s, positions=p[[1, 0, *range(2, f.size)]])
    if p.shape[1] > 1:
        other = p.copy()
        other[0] = other[0][::-1]  # the places of one unit in another order than those of the others
        yield replace(s, positions=other)
    if f.kind in ("scale", "linear"):
        yield replace(s, degree=-s.degree)
    if f.kind == "scale":
        yield replace(s, degree=s.degree + 1.0 or 2.0)


def holds(problem: Problem, f: Factor, theta: Theta, frames: tuple[Coordinates, ...] = ()) -> bool:
    """Whether some elements of a factor keep the cost at a random point, in float64."""
    generator = torch.Generator().manual_seed(11)
    point = scattered(theta, generator, 0.5)
    before = float(program_value(problem, point))
    for turn in range(3):
        after = float(program_value(problem, Move((Step(f, generic(f, generator, turn)),), frames).act(point)))
        if not abs(after - before) <= 1e-9 * (abs(after) + abs(before)):
            return False
    return True
