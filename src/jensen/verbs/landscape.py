"""``jensen why``, ``jensen remedies``, ``jensen spectrum`` and ``jensen classify``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jensen.verbs.shared import (
    At,
    Json,
    Of,
    Report,
    Save,
    Target,
    Within,
    box,
    draw,
    drawable,
    point,
    refusals,
    resolve,
    save_each,
    show,
    working,
    writable,
)

Along = Annotated[
    Path | None,
    typer.Option("--along", metavar="FILE.safetensors", help="The direction: tensors named like the blocks."),
]
Budget = Annotated[float, typer.Option("--budget", help="Seconds to look for proofs and counterexamples.", min=0.0)]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", help="What the bounds of the ends must reach, relative to the norm.", min=0.0),
]
Count = Annotated[int | None, typer.Option("--count", help="So many eigenvalues at each end.", min=1)]
Probes = Annotated[int | None, typer.Option("--probes", help="Random vectors for the density.", min=1)]
Density = Annotated[bool, typer.Option("--density/--no-density", help="Whether to ask for the density.")]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="FILE", help="Keep the state of a long solve; go on from there.")
]

WATCHED = ("spectrum", "classify")  # they tell how far they have come
TOLD = 4  # figures of that at a time
LOOKING = {
    "why": "splitting the curvature over the operations",
    "remedies": "looking for changes that make it convex",
    "spectrum": "looking for the ends of the spectrum and its density",
    "classify": "counting negative and zero directions",
}


def why(
    target: Target,
    at: At = None,
    along: Along = None,
    budget: Budget = 20.0,
    save: Save = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Split the curvature of a cost over its layers, and ask which mechanisms break convexity by themselves."""
    with refusals():
        writable(target, save, report)
        drawable(report)
        options = {"at": point(at), "direction": point(along)}
        answer = ask("why", resolve(target, as_json), as_json, budget=budget, **_given(options))
        show(answer, as_json)
        draw([answer], report, target, [save_each(certified(answer), save)])


def remedies(
    target: Target,
    within: Within = None,
    budget: Budget = 60.0,
    save: Save = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Look for small changes under which a cost is proved convex. Exit code 0, also where there is none."""
    with refusals():
        writable(target, save, report)
        drawable(report)
        boxes = dict(map(box, within or []))
        answer = ask("remedies", resolve(target, as_json), as_json, within=boxes or None, budget=budget)
        show(answer, as_json)
        draw([answer], report, target, [save_each(certified(answer), save)])


def spectrum(
    target: Target,
    of: Of = None,
    at: At = None,
    count: Count = None,
    tolerance: Tolerance = None,
    density: Density = True,
    probes: Probes = None,
    checkpoint: Checkpoint = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Both ends of the Hessian's spectrum with bounds, and its density with confidence bands."""
    with refusals():
        writable(target, report, checkpoint)
        drawable(report)
        options: dict[str, Any] = {"of": of or None, "at": point(at), "k": count, "tolerance": tolerance}
        options |= {"probes": probes, "checkpoint": checkpoint, "density": None if density else False}
        answer = ask("spectrum", resolve(target, as_json), as_json, **_given(options))
        show(answer, as_json)
        draw([answer], report, target)


def classify(target: Target, of: Of = None, at: At = None, report: Report = None, as_json: Json = False) -> None:
    """What kind of point the parameters are: a minimum, a saddle of which index, or not critical at all."""
    with refusals():
        writable(target, report)
        drawable(report)
        options = _given({"of": of or None, "at": point(at)})
        answer = ask("classify", resolve(target, as_json), as_json, **options)
        show(answer, as_json)
        draw([answer], report, target)


def ask(question: str, cost: Any, quiet: bool, **options: Any) -> Any:
    """The library's answer to one of these questions."""
    import jensen

    asked: Callable[..., Any] = getattr(jensen, question)
    with working(LOOKING[question], quiet=quiet) as say:
        if question in WATCHED:
            options["progress"] = lambda figures: say(f"{LOOKING[question]} ({_figures(figures)})")
        return asked(cost, **options)


def _figures(figures: dict[str, Any]) -> str:
    """How far a solve has come, in a few words."""
    from jensen.show.words import number

    told = [(k.replace("_", " "), v) for k, v in figures.items() if isinstance(v, (int, float, str))]
    return ", ".join(f"{k} {number(v, 3)}" for k, v in told[:TOLD])


def certified(answer: Any) -> list[Any]:
    """The findings of mechanisms or remedies in their order; None where one has none."""
    parts = getattr(answer, "mechanisms", None) or getattr(answer, "remedies", ())
    return [part.finding for part in parts]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given; the library has its own defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}
