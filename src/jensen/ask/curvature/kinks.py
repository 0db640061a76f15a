"""Kinks that lie exactly at a point: which operations have them, and along which directions they are crossed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature.nearby import Point
from jensen.ask.curvature.shards import Shard
from jensen.atoms import registry
from jensen.kernel.program import Term
from jensen.linalg.jets_kinds import LINEAR, PRODUCTS, UNARY
from jensen.linalg.kinks import Spot, gaps, spots
from jensen.linalg.kinks_kinds import KINKED, TIPS, name_of

BESIDE = 1e-5  # how far from the point the program is read, relative to the point's length
WITHIN = 10.0  # times a random direction shows by how much a distance changes, for it may be the larger
MOST = 32  # entries whose own directions are taken
ALIKE = 1e-9  # of a unit vector: slopes that differ less are one kink
APART = 1e-3  # the least singular value of unit normals that are independent
STRAIGHT = 1e-2  # of a distance, by which it may differ from its slope's
MIXED = 8  # random sums of all entries' distances, and as many random mixtures of directions


@dataclass(frozen=True)
class Kinks:
    """Entries of operations that lie at a kink, move with the parameters, and are felt by J.

    Attributes:
        counts: Operation -> entries.
        slopes: Gradients (n, m) of the entries' distances from their kinks, of up to ``MOST``; zero ones are left out.
        sums: Gradients (n, k) of random sums over all entries.
        unread: Operations of which it is not known where they are smooth.
        plain: Whether ``slopes`` says all: there is one for each entry, and J is continuous there.
        distances: By how much the entries' distances change over a small move (n,), where ``slopes`` says all.
    """

    counts: dict[str, int] = field(default_factory=dict)
    slopes: Tensor | None = field(default=None, repr=False)
    sums: Tensor | None = field(default=None, repr=False)
    unread: tuple[str, ...] = ()
    plain: bool = True
    distances: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        return ", ".join(f"{count} of {name}" for name, count in self.counts.items())


def kinks(point: Point, step: float, cubic: bool, most: int = MOST) -> Kinks:
    """What lies at a kink at the point, or within a step from it; with ``cubic`` also what is felt in third order only.

    It is of all processes' data, so that all of them go on alike. The slopes of up to ``most`` entries are taken.

    Raises:
        RuntimeError: Where the operations cannot be read beside the point.
    """
    inner = point.operator.inner
    try:
        mine, near = _here(point, step, cubic, most)
    except (RuntimeError, NotImplementedError, IndexError):
        mine, near = None, None
    told = _of_all(inner.shard, mine)
    if near is None or any(found is None for found in told):
        raise RuntimeError("the operations cannot be read beside the point")
    counts: Counter[str] = Counter()
    for found in told:
        counts.update(found[0])
    slopes, sums = ([v for found in told for v in found[k]] for k in (1, 2))
    plain = all(found[3] for found in told) and len(slopes) == sum(counts.values())

    def distances(move: Tensor) -> Tensor:
        return torch.cat(_of_all(inner.shard, near(move)))

    own, mixed = _columns(slopes[:most], inner.n), _columns(sums, inner.n)
    unread = tuple(sorted({op for found in told for op in found[4]}))
    return Kinks(dict(counts), own, mixed, unread, plain, distances if plain else None)


def apart(normals: Tensor) -> Tensor:
    """Unit vectors (n, k) without those that are parallel to an earlier one."""
    kept = normals[:, :1]
    for v in normals.T[1:]:
        closest = torch.minimum((kept - v[:, None]).norm(dim=0), (kept + v[:, None]).norm(dim=0)).min()
        if float(closest) > ALIKE:
            kept = torch.cat([kept, v[:, None]], 1)
    return kept


def independent(found: Kinks) -> Tensor | None:
    """Unit normals (n, m) of the kinks, one of each direction; None where they do not say all."""
    if not found.plain or found.slopes is None or found.distances is None:
        return None
    normals = apart(found.slopes / found.slopes.norm(dim=0))
    few = normals.shape[1] <= normals.shape[0]
    return normals if few and float(torch.linalg.svdvals(normals).min()) >= APART else None


def straight(found: Kinks, move: Tensor) -> bool:
    """Whether the distances from the kinks change as their slopes say: a kink behind another one bends."""
    if found.slopes is None or found.distances is None:
        return False
    want = move @ found.slopes
    return bool(((found.distances(move) - want).abs() <= STRAIGHT * want.abs()).all())


def _of_all(shard: Shard, mine: Any) -> list[Any]:
    """What each process found in data of its own; of the same data, what the first one found."""
    told = shard.gather([mine])
    return told if shard.kind == "own" else told[:1]


def _here(point: Point, step: float, cubic: bool, most: int) -> tuple[tuple[Any, ...], Callable[[Tensor], Tensor]]:
    """Of this process's data: counts, slopes, sums, whether these may say all, what is unread; and how the distances change over a move."""
    inner, size = point.operator.inner, BESIDE * point.length
    theta = {n: t.detach().cpu().double() for n, t in point.at.items()}
    v = torch.randn(inner.n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moves = inner.unflatten(v * (size / v.norm()))
    counts: Counter[str] = Counter()
    slopes, sums, where = [], [], []
    for term in inner.point.traced.problem.terms:
        found = spots(term, theta, moves, WITHIN * step * inner.n**0.5 / size, cubic)
        if found:
            where.append((term, found))
            for spot in found:
                counts[name_of(spot.op)] += int(spot.which.sum())
            own, mixed = _slopes(term, theta, tuple(moves), found, most - len(slopes))
            slopes, sums = slopes + own, sums + mixed
    simple = all(s.gap is not None and s.op not in TIPS and not s.jumps for _, found in where for s in found)

    def distances(move: Tensor) -> Tensor:
        moved = {**theta, **{n: theta[n] + m for n, m in inner.unflatten(move).items()}}
        pairs = ((t.program, t.tensors, found) for t, found in where)
        with torch.no_grad():
            changed = [torch.cat(gaps(p, c, moved, f)) - torch.cat(gaps(p, c, theta, f)) for p, c, f in pairs]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *changed])

    return (dict(counts), slopes, sums, simple, _unread(point)), distances


