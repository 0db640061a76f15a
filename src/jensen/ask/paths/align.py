"""``jensen.align``: of all equivalent copies of one network, one that lies well with another.

Over the whole group of the cost: permutations, signs, scales, rotations. Scales and matrices are set by balancing both
points; the compact rest is matched by weights, by activations, and refined by the gradient of J halfway (the straight-through
estimator of Ainsworth et al. 2023); the copy with the lowest J on the segment is taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jensen.ask.equivalence.canonical import Theta, balanced, followed, undone, unshifted
from jensen.ask.equivalence.formal import formal
from jensen.ask.equivalence.frames import carried, rewritten
from jensen.ask.equivalence.layout import Placed, placed
from jensen.ask.paths.activations import permutations
from jensen.ask.paths.answers import Alignment
from jensen.ask.paths.matching import inner, matched
from jensen.ask.paths.points import Point, between, read, value
from jensen.ask.paths.reading import full, quick
from jensen.ask.symmetry.group import Move, Step
from jensen.cost import Cost
from jensen.errors import Misuse

METHODS = ("weights", "activations", "gradient")
PLACES = (0.5, 0.25, 0.75)  # where J is looked at to tell copies apart
ENOUGH = 0.05  # of the rise to b itself
FLAT = 1e-9  # of J: a rise below is none
SAME = 1e-8  # relative: J of a copy is J of b to this
ROUNDS = 12  # of the refinement
STRIDE = 0.3  # of each of its steps, relative to the target's norm


@dataclass(frozen=True, eq=False)
class _Setting:
    """Both points in coordinates in which the matching is a matter of inner products.

    Attributes:
        target, x: a and b there.
        shifts: The steps that take b's shifts away, and ``to``: the plain ones that bring it there.
        back: The plain steps that lead from there to a's own neighbourhood, and ``again``: those that give it a's shifts.
    """

    target: Theta
    x: Theta
    shifts: list[Step]
    to: list[Step]
    back: list[Step]
    again: list[Step]


def align(
    cost: Cost,
    a: Any,
    b: Any,
    method: str | None = None,
    *,
    symmetries: Any = None,
    restarts: int = 4,
    seed: int = 0,
    enough: float = ENOUGH,
) -> Alignment:
    """Move b by an element of the cost's group, so that it lies well with a. J and the network stay what they are.

    Args:
        cost: A :class:`jensen.Cost`.
        a, b: Points, as for :func:`jensen.barrier`.
        method: ``"weights"``, ``"activations"``, ``"gradient"``, or None: weights, and the best of all methods where that is
            not good enough.
        symmetries: The answer of :func:`jensen.symmetries`, where it is there already.
        restarts: From how many random permutations the weights are matched too.
        seed: Of these.
        enough: The share of the rise to b itself that is good enough; 0 tries all methods.

    Raises:
        Misuse: For points that are no points of this cost, a method that is not known, or a number that makes no sense.
    """
    begun = time.perf_counter()
    if method is not None and method not in METHODS:
        raise Misuse(f"method={method!r} is not known; give one of {', '.join(METHODS)}, or None for the best of them")
    if restarts < 0:
        raise Misuse(f"restarts={restarts} is no number of random starts; give 0 or more")
    if not 0 <= enough < 1:
        raise Misuse(f"enough={enough} is no share of a rise; give a number from 0 (try all methods) to less than 1")
    first, last = read(cost, a, "a"), read(cost, b, "b")
    for group in (quick, full) if symmetries is None else (lambda _: symmetries,):
        search = _Search(cost, group(cost), first, last, seed)
        best = min(search.copies(method, restarts, enough), key=search.rank)
        if symmetries is not None or search.keeps(best):
            break
    before = search.scores["none"]
    far = [_apart(first.theta, t) for t in (last.theta, best.theta)]
    return Alignment(
        dict(best.theta), dict(best.buffers), Move(tuple(best.steps), search.group.frames), best.name, before, best.score,
        far[0], far[1], dict(search.scores), _statement(best.name, before, best.score, far), time.perf_counter() - begun,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Copy:
    """A copy of b: how it was found, the steps to it (in the coordinates of the matching: ``matched``), blocks and buffers,
    and how far J rises on the way from a.
    """

    name: str
    steps: list[Step]
    matched: list[Step]
    theta: Theta
    buffers: Theta
    score: float


class _Search:
    """Copies of b and how they lie with a."""

    def __init__(self, cost: Cost, group: Any, first: Point, last: Point, seed: int):
        self.cost, self.group, self.first, self.last, self.seed = cost, group, first, last, seed
        self.points = tuple(rewritten(cost, group.frames, p) for p in (first, last))
        self.a, self.b = (group.coordinates(p.theta) for p in self.points)
        self.form = formal(group.factors)
        shapes = {n: tuple(t.shape) for n, t in self.form.to(self.a).items()}
        self.placed: Sequence[Placed] = placed(self.form.plain, shapes)
        self.scores: dict[str, float] = {}
        self.ends = tuple(value(cost, p.theta, p.buffers) for p in (first, last))
        self.flat = FLAT * max(map(abs, self.ends))
        self.least = float("inf")  # the rise to the best copy so far

    def copies(self, method: str | None, restarts: int, enough: float) -> list[_Copy]:
        """Copies, b as it is among them; of all methods no more than it takes until one is good enough."""
        settings = self.settings()
        first = [] if method == "activations" else [self.matching(settings[0], 0)]
        none = self.scored("none", settings[0], None)
        out = [*first, none]
        if method is None and first[0].score <= enough * none.score:
            return out
        for setting in settings if method is None else settings[:1]:
            tried = first if setting is settings[0] else []
            for copy in self.others(setting, tried, method, restarts):
                tried.append(copy)
                out.append(copy)
                if method is None and copy.score <= enough * none.score:
                    return out
        return out

    def others(self, s: _Setting, tried: list[_Copy], method: str | None, restarts: int) -> Iterator[_Copy]:
        """The copies of some methods, cheap ones first; the caller adds each to those that were tried."""
        if method != "activations" and not tried:
            yield self.matching(s, 0)
        if method != "weights" and self.heard:
            yield self.scored("activations", s, self.heard)
            if method != "gradient":
                yield self.scored("activations", s, self.by_weights(s, 0, self.heard))
        for k in range(1, restarts + 1 if method != "activations" else 0):
            yield self.matching(s, k)
        if method in (None, "gradient"):
            best = min(tried, key=lambda copy: copy.score)
            yield self.scored("gradient", s, self.by_gradient(s, best.matched))

    @cached_property
    def heard(self) -> list[Step]:
        """Permutations by correlations of activations."""
        return permutations(self.cost, self.placed, *self.points)

    def matching(self, s: _Setting, k: int) -> _Copy:
        """The copy that weights find, from b (k = 0) or from a random start."""
        return self.scored("weights", s, self.by_weights(s, k))

    def settings(self) -> list[_Setting]:
        """Balanced, and as they are where there is anything to balance."""
        (a, sa), (b, sb) = (unshifted(self.group.factors, x) for x in (self.a, self.b))
        x, y = self.form.to(a), self.form.to(b)
        out = [_Setting(x, y, sb, [], [], undone(sa))]
        ba, bb = balanced(self.form.plain, x), balanced(self.form.plain, y)
        if ba[1]:
            out.insert(0, _Setting(ba[0], bb[0], sb, bb[1], undone(ba[1]), undone(sa)))
        return out

    def by_weights(self, s: _Setting, k: int, start: Sequence[Step] = ()) -> list[Step]:
        """Matching from b as it is, or from some steps, or (k > 0) from random permutations."""
        generator = torch.Generator().manual_seed(self.seed + 1000 * k)
        drawn = [Step(f, f.sample(generator)) for f in self.form.plain if f.kind == "permutation" and k > 0]
        first = [*start, *drawn]
        return [*first, *matched(self.placed, s.target, followed(first, s.x), self.seed + k)]

    def by_gradient(self, s: _Setting, start: list[Step]) -> list[Step]:
        """The target is pushed against the gradient of J halfway, and matched again; the best halfway point is kept."""
        steps, aim = list(start), {n: t.double().clone() for n, t in s.target.items()}
        size = inner(s.target, s.target) ** 0.5
        best, kept = float("inf"), steps
        for k in range(ROUNDS):
            j, gradient = self.halfway(s, steps)
            if j < best:
                best, kept = j, list(steps)
            norm = inner(gradient, gradient) ** 0.5
            if not norm > 0 or k == ROUNDS - 1:
                break
            aim = {n: t - STRIDE * size / norm * gradient[n] for n, t in aim.items()}
            steps = [*steps, *matched(self.placed, aim, followed(steps, s.x), self.seed)]
        return kept

    def halfway(self, s: _Setting, steps: Sequence[Step]) -> tuple[float, Theta]:
        """J between a and the copy, and its gradient in the coordinates of the matching."""
        x = followed(steps, s.x)
        leaf = {n: ((s.target[n] + x[n]) / 2).detach().requires_grad_() for n in s.target}
        with torch.enable_grad():
            out = followed(s.again, self.form.back(followed(s.back, leaf)))
            j = self.cost.holding(self.points[0].buffers)(self.group.point(out))
            found = torch.autograd.grad(j, list(leaf.values()), allow_unused=True)
        grads = zip(leaf.items(), found, strict=True)
        return j.item(), {n: torch.zeros_like(t) if g is None else g.double() for (n, t), g in grads}

    def whole(self, s: _Setting, steps: Sequence[Step]) -> list[Step]:
        """All steps from b's coordinates to the copy's."""
        return [*s.shifts, *self.form.real([*s.to, *steps, *s.back]), *s.again]

    def copy(self, steps: Sequence[Step]) -> tuple[Theta, Theta]:
        """Blocks and buffers of a copy: running statistics follow their units, unless both points have those of the cost."""
        if not steps:
            return dict(self.last.theta), dict(self.last.buffers)
        own = self.cost.buffers
        if all(torch.equal(own[n], p.buffers[n]) for p in (self.first, self.last) for n in own):
            return self.group.point(followed(steps, self.b)), dict(own)
        return carried(self.cost, self.group, steps, followed(steps, self.b), self.last)

    def scored(self, name: str, s: _Setting, matched: list[Step] | None) -> _Copy:
        """A copy by steps in the coordinates of the matching; None: b as it is."""
        steps = [] if matched is None else self.whole(s, matched)
        theta, buffers = self.copy(steps)
        score = self.heights(theta, buffers)
        self.least = min(score, self.least)
        self.scores[name] = min(score, self.scores.get(name, float("inf")))
        return _Copy(name, steps, matched or [], theta, buffers, score)

    def rank(self, copy: _Copy) -> tuple[float, float]:
        """Lower is better: the barrier, as far as it was looked at, then the distance; no barrier is as good as a dip."""
        return max(copy.score - self.flat, 0.0), _apart(self.first.theta, copy.theta)

    def keeps(self, copy: _Copy) -> bool:
        """Whether J at a copy is what it is at b."""
        j = value(self.cost, copy.theta, copy.buffers) if copy.steps else self.ends[1]
        return abs(j - self.ends[1]) <= SAME * (abs(j) + abs(self.ends[1]))

    def heights(self, theta: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> float:
        """How far J rises above the chord at a few places between a and a copy; below zero where it is lower.

        No more places are looked at once it rises higher than to another copy.
        """
        most = -float("inf")
        for t in PLACES:
            j = value(self.cost, between(self.first.theta, theta, t), between(self.first.buffers, buffers, t))
            gap = j - (1 - t) * self.ends[0] - t * self.ends[1]
            most = max(most, gap if gap == gap else float("inf"))
            if most > max(self.least, self.flat):
                break
        return most


def _apart(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return sum(float((a[n] - b[n]).double().square().sum()) for n in a) ** 0.5


def _statement(name: str, before: float, after: float, far: Sequence[float]) -> str:
    if name == "none":
        return "No copy of b that was tried lies better with a than b itself."
    return (
        f"A copy of b, found by its {name}, lies at {far[1]:.4g} from a (b at {far[0]:.4g}); at a quarter, half and three "
        f"quarters of the way J rises at most {after:.4g} above the straight line (with b at least {before:.4g})."
    )
