"""The answer of ``jensen.minima``: what runs ended in, the distinct ends, and how that changes with width."""

from __future__ import annotations

import math
from typing import Any

from jensen.show import minima as drawing
from jensen.show.section import Page, Section
from jensen.show.summary import GOOD, OPEN, PLAIN, Grid, Row, Summary
from jensen.show.words import duration, number, percent

SHOWN = 12
ON_PAGE = 60
COLUMNS = ("kind", "J", "index", "share", "95 %", "copies", "counted")


def summary(answer: Any) -> Summary:
    """Kinds, distinct ends, and a row for each width."""
    grids = [
        Grid("distinct ends", ("width", *COLUMNS), tuple(rows(answer)[:SHOWN]), (0, 2, 3, 4), _more(answer, SHOWN))
    ]
    if len(answer.widths) > 1:
        grids.append(Grid("over widths", WIDTH_COLUMNS, tuple(map(width_row, answer.widths)), tuple(range(7))))
    foot = [("note", n) for n in notes(answer)]
    return Summary("MINIMA", tone(answer), answer.statement, tuple(facts(answer)), tuple(grids), tuple(foot))


def tone(answer: Any) -> str:
    """Good where no run failed and no minimum is bad."""
    if any(w.bad.count for w in answer.widths):
        return OPEN
    return GOOD if answer.counts["minimum"] and not any(w.failed.count for w in answer.widths) else PLAIN


def _more(answer: Any, shown: int) -> int:
    return max(len(answer.ends) - shown, 0)


def facts(answer: Any) -> list[Row]:
    """Labels and figures; those of a width only where it is the only one."""
    told = [
        ("runs", f"{answer.runs}, over {len(answer.widths)} widths" if len(answer.widths) > 1 else f"{answer.runs}")
    ]
    if len(answer.widths) == 1:
        told += _facts_of(answer.widths[0])
    resumed = f" ({answer.resumed} runs were in the journal)" if answer.resumed else ""
    return [*told, ("time", duration(answer.seconds) + resumed)]


def _facts_of(w: Any) -> list[Row]:
    told = [("counted", w.modulo), ("lowest", number(w.best, 10))]
    if w.missing is not None:
        told.append(
            ("a new end next", f"{percent(w.missing.value)} ({drawing.interval(w.missing.low, w.missing.high)})")
        )
    told += [("bad minima", bad(w)), ("failed runs", share(w.failed))]
    if w.correlation is not None:
        told.append(("train and test loss", f"correlation {drawing.estimate(w.correlation)}"))
    if w.steps is not None:
        told.append(("steps until nearly stationary", f"{number(w.steps.median, 4)} (median of {share(w.stationary)})"))
    return told


def bad(w: Any) -> str:
    """The share of bad minima, and from where a minimum is bad."""
    if not w.bad.of:
        return "no run ended in a minimum"
    known = "the optimum" if w.bad.certified else "the best known value"
    return f"{share(w.bad)}; bad is above {number(w.bad.above, 5)}, {known} is {number(w.bad.reference, 5)}"


def share(s: Any) -> str:
    """A share with its interval."""
    return f"{percent(s.share)} ({drawing.interval(*s.interval)})"


def rows(answer: Any) -> list[tuple[str, ...]]:
    """The distinct ends as texts."""
    return [
        (
            "" if e.width is None else str(e.width),
            e.kind if e.how in ("", "strict") else f"{e.kind} ({e.how})",
            number(e.value, 8) if math.isfinite(e.value) else "none",
            str(e.index),
            percent(e.share),
            drawing.interval(*e.interval),
            copies(e),
            e.counted,
        )
        for e in answer.ends
    ]


def copies(e: Any) -> str:
    """How many equivalent points there are."""
    if e.orbit is None:
        return "not known" if e.counted == "as points" else ""
    return f"{e.orbit}" if e.orbit < 10**9 else f"{e.orbit:.3g}"


WIDTH_COLUMNS = ("width", "runs", "deviation of train", "correlation with test", "bad minima", "failed", "distinct")


def width_row(w: Any) -> tuple[str, ...]:
    """One width as texts."""
    low, high = w.distinct
    return (
        str(w.width),
        str(w.runs),
        "none" if w.train is None else drawing.estimate(w.train.deviation),
        drawing.estimate(w.correlation),
        share(w.bad) if w.bad.of else "no minima",
        share(w.failed),
        str(high) if low == high else f"{low} to {high}",
    )


def notes(answer: Any) -> list[str]:
    """What else is to be said, each thing once."""
    several = len(answer.widths) > 1
    told = [f"{drawing.name_of(w.width)}: {n}" if several else n for w in answer.widths for n in w.notes]
    if several:
        told += [f"counted {m}" for m in dict.fromkeys(w.modulo for w in answer.widths)]
    return told


def section(answer: Any, page: Page) -> Section:
    """Histogram, train against test, index against cost, widths, and the distinct ends."""
    h = drawing.histogram(answer)
    figures: dict[str, Any] = {} if h is None else {"values": drawing.values_figure(h)}
    pairs, saddles = drawing.losses(answer), drawing.indices(answer)
    if pairs:
        figures["losses"] = drawing.dots_figure(pairs, "train loss", "test loss")
    if saddles:
        figures["index"] = drawing.dots_figure(saddles, "J", "share of negative directions", log=False)
    over = drawing.widths_figure(answer)
    if over is not None:
        figures["widths"] = over
    data = {
        "tone": tone(answer),
        "headline": answer.statement,
        "facts": facts(answer),
        "columns": ("width", *COLUMNS),
        "rows": rows(answer)[:ON_PAGE],
        "more": _more(answer, ON_PAGE),
        "width_columns": WIDTH_COLUMNS,
        "widths": [width_row(w) for w in answer.widths] if len(answer.widths) > 1 else [],
        "left_out": 0 if h is None else h.left_out,
        "notes": notes(answer),
    }
    return Section("minima.html", "Minima", data, figures)
