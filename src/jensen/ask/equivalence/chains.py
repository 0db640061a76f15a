"""Chains of matrices that are read in fewer directions than they are written, or the other way round.

There the orbit is not closed: its point of least norm lies in the limit, where what is written and not read is 0. A chain from
what is fixed (inputs) to what is fixed (outputs), as a deep linear network is, has a normal form all the same. Each space is cut
as by Kalman (1963): directions both written and read (S), only written (W), only read (R), and neither (N). What is fixed at the ends
settles the first three; between the last ones the maps are of full rank, and can be made rows of the identity. So it is known up to
isomorphism by the ranks, as every representation of a quiver of type A (Gabriel 1972).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Site

Theta = dict[str, Tensor]
RANK = 1e-9  # relative: singular values below are zero


@dataclass(frozen=True, eq=False)
class Chain:
    """Matrix factors in the order of their maps.

    Attributes:
        factors: Factors of n_1, ..., n_k units.
        entrances: Where the first is written.
        maps: The blocks between, each with the sites of what it writes and of what it reads.
        exits: Where the last is read.
    """

    factors: tuple[Factor, ...]
    entrances: tuple[Site, ...]
    maps: tuple[tuple[Site, Site], ...]
    exits: tuple[Site, ...]


def chain(one: Factor, others: Sequence[Factor], x: Mapping[str, Tensor]) -> Chain | None:
    """The chain that a matrix factor is part of; None where what it moves has another shape, or others move its units too."""
    linear = [f for f in others if f.kind == "linear" and f is not one]
    own, blocks = [one], set(one.blocks)
    while more := [f for f in linear if f not in own and any(s.block in blocks for s in f.sites)]:
        own += more
        blocks |= {s.block for f in more for s in f.sites}
    axes = {(s.block, a) for f in own for s in f.sites for a in s.axes}
    if any((s.block, a) in axes for f in others if f not in own for s in f.sites for a in s.axes):
        return None
    return _ordered(own, x)


def _ordered(own: Sequence[Factor], x: Mapping[str, Tensor]) -> Chain | None:
    """Factors in order, if each writes into one other at most; blocks of zeros do not count."""
    sites = [[s for s in f.sites if bool(x[s.block].any())] for f in own]
    if any(len(s.axes) != 1 or abs(s.degree) != 1 for found in sites for s in found):
        return None
    owners = [(s.block, s.degree) for found in sites for s in found]
    shared = {n for n, d in owners if (n, -d) in owners}
    ups, downs = ([[s for s in found if s.degree == d] for found in sites] for d in (1.0, -1.0))
    if len(owners) > len(set(owners)) or not all(
        _fits(u, shared, x) and _fits(d, shared, x) for u, d in zip(ups, downs, strict=True)
    ):
        return None
    writer = {s.block: k for k, found in enumerate(downs) for s in found if s.block in shared}
    before = [next((writer[s.block] for s in found if s.block in shared), -1) for found in ups]
    row = [k for k, b in enumerate(before) if b < 0]
    if len(row) != 1:
        return None
    while row[-1] in before:
        row.append(before.index(row[-1]))
    if len(row) != len(own):
        return None
    maps = tuple((ups[j][0], downs[i][0]) for i, j in pairwise(row))
    return Chain(tuple(own[k] for k in row), tuple(ups[row[0]]), maps, tuple(downs[row[-1]]))


def _fits(sites: Sequence[Site], shared: set[str], x: Mapping[str, Tensor]) -> bool:
    """Whether sites of one direction are one block between two factors, with nothing else in it, or all at an end."""
    inner = [s for s in sites if s.block in shared]
    whole = all(s.positions.shape[1] == 1 and len(s.positions) == x[s.block].shape[s.axes[0]] for s in inner)
    return bool(sites) and (not inner or (len(sites) == 1 and whole))


def straightened(c: Chain, x: Mapping[str, Tensor]) -> Theta | None:
    """The normal form of a chain's blocks, on the orbit; None where the ranks between the ends are not those of a generic chain."""
    sizes = [f.size * g.size for f, g in pairwise(c.factors)]
    if any(x[up.block].numel() != size for (up, _), size in zip(c.maps, sizes, strict=True)):  # kernels, say
        return None
    entrance, exit_ = (torch.cat([_rows(s, x) for s in sites], 1) for sites in (c.entrances, c.exits))
    maps = [_matrix(up, down, x) for up, down in c.maps]
    written, read = [entrance], [exit_.T]
    for m in maps:
        written.append(m @ written[-1])
    for m in reversed(maps):
        read.insert(0, read[0] @ m)
    spaces = [_Space.of(w, r) for w, r in zip(written, read, strict=True)]
    made = [_between(a, b) for a, b in pairwise(spaces)]
    if _ranks(maps) != _ranks(made):
        return None
    out = dict(x)
    for sites, rows in ((c.entrances, spaces[0].written), (c.exits, spaces[-1].read.T)):
        for s, part in zip(sites, rows.split([_rows(s, x).shape[1] for s in sites], 1), strict=True):
            out[s.block] = _put(s, out, part)
    for (up, down), m in zip(c.maps, made, strict=True):
        rows = torch.empty_like(m)
        rows[:, torch.from_numpy(down.positions[:, 0])] = m
        out[up.block] = _put(up, out, rows)
    return {n: out[n] for n in {s.block for f in c.factors for s in f.sites}}


