"""Moves on parameter space as plain data: where the units of a factor stand in the blocks, and how a block follows a move.

A factor is an elementary group (permutations of n units, signs, positive scales, invertible or orthogonal matrices, shifts).
Its sites say which entries of which blocks belong to unit i, and how these entries change; a carry says what else is added
to a bias so that the cost stays the same. A move is a list of steps, each an element of one factor; steps apply in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.elements import about_mean, scalars, stretched
from jensen.ask.symmetry.frame import Frame

Theta = dict[str, Tensor]
Kind = Literal[
    "permutation",
    "sign",
    "flip",
    "scale",
    "linear",
    "orthogonal",
    "complex",
    "phase",
    "shear",
    "isospectral",
    "shift",
    "translation",
]

MATRICES = ("linear", "orthogonal", "complex", "phase", "shear")
JOIN = "|"  # between the names of blocks that are laid together (joints)
PAIRED = ("complex", "phase")  # units 2i and 2i + 1 are real and imaginary part


@dataclass(frozen=True, eq=False)
class Site:
    """Where n units stand in one block.

    Attributes:
        block: The block's name.
        axes: The axes of the block on which the units lie, in increasing order.
        positions: Integers (n, m): the m places of each unit on these axes, flattened together in row-major order. Column
            k of one unit corresponds to column k of every other.
        degree: How the entries change. Under signs and scales they are multiplied by ``s_i ** degree``; under matrices by
            A (+1) or by its inverse transposed (-1); under shifts ``degree * c_i`` is added. Permutations do not read it.
        gain: Entries of a norm's weight by whose power (its degree) the entries are multiplied before and divided after.
    """

    block: str
    axes: tuple[int, ...]
    positions: np.ndarray
    degree: float = 1.0
    gain: Site | None = None

    def rows(self, value: Tensor) -> Tensor:
        """The entries of the units: (n, m, rest), the rest being the other axes, flattened; not to be written to."""
        front = _front(value, self.axes)
        return front[:, None] if self.plain and len(front) == len(self.positions) else front[self._where]

    def put(self, value: Tensor, rows: Tensor) -> Tensor:
        """The block with other entries at these places."""
        front = _front(value, self.axes).clone()
        front[self._where] = rows
        lead = [value.shape[a] for a in self.axes]
        rest = [a for a in range(value.dim()) if a not in self.axes]
        whole = front.reshape([*lead, *(value.shape[a] for a in rest)])
        order = [*self.axes, *rest]
        return whole.permute([order.index(a) for a in range(value.dim())]).contiguous().reshape(value.shape)

    def moved(self, value: Tensor, order: Tensor) -> Tensor:
        """The block with unit i's entries where it has those of unit order[i]; for sites on one axis."""
        index = torch.arange(value.shape[self.axes[0]])
        index[self._where] = self._where[order]
        return value.index_select(self.axes[0], index)

    def times(self, value: Tensor, numbers: Tensor) -> Tensor:
        """The block with unit i's entries multiplied by numbers[i]; for sites on one axis."""
        by = torch.ones(value.shape[self.axes[0]], dtype=numbers.dtype)
        by[self._where] = numbers[:, None].expand(self._where.shape)
        return value * by.reshape([-1 if a == self.axes[0] else 1 for a in range(value.dim())])

    @cached_property
    def _where(self) -> Tensor:
        return torch.from_numpy(np.array(self.positions))

    @cached_property
    def plain(self) -> bool:
        """Whether unit i stands at place i of one axis alone."""
        at = self.positions
        return len(self.axes) == at.shape[1] == 1 and bool((at[:, 0] == np.arange(len(at))).all())


def _front(value: Tensor, axes: tuple[int, ...]) -> Tensor:
    rest = [a for a in range(value.dim()) if a not in axes]
    return value.permute([*axes, *rest]).reshape(prod(value.shape[a] for a in axes), -1)


@dataclass(frozen=True, eq=False)
class Carry:
    """What a shift c of n units adds to a block: target[rows[i, k] + columns[r]] += factor * c_i * source[i, k, r].

    Attributes:
        source: The entries that multiply them, to the power of its degree.
        target: The block that takes up the shift, and its entries: flat indices are ``rows + columns``.
        rows: Integers (n, m).
        columns: Integers (rest,).
        factor: Usually -1.
        times: More entries that multiply them, like ``source``.
        total: Entries of one row each, whose products' sum multiplies all.
    """

    source: Site
    target: str
    rows: np.ndarray
    columns: np.ndarray
    factor: float = -1.0
    times: Site | None = None
    total: tuple[Site, ...] = ()

    def add(self, theta: Mapping[str, Tensor], shift: Tensor) -> Tensor:
        """The target block after the shift; the source is read as it is before."""
        amount = self.factor * shift[:, None, None]
        for site in (self.source, self.times):
            amount = amount if site is None else amount * site.rows(theta[site.block]) ** site.degree
        if self.total:
            amount = amount * torch.stack([t.rows(theta[t.block]) ** t.degree for t in self.total]).prod(0).sum()
        where = torch.from_numpy(self.rows)[:, :, None] + torch.from_numpy(self.columns)
        target = theta[self.target]
        return target.reshape(-1).index_add(0, where.reshape(-1), amount.reshape(-1)).reshape(target.shape)


