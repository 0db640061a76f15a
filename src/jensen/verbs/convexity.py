"""``jensen check``, ``jensen blocks`` and ``jensen verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jensen.verbs.shared import (
    EXIT,
    Json,
    Of,
    Report,
    Target,
    Within,
    box,
    draw,
    drawable,
    refusals,
    resolve,
    save,
    show,
    working,
    writable,
)

Budget = Annotated[
    float,
    typer.Option("--budget", help="Seconds to look for counterexamples (three times as long for the blocks).", min=0.0),
]
Ideal = Annotated[bool, typer.Option("--ideal", help="Read torch's thresholds and clamps as what they stand for.")]


def check(
    target: Target,
    of: Of = None,
    claim: Annotated[
        str, typer.Option("--claim", help="convex, concave, affine, quasiconvex, log-concave, ...")
    ] = "convex",
    within: Within = None,
    ideal: Ideal = False,
    budget: Budget = 10.0,
    save_to: Annotated[
        Path | None, typer.Option("--save", metavar="FILE.jensen", help="Write the certificate.")
    ] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Prove or refute that a cost is convex. Exit code: 0 proved, 1 refuted, 3 not known, 2 misuse."""
    with refusals():
        boxes = dict(map(box, within or []))
        writable(target, save_to, report)
        drawable(report)
        known(claim, budget)
        cost = resolve(target, as_json)
        finding = ask(cost, as_json, of=of or None, claim=claim, within=boxes or None, ideal=ideal, budget=budget)
        show(finding, as_json)
        saved = save_to is not None and save(finding, save_to)
        joint = not of and claim == "convex" and not boxes and not ideal and len(finding.blocks) > 1
        answers: list[Any] = [finding]
        if finding.verdict == "REFUTED" and joint and (report is not None or not as_json):
            answers.append(sets(cost, as_json, 3 * budget))
            if not as_json:
                show(answers[1])
        draw(answers, report, target, [save_to] if saved else [])
    raise typer.Exit(EXIT[str(finding.verdict)])


def blocks(target: Target, budget: Budget = 60.0, report: Report = None, as_json: Json = False) -> None:
    """Find the largest sets of blocks in which a cost is convex, and what stands against more."""
    with refusals():
        writable(target, report)
        drawable(report)
        known("convex", budget)
        answer = sets(resolve(target, as_json), as_json, budget)
        show(answer, as_json)
        draw([answer], report, target)


def verify(
    file: Annotated[Path, typer.Argument(help="A certificate, as written by check --save.")],
    of_cost: Annotated[
        str | None,
        typer.Option("--cost", "--data", metavar="TARGET", help="Its data, and check that it is about this cost."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a certificate with the kernel alone. Exit code: 0 accepted, 1 rejected, 2 misuse."""
    from jensen.kernel.errors import Rejected

    with refusals():
        cost = None if of_cost is None else resolve(of_cost, as_json)
        from jensen.certificate import verify as accept

        try:
            with working("checking the certificate", quiet=as_json):
                accepted = accept(file, cost)
        except Rejected as e:
            _verdict(as_json, False, {"node": e.node, "rule": e.rule, "why": e.why}, f"rejected: {e}")
            raise typer.Exit(1) from None
        fields = {"kind": accepted.kind, "blocks": list(accepted.blocks), "statement": accepted.statement}
        _verdict(as_json, True, fields, f"accepted: {accepted.statement}")


def known(claim: str, budget: float) -> None:
    """Refuse a claim or a budget that nothing can be asked with, before the user's file is run."""
    from jensen.ask.convexity import possible

    possible(claim, budget)


def ask(cost: Any, quiet: bool, **options: Any) -> Any:
    """The finding of ``jensen.check``."""
    from jensen.ask.convexity import check

    with working("looking for a proof or a counterexample", quiet=quiet):
        return check(cost, **options)


def sets(cost: Any, quiet: bool, budget: float) -> Any:
    """The answer of ``jensen.blocks``."""
    from jensen.ask.blocks import blocks

    with working("looking for the sets of blocks in which it is convex", quiet=quiet):
        return blocks(cost, budget=budget)


def _verdict(as_json: bool, accepted: bool, fields: dict[str, Any], words: str) -> None:
    typer.echo(json.dumps({"accepted": accepted, **fields}, indent=2) if as_json else words)
