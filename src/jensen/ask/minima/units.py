"""A census in units: blocks of runs, each a record of the journal, the same bits wherever and whenever it is computed.

A census is known by what was asked (the cost, its data, how runs are made, the seed), not by the number of runs, so that
more runs continue the same one. What is measured or derived before the start (the stack, whether to compile) is decided
once, kept in the journal under the census's name, and read from there by whoever comes later.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from statistics import median
from typing import Any

from jensen.ask.minima.counting import joined, symmetries_of
from jensen.ask.minima.end import End
from jensen.ask.minima.families import Subject, fingerprint, measured, packed, unpacked
from jensen.ask.minima.inits import starts
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.unit import plan, run_unit
from jensen.linalg.flat import Flat
from jensen.run.journal import Journal
from jensen.run.work import Kept, Unit

LEAST, MANY = 16, 4  # runs in a unit, and units for workers to share, at least, where there are enough runs
STARTS = 32  # points at which the cost is looked at before training, to know its scale


@dataclass(frozen=True)
class Planned:
    """A subject whose units are settled.

    Attributes:
        name: Of its census, in the journal's keys.
        symmetry: The answer of ``jensen.symmetries``, or why there is none.
        spec: How its runs are made, complete.
        start: The median of J where runs start.
    """

    subject: Subject
    name: str
    symmetry: Any
    spec: Spec
    start: float

    @property
    def stack(self) -> int:
        """Runs in a unit."""
        return self.spec.stack or 1

    def blocks(self, runs: int) -> range:
        """The numbers of the units that have the first so many runs."""
        return range(math.ceil(runs / self.stack))

    def key(self, block: int) -> str:
        """What a unit is filed under."""
        return f"{self.name}/{block:06d}"


def planned(one: Subject, asked: Spec, runs: int, journal: Journal | None, threads: int) -> Planned:
    """Settle what the runs of a subject need; as the journal has it, where it does.

    Args:
        one: What is trained.
        asked: How.
        runs: How many there will be, for the size of the units.
        journal: Where it is kept.
        threads: torch's in a unit, where none are asked for.
    """
    name = named(one, asked)
    settled = _settled(journal, name)
    symmetry = "no run is polished, so none ends at a critical point"
    if asked.polish is not None:
        symmetry = symmetries_of(one.cost, asked.symmetries)
    if settled is None:
        explained = getattr(symmetry, "dimension", 0) if asked.symmetries is None else asked.symmetries
        found = plan(one.cost, replace(asked, threads=asked.threads or threads, symmetries=explained))
        if asked.stack is None:
            found = replace(found, stack=cut(runs, found.stack or 1))
        at = [float(one.cost(Flat(one.cost.blocks).split(p))) for p in starts(one.cost, found, range(STARTS))]
        record = {"what": "plan", "census": name, "width": one.width, "start": median(at), "spec": found.to_dict()}
        if journal is not None:
            journal.append(record, key=f"{name}/plan")
        settled = _settled(journal, name) or record  # another process may have been faster
    told = {f.name: settled["spec"][f.name] for f in fields(Spec)}
    return Planned(one, name, symmetry, replace(asked, **{**told, "init": asked.init}), float(settled["start"]))


def cut(runs: int, most: int) -> int:
    """Runs in a unit: units of one size, with as few runs too many as can be, whatever engine they run on.

    Args:
        runs: How many there are.
        most: That one stack takes well.
    """
    wanted = min(most, max(LEAST, math.ceil(runs / MANY)))
    return math.ceil(runs / math.ceil(runs / wanted))


def named(one: Subject, asked: Spec) -> str:
    """The census's name: what was asked, as a short hash; functions that start runs are told apart by where run 0 starts."""
    begins = [f"{v:.5e}" for v in starts(one.cost, asked, [0])[0].tolist()]
    text = json.dumps([fingerprint(one), one.width, begins, asked.to_dict()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _settled(journal: Journal | None, name: str) -> dict[str, Any] | None:
    if journal is None:
        return None
    return next((e.record for e in journal.entries() if e.key == f"{name}/plan"), None)


def units(one: Planned, runs: int, isolated: bool) -> list[Unit]:
    """The units of the first so many runs, whole blocks.

    Args:
        one: What is trained.
        runs: How many.
        isolated: Whether they run in other processes.
    """
    source = packed(one.subject) if isolated else one.subject
    return [Unit(one.key(b), block, (source, one.name, one.spec, b)) for b in one.blocks(runs)]


def block(source: bytes | Subject, name: str, spec: Spec, number: int) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """One unit: its record and the points where its runs ended, one row of each tensor a run."""
    one = unpacked(source) if isinstance(source, bytes) else source
    stack = spec.stack or 1
    ends = run_unit(one.cost, spec, range(number * stack, (number + 1) * stack))
    points = [e.theta for e in ends]
    train, test = measured(one.train, points), measured(one.test, points)
    told = [{**e.to_dict(), "train": a, "test": b} for e, a, b in zip(ends, train, test, strict=True)]
    record = {"what": "runs", "census": name, "width": one.width, "block": number, "ends": told}
    return record, joined(one.cost.blocks, points)


@dataclass(frozen=True)
class Ended:
    """An end with the losses measured there."""

    end: End
    train: float
    test: float | None


def ended(one: Planned, runs: int, kept: Mapping[str, Kept]) -> list[Ended]:
    """The first so many runs, from the records of their units."""
    found: list[Ended] = []
    for number in one.blocks(runs):
        record, load = kept[one.key(number)]
        tensors = load()
        for k, told in enumerate(record["ends"]):
            data = {n: v for n, v in told.items() if n not in ("train", "test")}
            end = End.of(data, {n: tensors[n][k].clone() for n in one.subject.cost.blocks})
            train = end.value if told["train"] is None else float(told["train"])
            found.append(Ended(end, train, None if told["test"] is None else float(told["test"])))
    return found[:runs]
