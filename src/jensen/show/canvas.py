"""What all plotly figures of the page share.

Colours are names of the page's CSS variables, which the page fills in, so that the figures follow light and dark.
Plotly reads some HTML in its texts: what comes from the user goes through ``text``.
"""

from __future__ import annotations

from html import escape
from typing import Any


def canvas(height: int, **more: Any) -> dict[str, Any]:
    """A plotly layout: transparent, in the page's font, with the legend above."""
    return {
        "autosize": True,
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 44, "b": 8},
        "paper_bgcolor": "--clear",
        "plot_bgcolor": "--clear",
        "font": {"family": "--font", "size": 13, "color": "--muted"},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "--card", "bordercolor": "--line", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        **more,
    }


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with quiet lines."""
    return {
        "gridcolor": "--line",
        "zerolinecolor": "--line",
        "automargin": True,
        "nticks": 6,
        "exponentformat": "e",
        "title": {"text": title, "standoff": 12},
        **more,
    }


def text(words: str) -> str:
    """A text of the user's, as plotly shows it unread."""
    return escape(words, quote=False)
