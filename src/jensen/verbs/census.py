"""``jensen minima``: many trainings, what they end in, over widths."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from jensen.errors import Misuse
from jensen.verbs.shared import Json, Report, Target, draw, drawable, refusals, resolve, show, writable

Runs = Annotated[int, typer.Option("--runs", help="How many trainings, at each width.", min=1)]
Widths = Annotated[
    str | None, typer.Option("--widths", metavar="W,W,...", help="Of a family: TARGET is a function of a width.")
]
Engine = Annotated[str, typer.Option("--engine", help="local, processes[:N], ray[:ADDRESS] or slurm[:PARTITION].")]
Journal = Annotated[
    Path | None,
    typer.Option("--journal", metavar="FILE.jsonl", help="Keep finished units; go on from there, share it."),
]
Optimiser = Annotated[str | None, typer.Option("--optimiser", help="adam, sgd, gd or lbfgs.")]
Step = Annotated[float | None, typer.Option("--step", help="The learning rate.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Steps of the training, at most.", min=0)]
Batch = Annotated[int | None, typer.Option("--batch", help="Rows of a minibatch; all data without it.", min=1)]
Init = Annotated[str | None, typer.Option("--init", help="Where runs start: default, normal or uniform.")]
Scale = Annotated[float | None, typer.Option("--scale", help="Standard deviation or half-width of the start.")]
Polish = Annotated[str | None, typer.Option("--polish", help="minimum, saddle or none.")]
Seed = Annotated[int, typer.Option("--seed", help="Of all random numbers.")]
Bad = Annotated[float | None, typer.Option("--bad", help="A minimum so far above the best known is bad.")]
Optimum = Annotated[float | None, typer.Option("--optimum", help="A certified least value.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda.")]


def minima(
    target: Target,
    runs: Runs = 100,
    widths: Widths = None,
    engine: Engine = "local",
    journal: Journal = None,
    optimiser: Optimiser = None,
    step: Step = None,
    steps: Steps = None,
    batch: Batch = None,
    init: Init = None,
    scale: Scale = None,
    polish: Polish = None,
    seed: Seed = 0,
    bad: Bad = None,
    optimum: Optimum = None,
    device: Device = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Train many times: what each run ends in, how many different ends there are, and how that changes with width."""
    with refusals():
        writable(target, report, journal)
        drawable(report)
        given: dict[str, Any] = {"optimiser": optimiser, "step": step, "steps": steps, "batch": batch, "init": init}
        given |= {"scale": scale, "polish": polish, "seed": seed, "bad": bad, "optimum": optimum, "device": device}
        options = {name: value for name, value in given.items() if value is not None}
        if polish == "none":
            options["polish"] = None
        known(engine, options)
        asked = numbers(widths)
        cost = resolve(target, as_json, family=asked is not None)
        with counting(quiet=as_json) as told, redirect_stdout(sys.stderr):
            from jensen.ask.minima.census import minima as ask

            answer = ask(cost, runs, asked, engine=engine, journal=journal, progress=told, **options)
        show(answer, as_json)
        draw([answer], report, target)


def known(engine: str, options: dict[str, Any]) -> None:
    """Refuse where and how runs are made before the user's file is run."""
    from jensen.ask.minima.spec import spec
    from jensen.run.engines import parsed

    parsed(engine)
    spec(**{name: value for name, value in options.items() if name not in ("bad", "optimum")})


def numbers(text: str | None) -> list[int] | None:
    """``2,5,10`` as numbers; None without any.

    Raises:
        Misuse: For what is none.
    """
    if text is None:
        return None
    words = [w.strip() for w in text.split(",")]
    if not all(w.isascii() and w.isdigit() for w in words):
        raise Misuse(f"--widths {text!r}: write numbers, such as --widths 2,5,10")
    return [int(w) for w in words]


@contextmanager
def counting(quiet: bool = False) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """A line with a bar on a terminal, as units finish; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("training"), BarColumn(20), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=None, words="")

        def told(figures: dict[str, Any]) -> None:
            bar.update(task, total=figures["of"], completed=figures["units"], words=words(figures))

        yield told


def words(figures: dict[str, Any]) -> str:
    """How far a census has come, in a line."""
    from jensen.show.words import duration, number

    counts = ", ".join(f"{n} {kind}" for kind, n in figures["counts"].items())
    left = "" if figures["left"] is None else f", {duration(figures['left'])} left"
    rate = f", {number(figures['rate'], 3)} runs a second" if figures["rate"] else ""
    return f"{figures['units']} of {figures['of']} units{rate}{left}: {counts}"
