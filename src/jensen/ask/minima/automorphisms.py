"""How many elements of a group of permutations fix a point, where several permutations move one block.

Units of all factors are coloured by the entries that they have, again and again by the colours of the units that share these
entries with them (refinement); what stays alike is tried unit by unit (individualisation: McKay 1981). The size of the group
is the product of the orbits of the units that are held fast, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAVES = 2_000  # complete permutations that are looked at for one image of a unit

Theta = Mapping[str, Tensor]


def fixing(found: Any, theta: Theta, near: float) -> int | None:
    """The order of the point's stabiliser; None where the search was given up.

    Args:
        found: An answer of ``jensen.symmetries`` all of whose factors are permutations.
        theta: The point.
        near: Entries no further apart are equal.
    """
    graph = _Graph(found, theta, near)
    held: list[int] = []
    order = 1
    while True:
        colours = graph.refined(held)
        cell = _cell(colours)
        if cell is None:
            return order
        images = [graph.maps(held, cell[0], v) for v in cell]
        if any(i is None for i in images):
            return None
        order *= sum(bool(i) for i in images)
        held.append(int(cell[0]))


def _cell(colours: np.ndarray) -> np.ndarray | None:
    """The first units that have one colour; None where all differ."""
    names, counts = np.unique(colours, return_counts=True)
    if (counts == 1).all():
        return None
    return np.nonzero(colours == names[counts > 1][0])[0]


class _Graph:
    """Entries and the units that they belong to."""

    def __init__(self, found: Any, theta: Theta, near: float):
        self.found, self.theta, self.near = found, theta, near
        starts = np.cumsum([0, *(f.size for f in found.factors)])
        self.spans = list(zip(found.factors, starts[:-1], starts[1:], strict=True))
        self.n = int(starts[-1])
        values = torch.cat([t.reshape(-1) for t in theta.values()]).double().numpy()
        self.entries = _labels(values, near)
        self.links = list(self._links())
        self.first = np.concatenate([np.full(f.size, k) for k, f in enumerate(found.factors)])
        self._names: dict[Any, int] = {}

    def _name(self, key: Any) -> int:
        """A colour, the same for the same key in all refinements of this graph."""
        return self._names.setdefault(key, len(self._names))

    def _links(self) -> Any:
        """For each site: which entries (m, rest) each of its units has, with numbers in all blocks together."""
        base, begins = 0, {}
        for name, t in self.theta.items():
            begins[name] = base
            base += t.numel()
        for f, start, _ in self.spans:
            for s in f.sites:
                t = self.theta[s.block]
                numbers = torch.arange(t.numel(), dtype=torch.float64).reshape(t.shape)
                yield int(start), s.rows(numbers).long().reshape(f.size, -1).numpy() + begins[s.block]

    def refined(self, held: Sequence[int]) -> np.ndarray:
        """Colours of units, with some of them held fast."""
        colours = self.first.copy()
        for k, u in enumerate(held):
            colours[u] = len(self.spans) + k
        while True:
            entries = np.zeros((len(self.entries), 1 + len(self.links)), dtype=np.int64)
            entries[:, 0] = self.entries
            for k, (start, places) in enumerate(self.links):
                entries[places, 1 + k] = 1 + colours[start : start + len(places), None]
            marks = np.array([self._name(r.tobytes()) for r in entries])
            told: list[list[int]] = [[int(c)] for c in colours]
            for start, places in self.links:
                for i, row in enumerate(places):
                    told[start + i] += sorted(marks[row].tolist())
            new = np.array([self._name(tuple(t)) for t in told])
            if len(np.unique(new)) == len(np.unique(colours)):
                return new
            colours = new

    def maps(self, held: Sequence[int], u: int, v: int) -> bool | None:
        """Whether an element fixes the point and what is held, and takes unit u to unit v."""
        if u == v:
            return True
        self._left = LEAVES
        return self._search([*held, int(u)], [*held, int(v)])

    def _search(self, here: list[int], there: list[int]) -> bool | None:
        a, b = self.refined(here), self.refined(there)
        if not np.array_equal(np.sort(a), np.sort(b)):
            return False
        cell = _cell(a)
        if cell is None:
            self._left -= 1
            return self._fixes(np.argsort(a)[np.argsort(np.argsort(b))]) if self._left >= 0 else None
        for w in np.nonzero(b == a[cell[0]])[0]:
            answer = self._search([*here, int(cell[0])], [*there, int(w)])
            if answer or answer is None:
                return answer
        return False

    def _fixes(self, order: np.ndarray) -> bool:
        """Whether the units in this order leave the point where it is."""
        steps = [(f, torch.from_numpy(order[a:b] - a)) for f, a, b in self.spans]
        moved = self.found.move(steps).act(dict(self.theta))
        return all(bool(((moved[n] - t).abs() <= self.near).all()) for n, t in self.theta.items())


def _labels(values: np.ndarray, near: float) -> np.ndarray:
    """The same number for values in a row that are no further apart."""
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([[0], (np.diff(values[order]) > near).cumsum()])
    out = np.empty(len(values), dtype=np.int64)
    out[order] = steps
    return out
