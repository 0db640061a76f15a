"""What can be asked of a spectrum, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from jensen.errors import Misuse

SIDES = ("lowest", "highest")
COUNTS = {"k": 5, "probes": 10, "steps": 64, "width": 4, "seed": 0}


@dataclass(frozen=True)
class Asked:
    """The question; every field is an argument of ``jensen.spectrum``.

    Attributes:
        k: So many eigenvalues at each end.
        tolerance: What the bounds have to reach, relative to the spectral norm.
        probes: Random vectors for density, trace and shares.
        density: Whether the density and the shares are asked for; trace and squared norm alone take two products a probe.
        trace: Whether trace and squared norm are asked for.
        sides: The ends that are asked for, "lowest" and "highest".
        steps: Lanczos steps of each probe; by default as many as make the quadrature's error small beside the probes'.
        bandwidth: Standard deviation of the Gaussian that smooths the density; by default a hundredth of the spectrum's
            width, and no more than a third of the width of its negative and of its positive part.
        grid: Points at which the density is wanted, increasing; by default chosen so that every part can be seen.
        zero: Eigenvalues up to this, relative to the spectral norm, count as zero.
        failure: Allowed probability of missing an eigenvalue beyond the listed ones.
        method: "dense" or "iterative"; by default what takes fewer products.
        width: Columns multiplied at once; by default eight, but on a CPU one for the ends and four for the probes.
        memory: Bytes for the vectors.
        every: Seconds between two states in the checkpoint.
        seed: Of all random numbers.
    """

    k: int = 5
    tolerance: float = 1e-3
    probes: int = 10
    density: bool = True
    trace: bool = True
    sides: tuple[str, ...] = SIDES
    steps: int | None = None
    bandwidth: float | None = None
    grid: tuple[float, ...] | None = None
    zero: float = 1e-4
    failure: float = 1e-3
    method: str | None = None
    width: int | None = None
    memory: int = 2**31
    every: float = 60.0
    seed: int = 0

    def is_dense(self, n: int) -> bool:
        """Whether the matrix of n columns is formed."""
        if self.method is not None:
            return self.method == "dense"
        planned = 6 * self.k * len(self.sides) + self.probes * (32 if self.density else 2 if self.trace else 0)
        return n <= planned and self.may_form(n)

    def may_form(self, n: int) -> bool:
        """Whether the matrix of n columns may be formed, and fits."""
        return self.method is None and 8 * n * n <= self.memory

    def width_of_zero(self, norm: float) -> float:
        """What counts as zero; something, even where everything is zero."""
        return max(self.zero * norm, 1e-300)


def asked(**options: Any) -> Asked:
    """The question.

    Raises:
        Misuse: For an unknown name, or a value that makes no sense, with the remedy.
    """
    names = [f.name for f in fields(Asked)]
    for name in options:
        if name not in names:
            raise Misuse(f"spectrum has no argument {name!r}; it has {', '.join(names)}")
    a = Asked(**{**options, "grid": _grid(options.get("grid")), "sides": _sides(options.get("sides", SIDES))})
    _whole(a)
    for name in ("density", "trace"):
        if not isinstance(getattr(a, name), bool):
            raise Misuse(f"{name}={getattr(a, name)!r} must be True or False")
    for name in ("tolerance", "zero", "failure"):
        share(name, getattr(a, name), "the spectral norm")
    if a.k < 1 or a.probes < 2:
        raise Misuse(
            f"k={a.k} and probes={a.probes}: ask for at least one eigenvalue, and two probes to see their spread"
        )
    if a.steps is not None and a.steps < 2:
        raise Misuse(f"steps={a.steps}: a probe takes at least two steps")
    if a.method not in (None, "dense", "iterative"):
        raise Misuse(f"method={a.method!r}: it is 'dense' or 'iterative', or None for the cheaper one")
    if a.bandwidth is not None and not (isinstance(a.bandwidth, Real) and float(a.bandwidth) > 0):
        raise Misuse(f"bandwidth={a.bandwidth!r}: the Gaussian's standard deviation must be positive")
    if a.grid is not None and not (a.grid and all(math.isfinite(t) for t in a.grid)):
        raise Misuse(f"grid={list(a.grid)!r}: give one finite point at least, or None for points that show every part")
    if a.grid is not None and not all(s < t for s, t in pairwise(a.grid)):
        raise Misuse("grid=... must increase; sort the points and leave out repeated ones")
    for name in ("memory", "every"):
        value = getattr(a, name)
        if isinstance(value, bool) or not isinstance(value, Real) or not float(value) >= 0:
            raise Misuse(f"{name}={value!r} must be a number: bytes, as in memory=2**31, or seconds, as in every=60")
    if a.width is not None and a.width < 1:
        raise Misuse(f"width={a.width}: it is the number of columns multiplied at once, 1 or more")
    return a


def share(name: str, value: Any, of: str) -> None:
    """Refuse what is no number between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < 1:
        raise Misuse(f"{name}={value!r} must be a number between 0 and 1: it is relative to {of}, or a probability")


def told(progress: Any) -> None:
    """Refuse what cannot be called with figures."""
    if progress is not None and not callable(progress):
        raise Misuse(f"progress={progress!r} cannot be called; give a function of a dict of figures, or None")


def _grid(points: Any) -> tuple[float, ...] | None:
    try:
        return None if points is None else tuple(float(t) for t in points)
    except (TypeError, ValueError) as e:
        raise Misuse(f"grid={points!r}: give numbers, or None for points that show every part") from e


def _sides(named: Any) -> tuple[str, ...]:
    sides = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, Iterable) else ()
    if not sides or not all(side in SIDES for side in sides):
        raise Misuse(f"sides={named!r}: the ends of a spectrum are 'lowest' and 'highest'")
    return sides


def _whole(a: Asked) -> None:
    """Refuse counts that are no whole numbers."""
    for name in ("k", "probes", "steps", "width", "seed"):
        value = getattr(a, name)
        unset = value is None and name in ("steps", "width")
        if not unset and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise Misuse(f"{name}={value!r} must be a whole number; write {name}={COUNTS[name]}, for example")
