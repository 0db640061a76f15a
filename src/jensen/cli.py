"""The command ``jensen``. Verbs only: what they do lives in the library."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jensen import __version__
from jensen.errors import Misuse

EXIT = {"PROVED": 0, "REFUTED": 1, "MEASURED": 3, "UNKNOWN": 3}
MISUSE = 2

app = typer.Typer(
    help="Is the cost of a neural network convex? Proofs and counterexamples that anyone can check again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Target = Annotated[str, typer.Argument(help="file.py:name or package.module:name; the name defaults to cost.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, and nothing else.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write an HTML report.")]
Budget = Annotated[
    float,
    typer.Option("--budget", help="Seconds to look for counterexamples (three times as long for the blocks).", min=0.0),
]
Ideal = Annotated[bool, typer.Option("--ideal", help="Read torch's thresholds and clamps as what they stand for.")]


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Is the cost of a neural network convex? Proofs and counterexamples that anyone can check again."""
    if version:
        typer.echo(f"jensen {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def check(
    target: Target,
    of: Annotated[list[str] | None, typer.Option("--of", help="Blocks that vary: a pattern. Repeatable.")] = None,
    claim: Annotated[
        str, typer.Option("--claim", help="convex, concave, affine, quasiconvex, log-concave, ...")
    ] = "convex",
    within: Annotated[
        list[str] | None, typer.Option("--within", metavar="NAME=LO:HI", help="A box for a block. Repeatable.")
    ] = None,
    ideal: Ideal = False,
    budget: Budget = 10.0,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE.jensen", help="Write the certificate.")] = None,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Prove or refute that a cost is convex. Exit code: 0 proved, 1 refuted, 3 not known, 2 misuse."""
    from jensen.finding import known_kind

    with refusals():
        known_kind(claim)
        boxes = dict(_box(text) for text in within or [])
        _writable(save, report)
        _drawable(report)
        with working("reading the cost", quiet=as_json) as say:
            cost = _resolve(target)
            from jensen.ask.convexity import check as ask

            say("looking for a proof or a counterexample")
            finding = ask(cost, of=of or None, claim=claim, within=boxes or None, ideal=ideal, budget=budget)
        _print(finding, as_json)
        if save is not None:
            _save(finding, save)
        joint = not of and claim == "convex" and not boxes and not ideal and len(finding.blocks) > 1
        answers: list[Any] = [finding]
        if finding.verdict == "REFUTED" and joint and (report is not None or not as_json):
            answers.append(_blocks(cost, as_json, 3 * budget))
            _print(answers[1], quiet=as_json)
        if report is not None:
            _report(answers, report, target, save)
    raise typer.Exit(EXIT[finding.verdict.value])


@app.command()
def blocks(target: Target, budget: Budget = 60.0, report: Report = None, as_json: Json = False) -> None:
    """Find the largest sets of blocks in which a cost is convex, and what stands against more."""
    with refusals():
        _writable(report)
        _drawable(report)
        with working("reading the cost", quiet=as_json):
            cost = _resolve(target)
        answer = _blocks(cost, as_json, budget)
        _print(answer, as_json)
        if report is not None:
            _report([answer], report, target, None)


@app.command()
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
        cost = None if of_cost is None else _resolve(of_cost)
        from jensen.certificate import verify as accept

        try:
            with working("checking the certificate", quiet=as_json):
                accepted = accept(file, cost)
        except Rejected as e:
            _verdict(as_json, False, {"node": e.node, "rule": e.rule, "why": e.why}, f"rejected: {e}")
            raise typer.Exit(1) from None
        fields = {"kind": accepted.kind, "blocks": list(accepted.blocks), "statement": accepted.statement}
        _verdict(as_json, True, fields, f"accepted: {accepted.statement}")


@contextmanager
def refusals() -> Iterator[None]:
    """Misuse and unwritable files as one sentence on stderr, exit code 2."""
    try:
        yield
    except Misuse as e:
        _refuse(str(e))
    except BrokenPipeError:
        # The reader of our output went away: point stdout elsewhere, so that Python does not complain when it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(MISUSE) from None
    except OSError as e:
        _refuse(f"{e.filename or 'a file'}: {e.strerror or e}")


def _refuse(sentence: str) -> None:
    typer.echo(f"jensen: {' '.join(sentence.split())}", err=True)
    raise typer.Exit(MISUSE) from None


@contextmanager
def working(text: str, quiet: bool = False) -> Iterator[Callable[[str], Any]]:
    """A spinner on a terminal; nothing in a pipe."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status(f"{text} ...") as status:
        yield lambda words: status.update(f"{words} ...")


def _resolve(target: str) -> Any:
    from jensen.target import resolve

    with redirect_stdout(sys.stderr):  # what the user's file prints is no part of our answer
        return resolve(target)


def _blocks(cost: Any, quiet: bool, budget: float) -> Any:
    from jensen.ask.blocks import blocks as ask

    with working("looking for the sets of blocks in which it is convex", quiet=quiet):
        return ask(cost, budget=budget)


def _print(answer: Any, as_json: bool = False, quiet: bool = False) -> None:
    if quiet:
        return
    if as_json:
        typer.echo(json.dumps(answer.to_dict(), indent=2))
        return
    from jensen.show import terminal

    console = Console()
    is_finding = hasattr(answer, "verdict")
    if console.is_terminal:
        console.print(terminal.finding_panel(answer) if is_finding else terminal.blocks_panel(answer))
    else:
        for line in terminal.finding_lines(answer) if is_finding else terminal.blocks_lines(answer):
            typer.echo(line)


def _verdict(as_json: bool, accepted: bool, fields: dict[str, Any], words: str) -> None:
    typer.echo(json.dumps({"accepted": accepted, **fields}, indent=2) if as_json else words)


def _save(finding: Any, path: Path) -> None:
    if finding.certificate is None:
        typer.echo(f"jensen: {finding.verdict} has no certificate: {path} is not written", err=True)
    else:
        finding.save(path)


def _report(answers: list[Any], path: Path, target: str, saved: Path | None) -> None:
    from jensen.show.report import report as write

    has_file = saved is not None and getattr(answers[0], "certificate", None) is not None
    write(answers, path, certificates=[saved] if has_file else [], title=target)


def _box(text: str) -> tuple[str, tuple[float, float]]:
    """``name=lo:hi`` as a name and two numbers; an end that is left out is free."""
    name, equals, bounds = text.rpartition("=")
    low, colon, high = bounds.partition(":")
    try:
        if equals and colon and name:
            return name, (float(low or "-inf"), float(high or "inf"))
    except ValueError:
        pass
    raise Misuse(f"--within {text!r} is not a box; write NAME=LO:HI, for example --within '0.weight=-1:1' or 'x=0:'")


def _writable(*paths: Path | None) -> None:
    """Refuse what cannot be written before any work is done."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise Misuse(f"{path} is a folder; name a file")
        if not path.parent.is_dir():
            raise Misuse(f"there is no folder {str(path.parent)!r} for {path.name}; make it first")
        if not os.access(path.parent, os.W_OK):
            raise Misuse(f"{path} cannot be written: no permission in {str(path.parent)!r}")


def _drawable(report: Path | None) -> None:
    """Refuse a report that cannot be drawn before any work is done."""
    for name in () if report is None else ("plotly", "jinja2"):
        if find_spec(name) is None:
            raise Misuse(f"--report needs {name}, which is not installed; run: pip install 'jensen[report]'")


if __name__ == "__main__":
    app()
