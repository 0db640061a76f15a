"""``jensen.equivalent``: is one trained network another one in disguise?

First losses are compared, on data and on random inputs: an input on which they differ settles that there is no move.
Then a move is looked for: both points in normal form under all that is continuous, permutations by refinement of colours,
signs by a spanning forest, continuous factors once more by least squares; and the move is replayed on a itself. Weight
matching alone would not do: on exactly permuted residual networks it finds local optima.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from jensen.ask.equivalence.answer import Equivalence, Sameness
from jensen.ask.equivalence.canonical import Normal, Theta, followed, normal, undone, unshifted
from jensen.ask.equivalence.formal import Formal, formal
from jensen.ask.equivalence.frames import rewritten
from jensen.ask.equivalence.intertwine import intertwined
from jensen.ask.equivalence.layout import Placed, placed
from jensen.ask.equivalence.match import Search, matches
from jensen.ask.equivalence.polish import distance, polished
from jensen.ask.equivalence.probe import Comparison, Prober, Witness
from jensen.ask.paths.points import Point, read
from jensen.ask.symmetry.find import symmetries as read_symmetries
from jensen.ask.symmetry.group import MATRICES, Move, Step
from jensen.cost import Cost
from jensen.errors import Misuse

# of the moved point, relative to the largest entry of each block
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-5}
DIGITS = 1e-5  # of it, to which moves are refined
DISCRETE = ("permutation", "sign", "flip")
CLOSE = (1e-9, 1e-6, 1e-4)  # of fingerprints, tried in turn
REPEATS = 12  # of the linear system, while each leaves less than half of the difference
NEAR = 1e-3  # of a difference: normal forms did their work
FIRST = 3  # of them, in which a large system may still be far off
STRANGER = "the move that was found changes a loss: the group told is not that of this cost"
LEAVES = 24  # complete matchings tried


def equivalent(
    cost: Cost, a: Any, b: Any, *, symmetries: Any = None, tolerance: float | None = None, seed: int = 0
) -> Equivalence:
    """Whether an element of the cost's group carries a to b.

    Args:
        cost: A :class:`jensen.Cost`.
        a, b: Dicts of tensors named like the blocks, or modules of the cost's architecture (with their buffers).
        symmetries: The answer of :func:`jensen.symmetries`, where it is there already.
        tolerance: How near the moved a must come to b, relative to the largest entry of each block; 1e-8 for points given
            in float64, 1e-5 in float32. Where it is given, losses may differ by what such a distance explains.
        seed: Of the random inputs.

    Raises:
        Misuse: For points that are no points of this cost.
    """
    begun = time.perf_counter()
    precision = _precision(a, b)
    first, last = read(cost, a, "a"), read(cost, b, "b")
    enough = TOLERANCE[precision] if tolerance is None else tolerance
    prober = Prober(cost, precision, seed)
    compared = prober.compare(first, last, 0.0 if tolerance is None else tolerance)
    if compared.witness is not None:
        return _different(compared.witness, compared, begun)
    try:
        group = read_symmetries(cost, data=False) if symmetries is None else symmetries
    except Misuse as e:
        return _open(_Found(reason=str(e)), compared, begun)
    found = _found(cost, group, first, last, enough)
    if found.move is not None:
        start = rewritten(cost, group.frames, first)
        moved = Point(found.move.act(start.theta), start.buffers)
        replay = prober.replay(moved, found.distance)
        if replay.witness is None and compared.unsure:
            compared = prober.compare(first, last, 0.0 if tolerance is None else tolerance, closely=True)
            replay = prober.replay(moved, found.distance)
        if compared.witness is None and replay.witness is None and not compared.unsure:
            return _same(found, compared, enough, begun)
        found.reason = _doubt(found, compared) if replay.witness is None else STRANGER
        found.move = None
    more = prober.search(first, last, 0.0 if tolerance is None else tolerance)
    compared = more.after(compared)
    return _open(found, compared, begun) if more.witness is None else _different(more.witness, compared, begun)


def _precision(*things: Any) -> torch.dtype:
    """The coarsest float type in which the points were given, float64 or float32."""
    tensors: list[Any] = []
    for thing in things:
        tensors += list(thing.parameters()) if isinstance(thing, nn.Module) else []
        tensors += [t for t in thing.values() if isinstance(t, Tensor)] if isinstance(thing, Mapping) else []
    coarse = any(t.is_floating_point() and t.dtype != torch.float64 for t in tensors)
    return torch.float32 if coarse else torch.float64


@dataclass
class _Found:
    """What the search came to."""

    move: Move | None = None
    distance: float = float("inf")
    trials: int = 0
    reason: str = ""


def _found(cost: Cost, group: Any, first: Point, last: Point, enough: float) -> _Found:
    """The move, where the search finds one that brings a near enough to b."""
    a, b = (rewritten(cost, group.frames, p).theta for p in (first, last))
    found = _Found()
    if distance(a, b) == 0:
        return _Found(Move((), group.frames), 0.0)
    pair = _pair(group, a, b)
    for close in CLOSE:
        search = Search(close)
        for steps in islice(_candidates(pair, search, enough), LEAVES):
            move = Move(tuple(steps), group.frames)
            gap = distance(move.act(a), b)
            if gap < found.distance:
                found.distance = gap
                found.move = move if gap <= enough else None
            if found.move is not None:
                break
        found.trials += search.trials
        if found.move is not None:
            return found
        found.reason = _why(search, found)
    return found


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both points, first and last, without shifts in plain coordinates, and their normal forms; what all candidates share.

    Attributes:
        shifts: The steps that take away the shifts of the first, and of the last.
    """

    form: Formal
    places: tuple[Placed, ...]
    first: Theta
    last: Theta
    shifts: tuple[list[Step], list[Step]]
    normals: tuple[Normal, Normal]


