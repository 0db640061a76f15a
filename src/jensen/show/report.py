"""One self-contained HTML file from findings: no network, no scripts from elsewhere. It computes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from jensen.errors import Misuse
from jensen.finding import Finding, Verdict
from jensen.show import terminal
from jensen.show.diagram import LEGEND, diagram
from jensen.show.picture import Picture, figure, picture

ANSWERS = {
    Verdict.PROVED: "Yes",
    Verdict.REFUTED: "No",
    Verdict.MEASURED: "Measured only",
    Verdict.UNKNOWN: "Not known",
}
MEANING = {
    Verdict.PROVED: "Proved: a small trusted kernel accepted the proof. It holds for every value, not for samples.",
    Verdict.REFUTED: "Refuted: a small trusted kernel accepted a counterexample, with verified bounds on its values.",
    Verdict.MEASURED: "Measured in floating point, and not verified by the kernel: a strong hint, not a proof.",
    Verdict.UNKNOWN: "Neither proved nor refuted. This is not a no.",
}
MATRIX = (14, 60)  # at most so many sets and blocks are shown as a table of dots


@dataclass(frozen=True)
class Saved:
    """A certificate file, as the report describes it."""

    name: str
    size: str
    sha256: str
    members: tuple[tuple[str, str], ...]


def report(
    findings: Any, path: str | PathLike[str], certificates: Sequence[str | PathLike[str] | None] = (), title: str = ""
) -> None:
    """Write findings (and answers of ``jensen.blocks``) as one HTML file that can be read anywhere, offline.

    Args:
        findings: One finding, or several; answers of ``jensen.blocks`` may be among them.
        path: The file to write; it appears whole or not at all.
        certificates: For each finding, the saved certificate file that the report should name, or None.
        title: What the report is about, for example the file that was asked about.

    Raises:
        Misuse: For something that is no finding, or where plotly or jinja2 are not installed.
        OSError: Where the file cannot be written; nothing is left behind.
    """
    items = [findings] if isinstance(findings, Finding) or hasattr(findings, "maximal") else list(findings)
    if not items:
        raise Misuse("a report needs at least one finding; give the answer of jensen.check or jensen.blocks")
    files = [*certificates, *[None] * (len(items) - len(certificates))]
    order = list(dict.fromkeys(b for item in items if isinstance(item, Finding) for b in item.blocks))
    sections = [_section(item, file, i, order) for i, (item, file) in enumerate(zip(items, files, strict=False))]
    _write(Path(path), _render(sections, title))


def _render(sections: Sequence[dict[str, Any]], title: str) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
        from plotly.offline import get_plotlyjs
    except ImportError as e:
        raise Misuse(f"a report needs {e.name}, which is not installed; run: pip install 'jensen[report]'") from e
    from jensen import __version__

    page = {name: (resources.files("jensen.show") / "page" / name).read_text("utf-8") for name in _PAGE}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    figures = {s["id"]: figure(s["picture"]) for s in sections if s.get("picture")}
    return environment.from_string(page["report.html"]).render(
        sections=sections,
        title=title,
        version=__version__,
        css=page["report.css"],
        js=page["report.js"],
        plotly=get_plotlyjs() if figures else "",
        figures=_script_json(figures),
        legend=LEGEND,
    )


_PAGE = ("report.html", "report.css", "report.js")


def _script_json(data: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _section(item: Any, file: str | PathLike[str] | None, i: int, order: Sequence[str]) -> dict[str, Any]:
    if isinstance(item, Finding):
        return _finding(item, file, f"f{i}")
    if hasattr(item, "maximal") and hasattr(item, "conflicts"):
        return _blocks(item, f"f{i}", order)
    raise Misuse(f"{type(item).__name__} is not a finding; give the answers of jensen.check and jensen.blocks")


def _finding(finding: Finding, file: str | PathLike[str] | None, anchor: str) -> dict[str, Any]:
    drawn = picture(finding)
    joint = " jointly" if len(finding.blocks) > 1 else ""
    hidden = {"why", "chord", "gap", "a → b"}
    return {
        "kind": "finding",
        "id": anchor,
        "finding": finding,
        "answer": ANSWERS[finding.verdict],
        "meaning": MEANING[finding.verdict],
        "question": f"Is J {finding.claim} in {_listing(finding.blocks)}{joint}?",
        "facts": [(k, v) for k, v in terminal.finding_rows(finding) if k not in hidden],
        "picture": drawn,
        "caption": _caption(drawn, finding.claim) if drawn else "",
        "numbers": _numbers(drawn) if drawn else [],
        "diagram": diagram(finding.steps, f"{anchor}-part") if finding.steps else None,
        "lost": next((s for s in finding.steps if s.lost), None),
        "saved": _saved(Path(file)) if file is not None else None,
        "has_certificate": finding.certificate is not None,
    }


def _listing(blocks: Sequence[str]) -> str:
    if len(blocks) > 4:
        return f"all of {blocks[0]}, …, {blocks[-1]} ({len(blocks)} blocks)"
    return ", ".join(blocks[:-1]) + (" and " if len(blocks) > 1 else "") + blocks[-1] if blocks else "its blocks"


def _caption(p: Picture, claim: str) -> str:
    side = "above" if p.gap > 0 else "below"
    verb = "lies" if p.gap else "lies on the chord, not"
    text = f"At the middle point m the cost {verb} {terminal.number(abs(p.gap))} {side} the straight line from a to b."
    return text + (" A convex cost never does that." if claim == "convex" and p.gap > 0 else "")


def _numbers(p: Picture) -> list[tuple[str, str, str]]:
    rows = [("a", p.ends[0], 0.0), ("m", p.value, p.middle), ("b", p.ends[1], 1.0)]
    return [(name, repr(value), repr(p.chord(s))) for name, value, s in rows]


def _saved(path: Path) -> Saved:
    data = path.read_bytes()
    with zipfile.ZipFile(path) as z:
        members = tuple((m.filename, _size(m.file_size)) for m in z.infolist())
    return Saved(path.name, _size(len(data)), hashlib.sha256(data).hexdigest(), members)


def _size(n: int) -> str:
    if n >= 1 << 20:
        return f"{n / (1 << 20):.1f} MB"
    return f"{n / 1024:.1f} kB" if n >= 1024 else f"{n} bytes"


def _blocks(answer: Any, anchor: str, order: Sequence[str]) -> dict[str, Any]:
    sets = [*answer.maximal, *(c.blocks for c in answer.conflicts), *answer.unknown]
    used = list(dict.fromkeys([*getattr(answer, "names", ()), *(b for s in sets for b in s)]))
    names = [b for b in order if b in used] + [b for b in used if b not in order]
    small = 0 < len(answer.maximal) <= MATRIX[0] and len(names) <= MATRIX[1]
    return {
        "kind": "blocks",
        "id": anchor,
        "answer": answer,
        "names": names,
        "matrix": [(n, [n in s for s in answer.maximal]) for n in names] if small else [],
        "conflicts": [(c.blocks, c.node, c.module, terminal.conflict_reason(c)) for c in answer.conflicts],
        "time": terminal.duration(answer.seconds),
    }


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
