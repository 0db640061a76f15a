"""Moves that hold for this data, or for this batch at this point, alone: listed apart from the group, and tried like it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from jensen.ask.symmetry.batches import BatchScale, batch_moves
from jensen.ask.symmetry.constants import Made, made
from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.frame import Frame
from jensen.ask.symmetry.group import Factor, Theta
from jensen.ask.symmetry.inputs import InputMove, input_moves
from jensen.ask.symmetry.tried import TOLERANCE, Value, rounds, scattered
from jensen.atoms import registry
from jensen.kernel.program import Problem

DataMove = InputMove | BatchScale


def data_moves(
    problem: Problem, value: Value, factors: Sequence[Factor], frames: Sequence[Frame], theta: Theta
) -> tuple[tuple[DataMove, ...], tuple[str, ...]]:
    """The moves that hold, tried at a point and near it, and what was not looked for or failed, in words.

    Args:
        problem: The cost's programs with their data.
        value: The cost.
        factors, frames: The group's.
        theta: The point that is asked about.
    """
    data = frozenset(n for term in problem.terms for n in term.data)
    known: dict[int, tuple[Flow, Made]] = {}
    places = []
    for k, term in enumerate(problem.terms):
        linked = problem.linked(k, registry())
        if id(linked) not in known:
            known[id(linked)] = Flow(linked, {}), made(linked, data)
        places.append((term, *known[id(linked)]))
    inputs, notes = input_moves(places, factors)
    batches, more = batch_moves(problem, places[0][1], frames, places[0][2].fixed)
    good, bad = _sifted(value, [*inputs, *batches], theta)
    return tuple(good), (*notes, *more, *(f"{m.words}: the cost changes where it is tried" for m in bad))


def _sifted(value: Value, moves: Sequence[DataMove], theta: Theta) -> tuple[list[DataMove], list[DataMove]]:
    """Those that leave the cost as it is, and those that do not: all at once, and by halves where that fails."""
    if not moves or _hold(value, moves, theta):
        return list(moves), []
    if len(moves) == 1:
        return [], list(moves)
    half = len(moves) // 2
    (a, b), (c, d) = (_sifted(value, part, theta) for part in (moves[:half], moves[half:]))
    return a + c, b + d


def _hold(value: Value, moves: Sequence[DataMove], theta: Theta) -> bool:
    """Whether these moves, any two of them told apart, keep the cost to 1e-9 at the point and at one near it."""
    generator = torch.Generator().manual_seed(len(moves))
    for point in (theta, scattered(theta, generator)):
        before = value(point)
        for active in rounds(len(moves), False):
            there = dict(point)
            for i in active:
                there = moves[i].act(there, moves[i].sample(generator))
            after = value(there)
            if not abs(after - before) <= TOLERANCE * (abs(after) + abs(before)):
                return False
    return True
