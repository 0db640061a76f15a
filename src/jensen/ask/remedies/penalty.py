"""Add mu / 2 |theta|^2: the smallest weight with which the cost is proved convex, everywhere or on a stated box.

For small costs: quadratics of at most 96 numbers, rational functions of one number, and anything with known derivatives
on a box of at most six numbers. The curvature at sampled points bounds mu from below; the kernel's proofs, found by
bisection on a ladder of weights above that bound, from above.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function, with_penalty
from jensen.ask.remedies.ground import Ground, count, proof
from jensen.ask.remedies.surgery import penalised
from jensen.errors import Misuse
from jensen.finding import Finding
from jensen.kernel.check import Box, Claim
from jensen.kernel.claims import box as boxes
from jensen.kernel.claims import quadratic
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import program_value

POINTS = 64
LADDER = [Fraction(k, 1000) for k in (1000, 1001, 1010, 1030, 1100, 1250, 1500, 2000, 4000, 16000, 256000)]
SIZE = 1.0
SHARE = 0.4  # of the time for all kinds


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that adds a penalty, and why there is none."""
    n = count(ground.problem, ground.names)
    if n > quadratic.LIMIT:
        return [], f"tried for at most {quadratic.LIMIT} parameters, and this cost has {n:,}"
    ground = replace(ground, stop=min(ground.stop, time.perf_counter() + SHARE * (ground.stop - ground.start)))
    for within, methods in _places(ground, n):
        least = _curvature(ground, within)
        found = None if least is None else _smallest(ground, within, methods, least)
        if found is not None:
            mu, finding = found
            remedy = _remedy(ground, within, mu, finding, least or 0.0)
            if remedy is not None:
                return [remedy], ""
    if n > boxes.VARIABLES:
        return [], f"it is no quadratic, and boxes are read with at most {boxes.VARIABLES} parameters; this cost has {n:,}"
    return [], "no weight was found with which the kernel accepts a proof"


def _places(ground: Ground, n: int) -> Iterator[tuple[Box, tuple[str, ...]]]:
    """Where to ask, and with which proofs: everywhere, unless a box is asked about; then on a box."""
    if not ground.within:
        yield {}, ("rules", "quadratic", "rational")
    if n <= boxes.VARIABLES:
        yield _box(ground), ("rules", "rational", "box")
    elif ground.within:
        yield ground.within, ("rules", "quadratic")


def _box(ground: Ground) -> Box:
    """The asked box; [-r, r] in every other block, with r = 1, 2, 4, ... so large that it holds the current values."""
    theta = ground.cost.theta
    r = 1.0
    while any(float(t.abs().max()) > r for n, t in theta.items() if t.numel() and n not in ground.within):
        r *= 2.0
    free = {n: (np.full(s, -r), np.full(s, r)) for n, s in ground.problem.blocks.items()}
    return {**free, **ground.within}


def _curvature(ground: Ground, within: Box) -> float | None:
    """The lowest eigenvalue of the Hessian that was seen, with its sign turned; None where there is none everywhere."""
    lowest = 0.0
    try:
        for theta in _points(ground, within):
            matrix = torch.func.hessian(lambda flat: _value(ground.problem, flat))(theta)
            if not torch.isfinite(matrix).all():
                return None
            lowest = min(lowest, float(torch.linalg.eigvalsh(matrix)[0]))
    except (RuntimeError, NotImplementedError):
        return None
    return -lowest


def _value(problem: Problem, flat: Tensor) -> Tensor:
    theta, start = {}, 0
    for name, shape in problem.blocks.items():
        size = int(np.prod(shape, dtype=int))
        theta[name] = flat[start : start + size].reshape(shape)
        start += size
    return program_value(problem, theta)


def _points(ground: Ground, within: Box) -> Iterator[Tensor]:
    """The current point, the box's centre and ends, and random points."""
    generator = torch.Generator().manual_seed(1906)
    current = torch.cat([ground.cost.theta[n].reshape(-1) for n in ground.names])
    lo, hi = (
        torch.cat([torch.as_tensor(within[n][k] if n in within else np.full(s, e)).reshape(-1) for n, s in ground.problem.blocks.items()])
        for k, e in ((0, -4.0), (1, 4.0))
    )  # fmt: skip
    lo, hi = lo.clamp(min=-1e3), hi.clamp(max=1e3)
    yield current.clamp(lo, hi)
    yield (lo + hi) / 2
    yield from (lo, hi)
    few = POINTS if len(current) <= boxes.VARIABLES else 8
    for k in range(few):
        t = torch.rand(len(current), generator=generator, dtype=torch.float64)
        t = t.round() if k % 4 == 3 else t
        yield lo + (hi - lo) * t


def _smallest(ground: Ground, within: Box, methods: tuple[str, ...], least: float) -> tuple[Fraction, Finding] | None:
    """The smallest weight that the kernel accepts, on a ladder above the least that the sampled curvature allows."""
    rungs = [_short(Fraction(least if least > 0 else 0.001) * f) for f in LADDER]
    low, high = 0, len(rungs) - 1
    best: tuple[Fraction, Finding] | None = None
    middle = rungs.index(_short(Fraction(least if least > 0 else 0.001) * 2))
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
    from jensen.trace import trace

    weight = float(mu)

    def extra(blocks: Mapping[str, Tensor]) -> Tensor:
        return weight / 2 * sum((blocks[n].square().sum() for n in ground.names), torch.zeros((), dtype=torch.float64))

    try:
        cost = with_penalty(ground.cost, extra)
        problem = trace(cost).problem
    except Misuse:
        return None
    again = proof(problem, Claim("convex", ground.names, within), (str(finding.evidence["method"]), "rules"))
    if again is None:
        return None
    options: dict[str, Any] = {"within": {n: _pair(b) for n, b in within.items()}} if within else {}
    where = _where(within)
    return Remedy(
        "penalty", f"add mu / 2 times the sum of the squares of all parameters with mu = {weight:g}, {where}",
        f"the minimum moves towards zero{', and nothing is said outside the box' if within else ''}; "
        f"curvature seen at sampled points asks for mu >= {least:.6g}",
        SIZE, ground.names, _code(ground, weight), again, (), options, cost,
    )  # fmt: skip


def _where(within: Box) -> str:
    if not within:
        return "and it is convex everywhere"
    parts = []
    for n, (lo, hi) in within.items():
        same = lo.size and (lo == lo.flat[0]).all() and (hi == hi.flat[0]).all()
        parts.append(f"{n} in [{lo.flat[0]:g}, {hi.flat[0]:g}]" if same else f"{n} in its box")
    return f"and keep to the box: {', '.join(parts)}"


def _pair(bounds: tuple[np.ndarray, np.ndarray]) -> list[Any]:
    """Bounds as numbers where they are the same everywhere."""
    return [float(b.flat[0]) if b.size and (b == b.flat[0]).all() else b for b in bounds]


def _code(ground: Ground, weight: float) -> str:
    if is_function(ground.cost):
        names = ", ".join(ground.names)
        squares = " + ".join(f"{n}.square().sum()" for n in ground.names)
        values = ", ".join(f"{n}={n}" for n in ground.names)
        text = f"cost = jensen.Cost.of(lambda {names}: f({names}) + {weight / 2!r} * ({squares}), {values})"
        return f"# f is your function, and {names} its values\n{text}"
    old = "penalty(blocks) + " if ground.cost._penalty is not None else ""
    term = f"{weight / 2!r} * sum(t.square().sum() for t in blocks.values())"
    return f"cost = jensen.Cost(model, loss, data, penalty=lambda blocks: {old}{term})"
