"""Shifts: translations of biases and weights that nothing feels, and those that other biases take up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jensen.ask.symmetry.flow import LAYERS, SOFTMAX, Delivery, Flow, State, Taken, numbered, unravelled
from jensen.ask.symmetry.group import Carry, Factor, Site
from jensen.ask.symmetry.walk import joined, step, walk

Shape = tuple[int, ...]


def shifts(flow: Flow, shapes: dict[str, Shape]) -> list[Factor]:
    """Candidates, each for one block as the source."""
    out = [_unread(name, shape) for name, shape in shapes.items() if name not in flow.deliveries and np.prod(shape)]
    for name in (n for n in flow.deliveries if np.prod(shapes[n])):
        ways = _ways(flow, name, shapes[name])
        if not ways:
            continue
        for components, free in _components(shapes[name], ways[0][0]):
            kills = _killed(flow, ways, components, free)
            if components.max() + 1 == components.size or free:
                out += _translations(name, shapes[name], components, kills, free)
            if not free:
                out += _taken_up(flow, name, shapes, ways, components, kills)
    return out


def _unread(name: str, shape: Shape) -> Factor:
    """A block that nothing reads."""
    site = Site(name, tuple(range(len(shape))), np.arange(int(np.prod(shape)))[:, None])
    return Factor("translation", len(site.positions), name, (site,))


def _ways(flow: Flow, name: str, shape: Shape) -> list[tuple[str, int, np.ndarray, float]]:
    """How a block enters sums, at each of its deliveries: kind, node, entries at the node's places, sign; empty where one is none."""
    out = []
    for d in flow.deliveries[name]:
        node = flow.linked.nodes[d.node]
        if node.op in ("aten.add.Tensor", "aten.sub.Tensor"):
            sign = -1.0 if node.op == "aten.sub.Tensor" and d.arg == 1 else 1.0
            out.append(("bias", d.node, np.broadcast_to(d.entries, flow.shape(d.node)), sign))
        elif node.op in LAYERS and d.arg == 2:
            out.append(("bias", d.node, flow.bias_places(d.node, d.entries), 1.0))
        elif node.op == "aten.embedding.default" and d.arg == 0 and d.entries.shape == shape:
            out.append(("table", d.node, np.broadcast_to(d.entries[0] % d.entries.shape[1], flow.shape(d.node)), 1.0))
        elif node.op in LAYERS and d.arg == 1 and d.entries.ndim >= 2:
            rows = _rows_of(d.entries, shape)
            if rows is None:
                return []
            out.append(("weight", d.node, flow.bias_places(d.node, rows), 1.0))
        elif node.op in SOFTMAX and d.arg == 0:
            out.append(("under", d.node, d.entries, 1.0))
        elif node.op in ("aten.cat.default", "aten.stack.default") and d.arg == 0:
            out.append(("joined", d.node, _joined(flow, name, d), 1.0))
        else:
            return []
    kinds = {kind for kind, *_ in out}
    if kinds == {"table", "weight"} and all(_common(flow, way) for way in out if way[0] == "weight"):
        return [("tied", *rest) for kind, *rest in out if kind == "table"]
    return out if len(kinds) == 1 else []


def _common(flow: Flow, way: tuple[str, int, np.ndarray, float]) -> bool:
    """Whether any number added to all outputs of a layer is not felt: one vector added to all rows of its weights."""
    _, node, entries, _ = way
    n = flow.shape(node)[-1]
    s = State(n, carry=False, free=True)
    if flow.linked.nodes[node].op != "aten.linear.default" or entries.shape[-1] != n:
        return False
    walk(flow, s, node, entries)
    return not s.dead and len(s.cells()) == 1


def _joined(flow: Flow, name: str, d: Delivery) -> np.ndarray:
    """A block's entries where it is joined with others; -1 at theirs."""
    nowhere = np.int64(-1)
    own = {a.index for a in flow.args(d.node)[0] if flow.origin.get(a.index, ("", d.entries))[0] == name}
    parts = [
        flow.origin[a.index][1] if a.index in own else np.broadcast_to(nowhere, flow.shape(a.index))
        for a in flow.args(d.node)[0]
    ]
    return joined(flow, d.node, parts)


