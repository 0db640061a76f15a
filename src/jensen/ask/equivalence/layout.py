"""Where the units of all factors stand among the entries of the blocks, looked up once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor

from jensen.ask.symmetry.group import MATRICES, Factor, Site


@dataclass(frozen=True, eq=False)
class Place:
    """One site: flat indices (n, m, rest) of its units' entries in the block."""

    site: Site
    index: Tensor

    @property
    def block(self) -> str:
        return self.site.block

    def rows(self, x: Mapping[str, Tensor]) -> Tensor:
        """The entries of the units (n, m, rest); not to be written to."""
        return self.site.rows(x[self.block])

    @cached_property
    def units(self) -> Tensor:
        """The unit at each entry of the rows, broadcastable to (n, m, rest)."""
        return torch.arange(len(self.index))[:, None, None]


@dataclass(frozen=True, eq=False)
class Placed:
    """A factor with its places."""

    factor: Factor
    places: tuple[Place, ...]

    @property
    def signs(self) -> int:
        """How many signs are left of the factor in normal form: one a unit, of a complex scalar one a pair."""
        if self.factor.kind in ("sign", "flip", "linear", "orthogonal"):
            return self.factor.size
        return self.factor.size // 2 if self.factor.kind == "complex" else 0

    @property
    def signed(self) -> tuple[Place, ...]:
        """The places whose entries these signs change."""
        return tuple(p for p in self.places if self.signs and (self.factor.kind in MATRICES or _odd(p)))

    def sign_of(self, place: Place) -> Tensor:
        """The number of the sign that multiplies each entry of the rows, broadcastable; -1 for none."""
        if self.factor.kind == "complex":
            return place.units // 2
        if self.factor.centred:  # the first unit is a mean
            return torch.where(place.units == 0, -1, place.units)
        return place.units

    def element(self, signs: Tensor) -> Tensor:
        """Signs as an element of the factor."""
        if self.factor.kind == "complex":
            signs = signs.repeat_interleave(2)
        return torch.diag(signs) if self.factor.kind in MATRICES else signs


def placed(factors: Sequence[Factor], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Placed, ...]:
    """All factors with their places."""
    numbers = {n: torch.arange(prod(s)).reshape(s) for n, s in shapes.items()}
    return tuple(Placed(f, tuple(Place(s, s.rows(numbers[s.block])) for s in f.sites)) for f in factors)


def _odd(place: Place) -> bool:
    """Whether a sign changes the entries of a site."""
    return float(place.site.degree) % 2 == 1
