"""From the solutions of the characters' equations to families of signs and scales on the parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from jensen.ask.symmetry.group import Site
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.system import Links, Number, System, Vector, ratio

Place = tuple[str, int]  # a block, and the number of one of its parts
Action = dict[Place, dict[Number, list[int]]]


@dataclass(frozen=True)
class Weight:
    """One sign or one scale: the powers with which it multiplies places of the parameters' parts."""

    action: Action
    units: frozenset[int]
    vector: Vector

    @property
    def key(self) -> tuple[Any, ...]:
        """What weights of one family have in common."""
        return tuple(
            (place, tuple(sorted((d, len(p)) for d, p in own.items()))) for place, own in sorted(self.action.items())
        )


@dataclass(frozen=True)
class Family:
    """Weights that act alike."""

    kind: Literal["sign", "scale"]
    weights: tuple[Weight, ...]

    def sites(self, r: Reader) -> tuple[Site, ...]:
        """Where the numbers of this family stand."""
        out = []
        order = {name: i for i, name in enumerate(r.parts)}
        for (name, k), degrees in sorted(self.weights[0].action.items(), key=lambda a: (order[a[0][0]], a[0][1])):
            for d in sorted(degrees, reverse=True):
                positions = np.array([sorted(w.action[name, k][d]) for w in self.weights])
                out.append(Site(name, r.parts[name][k].axes, positions, float(d)))
        return tuple(out)


def without(family: Family, held: Sequence[Weight]) -> Family:
    """The family in terms of what is left when another one, with a weight for each of the same units, acts too: where that is less."""
    by = {w.units: w for w in held}
    modulus = 2 if family.kind == "sign" else 0
    less = [_difference(w, by[w.units], modulus) for w in family.weights if w.units in by and w is not by[w.units]]
    fewer = [_entries(a) < _entries(b) for a, b in zip(less, family.weights, strict=False)]
    return Family(family.kind, tuple(less)) if len(less) == len(family.weights) and all(fewer) else family


def _difference(w: Weight, held: Weight, modulus: int) -> Weight:
    degrees: dict[Place, dict[int, Number]] = defaultdict(dict)
    for sign, one in ((1, w), (-1, held)):
        for place, own in one.action.items():
            for d, positions in own.items():
                for p in positions:
                    degrees[place][p] = degrees[place].get(p, 0) + sign * d
    action: Action = {}
    for place, found in degrees.items():
        for p, d in found.items():
            if d := d % modulus if modulus else d:
                action.setdefault(place, {}).setdefault(d, []).append(p)
    vector = {u: w.vector.get(u, 0) - held.vector.get(u, 0) for u in {*w.vector, *held.vector}}
    return Weight(action, w.units, {u: c % modulus if modulus else c for u, c in vector.items()})


def _entries(w: Weight) -> int:
    return sum(len(p) for own in w.action.values() for p in own.values())


def families(r: Reader, kind: Literal["sign", "scale"]) -> list[Family]:
    """All signs (all scales) that leave the output alone and move something, in families."""
    system = getattr(r, kind)
    _gauge(r, kind, system)
    basis = system.solve()
    places = _places(r, kind)
    actions = [_action(v, places) for v in basis]
    gone = _trivial(r, kind, system, basis, actions)
    found: dict[Any, list[Weight]] = defaultdict(list)
    for k, action in enumerate(actions):
        if k not in gone and action:
            weight = Weight(action, _units(r, action), basis[k])
            found[weight.key].append(weight)
    return [Family(kind, tuple(sorted(w, key=_first))) for w in found.values()]


def _gauge(r: Reader, kind: str, system: System) -> None:
    """Of a parameter's parts, one on which the characters are all equal may have none: the other part takes them."""
    roots, _ = system.merged()
    gone: set[int] = set()
    rest = []
    for name, parts in r.parts.items():
        arrays = [getattr(p, kind) for p in parts]
        if (
            name in r.pinned
            or sum(a.any() for a in arrays) < 2
            or any(set(p.axes) & set(q.axes) for p in parts for q in parts if p is not q)
        ):
            continue
        for a in arrays:
            found = {roots.get(u) for u in _unknowns(system, a)}
            root = next(iter(found)) if len(found) == 1 else None
            if root is not None and root[0] not in gone:
                gone.add(root[0])
                system.vanish(a)
                break
        else:
            rest.append(arrays)
    for arrays in rest:  # equal in all solutions, though no equation of two unknowns says so
        basis = system.solve()
        for a in arrays:
            own = _unknowns(system, a)
            if any(v.get(u) for v in basis for u in own) and all(len({v.get(u, 0) for u in own}) == 1 for v in basis):
                system.vanish(a)
                break


def _first(w: Weight) -> Any:
    return min((place, min(p for own in w.action[place].values() for p in own)) for place in w.action)


def _places(r: Reader, kind: str) -> dict[int, list[tuple[Place, int]]]:
    """Unknown -> where it stands in the parameters."""
    system: System = getattr(r, kind)
    out: dict[int, list[tuple[Place, int]]] = defaultdict(list)
    for name, parts in r.parts.items():
        for k, part in enumerate(parts):
            for position, e in enumerate(getattr(part, kind).reshape(-1).tolist()):
                if e:
                    out[system.table[e][0][0]].append(((name, k), position))
    return out


