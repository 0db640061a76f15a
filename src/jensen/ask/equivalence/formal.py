"""Coordinates in which every move but the shifts is plain: a factor acts on its sites, and nothing is carried.

Flips become signs: sigma(x) = 1/2 + tanh(x/2)/2. Where rotations leave the mean of a stream alone and read it through a norm's gain,
the gain is taken into the reader and the stream is turned so that its mean is the first unit: rotations act on the others.
Shears leave units less their mean, and the sign of the mean (:mod:`jensen.ask.equivalence.split`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jensen.ask.equivalence.split import NOTHING, merged, real, split, splits, turned_mean, with_means
from jensen.ask.symmetry.group import Carry, Factor, Site, Step

Theta = dict[str, Tensor]
SHIFTS = ("shift", "translation")
LOST = (*SHIFTS, "isospectral")  # what points in plain coordinates have nothing of


@dataclass(frozen=True, eq=False)
class Formal:
    """The plain factors, and the way to their coordinates and back.

    Attributes:
        factors: The group's factors.
        plain: For each that is no shift its plain form, in the same order.
    """

    factors: tuple[Factor, ...]
    plain: tuple[Factor, ...]

    def to(self, x: Mapping[str, Tensor]) -> Theta:
        """A point without shifts, in plain coordinates."""
        return self._turned(split(self._split, _halved(self.factors, x, 0.5)), forth=True)

    def back(self, x: Mapping[str, Tensor]) -> Theta:
        """From plain coordinates."""
        return _halved(self.factors, merged(self._split, self._turned(x, forth=False)), -0.5)

    def real(self, steps: Sequence[Step]) -> list[Step]:
        """Plain steps as steps of the group."""
        moving = [f for f in self.factors if f.kind not in LOST]
        owner = {id(p): f for p, f in zip(self.plain, moving, strict=True)}
        return [_real(owner[id(s.factor)], s.element) for s in steps]

    @cached_property
    def _split(self) -> dict[tuple[str, tuple[int, ...]], Site]:
        return splits(self.factors)

    def _turned(self, x: Mapping[str, Tensor], forth: bool) -> Theta:
        out = dict(x)
        for f in (f for f in self.factors if _turns(f)):
            h = turn(f.size) if f.centred else torch.eye(f.size, dtype=torch.float64)
            for s in f.sites:
                rows = s.rows(out[s.block])
                taken = s.gain is None or (s.block, s.axes) in self._split
                gain = 1.0 if taken or s.gain is None else s.gain.rows(out[s.gain.block]) ** s.gain.degree
                matrix = (h if forth else h.T).to(rows.dtype)
                rows = torch.einsum("ij,jmr->imr", matrix, rows * gain if forth else rows)
                rows = _noiseless(rows) if forth and f.centred else rows
                out[s.block] = s.put(out[s.block], rows if forth else rows / gain)
        return out


def formal(factors: Sequence[Factor]) -> Formal:
    """The plain form of some factors."""
    apart = splits(factors)
    gained = {(s.block, s.axes): s for f in factors for s in f.sites if s.gain is not None and _turns(f)}
    gained |= {key: s for key, s in apart.items() if s.gain is not None}
    plain = []
    for f in factors:
        if f.kind in LOST:
            continue
        if f.kind == "shear":
            plain.append(turned_mean(f))
            continue
        sites = f.sites
        if _turns(f):
            sites = tuple(replace(s, gain=None) for s in sites)
        elif f.kind in ("scale", "sign", "flip"):
            for reader in gained.values():
                sites = _with_reader(f, sites, reader)
        plain.append(with_means(replace(f, sites=sites, carries=()), apart))
    return Formal(tuple(factors), tuple(plain))


def turn(n: int) -> Tensor:
    """An orthogonal matrix (n, n) whose first row is constant."""
    columns = torch.cat([torch.ones(n, 1, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[:, 1:]], 1)
    q = torch.linalg.qr(columns)[0]
    return (q * torch.sign(q[0, 0])).T


def _noiseless(rows: Tensor) -> Tensor:
    """Means that cancel to rounding are zero: noise has no sign."""
    mean = torch.where(rows[:1].abs() <= NOTHING * rows.abs().amax(0, keepdim=True), 0.0, rows[:1])
    return torch.cat([mean, rows[1:]])


def _turns(f: Factor) -> bool:
    return f.kind in ("orthogonal", "linear") and (f.centred or any(s.gain is not None for s in f.sites))


def _real(f: Factor, element: Tensor) -> Step:
    """An element in plain coordinates as one of the factor itself."""
    if f.kind == "shear":
        return real(f, element)
    if not f.centred:
        return Step(f, element)
    h = turn(f.size)
    return Step(f, h.T @ element @ h)


def _halved(factors: Sequence[Factor], x: Mapping[str, Tensor], half: float) -> Theta:
    """The 1/2 of the logistic function taken into the readers' biases, or out again; once, however many flips turn a unit."""
    out, seen = dict(x), set()
    for f in [f for f in factors if f.kind == "flip"]:
        own = set()
        for carry in f.carries:
            units = _units(carry)
            amount = torch.tensor([0.0 if u in seen else half for u in units], dtype=out[carry.target].dtype)
            out[carry.target] = carry.add({**x, carry.target: out[carry.target]}, amount)
            own |= set(units)
        seen |= own
    return out


def _units(carry: Carry) -> list[tuple[object, ...]]:
    """For each unit all that is read, and where it is added."""
    where = (carry.target, carry.columns.tobytes(), *((t.block, t.positions.tobytes()) for t in carry.total))
    read = [s for s in (carry.source, carry.times) if s is not None]
    return [
        (*where, row.tobytes(), *((s.block, s.positions[i].tobytes()) for s in read))
        for i, row in enumerate(carry.rows)
    ]


def _with_reader(f: Factor, sites: tuple[Site, ...], reader: Site) -> tuple[Site, ...]:
    """The sites of a scale or sign where a gain is taken into its reader: there their degrees add up, place by place."""
    gain = reader.gain
    if gain is None or not any(s.block == gain.block for s in sites):
        return sites
    where = {int(p): into for row, into in zip(gain.positions, reader.positions, strict=True) for p in row}
    totals: list[dict[int, float]] = [{} for _ in range(f.size)]
    for s in sites:
        for total, row in zip(totals, s.positions, strict=True):
            if s.block == gain.block:
                for place in (int(q) for p in row for q in where.get(int(p), ())):
                    total[place] = total.get(place, 0.0) + s.degree * gain.degree
            elif s.block == reader.block and s.axes == reader.axes:
                for p in row:
                    total[int(p)] = total.get(int(p), 0.0) + s.degree
    rest = tuple(s for s in sites if not (s.block == reader.block and s.axes == reader.axes))
    if f.kind != "scale":
        totals = [{p: d % 2 for p, d in total.items()} for total in totals]
    degrees = sorted({d for total in totals for d in total.values() if d})
    for degree in degrees:
        rows = [[p for p, d in total.items() if d == degree] for total in totals]
        if len({len(r) for r in rows}) == 1:
            rest = (*rest, Site(reader.block, reader.axes, np.array(rows), degree))
    return rest
