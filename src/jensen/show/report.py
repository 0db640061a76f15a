"""One self-contained HTML file from answers: no network, no scripts from elsewhere. It computes nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from jensen.errors import Misuse
from jensen.show.kinds import kind, section
from jensen.show.section import Page, Section
from jensen.show.words import minus, signed

Files = str | PathLike[str] | Sequence[str | PathLike[str]] | None


def report(findings: Any, path: str | PathLike[str], certificates: Sequence[Files] = (), title: str = "") -> None:
    """Write answers as one HTML file that can be read anywhere, offline.

    Args:
        findings: One answer, or several of any kind: those of ``jensen.check``, ``blocks``, ``why``, ``remedies``,
            ``spectrum``, ``classify``, ``symmetries``, ``minima``, ``watch``, ``equivalent``, ``barrier``, ``barriers``,
            ``align`` and ``connect``.
        path: The file to write; it appears whole or not at all.
        certificates: For each answer, the saved certificate file (or files) that the report should name, or None.
        title: What the report is about, for example the file that was asked about.

    Raises:
        Misuse: For something that is no answer, or where plotly or jinja2 are not installed.
        OSError: Where the file cannot be written; nothing is left behind.
    """
    answers = [findings] if kind(findings) is not None else _several(findings)
    if not answers:
        raise Misuse("a report needs at least one finding; give the answer of jensen.check or jensen.blocks")
    files = [*map(_paths, certificates), *[()] * (len(answers) - len(certificates))]
    pages = [Page(f"f{i}", answers, saved) for i, saved in enumerate(files)]
    sections = [section(answer, page) for answer, page in zip(answers, pages, strict=False)]
    _write(Path(path), _render(sections, title))


def _several(findings: Any) -> list[Any]:
    try:
        return list(findings)
    except TypeError:
        return [findings]  # no answer: refused by its type's name


def _paths(files: Files) -> tuple[Path, ...]:
    if files is None:
        return ()
    return (Path(files),) if isinstance(files, (str, PathLike)) else tuple(map(Path, files))


def _render(sections: Sequence[Section], title: str) -> str:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from plotly.offline import get_plotlyjs
    except ImportError as e:
        raise Misuse(f"a report needs {e.name}, which is not installed; run: pip install 'jensen[report]'") from e
    from jensen import __version__

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_page)
    )
    environment.filters["signed"] = lambda value, digits=4: minus(signed(value, digits))
    figures = {f"f{i}-{name}": f for i, s in enumerate(sections) for name, f in s.figures.items()}
    return environment.get_template("report.html").render(
        sections=[(f"f{i}", s) for i, s in enumerate(sections)],
        title=title,
        version=__version__,
        css=_page("report.css"),
        js=_page("report.js"),
        plotly=get_plotlyjs() if figures else "",
        figures=_script_json(figures),
    )


def _page(name: str) -> str:
    return (resources.files("jensen.show") / "page" / name).read_text("utf-8")


def _script_json(data: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _write(path: Path, text: str) -> None:
    """All or nothing: a temporary file beside the target, then a rename."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            f.write(text)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
