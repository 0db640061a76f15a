"""The answer of ``jensen.why``: shares of the curvature over the layers, and the mechanisms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jensen.finding import Step
from jensen.show.certificates import saved
from jensen.show.diagram import Diagram, diagram
from jensen.show.paint import by_share, placed
from jensen.show.section import Page, Section
from jensen.show.summary import BAD, PLAIN, Grid, Row, Summary
from jensen.show.waterfall import bars, figure
from jensen.show.words import duration, minus, number, signed

ENOUGH = {"yes": BAD, "no": "good", "unknown": "open"}
ALONG = {
    "counterexample": "the direction of the counterexample",
    "most negative curvature found": "the direction of the most negative curvature found",
    "lowest curvature found": "the direction of the lowest curvature found",
    "given": "the given direction",
}
SECOND = "d²J/dt²"
SHOWN = 16  # rows of a table on a terminal
SURGERY = 240  # letters of a sentence that is shown before the rest is folded
OPERATIONS = 40  # rows of the page's table of operations

Sums = Mapping[str, float]


def summary(why: Any) -> Summary:
    """The curvature, its parts, its shares by layer and by mechanism, and the mechanisms alone."""
    rows: list[Row] = [(label, signed(value, 6)) for label, value in parts(why)]
    grids = [_grid("shares by layer", _layers(why.shares)), _grid("shares by mechanism", why.grouped("mechanism"))]
    if why.finite is not None:
        grids.append(_grid(f"the chord's {signed(why.finite.violation)} by layer", _layers(why.finite.shares)))
    if why.mechanisms:
        table = tuple((m.name, m.enough, str(m.verdict), _brief(m)) for m in why.mechanisms)
        grids.append(Grid("mechanisms alone", ("mechanism", "enough?", "verdict", "what was done"), table))
    foot = [("note", n) for n in getattr(why, "notes", ())]
    foot += [("checked", f"shares and d'Hd differ by {number(why.defect, 2)} of the sum of |shares|")]
    tone = BAD if why.curvature < 0 else PLAIN
    return Summary("WHY", tone, headline(why), tuple(rows), tuple(grids), (*foot, ("time", duration(why.seconds))))


def headline(why: Any) -> str:
    """The second derivative and its direction, in a sentence."""
    bends = "down" if why.curvature < 0 else "up"
    along = ALONG.get(why.source, why.source)
    if why.curvature == 0:
        return f"Along {along} J has no curvature."
    return f"Along {along} J bends {bends}: its second derivative is {signed(why.curvature, 6)}."


def parts(why: Any) -> list[tuple[str, float]]:
    """Loss, network and penalty, as far as they are told apart."""
    found = [("loss", why.loss_part), ("network", why.network_part), ("penalty", why.penalty_part or None)]
    return [(label, value) for label, value in found if value is not None]


def _words(mechanism: Any) -> str:
    reason = getattr(mechanism, "reason", "")
    return f"{mechanism.statement}; {reason}" if reason else mechanism.statement


def _told(mechanism: Any) -> tuple[str, str]:
    """A mechanism's words: the surgery, and what was found then."""
    surgery, colon, found = _words(mechanism).partition(": ")
    return (surgery, found) if colon and len(surgery) <= SURGERY else ("", surgery + colon + found)


def _brief(mechanism: Any) -> str:
    """The surgery alone; the page and ``to_dict`` hold what was found after it."""
    surgery, found = _told(mechanism)
    return surgery or found


def _layers(shares: Iterable[Any]) -> Sums:
    return {bar.label: bar.share for bar in bars(shares, SHOWN)}


def _grid(title: str, sums: Sums) -> Grid:
    """The largest sums in their order, with a bar each."""
    kept = set(sorted(sums, key=lambda k: -abs(sums[k]))[:SHOWN])
    largest = max(map(abs, sums.values()), default=0.0) or 1.0
    rows = tuple((k, signed(v), _bar(v / largest)) for k, v in sums.items() if k in kept)
    return Grid(title, ("", "share", ""), rows, (1,), len(sums) - len(kept), (2,))


def _bar(fraction: float, half: int = 12) -> str:
    """A bar to the left for what bends J down, to the right for what bends it up."""
    size = round(abs(fraction) * half)
    return f"{'█' * size if fraction < 0 else '':>{half}}│{'█' * size if fraction > 0 else '':<{half}}"


def section(why: Any, page: Page) -> Section:
    """Waterfalls over the layers, the tables of mechanisms and operations, and the program coloured by share."""
    layers = bars(why.shares)
    figures = {"layers": figure(layers, why.curvature, "d'Hd", SECOND)} if layers else {}
    if why.finite is not None and why.finite.shares:
        figures["chord"] = figure(bars(why.finite.shares), why.finite.violation, "violation", "J")
    if why.eigenspace is not None and why.eigenspace.shares:
        mean = sum(why.eigenspace.values) / len(why.eigenspace.values)
        figures["eigenspace"] = figure(bars(why.eigenspace.shares), mean, "mean", SECOND)
    data = {
        "answer": why,
        "tone": BAD if why.curvature < 0 else PLAIN,
        "headline": minus(headline(why)),
        "parts": scaled(parts(why)),
        "caption": minus(_caption(layers)),
        "layers": layers,
        "kinds": scaled(why.grouped("mechanism").items()),
        "operations": scaled(_strongest(why.shares)),
        "left_out": max(len(why.shares) - OPERATIONS, 0),
        "mechanisms": [(m, ENOUGH.get(m.enough, "open"), *_told(m)) for m in why.mechanisms],
        "ledgers": [(ALONG.get(x.source, x.source), x) for x in getattr(why, "ledgers", ())],
        "certified": any(getattr(m.finding, "certificate", None) is not None for m in why.mechanisms),
        "saved": [saved(f) for f in page.files],
        "diagram": _diagram(why, page),
        "facts": _facts(why),
    }
    return Section("why.html", "Why", data, figures)


def scaled(rows: Iterable[tuple[Any, float]]) -> list[tuple[Any, float, float]]:
    """Rows with their value as a fraction of the largest, for bars."""
    found = list(rows)
    largest = max((abs(v) for _, v in found), default=0.0) or 1.0
    return [(label, v, v / largest) for label, v in found]


def _strongest(shares: Sequence[Any]) -> list[tuple[Any, float]]:
    return [(s, s.share) for s in sorted(shares, key=lambda s: -abs(s.share))[:OPERATIONS]]


def _caption(layers: Sequence[Any]) -> str:
    if not layers:
        return "No operation has a share."
    worst, best = min(layers, key=lambda b: b.share), max(layers, key=lambda b: b.share)
    words = [f"“{worst.label}” bends J down the most ({signed(worst.share)})"] if worst.share < 0 else []
    words += [f"“{best.label}” bends it up the most ({signed(best.share)})"] if best.share > 0 else []
    return "; ".join(words) + "." if words else "No layer has a share."


def _facts(why: Any) -> list[Row]:
    facts = [("along", ALONG.get(why.source, why.source)), ("second derivative d'Hd", minus(signed(why.curvature, 8)))]
    facts.append(("shares against an independent d'Hd", f"{number(why.defect, 2)} of the sum of |shares|"))
    return [*facts, ("time", duration(why.seconds))]


def _diagram(why: Any, page: Page) -> Diagram | None:
    """The program coloured by share, where the answer or another one on the page holds it."""
    for item in (why, *page.answers):
        steps: Sequence[Step] = getattr(item, "steps", ())
        shares = placed(steps, why.shares) if steps else None
        if shares:
            return diagram(steps, f"{page.id}-part", by_share(steps, shares))
    return None
