"""The symmetry group of a cost, read off its program and tried."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch

from jensen.ask.symmetry.absorbed import Absorbed, absorbed, without
from jensen.ask.symmetry.alternating import alternating
from jensen.ask.symmetry.answer import Symmetries
from jensen.ask.symmetry.complete import Completeness, complete
from jensen.ask.symmetry.exchange import exchanged, held
from jensen.ask.symmetry.factors import Candidates, candidates
from jensen.ask.symmetry.flips import flippable
from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.frame import Frame
from jensen.ask.symmetry.frames import frames
from jensen.ask.symmetry.group import Coordinates, Factor, Theta
from jensen.ask.symmetry.here import data_moves
from jensen.ask.symmetry.joints import Joint
from jensen.ask.symmetry.layouts import together
from jensen.ask.symmetry.proposals import proposed
from jensen.ask.symmetry.read import read
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.relations import relations
from jensen.ask.symmetry.rotary import Pairs, pairs
from jensen.ask.symmetry.scaled import scaled
from jensen.ask.symmetry.shears import shears
from jensen.ask.symmetry.shifts import shifts
from jensen.ask.symmetry.streams import reflected
from jensen.ask.symmetry.tried import Value, drawn, holds, large, sifted
from jensen.ask.symmetry.twins import Twins
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value
from jensen.parts import FunctionPart
from jensen.trace import Traced, trace, uncollected


@dataclass(frozen=True)
class Reading:
    """What was read of all programs of a problem."""

    found: Candidates
    frames: tuple[Frame, ...]
    unread: tuple[str, ...]
    reader: Reader
    twins: Twins  # of the first program
    taken: tuple[Absorbed, ...] = ()  # corrections that were taken into weights before the program was read

    @property
    def coordinates(self) -> tuple[Coordinates, ...]:
        return (*self.taken, *self.frames)


def symmetries(cost: Cost, penalty: bool = True, completeness: bool = True, data: bool = True) -> Symmetries:
    """The group of moves of the parameters that leave the cost unchanged at every point, whatever the data.

    Args:
        cost: The cost.
        penalty: Whether the penalty counts; without it, the group of the function alone.
        completeness: Whether to compare with the rank of the Jacobian (up to 1,000 parameters).
        data: Whether to look for moves that hold for this data alone too; they are listed apart.

    Raises:
        Misuse: Where the cost cannot be captured, or has an operation that no atom models.
    """
    start = time.perf_counter()
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    cost = cost if penalty else without_penalty(cost)
    traced = trace(cost)
    theta = {
        n: t.double() for n, t in cost.theta.items()
    }  # whatever the cost is held in: the program is the real function

    def value(point: Theta) -> float:
        return float(program_value(traced.problem, point))

    with uncollected():
        taken, free = _taken_up(traced.problem, value, theta)
        gone = {n for c in taken for n in c.blocks}  # nothing reads them now: their translations are there already
        rest = {n: shape for n, shape in cost.blocks.items() if n not in gone}
        reading = read_problem(without(traced.problem, taken), rest)
        reading = replace(reading, taken=taken)
        kept, refused, joints = _tried(value, reading, theta)
    kept, frames_ = (*free, *kept), (*reading.coordinates, *joints)
    if isinstance(cost._private, FunctionPart):
        own = frozenset(n for c in taken for n in (c.weight, *c.blocks))
        kept = proposed(traced.problem, kept, (*reading.frames, *joints), theta, own)
    here, unlisted = data_moves(traced.problem, value, kept, reading.frames, theta) if data else ((), ())
    dimension = sum(f.dimension for f in kept)
    answer = _complete(cost, traced, dimension) if completeness else Completeness("not checked", "it was not asked for")
    words = tuple(f"{f.kind} {f.size} on {f.label}" for f in refused)
    seconds = time.perf_counter() - start
    return Symmetries(
        kept, frames_, cost.blocks, answer, words, reading.unread, here, unlisted, seconds, problem=traced.problem
    )


def _taken_up(problem: Problem, value: Value, theta: Theta) -> tuple[tuple[Absorbed, ...], tuple[Factor, ...]]:
    """Corrections that weights take up, those that hold when they are tried, and the translations that they leave free."""
    found = absorbed(problem, theta)
    free = [(a, a.factors(theta)) for a in found]
    good = {id(f) for f in sifted(value, [f for _, own in free for f in own], found, theta)[0]}
    kept = [(a, own) for a, own in free if all(id(f) in good for f in own)]
    return tuple(a for a, _ in kept), tuple(f for _, own in kept for f in own)


def _tried(
    value: Value, reading: Reading, theta: Theta
) -> tuple[tuple[Factor, ...], Sequence[Factor], tuple[Joint, ...]]:
    """The candidates that hold, those that do not, and blocks that are laid together for exchanges across them."""
    found = reading.found
    good, bad = sifted(value, found.factors, reading.coordinates, theta)
    instead = [f for b in bad for f in found.instead.get(id(b), ())]
    more, worse = sifted(value, instead, reading.coordinates, theta)
    kept = {id(f) for f in good}
    every = (*(f for f in found.factors if id(f) in kept), *more)
    held_twice = reflected(every)
    every = tuple(f for f in every if f is not held_twice)

    once = cache(lambda: drawn(value, theta, torch.Generator().manual_seed(1)))

    def trial(factors: Sequence[Factor], joints: Sequence[Joint]) -> bool:
        at = once() if large(theta) else None
        return holds(value, factors, (*reading.coordinates, *joints), theta, len(factors), at)

    framed = frozenset(f.weight for f in reading.frames)
    factors, across, joints = exchanged(reading.twins, reading.reader, every, trial, framed)
    return factors, tuple(f for f in (*bad, *worse) if not held(f, across)), joints


def _complete(cost: Cost, traced: Traced, dimension: int) -> Completeness:
    if cost._penalty is not None:
        return Completeness("not checked", "the penalty counts; ask about the function alone")
    return complete(traced.problem, traced.roles[0], cost.theta, dimension)


def read_problem(problem: Problem, blocks: Any, joint: Mapping[str, tuple[int, ...]] | None = None) -> Reading:
    """All distinct programs of a problem, read together; shifts are those of the first.

    ``joint``: axes of blocks that hold units together; found by a first reading, after which all is read once more.
    """
    reader = Reader(joint=dict(joint or {}))
    seen: set[int] = set()
    known: list[Frame] = []
    first: Flow | None = None
    forms: list[Factor] = []
    turned: Pairs = {}
    twins: Twins | None = None
    for k, term in enumerate(problem.terms):
        if id(term.program) in seen:
            continue
        linked = problem.linked(k, registry())
        if linked.unmodelled is not None:
            raise Misuse(f"the group cannot be read: {linked.unmodelled}")
        empty = next((n for n, s in dict(blocks).items() if 0 in s), None)
        if empty is not None:
            raise Misuse(f"the group cannot be read: {empty!r} has no entries; leave that layer out of the model")
        fixed = {n: np.asarray(t) for n, t in term.tensors.items() if n not in term.data}
        flow = Flow(linked, {}, fixed)
        same, own = frames(flow, term.tensors, term.data)
        flow = Flow(linked, same, fixed) if same else flow
        reader.term, reader.flippable = k, flippable(flow)
        values = read(flow, term.tensors, term.data, reader)
        known += [f for f in own if f.weight not in {g.weight for g in known}]
        if joint is None and (wanted := _together(flow, values, dict(blocks))):
            return read_problem(problem, blocks, wanted)
        if first is None:
            first, turned = flow, pairs(flow, term)
            forms = alternating(flow, term, dict(blocks))
            twins = Twins(flow, term.tensors, term.data)
        seen.add(id(term.program))
    if first is None or twins is None:
        raise Misuse("the cost has no program")
    found, shapes = candidates(reader, first, turned), dict(blocks)
    taken = shifts(first, shapes)
    more = (*shears(first, shapes, taken), *relations(first, shapes), *scaled(first, shapes), *forms)
    factors = (*found.factors, *taken, *more)
    return Reading(Candidates(factors, found.instead), tuple(known), tuple(dict.fromkeys(reader.unread)), reader, twins)


def _together(flow: Flow, values: Sequence[Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    found = {n: together(flow, values, n, shapes[n]) for n in flow.deliveries}
    return {n: axes for n, axes in found.items() if axes}


def without_penalty(cost: Cost) -> Cost:
    """The cost without its penalty."""
    other: Any = copy.copy(cost)
    other._penalty, other._programs = None, {}
    other.__dict__.pop("_shares", None)
    return other
