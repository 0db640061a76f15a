"""Exchanges across blocks: units of different layers that nothing tells apart, and equal parts of the program as wholes.

Two layers side by side whose outputs are added up, or joined and read by one layer, are one layer in two pieces: their units are
of one class. Where the parts are deeper, they change places as wholes, with the rows and columns of other blocks that belong to
them (Twins).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.joints import Joint, moved_factor, of
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.system import Links
from jensen.ask.symmetry.twins import Twins, matched

Shape = tuple[int, ...]
Entry = tuple[
    str, tuple[int, ...], np.ndarray
]  # a block, axes, and positions on them (units, places); no axes: the whole block
MERGED = ("permutation", "linear", "orthogonal")
ALONG = ("sign", "scale")  # these go with the permutations of their units
TRIES = 40


@dataclass(frozen=True, eq=False)
class Piece:
    """One site of an exchange: entries that correspond, each with some of the units in order."""

    entries: tuple[Entry, ...]
    degree: float = 1.0

    def holds(self, s: Site) -> bool:
        """Whether a site stands in this one."""
        for block, axes, positions in self.entries:
            if block == s.block and (not axes or (axes == s.axes and set(s.positions.flat) <= set(positions.flat))):
                return True
        return False


@dataclass(frozen=True, eq=False)
class Exchange:
    """A factor across blocks, before they are laid together; ``old`` are factors whose place it takes."""

    kind: Any
    pieces: tuple[Piece, ...]
    old: tuple[Factor, ...] = ()
    power: str = ""

    def factor(self, joints: Sequence[Joint]) -> Factor:
        sites = [_site(p, joints) for p in self.pieces]
        sites = sites if self.old else _one_a_block(sites)
        blocks = dict.fromkeys(b for p in self.pieces for b, _, _ in p.entries)
        return Factor(self.kind, sites[0].positions.shape[0], ", ".join(blocks), tuple(sites), power=self.power)

    @property
    def blocks(self) -> set[str]:
        return {b for p in self.pieces for b, _, _ in p.entries}

    def without(self, shifting: Sequence[Mapping[str, float]]) -> Exchange:
        """The same without blocks that are added up: how they share what they add is a shift's."""

        def added(p: Piece) -> bool:
            own = {b for b, _, _ in p.entries}
            return any(own <= set(s) and len({s[b] for b in own}) > 1 for s in shifting)

        return replace(self, pieces=tuple(p for p in self.pieces if not added(p)))

    def needs(self) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
        """Blocks that must be laid together, and the axes of their units."""
        found = [(tuple(dict.fromkeys(b for b, _, _ in p.entries)), p.entries[0][1]) for p in self.pieces]
        return [(own, axes) for own, axes in found if len(own) > 1]


def _one_a_block(sites: Sequence[Site]) -> list[Site]:
    """Sites on the same axes of one block as one: a part holds what stands there of it together."""
    found: dict[Any, list[Site]] = defaultdict(list)
    for s in sites:
        found[s.block, s.axes].append(s)
    return [replace(own[0], positions=np.concatenate([s.positions for s in own], axis=1)) for own in found.values()]


def _site(p: Piece, joints: Sequence[Joint]) -> Site:
    rows = []
    block, axes = p.entries[0][:2]
    for name, own, positions in p.entries:
        j = of(joints, name)
        axes, at = (own, positions) if j is None else j.rows(name, own, positions)
        block = name if j is None else j.name
        rows.append(at)
    return Site(block, axes, np.concatenate(rows), p.degree)


