"""The laws atoms must pass.

Every claim of a row is attacked at random points with Arb balls: a law is broken only where balls separate, so that
there are no false alarms. ``check_row("aten.tanh.default")`` raises :class:`LawBroken` with the witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf, isfinite, nextafter
from random import Random
from typing import Any

from flint import arb, fmpq

from jensen.atoms import registry
from jensen.atoms.rows import Row, image
from jensen.kernel import balls, ranges
from jensen.kernel.facts import CONCAVE, CONSTANT, CONVEX, QUASICONCAVE, QUASICONVEX, UNDEFINED, Fact, Index, variable
from jensen.kernel.program import Ref
from jensen.kernel.ranges import Range
from jensen.testing.laws import LawBroken as LawBroken

BITS = 212
FAR = 40.0
Value = Callable[[Any], Any]


def _fail(op: str, attributes: Sequence[Any], law: str, *witness: Any) -> None:
    raise LawBroken(f"{op}{tuple(attributes)}: {law}: {', '.join(str(w) for w in witness)}")


def finite(r: Range, far: float = FAR) -> tuple[float, float]:
    """A bounded part of a range to sample from."""
    lo = r[0] if r[0] > -inf else min(-far, r[1] - far)
    hi = r[1] if r[1] < inf else max(far, r[0] + far)
    return lo, hi


def inside(r: Range, x: float) -> bool:
    return (r[0] < x or (r[0] == x and not r[2])) and (x < r[1] or (x == r[1] and not r[3]))


def sample(rng: Random, r: Range, special: Sequence[float] = ()) -> float:
    """A float in a range: anywhere, near an end or a special point, or at one."""
    lo, hi = finite(r)
    for _ in range(100):
        kind = rng.random()
        if kind < 0.5:
            x = rng.uniform(lo, hi)
        elif kind < 0.7 or not special:
            base, way = rng.choice([(lo, 1.0), (hi, -1.0), (0.0, rng.choice([-1.0, 1.0]))])
            x = base + way * 10.0 ** rng.uniform(-12, 1)
        else:
            base = rng.choice(special)
            x = rng.choice([base, nextafter(base, inf), nextafter(base, -inf), base + rng.uniform(-2, 2)])
        if isfinite(x) and inside(r, x):
            return x
    x = lo / 2 + hi / 2
    return x if inside(r, x) else hi if inside(r, hi) else lo


def sub_range(rng: Random, domain: Range, special: Sequence[float]) -> Range:
    """A random range inside a domain, its ends open or closed, sometimes infinite or a point."""
    a, b = sorted((sample(rng, domain, special), sample(rng, domain, special)))
    if rng.random() < 0.1:
        return (a, a, False, False)
    left = (domain[0], domain[2]) if rng.random() < 0.2 else (a, rng.random() < 0.3)
    right = (domain[1], domain[3]) if rng.random() < 0.2 else (b, rng.random() < 0.3)
    if right[0] - left[0] < 1e-300 or nextafter(nextafter(left[0], inf), inf) >= right[0]:
        return (a, b, False, False) if inside(domain, a) and inside(domain, b) else domain
    return (left[0], right[0], left[1], right[1])


def power_mean(u: Any, v: Any, t: Any, a: Index) -> Any:
    """The power mean of order a of two balls with weights t and 1 - t; of any reals for order 1 and infinite orders."""
    if a == inf:
        return u.max(v)
    if a == -inf:
        return u.min(v)
    if a == 1:
        return t * u + (1 - t) * v
    if a <= 0 and (u == 0 or v == 0):
        return arb(0)
    if a == 0:
        return (t * u.log() + (1 - t) * v.log()).exp()
    p = arb(fmpq(*(int(n) for n in _ratio(a))))
    return (t * _pow(u, p) + (1 - t) * _pow(v, p)) ** (1 / p)


def _pow(u: Any, p: Any) -> Any:
    return arb(0) if u == 0 else u**p


def _ratio(a: Index) -> tuple[int, int]:
    return a.as_integer_ratio() if isinstance(a, (int, float)) else (a.numerator, a.denominator)


def _chord(rng: Random, f: Value, r: Range, special: Sequence[float]) -> tuple[Any, ...]:
    """Two points, a weight, and the values at the points and between them."""
    x, y = sample(rng, r, special), sample(rng, r, special)
    t = arb(rng.choice([0.5, 0.5, rng.uniform(0.01, 0.99), 0.001, 0.999]))
    return x, y, t, f(arb(x)), f(arb(y)), f(t * arb(x) + (1 - t) * arb(y))


def attack(f: Value, fact: Fact, r: Range, rng: Random, tries: int, special: Sequence[float] = ()) -> str | None:
    """A violation of a fact about f on a range, or None where none was found."""
    for _ in range(tries):
        x, y, t, u, v, m = _chord(rng, f, r, special)
        wrong = violation(fact, t, u, v, m)
        if wrong:
            return f"{wrong} between {x!r} and {y!r} at t = {t}: {u}, {m}, {v}"
    return None


def violation(fact: Fact, t: Any, u: Any, v: Any, m: Any) -> str | None:
    """Which part of a fact the values u, v at the ends and m between them certainly contradict."""
    if not (u.is_finite() and v.is_finite() and m.is_finite()):
        return "a value that is not finite"
    if any(outside(fact.range, w) for w in (u, v, m)):
        return f"a value outside {ranges.show(fact.range)}"
    if fact.bits & CONSTANT:
        return None
    for bit, index in ((CONVEX, 1), (QUASICONVEX, inf)):
        if fact.bits & bit and m > power_mean(u, v, t, index):
            return f"not {index}-convex"
    for bit, index in ((CONCAVE, 1), (QUASICONCAVE, -inf)):
        if fact.bits & bit and m < power_mean(u, v, t, index):
            return f"not {index}-concave"
    if fact.vex < inf and fact.vex > -inf and m > power_mean(u, v, t, fact.vex):
        return f"not {fact.vex}-convex"
    if fact.cave > -inf and fact.cave < inf and m < power_mean(u, v, t, fact.cave):
        return f"not {fact.cave}-concave"
    return None


def outside(r: Range, value: Any) -> bool:
    """Whether a ball certainly lies outside a range."""
    low = value <= r[0] if r[2] and r[0] > -inf else value < r[0] if r[0] > -inf else False
    high = value >= r[1] if r[3] and r[1] < inf else value > r[1] if r[1] < inf else False
    return bool(low or high)


def breakpoints(row: Row) -> list[float]:
    """The finite ends of a row's pieces and claims."""
    ends = [e for part in (row.mono, row.vex, row.cave) for piece in part for e in piece[:2]]
    return sorted({e for e in (*ends, *row.domain[:2]) if isfinite(e)})


