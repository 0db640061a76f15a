"""Is the cost J(W, b) convex? Answers with proofs and counterexamples that anyone can check again.

Names are loaded when they are first used: ``import jensen`` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jensen.ask.blocks import Blocks as Blocks
    from jensen.ask.blocks import blocks as blocks
    from jensen.ask.convexity import check as check
    from jensen.ask.curvature.answers import Classification as Classification
    from jensen.ask.curvature.answers import Spectrum as Spectrum
    from jensen.ask.curvature.classify import classify as classify
    from jensen.ask.curvature.operator import hessian as hessian
    from jensen.ask.curvature.spectrum import spectrum as spectrum
    from jensen.ask.curvature.trajectory import Trajectory as Trajectory
    from jensen.ask.curvature.watch import watch as watch
    from jensen.ask.equivalence.answer import Equivalence as Equivalence
    from jensen.ask.equivalence.equivalent import equivalent as equivalent
    from jensen.ask.minima.answers import Minima as Minima
    from jensen.ask.minima.census import minima as minima
    from jensen.ask.paths.align import align as align
    from jensen.ask.paths.answers import Alignment as Alignment
    from jensen.ask.paths.answers import Barrier as Barrier
    from jensen.ask.paths.answers import Barriers as Barriers
    from jensen.ask.paths.answers import Connection as Connection
    from jensen.ask.paths.barrier import barrier as barrier
    from jensen.ask.paths.connect import connect as connect
    from jensen.ask.paths.tree import barriers as barriers
    from jensen.ask.remedies.answer import Remedies as Remedies
    from jensen.ask.remedies.find import remedies as remedies
    from jensen.ask.symmetry.answer import Symmetries as Symmetries
    from jensen.ask.symmetry.find import symmetries as symmetries
    from jensen.ask.why import why as why
    from jensen.ask.why.answer import Why as Why
    from jensen.certificate import verify as verify
    from jensen.cost import Cost as Cost
    from jensen.errors import Misuse as Misuse
    from jensen.finding import Finding as Finding
    from jensen.finding import Verdict as Verdict
    from jensen.kernel.errors import Rejected as Rejected
    from jensen.show.report import report as report

__version__ = "0.1.0"

_HOMES = {
    "Alignment": "jensen.ask.paths.answers",
    "Barrier": "jensen.ask.paths.answers",
    "Barriers": "jensen.ask.paths.answers",
    "Blocks": "jensen.ask.blocks",
    "Classification": "jensen.ask.curvature.answers",
    "Connection": "jensen.ask.paths.answers",
    "Cost": "jensen.cost",
    "Equivalence": "jensen.ask.equivalence.answer",
    "Finding": "jensen.finding",
    "Minima": "jensen.ask.minima.answers",
    "Misuse": "jensen.errors",
    "Rejected": "jensen.kernel.errors",
    "Remedies": "jensen.ask.remedies.answer",
    "Symmetries": "jensen.ask.symmetry.answer",
    "Spectrum": "jensen.ask.curvature.answers",
    "Trajectory": "jensen.ask.curvature.trajectory",
    "Verdict": "jensen.finding",
    "Why": "jensen.ask.why.answer",
    "align": "jensen.ask.paths.align",
    "barrier": "jensen.ask.paths.barrier",
    "barriers": "jensen.ask.paths.tree",
    "blocks": "jensen.ask.blocks",
    "check": "jensen.ask.convexity",
    "classify": "jensen.ask.curvature.classify",
    "connect": "jensen.ask.paths.connect",
    "equivalent": "jensen.ask.equivalence.equivalent",
    "hessian": "jensen.ask.curvature.operator",
    "minima": "jensen.ask.minima.census",
    "remedies": "jensen.ask.remedies.find",
    "report": "jensen.show.report",
    "spectrum": "jensen.ask.curvature.spectrum",
    "symmetries": "jensen.ask.symmetry.find",
    "verify": "jensen.certificate",
    "watch": "jensen.ask.curvature.watch",
    "why": "jensen.ask.why",
}
__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jensen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
