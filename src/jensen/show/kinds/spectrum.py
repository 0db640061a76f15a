"""The answer of ``jensen.spectrum``: the ends with their bounds, the density with its band, the figures with errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jensen.show.density import DECADES, cells, curve, field, figure, rows
from jensen.show.section import Page, Section
from jensen.show.summary import BAD, PLAIN, Grid, Row, Summary
from jensen.show.words import duration, number, percent

SHOWN = 5
BARS = " ▁▂▃▄▅▆▇█"
WIDTH = 48


def summary(answer: Any) -> Summary:
    """Both ends, the shares of negative and zero directions, trace and norm."""
    grids = tuple(
        Grid(title, ("eigenvalue", "bound"), tuple(rows(ends)[:SHOWN]), (0, 1), max(len(ends) - SHOWN, 0))
        for title, ends in (("lowest", answer.lowest), ("highest", answer.highest))
        if ends
    )
    return Summary("SPECTRUM", _tone(answer), headline(answer), tuple(facts(answer)), grids)


def _tone(answer: Any) -> str:
    return BAD if answer.lowest and _below_zero(answer.lowest[0]) else PLAIN


def _below_zero(end: Any) -> bool:
    return float(field(end, "value")) + float(field(end, "bound")) < 0


def headline(answer: Any) -> str:
    """Where the spectrum ends, in a sentence."""
    if not answer.lowest or not answer.highest:
        return "The spectrum of the Hessian."
    low, high = (float(field(e, "value")) for e in (answer.lowest[0], answer.highest[0]))
    between = f"The eigenvalues found of the Hessian reach from {number(low, 6)} to {number(high, 6)}"
    if _below_zero(answer.lowest[0]):
        return f"{between}: J bends down around this point, as floating point measures it."
    return f"{between}."


def facts(answer: Any) -> list[Row]:
    """Labels and figures."""
    named = [("negative directions", answer.negative, percent), ("zero directions", answer.zero, percent)]
    named += [("trace", answer.trace, number), ("squared norm", answer.squared_norm, number)]
    found = [(label, estimate(value, form)) for label, value, form in named if value is not None]
    strip = spark(answer)
    if strip:
        found.insert(0, ("density", strip))
    found += [("zero is within", number(width, 3))] if (width := field(answer, "zero_width")) and answer.zero else []
    return [*found, *_method(answer), ("products", number(answer.products)), ("time", duration(answer.seconds))]


def _method(answer: Any) -> list[Row]:
    """How it was computed, what was not reached, and what may have been missed."""
    rows = [("method", str(method))] if (method := field(answer, "method")) else []
    short = [part for part, reached in (field(answer, "complete") or {}).items() if not reached]
    rows += (
        [("not reached", f"{', '.join(short)}: the bounds and bands told are those that were reached")] if short else []
    )
    missed = field(answer, "failure")
    if missed:
        rows.append(("missed", f"an eigenvalue beyond these ends, with probability at most {number(float(missed), 2)}"))
    subset = field(answer, "subset")
    return rows + ([("data", subset.statement)] if subset is not None else [])


def estimate(value: Any, form: Any = number) -> str:
    """A figure with its standard error or its interval."""
    low, high = field(value, "low", "lower"), field(value, "high", "upper")
    error = field(value, "error", "standard_error", "bound")
    middle = field(value, "value", "estimate", "share", default=value)
    if isinstance(middle, (tuple, list)) and len(middle) == 2:
        return f"{form(middle[0])} to {form(middle[1])}"
    if isinstance(middle, Mapping) or not isinstance(middle, (int, float)):
        return str(middle)
    if error == 0 or (low is not None and form(low) == form(high)):
        return f"{form(middle)} (exact up to rounding)" if error == 0 else form(middle)
    if low is not None and high is not None:
        return f"{form(middle)} ({form(low)} to {form(high)})"
    return f"{form(middle)} ± {form(error)}" if error is not None else form(middle)


def spark(answer: Any) -> str:
    """The density as a row of bars of logarithmic height over a symmetric logarithmic axis, a line at zero."""
    c = curve(answer)
    if c is None or not c.x or max(c.y) <= 0:
        return ""
    values, zero = cells(c, WIDTH)
    top = max(values)
    heights = [max(1 + math.log10(v / top) / DECADES, 0.0) if v > 0 else 0.0 for v in values]
    bars = [BARS[round(h * (len(BARS) - 1))] for h in heights]
    return "".join([*bars[:zero], "│", *bars[zero:]])


def section(answer: Any, page: Page) -> Section:
    """The density twice (symmetric logarithmic and linear axis), the ends, the figures."""
    c = curve(answer)
    figures = {"density": figure(c), "linear": figure(c, linear=True)} if c else {}
    data = {
        "answer": answer,
        "tone": _tone(answer),
        "headline": headline(answer),
        "facts": [f for f in facts(answer) if f[0] != "density"],
        "band": c.band if c and c.low else "",
        "width": number(c.width, 2) if c else "",
        "unresolved": field(answer.density, "resolved", default=True) is False,
        "lowest": rows(answer.lowest),
        "highest": rows(answer.highest),
    }
    return Section("spectrum.html", "The spectrum", data, figures)
