"""Beyond second order: J reduced to the directions in which the Hessian is zero (Lyapunov and Schmidt).

At a critical point whose Hessian has no negative eigenvalue, r(z) = min over y of J(theta + z + y), z along the null
directions and y across them, decides: the point is a minimum of J exactly if it is one of r, and the gradient of r is the
null part of J's. r is measured along many directions at radii that shrink: zero everywhere means a manifold of critical points
of the same value (a minimum, though not a strict one: Morse and Bott); falling somewhere means no minimum; rising everywhere
looks like a minimum, and with one null direction nothing else is left to look at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.ask.minima.polish import DENSE, EPS, Local, downhill, first, scale_of
from jensen.linalg.population import Population

FACTOR = 3.0
RADII = tuple(0.1 * FACTOR**-j for j in range(7))  # of the point's length
LINES = 8  # random directions, besides the null vectors themselves
VECTORS = 4
ROUNDS = 8  # of the search for a direction in which r falls
SIMPLE, RELAX = 12, 12  # steps across the null directions, without and with new curvature
INNER = 3  # from this radius on inwards a place that was not reached counts against flatness
PATIENT = 60  # without, where new curvature would be too much work
ABRUPT = 14  # a power that no smooth function is given
FAINT, CLEAR = 1e2, 1e5  # times the noise: changes that are compared to tell a kink at some distance
LEAST, HALVINGS = 1e-7, 8  # of the point's length: a kink that is nearer is here; of the logarithm of the radius
NOISE = 20.0  # times the rounding: more than that is a change


@dataclass(frozen=True)
class Reduced:
    """What r does.

    Attributes:
        verdict: "flat", "falls", "rises", "rises and flat", "unclear", or "kink" where it changes in proportion to the radius.
        order: The power of the radius with which it changes, where it does.
        lines: So many directions were probed, both ways.
        largest: The largest change of J that was seen within the radii.
        lower: A point below, where r falls.
        everywhere: Whether it falls along every line that was probed.
        onset: The distance at which the nearest kink was met beyond which J changes, in lengths of the point; infinite for none.
    """

    verdict: str
    order: float | None
    lines: int
    largest: float
    lower: Tensor | None = None
    everywhere: bool = False
    onset: float = math.inf

    @property
    def figures(self) -> dict[str, Any]:
        """Plain data."""
        return {"verdict": self.verdict, "order": self.order, "lines": self.lines, "largest": self.largest,
                "onset": self.onset}  # fmt: skip


class Turned:
    """-J, for points that may be maxima."""

    def __init__(self, of: Population):
        self.n, self.switches, self._of = of.n, of.switches, of

    def values(self, points: Tensor) -> Tensor:
        return -self._of.values(points)

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        values, slopes = self._of.gradients(points)
        return -values, -slopes

    def hessians(self, points: Tensor) -> Tensor:
        return -self._of.hessians(points)

    def products(self, points: Tensor, vectors: Tensor) -> Tensor:
        return -self._of.products(points, vectors)


def reduced(population: Any, point: Tensor, local: Local, null: Tensor) -> Reduced:
    """Probe r at one point (n,) with its null mask (n,), for the eigenvectors that ``local`` has (one copy)."""
    d = int(null.sum())
    numbers = torch.Generator().manual_seed(7)
    mixed = torch.randn(LINES if d > 1 else 0, d, generator=numbers, dtype=torch.float64).to(point.device)
    lines = torch.cat([torch.eye(d, dtype=torch.float64, device=point.device)[:VECTORS], mixed])
    lines = lines / lines.norm(dim=1, keepdim=True)
    lines = torch.cat([lines, -lines])
    probe = _Probe(population, point, local, null)
    found = probe.radial(lines)
    if _verdict(found) != "flat" and bool((found[0] != 0).any()):
        found = probe.smooth(lines, found)
    verdict = _verdict(found)
    everywhere = bool((_innermost(found[0]) < 0).all())
    if verdict in ("rises", "rises and flat") and d > 1:
        lines = probe.lowest(lines)
        again = probe.radial(lines)
        again = probe.smooth(lines, again) if _verdict(again) == "falls" else again
        verdict = "falls" if _verdict(again) == "falls" else verdict
        found = again if verdict == "falls" else found
    lower = probe.lower if verdict == "falls" else None
    order = _order(found, verdict)
    if order is not None and order < 1.5:
        verdict = "kink" if verdict != "falls" else verdict
    return Reduced(verdict, order, len(lines) // 2, float(found[0].abs().max()), lower, everywhere, probe.onset)


class _Probe:
    """r around one point."""

    def __init__(self, population: Any, point: Tensor, local: Local, null: Tensor):
        self.population, self.point, self.value = population, point, float(local.values[0])
        vectors = local.vectors[0]
        self.basis, self.across, self.low = vectors[:, null], vectors[:, ~null], local.low[0][~null]
        self.scale = float(scale_of(point[None])[0])
        self.rough = max(float(local.noise[1][0]), 4 * EPS * float(local.low.abs().max()) * self.scale)
        self.switches = population.switches
        self.lower: Tensor | None = None
        self._least = self.value
        self.onset = math.inf

    def at(self, lines: Tensor, radii: Tensor, full: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r less its value at the point, its noise, its gradient in null coordinates and that one's noise; rows alike."""
        points = self._relaxed(self.point + radii[:, None] * self.scale * lines @ self.basis.T, full)
        values, slopes, noise = first(self.population, points)
        low = int(torch.nan_to_num(values, nan=torch.inf).argmin())
        if float(values[low]) < self._least:
            self._least, self.lower = float(values[low]), points[low]
        return values - self.value, noise[0] + 4 * EPS * abs(self.value), slopes @ self.basis, noise[1]

    def _relaxed(self, points: Tensor, full: bool = True) -> Tensor:
        """Points minimised across the null directions: by the curvature of the point itself where that is enough."""
        if not self.across.shape[1]:
            return points
        moved, left = points, torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
        formed = self.population.n <= DENSE
        for _ in range(SIMPLE if formed else PATIENT):
            _, slopes = self.population.gradients(moved)
            parts = slopes @ self.across
            size = parts.norm(dim=1)
            better = size < left
            points, left = torch.where(better[:, None], moved, points), torch.where(better, size, left)
            moved = points - (parts / self.low) @ self.across.T
            if not bool((better & (size > 0)).any()):
                break
        if not full:
            return points
        _, _, noise = first(self.population, points)
        rows = torch.nonzero(left > NOISE * noise[1])[:, 0]
        if len(rows) and not formed:
            return points.index_fill(0, rows, torch.nan)  # not reached: nothing is said of this radius
        if len(rows):
            basis = self.across.expand(len(rows), -1, -1)
            ends = downhill(self.population, points[rows], RELAX, basis, RADII[0]).points
            points = points.index_put((rows,), ends).index_fill(0, rows[self._above(ends)], torch.nan)
        return points

    def _above(self, points: Tensor) -> Tensor:
        """Which points lie higher than the one probed only as far as they were not brought down across the null directions."""
        values, slopes, noise = first(self.population, points)
        return (values > self.value) & ((slopes @ self.across).norm(dim=1) > NOISE * noise[1])

    def radial(self, lines: Tensor) -> tuple[Tensor, Tensor]:
        """Changes (lines, radii) with those at rounding set to zero, and which slopes are more than rounding."""
        radii = torch.tensor(RADII, dtype=torch.float64, device=lines.device)
        change, noise, slope, rough = self.at(lines.repeat_interleave(len(radii), 0), radii.repeat(len(lines)))
        changes = torch.where(change.abs() > NOISE * noise, change, 0.0).reshape(
            len(lines), -1
        )  # 0 where it is not known
        sloped = (slope.norm(dim=1) > NOISE * rough.clamp(min=self.rough)).reshape(len(lines), -1)
        sloped[:, INNER:] |= ~torch.isfinite(change.reshape(len(lines), -1))[:, INNER:]  # there it has to be known
        return _inner(changes, sloped, NOISE * noise.reshape(len(lines), -1)) if self.switches else (changes, sloped)

    def smooth(self, lines: Tensor, found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """What concerns the point itself: where J changes beyond a kink at some distance, inside which it does not, it is flat here.

        Two radii are found at which the change is two different multiples of its noise. A smooth change grows between them with
        its order; one that begins at a kink grows as if it had a large one. Where nothing in the program has kinks there are none.
        """
        changes, sloped = found
        if not self.switches:
            return found
        rows = torch.nonzero((changes != 0).any(1))[:, 0]
        near, little, noise = self._reached(lines[rows], FAINT)
        wide, much, _ = self._reached(lines[rows], CLEAR)
        apart = (wide / near).log().clamp(min=math.log(RADII[0] / LEAST) / 2**HALVINGS)
        less = torch.where(
            wide == near, FAINT * noise, little
        )  # both lie beyond the kink: before it the change is less
        outer = (little > FAINT / 4 * noise) & ((much / less).log() > ABRUPT * apart) & (near > 4 * LEAST)
        if not bool(outer.any()):
            return found
        self.onset = min(self.onset, float(near[outer].min()))
        radii = torch.tensor(RADII, dtype=torch.float64, device=lines.device)
        beyond = radii[None] >= near[outer, None]
        changes, sloped, rows = changes.clone(), sloped.clone(), rows[outer]
        changes[rows] = 0.0
        sloped[rows] &= ~beyond
        return changes, sloped

    def _reached(self, lines: Tensor, times: float) -> tuple[Tensor, Tensor, Tensor]:
        """The least radius on each line, by bisection, at which the change is so many times its noise; the change and the noise there.

        On the way points are minimised across the null directions as far as their own curvature does it, at the end in full.
        """
        low, high = (torch.full((len(lines),), r, dtype=torch.float64, device=lines.device) for r in (LEAST, RADII[0]))
        for _ in range(HALVINGS):
            middle = (low * high).sqrt()
            change, noise, _, _ = self.at(lines, middle, full=False)
            over = ~(change.abs() <= times * noise)
            low, high = torch.where(over, low, middle), torch.where(over, middle, high)
        change, noise, _, _ = self.at(lines, high)
        return high, change.abs(), noise

    def lowest(self, lines: Tensor) -> Tensor:
        """Directions turned against the slope of r on a sphere, step by step."""
        radius, turn = torch.full((len(lines),), RADII[1], dtype=torch.float64, device=lines.device), 0.5
        for _ in range(ROUNDS):
            _, _, slope, _ = self.at(lines, radius)
            size = slope.norm(dim=1, keepdim=True)
            turned = lines - turn * torch.where(size > 0, slope / size.clamp(min=1e-300), 0.0)
            lines = turned / turned.norm(dim=1, keepdim=True).clamp(min=1e-300)
            turn *= 0.8
        return lines


def _inner(changes: Tensor, sloped: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """What concerns the point itself: where changes end at once on the way in, they began at a kink further out."""
    last = _last(changes != 0)
    at = last.clamp(min=0)[:, None]
    inside = (last >= 0) & (last < changes.shape[1] - 2)
    abrupt = (
        inside
        & (changes.gather(1, at).abs() > FACTOR**ABRUPT * floor.gather(1, (at + 1).clamp(max=floor.shape[1] - 1)))[:, 0]
    )
    outer = abrupt[:, None] & (torch.arange(changes.shape[1], device=changes.device)[None] <= last[:, None])
    return torch.where(outer, 0.0, changes), sloped & ~outer


def _last(true: Tensor) -> Tensor:
    """The last place in each row where it is true; -1 for none."""
    places = torch.arange(1, true.shape[1] + 1, device=true.device)
    return (places * true).amax(1) - 1


def _innermost(changes: Tensor) -> Tensor:
    """The sign of the innermost change that two radii in a row show, on each line; 0 for none."""
    signs = changes.sign()
    inner = torch.zeros(len(changes), device=changes.device)
    for j in range(signs.shape[1] - 2, -1, -1):  # from the inside out
        pair = (signs[:, j] == signs[:, j + 1]) & (signs[:, j] != 0)
        inner = torch.where((inner == 0) & pair, signs[:, j], inner)
    return inner


def _verdict(found: tuple[Tensor, Tensor]) -> str:
    """From the innermost radii at which a change is more than rounding, two in a row on each line."""
    changes, sloped = found
    inner = _innermost(changes)
    if bool((inner < 0).any()):
        return "falls"
    still = (changes == 0).all(1)
    if bool(still.all()):
        return "flat" if not bool(sloped.any()) else "unclear"
    if bool((inner > 0).all()):
        return "rises"
    return "rises and flat" if bool(((inner > 0) | still).all()) else "unclear"


def _order(found: tuple[Tensor, Tensor], verdict: str) -> float | None:
    """The power with which the change grows, from the two innermost radii that show one."""
    changes = found[0]
    want = -1 if verdict == "falls" else 1
    orders = []
    for row in changes:
        seen = [j for j in range(len(row)) if float(row[j]) * want > 0]
        if len(seen) >= 2 and seen[-1] - seen[-2] == 1:
            orders.append(float((row[seen[-2]] / row[seen[-1]]).log()) / math.log(FACTOR))
    return sorted(orders)[len(orders) // 2] if orders else None
