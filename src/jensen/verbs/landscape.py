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
    float, typer.Option("--tolerance", help="What the bounds of the ends must reach, relative to the norm.", min=0.0)
]

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
    tolerance: Tolerance = 1e-6,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Both ends of the Hessian's spectrum with bounds, and its density with confidence bands."""
    with refusals():
        writable(target, report)
        drawable(report)
        options = _given({"of": of or None, "at": point(at)})
        answer = ask("spectrum", resolve(target, as_json), as_json, tolerance=tolerance, **options)
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
    with working(LOOKING[question], quiet=quiet):
        return asked(cost, **options)


def certified(answer: Any) -> list[Any]:
    """The findings of mechanisms or remedies in their order; None where one has none."""
    parts = getattr(answer, "mechanisms", None) or getattr(answer, "remedies", ())
    return [part.finding for part in parts]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given; the library has its own defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}
