"""Add mu / 2 |theta|^2: the smallest weight with which the cost is proved convex, everywhere or on a stated box.

For small costs: quadratics of at most 96 numbers, rational functions of one number, and anything with known derivatives
on a box of at most six numbers. The curvature at sampled points bounds mu from below; the kernel's proofs, found by
bisection on a ladder of weights above that bound, from above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.box import around, enclosable, words
from jensen.ask.remedies.changed import arguments, with_penalty
from jensen.ask.remedies.edit import Edit, Names, count
from jensen.ask.remedies.ground import Ground, proof
from jensen.ask.remedies.surgery import penalised
from jensen.errors import Misuse
from jensen.finding import Finding
from jensen.kernel.check import Box, Claim
from jensen.kernel.claims import box, quadratic
from jensen.kernel.ranges import number
from jensen.linalg.flat import Flat
from jensen.linalg.torch_reading import program_value
from jensen.trace import trace

POINTS = 64
STEPS = (1000, 1001, 1010, 1030, 1100, 1250, 1500, 2000, 3000, 4000, 6000, 8000, 16000, 64000, 256000)
LADDER = [Fraction(k, 1000) for k in STEPS]
FIRST, FIRST_ENCLOSED = STEPS.index(2000), STEPS.index(16000)  # a proof by enclosures fails slowly and succeeds fast
SIZE = 1.0
SHARE = 0.4  # of the time for all kinds


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that adds a penalty, and why there is none."""
    n = count(ground.problem, ground.names)
    if n > quadratic.LIMIT:
        return [], f"tried for at most {quadratic.LIMIT} parameters, and this cost has {n:,}"
    ground = ground.part(SHARE)
    for within, methods in _places(ground):
        least = _curvature(ground, within)
        found = None if least is None or (within and not least) else _smallest(ground, within, methods, least)
        if found is not None:
            mu, finding = found
            remedy = _remedy(ground, within, mu, finding, least or 0.0)
            if remedy is not None:
                return [remedy], ""
    if not enclosable(ground.problem):
        return [], "no weight makes it a convex quadratic, and it is too large for a proof by enclosures on a box"
    return [], "no weight was found with which the kernel accepts a proof"


def _places(ground: Ground) -> Iterator[tuple[Box, tuple[str, ...]]]:
    """Where to ask, and with which proofs: everywhere, unless a box is asked about; then on a box."""
    if not ground.within:
        yield {}, ("rules", "quadratic", "rational")
    elif set(ground.within) == set(ground.names):
        yield ground.within, ("rules", "quadratic", "rational")
    if enclosable(ground.problem):
        yield {**around(ground), **ground.within}, ("rational", "box")


def _curvature(ground: Ground, within: Box) -> float | None:
    """The lowest eigenvalue of the Hessian that was seen, with its sign turned; None where there is none everywhere."""
    lowest, flat = 0.0, Flat(ground.problem.blocks)
    try:
        for theta in _points(ground, within):
            matrix = torch.func.hessian(lambda v: program_value(ground.problem, flat.split(v)))(theta)
            if not torch.isfinite(matrix).all():
                return None
            lowest = min(lowest, float(torch.linalg.eigvalsh(matrix)[0]))
    except (RuntimeError, NotImplementedError):
        return None
    return -lowest


def _points(ground: Ground, within: Box) -> Iterator[Tensor]:
    """The current point, the box's centre and ends, and random points."""
    generator = torch.Generator().manual_seed(1906)
    current = Flat(ground.problem.blocks).join(ground.cost.theta)
    lo, hi = (
        torch.cat([torch.as_tensor(within[n][k] if n in within else np.full(s, e)).reshape(-1) for n, s in ground.problem.blocks.items()])
        for k, e in ((0, -4.0), (1, 4.0))
    )  # fmt: skip
    lo, hi = lo.clamp(min=-1e3), hi.clamp(max=1e3)
    yield current.clamp(lo, hi)
    yield (lo + hi) / 2
    yield from (lo, hi)
    few = POINTS if len(current) <= box.VARIABLES else 8
    for k in range(few):
        t = torch.rand(len(current), generator=generator, dtype=torch.float64)
        t = t.round() if k % 4 == 3 else t
        yield lo + (hi - lo) * t


def _smallest(ground: Ground, within: Box, methods: tuple[str, ...], least: float) -> tuple[Fraction, Finding] | None:
    """The smallest weight that the kernel accepts, on a ladder above the least that the sampled curvature allows."""
    rungs = [_short(Fraction(least if least > 0 else 0.001) * f) for f in LADDER]
    low, high = 0, len(rungs) - 1
    best: tuple[Fraction, Finding] | None = None
    middle = FIRST_ENCLOSED if "box" in methods else FIRST
    while low <= high and not ground.late():
        finding = _accepted(ground, within, methods, rungs[middle])
        if finding is None:
            low = middle + 1
        else:
            best, high = (rungs[middle], finding), middle - 1
        middle = (low + high) // 2
    return best


def _short(mu: Fraction) -> Fraction:
    """A number of six decimal digits next to this one, from above; float noise below the last digit is dropped."""
    if mu <= 0:
        return mu
    digits = 10 ** max(6 - len(str(int(mu))) if mu >= 1 else 6, 0)
    scaled = mu * digits
    whole = int(scaled + Fraction(1, 1000))
    return Fraction(whole + (1 if scaled - whole > Fraction(1, 1000) else 0), digits)


def _accepted(ground: Ground, within: Box, methods: tuple[str, ...], mu: Fraction) -> Finding | None:
    problem = penalised(ground.problem, ground.names, mu)
    return proof(problem, Claim("convex", ground.names, within), methods)


def _remedy(ground: Ground, within: Box, mu: Fraction, finding: Finding, least: float) -> Remedy | None:
    """The remedy on the cost itself, traced and proved again."""
    weight = float(mu)

    def extra(blocks: Mapping[str, Tensor]) -> Tensor:
        return weight / 2 * sum((blocks[n].square().sum() for n in ground.names), torch.zeros((), dtype=torch.float64))

    try:
        cost = with_penalty(ground.cost, extra)
        problem = trace(cost).problem
    except Misuse:
        return None
    where = f"and keep to the box {words(within)}" if within else "and it is convex everywhere"
    text = f"add mu / 2 times the sum of the squares of all parameters with mu = {number(weight)}, {where}"
    price = (
        f"the minimum moves towards zero{', and nothing is said outside the box' if within else ''}; "
        f"curvature seen at sampled points asks for mu >= {least:.6g}"
    )
    edit = Edit("penalty", text, price, SIZE, (), _code(ground, weight))
    methods = (str(finding.evidence["method"]), "rules")
    return ground.offer(edit, problem, ground.names, cost=cost, within=within, methods=methods)


def _code(ground: Ground, weight: float) -> Names:
    if ground.function:
        names = ", ".join(ground.names)
        squares = " + ".join(f"{n}.square().sum()" for n in ground.names)
        values = ", ".join(f"{n}={n}" for n in ground.names)
        text = f"cost = jensen.Cost.of(lambda {names}: f({names}) + {weight / 2!r} * ({squares}), {values})"
        return f"# f is your function, and {names} its values", text
    old = "penalty(blocks) + " if ground.cost._penalty is not None else ""
    term = f"{weight / 2!r} * sum(t.square().sum() for t in blocks.values())"
    return (f"cost = jensen.Cost(model, loss, data, penalty=lambda blocks: {old}{term}{arguments(ground.cost)})",)
