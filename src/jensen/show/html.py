"""A finding as a small piece of HTML, for notebooks: no scripts, no style sheets, every text escaped."""

from __future__ import annotations

from html import escape

from jensen.finding import Finding, Verdict
from jensen.show.terminal import finding_rows

COLOURS = {
    Verdict.PROVED: "#12805c",
    Verdict.REFUTED: "#c2362b",
    Verdict.MEASURED: "#a16207",
    Verdict.UNKNOWN: "#a16207",
}


def finding_html(finding: Finding) -> str:
    """A card with the verdict, the statement and the figures."""
    colour = COLOURS[finding.verdict]
    rows = "".join(
        f'<tr><td style="opacity:.65;padding:.1em 1.2em .1em 0;text-align:left;vertical-align:top">{escape(k)}</td>'
        f'<td style="text-align:left">{escape(v)}</td></tr>'
        for k, v in finding_rows(finding)
    )
    return (
        f'<div style="border-left:4px solid {colour};padding:.4em 0 .4em 1em;max-width:60em">'
        f'<strong style="color:{colour};letter-spacing:.06em">{escape(finding.verdict.value)}</strong>'
        f'<div style="font-size:1.1em;margin:.2em 0 .5em">{escape(finding.statement)}</div>'
        f'<table style="border:0;font-size:.92em">{rows}</table></div>'
    )
