"""Which units may be exchanged: cells of units that nothing tells apart, in groups that share their parents.

Colour refinement (Weisfeiler and Leman 1968) on units with their occurrences, colours, parents and children. On the forests
that networks give (heads of units, groups of channels) it finds the orbits; whatever it finds is tried before it is believed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import unravelled
from jensen.ask.symmetry.group import Site
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.system import Links

ROUNDS = 12


@dataclass(frozen=True)
class Group:
    """Units that may be exchanged among each other while their parents stay."""

    units: tuple[int, ...]
    cell: int
    parents: frozenset[int]
    frozen: frozenset[str]  # what keeps matrices from acting on them


@dataclass(frozen=True)
class Structure:
    """All groups, the children of every unit in order, and where the units of each parameter's parts stand."""

    groups: tuple[Group, ...]
    children: dict[int, list[int]]
    below: dict[int, set[int]]  # of the units of groups: themselves and all that moves with them
    cell: dict[int, int]
    parts: dict[str, list[np.ndarray]]


def structure(r: Reader) -> Structure:
    """Cells and groups of all units."""
    _merge_blocks(r)
    up, down = _relations(r)
    frozen: dict[int, set[str]] = defaultdict(set)
    for ids, why in r.frozen:
        for u in np.unique(r.links.roots(ids)).tolist():
            frozen[u].add(why)
    known = _occurrences(r)
    cell = _refined({u: known.get(u, -1) for u in {*known, *up, *down}}, up, down)
    members: dict[tuple[int, frozenset[int]], list[int]] = defaultdict(list)
    for u, c in cell.items():
        members[c, frozenset(p for _, p in up.get(u, ()))].append(u)
    groups = []
    for (c, p), m in members.items():
        why = frozenset(w for u in m for v in below(down, u) for w in frozen.get(v, ()))
        if len(m) > 1:
            groups.append(Group(tuple(sorted(m)), c, p, why))
    children = {u: sorted({c for _, c in pairs}) for u, pairs in down.items()}
    parts = {name: [r.links.roots(p.units) for p in parts] for name, parts in r.parts.items()}
    under = {u: below(down, u) for g in groups for u in g.units}
    return Structure(tuple(sorted(groups, key=lambda g: g.units)), children, under, cell, parts)


def below(down: Mapping[int, set[Any]], u: int) -> set[int]:
    """A unit and all that moves with it."""
    out: set[int] = set()
    todo = [u]
    while todo:
        v = todo.pop()
        if v not in out:
            out.add(v)
            todo += [c for _, c in down.get(v, ())]
    return out


def _merge_blocks(r: Reader) -> None:
    """Parents of the same units: where they correspond one to one they are one, where several belong to one they are nested."""
    while True:
        over: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        above: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for family, (units, parents, _) in enumerate(r.parents):
            for u, p in set(zip(r.links.roots(units).tolist(), r.links.roots(parents).tolist(), strict=True)):
                if u != p:
                    above[u].add((family, p))
        for own in above.values():
            for f, p in own:
                for g, q in own:
                    if f < g and p != q:
                        over[f, g].add((p, q))
        changed = [_compared(r, pairs) for pairs in over.values()]  # all of them, not up to the first
        if not any(changed):
            return


def _compared(r: Reader, pairs: set[tuple[int, int]]) -> bool:
    """Whether two kinds of parents were found to be one, or one inside the other (and were not known to be)."""
    ups, downs = Counter(p for p, _ in pairs), Counter(q for _, q in pairs)
    one, other = max(ups.values()) == 1, max(downs.values()) == 1
    if one and other:
        for p, q in pairs:
            r.links.join(p, q)
        return True
    nested = sorted(_shared(pairs) if not one and not other else pairs if one else {(q, p) for p, q in pairs})
    key = ("nested", tuple(sorted(pairs)))
    if key in r.nested or not nested:
        return False
    r.nested.add(key)
    if not one and not other:
        tops = sorted({q for _, q in nested})
        fresh = dict(zip(tops, r.new((len(tops),)).tolist(), strict=True))
        nested = [(p, fresh[q]) for p, q in nested]
    r.parent(np.array([p for p, _ in nested]), np.array([q for _, q in nested]), "nested")
    return True