def _pair(group: Any, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> _Pair:
    form = formal(group.factors)
    (x, shifts), (y, other) = (unshifted(group.factors, group.coordinates(p)) for p in (a, b))
    first, last = form.to(x), form.to(y)
    places = placed(form.plain, {n: tuple(t.shape) for n, t in first.items()})
    return _Pair(form, places, first, last, (shifts, other), (normal(form.plain, first), normal(form.plain, last)))


def _candidates(pair: _Pair, search: Search, enough: float) -> Iterator[list[Step]]:
    """Complete moves from the first point to the last as lists of steps, the best guesses first."""
    left, right = pair.normals
    for steps in matches(pair.places, left.coordinates, right.coordinates, search):
        whole = [*left.steps, *steps, *undone(right.steps)]
        plain = [s for s in steps if s.factor.kind in DISCRETE]
        whole = _finished(pair, (whole, plain), enough * DIGITS)
        yield [*pair.shifts[0], *pair.form.real(whole), *undone(pair.shifts[1])]


def _finished(pair: _Pair, starts: Sequence[list[Step]], enough: float) -> list[Step]:
    """A start and continuous steps after it that bring the first point to the last: by the linear system, or one by one.

    Normal forms lead near at once, but are ill-conditioned where the orbit is not closed (matrices that are read in fewer
    directions than they are written). The linear system does not need them, so it also starts without, where there are any.
    """
    best, gap = starts[0], distance(followed(starts[0], pair.first), pair.last)
    order = starts if gap < NEAR else starts[::-1]
    order = order if any(f.kind in MATRICES for f in pair.form.plain) else starts[:1]
    for seed in (None, 0):
        for start in order:
            if gap > enough:
                steps, now = _solved(pair, start, seed, enough)
                best, gap = (steps, now) if now < gap else (best, gap)
    x = followed(best, pair.first)
    return [*best, *polished(pair.form.plain, x, pair.last, enough)]


def _solved(pair: _Pair, start: list[Step], seed: int | None, enough: float) -> tuple[list[Step], float]:
    """A start and solutions of the linear system after it, each from where the last one led; and what difference is left."""
    steps, x = list(start), followed(start, pair.first)
    best, gap = steps, distance(x, pair.last)
    for k in range(REPEATS):
        more = intertwined(pair.places, x, pair.last, seed if k == 0 else None)
        x, steps, before = followed(more, x), [*steps, *more], gap
        now = distance(x, pair.last)
        if now < gap:
            best, gap = steps, now
        if not more or now <= enough or (k >= FIRST and now > before / 2):
            break
    return best, gap


def _why(search: Search, found: _Found) -> str:
    if search.exhausted:
        return f"{search.trials} ways to tell tied units apart were tried, and there are more"
    if found.distance < float("inf"):
        return f"the nearest move leaves a difference of {found.distance:.2g}, relative to the largest entry of a block"
    return f"the units of {search.differ or 'some layer'} have other fingerprints in the two points"


def _doubt(found: _Found, compared: Comparison) -> str:
    return (
        f"a move leaves a difference of {found.distance:.2g}, relative to the largest entry of a block, and a loss differs by "
        f"{compared.beyond:.2g} times what the last digits of the parameters do, too much for rounding and too little to "
        f"tell; where such points count as one, say so by tolerance="
    )


def _evidence(found: _Found | None, compared: Comparison) -> dict[str, Any]:
    figures: dict[str, Any] = {"tried": compared.tried, "largest": compared.largest}
    return figures if found is None else {"distance": found.distance, **figures, "trials": found.trials}


def _different(w: Witness, compared: Comparison, begun: float) -> Equivalence:
    a, b = w.losses
    place = "on the data of the cost" if w.x is None else "on an input"
    statement = f"No move of the group carries a to b: {place} the losses are {a:.10g} and {b:.10g}."
    reason = (
        f"no element of the group changes a loss; these differ by {abs(a - b):.2g}, rounding explains {w.noise:.2g}"
    )
    return Equivalence(
        Sameness.INEQUIVALENT, None, statement, reason, w, _evidence(None, compared), time.perf_counter() - begun
    )


def _same(found: _Found, compared: Comparison, enough: float, begun: float) -> Equivalence:
    statement = f"A move of the group carries a to b, to {found.distance:.2g} of the largest entry of each block."
    reason = (
        f"it was replayed on a: the result is b within {enough:.2g}, and {compared.tried} losses, on data and on random "
        f"inputs, agree within what rounding explains"
    )
    return Equivalence(
        Sameness.EQUIVALENT,
        found.move,
        statement,
        reason,
        None,
        _evidence(found, compared),
        time.perf_counter() - begun,
    )


def _open(found: _Found, compared: Comparison, begun: float) -> Equivalence:
    agree = "differ by little more than rounding" if compared.unsure else "agree"
    statement = f"Not known: all {compared.tried} losses that were tried {agree}, but no move was found."
    return Equivalence(
        Sameness.UNKNOWN, None, statement, found.reason, None, _evidence(found, compared), time.perf_counter() - begun
    )