def _rows_of(entries: np.ndarray, shape: Shape) -> np.ndarray | None:
    """Which row of its block each row of a weight is; None where they are no rows of it."""
    rows = unravelled(entries, shape)[0].reshape(len(entries), -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


def _components(shape: Shape, kind: str) -> Iterator[tuple[np.ndarray, bool]]:
    """Ways to divide a block's entries into components: (component of each entry, whether the rest of its axes is free)."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    if kind == "weight":
        yield numbered(shape, 0), True
    elif kind in ("table", "tied"):
        if kind == "table":
            yield numbered(shape, 1), True
        yield numbered(shape, 1), False
    else:
        yield index, False
        wide = [a for a, n in enumerate(shape) if n > 1]
        if len(wide) > 1:
            for a in reversed(wide):
                yield numbered(shape, a), False


def _placed(way: Any, components: np.ndarray) -> np.ndarray:
    """Components at a node's places."""
    kind, _, entries, _ = way
    if kind in ("weight", "table", "tied"):
        return entries
    table = components.reshape(-1)
    if kind == "joined":
        return np.where(entries < 0, -1, table[entries])
    return _looked_up(table, entries)


def _looked_up(table: np.ndarray, entries: np.ndarray) -> np.ndarray:
    index = tuple(
        slice(0, 1) if st == 0 and n > 1 else slice(None) for st, n in zip(entries.strides, entries.shape, strict=True)
    )
    return np.broadcast_to(table[entries[index]], entries.shape)


def _killed(flow: Flow, ways: Sequence[Any], components: np.ndarray, free: bool) -> State:
    s = State(int(components.max()) + 1, carry=False, free=free)
    for way in ways:
        _follow(flow, s, way, components)
    return s


def _follow(flow: Flow, s: State, way: Any, components: np.ndarray) -> None:
    kind, k, _, sign = way
    where = _placed(way, components)
    if kind == "under":
        step(flow, s, k, flow.args(k)[0].index, where, sign)
    else:
        walk(flow, s, k, where, sign)


def _translations(name: str, shape: Shape, components: np.ndarray, s: State, free: bool) -> list[Factor]:
    """One factor for each size of cell: what is constant on a cell moves nothing."""
    by: dict[int, list[list[int]]] = defaultdict(list)
    for members in s.cells().values():
        by[len(members)].append(members)
    axis = next(
        (a for a in range(len(shape)) if not free or len(np.unique(components.take([0], a))) < components.max() + 1), 0
    )
    out = []
    for cells in by.values():
        axes = (axis,) if free else tuple(range(len(shape)))
        rest = int(np.prod(shape)) // shape[axis] if free else 1
        site = Site(name, axes, np.array(cells))
        out.append(Factor("translation", len(cells), name, (site,), rest=rest))
    return out


def _taken_up(
    flow: Flow, name: str, shapes: dict[str, Shape], ways: Sequence[Any], components: np.ndarray, kills: State
) -> list[Factor]:
    """Shifts of a block that other biases take up."""

    def follow(s: State) -> None:
        for way in ways:
            _follow(flow, s, way, components)

    return carried(flow, name, shapes, components, follow, kills, ways[0][0] == "tied")


def carried(
    flow: Flow,
    name: str,
    shapes: dict[str, Shape],
    components: np.ndarray,
    follow: Callable[[State], None],
    kills: State | None = None,
    tied: bool = False,
) -> list[Factor]:
    """Shifts of a block's components that other biases take up, where ``follow`` leads them; what ``kills`` leaves counts elsewhere.

    What norms kill of a table that is read twice (``tied``) is no translation of its own.
    """
    s = State(int(components.max()) + 1, carry=True)
    follow(s)
    if not s.taken:
        return []
    settle(flow, s, name)
    found = [np.bincount(t.triples[t.triples[:, 0] >= 0, 0], minlength=s.n) for t in s.taken]
    cells = [c for c in s.cells().values() if any(n[c].any() for n in found)]
    if not cells:
        return []
    families: dict[Any, list[list[int]]] = defaultdict(list)
    size = np.bincount(components.reshape(-1), minlength=s.n)
    for c in cells:
        families[_signature(s, c, size, found)].append(c)
    felt = [] if kills is None else range(kills.n) if tied else kills.dead
    dead = set() if kills is None else {kills.links.find(i) for i in felt}
    out = []
    for own in families.values():
        roots = [-1 if kills is None else kills.links.find(c[0]) for c in own]
        labels = [-1 if root in dead else root for root in roots]
        out.append(_factor(flow.tables, s, name, shapes, components, own, labels))
    return [f for f in out if f.dimension]


def _signature(s: State, cell: list[int], own: np.ndarray, found: list[np.ndarray]) -> Any:
    counts = [(t.target, t.source, t.factor, int(n[cell].sum())) for t, n in zip(s.taken, found, strict=True)]
    return (tuple(counts), int(own[cell].sum()))


def settle(flow: Flow, s: State, name: str = "") -> None:
    """Put components to 0 until what takes the others up does nothing else; ``name`` is the block that shifts, if one does."""
    while _inconsistent(flow, s, name):
        pass


def _inconsistent(flow: Flow, s: State, name: str) -> bool:
    """Components whose taker does something else too are put to 0; whether there were some."""
    before = len(s.dead)
    gone = {s.links.find(i) for i in s.dead}
    for target in {t.target for t in s.taken}:
        own = [t for t in s.taken if t.target == target]
        if target == name:
            for t in own:
                s.kill(t.triples[:, 0])
            continue
        if own[0].source is None:
            _check_entries(flow, s, target, own, gone)
        elif {t.node for t in own} != _readers(flow, target, own) or any(t.source is None for t in own) or _differ(own):
            for t in own:
                s.kill(t.triples[:, 0])
    return len(s.dead) > before


def _readers(flow: Flow, target: str, own: Sequence[Taken]) -> set[int]:
    """Operations that read one of the entries that take something up."""
    taken = np.unique(np.concatenate([t.triples[:, 2] for t in own]))
    return {d.node for d in flow.deliveries[target] if np.isin(d.entries, taken).any()}


def _differ(own: Sequence[Taken]) -> bool:
    return any(
        t.factor != own[0].factor or not np.array_equal(np.unique(t.triples, axis=0), np.unique(own[0].triples, axis=0))
        for t in own[1:]
    )


def _check_entries(flow: Flow, s: State, target: str, own: Sequence[Taken], gone: set[int]) -> None:
    """Each entry of a bias takes up one component, with one factor, wherever the entry is added."""
    owner: dict[int, set[Any]] = defaultdict(set)
    at: dict[int, set[int]] = defaultdict(set)
    for t in own:
        if t.source is not None:
            s.kill(t.triples[:, 0])
            continue
        for c, _, e in t.triples.tolist():
            root = -1 if c < 0 else s.links.find(c)
            owner[e].add((-1, 0.0) if root in gone or root < 0 else (root, t.factor))
            at[e].add(t.node)
    reached: dict[int, set[int]] = defaultdict(set)
    for k, entries in flow.effects(target):
        for e in np.unique(entries).tolist():
            reached[e].add(k)
    for e, who in owner.items():
        if len(who) > 1 or (at[e] != reached[e] and (-1, 0.0) not in who):
            s.dead.update(c for c, _ in who if c >= 0)


def _factor(
    tables: frozenset[str],
    s: State,
    name: str,
    shapes: dict[str, Shape],
    components: np.ndarray,
    cells: list[list[int]],
    labels: list[int],
) -> Factor:
    own = np.array(
        [r[:, 1] for r in rows_of(np.stack([components.reshape(-1), np.arange(components.size)], axis=1), cells)]
    )
    sites = [Site(name, tuple(range(len(shapes[name]))), own)]
    carries = []
    done: set[tuple[str, str | None]] = set()
    for t in s.taken:
        if (t.target, t.source) in done and (t.source is not None):
            continue
        done.add((t.target, t.source))
        rows = rows_of(t.triples, cells)
        if not len(rows[0]):
            continue
        if t.source is None:
            entries = np.array([r[:, 1] for r in rows])
            if t.target in tables:  # every row of a table shifts
                height, width = shapes[t.target]
                entries = (entries[:, None, :] + width * np.arange(height)[:, None]).reshape(len(cells), -1)
            sites.append(Site(t.target, tuple(range(len(shapes[t.target]))), entries, t.factor))
            continue
        source = Site(t.source, tuple(range(len(shapes[t.source]))), np.array([r[:, 0] for r in rows]))
        carries.append(
            Carry(source, t.target, np.array([r[:, 1] for r in rows]), np.zeros(1, dtype=np.int64), t.factor)
        )
    both = _distinct(sites)
    words = ", ".join(dict.fromkeys([name, *(x.block for x in both), *(c.target for c in carries)]))
    overlap = np.array(labels) if any(x >= 0 for x in labels) else None
    return Factor("shift", len(cells), words, both, tuple(carries), overlap)


def rows_of(triples: np.ndarray, cells: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """For each cell of components the rest of their rows, each once and in order."""
    out = []
    order = np.argsort(triples[:, 0], kind="stable")
    ordered = triples[order]
    lo = np.searchsorted(ordered[:, 0], range(int(ordered[-1, 0]) + 2)) if len(ordered) else np.zeros(1, dtype=np.int64)
    for c in cells:
        parts = [ordered[lo[i] : lo[i + 1]] for i in c if i + 1 < len(lo)]
        rows = np.concatenate(parts) if parts else ordered[:0]
        own = rows[:, 1:] if rows.shape[1] > 2 else rows
        out.append(np.unique(own, axis=0))
    return out


def _distinct(sites: Sequence[Site]) -> tuple[Site, ...]:
    """Sites that different operations gave, once."""
    out: dict[Any, Site] = {}
    for site in sites:
        out.setdefault((site.block, site.degree, site.positions.tobytes()), site)
    return tuple(out.values())