@dataclass(frozen=True, eq=False)
class Factor:
    """One elementary factor of the group.

    Attributes:
        kind: ``permutation`` (S_n), ``sign`` ({+1, -1}^n), ``flip`` (signs that carry: the logistic's x -> 1 - x), ``scale``
            (positive numbers, n of them), ``linear`` (GL(n)), ``orthogonal`` (O(n)), ``complex`` (n/2 complex numbers other
            than 0; units 2i and 2i + 1 are real and imaginary part), ``phase`` (the same, of modulus 1), ``shear`` (the
            invertible I + 1 w'), ``isospectral`` (one number moves n gains, see there), ``shift`` (one number a unit, taken up elsewhere),
            ``translation`` (any number for each unit and each entry of the rest: nothing depends on it).
        size: n, the number of units.
        label: Where it is, in words.
        sites: Where the units stand; every site has n rows.
        carries: What shifts and flips add elsewhere.
        cells: For shifts: those that are constant on a cell of units and 0 elsewhere count in another factor; -1: in no cell.
        rest: For ``translation``: the entries of each unit that shift on their own.
        centred: For ``orthogonal``: the matrices leave the mean of the units alone, so that they are O(n - 1).
        power: Groups of equal factors in words: factors with the same ``power`` are one power of one group.
    """

    kind: Kind
    size: int
    label: str
    sites: tuple[Site, ...]
    carries: tuple[Carry, ...] = ()
    cells: np.ndarray | None = None
    power: str = ""
    rest: int = 1
    centred: bool = False

    @property
    def order(self) -> int:
        """Connected components."""
        if self.kind == "permutation":
            return factorial(self.size)
        if self.kind in ("sign", "flip"):
            return 2**self.size
        return 2 if self.kind in ("linear", "orthogonal", "shear") else 1

    @property
    def dimension(self) -> int:
        """Of the identity component."""
        n = self.size
        if self.kind == "shift":
            return n - (0 if self.cells is None else len(np.unique(self.cells[self.cells >= 0])))
        m = n - self.centred
        known = {
            "scale": n,
            "shear": n,
            "isospectral": 1,
            "complex": n,
            "phase": n // 2,
            "linear": n * n,
            "orthogonal": m * (m - 1) // 2,
            "translation": n * self.rest,
        }
        return known.get(self.kind, 0)

    @property
    def names(self) -> tuple[str, ...]:
        """What it moves: blocks, and blocks that are laid together."""
        return tuple(dict.fromkeys((*(s.block for s in self.sites), *(c.target for c in self.carries))))

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that it moves."""
        return tuple(dict.fromkeys(name for joint in self.names for name in joint.split(JOIN)))

    def sample(self, generator: torch.Generator) -> Tensor:
        """A random element, as float64 (permutations as int64)."""
        n = self.size
        if self.kind == "permutation":
            return torch.randperm(n, generator=generator)
        if self.kind in ("sign", "flip"):
            return 2.0 * torch.randint(0, 2, (n,), generator=generator).double() - 1.0
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        if self.kind == "scale":
            return (0.5 * noise.clamp(-2, 2)).exp()
        if self.kind == "shear":
            sign = 2.0 * float(torch.randint(0, 2, (), generator=generator)) - 1.0
            return stretched(0.5 * noise / n**0.5, sign * float((0.4 * noise[0]).exp()))
        if self.kind == "isospectral":
            return noise[:1].clone()
        if self.kind == "shift":
            return self.project(0.5 * noise)
        if self.kind == "translation":
            return 0.5 * torch.randn(n, self.rest, generator=generator, dtype=torch.float64)
        m = n - self.centred
        q = torch.linalg.qr(torch.randn(m, m, generator=generator, dtype=torch.float64))[0]
        if self.kind == "orthogonal":
            return about_mean(q) if self.centred else q
        if self.kind in PAIRED:
            a, b = (1.0 + 0.3 * noise[0::2]), 0.7 * noise[1::2]
            if self.kind == "phase":
                a, b = a / (a * a + b * b).sqrt(), b / (a * a + b * b).sqrt()
            return scalars(a, b)
        return q * (0.4 * noise.clamp(-2, 2)).exp()

    def identity(self) -> Tensor:
        """The element that moves nothing."""
        if self.kind == "permutation":
            return torch.arange(self.size)
        if self.kind in MATRICES:
            return torch.eye(self.size, dtype=torch.float64)
        if self.kind == "translation":
            return torch.zeros(self.size, self.rest, dtype=torch.float64)
        if self.kind == "isospectral":
            return torch.zeros(1, dtype=torch.float64)
        fill = torch.zeros if self.kind == "shift" else torch.ones
        return fill(self.size, dtype=torch.float64)

    def inverse(self, element: Tensor) -> Tensor:
        """The element that undoes it."""
        if self.kind == "permutation":
            return torch.argsort(element)
        if self.kind in MATRICES:
            return torch.linalg.inv(element)
        if self.kind in ("shift", "translation", "isospectral"):
            return -element
        return element if self.kind in ("sign", "flip") else 1.0 / element

    def project(self, shift: Tensor) -> Tensor:
        """A shift without its part that is constant on the cells."""
        if self.cells is None:
            return shift
        out = shift.clone()
        for cell in np.unique(self.cells[self.cells >= 0]):
            inside = torch.from_numpy(self.cells == cell)
            out[inside] -= out[inside].mean()
        return out

    def act(self, element: Tensor, theta: Mapping[str, Tensor]) -> Theta:
        """The point moved by an element; blocks that it does not touch are the same tensors."""
        if self.kind == "isospectral":
            from jensen.ask.symmetry.isospectral import deformed

            return deformed(self, element, theta)
        out: Theta = dict(theta)
        for carry in self.carries:
            shift = (1.0 - element) / 2.0 if self.kind == "flip" else element
            out[carry.target] = carry.add({**theta, carry.target: out[carry.target]}, shift.to(out[carry.target].dtype))
        for site in self.sites:
            value = out[site.block]
            if len(site.axes) == 1 and site.gain is None and self.kind in ("permutation", "sign", "flip", "scale"):
                plain = self.kind == "permutation"
                out[site.block] = (
                    site.moved(value, element) if plain else site.times(value, element.to(value.dtype) ** site.degree)
                )
                continue
            gain = 1.0 if site.gain is None else site.gain.rows(theta[site.gain.block]) ** site.gain.degree
            out[site.block] = site.put(value, self._moved(element, site, site.rows(value) * gain) / gain)
        return out

    def _moved(self, element: Tensor, site: Site, rows: Tensor) -> Tensor:
        if self.kind == "permutation":
            return rows[element]
        element = element.to(rows.dtype)
        if self.kind in MATRICES:
            a = element if site.degree > 0 else torch.linalg.inv(element).T
            return torch.einsum("ij,jmr->imr", a, rows)
        if self.kind in ("translation", "shift"):
            return rows + site.degree * (element[:, None, :] if self.kind == "translation" else element[:, None, None])
        return rows * (element**site.degree)[:, None, None]


@dataclass(frozen=True, eq=False)
class Step:
    """An element of one factor."""

    factor: Factor
    element: Tensor


class Coordinates(Protocol):
    """Other coordinates of a point, in which factors act plainly."""

    def to(self, theta: Mapping[str, Tensor]) -> Theta: ...
    def back(self, theta: Mapping[str, Tensor]) -> Theta: ...
    def moved(self, steps: tuple[Step, ...], theta: Mapping[str, Tensor]) -> Coordinates: ...


def _with_buffers(step: Step, theta: Theta, taken: set[str]) -> Theta:
    """Running statistics that the point holds, moved with the channels of their norm's weight.

    A sign in front of a norm moves its running mean, unless the norm reads it now (``taken``): then its bias makes up for it.
    """
    f = step.factor
    if f.kind not in ("permutation", "sign"):
        return theta
    for site in f.sites:
        base = site.block.removesuffix("weight")
        for name in (base + "running_mean", base + "running_var"):
            if base == site.block or name not in theta:
                continue
            rows = site.rows(theta[name])
            if f.kind == "permutation":
                theta = {**theta, name: site.put(theta[name], rows[step.element])}
            elif name.endswith("mean") and site.block not in taken and base + "bias" not in {s.block for s in f.sites}:
                theta = {**theta, name: site.put(theta[name], rows * step.element.to(rows.dtype)[:, None, None])}
    return theta


@dataclass(frozen=True, eq=False)
class Move:
    """An element of the whole group: steps that apply one after the other, in the coordinates of the frames."""

    steps: tuple[Step, ...]
    frames: tuple[Coordinates, ...] = ()

    def act(self, theta: Mapping[str, Tensor]) -> Theta:
        """The point moved; the given tensors are not changed."""
        out: Theta = dict(theta)
        for frame in self.frames:
            out = frame.to(out)
        for step in self.steps:
            out = step.factor.act(step.element, out)
            out = _with_buffers(step, out, {f.weight for f in self.frames if isinstance(f, Frame)})
        for frame in reversed(self.frames):
            out = frame.moved(self.steps, theta).back(out)
        return {n: out[n] for n in theta}

    __call__ = act

    def then(self, other: Move) -> Move:
        """This move, and another after it."""
        return Move((*self.steps, *other.steps), self.frames)

    def inverse(self) -> Move:
        """The move that undoes it."""
        return Move(tuple(Step(s.factor, s.factor.inverse(s.element)) for s in reversed(self.steps)), self.frames)
