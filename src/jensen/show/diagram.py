"""The program as a diagram: data for drawing, then SVG coordinates. Long programs are folded by module.

Parameters and constants are shown inside the operation that reads them, so that the picture follows the flow of values.
Operations stand below each other in the order of computation; an arrow that jumps over operations runs on the right,
in a lane of its own, so that any program stays readable and a thousand operations are drawn as fast as ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jensen.finding import Step
from jensen.show.paint import LEAVES, Look, Paint, by_fact

OPEN = 48  # programs up to this many operations are drawn whole
FOLD = 60  # at most so many groups, where the modules allow it
PART = 100  # a group with more operations is cut
ROW, BOX, LANE, WIDE = 58, 44, 14, 380
CHARACTERS = 46


@dataclass(frozen=True)
class Item:
    """One box: an operation, or a group of them."""

    title: str
    sub: str
    look: Look
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
    strip: tuple[Look, ...]
    lost: bool
    drawing: Drawing


@dataclass(frozen=True)
class Diagram:
    """The overview, and the parts it folds (none for short programs)."""

    overview: Drawing
    parts: tuple[Part, ...]
    operations: int
    legend: tuple[tuple[str, str], ...]


def diagram(steps: Sequence[Step], anchor: str = "p", paint: Paint | None = None) -> Diagram:
    """Lay out a program, coloured by what is known of its values, or in another paint."""
    flow = [i for i, s in enumerate(steps) if s.op not in LEAVES]
    if not flow:
        flow = list(range(len(steps)))
    paint = paint or by_fact(steps)
    items = {i: _operation(steps, i, paint) for i in flow}
    present = {item.look.tone for item in items.values()}
    legend = tuple((t, words) for t, words in paint.legend.items() if t in present)
    if len(flow) <= OPEN:
        return Diagram(draw([*items.values()], _edges(steps, _positions(flow))), (), len(flow), legend)
    runs = list(_runs(steps, flow))
    group = {i: g for g, (_, run) in enumerate(runs) for i in run}
    parts = tuple(_part(steps, f"{anchor}-{g}", title, run, paint) for g, (title, run) in enumerate(runs))
    groups = [_group(run, part, paint) for (_, run), part in zip(runs, parts, strict=True)]
    return Diagram(draw(groups, _edges(steps, group)), parts, len(flow), legend)


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


def _part(steps: Sequence[Step], anchor: str, title: str, run: Sequence[int], paint: Paint) -> Part:
    inside = set(run)
    items = [_operation(steps, i, paint, inside) for i in run]
    drawing = draw(items, _edges(steps, _positions(run)))
    looks = tuple(item.look for item in items)
    return Part(anchor, title, len(run), looks, any(look.marked for look in looks), drawing)


def _operation(steps: Sequence[Step], i: int, paint: Paint, inside: set[int] | None = None) -> Item:
    """A box for one operation: its parameters, and what comes from outside the part."""
    step, look = steps[i], paint.look([i])
    words = [steps[j].name for j in step.inputs if 0 <= j < len(steps) and steps[j].op == "block"]
    if inside is not None:
        words += [f"from {steps[j].name}" for j in step.inputs if steps[j].op not in LEAVES and j not in inside]
    sub = ", ".join(words) or (f"in {step.module}" if step.module else step.op)
    sub = f"{look.note} · {sub}" if look.note else sub
    full = f"{step.name} ({step.op}){' in ' + step.module if step.module else ''}: {look.full}"
    return Item(short(step.name, room(look.fact)), short(sub, CHARACTERS), look, full)


def _group(run: Sequence[int], part: Part, paint: Paint) -> Item:
    look = paint.look(run)
    sub = f"{len(run)} operation{'s' if len(run) > 1 else ''}"
    return Item(short(part.title, room(look.fact)), sub, look, f"{part.title}: {sub}, {look.full}", part.anchor)


def room(fact: str) -> int:
    """How many characters of a name fit beside a fact."""
    return max(int((WIDE - 40 - 7.5 * len(fact)) / 8.8), 12)


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
