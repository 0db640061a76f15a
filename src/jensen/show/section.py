"""A part of the page: which template draws it, with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Section:
    """One answer on the page.

    Attributes:
        template: The file in ``page/`` that draws it.
        heading: What the list of contents calls it.
        data: What the template reads.
        figures: Plotly figures by name; the template places each by its name.
    """

    template: str
    heading: str
    data: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a section may know of its page.

    Attributes:
        id: The section's own anchor.
        answers: All answers on the page.
        files: The saved certificate files that belong to this answer.
    """

    id: str
    answers: Sequence[Any] = ()
    files: Sequence[Path] = ()
