"""The program as a diagram: data for drawing, then SVG coordinates. Long programs are folded by module.

Parameters and constants are shown inside the operation that reads them, so that the picture follows the flow of values.
Operations stand below each other in the order of computation; an arrow that jumps over operations runs on the right,
in a lane of its own, so that any program stays readable and a thousand operations are drawn as fast as ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jensen.finding import Step

LEAVES = ("block", "const")
OPEN = 48  # programs up to this many operations are drawn whole
FOLD = 60  # at most so many groups, where the modules allow it
PART = 100  # a group with more operations is cut
TONES = {
    "constant": "constant",
    "affine": "affine",
    "convex": "convex",
    "log-convex": "convex",
    "concave": "concave",
    "log-concave": "concave",
    "quasilinear": "quasi",
    "quasiconvex": "quasi",
    "quasiconcave": "quasi",
}
LEGEND = {
    "constant": "does not vary",
    "affine": "affine",
    "convex": "convex",
    "concave": "concave",
    "quasi": "quasi-",
    "unknown": "not known",
}
ROW, BOX, LANE, WIDE = 58, 44, 14, 380
CHARACTERS = 46


@dataclass(frozen=True)
class Item:
    """One box: an operation, or a group of them."""

    title: str
    sub: str
    tone: str
    fact: str
    lost: bool
    full: str
    link: str = ""


@dataclass(frozen=True)
class Arrow:
    """A path between two boxes; ``jump`` where it passes others."""

    path: str
    jump: bool


@dataclass(frozen=True)
class Drawing:
    """Boxes with their heights, arrows, and the size of the whole."""

    boxes: tuple[tuple[int, Item], ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int


@dataclass(frozen=True)
class Part:
    """A run of operations of one module, folded away until it is opened."""

    anchor: str
    title: str
    size: int
    tones: tuple[str, ...]
    lost: bool
    drawing: Drawing


@dataclass(frozen=True)
class Diagram:
    """The overview, and the parts it folds (none for short programs)."""

    overview: Drawing
    parts: tuple[Part, ...]
    operations: int
    tones: tuple[str, ...]


def tone(fact: str) -> str:
    """The colour class of a fact."""
    return TONES.get(fact, "unknown")


def diagram(steps: Sequence[Step], anchor: str = "p") -> Diagram:
    """Lay out a program."""
    flow = [i for i, s in enumerate(steps) if s.op not in LEAVES]
    if not flow:
        flow = list(range(len(steps)))
    present = tuple(t for t in LEGEND if any(tone(steps[i].fact) == t for i in flow))
    if len(flow) <= OPEN:
        return Diagram(
            draw([_operation(steps, i) for i in flow], _edges(steps, _positions(flow))), (), len(flow), present
        )
    runs = list(_runs(steps, flow))
    group = {i: g for g, (_, run) in enumerate(runs) for i in run}
    parts = tuple(_part(steps, f"{anchor}-{g}", title, run) for g, (title, run) in enumerate(runs))
    items = [_group(steps, run, part) for (_, run), part in zip(runs, parts, strict=True)]
    return Diagram(draw(items, _edges(steps, group)), parts, len(flow), present)


def _positions(flow: Sequence[int]) -> dict[int, int]:
    return {i: k for k, i in enumerate(flow)}


def _edges(steps: Sequence[Step], place: Mapping[int, int]) -> list[tuple[int, int]]:
    """Arrows between places, each once, none from a place to itself."""
    pairs = {(place[j], k) for i, k in place.items() for j in steps[i].inputs if j in place and place[j] != k}
    return sorted(pairs, key=lambda e: (e[1], e[0]))


def _runs(steps: Sequence[Step], flow: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Cut the flow into runs of one module, as deep into the modules as leaves few enough runs."""
    deepest = max(steps[i].module.count(".") + 1 for i in flow)
    runs = _cut(steps, flow, 1)
    for depth in range(2, deepest + 1):
        finer = _cut(steps, flow, depth)
        if len(finer) > FOLD:
            break
        runs = finer
    for title, run in runs:
        pieces = [run[k : k + PART] for k in range(0, len(run), PART)]
        for k, piece in enumerate(pieces):
            yield (f"{title} ({k + 1} of {len(pieces)})" if len(pieces) > 1 else title), piece


