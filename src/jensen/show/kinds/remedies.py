"""The answer of ``jensen.remedies``: changes under which the cost is proved convex, the smallest first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from shlex import quote
from typing import Any

from jensen.show.certificates import saved
from jensen.show.section import Page, Section
from jensen.show.summary import GOOD, OPEN, Grid, Summary
from jensen.show.words import duration, listing, number

SHOWN = 10
HOW = 3  # remedies whose code a terminal shows


def summary(answer: Any) -> Summary:
    """The remedies with their prices, what was tried, and reformulations by name."""
    rows = tuple((r.kind, r.change, _price(r), str(_verdict(r))) for r in answer.remedies)
    grids = []
    if rows:
        more = max(len(rows) - SHOWN, 0)
        grids.append(Grid("what would make it convex", ("kind", "change", "price", "verdict"), rows[:SHOWN], more=more))
    if tried(answer):
        grids.append(Grid("what was tried", ("kind", "found", "why none"), tuple(tried(answer)), (1,)))
    foot = [
        (f"how {k + 1}" if i == 0 else "", line)
        for k, r in enumerate(answer.remedies[:HOW])
        for i, line in enumerate(lines(r.how))
    ]
    foot += [("by theorem", f"{r.name} ({r.theorem}): {r.applies}") for r in reformulations(answer)]
    tone = GOOD if answer.remedies or answer.verdict == "PROVED" else OPEN
    return Summary("REMEDIES", tone, headline(answer), (), tuple(grids), (*foot, ("time", duration(answer.seconds))))


def headline(answer: Any) -> str:
    """What was found, or that nothing was."""
    return answer.statement or f"{len(answer.remedies)} found"


def _price(remedy: Any) -> str:
    return remedy.price if isinstance(remedy.price, str) else number(remedy.price, 4)


def _verdict(remedy: Any) -> Any:
    return "" if remedy.finding is None else remedy.finding.verdict


def lines(code: str) -> list[str]:
    """Lines of code that are not empty."""
    return [line for line in code.splitlines() if line.strip()]


def tried(answer: Any) -> list[tuple[str, str, str]]:
    """Kinds of change, how many remedies each gave, and why none."""
    return [(t.kind, str(t.found), t.why) for t in answer.tried]


def reformulations(answer: Any) -> tuple[Any, ...]:
    """Convex problems that theorems tie to the cost."""
    return tuple(getattr(answer, "reformulations", ()))


def section(answer: Any, page: Page) -> Section:
    """A card for each remedy: what changes, at what price, how, and under which verdict."""
    data = {
        "answer": answer,
        "headline": headline(answer)[:1].upper() + headline(answer)[1:],
        "remedies": [
            {
                "remedy": r,
                "price": _price(r),
                "blocks": listing(r.blocks),
                "verdict": str(_verdict(r)),
                "finding": r.finding,
                "options": flags(getattr(r, "options", {})),
            }
            for r in answer.remedies
        ],
        "reformulations": reformulations(answer),
        "tried": tried(answer),
        "saved": [saved(f) for f in page.files],
        "time": duration(answer.seconds),
    }
    return Section("remedies.html", "What would make it convex", data)


def flags(options: Mapping[str, Any]) -> str:
    """Options of ``jensen check`` as they are typed."""
    words: list[str] = []
    of = options.get("of")
    for pattern in () if of is None else (of,) if isinstance(of, str) else of:
        words += ["--of", quote(pattern)]
    for name, pair in (options.get("within") or {}).items():
        low, high = map(_end, pair)
        words += ["--within", quote(f"{name}={low}:{high}")]
    return " ".join([*words, *(["--ideal"] if options.get("ideal") else [])])


def _end(value: Any) -> str:
    """An end of a box; free where it is left out."""
    return f"{value:g}" if isinstance(value, (int, float)) and math.isfinite(value) else ""
