"""Blocks laid together, so that units that stand in several of them stand in one: two equal branches' layers, say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch

from jensen.ask.symmetry.flow import unravelled
from jensen.ask.symmetry.group import JOIN, Carry, Factor, Site, Step, Theta

Shape = tuple[int, ...]
Rows = tuple[tuple[int, ...], np.ndarray]  # axes, and positions on them for each unit


@dataclass(frozen=True, eq=False)
class Joint:
    """Coordinates in which some blocks are one: stacked on a new first axis, or (``axis``) one after the other along an axis.

    Attributes:
        blocks, shapes: What is laid together.
        axis: Along which; None: stacked, all of one shape.
        buffers: Whether running statistics of norms that a point holds go with their weights.
    """

    blocks: tuple[str, ...]
    shapes: tuple[Shape, ...]
    axis: int | None = None
    buffers: bool = True

    @property
    def name(self) -> str:
        return JOIN.join(self.blocks)

    def moved(self, steps: Sequence[Step], theta: Mapping[str, torch.Tensor]) -> Joint:
        """The coordinates after a move: the same."""
        return self

    def to(self, theta: Mapping[str, torch.Tensor]) -> Theta:
        """Blocks -> coordinates."""
        out = dict(theta)
        for name, members in self._all(theta):
            values = [out.pop(n) for n in members]
            out[name] = torch.stack(values) if self.axis is None else torch.cat(values, self.axis)
        return out

    def back(self, theta: Mapping[str, torch.Tensor]) -> Theta:
        """Coordinates -> blocks."""
        out = dict(theta)
        for name, members in self._all(theta):
            value = out.pop(name)
            sizes = None if self.axis is None else [s[self.axis] for s in self.shapes]
            parts = value.unbind(0) if sizes is None else value.split(sizes, self.axis or 0)
            out.update(zip(members, parts, strict=True))
        return out

    def _all(self, theta: Mapping[str, torch.Tensor]) -> list[tuple[str, tuple[str, ...]]]:
        found = [(self.name, self.blocks)]
        if self.buffers and all(n.endswith("weight") for n in self.blocks):
            for b in ("running_mean", "running_var"):
                members = tuple(n.removesuffix("weight") + b for n in self.blocks)
                name = self.name.removesuffix("weight") + b
                if name in theta or all(n in theta for n in members):
                    found.append((name, members))
        return found

    # -- where things stand ----------------------------------------------------------------------------------------

    def rows(self, block: str, axes: tuple[int, ...], positions: np.ndarray) -> Rows:
        """Positions (n, m) on some axes of one block, as positions in the joint block."""
        k = self.blocks.index(block)
        own = [self.shapes[k][a] for a in axes]
        if self.axis is None:
            return (0, *(a + 1 for a in axes)), positions + k * prod(own)
        start = sum(s[self.axis] for s in self.shapes[:k])
        whole = list(self.shapes[0])
        whole[self.axis] = sum(s[self.axis] for s in self.shapes)
        at = dict(zip(axes, unravelled(positions, own), strict=True)) if axes else {}
        if self.axis in axes:
            at[self.axis] = at[self.axis] + start
        else:  # all along the axis
            along = start + np.arange(self.shapes[k][self.axis])
            n, m = positions.shape
            at = {a: np.repeat(c, len(along), axis=1) for a, c in at.items()}
            at[self.axis] = np.broadcast_to(np.tile(along, m), (n, m * len(along)))
        kept = tuple(sorted(at))
        return kept, np.ravel_multi_index([at[a] for a in kept], [whole[a] for a in kept])

    def widens(self, axes: tuple[int, ...]) -> bool:
        """Whether entries on these axes have fewer other axes in the joint block."""
        return self.axis is not None and self.axis not in axes

    def flat(self, block: str, index: np.ndarray) -> np.ndarray:
        """Flat indices of a block as flat indices of the joint one."""
        axes = tuple(range(len(self.shapes[0])))
        return self.rows(block, axes, index.reshape(1, -1))[1].reshape(index.shape)


def of(joints: Sequence[Joint], block: str) -> Joint | None:
    return next((j for j in joints if block in j.blocks), None)


def moved_site(s: Site, joints: Sequence[Joint]) -> Site:
    """A site in the coordinates of the joints."""
    gain = None if s.gain is None else moved_site(s.gain, joints)
    j = of(joints, s.block)
    if j is None:
        return replace(s, gain=gain)
    return Site(j.name, *j.rows(s.block, s.axes, s.positions), s.degree, gain)


def moved_factor(f: Factor, joints: Sequence[Joint]) -> Factor | None:
    """A factor in the coordinates of the joints; None where it cannot be written there."""
    every = [*f.sites, *(s for c in f.carries for s in (c.source, c.times, *c.total) if s is not None)]
    every += [s.gain for s in f.sites if s.gain is not None]
    if not any(of(joints, b) for b in (*(s.block for s in every), *(c.target for c in f.carries))):
        return f
    stiff = [*(s for s in every if s not in f.sites), *(f.sites if f.kind == "translation" else ())]
    if any((j := of(joints, s.block)) is not None and j.widens(s.axes) for s in stiff):
        return None
    return replace(f, sites=_moved_sites(f.sites, joints), carries=tuple(_moved_carry(c, joints) for c in f.carries))


def _moved_sites(sites: Sequence[Site], joints: Sequence[Joint]) -> tuple[Site, ...]:
    """Sites in the coordinates of the joints; those that all blocks of a joint have alike are one."""
    out: list[Site] = []
    alike: dict[object, list[Site]] = {}
    for s in sites:
        j = of(joints, s.block)
        if j is not None and s.gain is None and (j.axis is None or j.widens(s.axes)):
            alike.setdefault((j.name, s.axes, s.degree, s.positions.tobytes()), []).append(s)
    for s in sites:
        j = of(joints, s.block)
        same = [] if j is None else alike.get((j.name, s.axes, s.degree, s.positions.tobytes()), [])
        if j is None or {m.block for m in same} != set(j.blocks) or len(same) != len(j.blocks):
            out.append(moved_site(s, joints))
        elif s is same[0]:
            axes = tuple(a + 1 for a in s.axes) if j.axis is None else s.axes
            out.append(Site(j.name, axes, s.positions, s.degree))
    return tuple(out)


def _moved_carry(c: Carry, joints: Sequence[Joint]) -> Carry:
    times = None if c.times is None else moved_site(c.times, joints)
    total = tuple(moved_site(s, joints) for s in c.total)
    moved = replace(c, source=moved_site(c.source, joints), times=times, total=total)
    j = of(joints, c.target)
    if j is None:
        return moved
    where = c.rows[:, :, None] + c.columns
    rows = j.flat(c.target, where.reshape(len(where), -1))
    return replace(moved, target=j.name, rows=rows, columns=np.zeros(1, dtype=np.int64))