def _cut(steps: Sequence[Step], flow: Sequence[int], depth: int) -> list[tuple[str, list[int]]]:
    runs: list[tuple[str, list[int]]] = []
    for i in flow:
        key = ".".join(steps[i].module.split(".")[:depth]) or "cost"
        if runs and runs[-1][0] == key:
            runs[-1][1].append(i)
        else:
            runs.append((key, [i]))
    return runs


def _part(steps: Sequence[Step], anchor: str, title: str, run: Sequence[int]) -> Part:
    inside = set(run)
    items = [_operation(steps, i, inside) for i in run]
    drawing = draw(items, _edges(steps, _positions(run)))
    tones = tuple(tone(steps[i].fact) for i in run)
    return Part(anchor, title, len(run), tones, any(steps[i].lost for i in run), drawing)


def _operation(steps: Sequence[Step], i: int, inside: set[int] | None = None) -> Item:
    """A box for one operation: its parameters, and what comes from outside the part."""
    step = steps[i]
    reads = [steps[j] for j in step.inputs if 0 <= j < len(steps)]
    words = [s.name for s in reads if s.op == "block"]
    if inside is not None:
        words += [f"from {steps[j].name}" for j in step.inputs if steps[j].op not in LEAVES and j not in inside]
    sub = ", ".join(words) or (f"in {step.module}" if step.module else step.op)
    if step.lost:
        sub = f"{step.fact} · {sub}"
    full = f"{step.name} ({step.op}){' in ' + step.module if step.module else ''}: {step.fact}"
    if reads:
        full += "; of " + ", ".join(f"{s.name} ({s.fact})" for s in reads)
    fact = brief(step.fact)
    return Item(short(step.name, room(fact)), short(sub, CHARACTERS), tone(step.fact), fact, step.lost, full)


def _group(steps: Sequence[Step], run: Sequence[int], part: Part) -> Item:
    last = steps[run[-1]]
    sub = f"{len(run)} operation{'s' if len(run) > 1 else ''}"
    full = f"{part.title}: {sub}, its result is {last.fact}"
    fact = brief(last.fact)
    return Item(short(part.title, room(fact)), sub, tone(last.fact), fact, part.lost, full, part.anchor)


def brief(fact: str) -> str:
    """A fact in a word or two."""
    return "not known" if fact == "of unknown curvature" else fact


def room(fact: str) -> int:
    """How many characters of a name fit beside a fact."""
    return max(int((WIDE - 40 - 7.5 * max(len(fact), len("lost inside"))) / 8.8), 12)


def short(text: str, limit: int) -> str:
    """Text cut in the middle, where it is too long for a box."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def draw(items: Sequence[Item], edges: Sequence[tuple[int, int]]) -> Drawing:
    """Boxes below each other; arrows between neighbours are straight, others run in lanes on the right."""
    lanes = _lanes([e for e in edges if e[1] - e[0] > 1])
    arrows = []
    for source, sink in edges:
        if sink - source == 1:
            arrows.append(Arrow(f"M{WIDE / 2:g} {source * ROW + BOX} V{sink * ROW - 3}", False))
            continue
        y, z = source * ROW + BOX - 12, sink * ROW + 12
        x = WIDE + 12 + LANE * lanes[source, sink]
        arrows.append(
            Arrow(f"M{WIDE} {y} C{x} {y} {x} {y} {x} {y + 14} V{z - 14} C{x} {z} {x} {z} {WIDE + 4} {z}", True)
        )
    width = WIDE + (24 + LANE * (1 + max(lanes.values())) if lanes else 8)
    boxes = tuple((k * ROW, item) for k, item in enumerate(items))
    return Drawing(boxes, tuple(arrows), width, max(len(items) * ROW - (ROW - BOX), 0) + 4)


def _lanes(jumps: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """A lane for each jump, so that jumps which overlap do not share one; short ones stay near."""
    lanes: dict[tuple[int, int], int] = {}
    taken: list[list[tuple[int, int]]] = []
    for source, sink in sorted(jumps, key=lambda e: (e[1] - e[0], e)):
        free = (k for k, others in enumerate(taken) if all(sink <= s or source >= t for s, t in others))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((source, sink))
        lanes[source, sink] = lane
    return lanes
