"""From candidates to accepted counterexamples."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from jensen.ask.search import Candidate, Search, sample
from jensen.ask.thresholds import chords
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.kernel import balls
from jensen.kernel import check as kernel
from jensen.kernel.check import Claim
from jensen.kernel.claims import rules
from jensen.kernel.claims.chord import Chord, enclose
from jensen.kernel.errors import Rejected, Unmodelled
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value

TRIES = 6
PATIENCE = 120.0  # seconds
SMALL = 2000
LINE = 1.0  # seconds for the picture of a chord
NO_VIOLATION = {
    "separated values",
    "a segment in the domain",
    "points in the domain",
    "points inside the boxes",
    *(f"not {k}" for k in kernel.KINDS),
}


@dataclass(frozen=True)
class Refutation:
    """What a search found: an accepted claim with its chord, or figures of the best chord, or nothing."""

    accepted: Claim | None = None
    chord: Chord | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = "the search found no chord that violates it"
    rounds: int = 0


def refute(
    cost: Cost, problem: Problem, claim: Claim, budget: float, skip: int = 0, picture: bool = True
) -> Refutation:
    """Search for a chord that violates the claim, and have the kernel accept it."""
    theta = {
        n: t.double() for n, t in cost.theta.items()
    }  # programs are read in float64, whatever the cost computes in
    stop = time.perf_counter() + budget
    best: Candidate | None = None
    why = Refutation().why
    tries = rounds = 0
    missing = unmodelled(problem, claim)
    if missing is not None:
        return Refutation(why=f"{missing.node}: {missing.why}")
    sets = moved_sets(problem, claim)
    for i, names in enumerate(sets):
        share = max(stop - time.perf_counter(), 0.0) * (1.0 if i == len(sets) - 1 else 0.4)
        search = Search(problem, theta, names, claim.within, claim.kind, share)
        for candidate in search.candidates(skip):
            rounds = max(rounds, search.round)
            if best is not None and candidate.margin <= best.margin * (0.2 if tries < TRIES else 4.0):
                continue
            tries += 1
            chord = complete(candidate.chord, theta, claim)
            long = too_long(problem, claim, chord, budget) if tries == 1 else None
            if long is not None:
                return Refutation(figures=figures(problem, candidate, chord), why=long, rounds=rounds)
            try:
                accepted = kernel.check(problem, negation(claim), chord, registry())
            except Unmodelled as e:
                return Refutation(why=f"{e.node}: {e.why}")
            except Rejected as e:
                why = f"the kernel did not accept the best chord: {e.why}"
                if (
                    e.rule not in NO_VIOLATION
                    and not rounding(problem, claim, chord, candidate)
                    and (best is None or candidate.margin > best.margin)
                ):
                    best = candidate
                continue
            return Refutation(accepted, chord, figures(problem, candidate, chord) if picture else {}, "")
        rounds = max(rounds, search.round)
        if search.late():
            why = f"{why} within {budget:.0f} s" if best is None else why
    if best is None:
        return Refutation(why=why, rounds=rounds)
    return Refutation(figures=figures(problem, best, complete(best.chord, theta, claim)), why=why, rounds=rounds)


def too_long(problem: Problem, claim: Claim, chord: Chord, budget: float) -> str | None:
    """Why the kernel is not asked: bounds over all of very much data would take far longer than the search."""
    few = sample(problem, 0)
    if few is problem:
        return None
    start = time.perf_counter()
    try:
        with balls.precision(balls.PRECISION):
            enclose(few, negation(claim), chord, registry().ideal() if claim.ideal else registry())
    except Rejected:
        return None
    seconds = (time.perf_counter() - start) * len(problem.terms)
    if seconds <= max(PATIENCE, 10 * budget):
        return None
    return (
        f"verified bounds over all {len(problem.terms)} chunks would take about {seconds / 60:.0f} minutes: "
        f"ask with budget={math.ceil(seconds / 10)} to have them, or about fewer data points"
    )


def rounding(problem: Problem, claim: Claim, chord: Chord, candidate: Candidate) -> bool:
    """Whether a violation in floats is theirs alone: far larger than what the kernel's enclosures leave room for.

    The enclosures overlap what the claim allows, so that the true violation is at most the width of all three.
    """
    atoms = registry().ideal() if claim.ideal else registry()
    try:
        with balls.precision(balls.LIMIT):
            v = enclose(problem, negation(claim), chord, atoms)
            radii = [float(x.rad()) for x in (v.a, v.m, v.b)]
    except Rejected:
        return False
    size = 1.0 if claim.kind.startswith("log") else max(abs(x) for x in candidate.values)
    if claim.kind.startswith("log"):
        radii = [r / abs(x) if x else math.inf for r, x in zip(radii, candidate.values, strict=True)]
    return 2 * sum(radii) < 0.1 * candidate.margin * size


def across_thresholds(cost: Cost, problem: Problem, claim: Claim) -> Refutation:
    """Chords across the thresholds of torch's implementation, which only the kernel's precision can see."""
    theta = {n: t.double() for n, t in cost.theta.items()}
    search = Search(problem, theta, claim.blocks, claim.within, claim.kind, 60.0)
    for k, chord in enumerate(chords(search)):
        if k >= 64:
            break
        long = too_long(problem, claim, chord, 0.0) if k == 0 else None
        if long is not None:
            return Refutation(why=long)
        try:
            accepted = kernel.check(problem, negation(claim), chord, registry())
        except Rejected:
            continue
        values = values_of(problem, chord)
        return Refutation(accepted, chord, figures(problem, Candidate(chord, values, math.nan), chord), "")
    return Refutation(why="no chord across the threshold was found")


def values_of(problem: Problem, chord: Chord) -> tuple[float, float, float]:
    """J at a, the middle and b, in floats."""
    out = []
    for t in (0.0, 0.5, 1.0):
        theta = {n: torch.as_tensor((1 - t) * v + t * chord.b[n]) for n, v in chord.a.items()}
        with torch.no_grad():
            out.append(
                float(program_value(problem, {**theta, **{n: torch.from_numpy(v) for n, v in chord.others.items()}}))
            )
    return out[0], out[1], out[2]


def unmodelled(problem: Problem, claim: Claim) -> Unmodelled | None:
    """The first operation without a model, if any."""
    atoms = registry().ideal() if claim.ideal else registry()
    links = (problem.linked(k, atoms) for k in range(len(problem.terms)))
    return next((linked.unmodelled for linked in links if linked.unmodelled is not None), None)


def negation(claim: Claim) -> Claim:
    return Claim(f"not {claim.kind}", claim.blocks, claim.within, claim.ideal)


def complete(chord: Chord, theta: dict[str, torch.Tensor], claim: Claim) -> Chord:
    """A chord that moves some of the asked blocks, as one in all of them."""
    a, b, others = dict(chord.a), dict(chord.b), dict(chord.others)
    for n in claim.blocks:
        if n not in a:
            a[n] = b[n] = others.pop(n)
    return Chord(a, b, others, chord.t)


def moved_sets(problem: Problem, claim: Claim) -> list[tuple[str, ...]]:
    """Which of the asked blocks to move: a minimal set near the output without a proof, all blocks from there on, then all.

    A chord in fewer blocks is a chord in all of them, and cheaper to find and to verify near the output. In a minimal set
    the directions that bend upwards do not hide the one that bends downwards.
    """
    names = claim.blocks
    low, high = 1, len(names)
    if sum(math.prod(problem.blocks[n]) for n in names) <= SMALL or len(names) <= 2:
        return [names]
    while low < high:  # provability is inherited by subsets
        middle = (low + high) // 2
        if provable(problem, claim, names[-middle:]):
            low = middle + 1
        else:
            high = middle
    return list(dict.fromkeys((minimal(problem, claim, names[-high:]), names[-high:], names)))


def minimal(problem: Problem, claim: Claim, names: tuple[str, ...]) -> tuple[str, ...]:
    """A minimal set without a proof, the first block among them, where without that block there is one."""
    keep, rest = names[:1], names[1:]
    while provable(problem, claim, keep):
        low, high = 1, len(rest)
        while low < high:
            middle = (low + high) // 2
            if provable(problem, claim, keep + rest[:middle]):
                low = middle + 1
            else:
                high = middle
        keep, rest = (*keep, rest[high - 1]), rest[: high - 1]
        if not rest:
            break
    return tuple(n for n in names if n in keep)


def provable(problem: Problem, claim: Claim, names: tuple[str, ...]) -> bool:
    """Whether the composition rules prove the claim for some of the blocks, the others taking any value."""
    atoms = registry().ideal() if claim.ideal else registry()
    part = Claim(claim.kind, names, claim.within, claim.ideal)
    try:
        return rules.holds(problem, part, atoms)
    except Rejected:
        return False


def figures(problem: Problem, candidate: Candidate, chord: Chord) -> dict[str, Any]:
    """The numbers of a chord for people: values, violation, and the cost along the line."""
    a, m, b = candidate.values
    fixed = {n: torch.from_numpy(v) for n, v in chord.others.items()}
    ends = [{n: torch.from_numpy(v) for n, v in p.items()} for p in (chord.a, chord.b)]
    start = time.perf_counter()
    ts: list[float] = []
    line: list[float] = []
    count = 40
    k = 0
    while k <= count:
        t = k / count
        theta = {**fixed, **{n: (1 - t) * ends[0][n] + t * ends[1][n] for n in ends[0]}}
        with torch.no_grad():
            line.append(float(program_value(problem, theta)))
        ts.append(t)
        if k == 0:  # fewer points, and the middle one among them, where one takes long
            took = time.perf_counter() - start
            if took > 5.0:
                ts, line = [0.0, 0.5, 1.0], [a, m, b]
                break
            count = max(8, min(40, int(LINE / (took + 1e-6)) // 2 * 2))
        k += 1
    return {
        "a": a,
        "m": m,
        "b": b,
        "t": str(chord.t),
        "violation": m - (a + b) / 2,
        "margin": candidate.margin,
        "line": {"t": ts, "J": line},
    }


def constants(problem: Problem) -> str:
    """The numerical constants of torch that the ideal reading replaces, with the size of each defect."""
    found = []
    for term in problem.terms:
        for node in term.program.nodes:
            words = DEFECTS.get(node.op)
            if words is not None and words(node.args[1:]) not in found:
                found.append(words(node.args[1:]))
    return " and ".join(found) or "a constant of the implementation"


def _softplus(attributes: tuple[Any, ...]) -> str:
    beta = attributes[0] if attributes else 1
    threshold = attributes[1] if len(attributes) > 1 else 20
    drop = float(np.logaddexp(0.0, -threshold)) / beta
    size = f"of {drop:.2g}" if drop else f"below 1e-{int(threshold / math.log(10))}"
    return f"softplus's threshold (a drop {size} at the operation)"


DEFECTS = {
    "aten.softplus.default": _softplus,
    "jensen.clamped_log": lambda a: f"the clamp of the logarithm at {a[0]:g}",
}
