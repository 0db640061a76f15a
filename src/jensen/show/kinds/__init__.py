"""Every kind of answer that can be shown. The one place that tells them apart: by their fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jensen.errors import Misuse
from jensen.show.kinds import (
    blocks,
    classification,
    equivalence,
    finding,
    minima,
    paths,
    remedies,
    spectrum,
    symmetry,
    trajectory,
    unanswered,
    why,
)
from jensen.show.section import Page, Section
from jensen.show.summary import Summary


class Kind(NamedTuple):
    """How one kind of answer is recognised, told and drawn."""

    verb: str
    fields: frozenset[str]
    summary: Callable[[Any], Summary]
    section: Callable[[Any, Page], Section]


KINDS = (
    Kind("check", frozenset({"verdict", "claim", "evidence"}), finding.summary, finding.section),
    Kind("blocks", frozenset({"maximal", "conflicts"}), blocks.summary, blocks.section),
    Kind("why", frozenset({"curvature", "shares", "mechanisms"}), why.summary, why.section),
    Kind("remedies", frozenset({"remedies", "tried"}), remedies.summary, remedies.section),
    Kind(
        "classify", frozenset({"kind", "gradient_norm", "zero_modes"}), classification.summary, classification.section
    ),
    Kind("spectrum", frozenset({"lowest", "highest", "density"}), spectrum.summary, spectrum.section),
    Kind("minima", frozenset({"runs", "counts", "ends", "widths"}), minima.summary, minima.section),
    Kind("symmetries", frozenset({"order", "dimension", "factors"}), symmetry.summary, symmetry.section),
    Kind("watch", frozenset({"records"}), trajectory.summary, trajectory.section),
    Kind("equivalent", frozenset({"verdict", "witness"}), equivalence.summary, equivalence.section),
    Kind("barrier", frozenset({"height", "rise"}), paths.barrier_summary, paths.barrier_section),
    Kind("barriers", frozenset({"passes", "edges"}), paths.barriers_summary, paths.barriers_section),
    Kind("align", frozenset({"scores", "distance_after"}), paths.alignment_summary, paths.alignment_section),
    Kind("connect", frozenset({"height", "segment"}), paths.connection_summary, paths.connection_section),
    Kind("report", frozenset({"question", "refusal"}), unanswered.summary, unanswered.section),
)


def kind(answer: Any) -> Kind | None:
    """The kind of an answer; None for anything else."""
    return next((k for k in KINDS if not isinstance(answer, type) and all(hasattr(answer, f) for f in k.fields)), None)


def summary(answer: Any) -> Summary:
    """An answer in brief.

    Raises:
        Misuse: For something that is no answer.
    """
    return _known(answer).summary(answer)


def section(answer: Any, page: Page) -> Section:
    """An answer as a part of the page.

    Raises:
        Misuse: For something that is no answer.
    """
    return _known(answer).section(answer, page)


def _known(answer: Any) -> Kind:
    found = kind(answer)
    if found is None:
        verbs = ", ".join(f"jensen.{k.verb}" for k in KINDS[:-1])
        raise Misuse(f"{type(answer).__name__} is not a finding; give the answers of {verbs}")
    return found
