"""The answer of ``jensen.symmetries``: the group's factors, and which blocks each of them moves."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from jensen.show.section import Page, Section
from jensen.show.summary import OPEN, PLAIN, Grid, Row, Summary
from jensen.show.words import duration, listing, number

SHOWN = 24
MATRIX = (16, 60)  # at most so many factors and blocks are shown as a table of dots
NUMBERS = "; the others were tried on numbers"
DIGITS = 30  # longer orders are told in words and as a power of ten

KINDS = {
    "permutation": "permutations", "sign": "signs", "flip": "signs with shifts", "scale": "positive scales",
    "linear": "invertible matrices", "orthogonal": "orthogonal matrices", "complex": "complex numbers", "phase": "phases",
    "shear": "shears of a stream along its mean", "isospectral": "gains of one compressed spectrum",
    "shift": "shifts taken up elsewhere", "translation": "shifts that nothing feels",
}  # fmt: skip


def summary(answer: Any) -> Summary:
    """Order, dimension, whether that is all, and the factors."""
    open_ = answer.refused or answer.unread or answer.completeness.verdict.startswith("more")
    return Summary("SYMMETRIES", OPEN if open_ else PLAIN, headline(answer), tuple(rows(answer)), (grid(answer),))


def headline(answer: Any) -> str:
    """The group in a sentence."""
    continuous = f"a continuous part of dimension {answer.dimension}" if answer.dimension else "no continuous part"
    return f"{order(answer.order)} copies of a point in general position, and {continuous}"


def order(n: int) -> str:
    """An order in figures, or as a power of ten where it is long."""
    digits = int(n.bit_length() * 0.30103) + 1
    return f"{n:,}".replace(",", " ") if digits <= DIGITS else f"about 10^{digits - 1}"


def rows(answer: Any) -> list[Row]:
    """Labels and texts."""
    c = answer.completeness
    known = sum(answer.proved)
    out = [
        ("order", answer.words),
        ("dimension", str(answer.dimension)),
        (
            "proved",
            f"{known} of {len(answer.factors)} factors, by the kernel"
            + (NUMBERS if known < len(answer.factors) else ""),
        ),
        ("complete", c.verdict + (f": {c.reason}" if c.reason else "")),
    ]
    if c.rank:
        out.append(
            (
                "rank",
                f"{c.rank} of {c.parameters} parameters; singular values {number(c.gap[0], 2)} and {number(c.gap[1], 2)} at the gap",
            )
        )
    out += [("refused", r) for r in answer.refused]
    out += [("not read", r) for r in answer.unread]
    out += [("this data only", f"{m.words}: dimension {m.dimension}") for m in answer.data_dependent]
    out += [("not listed", r) for r in answer.unlisted]
    return [*out, ("time", duration(answer.seconds))]


def grid(answer: Any) -> Grid:
    """The factors; equal ones in one row."""
    table = [
        (
            KINDS[f.kind] + (" about the mean" if f.centred else ""),
            str(f.size),
            "proved" if p else "tried",
            listing(f.blocks),
        )
        for f, p in zip(answer.factors, answer.proved, strict=True)
    ]
    runs = [(row, len(list(same))) for row, same in groupby(table)]
    out = tuple((f"{n} x {kind}" if n > 1 else kind, *rest) for (kind, *rest), n in runs)
    return Grid("Factors", ("factor", "units", "by", "blocks"), out[:SHOWN], (1,), max(0, len(out) - SHOWN))


def section(answer: Any, page: Page) -> Section:
    """The factors, and a table of dots over the blocks where it fits."""
    factors = answer.factors
    small = 0 < len(factors) <= MATRIX[0] and len(answer.blocks) <= MATRIX[1]
    table = grid(answer)
    data = {
        "answer": answer,
        "headline": headline(answer),
        "facts": rows(answer),
        "grid": table,
        "names": [KINDS[f.kind] for f in factors] if small else [],
        "matrix": [(n, [n in f.blocks for f in factors]) for n in answer.blocks] if small else [],
    }
    return Section("symmetry.html", "Symmetries", data)
