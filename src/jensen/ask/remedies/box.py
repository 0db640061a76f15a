"""Keep the parameters in a box: the sets of blocks in which the cost, as it stands, is convex there.

Where a threshold or a clamp is far away, or a function bends the other way only outside, a box alone is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.edit import Edit, Names, boxes, count, numbers, quoted
from jensen.ask.remedies.ground import METHODS, Ground, maximal
from jensen.atoms import registry
from jensen.kernel.check import Box
from jensen.kernel.claims import box as kernel
from jensen.kernel.claims.objects import elements
from jensen.kernel.program import Problem
from jensen.kernel.ranges import number

SIZE = 0.5
RADII = (0.5, 0.1)
FEW = 24
WORK = 2000  # jets times numbers squared, for one piece of a proof by enclosures


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that keeps to a box, and why there is none."""
    if ground.within:
        return [], "a box is asked about already"
    for within in _boxes(ground):
        sets = maximal(ground.problem, within)
        blocks = next((s for s in sets if not ground.known(s)), None)
        found = None if blocks is None else _offer(ground, within, blocks, METHODS)
        if (found is None or found.frozen) and enclosable(ground.problem):
            found = _offer(ground, within, ground.names, ("rational", "box")) or found
        if found is not None:
            return [found], ""
    return [], "on the boxes tried it is convex in no further set of blocks"


def enclosable(problem: Problem) -> bool:
    """Whether a proof by enclosures of the derivatives is a matter of seconds."""
    n = count(problem, problem.blocks)
    size = sum(elements(problem.linked(k, registry())) for k in range(len(problem.terms)))
    return n == 1 or (n <= kernel.VARIABLES and size * (1 + n) ** 2 <= WORK)


def around(ground: Ground) -> Box:
    """[-r, r] for every block, with r = 1, 2, 4, ... so large that it holds the current values."""
    r = 1.0
    while any(float(t.abs().max()) > r for t in ground.cost.theta.values() if t.numel()):
        r *= 2.0
    return {n: (np.full(s, -r), np.full(s, r)) for n, s in ground.problem.blocks.items()}


def _boxes(ground: Ground) -> Iterator[Box]:
    """The box around zero; then, for few blocks, smaller ones around the current values: one interval for each block."""
    yield around(ground)
    if len(ground.names) <= FEW:
        theta = {n: t.numpy() for n, t in ground.cost.theta.items()}
        for r in RADII:
            yield {
                n: (np.full(t.shape, t.min() - r), np.full(t.shape, t.max() + r)) for n, t in theta.items() if t.size
            }


def _offer(ground: Ground, within: Box, blocks: Names, methods: tuple[str, ...]) -> Remedy | None:
    frozen = len(blocks) < len(ground.names)
    edit = Edit(
        "box",
        f"keep to the box {words(within)}",
        f"{numbers(count(ground.problem, ground.names))} bounded, and nothing is said outside the box",
        SIZE,
        (),
        (f"# in the box: jensen.check(cost, of=[{quoted(blocks)}], within={boxes(within)!r})",),
        "any value in the box" if frozen else "any value",
    )
    return ground.offer(edit, ground.problem, blocks, cost=ground.cost, within=within, methods=methods, asks=True)


def words(within: Box) -> str:
    """A box in words: block by block, where that is short."""
    text = []
    for name, (lo, hi) in within.items():
        flat = lo.size and (lo == lo.flat[0]).all() and (hi == hi.flat[0]).all()
        text.append(
            f"{name} in [{number(float(lo.flat[0]))}, {number(float(hi.flat[0]))}]" if flat else f"{name} in a box"
        )
    return ", ".join(text) if len(text) < 5 else f"{text[0]}, ..., {text[-1]}"
