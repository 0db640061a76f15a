"""Characters: by which power of a factor's number each entry of a value is multiplied, and the equations between them.

A character is a linear expression in unknowns; one unknown stands for the logarithm of a scale, or for a sign written as 0 or
1 (then everything is modulo 2). Operations add equations; what solves them all is the group of scales (of signs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

Row = dict[int, Fraction]
Vector = dict[int, Fraction]

ONE = Fraction(1)


class System:
    """Expressions, interned as integers (0 is the expression 0), and equations ``expression = 0``."""

    def __init__(self, modulus: int = 0):
        self.modulus = modulus
        self.unknowns = 0
        self.table: list[tuple[tuple[int, Fraction], ...]] = [()]
        self._ids: dict[tuple[tuple[int, Fraction], ...], int] = {(): 0}
        self.equations: set[int] = set()

    def new(self, shape: tuple[int, ...]) -> np.ndarray:
        """Fresh unknowns, as expressions."""
        n = int(np.prod(shape))
        out = [self._intern({self.unknowns + k: ONE}) for k in range(n)]
        self.unknowns += n
        return np.array(out, dtype=np.int64).reshape(shape)

    def _intern(self, row: Row) -> int:
        key = tuple(sorted((v, c % self.modulus if self.modulus else c) for v, c in row.items()))
        key = tuple((v, c) for v, c in key if c)
        if key not in self._ids:
            self._ids[key] = len(self.table)
            self.table.append(key)
        return self._ids[key]

    def combine(self, parts: Iterable[tuple[Fraction, np.ndarray]]) -> np.ndarray:
        """The sum of multiples of expressions, position by position; arrays broadcast."""
        items = [(f, a) for f, a in parts if f]
        if not items:
            return np.zeros((), dtype=np.int64)
        arrays = np.broadcast_arrays(*(a for _, a in items))
        flat = np.stack([a.reshape(-1) for a in arrays])
        distinct, back = np.unique(flat, axis=1, return_inverse=True)
        out = np.empty(distinct.shape[1], dtype=np.int64)
        for k in range(distinct.shape[1]):
            row: Row = defaultdict(Fraction)
            for (f, _), e in zip(items, distinct[:, k], strict=True):
                for v, c in self.table[e]:
                    row[v] += f * c
            out[k] = self._intern(row)
        return out[back.reshape(-1)].reshape(arrays[0].shape)

    def vanish(self, expressions: np.ndarray) -> None:
        """All of these are 0."""
        self.equations.update(int(e) for e in np.unique(expressions))

    def solve(self) -> list[Vector]:
        """A basis of the solutions, as sparse as elimination gives it: unknown -> value."""
        roots, rows = self.merged()
        groups: dict[int, list[Row]] = defaultdict(list)
        link = Links(self.unknowns)
        for row in rows:
            first, *others = row
            for v in others:
                link.join(first, v)
        for row in rows:
            groups[link.find(next(iter(row)))].append(row)
        members: dict[int, list[int]] = defaultdict(list)
        free = [v for v in range(self.unknowns) if roots.get(v) == (v, ONE)]
        for v in free:
            members[link.find(v)].append(v)
        basis: list[Vector] = []
        for group, own in members.items():
            basis += _null_space(groups.get(group, []), own, self.modulus)
        return self._expanded(basis, roots)

    def merged(self) -> tuple[dict[int, tuple[int, Fraction]], list[Row]]:
        """Each unknown as a multiple of another (unknowns that must be 0 are left out), and the equations that remain."""
        to: dict[int, tuple[int, Fraction]] = {}
        zero: set[int] = set()

        def find(v: int) -> tuple[int, Fraction]:
            path = []
            f = ONE
            while v in to:
                path.append(v)
                v, c = to[v]
                f = f * c
            for p in path[:-1]:  # short paths for the next time
                q, c = to[p]
                while q in to:
                    q, d = to[q]
                    c = c * d
                to[p] = (q, c)
            return v, f

        todo = [dict(self.table[e]) for e in self.equations if e]
        while True:
            rest: list[Row] = []
            changed = False
            for row in todo:
                short: Row = defaultdict(Fraction)
                for v, c in row.items():
                    r, f = find(v)
                    if r not in zero:
                        short[r] += c * f
                short = {v: c % self.modulus if self.modulus else c for v, c in short.items()}
                short = {v: c for v, c in short.items() if c}
                if len(short) == 1:
                    zero.add(next(iter(short)))
                    changed = True
                elif len(short) == 2:
                    (a, p), (b, q) = short.items()
                    ratio = -q / p
                    to[a] = (b, ratio % self.modulus if self.modulus else ratio)
                    changed = True
                elif short:
                    rest.append(short)
            todo = rest
            if not changed:
                break
        found = {}
        for v in range(self.unknowns):
            r, f = find(v)
            if r not in zero:
                found[v] = (r, f)
        return found, todo

    def _expanded(self, basis: list[Vector], roots: dict[int, tuple[int, Fraction]]) -> list[Vector]:
        followers: dict[int, list[tuple[int, Fraction]]] = defaultdict(list)
        for v, (r, f) in roots.items():
            followers[r].append((v, f))
        out = []
        for vector in basis:
            whole = {v: c * f for r, c in vector.items() for v, f in followers[r]}
            out.append({v: c % self.modulus if self.modulus else c for v, c in whole.items()})
        return out


class Links:
    """Union-find over integers."""

    def __init__(self, n: int = 0):
        self.up = list(range(n))

    def more(self, n: int) -> int:
        """n new elements; the first of them."""
        start = len(self.up)
        self.up.extend(range(start, start + n))
        return start

    def find(self, v: int) -> int:
        while self.up[v] != v:
            self.up[v] = self.up[self.up[v]]
            v = self.up[v]
        return v

    def join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.up[max(a, b)] = min(a, b)

    def roots(self, ids: np.ndarray) -> np.ndarray:
        """The representatives of an array of elements."""
        distinct, back = np.unique(ids, return_inverse=True)
        return np.array([self.find(int(v)) for v in distinct], dtype=np.int64)[back.reshape(-1)].reshape(ids.shape)


def _null_space(rows: list[Row], unknowns: list[int], modulus: int) -> list[Vector]:
    """Solutions of some equations by elimination, one for each unknown that stays free."""
    pivots: dict[int, Row] = {}
    for row in rows:
        row = dict(row)
        for v, pivot in pivots.items():
            if row.get(v):
                row = _less(row, row[v], pivot, modulus)
        row = {v: c for v, c in row.items() if c}
        if not row:
            continue
        v = next(iter(row))
        row = {u: (c / row[v]) % modulus if modulus else c / row[v] for u, c in row.items()}
        for u, pivot in pivots.items():
            if pivot.get(v):
                pivots[u] = _less(pivot, pivot[v], row, modulus)
        pivots[v] = row
    out = []
    for u in unknowns:
        if u not in pivots:
            vector = {u: ONE}
            for v, row in pivots.items():
                if row.get(u):
                    vector[v] = -row[u] % modulus if modulus else -row[u]
            out.append(vector)
    return out


def _less(row: Row, factor: Fraction, pivot: Row, modulus: int) -> Row:
    out = dict(row)
    for v, c in pivot.items():
        out[v] = out.get(v, Fraction(0)) - factor * c
    return {v: c % modulus if modulus else c for v, c in out.items() if (c % modulus if modulus else c)}
