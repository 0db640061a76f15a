"""What the verbs share: options, refusals, progress, printing, files. They are checked before any work is done."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from jensen.errors import Misuse

EXIT = {"PROVED": 0, "REFUTED": 1, "MEASURED": 3, "UNKNOWN": 3}
MISUSE = 2

Target = Annotated[
    str, typer.Argument(help="file.py:name, package.module:name or gallery:name; the name defaults to cost.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON, and nothing else.")]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write an HTML report.")]
Of = Annotated[list[str] | None, typer.Option("--of", help="Blocks that vary: a pattern. Repeatable.")]
Within = Annotated[
    list[str] | None, typer.Option("--within", metavar="NAME=LO:HI", help="A box for a block. Repeatable.")
]
At = Annotated[
    Path | None, typer.Option("--at", metavar="FILE.safetensors", help="The point: tensors named like the blocks.")
]
Save = Annotated[
    Path | None, typer.Option("--save", metavar="FILE.jensen", help="Write the certificates: FILE-1.jensen, ...")
]


@contextmanager
def refusals() -> Iterator[None]:
    """Misuse and unwritable files as one sentence on stderr, exit code 2."""
    try:
        yield
    except Misuse as e:
        refuse(str(e))
    except BrokenPipeError:
        # The reader of our output went away: point stdout elsewhere, so that Python does not complain when it closes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(MISUSE) from None
    except OSError as e:
        refuse(f"{e.filename or 'a file'}: {e.strerror or e}")


def refuse(sentence: str) -> None:
    """One sentence on stderr, and exit code 2."""
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


def resolve(target: str, quiet: bool = False, family: bool = False) -> Any:
    """The cost (or family) that a target names; what the user's file prints is no part of our answer."""
    with working("reading the cost", quiet=quiet), redirect_stdout(sys.stderr):
        from jensen import target as named

        return named.family(target) if family else named.resolve(target)


def resolve_points(target: str, names: Sequence[str], quiet: bool = False) -> tuple[Any, list[Any]]:
    """The cost that a target names, and points: safetensors files, or dicts and modules named in the target's file."""
    files = [name for name in names if name.endswith(".safetensors") or Path(name).is_file()]
    loaded = {name: point(Path(name)) for name in files}
    with working("reading the cost", quiet=quiet), redirect_stdout(sys.stderr):
        from jensen.target import resolve_with

        cost, found = resolve_with(target, [name for name in names if name not in loaded])
    return cost, [loaded[name] if name in loaded else found[name] for name in names]


def show(answer: Any, as_json: bool = False) -> None:
    """An answer as JSON, as a box on a terminal, or as lines in a pipe."""
    if as_json:
        typer.echo(json.dumps(answer.to_dict(), indent=2))
        return
    from jensen.show import terminal

    console = Console()
    if console.is_terminal:
        console.print(terminal.panel(answer))
    else:
        for line in terminal.lines(answer):
            typer.echo(line)


def draw(answers: Sequence[Any], path: Path | None, target: str, files: Sequence[Any] = ()) -> None:
    """The answers as a page, where one is asked for."""
    if path is None:
        return
    from jensen.show.report import report as write

    write(answers, path, certificates=files, title=target)


def save(finding: Any, path: Path) -> bool:
    """Write a finding's certificate; say so where it has none."""
    if finding.certificate is None:
        typer.echo(f"jensen: {finding.verdict} has no certificate: {path} is not written", err=True)
        return False
    finding.save(path)
    return True


def save_each(findings: Sequence[Any], path: Path | None) -> list[Path]:
    """Write the certificates of several findings beside ``path``, each under its number; those that have one.

    Args:
        findings: Findings, or None, in the order of their numbers.
        path: ``x.jensen`` gives ``x-1.jensen``, ``x-2.jensen``, ...
    """
    written = []
    for k, finding in enumerate(findings if path is not None else (), start=1):
        if path is not None and getattr(finding, "certificate", None) is not None:
            file = path.with_name(f"{path.stem}-{k}{path.suffix}")
            finding.save(file)
            written.append(file)
    return written


def point(path: Path | None) -> Any:
    """Tensors of a safetensors file, by block; None without one."""
    if path is None:
        return None
    if not path.is_file():
        raise Misuse(f"there is no file {str(path)!r}; give tensors named like the blocks, as safetensors saves them")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as e:
        raise Misuse(f"{path} is no safetensors file ({e}); write one with safetensors.torch.save_file") from e


def box(text: str) -> tuple[str, tuple[float, float]]:
    """``name=lo:hi`` as a name and two numbers; an end that is left out is free."""
    name, equals, bounds = text.rpartition("=")
    low, colon, high = bounds.partition(":")
    try:
        ends = (float(low or "-inf"), float(high or "inf")) if equals and colon and name else None
    except ValueError:
        ends = None
    if ends is None:
        raise Misuse(
            f"--within {text!r} is not a box; write NAME=LO:HI, for example --within '0.weight=-1:1' or 'x=0:'"
        )
    if not ends[0] <= ends[1]:
        raise Misuse(f"--within {text!r} is empty: the lower bound must not exceed the upper one")
    return name, ends


def writable(target: str, *paths: Path | None) -> None:
    """Refuse what cannot be written, or must not be, before any work is done."""
    given = [path for path in paths if path is not None]
    for k, path in enumerate(given):
        if path.is_dir():
            raise Misuse(f"{path} is a folder; name a file")
        if not path.parent.is_dir():
            raise Misuse(f"there is no folder {str(path.parent)!r} for {path.name}; make it first")
        if not os.access(path.parent, os.W_OK):
            raise Misuse(f"{path} cannot be written: no permission in {str(path.parent)!r}")
        if path.suffix == ".py" or str(path) == target:
            raise Misuse(f"{path} would overwrite Python source; name a .html file for the report, .jensen for --save")
        if path in given[:k]:
            raise Misuse(f"{path} is named twice; the certificate and the report need a file each")


def drawable(report: Path | None) -> None:
    """Refuse a report that cannot be drawn before any work is done."""
    if report is not None and report.suffix.lower() not in (".html", ".htm"):
        raise Misuse(f"--report writes a page of HTML, and {report} is not named like one; name it {report.stem}.html")
    for name in () if report is None else ("plotly", "jinja2"):
        if find_spec(name) is None:
            raise Misuse(f"--report needs {name}, which is not installed; run: pip install 'jensen[report]'")