def check_row(op: str, attributes: Sequence[Any] = (), seed: int = 0, tries: int = 40) -> None:
    """All laws of one registered row with the given attributes."""
    build = registry().atoms[op].row
    if build is None:
        raise ValueError(f"{op} has no row")
    row = build(*attributes)
    rng = Random(f"{op}{attributes}{seed}")
    with balls.precision(BITS):
        for law in LAWS:
            for witness in law(row, rng, tries):
                _fail(op, attributes, law.__name__.strip("_").replace("_", " "), *witness)


def _pieces_cover_the_domain(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    if row.mono[0][0] != row.domain[0] or row.mono[-1][1] != row.domain[1]:
        yield ("ends", row.mono, row.domain)
    for left, right in zip(row.mono, row.mono[1:], strict=False):
        if left[1] != right[0]:
            yield ("a gap", left, right)


def _pieces_are_monotone(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    for a, b, d in row.mono:
        r = ranges.intersect((a, b, False, False), row.domain)
        if d is None or r[0] > r[1]:
            continue
        for _ in range(tries):
            x, y = sorted((sample(rng, r), sample(rng, r)))
            u, v = row.ball(arb(x)), row.ball(arb(y))
            if (d >= 0 and u > v) or (d <= 0 and u < v) or (abs(d) == 2 and x < y and u == v and u.is_exact()):
                yield (a, b, d, x, y, u, v)


def _claims_of_curvature(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    special = breakpoints(row)
    for claims, sign in ((row.vex, 1), (row.cave, -1)):
        for a, b, i in claims:
            r = ranges.intersect(ranges.make(a, b), row.domain)
            for _ in range(2 * tries if r[0] < r[1] else 0):
                x, y, t, u, v, m = _chord(rng, row.ball, r, [s for s in special if a <= s <= b])
                if i not in (1, inf, -inf) and (u < 0 or v < 0 or m < 0):
                    yield ("negative values", a, b, i, x, y)
                elif (m - power_mean(u, v, t, i)) * sign > 0:
                    yield (a, b, i, x, y, t, u, m, v)


def _images_contain_values(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    special = breakpoints(row)
    for _ in range(tries):
        r = sub_range(rng, row.domain, special)
        values = image(row, r)
        for _ in range(4):
            x = sample(rng, r, [s for s in special if inside(r, s)])
            if inside(r, x) and (outside(values, row.ball(arb(x))) or outside(row.bounds, row.ball(arb(x)))):
                yield (ranges.show(r), ranges.show(values), x, row.ball(arb(x)))


def _balls_enclose(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    special = breakpoints(row)
    for _ in range(tries):
        x = sample(rng, row.domain, special)
        y = sample(rng, row.domain, special) if rng.random() < 0.2 else x * (1 + 10.0 ** rng.uniform(-20, -1))
        if not inside(row.domain, y):
            continue
        whole = row.ball(arb(x).union(arb(y)))
        for t in (0.0, 1.0, rng.random()):
            value = row.ball(arb(t) * arb(x) + (1 - arb(t)) * arb(y))
            if not whole.is_nan() and whole.is_finite() and not whole.overlaps(value):
                yield (x, y, t, whole, value)


def _undefined_outside(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    for end, is_open, way in ((row.domain[0], row.domain[2], -1.0), (row.domain[1], row.domain[3], 1.0)):
        if not isfinite(end):
            continue
        points = [end + way * s for s in (1e-9, 0.1, 1.0)] + ([end] if is_open else [])
        for x in points:
            if row.ball(arb(x)).is_finite():
                yield (x, row.ball(arb(x)))


def _limits_are_reached(row: Row, rng: Random, tries: int) -> Iterator[tuple[Any, ...]]:
    ends = ((row.domain[0], row.domain[2], 1.0, row.limits[0]), (row.domain[1], row.domain[3], -1.0, row.limits[1]))
    for end, is_open, way, limit in ends:
        if not is_open:
            continue
        xs = [-way * 2.0**k for k in (3, 6, 9)] if not isfinite(end) else [end + way * 2.0**-k for k in (8, 24, 48)]
        values = [row.ball(arb(x)) for x in xs]
        if isfinite(limit):
            gaps = [abs(v - arb(limit)) for v in values]
            if gaps[2] > 0.05 or gaps[2] * 2 > gaps[0] > 0:
                yield (end, limit, values)
        elif not (values[2] - values[0]) * (1 if limit > 0 else -1) > 0:
            yield (end, limit, values)


LAWS = (
    _pieces_cover_the_domain,
    _pieces_are_monotone,
    _claims_of_curvature,
    _images_contain_values,
    _balls_enclose,
    _undefined_outside,
    _limits_are_reached,
)


def check_facts(
    op: str, attributes: Sequence[Any] = (), domain: Range = ranges.REALS, seed: int = 0, tries: int = 60
) -> int:
    """Attack what an operation of one variable says of affine arguments on random ranges; how often it said something."""
    atom = registry().atoms[op]
    rng = Random(f"facts {op}{attributes}{seed}")
    special = (
        breakpoints(atom.row(*attributes))
        if atom.row
        else [0.0, 1.0, -1.0, 0.5, 20.0, 1.5707963267948966, 3.141592653589793]
    )
    said = 0

    def value(x: Any) -> Any:
        return atom.balls(balls.as_objects(x, ()), *attributes).item()

    with balls.precision(BITS):
        for _ in range(tries):
            r = sub_range(rng, domain, special)
            fact = atom.facts((Ref(0), *attributes), [variable(r)], [()], 1)
            if fact is UNDEFINED:
                continue
            said += 1
            wrong = attack(value, fact, r, rng, 6, [s for s in special if inside(r, s)])
            if wrong:
                _fail(op, attributes, f"the fact on {ranges.show(r)}", wrong)
    return said


def check_torch(
    op: str, attributes: Sequence[Any] = (), domain: Range = ranges.REALS, seed: int = 0, tries: int = 40
) -> None:
    """The ball reading agrees with torch's, to 1e-12."""
    import torch

    from jensen.linalg.torch_reading import function

    atom = registry().atoms[op]
    rng = Random(f"torch {op}{attributes}{seed}")
    special = breakpoints(atom.row(*attributes)) if atom.row else [0.0, 1.0]
    for _ in range(tries):
        x = sample(rng, (max(domain[0], -30.0), min(domain[1], 30.0), domain[2], domain[3]), special)
        theirs = float(function(op)(torch.tensor(x, dtype=torch.float64), *attributes))
        if not isfinite(theirs):  # beyond floats
            continue
        with balls.precision(BITS):
            ours = float(atom.balls(balls.as_objects(arb(x), ()), *attributes).item())
        if not abs(theirs - ours) <= 1e-12 * abs(ours) + 1e-14 * (1 + abs(x)):
            _fail(op, attributes, "torch's value", x, theirs, ours)
