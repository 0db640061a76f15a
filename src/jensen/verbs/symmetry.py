"""``jensen symmetry``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from jensen.verbs.shared import Json, Report, Target, draw, drawable, refusals, resolve, show, working, writable

Penalty = Annotated[
    bool, typer.Option("--penalty/--no-penalty", help="Whether the penalty counts, or the function alone.")
]


def symmetry(
    target: Target,
    penalty: Penalty = True,
    save_to: Annotated[
        Path | None,
        typer.Option("--save", metavar="FILE.jensen", help="Write a certificate of the factors that are proved."),
    ] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Which moves of the parameters leave a cost unchanged: the group, its order and its dimension."""
    with refusals():
        writable(target, save_to, report)
        drawable(report)
        cost = resolve(target, as_json)
        import jensen

        with working("reading the symmetries off the program", quiet=as_json):
            answer = jensen.symmetries(cost, penalty=penalty)
        sys.set_int_max_str_digits(0)  # an order may have more digits than Python prints by default
        show(answer, as_json)
        if save_to is not None:
            answer.save(save_to)
        draw([answer], report, target, [] if save_to is None else [save_to])
