"""How many different ends there are: ends are one where a move of the cost's symmetry group takes one to the other.

That two values are equal does not make two points one: different functions can tie. That no move was found does not make
them two: a matching can fail. So pairs are the same (a move was found that takes one onto the other, as closely as they
were polished), different (their values differ by more than rounding, their Hessians have other signs, or an invariant of
the group differs), or undecided; and a count with undecided pairs is an interval.

Ends with more zero modes than the group explains (a manifold of minimisers, say, as where a network interpolates) may be
different points of one connected set: these are counted by value, and said to be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

import jensen
from jensen.ask.minima import automorphisms, finite, matching
from jensen.ask.minima.end import End
from jensen.cost import Cost
from jensen.errors import Misuse

POINTS = ("minimum", "saddle", "maximum", "degenerate")  # kinds that are points; the others are counted together
CANCELLED = 64 * 2.0**-52  # relative to J where runs start: values that differ by less may tie
ROUNDING, APART = 64 * 2.0**-52, 1e-6  # relative to the parameters: what ends at least differ by; what polishing leaves
RELATIVE, LOUD = 1e-9, 1e3  # the least tolerance of a match, and how much more losses of two ends must differ by
EQUAL = 1e-8  # of the largest entry: entries that differ by less are equal where a point's stabiliser is asked for
MOST = 12  # classes of one value that an end is compared with by a search for moves
SLACK = 16.0  # times the distance to the exact critical point that polishing left

Theta = Mapping[str, Tensor]


@dataclass(frozen=True)
class Group:
    """What is known of a cost's symmetry.

    Attributes:
        words: ``modulo 3!·2^3``, or ``modulo nothing: ...`` with the reason.
        known: Whether there is a group to count by.
        dimension: Of its continuous part; more zero modes than that, and a critical point is not known to be isolated.
        same: Whether a move takes one point to within a distance of another: True, False (an invariant differs), or None.
        orbit: How many copies of a point there are, entries no further apart than a distance being equal; None where that is
            not known.
        canonical: A representative of a point's orbit; points with one representative are the same.
    """

    words: str
    known: bool
    dimension: int
    same: Callable[[Theta, Theta, float], bool | None]
    orbit: Callable[[Theta, float], int | None]
    canonical: Callable[[Theta], Theta] = dict


@dataclass
class Class:
    """Ends that are one, by their places in the list; ``open`` counts the classes that it may be the same as."""

    members: list[int]
    counted: str
    open: int = 0


def classes(ends: Sequence[End], group: Group, scale: float = 0.0) -> list[Class]:
    """The ends, sorted into classes; the first member of each stands for it.

    Args:
        ends: Of one cost.
        group: Its symmetry.
        scale: Of J where runs start: where terms of this size cancel, rounding is relative to it.
    """
    found: list[Class] = []
    for where in _ties(ends, scale):
        first = ends[where[0]]
        if first.kind not in POINTS:
            found.append(Class(where, "together"))
        elif first.zero_modes > group.dimension:
            found.append(Class(where, "by value"))
        else:
            found += _modulo(ends, where, group)
    return found


def _ties(ends: Sequence[End], scale: float) -> list[list[int]]:
    """Ends of one kind and index whose values may be equal; kinds that are no points, each in one list."""
    keyed: dict[tuple[Any, ...], list[int]] = {}
    for k, end in enumerate(ends):
        key = (end.kind, end.index, end.zero_modes) if end.kind in POINTS else (end.kind,)
        keyed.setdefault(key, []).append(k)
    ties = []
    for key, where in keyed.items():
        ties += _by_value(ends, where, scale) if key[0] in POINTS else [where]
    return ties


def _by_value(ends: Sequence[End], where: Sequence[int], scale: float) -> list[list[int]]:
    """Cut where neighbours differ by more than their errors."""
    order = sorted(where, key=lambda k: (ends[k].value, k))
    runs = [[order[0]]]
    for a, b in pairwise(order):
        if ends[b].value - ends[a].value > _blur(ends[a], scale) + _blur(ends[b], scale):
            runs.append([])
        runs[-1].append(b)
    return [sorted(r) for r in runs]


def _blur(end: End, scale: float) -> float:
    """How far the value at the exact critical point may lie from the one computed."""
    return 4 * end.error + end.gradient_norm * left(end) + CANCELLED * max(abs(end.value), abs(scale))


def left(end: End) -> float:
    """How far the exact critical point may be, to first order: the gradient, rounding included, by the flattest direction.

    Directions within the band of zero modes are not counted; in them the last step of Newton's method tells.
    """
    told = end.evidence
    slope = max(end.gradient_norm, float(told.get("noise", [0.0, 0.0])[1]))
    bent = [abs(float(v)) for v in told.get("lowest", ()) if abs(float(v)) > float(told.get("band", 0.0))]
    step = float(told.get("newton_step", 0.0))
    return max(slope / min(bent) if bent else 0.0, step if math.isfinite(step) else 0.0)


def _modulo(ends: Sequence[End], where: Sequence[int], group: Group) -> list[Class]:
    """One tie: by distance to every point met before and to its representative, which is cheap; then by moves."""
    counted = "modulo symmetry" if group.known else "as points"
    kinds = (torch.stack([_flat(f(ends[k].theta)) for k in where]) for f in (dict, group.canonical))
    points, forms = (torch.nan_to_num(t, nan=math.inf) for t in kinds)
    near = [tolerance(ends[k]) for k in where]
    owners: list[Class] = []  # of the points met before
    found: list[Class] = []
    for row, k in enumerate(where):
        one, undecided = _met(points, near, row, owners) or _met(forms, near, row, owners), 0
        if one is None:
            one, undecided = _moved_to(ends, k, _nearest(found, forms, row, where), group)
        if one is None:
            one = Class([], counted, undecided)
            found.append(one)
        one.members.append(k)
        owners.append(one)
    return found


def _flat(theta: Theta) -> Tensor:
    return torch.cat([t.reshape(-1) for t in theta.values()])


def _met(points: Tensor, near: Sequence[float], row: int, owners: Sequence[Class]) -> Class | None:
    """The class of an earlier point that is this one."""
    apart = (points[:row] - points[row]).norm(dim=1).tolist()
    return next((owners[i] for i, d in enumerate(apart) if d <= near[i] + near[row]), None)


def _nearest(found: Sequence[Class], forms: Tensor, row: int, where: Sequence[int]) -> list[Class]:
    """Classes, those first whose representative is nearest."""
    place = {k: i for i, k in enumerate(where[:row])}
    apart = (forms[:row] - forms[row]).norm(dim=1).nan_to_num(nan=math.inf).tolist()
    return sorted(found, key=lambda c: apart[place[c.members[0]]])


def _moved_to(ends: Sequence[End], k: int, found: Sequence[Class], group: Group) -> tuple[Class | None, int]:
    """The class that a move takes this end to; with how many it is not decided, those among them that were not tried."""
    undecided = 0
    for tried, one in enumerate(found):
        first = ends[one.members[0]]
        asked = not group.known or tried < MOST
        same = group.same(first.theta, ends[k].theta, tolerance(first) + tolerance(ends[k])) if asked else None
        if same:
            return one, 0
        undecided += same is None
    return None, undecided


def tolerance(end: End) -> float:
    """How far the end may be from the exact critical point, and not so far that another could lie there."""
    length = math.sqrt(sum(float((t * t).sum()) for t in end.theta.values()))
    return min(max(SLACK * left(end), ROUNDING * max(length, 1.0)), APART * max(length, 1.0))


def settled(end: End) -> Theta:
    """The point with 0 where it cannot be told from 0: what a symmetry fixes is then seen to be fixed."""
    near = tolerance(end)
    return {n: torch.where(t.abs() <= near, torch.zeros_like(t), t) for n, t in end.theta.items()}


def symmetries_of(cost: Cost, asked: Any = None) -> Any:
    """The answer of ``jensen.symmetries``, or the reason why there is none.

    Args:
        cost: The cost.
        asked: That answer, where there is one already.
    """
    if hasattr(asked, "factors"):
        return asked
    try:
        return jensen.symmetries(cost, completeness=False, data=False)
    except Misuse as e:
        return " ".join(str(e).split())


def group_of(cost: Cost, found: Any) -> Group:
    """What to count by.

    Args:
        cost: The cost.
        found: The answer of ``symmetries_of``.
    """
    if isinstance(found, str):
        return _nothing(f"the symmetry group is not known ({found})")
    if not found.factors:
        return _nothing(_unread(found) or "this cost has no symmetry that could be read off")
    more = f"; {_unread(found)}" if _unread(found) else ""
    turns = finite.turning(cost) if finite.small(found) else ()
    same, orbit = partial(_moved, cost, found, turns), partial(_copies, found, turns)
    more += f"; whole turns of {', '.join(turns)} do not count" if turns else ""
    wide = f" in {found.dimension} dimensions" if found.dimension else ""
    return Group(
        f"modulo {found.words}{wide}{more}",
        True,
        found.dimension,
        same,
        orbit,
        partial(_representative, found),
    )


def _representative(found: Any, theta: Theta) -> Theta:
    """That of the point's orbit; the point itself where it would be in the closure, which other orbits share."""
    form, reached = found.represented(dict(theta))
    return form if reached else theta


