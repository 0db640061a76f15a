"""The answer of ``jensen.blocks``: maximal sets, conflicts, and what is undecided."""

from __future__ import annotations

from typing import Any

from jensen.show.section import Page, Section
from jensen.show.summary import PLAIN, Row, Summary, listed
from jensen.show.words import duration, names, place

SHOWN = 6
MATRIX = (14, 60)  # at most so many sets and blocks are shown as a table of dots


def summary(blocks: Any) -> Summary:
    """Sets in which J is convex, and what stands against more."""
    return Summary("WHERE J IS CONVEX", PLAIN, "", tuple(rows(blocks)))


def rows(blocks: Any, shown: int = SHOWN) -> list[Row]:
    """Labels and texts; at most ``shown`` of each kind."""
    rows: list[Row] = []
    rows += listed("convex in", [names(s) for s in blocks.maximal], shown)
    if not blocks.maximal:
        rows.append(("convex in", "no set of blocks that jensen could prove"))
    rows += listed("not in", [f"{names(c.blocks)}: {reason(c)}" for c in blocks.conflicts], shown)
    rows += listed("undecided", [names(s) for s in blocks.unknown], shown)
    if not blocks.complete:
        rows.append(("", "the search stopped early: there may be more maximal sets"))
    rows.append(("time", duration(blocks.seconds)))
    return rows


def reason(conflict: Any) -> str:
    """Why a conflict is one, or at least where."""
    return conflict.why or f"lost at {place(conflict.node, conflict.module)}"


def section(answer: Any, page: Page) -> Section:
    """The sets as a table of dots where it fits, and the conflicts."""
    asked = [b for item in page.answers for b in getattr(item, "blocks", ()) if isinstance(b, str)]
    sets = [*answer.maximal, *(c.blocks for c in answer.conflicts), *answer.unknown]
    used = list(dict.fromkeys([*getattr(answer, "names", ()), *(b for s in sets for b in s)]))
    ordered = [b for b in dict.fromkeys(asked) if b in used]
    ordered += [b for b in used if b not in ordered]
    small = 0 < len(answer.maximal) <= MATRIX[0] and len(ordered) <= MATRIX[1]
    data = {
        "answer": answer,
        "matrix": [(n, [n in s for s in answer.maximal]) for n in ordered] if small else [],
        "conflicts": [(c.blocks, c.node, c.module, reason(c)) for c in answer.conflicts],
        "time": duration(answer.seconds),
    }
    return Section("blocks.html", "Where it is convex", data)