def exchanged(
    twins: Twins,
    r: Reader,
    factors: Sequence[Factor],
    tried: Callable[[Sequence[Factor], Sequence[Joint]], bool],
    framed: frozenset[str],
) -> tuple[tuple[Factor, ...], tuple[Exchange, ...], tuple[Joint, ...]]:
    """The factors with those across blocks, these, and the blocks that are laid together for them.

    Args:
        twins: Of the program.
        r: What was read of units.
        factors: Those that hold.
        tried: Whether some factors hold in the coordinates of some joints.
        framed: Blocks whose norm's running statistics are part of the program.
    """
    classes = twins.classes()
    if not classes:
        return tuple(factors), (), ()

    def holds(*own: Exchange) -> bool:
        joints = _joints(own, r.shapes, framed)
        return joints is not None and tried([e.factor(joints) for e in own], joints)

    kept: list[Exchange] = []
    for e in _merges(twins, factors):
        wanted = e.kind in MERGED or any(e.blocks <= k.blocks for k in kept)
        if wanted and holds(e) and _joints([*kept, e], r.shapes, framed) is not None:
            kept.append(e)
    done = {b for e in kept for own, _ in e.needs() for b in own}
    shifting = [{s.block: s.degree for s in f.sites} for f in factors if f.kind == "shift"]
    seen: set[Any] = set()
    more: list[Factor] = []
    for own in sorted(classes, key=len):
        for key, whole in _parts(twins, r, own) if not done.intersection(own) else ():
            e = whole.without(shifting)
            idle = not e.blocks - done or key in seen
            if not idle and holds(e) and _joints([*kept, e], r.shapes, framed) is not None:
                seen.add(key)
                added = _added(e, done, r.shapes)
                if added and tried(added, ()):
                    more += added
                    continue
                fine = next((own for own in _one_by_one(e, factors) if holds(*own)), (e,))
                kept += fine
    return _together(kept, (*factors, *more), _joints(kept, r.shapes, framed) or ())


def held(f: Factor, kept: Sequence[Exchange]) -> bool:
    """Whether a permutation that does not hold alone is a part of an exchange that does."""
    return f.kind == "permutation" and any(all(any(p.holds(s) for p in e.pieces) for s in f.sites) for e in kept)


def _together(
    kept: Sequence[Exchange], factors: Sequence[Factor], joints: Sequence[Joint]
) -> tuple[tuple[Factor, ...], tuple[Exchange, ...], tuple[Joint, ...]]:
    gone = {id(f): e for e in kept for f in e.old}
    out: list[Factor] = []
    for f in factors:
        moved = moved_factor(f, joints)
        if id(f) in gone:
            e = gone[id(f)]
            if f is e.old[0]:
                out.append(e.factor(joints))
        elif moved is None:
            return tuple(factors), (), ()
        else:
            out.append(_copy(moved, f))
    return (*out, *(e.factor(joints) for e in kept if not e.old)), tuple(kept), tuple(joints)


def _copy(moved: Factor, f: Factor) -> Factor:
    """A factor of one part, of one name with those of the other parts."""
    if moved is f:
        return f
    return replace(moved, power=str(sorted((s.block, s.axes, s.degree, s.positions.shape[1]) for s in moved.sites)))


def _joints(kept: Sequence[Exchange], shapes: Mapping[str, Shape], framed: frozenset[str]) -> tuple[Joint, ...] | None:
    """Blocks that are laid together; None where they cannot be."""
    needs = [n for e in kept for n in e.needs()]
    names = {b: i for i, b in enumerate(dict.fromkeys(b for own, _ in needs for b in own))}
    links = Links(len(names))
    for own, _ in needs:
        for b in own[1:]:
            links.join(names[own[0]], names[b])
    groups: dict[int, list[str]] = defaultdict(list)
    for b, i in names.items():
        groups[links.find(i)].append(b)
    out = []
    for own in groups.values():
        axes = {a for n, a in needs if n[0] in own}
        sizes = tuple(tuple(shapes[b]) for b in own)
        axis = None
        if len(set(sizes)) > 1:
            if len(axes) != 1 or len(next(iter(axes))) != 1:
                return None
            axis = next(iter(axes))[0]
            if len({s[:axis] + s[axis + 1 :] for s in sizes}) > 1:
                return None
        out.append(Joint(tuple(own), sizes, axis, not framed.intersection(own)))
    return tuple(out)


# -- units of equal layers -----------------------------------------------------------------------------------------------


