"""``jensen align`` and ``jensen connect``: two points and the ways between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from jensen.errors import Misuse
from jensen.verbs.shared import Json, Report, Target, draw, drawable, refusals, resolve_points, show, working, writable

POINT = "A safetensors file of tensors named like the blocks, or a name in the target's file: a dict or a module."
First = Annotated[str, typer.Argument(metavar="A", help=POINT)]
Second = Annotated[str, typer.Argument(metavar="B", help="The other point, alike.")]
Statistics = Annotated[
    str, typer.Option("--statistics", help="Batch norm between the points: interpolated or recomputed.")
]
SaveTensors = Annotated[
    Path | None, typer.Option("--save", metavar="FILE.safetensors", help="Write the points that were found.")
]


def align(
    target: Target,
    a: First,
    b: Second,
    method: Annotated[
        str | None, typer.Option("--method", help="weights, activations or gradient; all of them without.")
    ] = None,
    restarts: Annotated[int, typer.Option("--restarts", help="Random starts of the matching.", min=0)] = 4,
    statistics: Statistics = "interpolated",
    save_to: SaveTensors = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Move one network by the cost's symmetries so that it lies well with another, and measure the barrier between them."""
    import jensen
    from jensen.ask.paths.align import METHODS

    with refusals():
        writable(target, save_to, report)
        drawable(report)
        _known(method, METHODS)
        cost, (first, last) = resolve_points(target, (a, b), as_json)
        with working("looking for the copy that lies best", quiet=as_json) as say:
            found = jensen.align(cost, first, last, method, restarts=restarts)
            say("measuring the barriers")
            copy = {**found.theta, **found.buffers}
            before = jensen.barrier(cost, first, last, statistics=statistics)
            after = jensen.barrier(cost, first, copy, statistics=statistics)
        if save_to is not None:
            _write(copy, save_to)
        if as_json:
            parts = {"align": found, "before": before, "after": after}
            typer.echo(json.dumps({name: answer.to_dict() for name, answer in parts.items()}, indent=2))
        else:
            for answer in (found, before, after):
                show(answer)
        draw([found, _drawn(before, after)], report, target)


def _drawn(before: Any, after: Any) -> Any:
    """The barrier after alignment, with the way before it."""
    return replace(after, aligned=True, before=before.values)


def connect(
    target: Target,
    a: First,
    b: Second,
    method: Annotated[
        str | None, typer.Option("--method", help="bezier or neb (a polyline); the lower of both without.")
    ] = None,
    aligned: Annotated[bool, typer.Option("--aligned", help="Align B to A first.")] = False,
    steps: Annotated[int, typer.Option("--steps", help="Steps of descent in each of three rounds.", min=1)] = 100,
    statistics: Statistics = "interpolated",
    save_to: SaveTensors = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Look for a curve of low cost between two points: an upper bound of the lowest pass between them."""
    import jensen
    from jensen.ask.paths.connect import METHODS

    with refusals():
        writable(target, save_to, report)
        drawable(report)
        _known(method, METHODS)
        cost, (first, last) = resolve_points(target, (a, b), as_json)
        with working("looking for a low curve", quiet=as_json):
            answer = jensen.connect(cost, first, last, method, aligned=aligned, steps=steps, statistics=statistics)
        if save_to is not None:
            _write({f"{k}/{n}": t for k, p in enumerate(answer.points) for n, t in p.items()}, save_to)
        show(answer, as_json)
        draw([answer], report, target)


def _known(method: str | None, methods: tuple[str, ...]) -> None:
    """Refuse a method that there is not before the user's file is run."""
    if method is not None and method not in methods:
        raise Misuse(f"--method {method!r} is not known; give one of {', '.join(methods)}, or leave it out")


def _write(values: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({n: t.detach().contiguous().clone() for n, t in values.items()}, path)
