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

from jensen.ask.blocks import Lattice
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import model_of, with_parts
from jensen.ask.remedies.edit import Edit, Names, count, numbers, quoted, share
from jensen.ask.remedies.ground import Ground, maximal
from jensen.ask.remedies.sites import RELU, Site, edited, find, rebuild
from jensen.ask.remedies.surgery import changed
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.check import Claim
from jensen.kernel.claims.leaves import leaves
from jensen.kernel.claims.words import listing
from jensen.kernel.facts import CONSTANT
from jensen.kernel.program import Problem
from jensen.kernel.readings import read_facts
from jensen.trace import trace

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
    return (
        [],
        "with weights held non-negative it is convex in no further set: the loss is not monotone in what they weigh",
    )


def _try(ground: Ground, sites: tuple[Site, ...], low: float) -> Remedy | None:
    """The remedy that exchanges some activations for ReLU and holds as few blocks as are needed."""
    problem = changed(ground.problem, lambda program: edited(program, sites, "relu")) if sites else ground.problem
    if problem is None:
        return None
    free = maximal(problem, ground.inside(problem))
    sets = maximal(problem, {n: _bounds(ground, problem, n, low) for n in problem.blocks})
    blocks = next((s for s in sets if not any(set(s) <= set(f) for f in (*free, *ground.maximal))), None)
    if blocks is None:
        return None
    cost, code = ground.cost, ()
    if sites:
        cost, code = _rebuilt(ground, sites)
        problem = problem if cost is None else trace(cost).problem
    held = _fewest(ground, problem, blocks, low)
    if held is None or _straight(problem, Claim("convex", blocks, held)):
        return None
    cut = [n for n in held if n not in ground.within or not np.array_equal(held[n][0], ground.within[n][0])]
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    edit = _edit(ground, problem, blocks, frozen, cut, low, sites, code)
    return ground.offer(edit, problem, blocks, cost=cost, within=held, methods=("rules",), asks=ground.function)


def _rebuilt(ground: Ground, sites: tuple[Site, ...]) -> tuple[Cost | None, Names]:
    """The cost with ReLU at the sites, and the code; no cost where a site is a call inside a forward."""
    try:
        if not ground.function:
            model = model_of(ground.cost)
            code = tuple(rebuild(model, sites, "relu", False))
            return with_parts(ground.cost, model=model), code
    except (Misuse, AttributeError):
        pass
    return None, tuple(f"# in {s.path or 'the function'}: write torch.relu(x) in place of {s.name}(x)" for s in sites)


def _straight(problem: Problem, claim: Claim) -> bool:
    """Whether what makes it convex is only that no ReLU ever sees a negative value: then exchanging it says more."""
    linked = problem.linked(0, registry())
    facts = read_facts(linked, leaves(problem, 0, claim.blocks, claim.within))
    bends = [i for i, n in enumerate(linked.nodes) if n.op == RELU and not facts[i].bits & CONSTANT]
    return bool(bends) and all(facts[linked.inputs[i][0]].range[0] >= 0.0 for i in bends)


def _bounds(ground: Ground, problem: Problem, name: str, low: float) -> tuple[np.ndarray, np.ndarray]:
    """The asked box of a block, cut off below."""
    shape = problem.blocks[name]
    lo, hi = ground.within.get(name, (np.full(shape, -np.inf), np.full(shape, np.inf)))
    return np.asarray(np.maximum(lo, low)), np.asarray(np.maximum(hi, low))


def _fewest(ground: Ground, problem: Problem, blocks: Names, low: float) -> Box | None:
    """The box with as few held blocks as the proof needs; large ones are let go first."""
    held: Box = {n: _bounds(ground, problem, n, low) for n in problem.blocks}
    if not Lattice(problem, held).proved(blocks):
        return None
    for name in sorted(problem.blocks, key=lambda n: -count(problem, [n])):
        without = {n: b for n, b in held.items() if n != name}
        without |= {name: ground.within[name]} if name in ground.within else {}
        if Lattice(problem, without).proved(blocks):
            held = without
    return held


def _edit(
    ground: Ground, problem: Problem, blocks: Names, frozen: Names, cut: list[str], low: float,
    sites: tuple[Site, ...], code: Names,
) -> Edit:  # fmt: skip
    bound = "non-negative" if low == 0.0 else f"at least {low:g}"
    relu = [f"ReLU in place of {s.words()}" for s in sites]
    return Edit(
        "hold",
        "; ".join([*relu, f"hold {listing(cut)} {bound}"]),
        f"{numbers(count(problem, cut))} held at {low:g} or above ({_outside(ground, cut, low):,} below it now)",
        len(sites) + share(problem, cut) / 2,
        (*code, *(() if ground.function else (_clamp(cut, low),))),
        _question(blocks, cut, low) if ground.function else (),
        "any value so held" if set(cut) & set(frozen) else "any value",
    )


def _clamp(cut: list[str], low: float) -> str:
    """Code that puts the held blocks into their box."""
    return (
        f"with torch.no_grad():  # and after every step of training\n    for name in [{quoted(cut)}]:\n"
        f"        model.get_parameter(name).clamp_(min={low:g})"
    )


def _question(blocks: Names, cut: list[str], low: float) -> Names:
    box = ", ".join(f'"{n}": ({low:g}, None)' for n in cut)
    return (f"# in the box: jensen.check(cost, of=[{quoted(blocks)}], within={{{box}}})",)


def _outside(ground: Ground, cut: list[str], low: float) -> int:
    theta: Mapping[str, Any] = ground.cost.theta
    return sum(int((theta[n] < low).sum()) for n in cut if n in theta)