def _merges(twins: Twins, factors: Sequence[Factor]) -> Iterator[Exchange]:
    """Factors that stand alike in blocks of one colour, as one; signs and scales last."""
    colour = twins.colours()
    alike: dict[Any, list[tuple[Factor, list[Site]]]] = defaultdict(list)
    for f in factors:
        if f.kind not in (*MERGED, *ALONG) or f.carries or f.centred or any(s.gain is not None for s in f.sites):
            continue
        if any(s.block not in twins.blocks for s in f.sites):
            continue
        ranked = sorted(f.sites, key=lambda s: (colour[twins.blocks[s.block]], s.axes, s.degree, s.block))
        key = [(colour[twins.blocks[s.block]], s.axes, s.degree, s.positions.shape[1]) for s in ranked]
        alike[f.kind, tuple(key)].append((f, ranked))
    for (kind, _), own in sorted(alike.items(), key=lambda a: a[0][0] in ALONG):
        if len(own) > 1 and any(len({sites[k].block for _, sites in own}) > 1 for k in range(len(own[0][1]))):
            pieces = [
                Piece(
                    tuple((sites[k].block, sites[k].axes, sites[k].positions) for _, sites in own), own[0][1][k].degree
                )
                for k in range(len(own[0][1]))
            ]
            yield Exchange(kind, tuple(pieces), tuple(f for f, _ in own))


# -- equal parts ---------------------------------------------------------------------------------------------------------


def _parts(twins: Twins, r: Reader, own: Sequence[str]) -> Iterator[tuple[Any, Exchange]]:
    """Exchanges of the parts that a class of blocks belongs to: of single ones, and of sets of these."""
    left = list(own)
    tops: list[str] = []
    inside: dict[str, list[str]] = {}
    while left and len(own) <= TRIES:
        first, *others = left
        ways = {b: twins.exchange(first, b) for b in others}
        alone = [b for b, way in ways.items() if way is not None and _moved(twins, way, own) == {first, b}]
        inside[first] = [first, *alone]
        tops.append(first)
        left = [b for b in others if b not in alone]
    for first, same in inside.items():
        if len(same) > 1:
            yield from _exchange(twins, r, first, same[1:])
    first = tops[0] if tops else ""
    wide = [b for b in tops[1:] if _moved(twins, twins.exchange(first, b) or {}, own) == {*inside[first], *inside[b]}]
    if wide:
        yield from _exchange(twins, r, first, wide)


def _added(e: Exchange, done: set[str], shapes: Mapping[str, Shape]) -> list[Factor]:
    """Shifts between the blocks that an exchange moves, where they might be added up: then it is no part of the group's order."""
    own = [p for p in e.pieces if not {b for b, _, _ in p.entries} <= done]
    if any(axes for p in own for _, axes, _ in p.entries):
        return []
    out = []
    for p in own:
        first, *others = [b for b, _, _ in p.entries]
        every = np.arange(int(np.prod(shapes[first])))[:, None]
        axes = tuple(range(len(shapes[first])))
        for b in others:
            sites = Site(first, axes, every), Site(b, axes, every, -1.0)
            out.append(Factor("shift", len(every), f"{first}, {b}", sites))
    return out


def _one_by_one(e: Exchange, factors: Sequence[Factor]) -> Iterator[tuple[Exchange, ...]]:
    """Instead of parts as wholes unit by unit, where their units are the same ones: a sum (a product) of equal layers."""
    for f in factors:
        sites = {s.block: s for s in f.sites}
        if f.kind != "permutation" or len(sites) < len(f.sites) or not e.blocks <= set(sites):
            continue
        if any(axes for p in e.pieces for _, axes, _ in p.entries):
            continue
        pieces = [[sites[b] for b, _, _ in p.entries] for p in e.pieces]
        if all(len({(s.axes, s.positions.shape) for s in own}) == 1 for own in pieces):
            yield tuple(
                Exchange(
                    "permutation",
                    tuple(Piece(tuple((s.block, s.axes, s.positions[k : k + 1]) for s in own)) for own in pieces),
                    power=f"units of {f.label}",
                )
                for k in range(f.size)
            )


def _moved(twins: Twins, way: Mapping[int, int], own: Sequence[str]) -> set[str]:
    return {b for b in own if way.get(twins.blocks[b], twins.blocks[b]) != twins.blocks[b]}


