"""Permutations and signs between two normal forms: refinement, and trial and error only where units are tied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.equivalence.layout import Placed
from jensen.ask.equivalence.refine import Class, Colours, Ground, begin, ground, refined
from jensen.ask.equivalence.signs import solved
from jensen.ask.symmetry.group import Step

TRIALS = 400  # refinements in all

Theta = dict[str, Tensor]


@dataclass
class Search:
    """How the search went.

    Attributes:
        close: How near sums must be that count as equal, relative.
        trials: Refinements spent.
        exhausted: Whether that were all that are allowed.
        differ: The factor whose units have other fingerprints in the two points; empty where they agree.
    """

    close: float
    trials: int = 0
    differ: str = ""
    exhausted: bool = False


def matches(
    factors: Sequence[Placed], a: Mapping[str, Tensor], b: Mapping[str, Tensor], search: Search
) -> Iterator[list[Step]]:
    """Moves of permutations and signs from a to b, both in normal form; most likely first.

    Args:
        factors: All factors with their places.
        a, b: Blocks in normal form.
        search: Told how it went.
    """
    g = ground(factors, (a, b), search.close)
    for steps, x in _permuted(g, dict(a), dict(b), search, 0):
        signs = zip(factors, solved(factors, x, b), strict=True)
        yield [*steps, *(Step(f.factor, f.element(s)) for f, s in signs if bool((s < 0).any()))]


def _permuted(g: Ground, a: Theta, b: Theta, search: Search, level: int) -> Iterator[tuple[list[Step], Theta]]:
    """Level by level: outer permutations first, so that the inner ones compare the right copies."""
    if level > max((c.level for c in g.classes), default=-1):
        yield [], a
        return
    for colours in _trials(g, (a, b), begin(g, level), level, search):
        steps, x = [], a
        for c, colour in zip(g.classes, colours, strict=True):
            if c.level == level:
                p = _permutation(colour)
                x = c.placed.factor.act(p, x)
                steps.append(Step(c.placed.factor, p))
        for more, y in _permuted(g, x, b, search, level + 1):
            yield [*steps, *more], y


def ordered(factors: Sequence[Placed], x: Mapping[str, Tensor], close: float) -> tuple[Theta, list[Step]]:
    """A point in normal form with its units in the order of their colours, and the steps there, outer permutations first.

    Colours are numbered by sums that no move changes. Of tied units one is told from the others, the first; where they are
    not equal but only look so, the order is one of several.
    """
    out, steps = dict(x), []
    g = ground(factors, (out, out), close)
    for level in range(1 + max((c.level for c in g.classes), default=-1)):
        colours = _told(g, out, begin(g, level), level)
        for c, colour in zip(g.classes, colours, strict=True):
            if c.level == level:
                steps.append(Step(c.placed.factor, torch.argsort(colour[0], stable=True)))
                out = c.placed.factor.act(steps[-1].element, out)
    return out, steps


def _told(g: Ground, x: Theta, colours: Colours, level: int) -> Colours:
    """Colours of one point, taken twice, in which every unit of a level has its own."""
    while True:
        colours, _ = refined(g, (x, x), colours)
        tied = _tied(g, (x, x), colours, level)
        if tied is None:
            return colours
        k, unit, units = tied
        fresh = 1 + max(int(c.max()) for c in colours)
        colours[k][:, units] = fresh + torch.arange(len(units)) if _equal(g, k, x, units) else fresh
        colours[k][:, unit] = fresh + len(units)  # all of them last, however many at a time


def _equal(g: Ground, k: int, x: Theta, units: list[int]) -> bool:
    """Whether tied units may stand in any order: they have the same entries, on one axis of each block."""
    places = g.classes[k].placed.places
    rows = [(p.rows(x)[units], g.scale[p.block]) for p in places]
    same = all(bool(((r - r[:1]).abs() <= g.close * scale).all()) for r, scale in rows)
    return same and len({p.block for p in places}) == len(places)


def _permutation(colour: Tensor) -> Tensor:
    """p with b's unit i of the colour of a's unit p[i]."""
    a, b = colour
    p = torch.empty(len(a), dtype=torch.int64)
    p[torch.argsort(b)] = torch.argsort(a)
    return p


def _trials(g: Ground, points: tuple[Theta, Theta], colours: Colours, level: int, search: Search) -> Iterator[Colours]:
    """Colours in which every unit of this level has its own, by individualisation and refinement."""
    search.trials += 1
    if search.trials > TRIALS:
        search.exhausted = True
        return
    colours, wrong = refined(g, points, colours)
    if wrong:
        search.differ = search.differ or wrong
        return
    tied = _tied(g, points, colours, level)
    if tied is None:
        yield colours
        return
    k, left, right = tied
    fresh = 1 + max(int(c.max()) for c in colours)
    for j in right:
        tried = [c.clone() for c in colours]
        tried[k][0, left], tried[k][1, j] = fresh, fresh
        yield from _trials(g, points, tried, level, search)


def _tied(g: Ground, points: tuple[Theta, Theta], colours: Colours, level: int) -> tuple[int, int, list[int]] | None:
    """The smallest tie of this level: a class, one of a's units, and b's units of its colour; None where all are told.

    Units without any entry but zeros are told apart at once, in the order in which they come: nothing tells them apart.
    """
    best: tuple[int, int, int, list[int]] | None = None
    for k, c in enumerate(g.classes):
        if c.level != level:
            continue
        _order_empty(c, points, colours, k)
        values, counts = torch.unique(colours[k][0], return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if count > 1 and (best is None or count < best[0]):
                left = int((colours[k][0] == value).nonzero()[0])
                best = (count, k, left, (colours[k][1] == value).nonzero().reshape(-1).tolist())
    return None if best is None else best[1:]


def _order_empty(c: Class, points: tuple[Theta, Theta], colours: Colours, k: int) -> None:
    empty = []
    for x in points:
        zero = torch.ones(c.placed.factor.size, dtype=torch.bool)
        for p in c.placed.places:
            zero &= (p.rows(x) == 0).all(2).all(1)
        empty.append(zero)
    count = int(empty[0].sum())
    if count and count == int(empty[1].sum()):
        numbers = 1 + max(int(colour.max()) for colour in colours) + torch.arange(count)
        for side in (0, 1):
            colours[k][side, empty[side]] = numbers