def _unread(found: Any) -> str:
    """What may be missing from a group."""
    unread = tuple(getattr(found, "unread", ()))
    return f"there may be more symmetry: {', '.join(unread)} could not be read" if unread else ""


def _moved(cost: Cost, found: Any, turns: Sequence[str], a: Theta, b: Theta, near: float) -> bool | None:
    """Whether a move takes a to b; that losses differ counts where polishing cannot be the reason.

    A small group is gone through, which decides: what two ends are told apart by is the group that was found.
    """
    if finite.small(found):
        return finite.apart(found, a, b, turns) <= near
    size = max(float(t.abs().max()) for t in b.values() if t.numel())
    relative = max(near / max(size, 1e-300), RELATIVE)
    answer = jensen.equivalent(cost, dict(a), dict(b), symmetries=found, tolerance=relative)
    if answer.verdict == "EQUIVALENT" or matching.moved(found, a, b, near):
        return True
    return False if answer.verdict == "INEQUIVALENT" and _plain(answer.witness, relative) else None


def _plain(witness: Any, relative: float) -> bool:
    """Whether two losses differ by more than parameters so far apart, relatively, make them."""
    one, other = witness.losses
    return abs(one - other) > LOUD * relative * max(abs(one), abs(other))


def _copies(found: Any, turns: Sequence[str], theta: Theta, away: float) -> int | None:
    """Pieces of the point's orbit, [G : G°·Stab]; None where rotations and permutations that act together hide it."""
    near = max(2 * away, EQUAL * max(float(t.abs().max()) for t in theta.values() if t.numel()))
    if finite.small(found):
        return found.order // finite.fixing(found, theta, near, turns)
    if not found.frames and all(f.kind == "permutation" for f in found.factors):
        fixed = automorphisms.fixing(found, theta, near)
        return None if fixed is None else found.order // fixed
    turned, exchanged = (
        {b for f in found.factors if f.kind == k for b in f.blocks} for k in ("orthogonal", "permutation")
    )
    return None if turned & exchanged else int(found.stabiliser(dict(theta)).copies)


def _nothing(reason: str) -> Group:
    """No group: different points are different."""
    return Group(f"modulo nothing: {reason}", False, 0, lambda a, b, near: False, lambda theta, away: None)


def joined(blocks: Mapping[str, tuple[int, ...]], thetas: Sequence[Theta]) -> dict[str, Tensor]:
    """Points as one tensor a block, as a journal keeps them."""
    return {n: torch.stack([t[n] for t in thetas]) for n in blocks}
