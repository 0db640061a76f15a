"""The answer of ``jensen.check``: the verdict at a glance, then why, then the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.finding import Finding, Verdict
from jensen.show.certificates import saved
from jensen.show.diagram import diagram
from jensen.show.picture import Picture, figure, picture, sparkline
from jensen.show.section import Page, Section
from jensen.show.summary import BAD, GOOD, OPEN, Row, Summary
from jensen.show.words import duration, listing, number

TONES = {Verdict.PROVED: GOOD, Verdict.REFUTED: BAD, Verdict.MEASURED: OPEN, Verdict.UNKNOWN: OPEN}
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
CHORD = {"a", "b", "m", "t", "violation", "margin", "line", "method"}
ELSEWHERE = {"why", "chord", "gap", "a → b"}  # told by the page in its own way


def summary(finding: Finding) -> Summary:
    """The verdict, the statement, and what stands behind it."""
    return Summary(finding.verdict.value, TONES[finding.verdict], finding.statement, tuple(rows(finding)))


def rows(finding: Finding) -> list[Row]:
    """Labels and texts below the statement."""
    rows = [("why", finding.reason)] if finding.reason else []
    evidence = finding.evidence
    if "method" in evidence:
        rows.append(("method", str(evidence["method"])))
    if {"a", "b", "m"} <= set(evidence):
        a, m, b = (number(evidence[k]) for k in ("a", "m", "b"))
        rows.append(("chord", f"J(a) = {a}, J(m) = {m}, J(b) = {b}"))
        if "violation" in evidence:
            rows.append(("gap", f"J(m) is off the chord by {number(evidence['violation'])}"))
        drawn = picture(finding)
        if drawn is not None:
            rows.append(("a → b", f"{sparkline(drawn)}  J less chord"))
    rows += [(k, number(v)) for k, v in evidence.items() if k not in CHORD and _is_figure(v)]
    rows.append(("time", duration(finding.seconds)))
    return rows


def _is_figure(value: Any) -> bool:
    return isinstance(value, (str, int, float)) or (isinstance(value, Mapping) and not value)


def section(finding: Finding, page: Page) -> Section:
    """The verdict, Jensen's picture, the program, and how to check it."""
    drawn = picture(finding)
    joint = " jointly" if len(finding.blocks) > 1 else ""
    data = {
        "finding": finding,
        "tone": TONES[finding.verdict],
        "answer": ANSWERS[finding.verdict],
        "meaning": MEANING[finding.verdict],
        "question": f"Is J {finding.claim} in {listing(finding.blocks)}{joint}?",
        "facts": [(k, v) for k, v in rows(finding) if k not in ELSEWHERE],
        "caption": _caption(drawn, finding.claim) if drawn else "",
        "numbers": _numbers(drawn) if drawn else [],
        "diagram": diagram(finding.steps, f"{page.id}-part") if finding.steps else None,
        "lost": next((s for s in finding.steps if s.lost), None),
        "saved": [saved(f) for f in page.files],
        "has_certificate": finding.certificate is not None,
    }
    return Section("finding.html", "The answer", data, {"picture": figure(drawn)} if drawn else {})


def _caption(p: Picture, claim: str) -> str:
    side = "above" if p.gap > 0 else "below"
    verb = "lies" if p.gap else "lies on the chord, not"
    text = f"At the middle point m the cost {verb} {number(abs(p.gap))} {side} the straight line from a to b."
    return text + (" A convex cost never does that." if claim == "convex" and p.gap > 0 else "")


def _numbers(p: Picture) -> list[tuple[str, str, str]]:
    rows = [("a", p.ends[0], 0.0), ("m", p.value, p.middle), ("b", p.ends[1], 1.0)]
    return [(name, repr(value), repr(p.chord(s))) for name, value, s in rows]
