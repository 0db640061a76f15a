"""What ``spectrum`` and ``classify`` answer, as frozen data. Parts read as attributes and as items alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from jensen.finding import plain, shown


class Record:
    """A dataclass whose fields can also be read as items: ``r["value"]`` is ``r.value``."""

    def keys(self) -> Iterator[str]:
        return (f.name for f in fields(self))  # pyright: ignore[reportArgumentType]

    def __getitem__(self, name: str) -> Any:
        if name not in self.keys():
            raise KeyError(name)
        return getattr(self, name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {name: _plain(self[name]) for name in self.keys()}


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return plain(value)


@dataclass(frozen=True)
class Eigenvalue(Record):
    """A Ritz value; an eigenvalue lies within ``bound`` of it, and values listed together have as many eigenvalues."""

    value: float
    bound: float


@dataclass(frozen=True)
class Estimate(Record):
    """A number with its standard error and its 95 % interval [low, high]."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Cumulative(Record):
    """The share of eigenvalues below each point of ``grid``, in 95 % bands that need no smoothing."""

    grid: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Density(Record):
    """The spectral density smoothed by a Gaussian: (1/n) sum over eigenvalues of N(t; eigenvalue, bandwidth squared).

    Attributes:
        grid: Points t, increasing, in the units of the Hessian; not equally spaced.
        density: The estimate at these points; it integrates to one.
        low, high: Pointwise 95 % bands: the variation over probes, and the error of the quadrature added to it.
        bandwidth: The Gaussian's standard deviation, never wider than the negative (or positive) part of the spectrum.
        probes: Random vectors used; 0 where all eigenvalues were computed.
        steps: Lanczos steps taken by each.
        resolved: Whether the error of the quadrature is below that of the probes at every point.
        cumulative: The share of eigenvalues below a point, bracketed without smoothing.
    """

    grid: np.ndarray
    density: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bandwidth: float
    probes: int
    steps: int
    resolved: bool
    cumulative: Cumulative


@dataclass(frozen=True)
class Subset(Record):
    """Standard errors from having used these data and not all, by the variation between groups of rows."""

    groups: int
    highest: tuple[float, ...]
    lowest: tuple[float, ...]
    trace: float
    statement: str


@shown
@dataclass(frozen=True)
class Spectrum(Record):
    """The spectrum of a Hessian.

    Attributes:
        lowest: The lowest eigenvalues, increasing, each ``{value, bound}``.
        highest: The highest eigenvalues, decreasing, each ``{value, bound}``.
        density: The smoothed density with its bands; None where it was not asked for.
        trace: The sum of the eigenvalues, ``{value, error, low, high}``; None where it was not asked for.
        squared_norm: The sum of their squares, alike.
        negative: The share of eigenvalues below ``-zero_width``, alike.
        zero: The share of eigenvalues within ``zero_width`` of zero, alike.
        zero_width: What counts as zero.
        subset: The effect of having used a part of the data; None where it was not asked for.
        parameters: n, the number of eigenvalues.
        norm: The spectral norm, to which ``tolerance`` is relative.
        tolerance: What the bounds had to reach.
        failure: The probability, over the random start vectors, that an eigenvalue beyond the listed ones was missed.
        complete: Which parts reached what was asked: ``{"lowest", "highest", "density"}``.
        method: How it was computed, in words.
        products: Hessian-vector products spent, and ``seconds``.
    """

    lowest: tuple[Eigenvalue, ...]
    highest: tuple[Eigenvalue, ...]
    density: Density | None
    trace: Estimate | None
    products: int
    seconds: float
    squared_norm: Estimate | None
    negative: Estimate | None
    zero: Estimate | None
    zero_width: float
    subset: Subset | None
    parameters: int
    norm: float
    tolerance: float
    failure: float
    complete: Mapping[str, bool]
    method: str


@shown
@dataclass(frozen=True)
class Classification(Record):
    """What kind of point this is.

    Attributes:
        kind: minimum, saddle, maximum, degenerate, not critical, at infinity (not critical, and J falls on as the
            parameters grow: measured), or not converged (the counts are not settled).
        index: The number of eigenvalues below ``-evidence["band"]``; a lower bound where ``evidence["exact"]`` is False.
            At kinks (``evidence["crease"]``) with the directions in which J falls across them.
        gradient_norm: The Euclidean norm of the gradient; at such kinks of its part along them.
        zero_modes: The number of eigenvalues within the band; a lower bound where ``evidence["exact"]`` is False.
        evidence: The figures behind it.
        statement: What holds, in a sentence.
        reason: Why this kind and no other.
        settle: What would settle it; empty where it is settled.
        seconds: How long it took.
    """

    kind: str
    index: int
    gradient_norm: float
    zero_modes: int
    evidence: Mapping[str, Any] = field(repr=False)
    statement: str = ""
    reason: str = ""
    settle: str = ""
    seconds: float = 0.0