@dataclass(frozen=True, eq=False)
class _Space:
    """What is written into a space and read from it, in the basis (S, W, R, N) of numbers ``sizes``."""

    written: Tensor
    read: Tensor
    sizes: tuple[int, int, int, int]

    @staticmethod
    def of(written: Tensor, read: Tensor) -> _Space:
        n, (u, s, v) = len(written), _svd(read @ written)
        more, less = _beyond(written, v), _beyond(read.T, u)
        seen, rest = len(s), n - len(s) - len(more) - len(less)
        root = s.sqrt()[:, None]
        into = torch.cat([root * v, more, torch.zeros(n - seen - len(more), v.shape[1], dtype=v.dtype)])
        empty = [torch.zeros(k, u.shape[1], dtype=u.dtype) for k in (len(more), rest)]
        return _Space(into, torch.cat([root * u, empty[0], less, empty[1]]).T, (seen, len(more), len(less), rest))


def _svd(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left vectors (p, rows), values (p,), right vectors (p, columns) of rank p; the largest entry of each right one positive."""
    u, s, vt = torch.linalg.svd(h, full_matrices=False)
    keep = s > RANK * s[0]
    sign = _sign(vt[keep])
    return sign * u.T[keep], s[keep], sign * vt[keep]


def _sign(rows: Tensor) -> Tensor:
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True))
    return torch.where(largest < 0, -1.0, 1.0).double()


def _beyond(written: Tensor, seen: Tensor) -> Tensor:
    """An orthonormal basis (rows) of the rows of a matrix beyond some of them, on axes that fixed weights of the columns tell."""
    _, s, vt = torch.linalg.svd(written, full_matrices=False)
    rows = vt[s > RANK * s[0]]
    rest = rows - rows @ seen.T @ seen
    basis = torch.linalg.svd(rest, full_matrices=False)[2][: len(rows) - len(seen)]
    weights = torch.rand(written.shape[1], generator=torch.Generator().manual_seed(40), dtype=torch.float64)
    out = torch.linalg.eigh((basis * weights) @ basis.T)[1].flip(1).T @ basis
    return _sign(out) * out if len(out) else out


def _between(a: _Space, b: _Space) -> Tensor:
    """The map that makes of what is written into one what is written into the next, and of what is read there what is read here."""
    out = torch.zeros(len(b.written), len(a.written), dtype=torch.float64)
    (s, w, r, _), (seen, more, less, _) = a.sizes, b.sizes  # S, W, R, N of both
    out[:, : s + w] = b.written @ torch.linalg.pinv(a.written[: s + w], rtol=RANK)
    reads = torch.linalg.pinv(b.read, rtol=RANK) @ a.read
    out[seen + more : seen + more + less] = reads[seen + more : seen + more + less]
    rest = out[seen + more + less :, s + w + r :]
    rest.copy_(torch.eye(*rest.shape, dtype=torch.float64))
    return out


def _ranks(maps: Sequence[Tensor]) -> list[int]:
    """Of all products of neighbours."""
    out = []
    for k in range(len(maps)):
        product = torch.eye(maps[k].shape[1], dtype=torch.float64)
        for m in maps[k:]:
            product = m @ product
            product = product / product.norm().clamp_min(1e-300)
            out.append(int(torch.linalg.matrix_rank(product, rtol=RANK)))
    return out


def _rows(s: Site, x: Mapping[str, Tensor]) -> Tensor:
    return s.rows(x[s.block]).double().reshape(len(s.positions), -1)


def _matrix(up: Site, down: Site, x: Mapping[str, Tensor]) -> Tensor:
    """The block between two factors, what it writes first, both in the order of their units."""
    rows = _rows(up, x)
    return rows[:, torch.from_numpy(down.positions[:, 0])]


def _put(s: Site, x: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    return s.put(x[s.block], rows.reshape(s.rows(x[s.block]).shape).to(x[s.block].dtype))
