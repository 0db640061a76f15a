"""``jensen report``: all questions about one cost, on one page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from jensen.errors import Misuse
from jensen.show.unanswered import Unanswered
from jensen.verbs import convexity, landscape
from jensen.verbs.shared import Json, Target, draw, drawable, refusals, resolve, save, show, writable

QUESTIONS = ("check", "blocks", "why", "remedies", "spectrum", "classify")
BROKEN = 3
LONGER = {"blocks": 3, "why": 3, "remedies": 6}  # the questions with many parts get so much more than the first
NEEDLESS = ("blocks", "why", "remedies")  # where the cost is convex in everything at once

Skip = Annotated[
    list[str] | None, typer.Option("--without", metavar="QUESTION", help=f"Leave out one of {', '.join(QUESTIONS)}.")
]
File = Annotated[Path, typer.Option("--report", metavar="FILE.html", help="The page.")]
Certificates = Annotated[
    Path | None, typer.Option("--save", metavar="FILE.jensen", help="Write the certificate of the first answer.")
]
Journal = Annotated[
    Path | None, typer.Option("--journal", metavar="FILE.jsonl", help="Add the training that jensen.watch recorded.")
]
Budget = Annotated[
    float,
    typer.Option(
        "--budget", help="Seconds for the first question (three to six times as long for the others).", min=0.0
    ),
]


def report(
    target: Target,
    path: File = Path("report.html"),
    save_to: Certificates = None,
    journal: Journal = None,
    without: Skip = None,
    budget: Budget = 10.0,
    as_json: Json = False,
) -> None:
    """Ask everything about a cost and write one page. Exit code: 0, 3 where a question broke down, 2 misuse."""
    failed: list[Unanswered] = []
    with refusals():
        writable(target, path, save_to)
        drawable(path)
        questions = _questions(without or [])
        convexity.known("convex", budget)
        watched = _watched(journal)
        cost = resolve(target, as_json)
        answers: dict[str, Any] = {}
        for question, answer in chain(_answers(cost, questions, as_json, budget), watched):
            answers[question] = answer
            if isinstance(answer, Unanswered):
                failed.append(answer)
                typer.echo(f"jensen: {question}: {answer.refusal}", err=True)
            elif not as_json:
                show(answer)
        if len(failed) == len(answers):
            raise Misuse("none of these questions was answered")
        if as_json:
            typer.echo(json.dumps({q: a.to_dict() for q, a in answers.items()}, indent=2))
        first = answers.get("check")
        saved = save_to is not None and getattr(first, "claim", None) is not None and save(first, save_to)
        draw([*answers.values()], path, target, [save_to if saved and a is first else None for a in answers.values()])
        if not as_json:
            typer.echo(f"{path} holds all of this.")
    if any(a.broken for a in failed):
        raise typer.Exit(BROKEN)


def _watched(journal: Path | None) -> list[tuple[str, Any]]:
    """The last training in a journal, as an answer; nothing without one."""
    if journal is None:
        return []
    from jensen.ask.curvature.trajectory import Trajectory

    if not journal.is_file():
        raise Misuse(f"there is no journal {str(journal)!r}; jensen.watch(..., journal=...) writes one")
    return [("watch", Trajectory.read(journal))]


def _questions(without: Sequence[str]) -> list[str]:
    for name in without:
        if name not in QUESTIONS:
            raise Misuse(f"--without {name!r} is no question; leave out one of {', '.join(QUESTIONS)}")
    left = [q for q in QUESTIONS if q not in without]
    if not left:
        raise Misuse("--without leaves no question; leave fewer out")
    return left


def _answers(cost: Any, questions: Sequence[str], quiet: bool, budget: float) -> Iterator[tuple[str, Any]]:
    """One answer after the other; a question that is refused is an answer that says so."""
    known: dict[str, Any] = {}
    asking: dict[str, Callable[[], Any]] = {
        "check": lambda: convexity.ask(cost, quiet, budget=budget),
        "blocks": lambda: convexity.sets(cost, quiet, LONGER["blocks"] * budget),
        "why": lambda: landscape.ask("why", cost, quiet, budget=LONGER["why"] * budget, **known),
        "remedies": lambda: landscape.ask("remedies", cost, quiet, budget=LONGER["remedies"] * budget, **known),
        "spectrum": lambda: landscape.ask("spectrum", cost, quiet),
        "classify": lambda: landscape.ask("classify", cost, quiet),
    }
    convex = False
    for question in questions:
        if convex and question in NEEDLESS:
            continue
        answer = _answer(question, asking[question])
        if question == "check" and not isinstance(answer, Unanswered):
            known["finding"] = answer
            convex = answer.verdict == "PROVED"
        yield question, answer


def _answer(question: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Misuse as e:
        return Unanswered(question, " ".join(str(e).split()))
    except Exception as e:  # one question that breaks down must not cost the answers to the others
        return Unanswered(question, f"it broke down: {type(e).__name__}: {' '.join(str(e).split())}", broken=True)
