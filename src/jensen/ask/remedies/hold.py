"""Hold some blocks non-negative, with activations that are convex and non-decreasing: an input-convex network.

A sum with weights >= 0 of convex values is convex, and so is a convex non-decreasing function of one (Amos, Xu and
Kolter, 2017). It helps where the loss, too, is non-decreasing in the outputs; then the network is convex in the layers
before the held weights, while the held weights are frozen at any value >= 0. Where a value must stay away from zero
(a division, a logarithm), the bound is a small positive number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function, model_of, with_parts
from jensen.ask.remedies.ground import Ground, Names, Sets, count, maximal, proof
from jensen.ask.remedies.sites import Site, edited, find, rebuild
from jensen.ask.remedies.surgery import changed
from jensen.ask.remedies.words import frozen_price, keep, listing, numbers, share, varying
from jensen.errors import Misuse
from jensen.kernel.check import Claim
from jensen.kernel.program import Problem

AWAY = 1e-3  # a bound that keeps divisions and logarithms in their domains
Box = dict[str, tuple[np.ndarray, np.ndarray]]


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that hold blocks non-negative, and why there is none."""
    curved = tuple(s for s in find(ground) if s.what == "activation" and not s.rising)
    for sites in ((), curved) if curved else ((),):
        for low in (0.0, AWAY):
            if ground.late():
                break
            remedy = _try(ground, sites, low)
            if remedy is not None:
                return [remedy], ""
    return [], "with weights held non-negative it is convex in no further set: the loss is not monotone in what they weigh"


def _try(ground: Ground, sites: tuple[Site, ...], low: float) -> Remedy | None:
    """The remedy that exchanges some activations for ReLU and holds as few blocks as are needed."""
    model, code, cost = None, [], ground.cost
    problem = changed(ground.problem, lambda program: edited(program, sites, "relu")) if sites else ground.problem
    if problem is None:
        return None
    free = maximal(problem, ground.within)
    sets = maximal(problem, {n: _bounds(ground, problem, n, low) for n in problem.blocks})
    blocks = next((s for s in sets if not any(set(s) <= set(f) for f in free) and not ground.known(s)), None)
    if blocks is None:
        return None
    if sites and not any(s.node for s in sites) and not is_function(ground.cost):
        from jensen.trace import trace

        model = model_of(ground.cost)
        code = rebuild(model, sites, "relu", False)
        try:
            cost = with_parts(ground.cost, model=model)
            problem = trace(cost).problem
        except (Misuse, AttributeError):
            return None
    elif sites:
        cost = None
        code = [f"# in the forward of {s.path or 'the function'}: write torch.relu(x) in place of {s.name}(x)" for s in sites]
    held = _fewest(ground, problem, blocks, low)
    finding = None if held is None else proof(problem, Claim("convex", blocks, held))
    return None if held is None or finding is None else _remedy(ground, problem, blocks, held, low, sites, code, cost, finding)


def _bounds(ground: Ground, problem: Problem, name: str, low: float) -> tuple[np.ndarray, np.ndarray]:
    """The asked box of a block, cut off below."""
    shape = problem.blocks[name]
    lo, hi = ground.within.get(name, (np.full(shape, -np.inf), np.full(shape, np.inf)))
    return np.maximum(lo, low), np.maximum(hi, low)


def _fewest(ground: Ground, problem: Problem, blocks: Names, low: float) -> Box | None:
    """The box with as few held blocks as the proof needs; large ones are let go first."""
    held: Box = {n: _bounds(ground, problem, n, low) for n in problem.blocks}
    if not Sets(problem, held).proved(blocks):
        return None
    for name in sorted(problem.blocks, key=lambda n: -count(problem, [n])):
        without = {n: b for n, b in held.items() if n != name}
        without |= {name: ground.within[name]} if name in ground.within else {}
        if Sets(problem, without).proved(blocks):
            held = without
    return held


def _remedy(
    ground: Ground, problem: Problem, blocks: Names, held: Box, low: float, sites: tuple[Site, ...], code: list[str],
    cost: Any, finding: Any,
) -> Remedy:  # fmt: skip
    cut = [n for n in held if n not in ground.within or not np.array_equal(held[n][0], ground.within[n][0])]
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    relu = "; ".join(f"ReLU in place of {s.words()}" for s in sites)
    bound = "non-negative" if low == 0.0 else f"at least {low:g}"
    change = f"hold {listing(cut)} {bound}{'; ' + relu if relu else ''}; {varying(blocks, problem)}"
    if frozen and any(n in frozen for n in cut):
        change = change.replace(" at any value", " at any value that is so held")
    price = (
        f"{numbers(count(problem, cut))} keep to values of {low:g} and more ({_outside(ground, cut, low):,} are below now), "
        f"and {frozen_price(problem, frozen)}{' there' if frozen else ''}"
    )
    size = len(sites) + share(problem, frozen) + share(problem, cut) / 2
    within = {n: _pair(b) for n, b in held.items()}
    function = is_function(ground.cost)
    code = [*code, _code(blocks, cut, low, bool(frozen), function)]
    options: dict[str, Any] = {"within": {n: w for n, w in within.items() if function or n in blocks}}
    options |= {"of": list(blocks)} if function and frozen else {}
    return Remedy(
        "hold", change, price, size, blocks, "\n".join(code), finding, frozen,
        {k: v for k, v in options.items() if v}, cost,
    )  # fmt: skip


def _code(blocks: Names, cut: list[str], low: float, frozen: bool, function: bool) -> str:
    """Code that puts the held blocks into their box and freezes the others; during training the first part is repeated."""
    if function:
        asked = ", ".join(f'"{n}"' for n in blocks)
        boxes = ", ".join(f'"{n}": ({low:g}, None)' for n in cut)
        return f"# no edit: jensen.check(cost, of=[{asked}], within={{{boxes}}})"
    names = ", ".join(f'"{n}"' for n in cut)
    text = (
        f"with torch.no_grad():  # and after every step of training\n    for name in [{names}]:\n"
        f"        model.get_parameter(name).clamp_(min={low:g})"
    )
    return f"{text}\n{keep(blocks, False)}" if frozen else text


def _outside(ground: Ground, cut: list[str], low: float) -> int:
    theta: Mapping[str, Any] = ground.cost.theta
    return sum(int((theta[n] < low).sum()) for n in cut if n in theta)


def _pair(bounds: tuple[np.ndarray, np.ndarray]) -> list[Any]:
    """Bounds as numbers where they are the same everywhere."""
    return [float(b.flat[0]) if b.size and (b == b.flat[0]).all() else b for b in bounds]
