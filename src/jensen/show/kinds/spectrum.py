"""The answer of ``jensen.spectrum``: the ends with their bounds, the density with its band, the figures with errors."""

from __future__ import annotations

import math
from typing import Any

from jensen.show.density import DECADES, cells, curve, figure, rows
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
    return end.value + end.bound < 0


def headline(answer: Any) -> str:
    """Where the spectrum ends, in a sentence."""
    if not answer.lowest or not answer.highest:
        return "The spectrum of the Hessian."
    low, high = answer.lowest[0].value, answer.highest[0].value
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
    found += [("zero is within", number(answer.zero_width, 3))] if answer.zero is not None else []
    return [*found, *_method(answer), ("products", number(answer.products)), ("time", duration(answer.seconds))]


def _method(answer: Any) -> list[Row]:
    """How it was computed, what was not reached, and what may have been missed."""
    rows = [("method", answer.method)]
    short = [part for part, reached in answer.complete.items() if not reached]
    if short:
        rows.append(("not reached", f"{', '.join(short)}: the bounds and bands told are those that were reached"))
    if answer.failure:
        rows.append(
            ("missed", f"an eigenvalue beyond these ends, with probability at most {number(answer.failure, 2)}")
        )
    return rows + ([("data", answer.subset.statement)] if answer.subset is not None else [])


def estimate(value: Any, form: Any = number) -> str:
    """A figure with its interval."""
    middle, low, high = form(value.value), form(value.low), form(value.high)
    if value.error == 0:
        return f"{middle} (exact up to rounding)"
    return middle if low == high else f"{middle} ({low} to {high})"


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
        "unresolved": answer.density is not None and not answer.density.resolved,
        "lowest": rows(answer.lowest),
        "highest": rows(answer.highest),
    }
    return Section("spectrum.html", "The spectrum", data, figures)