def _action(v: Vector, places: dict[int, list[tuple[Place, int]]]) -> Action:
    """Powers at places; the first is made +1."""
    found: Action = {}
    first, one = None, 1
    for u, c in v.items():
        if not c:
            continue
        for place, position in places.get(u, ()):
            if first is None or (place, position) < first:
                first, one = (place, position), c
            found.setdefault(place, {}).setdefault(c, []).append(position)
    if one == 1:
        return found
    return {place: {ratio(c, one): p for c, p in own.items()} for place, own in found.items()}


def _units(r: Reader, action: Action) -> frozenset[int]:
    found = set()
    for (name, k), own in action.items():
        flat = r.parts[name][k].units.reshape(-1)
        for positions in own.values():
            found.update(r.links.find(int(flat[p])) for p in positions)
    return frozenset(found)


def _trivial(r: Reader, kind: str, system: System, basis: list[Vector], actions: list[Action]) -> set[int]:
    """Solutions to leave out, because together with the others they move nothing.

    A number may move between two parts of one parameter (rows times s, columns divided by s) and change nothing. The solutions
    made of such moves alone are found by the same equations; for each, one basis vector that it needs is left out.
    """
    moves = _redundancies(r, kind, system)
    gone = {k for k, a in enumerate(actions) if not a}
    if not moves:
        return gone
    inside: dict[int, list[tuple[int, Number]]] = defaultdict(list)
    for m, move in enumerate(moves):
        for u, c in move.items():
            inside[u].append((m, c))
    small = System(system.modulus)
    small.unknowns = len(moves)
    known = {u for parts in r.parts.values() for p in parts for u in _unknowns(system, getattr(p, kind))}
    free: dict[int, int] = {}
    for e in system.equations:
        row: dict[int, Number] = defaultdict(int)
        for u, c in system.table[e]:
            if u in known:
                for m, d in inside.get(u, ()):
                    row[m] += c * d
            else:
                if u not in free:
                    free[u] = small.unknowns
                    small.unknowns += 1
                row[free[u]] += c
        small.equations.add(small.intern(row))
    return gone | _left_out([_coordinates(v, inside, basis) for v in small.solve()], actions, system.modulus)


def _coordinates(v: Vector, inside: dict[int, list[tuple[int, Number]]], basis: list[Vector]) -> Vector:
    """A solution made of moves between parts, in terms of the basis: by the unknown that only one basis vector has."""
    out: Vector = {}
    for k, b in enumerate(basis):
        u = next(iter(b))
        value = sum((v.get(m, 0) * c for m, c in inside.get(u, ())), 0)
        if value:
            out[k] = ratio(value, b[u])
    return out


def _left_out(rows: list[Vector], actions: list[Action], modulus: int) -> set[int]:
    gone: set[int] = set()
    while rows:
        row = {k: c % modulus if modulus else c for k, c in rows.pop().items()}
        row = {k: c for k, c in row.items() if c}
        if not row:
            continue
        pivot = max(row, key=lambda k: (sum(len(p) for own in actions[k].values() for p in own.values()), k))
        gone.add(pivot)
        rows = [_eliminated(other, row, pivot) for other in rows]
    return gone


def _eliminated(other: Vector, row: Vector, pivot: int) -> Vector:
    if not other.get(pivot):
        return other
    f = ratio(other[pivot], row[pivot])
    return {k: other.get(k, 0) - f * row.get(k, 0) for k in {*other, *row}}


def _unknowns(system: System, ids: np.ndarray) -> set[int]:
    """Those that stand in a parameter's own characters."""
    return {system.table[e][0][0] for e in np.unique(ids).tolist() if e}


def _redundancies(r: Reader, kind: str, system: System) -> list[Vector]:
    """For each parameter with several parts: +1 on some unknowns of one part and -1 on those of another that they meet."""
    out = []
    for parts in r.parts.values():
        for a, p in enumerate(parts):
            for q in parts[a + 1 :]:
                if getattr(p, kind).any() and getattr(q, kind).any():
                    out += _between(getattr(p, kind), p.axes, getattr(q, kind), q.axes, system)
    return out


def _between(x: np.ndarray, p: tuple[int, ...], y: np.ndarray, q: tuple[int, ...], system: System) -> list[Vector]:
    if not set(p) & set(q):
        return [{**dict.fromkeys(_unknowns(system, x), 1), **dict.fromkeys(_unknowns(system, y), -1)}]
    axes = tuple(sorted({*p, *q}))
    sizes = {**dict(zip(p, x.shape, strict=True)), **dict(zip(q, y.shape, strict=True))}
    full = [
        np.broadcast_to(v.reshape([sizes[a] if a in own else 1 for a in axes]), [sizes[a] for a in axes])
        for v, own in ((x, p), (y, q))
    ]
    pairs = np.unique(np.stack([f.reshape(-1) for f in full]), axis=1)
    links = Links(int(pairs.max()) + 1)
    for e, f in pairs.T.tolist():
        links.join(e, f)
    groups: dict[int, Vector] = defaultdict(dict)
    for e, f in pairs.T.tolist():
        g = groups[links.find(e)]
        g[system.table[e][0][0]] = 1
        g[system.table[f][0][0]] = -1
    return list(groups.values())