def _shared(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Heads that share keys in several groups: each of both, and the component that it belongs to; nothing where that is one."""
    links = Links(1 + max(max(pair) for pair in pairs))
    for p, q in pairs:
        links.join(p, q)
    found = {(u, links.find(u)) for pair in pairs for u in pair}
    return found if len({top for _, top in found}) > 1 else set()


def _relations(r: Reader) -> tuple[dict[int, set[Any]], dict[int, set[Any]]]:
    up: dict[int, set[Any]] = defaultdict(set)
    down: dict[int, set[Any]] = defaultdict(set)
    for units, parents, why in r.parents:
        for u, p in set(zip(r.links.roots(units).tolist(), r.links.roots(parents).tolist(), strict=True)):
            if u != p:
                up[u].add((why, p))
                down[p].add((why, u))
    return up, down


def _occurrences(r: Reader) -> dict[int, int]:
    """What is known of each unit by itself: in which values it stands how often, and its colours."""
    facts: dict[int, list[Any]] = defaultdict(list)
    for i, (ids, _) in enumerate(r.seen.values()):
        roots, counts = np.unique(r.links.roots(ids), return_counts=True)
        for u, n in zip(roots.tolist(), counts.tolist(), strict=True):
            facts[u].append((i, n))
    for units, labels, why in r.colours:
        pairs = Counter(zip(r.links.roots(units).tolist(), labels.tolist(), strict=True))
        for (u, label), n in sorted(pairs.items()):
            facts[u].append((why, label, n))
    names: dict[Any, int] = {}
    return {u: names.setdefault(tuple(f), len(names)) for u, f in facts.items()}


def _refined(colour: dict[int, int], up: dict[int, set[Any]], down: dict[int, set[Any]]) -> dict[int, int]:
    count = len(set(colour.values()))
    for _ in range(ROUNDS):
        names: dict[Any, int] = {}
        new = {}
        for u, c in colour.items():
            above = tuple(sorted(Counter((str(w), colour.get(p, -1)) for w, p in up.get(u, ())).items()))
            below = tuple(sorted(Counter((str(w), colour.get(p, -1)) for w, p in down.get(u, ())).items()))
            new[u] = names.setdefault((c, above, below), len(names))
        colour = new
        if len(names) == count:
            break
        count = len(names)
    return colour


def sites(r: Reader, s: Structure, units: Sequence[int]) -> tuple[Site, ...] | None:
    """Where these units and all that moves with them stand in the parameters; None where they do not correspond."""
    owner: dict[int, tuple[int, tuple[int, ...]]] = {}
    for k, u in enumerate(units):
        _descend(s, u, k, (), owner)
    out: list[Site] = []
    for name, parts in s.parts.items():
        own: list[Site] = []
        for part, roots in zip(r.parts[name], parts, strict=True):
            rows: list[list[tuple[Any, int]]] = [[] for _ in units]
            for position, u in enumerate(roots.reshape(-1).tolist()):
                if u in owner:
                    k, key = owner[u]
                    rows[k].append((key, position))
            if not any(rows):
                continue
            if len({len(row) for row in rows}) > 1:
                return None
            site = Site(name, part.axes, np.array([[p for _, p in sorted(row)] for row in rows]))
            if not any(_implied(site, old, r) for old in own):
                own.append(site)
        out += own
    return tuple(out)


def _implied(site: Site, old: Site, r: Reader) -> bool:
    """Whether a site lies on axes of another one of its block that move the same units already."""
    common = [a for a in site.axes if a in old.axes]
    return bool(common) and _shadow(site, common, r) == _shadow(old, common, r)


def _shadow(site: Site, common: Sequence[int], r: Reader) -> list[set[Any]]:
    shape = next(p.units.shape for p in r.parts[site.block] if p.axes == site.axes)
    coordinates = unravelled(site.positions, shape)
    kept = [c for a, c in zip(site.axes, coordinates, strict=True) if a in common]
    return [set(zip(*(c[k].tolist() for c in kept), strict=True)) for k in range(len(site.positions))]


def _descend(s: Structure, u: int, k: int, key: tuple[int, ...], owner: dict[int, tuple[int, tuple[int, ...]]]) -> None:
    owner[u] = (k, key)
    counts: Counter[int] = Counter()
    for c in s.children.get(u, ()):
        cell = s.cell[c]
        _descend(s, c, k, (*key, cell, counts[cell]), owner)
        counts[cell] += 1
