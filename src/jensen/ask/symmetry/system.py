"""Characters: by which power of a factor's number each entry of a value is multiplied, and the equations between them.

A character is a linear expression in unknowns; one unknown stands for the logarithm of a scale, or for a sign written as 0 or
1 (then everything is modulo 2). Operations add equations; what solves them all is the group of scales (of signs).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

Number = int | Fraction  # whole numbers stay int: most are, and int is fast
Row = dict[int, Number]
Vector = dict[int, Number]

ONE = 1


def number(c: Number) -> Number:
    """A whole number as int."""
    return c if type(c) is int else c.numerator if c.denominator == 1 else c


def ratio(a: Number, b: Number) -> Number:
    """a / b, exactly."""
    return a if b == 1 else -a if b == -1 else number(Fraction(a) / b)


class System:
    """Expressions, interned as integers (0 is the expression 0), and equations ``expression = 0``."""

    def __init__(self, modulus: int = 0):
        self.modulus = modulus
        self.unknowns = 0
        self.table: list[tuple[tuple[int, Number], ...]] = [()]
        self._ids: dict[tuple[tuple[int, Number], ...], int] = {(): 0}
        self.equations: set[int] = set()
        self._kept: Any = None  # what merging the equations gave, while there are no more of them

    def new(self, shape: tuple[int, ...]) -> np.ndarray:
        """Fresh unknowns, as expressions."""
        n = int(np.prod(shape))
        out = [self.intern({self.unknowns + k: ONE}) for k in range(n)]
        self.unknowns += n
        return np.array(out, dtype=np.int64).reshape(shape)

    def intern(self, row: Row) -> int:
        """The number of an expression."""
        m = self.modulus
        key = tuple(sorted((v, c % m if m else number(c)) for v, c in row.items() if (c % m if m else c)))
        if key not in self._ids:
            self._ids[key] = len(self.table)
            self.table.append(key)
        return self._ids[key]

    def combine(self, parts: Sequence[tuple[Number, np.ndarray]]) -> np.ndarray:
        """The sum of multiples of expressions, position by position; arrays broadcast."""
        items = [(f, a) for f, a in parts if f and a.any()]
        if not items:
            return np.zeros(np.broadcast_shapes(*(a.shape for _, a in parts)), dtype=np.int64)
        shape = np.broadcast_shapes(*(a.shape for _, a in parts))
        if len(items) == 1 and items[0][0] == 1:
            return np.broadcast_to(items[0][1], shape)
        arrays = [np.broadcast_to(a, shape).reshape(-1) for _, a in items]
        small = len(self.table) ** len(arrays) < 2**63
        code = arrays[0]
        for a in arrays[1:]:
            pairs = code * len(self.table) + a if small else np.stack([code, a])
            code = pairs if small else np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
        _, first, back = np.unique(code, return_index=True, return_inverse=True)
        out = np.empty(len(first), dtype=np.int64)
        for k, i in enumerate(first.tolist()):
            row: Row = {}
            for (f, _), a in zip(items, arrays, strict=True):
                for v, c in self.table[a[i]]:
                    row[v] = row.get(v, 0) + f * c
            out[k] = self.intern(row)
        return out[back.reshape(-1)].reshape(shape)

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

    def merged(self) -> tuple[dict[int, tuple[int, Number]], list[Row]]:
        """Each unknown as a multiple of another (unknowns that must be 0 are left out), and the equations that remain."""
        if self._kept is not None and self._kept[0] == len(self.equations):
            return self._kept[1]
        to: dict[int, tuple[int, Number]] = {}
        zero: set[int] = set()
        todo = [dict(self.table[e]) for e in self.equations if e]
        while True:
            rest: list[Row] = []
            changed = False
            for row in todo:
                short = self._short(row, to, zero)
                if len(short) == 1:
                    zero.add(next(iter(short)))
                    changed = True
                elif len(short) == 2:
                    (a, p), (b, q) = short.items()
                    f = ratio(-q, p)
                    to[a] = (b, f % self.modulus if self.modulus else f)
                    changed = True
                elif short:
                    rest.append(short)
            todo = rest
            if not changed:
                break
        found = {}
        for v in range(self.unknowns):
            r, f = _found(v, to)
            if r not in zero:
                found[v] = (r, f)
        self._kept = (len(self.equations), (found, todo))
        return found, todo

    def _short(self, row: Row, to: dict[int, tuple[int, Number]], zero: set[int]) -> Row:
        """An equation in terms of representatives."""
        short: Row = {}
        for v, c in row.items():
            r, f = _found(v, to)
            if r not in zero:
                short[r] = short.get(r, 0) + c * f
        m = self.modulus
        return {v: c % m if m else c for v, c in short.items() if (c % m if m else c)}

    def _expanded(self, basis: list[Vector], roots: dict[int, tuple[int, Number]]) -> list[Vector]:
        followers: dict[int, list[tuple[int, Number]]] = defaultdict(list)
        for v, (r, f) in roots.items():
            followers[r].append((v, f))
        out = []
        for vector in basis:
            whole = {v: c * f for r, c in vector.items() for v, f in followers[r]}
            out.append({v: c % self.modulus if self.modulus else c for v, c in whole.items()})
        return out


def _found(v: int, to: dict[int, tuple[int, Number]]) -> tuple[int, Number]:
    """The representative of an unknown and the factor to it; paths are shortened on the way."""
    path = []
    while v in to:
        path.append(v)
        v = to[v][0]
    f: Number = 1
    for p in reversed(path):
        f = to[p][1] * f if type(f) is int else number(to[p][1] * f)
        to[p] = (v, f)
    return v, f


LONG = 100  # solutions up to which they are compared with each other


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
    pivots: dict[int, Row] = {}  # in order: a later pivot may stand in an earlier row
    often = Counter(v for row in rows for v in row)
    for row in rows:
        row = reduced(dict(row), pivots, modulus)
        if row:  # what many equations share stays free, so that solutions touch few units
            v = max(row, key=lambda u: (-often[u], u))
            pivots[v] = {u: ratio(c, row[v]) % modulus if modulus else ratio(c, row[v]) for u, c in row.items()}
    done: dict[int, Row] = {}
    for v in reversed(list(pivots)):
        rest = {u: c for u, c in pivots[v].items() if u != v}
        done[v] = {v: 1, **reduced(rest, done, modulus)}
    vectors: dict[int, Vector] = {u: {u: 1} for u in unknowns if u not in done}
    for v, row in done.items():
        for u, c in row.items():
            if u != v:
                vectors[u][v] = -c % modulus if modulus else -c
    return _sparser(list(vectors.values()), modulus)


def _sparser(basis: list[Vector], modulus: int) -> list[Vector]:
    """Long solutions less others with which they share most: one that touches a single unit may hide in two that touch all."""
    long = sorted((k for k, v in enumerate(basis) if len(v) > 3), key=lambda k: -len(basis[k]))
    if len(long) > LONG:
        return basis
    for k in long:
        for j in (j for j in long if j != k):
            v, w = basis[k], basis[j]
            shared = Counter(ratio(v[u], w[u]) for u in v.keys() & w.keys())
            if shared:
                factor = shared.most_common(1)[0][0]
                less = {u: v.get(u, 0) - factor * w.get(u, 0) for u in {**v, **w}}
                less = {u: c % modulus if modulus else number(c) for u, c in less.items()}
                less = {u: c for u, c in less.items() if c}
                basis[k] = less if less and len(less) < len(v) else v
    return basis


def reduced(row: Row, pivots: dict[int, Row], modulus: int) -> Row:
    """A row without the pivots' unknowns."""
    while True:
        hit = next((v for v in row if v in pivots), None)
        if hit is None:
            return row
        factor = row[hit]
        for v, c in pivots[hit].items():
            new = row.get(v, 0) - factor * c
            new = new % modulus if modulus else number(new)
            if new:
                row[v] = new
            else:
                row.pop(v, None)
