"""Proof that moves of the parameters leave a cost as it is: one walk through the program for each generator of each factor.

A walk carries, for each value, what the move makes of it: the value at the moved point is this transform of the value at the
point. Blocks move as the claim says, constants (the data among them) do not, and the output must stay as it is. The statement
is about the exact function, for all values of the blocks: where J is defined at one of the two points, so it is at the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from heapq import heappop, heappush
from typing import Any

import numpy as np

from jensen.kernel.claims import factor
from jensen.kernel.claims import invariance_products as products  # adds its rules
from jensen.kernel.claims.factor import Factor
from jensen.kernel.claims.invariance_frames import aliases
from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_matrices import Matrices
from jensen.kernel.claims.invariance_moves import refuse
from jensen.kernel.claims.invariance_permutation import Exchanges, generators, of_block
from jensen.kernel.claims.invariance_powers import Powers
from jensen.kernel.claims.invariance_reading import Reading
from jensen.kernel.claims.invariance_shifts import Shifts
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

__all__ = ["check", "keeps", "products"]

Start = Callable[[str, Any], Any]
READINGS: dict[str, Any] = {
    "sign": Powers,
    "scale": Powers,
    "linear": Matrices,
    "orthogonal": Matrices,
    "shift": Shifts,
    "translation": Shifts,
}


def check(problem: Problem, claim: Any, evidence: Any, atoms: Any) -> str:
    """The statement, or Rejected at the node where a move cannot be followed."""
    if claim.kind != "invariant" or set(evidence) != {"method"}:
        raise Rejected(
            "evidence", "evidence fits the claim", "following moves proves invariance, and needs no evidence"
        )
    if claim.within or claim.ideal:
        raise Rejected("claim", "invariance on the whole space", "a box, or an ideal reading, is not kept by moves")
    factor.validate(claim.factors, problem.blocks, claim.blocks)
    for f in claim.factors:
        keeps(problem, f, atoms)
    return f"J does not change {factor.words(claim.factors)}, for every value of the blocks, on the data of this certificate"


def keeps(problem: Problem, f: Factor, atoms: Any) -> None:
    """Refuse a factor that is malformed, or is not seen to keep each term of the cost."""
    factor.validate((f,), problem.blocks, f.blocks)
    done: list[tuple[int, Ground]] = []
    coordinates: list[Any] = []
    for k, term in enumerate(problem.terms):
        linked = problem.linked(k, atoms)
        if linked.unmodelled is not None:
            raise linked.unmodelled
        ground = Ground(linked, term.tensors, problem.seen(k), atoms)
        if any(g.linked is linked and g.zeros == ground.zeros and _alike(problem, j, k, g.read) for j, g in done):
            continue
        ground.same, told = aliases(ground, f.frames)
        if done and told != coordinates:
            raise refuse("norms with fixed statistics", "the statistics are not the same in all terms of the cost")
        coordinates = told
        for start, reading in _readings(f, ground):
            _follow(ground, start, reading)
        done.append((k, ground))


def _alike(problem: Problem, j: int, k: int, names: set[str]) -> bool:
    """Whether the constants that were looked at are the same in two terms."""
    return all(np.array_equal(problem.terms[j].tensors[n], problem.terms[k].tensors[n]) for n in names)


def _readings(f: Factor, ground: Ground) -> Iterator[tuple[Start, Reading]]:
    """What each generator makes of a block, and the reading that follows it."""
    if f.kind == "permutation":
        for g in generators(f.size):
            yield partial(of_block, f, g), Exchanges(ground)
    else:
        reading = READINGS[f.kind](ground, f)
        yield partial(reading.of_block, f), reading


def _follow(ground: Ground, start: Start, reading: Reading) -> None:
    """Walk along everything that moves; the output stays, for nothing is noted of it."""
    linked = ground.linked
    users: Mapping[int, list[int]] = ground.users
    todo: list[int] = []
    for i, node in enumerate(linked.nodes):
        if node.op == "block":
            _note(reading, i, start(node.args[0], linked.shapes[i]), users, todo)
    last = -1
    while todo:
        i = heappop(todo)
        if i != last:
            last = i
            try:
                same = ground.same.get(i)
                found = reading.rule(i) if same is None else reading.operand(same).x
            except Rejected as e:
                raise type(e)(linked.nodes[i].name, e.rule, e.why) from None
            _note(reading, i, found, users, todo)
    if linked.output in reading.out:
        raise Rejected(linked.nodes[linked.output].name, "the cost stays as it is", "the output itself moves")


def _note(reading: Reading, i: int, found: Any, users: Mapping[int, list[int]], todo: list[int]) -> None:
    if not reading.still(found) and i not in reading.ground.zeros:
        reading.out[i] = found
        for k in users[i]:
            heappush(todo, k)
