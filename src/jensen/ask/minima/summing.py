"""From the ends of runs to what is said of them: distinct ends, shares, spread, and what counts as bad."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jensen.ask.minima.answers import FAILURES, Bad, Distinct, Minima, Run, Share, Width
from jensen.ask.minima.counting import Class, Group, classes, settled, tolerance
from jensen.ask.minima.end import KINDS, End
from jensen.ask.minima.shares import missing, wilson
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.spread import correlation, spread, told
from jensen.ask.minima.units import Ended, Planned

BAD = 0.01  # of the way from the reference to where runs start
SURE = 1e-9  # of the same way: what a certified optimum, and J, may be off by


@dataclass(frozen=True)
class Summed:
    """One width: its distinct ends, its runs (their places count from its first end), and its summary."""

    ends: tuple[Distinct, ...]
    runs: tuple[Run, ...]
    width: Width


def width(one: Planned, found: Sequence[Ended], group: Group, bad: float | None, optimum: float | None) -> Summed:
    """Everything that is said of one width."""
    grouped = sorted(classes([f.end for f in found], group, one.start), key=lambda c: _order(found, c))
    ends = tuple(_distinct(one, found, c, group) for c in grouped)
    places = {k: place for place, c in enumerate(grouped) for k in c.members}
    runs = tuple(_run(one, f, places[k]) for k, f in enumerate(found))
    return Summed(ends, runs, _width(one, found, grouped, group, _bad(one, found, bad, optimum)))


def _order(found: Sequence[Ended], c: Class) -> tuple[int, float, int]:
    """Minima first, by value; failures last."""
    first = found[c.members[0]].end
    return KINDS.index(first.kind), _value(found, c), c.members[0]


def _value(found: Sequence[Ended], c: Class) -> float:
    finite = [found[k].end.value for k in c.members if math.isfinite(found[k].end.value)]
    return min(finite, default=math.inf)


def _distinct(one: Planned, found: Sequence[Ended], c: Class, group: Group) -> Distinct:
    first = found[c.members[0]].end
    tests = [t for k in c.members if (t := found[k].test) is not None and math.isfinite(t)]
    counted = c.counted in ("modulo symmetry", "as points")
    count, of = len(c.members), len(found)
    return Distinct(
        kind=first.kind,
        value=_value(found, c),
        index=first.index,
        share=count / of,
        interval=wilson(count, of),
        orbit=group.orbit(settled(first), tolerance(first)) if counted else None,
        how=_how(found, c),
        runs=count,
        width=one.subject.width,
        test=sum(tests) / len(tests) if tests else None,
        counted=c.counted,
        theta=first.theta if counted else None,
    )


def _how(found: Sequence[Ended], c: Class) -> str:
    """The commonest of the finer words."""
    return Counter(found[k].end.how for k in c.members).most_common(1)[0][0]


def _run(one: Planned, f: Ended, place: int) -> Run:
    e = f.end
    return Run(
        e.run, one.subject.width, e.kind, e.how, e.value, e.index, e.gradient_norm, e.trained, f.train, f.test,
        e.steps, e.settled, place,
    )  # fmt: skip


def _width(one: Planned, found: Sequence[Ended], grouped: Sequence[Class], group: Group, bad: Bad) -> Width:
    ends = [f.end for f in found]
    counts = Counter(e.kind for e in ends)
    finite = [f for f in found if told(f.train) and (f.test is None or told(f.test))]
    tests = [f.test for f in finite if f.test is not None]
    failed = sum(counts[k] for k in FAILURES)
    settled = [e.settled for e in ends if e.settled is not None]
    minima = [c for c in grouped if ends[c.members[0]].kind == "minimum" and c.counted != "by value"]
    undecided = sum(c.open > 0 for c in minima)
    return Width(
        width=one.subject.width,
        parameters=sum(t.numel() for t in ends[0].theta.values()),
        runs=len(ends),
        counts={k: counts[k] for k in KINDS},
        distinct=(len(minima) - undecided, len(minima)),
        missing=missing([len(c.members) for c in grouped]),
        best=min((e.value for e in ends if math.isfinite(e.value)), default=math.inf),
        train=spread([f.train for f in finite]),
        test=spread(tests),
        correlation=correlation([f.train for f in finite], tests) if len(tests) == len(finite) and tests else None,
        bad=bad,
        failed=_share(failed, len(ends)),
        stationary=_share(len(settled), len(ends)),
        steps=spread([float(s) for s in settled]),
        modulo=group.words,
        notes=_notes(ends, grouped, bad, undecided, SURE * abs(one.start - bad.reference)),
    )


def _share(count: int, of: int) -> Share:
    return Share(count, of, count / of if of else 0.0, wilson(count, of))


def _bad(one: Planned, found: Sequence[Ended], asked: float | None, optimum: float | None) -> Bad:
    """Minima above the threshold; the best known value is that of any run, wherever it ended."""
    values = [f.end.value for f in found if math.isfinite(f.end.value)]
    reference = optimum if optimum is not None else min(values, default=math.inf)
    way = BAD * (one.start - reference)
    threshold = asked if asked is not None else way if math.isfinite(way) and way > 0 else 0.0
    above = reference + threshold
    minima = [f.end for f in found if f.end.kind == "minimum"]
    count = sum(e.value - e.error > above for e in minima)
    share = _share(count, len(minima))
    return Bad(share.count, share.of, share.share, share.interval, above, reference, optimum is not None)


def _notes(ends: Sequence[End], grouped: Sequence[Class], bad: Bad, undecided: int, rounding: float) -> tuple[str, ...]:
    notes = []
    by_value = sum(len(c.members) for c in grouped if c.counted == "by value")
    if by_value:
        notes.append(
            f"{by_value} runs ended at points with more zero modes than symmetry explains: these are not known to be isolated, "
            "and are counted by value"
        )
    if undecided:
        notes.append(
            f"{undecided} minima could not be told from another of the same value: their number is an interval"
        )
    below = sum(e.value + e.error + rounding < bad.reference for e in ends) if bad.certified else 0
    if below:
        notes.append(
            f"{below} runs ended below the optimum given ({bad.reference:.10g}): it is no lower bound of this cost"
        )
    if any(e.kind == "at infinity" for e in ends):
        notes.append("runs that go to infinity end at no point: J falls along them as far as they were followed")
    return tuple(notes)


def census(found: Sequence[Summed], asked: Spec, seconds: float, resumed: int) -> Minima:
    """All widths as one answer."""
    ends: list[Distinct] = []
    points: list[Run] = []
    for s in found:
        shift = len(ends)
        ends += s.ends
        points += [Run(**{**{n: r[n] for n in r.keys()}, "place": r.place + shift}) for r in s.runs]  # noqa: SIM118
    counts = {k: sum(s.width.counts[k] for s in found) for k in KINDS}
    widths = tuple(s.width for s in found)
    words = _statement(widths, counts)
    if asked.polish is None:
        words += " No run was polished, so no end is known to be critical."
    return Minima(
        len(points), counts, tuple(ends), widths, tuple(points), words, asked.epsilon, asked.to_dict(), seconds, resumed
    )


MANY = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima", "degenerate": "degenerate points"}


def _statement(widths: Sequence[Width], counts: dict[str, int]) -> str:
    """What was found, in a sentence."""
    kinds = [f"{n} {MANY.get(k, k) if n > 1 else k}" for k, n in counts.items() if n]
    runs = f"{sum(w.runs for w in widths)} runs"
    if len(widths) > 1:
        bad = [f"{100 * w.bad.share:.3g} % at width {w.width}" for w in (widths[0], widths[-1]) if w.bad.of]
        share = f"; bad minima: {', '.join(bad)}" if bad else ""
        return f"{runs} over {len(widths)} widths ended as {', '.join(kinds)}{share}."
    w = widths[0]
    low, high = w.distinct
    number = f"{high}" if low == high else f"{low} to {high}"
    found = (
        [f"{number} distinct minim{'um' if high == 1 and low == high else 'a'}, {w.modulo.partition(':')[0]}"]
        if high
        else []
    )
    lowest = [f"the lowest J is {w.best:.6g}"] if math.isfinite(w.best) else []
    return f"{runs} ended as {', '.join(kinds)}: {'; '.join([*found, *lowest])}."
