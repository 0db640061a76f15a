"""The group of a cost, as an alignment needs it: read once for each cost, on a few rows of its data.

A move of the group leaves the cost alone whatever its data, so that a few rows tell as much as all. An alignment checks the
move that it gives on the whole cost, and reads the group anew from all data where that fails (a model that treats its rows
unlike).
"""

from __future__ import annotations

from jensen.ask.symmetry.answer import Symmetries
from jensen.ask.symmetry.find import symmetries
from jensen.cost import Cost
from jensen.errors import Misuse

ROWS = 8


def quick(cost: Cost) -> Symmetries:
    """The group, read on a few rows where the data can be cut; kept with the cost while its modes and buffers stay."""
    key = ("group", cost.modes())
    if key not in cost._programs:
        cost._programs[key] = _few(cost) or full(cost)
    return cost._programs[key]


def full(cost: Cost) -> Symmetries:
    """The group, read on all data."""
    return symmetries(cost, completeness=False, data=False)


def _few(cost: Cost) -> Symmetries | None:
    try:
        small = cost.few(ROWS)
        return None if small is None else full(small)
    except Misuse:  # of so few rows there is no cost: no target counts, say
        return None