def _unread(point: Point) -> tuple[str, ...]:
    """Operations that are neither in the tables nor modelled; of complex numbers none is read."""
    ops = {node.op for term in point.operator.inner.point.traced.problem.terms for node in term.program.nodes}
    known = KINKED | LINEAR | PRODUCTS | UNARY | registry().atoms.keys() | {"block", "const"}
    return tuple(sorted({name_of(op) for op in ops if op not in known or "complex" in op}))


def _columns(rows: list[Tensor], n: int) -> Tensor:
    return torch.stack(rows, 1) if rows else torch.zeros(n, 0, dtype=torch.float64)


def _slopes(
    term: Term, theta: dict[str, Tensor], asked: tuple[str, ...], found: list[Spot], most: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients of some entries' distances from their kinks, and of random sums of all; without those that are zero."""
    leaves = [theta[n].clone().requires_grad_() for n in asked]
    with torch.enable_grad():
        at = {**theta, **dict(zip(asked, leaves, strict=True))}
        distances = torch.cat(gaps(term.program, term.tensors, at, found))
    if not distances.requires_grad:
        return [], []
    count, generator = len(distances), torch.Generator().manual_seed(2)
    weights = [torch.randn(count, generator=generator, dtype=torch.float64) for _ in range(MIXED)]
    weights.append(torch.ones(count, dtype=torch.float64))
    some = torch.linspace(0, count - 1, min(count, most)).long()

    def gradient(w: Tensor) -> Tensor:
        parts = torch.autograd.grad(distances, leaves, w, retain_graph=True, allow_unused=True, materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in parts])

    own = [gradient(torch.eye(1, count, dtype=torch.float64)[0].roll(int(i))) for i in some]
    return [g for g in own if float(g.norm()) > 0], [g for w in weights if float((g := gradient(w)).norm()) > 0]
