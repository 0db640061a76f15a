"""How a program's operations are coloured: by what is known of their values, or by their share of the curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jensen.finding import Step
from jensen.show.words import minus, signed

LEAVES = ("block", "const")
FACTS = {
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
SHARES = {"against": "bends J down: against convexity", "holds": "bends J up", "constant": "no share"}
FAINT, FULL = 9, 50  # percent of colour in a box


@dataclass(frozen=True)
class Look:
    """The colour and the words of an operation, or of a run of them."""

    tone: str
    fact: str
    full: str
    weight: int = FAINT
    marked: bool = False
    note: str = ""


@dataclass(frozen=True)
class Paint:
    """Looks of runs of operations, and what the tones mean."""

    look: Callable[[Sequence[int]], Look]
    legend: Mapping[str, str]


def tone(fact: str) -> str:
    """The colour class of a fact."""
    return FACTS.get(fact, "unknown")


def by_fact(steps: Sequence[Step]) -> Paint:
    """What is known of each value as a function of the asked blocks."""

    def look(run: Sequence[int]) -> Look:
        last, lost = steps[run[-1]], any(steps[i].lost for i in run)
        fact = "not known" if last.fact == "of unknown curvature" else last.fact
        if len(run) > 1:
            return Look(tone(last.fact), "lost inside" if lost else fact, f"its result is {last.fact}", FAINT, lost)
        reads = ", ".join(f"{steps[j].name} ({steps[j].fact})" for j in last.inputs if 0 <= j < len(steps))
        full = last.fact + (f"; of {reads}" if reads else "")
        return Look(tone(last.fact), "lost here" if lost else fact, full, FAINT, lost, last.fact if lost else "")

    return Paint(look, LEGEND)


def by_share(steps: Sequence[Step], shares: Mapping[int, float]) -> Paint:
    """Each operation's share of the second derivative, by its place; the strongest one against convexity is marked."""
    largest = max(map(abs, shares.values()), default=0.0)
    worst = min(shares, key=shares.__getitem__, default=-1)
    marked = worst if shares.get(worst, 0.0) < 0 else -1

    def look(run: Sequence[int]) -> Look:
        total = sum(shares.get(i, 0.0) for i in run)
        if total == 0:
            return Look("constant", "", "no share of the curvature", marked=marked in run)
        weight = round(FAINT + (FULL - FAINT) * min(abs(total) / largest, 1.0))
        words = "the most negative share" if len(run) == 1 else "holds the most negative share"
        share = minus(signed(total))
        full = f"share {share}" + (f", {words}" if marked in run else "")
        return Look("against" if total < 0 else "holds", share, full, weight, marked in run)

    return Paint(look, SHARES)


def placed(steps: Sequence[Step], shares: Iterable[Any]) -> dict[int, float] | None:
    """Shares at the operations they belong to: by name and kind, in order; None where one finds no place."""
    places: dict[tuple[str, str], list[int]] = {}
    for i, step in enumerate(steps):
        places.setdefault((step.name, step.op), []).append(i)
    found: dict[int, float] = {}
    for s in shares:
        free = places.get((s.node, s.operation))
        if not free:
            return None
        found[free.pop(0)] = s.share
    return found