def _exchange(twins: Twins, r: Reader, first: str, others: Sequence[str]) -> Iterator[tuple[Any, Exchange]]:
    """The first part with each of the others: blocks as wholes, and rows and columns of blocks that all share."""
    names = {i: b for b, i in twins.blocks.items()}
    ways = [twins.exchange(first, b) or {} for b in others]
    mine = [i for i in names if all(way.get(i, i) != i for way in ways)]
    if len(ways) == 1:
        mine = [i for i in mine if i <= ways[0][i]]
    wholes = [tuple(names[i] for i in (k, *(way[k] for way in ways))) for k in mine]
    if any(len({r.shapes[b] for b in w}) > 1 for w in wholes):
        return
    zero = np.zeros((1, 1), dtype=np.int64)
    pieces = [Piece(tuple((b, (), zero) for b in w)) for w in wholes]
    taken = {b for w in wholes for b in w}
    shared = _shared(twins, r, first, others, taken)
    if shared is not None and pieces:
        yield (
            frozenset(frozenset(w[k] for w in wholes) for k in range(len(others) + 1)),
            Exchange("permutation", (*pieces, *shared)),
        )


def _shared(twins: Twins, r: Reader, first: str, others: Sequence[str], taken: set[str]) -> list[Piece] | None:
    """Rows and columns of the other blocks that go with the parts."""
    told = [_unit_colours(twins, r, b) for b in (first, *others)]
    ways = [matched(told[0], t) for t in told[1:]]
    if any(w is None for w in ways):
        return None
    moves = [w for w in ways if w is not None]
    mine = [u for u in moves[0] if all(w[u] != u for w in moves)]
    if len(moves) == 1:
        mine = [u for u in mine if u <= moves[0][u]]
    out = []
    for name, parts in r.parts.items():
        for part in parts if name not in taken else ():
            roots = r.links.roots(part.units).reshape(-1)
            at: dict[int, list[int]] = defaultdict(list)
            for p, u in enumerate(roots.tolist()):
                at[u].append(p)
            rows = [[p for u in mine for p in at.get(w[u] if w else u, ())] for w in (None, *moves)]
            if len({len(row) for row in rows}) > 1:
                return None
            if rows[0]:
                out.append(Piece(((name, part.axes, np.array(rows)),)))
    return out


def _unit_colours(twins: Twins, r: Reader, told: str) -> dict[int, int]:
    """What is known of each unit where one block is told apart: the values in which it stands, and its labels there."""
    colour = twins.colours(twins.blocks[told])
    facts: dict[int, Counter[Any]] = defaultdict(Counter)
    term = min((node[0] for _, node in r.seen.values()), default=0)
    for stands, (t, node) in _stands(twins, r):
        for u, n in stands if t == term else ():
            facts[u][colour[node], n] += 1
    for unit, (t, node) in r.alone:
        if t == term:
            facts[r.links.find(unit)][colour[node], "alone"] += 1
    for units, labels, why in r.colours:
        (t, node), *rest = why if isinstance(why, tuple) else ((term, 0), why)
        for u, label in zip(r.links.roots(units).tolist(), labels.tolist(), strict=True):
            if t == term:
                facts[u][colour[node], tuple(rest), _part(twins, r, colour, label)] += 1
    return {u: twins.names.setdefault(("unit", frozenset(f.items())), len(twins.names)) for u, f in facts.items()}


def _stands(twins: Twins, r: Reader) -> list[tuple[list[tuple[int, int]], tuple[int, int]]]:
    """In each value that was seen, which units stand and how often; counted once."""
    if twins.stands is None:
        twins.stands = []
        for ids, place in r.seen.values():
            roots, counts = np.unique(r.links.roots(ids), return_counts=True)
            twins.stands.append((list(zip(roots.tolist(), counts.tolist(), strict=True)), place))
    return twins.stands


def _part(twins: Twins, r: Reader, colour: Sequence[int], label: int) -> Any:
    """A label: of a joined part the part's colour."""
    if label not in r.slots:
        return label
    _, node, part = r.slots[label]
    return ("part", colour[twins.flow.args(node)[0][part].index])
